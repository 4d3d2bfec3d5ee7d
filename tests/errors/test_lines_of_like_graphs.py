"""Graphs that are alike share a plan: each error found late still names the line of its own graph."""

from __future__ import annotations

from collections.abc import Callable
from inspect import currentframe

import numpy as np
import pytest

from kernelforge import Tensor, jit
from kernelforge.errors import LinAlgError


def here(offset: int = 0) -> str:
    """The caller's place, offset lines further down, as messages have it."""
    frame = currentframe()
    assert frame is not None and frame.f_back is not None
    return f"test_lines_of_like_graphs.py:{frame.f_back.f_lineno + offset}:"


def vector(n: int = 5) -> Tensor:
    return Tensor.ones(n).contiguous().realize()


def place(number: int) -> Tensor:
    return Tensor([number]).realize()


def test_one_operation() -> None:
    assert vector().gather(0, place(1)).tolist() == [1.0]
    assert vector().gather(0, place(2)).tolist() == [1.0]
    wrong, line = vector().gather(0, place(7)), here()
    with pytest.raises(IndexError, match=f"written at .*{line}"):
        wrong.tolist()


def test_several_operations() -> None:
    def computed(x: Tensor, y: Tensor) -> Tensor:
        return (x.exp() * 2 + y).sum()

    assert computed(vector()[place(1)], vector()).item() > 0
    picked, line = vector()[place(9)], here()
    with pytest.raises(IndexError, match=f"written at .*{line}"):
        computed(picked, vector()).item()


def test_what_is_written() -> None:
    x = Tensor.zeros(4)
    x[place(1)] = 1.0
    assert x.tolist() == [0.0, 1.0, 0.0, 0.0]
    y, line = Tensor.zeros(4), here(1)
    y[place(4)] = 1.0
    with pytest.raises(IndexError, match=f"written at .*{line}"):
        y.tolist()


def test_other_sizes() -> None:
    """The message shows the sizes of the graph, whatever its kernels were made for."""
    for n in (6, 7, 8, 9):
        assert vector(n).gather(0, place(1)).tolist() == [1.0]
    wrong, line = vector(10).gather(0, place(-11)), here()
    with pytest.raises(IndexError, match=rf"gather of float32 \[10\] by int32 \[1\](.|\n)*written at .*{line}"):
        wrong.tolist()


def test_a_run_whose_flags_nobody_has_read() -> None:
    """It is looked at before another line's graph runs by the same plan."""
    x = vector()
    x[place(1)].realize()
    lines = [here(2)]
    with pytest.raises(IndexError) as caught:
        x[place(8)].realize()
        x[place(2)].realize()
    assert lines[0] in str(caught.value)
    assert x[place(3)].tolist() == [1.0]


@pytest.mark.parametrize("wrong", ["inv", "cholesky"])
def test_on_the_host(wrong: str) -> None:
    call: Callable[[Tensor], Tensor] = getattr(Tensor, wrong)
    assert call(Tensor(np.eye(3, dtype=np.float32))).shape == (3, 3)
    call(Tensor(np.eye(3, dtype=np.float32))).realize()
    with pytest.raises(LinAlgError, match=here(1)):
        found = call(Tensor(np.zeros((3, 3), np.float32)))
        found.realize()


def test_captured() -> None:
    """The line is in the captured function, though another one ran by its plan in between."""
    picks, line = jit(lambda x, i: x[i]), here()
    for number in range(3):
        assert picks(vector(), place(number)).tolist() == [1.0]
    assert vector()[place(1)].tolist() == [1.0]
    with pytest.raises(IndexError, match=f"written at .*{line}"):
        picks(vector(), place(5)).tolist()
