"""What is taken for granted of numbers is noted, and holds for no fewer sizes than it must."""

from __future__ import annotations

import pytest

from codegen.assumed import FIXED, assumed, assumed_of_constants, largest, noting, smallest
from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, constant, separated
from codegen.ir import Param, const, load
from codegen.ops import SCALAR_OPS
from codegen.rewrites.scalar_rules import simplified


def test_what_leaves_a_guard_out_is_noted() -> None:
    i = Axis("i", 10)
    with noting() as found:
        assert Guard(i.index, 0, 12).always and not Guard(i.index, 0, 9).always
    assert found == {("always", 0), ("always", 2)}
    with noting() as found:
        assert Guard(i.index, 15, 20).never and Guard(i.index - 12, 0, 5).never and not Guard(i.index, 9, 20).never
    assert found == {("never", 5), ("never", 2)}


def test_a_quotient_that_sizes_decide_is_noted() -> None:
    i, n = Axis("i", 10), 1009
    with noting() as found:
        assert (i.index + 3) // n == constant(0)
    assert ("quotient", n - 1 - 12) in found
    with noting() as found:
        assert separated(i.index * 24 + Axis("j", 20).index)
    assert ("apart", 4) in found


def test_a_load_that_nothing_reaches_is_noted() -> None:
    i = Axis("i", 6)
    with noting() as found:
        e = load(Param("x", dtypes.float32, 1009), i.index - 1009, [Guard(i.index - 1009, 0, 1009)])
    assert e is const(0, dtypes.float32) and found == {("never", 1003)}


@pytest.mark.parametrize(("op", "a", "b", "number"), [
    ("lt", 3, 5, 1), ("lt", 5, 3, 2), ("lt", 4, 4, 0), ("le", 3, 5, 2), ("le", 5, 3, 1), ("eq", 5, 3, 1),
    ("ne", 3, 5, 1), ("max", 3, 5, 2), ("min", 5, 3, 2),
])  # fmt: skip
def test_the_order_of_constants_is_noted(op: str, a: int, b: int, number: int) -> None:
    values = const(a, dtypes.int32), const(b, dtypes.int32)
    with noting() as found:
        simplified(SCALAR_OPS[op], values, dtypes.bool if op in ("lt", "le", "eq", "ne") else dtypes.int32)
    assert found == {(op, number)}


def test_what_no_formula_follows_must_stay() -> None:
    with noting() as found:
        assumed_of_constants("floordiv", [1009, 4])
        assumed_of_constants("add", [1009, 4])
    assert found == {(FIXED, 1009), (FIXED, 4)}


def test_notes_are_told_to_who_asked_alone() -> None:
    assert assumed("nobody", 1)
    with noting() as outer:
        assert (largest(3, 5), smallest(3, 5)) == (5, 3)
        with noting() as inner:
            assert assumed("inner", 4)
    assert inner == {("inner", 4)} and outer == {("largest", 2), ("largest", 0), ("smallest", 2), ("smallest", 0)}
