"""Errors are of kernelforge's kind and of the built-in kind at once, survive pickling, and show what matters."""

import pickle
from collections.abc import Callable

import pytest

from kernelforge import Tensor, errors
from kernelforge.errors import CompileError, KernelForgeError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ShapeError", ValueError),
        ("DTypeError", TypeError),
        ("SettingError", ValueError),
        ("DeviceError", RuntimeError),
        ("CompileError", RuntimeError),
        ("InternalError", AssertionError),
    ],
)
def test_kinds(name: str, kind: type) -> None:
    assert issubclass(getattr(errors, name), (KernelForgeError,)) and issubclass(getattr(errors, name), kind)


@pytest.mark.parametrize(
    ("call", "kinds"),
    [
        (lambda: Tensor([1.0], dtype="typo"), (TypeError, AttributeError)),
        (lambda: Tensor.ones(3).sum(dtype=""), (TypeError, AttributeError)),
        (lambda: Tensor.ones(3).pad((1, 0), mode="typo"), (ValueError, NotImplementedError)),
        (lambda: Tensor.ones(1, 1, 3).interpolate((4,), mode="typo"), (ValueError, NotImplementedError)),
    ],
)
def test_names_that_are_none(call: Callable[[], object], kinds: tuple[type, ...]) -> None:
    """They raise what torch and tinygrad raise, and what the others of their kind do."""
    with pytest.raises(KernelForgeError) as raised:
        call()
    assert all(isinstance(raised.value, kind) for kind in kinds)


def test_a_compile_error_shows_the_log_from_its_first_error() -> None:
    log = "Compilation started\n\n1:1: warning: dull\n" + "\n".join(f"{n}:1: error: number {n}" for n in range(40))
    text = str(CompileError("gelu_512", "CPU", "/tmp/gelu.cl", log))
    assert "gelu_512" in text and "/tmp/gelu.cl" in text and "CPU" in text
    assert "number 0" in text and "number 19" in text and "number 20" not in text and "20 more lines" in text
    assert "dull" not in text


def test_a_log_without_the_word_error_is_shown_from_its_start() -> None:
    assert "something else" in str(CompileError("k", "CPU", None, "something else\nhappened"))


def test_a_compile_error_survives_pickling() -> None:
    error = CompileError("k", "CPU", None, "error: x")
    again = pickle.loads(pickle.dumps(error))
    assert (again.kernel, again.device, again.path, again.log, str(again)) == ("k", "CPU", None, "error: x", str(error))
