"""Loops leave out what masks hide, and nothing else; that results stay right is shown by the tests of the printers."""

import re

import pytest

from codegen.choose.default import choose
from codegen.dtypes import dtypes
from codegen.index import Axis, Guard
from codegen.ir import Expr, Kernel, Param, Store, apply, const, coord, load, reduce, valid
from codegen.narrowing import limits
from codegen.nest import build
from codegen.nodes import Loop, nodes
from codegen.opencl.printer import render
from codegen.schedule import Schedule, Step
from codegen.target import CPU

ROW, KEY = Axis("i", 64), Axis("r", 64)
X = load(Param("x", dtypes.float32, 4096), ROW.index * 64 + KEY.index)


class Whole(int):
    """A divisor as in C: quotients are rounded towards 0."""

    def __rtruediv__(self, other: int) -> int:
        return int(other / int(self))


def total(condition: Expr, op: str = "add", hidden: float = 0.0) -> Kernel:
    value = apply("where", condition, X, const(hidden, dtypes.float32))
    out = Param("o", dtypes.float32, 64)
    return Kernel("k", (Param("x", dtypes.float32, 4096), out), (Store(out, ROW.index, reduce(op, value, [KEY])),))


def less(a: Axis, b: Axis, by: int = 0) -> Expr:
    return apply("le", coord(a.index), coord(b.index + by))


def visits(kernel: Kernel, step: int = 4) -> list[tuple[int, int]]:
    """The range of r that is walked for every i, as the printed bounds say."""
    source = render(kernel, Schedule((Step(ROW, 1), Step(KEY, step)), 1, ()), CPU).source
    head = re.search(rf"kf_for \(int (r\d) = (\w+); \1 < (\w+); \1 \+= {step}\)", source)
    assert head is not None
    c = {"clamp": lambda x, lo, hi: max(lo, min(x, hi)), "min": min, "max": max, "Whole": Whole}
    found = []
    for i in range(64):
        names = {**c, "i0": i}
        for name, text in re.findall(r"const int (first\w*|last\w*) = (.*);", source):
            text = re.sub(r" / (\d+)", r" / Whole(\1)", text.replace("(int)", ""))
            names[name] = eval(text, names)
        first, last = (eval(head[group], names) for group in (2, 3))
        found.append((first, max(range(first, last, step)) + step))
    return found


def test_a_triangle_is_walked_to_the_diagonal() -> None:
    assert visits(total(less(KEY, ROW))) == [(0, i // 4 * 4 + 4) for i in range(64)]
    assert visits(total(less(ROW, KEY))) == [(i // 4 * 4, 64) for i in range(64)]


def test_a_band_is_walked_from_edge_to_edge() -> None:
    band = apply("and", less(KEY, ROW), less(ROW, KEY, by=9))
    assert visits(total(band)) == [(max(0, i - 9) // 4 * 4, i // 4 * 4 + 4) for i in range(64)]


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("by", [2, 3, -2, -3])
@pytest.mark.parametrize("edge", [(0, 30), (-20, 9), (-4, -2), (50, 56), (17, 18)])
def test_slopes_are_rounded_to_whole_steps(by: int, edge: tuple[int, int], step: int) -> None:
    guard = Guard(KEY.index * by + ROW.index - 5, *edge)
    wanted = []
    for i in range(64):
        left = [r for r in range(64) if edge[0] <= by * r + i - 5 < edge[1]]
        wanted.append((left[0] // step * step, left[-1] // step * step + step) if left else None)
    for (first, last), at in zip(visits(total(valid([guard])), step), wanted):
        assert last - first == step if at is None else (first, last) == at


def test_guards_of_loads_count() -> None:
    x = load(Param("x", dtypes.float32, 64), ROW.index + KEY.index - 9, [Guard(ROW.index + KEY.index - 9, 0, 64)])
    out = Param("o", dtypes.float32, 64)
    kernel = Kernel("k", (x.param, out), (Store(out, ROW.index, reduce("add", x, [KEY])),))
    wanted = [(max(0, 9 - i) // 4 * 4, min(64, -(-(73 - i) // 4) * 4)) for i in range(64)]
    assert visits(kernel) == wanted


@pytest.mark.parametrize("edge", [(0, 1), (3, 9), (60, 64), (-3, 40)])
def test_where_a_guard_on_other_axes_fails_one_step_remains(edge: tuple[int, int]) -> None:
    guard = Guard(ROW.index, *edge)
    wanted = [(0, 64) if edge[0] <= i < edge[1] else (0, 4) for i in range(64)]
    assert visits(total(valid([guard]))) == wanted


def test_one_step_remains_where_all_is_hidden() -> None:
    assert visits(total(less(KEY, ROW, by=-40)))[0] == (0, 4)
    assert visits(total(less(ROW, KEY, by=-60)))[-1] == (60, 64)


@pytest.mark.parametrize(
    "kernel",
    [
        total(less(KEY, ROW), hidden=1.0),
        total(less(KEY, ROW), op="max"),
        total(apply("lt", X, const(0, dtypes.float32))),
        total(apply("or", less(KEY, ROW), apply("lt", X, const(0, dtypes.float32)))),
    ],
    ids=["no identity of the sum", "no identity of the maximum", "data", "or data"],
)
def test_what_matters_is_not_left_out(kernel: Kernel) -> None:
    nest = build(kernel, choose(kernel, CPU), CPU)
    assert not any(isinstance(node, Loop) and node.within for node in nodes(nest.body))


def test_the_maximum_leaves_out_what_is_lowest() -> None:
    kernel = total(less(KEY, ROW), op="max", hidden=float("-inf"))
    nest = build(kernel, Schedule((Step(ROW, 8), Step(KEY, 4)), 1, ()), CPU)
    (loop,) = [node for node in nodes(nest.body) if isinstance(node, Loop) and node.within]
    firsts, (last,) = limits(loop)
    assert (firsts, last.terms, last.const, last.low) == ([], (("i0", 1),), 8, 8)
