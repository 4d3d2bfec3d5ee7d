"""Bounds of indices where guards hold: never too tight, and tight enough for padding, windows and strides."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.bounds import TooManyPointsError, bounds, tried_bounds, value_range
from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Guards, Index, dynamic, substitute
from codegen.ir import Expr, Load, Param, apply, const, coord, load
from tests.codegen.random_kernels import random_kernel

H, W, R, C = Axis("h", 8), Axis("w", 8), Axis("r", 3), Axis("c", 4)
ROW = H.index + R.index - 1
COLUMN = W.index - 1
PLACES = load(Param("places", dtypes.int32, 8), H.index)
PICKED = dynamic(PLACES, 5)


def _exact(index: Index, guards: Guards) -> tuple[int, int] | None:
    """The smallest and largest value where the guards hold, by trying all points."""
    axes = sorted(index.axes.union(*(g.index.axes for g in guards)), key=lambda a: a.id)
    values = []
    for point in itertools.product(*(range(a.size) for a in axes)):
        place = {a: a.index * 0 + v for a, v in zip(axes, point)}
        if all(g.lo <= substitute(g.index, place).const < g.hi for g in guards):
            values.append(substitute(index, place).const)
    return (min(values), max(values)) if values else None


@given(st.integers(0, 1 << 32))
def test_bounds_enclose_every_load(seed: int) -> None:
    for e in random_kernel(seed, "elementwise", "reduction", sizes=(2, 3, 4)).loads:
        if not e.index.is_dynamic and not any(g.index.is_dynamic for g in e.guards):
            exact = _exact(e.index, e.guards)
            low, high = bounds(e.index, e.guards)
            assert tried_bounds(e.index, e.guards) == (exact or (0, 0))
            assert exact is None or (low <= exact[0] and exact[1] <= high)


@pytest.mark.parametrize(
    ("index", "guards", "expected"),
    [
        (COLUMN, [Guard(COLUMN, 0, 6)], (0, 5)),
        (C.index * 64 + ROW * 8 + COLUMN, [Guard(ROW, 0, 8), Guard(COLUMN, 0, 8)], (0, 254)),
        (W.index * -1 + 7, [], (0, 7)),
        (ROW // 2, [Guard(ROW // 2, 0, 3), Guard(ROW % 2, 0, 1)], (0, 2)),
        (COLUMN // 3, [Guard(COLUMN, 0, 8)], (0, 2)),
        (COLUMN % 8, [Guard(COLUMN, 0, 3)], (0, 2)),
        (PICKED * 8 + W.index, [Guard(PICKED, 0, 5)], (0, 39)),
        (H.index - W.index, [Guard(H.index - W.index, 0, 8)], (0, 7)),
    ],
)
def test_guards_narrow(index: Index, guards: list[Guard], expected: tuple[int, int]) -> None:
    assert bounds(index, frozenset(guards)) == expected


def test_a_value_without_a_guard_may_be_anything() -> None:
    assert bounds(PICKED, frozenset()) == (-(2**31), 2**31 - 1)
    assert tried_bounds(PICKED, frozenset()) is None


def test_trying_finds_what_intervals_do_not() -> None:
    """h*7 // 5 and h*7 % 5 depend on each other."""
    both = H.index * 7 // 5 * 3 - H.index * 7 % 5
    assert bounds(both, frozenset()) == (-4, 27)
    assert tried_bounds(both, frozenset()) == _exact(both, frozenset()) == (0, 23)


def test_trying_has_a_limit_and_an_empty_case() -> None:
    wide = Axis("wide", 1 << 21)
    with pytest.raises(TooManyPointsError):
        tried_bounds(wide.index // 2, frozenset())
    assert tried_bounds(H.index, frozenset([Guard(H.index, 0, 3), Guard(H.index, 5, 8)])) == (0, 0)


def _int(value: int) -> Expr:
    return const(value, dtypes.int32)


@pytest.mark.parametrize(
    ("e", "expected"),
    [
        (_int(3), (3, 3)),
        (coord(ROW), (-1, 8)),
        (apply("min", apply("max", PLACES, _int(0)), _int(4)), (0, 4)),
        (apply("mod", PLACES, _int(7)), (0, 6)),
        (apply("sub", _int(2), coord(H.index)), (-5, 2)),
        (apply("and", PLACES, _int(7)), (0, 7)),
        (apply("and", PLACES, _int(-2)), (-(2**31), 2**31 - 1)),
        (apply("shr", coord(H.index), _int(1)), (0, 3)),
        (apply("shr", PLACES, _int(1)), (-(2**31), 2**31 - 1)),
        (apply("add", coord(H.index), _int(2)), (2, 9)),
        (apply("where", apply("lt", PLACES, _int(0)), _int(-1), coord(H.index)), (-1, 7)),
        (apply("cast", coord(H.index), dtype=dtypes.int64), (0, 7)),
        (apply("add", coord(H.index), const(2**31 - 1, dtypes.int32)), (-(2**31), 2**31 - 1)),
        (apply("mul", PLACES, PLACES), (-(2**31), 2**31 - 1)),
        (load(Param("x", dtypes.uint8, 8), H.index), (0, 255)),
        (apply("cast", load(Param("f", dtypes.float32, 8), H.index), dtype=dtypes.int8), (-128, 127)),
    ],
)
def test_ranges_of_integer_expressions(e: Expr, expected: tuple[int, int]) -> None:
    assert value_range(e) == expected


def test_a_clamped_value_needs_no_guard() -> None:
    clamped = apply("min", apply("max", PLACES, _int(0)), _int(4))
    assert isinstance(PLACES, Load)
    assert bounds(dynamic(clamped, 5) * 8, frozenset()) == (0, 32)
