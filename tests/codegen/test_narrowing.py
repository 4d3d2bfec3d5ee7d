"""Loops leave out what masks hide, and nothing else; that results stay right is shown by the tests of the printers."""

import re

import pytest

from codegen.choose import choose
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Param, Store, apply, const, coord, load, reduce
from codegen.narrowing import limits
from codegen.nest import build
from codegen.nodes import Loop, nodes
from codegen.opencl import render
from codegen.schedule import Schedule, Step
from codegen.target import CPU

ROW, KEY = Axis("i", 64), Axis("r", 64)
X = load(Param("x", dtypes.float32, 4096), ROW.index * 64 + KEY.index)


def total(condition: Expr, op: str = "add", hidden: float = 0.0) -> Kernel:
    value = apply("where", condition, X, const(hidden, dtypes.float32))
    out = Param("o", dtypes.float32, 64)
    return Kernel("k", (Param("x", dtypes.float32, 4096), out), (Store(out, ROW.index, reduce(op, value, [KEY])),))


def less(a: Axis, b: Axis, by: int = 0) -> Expr:
    return apply("le", coord(a.index), coord(b.index + by))


def visits(kernel: Kernel) -> list[tuple[int, int]]:
    """The range of r that is walked for every i, as the printed bounds say."""
    source = render(kernel, Schedule((Step(ROW, 1), Step(KEY, 4)), 1, ()), CPU).source
    head = re.search(r"kf_for \(int (r\d) = (\w+); \1 < (\w+); \1 \+= 4\)", source)
    assert head is not None
    c = {"clamp": lambda x, lo, hi: max(lo, min(x, hi)), "min": min, "max": max}
    found = []
    for i in range(64):
        names = {**c, "i0": i}
        for name, text in re.findall(r"const int (first\w*|last\w*) = (.*);", source):
            names[name] = eval(text.replace("(int)", "").replace("/", "//"), names)
        first, last = (eval(head[group], names) for group in (2, 3))
        found.append((first, max(range(first, last, 4)) + 4))
    return found


def test_a_triangle_is_walked_to_the_diagonal() -> None:
    assert visits(total(less(KEY, ROW))) == [(0, i // 4 * 4 + 4) for i in range(64)]
    assert visits(total(less(ROW, KEY))) == [(i // 4 * 4, 64) for i in range(64)]


def test_a_band_is_walked_from_edge_to_edge() -> None:
    band = apply("and", less(KEY, ROW), less(ROW, KEY, by=9))
    assert visits(total(band)) == [(max(0, i - 9) // 4 * 4, i // 4 * 4 + 4) for i in range(64)]


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
