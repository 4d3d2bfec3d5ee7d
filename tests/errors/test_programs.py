"""Every error names the operation, its operands, the guilty line and what it is about, in at most 15 lines."""

import gc
import linecache
from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

from kernelforge import Tensor, autograd, func, nn, optim
from kernelforge.errors import KernelForgeError
from tests.errors import programs

pytestmark = pytest.mark.usefixtures("numpy_device")
MOST_LINES = 15
_numbers = count()


@pytest.fixture(scope="module", autouse=True)
def nothing_left() -> Iterator[None]:
    """Errors hold the tensors of programs in cycles; some wait to be computed, with whatever is computed next."""
    yield
    gc.collect()


def table(text: str) -> list[tuple[str, str]]:
    return [tuple(part.strip() for part in line.rsplit(" | ", 1)) for line in text.strip().splitlines()]


def names() -> dict:
    rng = np.random.default_rng(0)

    def floats(*shape: int) -> Tensor:
        return Tensor(rng.normal(size=shape).astype(np.float32)).realize()

    return {
        "Tensor": Tensor, "nn": nn, "optim": optim, "autograd": autograd, "func": func,
        "X": floats(2, 3), "V": floats(3), "M": floats(3, 3), "N": floats(1, 2, 4, 4), "I": Tensor([0, 1, 2]),
        "B": floats(2, 3) > 0, "W": Tensor(rng.normal(size=(2, 3)), dtype="float32", requires_grad=True),
    }  # fmt: skip


def run(lines: list[str]) -> str:
    """Runs a program under a file name of its own, which it returns; the file cannot be told from one on disk."""
    name, source = f"/users/program_{next(_numbers)}.py", "\n".join(lines) + "\n"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    run.name = name
    exec(compile(source, name, "exec"), names())
    return name


def check(lines: list[str], guilty: str, word: str) -> None:
    with pytest.raises(KernelForgeError) as caught:
        run(lines)
    text = str(caught.value)
    assert word in text, text
    assert f"{run.name}:{lines.index(guilty) + 1}: {guilty[:90]}" in text, text
    assert len(text.splitlines()) <= MOST_LINES


NOW = [*table(programs.SHAPES), *table(programs.TYPES), *table(programs.VALUES)]


def test_there_are_many() -> None:
    assert len(NOW) + len(table(programs.LATER)) >= 150


@pytest.mark.parametrize(("line", "word"), NOW, ids=[line for line, _ in NOW])
def test_wrong_at_once(line: str, word: str) -> None:
    check(["before = X * 2", "", line, "after = V"], line, word)


@pytest.mark.parametrize(("line", "word"), table(programs.LATER), ids=[line for line, _ in table(programs.LATER)])
def test_wrong_when_computed(line: str, word: str) -> None:
    guilty = f"y = {line}"
    check(["before = X * 2", guilty, "z = y + 1", "z.numpy()"], guilty, word)


def test_operands_are_shown() -> None:
    with pytest.raises(KernelForgeError) as caught:
        run(["y = X.cat(V)"])
    assert "Tensor.cat(self=float32 [2, 3], dim=0, float32 [3])" in str(caught.value)


def test_errors_of_a_gradient_are_at_its_operation() -> None:
    lines = ["x = (M * 0 + Tensor.eye(3)).requires_grad_()", "y = x.inv().sum()", "y.backward()", "x.grad.numpy()"]
    run(lines)
    lines[0] = "x = (M * 0).realize().requires_grad_()"
    check(lines, lines[1], "inv")
