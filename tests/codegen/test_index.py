"""Index algebra by brute force: every value of small axes, division and remainder of negative values included."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index, constant, dynamic, guard_axes, in_order, needed, substitute
from codegen.ir import Param, load

AXES = tuple(Axis(name, size) for name, size in (("a", 2), ("b", 3), ("c", 4), ("d", 6), ("e", 1)))
Place = Mapping[Axis, int]
Pair = tuple[Index, Callable[[Place], int]]  # an index and what it means


def _axis(axis: Axis) -> Pair:
    return axis.index, lambda place: place[axis]


def _sum(pairs: tuple[Pair, Pair]) -> Pair:
    (x, f), (y, g) = pairs
    return x + y, lambda place: f(place) + g(place)


def _difference(pairs: tuple[Pair, Pair]) -> Pair:
    (x, f), (y, g) = pairs
    return x - y, lambda place: f(place) - g(place)


def _with(operation: str, pair: Pair, n: int) -> Pair:
    x, f = pair
    return {
        "*": lambda: (x * n, lambda place: f(place) * n),
        "+": lambda: (x + n, lambda place: f(place) + n),
        "//": lambda: (x // abs(n or 1), lambda place: f(place) // abs(n or 1)),
        "%": lambda: (x % abs(n or 1), lambda place: f(place) % abs(n or 1)),
    }[operation]()


def _extended(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    pairs = st.tuples(inner, inner)
    numbers = st.sampled_from([-12, -6, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8, 9, 12, 24])
    operations = st.sampled_from(["*", "+", "//", "//", "%", "%"])
    return st.one_of(pairs.map(_sum), pairs.map(_difference), st.builds(_with, operations, inner, numbers))


INDICES = st.recursive(
    st.one_of(st.sampled_from(AXES).map(_axis), st.integers(-9, 9).map(lambda n: (constant(n), lambda place: n))),
    _extended,
    max_leaves=12,
)


def _places() -> list[Place]:
    return [dict(zip(AXES, values)) for values in itertools.product(*(range(axis.size) for axis in AXES))]


def _value(index: Index, place: Place) -> int:
    result = substitute(index, {axis: constant(value) for axis, value in place.items()})
    assert result.is_constant
    return result.const


def _plain_value(index: Index, place: Place) -> int:
    """The value by the definition of the terms, without simplification."""
    total = index.const
    for atom, k in index.terms:
        if isinstance(atom, Axis):
            total += k * place[atom]
        else:
            inner = _plain_value(atom.inner, place)
            total += k * (inner // atom.by if atom.kind == "div" else inner % atom.by)
    return total


@given(INDICES)
def test_every_value_is_right(pair: Pair) -> None:
    index, meaning = pair
    for place in _places():
        expected = meaning(place)
        assert _plain_value(index, place) == expected
        assert _value(index, place) == expected
        assert index.lo <= expected <= index.hi


@given(INDICES, INDICES, st.sampled_from(AXES))
def test_substitution_is_composition(pair: Pair, part: Pair, axis: Axis) -> None:
    """An axis is replaced by an index within its range."""
    (outer, f), (inner, g) = pair, _with("%", part, axis.size)
    moved = substitute(outer, {axis: inner})
    for place in _places():
        assert _plain_value(moved, place) == f({**place, axis: g(place)})


@given(INDICES, st.sampled_from(AXES))
def test_stride_is_the_step(pair: Pair, axis: Axis) -> None:
    index, meaning = pair
    stride = index.stride(axis)
    for place in _places():
        if stride is not None and place[axis] + 1 < axis.size:
            assert meaning({**place, axis: place[axis] + 1}) - meaning(place) == stride


@given(INDICES, st.integers(-5, 5), st.integers(-5, 30))
def test_guards_know_when_they_are_decided(pair: Pair, lo: int, hi: int) -> None:
    index, meaning = pair
    guard = Guard(index, lo, hi)
    holds = {lo <= meaning(place) < hi for place in _places()}
    assert not guard.always or holds == {True}
    assert not guard.never or holds == {False}
    assert bool(needed([guard])) != guard.always


@given(INDICES, INDICES)
def test_equal_sums_are_one_object(one: Pair, other: Pair) -> None:
    x, y = one[0], other[0]
    assert x + y is y + x
    assert (x + y) * 3 is x * 3 + y * 3


A, B, C, D = (axis.index for axis in AXES[:4])
FLAT = A * 12 + B * 4 + C  # row-major over a 2, b 3, c 4

SIMPLE = {
    "quotient and remainder rejoin": ((FLAT * 5 // 7) * 14 + (FLAT * 5 % 7) * 2, FLAT * 10),
    "a digit": (FLAT // 4 % 3, B),
    "the last digit": (FLAT % 4, C),
    "the first digit": (FLAT // 12, A),
    "two digits": (FLAT % 12, B * 4 + C),
    "a common factor": ((C * 6 + B) // 12, C // 2),
    "nested quotients": (FLAT * 5 // 7 // 3, FLAT * 5 // 21),
    "a quotient of a remainder": (FLAT * 5 % 21 // 7, FLAT * 5 // 7 % 3),
    "a remainder of a remainder": (FLAT * 5 % 21 % 7, FLAT * 5 % 7),
    "multiples vanish": ((FLAT * 21 + D) % 7, D),
    "bounds decide": ((C + 4) // 4, constant(1)),
    "bounds decide what multiples leave": (C * 5 // 4 + C * 9 % 4, C * 2),
    "by one": (FLAT % 1 + FLAT // 1, FLAT),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_normal_form(name: str) -> None:
    found, expected = SIMPLE[name]
    assert found is expected


def test_text() -> None:
    assert repr(FLAT // 5 * 3 - C % 3 + 1) == "((a*12+b*4+c)//5)*3+(c%3)*-1+1"
    assert repr(constant(0)) == "0"
    assert repr(Guard(A - 1, 0, 5)) == "0<=a-1<5"


def test_questions_about_an_index() -> None:
    index = A * 3 + B // 2
    assert (index.coefficient(AXES[0]), index.coefficient(AXES[1])) == (3, 0)
    assert index.is_affine_in(AXES[0])
    assert not index.is_affine_in(AXES[1])
    assert [repr(atom) for atom in (index + (FLAT * 5 // 7) // 2 % 3).atoms()] == ["b//2", "((a*60+b*20+c*5)//14)%3",
                                                                              "(a*60+b*20+c*5)//14"]  # fmt: skip
    assert A.is_single_axis
    assert not (A + 1).is_single_axis
    assert FLAT.node_count() < (FLAT // 5).node_count()


def test_an_axis_has_a_size() -> None:
    with pytest.raises(ValueError, match="axis n must have a size of at least 1, got 0"):
        Axis("n", 0)


# ------------------------------------------------------------------------------------------- values of expressions


def _picked(size: int = 5) -> Index:
    return dynamic(load(Param("places", dtypes.int32, 6), D), size)


def test_a_guard_on_a_value_is_always_needed() -> None:
    """The bounds of a value are a promise that only the guard keeps."""
    guard = Guard(_picked(), 0, 5)
    assert not guard.always
    assert needed([guard]) == {guard}
    assert _picked().is_dynamic
    assert (_picked() // 2).is_dynamic
    assert not D.is_dynamic


def test_a_value_keeps_its_axes_and_is_replaced_through_a_function() -> None:
    index = _picked() * 4 + C
    assert index.axes == {AXES[2], AXES[3]}
    with pytest.raises(TypeError, match="needs a function"):
        substitute(index, {AXES[3]: B})
    seen: list[Any] = []

    def moved(e: Any) -> Any:
        seen.append(e)
        return load(e.param, B)

    replaced = substitute(index, {AXES[3]: B}, moved)
    assert replaced.axes == {AXES[1], AXES[2]}
    assert len(seen) == 1


def test_guards_have_one_order() -> None:
    fifth = FLAT // 5
    guards = [Guard(A + B, 0, 2), Guard(A, 0, 1), Guard(fifth, 1, 2), Guard(fifth, 0, 2), Guard(_picked(), 0, 5)]
    orders = {tuple(in_order(frozenset(order))) for order in itertools.permutations(guards)}
    assert len(orders) == 1
    assert guard_axes(frozenset(guards)) == set(AXES[:4])
    assert guard_axes(frozenset()) == frozenset()


@given(pair=INDICES, lo=st.integers(-30, 30), size=st.integers(0, 40), by=st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_guards_that_can_fail_hold_where_the_guard_does(pair: Pair, lo: int, size: int, by: int) -> None:
    index, value = pair
    guard = Guard(index, lo * by, (lo + size) * by)
    kept = needed([guard])
    for place in _places():
        held = all(g.lo <= _value(g.index, place) < g.hi for g in kept)
        assert held == (guard.lo <= value(place) < guard.hi)


def test_a_guard_drops_axes_that_do_not_decide_it() -> None:
    block, inside = Axis("block", 12), Axis("inside", 32)
    assert needed([Guard(block.index * 32 + inside.index - 256, 0, 128)]) == {Guard(block.index - 8, 0, 4)}
    uneven = Guard(block.index * 32 + inside.index, 0, 100)
    assert needed([uneven]) == {uneven}
