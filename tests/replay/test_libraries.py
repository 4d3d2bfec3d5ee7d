"""Names of modules that are no user's: a captured function sees when they stand for something else."""

from __future__ import annotations

import importlib
import inspect
import math
import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import kernelforge as kf
from kernelforge import JitError, Tensor, jit
from kernelforge.later import Later
from kernelforge.replay.written import Everything

pytestmark = pytest.mark.usefixtures("numpy_device")


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def of_math(x: Tensor) -> Tensor:
    return x * math.pi


def of_numpy(x: Tensor) -> Tensor:
    return x * np.pi + np.linalg.norm(np.ones(4))


def of_a_function(x: Tensor) -> Tensor:
    return x * math.sqrt(4.0)


def of_a_submodule(x: Tensor) -> Tensor:
    return kf.nn.functional.relu(x)


def of_this_library(x: Tensor) -> Tensor:
    return kf.cat([x, x])


def of_python(x: Tensor) -> Tensor:
    return x * len(string.digits)


def computed(x: Tensor) -> Tensor:
    name = "".join(["p", "i"])
    return x * getattr(math, name)


def imported(x: Tensor) -> Tensor:
    return x * importlib.import_module("math").pi


def searched_by_a_library(x: Tensor) -> Tensor:
    return x * dict(inspect.getmembers(math))["pi"]


@contextmanager
def scope() -> Iterator[None]:
    yield


def in_a_context(x: Tensor) -> Tensor:
    with scope():
        return x * math.pi


def importing(x: Tensor) -> Tensor:
    import tomllib

    return x * math.pi * tomllib.loads("a = 3")["a"]


@pytest.mark.parametrize(
    ("function", "module", "name", "value"),
    [
        (of_math, math, "pi", 10.0),
        (of_numpy, np, "pi", 5.0),
        (of_numpy, np.linalg, "norm", lambda x: 7.0),
        (of_a_function, math, "sqrt", lambda x: 9.0),
        (of_a_submodule, kf.nn.functional, "relu", lambda x: x * 100),
        (of_this_library, kf, "cat", lambda tensors: tensors[0] * 3),
        (of_python, string, "digits", "01"),
        (computed, math, "pi", 10.0),
        (imported, math, "pi", 10.0),
        (searched_by_a_library, math, "pi", 10.0),
        (in_a_context, math, "pi", 10.0),
    ],
)
def test_another_value(
    function: Any, module: ModuleType, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured, x = jit(function), tensor(1, 2)
    for _ in range(3):
        assert captured(x).tolist() == function(x).tolist()
    assert [entry.replays for entry in captured._entries] == [2], "what a library loads by itself is no change"
    before = captured(x).tolist()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, value)
        assert captured(x).tolist() == function(x).tolist() != before
        assert name in captured._misses[-1]
    assert captured(x).tolist() == before


@pytest.mark.parametrize("function", [in_a_context, importing])
def test_what_libraries_do_by_themselves_costs_nothing(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("tomllib")]:
        monkeypatch.delitem(sys.modules, name)
    captured = jit(function)
    assert captured(tensor(1, 2)).tolist() == captured(tensor(1, 2)).tolist() == function(tensor(1, 2)).tolist()
    (entry,) = captured._entries
    assert entry.replays == 1
    assert not any(isinstance(guard, Everything) for guard in entry.guards)


def test_a_tensor_that_users_put_there(monkeypatch: pytest.MonkeyPatch) -> None:
    captured, x = jit(lambda x: x * math.weight), tensor(1, 2)  # type: ignore[attr-defined]
    monkeypatch.setattr(math, "weight", tensor(3, 4), raising=False)
    assert captured(x).tolist() == [3, 8]
    math.weight.assign(tensor(5, 6))  # type: ignore[attr-defined]
    assert captured(x).tolist() == [5, 12]
    monkeypatch.setattr(math, "weight", tensor(7, 8))
    assert captured(x).tolist() == [7, 16]


def test_what_a_library_loads_late_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(math), "text", Later("tomllib", vars(math), "text"))
    captured = jit(lambda x: x * math.text.loads("a = 3")["a"])  # type: ignore[attr-defined]
    assert [captured(tensor(1)).item() for _ in range(3)] == [3, 3, 3]
    assert [entry.replays for entry in captured._entries] == [2]


@pytest.mark.parametrize("name", ["pi", "weight"])
def test_a_change_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for changed in ("pi", "weight"):
        monkeypatch.setattr(math, changed, math.pi, raising=False)
    monkeypatch.setattr(math, name, 1.0)

    def changes(x: Tensor) -> Tensor:
        math.pi = x.shape[0] + 5
        math.weight = 7.0  # type: ignore[attr-defined]
        return x

    with pytest.raises(JitError, match=r"changes global math\.\w+, a name of a library"):
        jit(changes)(tensor(1, 2))


def test_a_change_by_a_computed_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math, "tau", 1.0)

    def changes(x: Tensor) -> Tensor:
        setattr(math, "".join(["ta", "u"]), 2.0)
        return x

    with pytest.raises(JitError, match=r"changes global math\.tau, a name of a library"):
        jit(changes)(tensor(1, 2))
