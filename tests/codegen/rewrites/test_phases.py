"""Strided windows put back are summed over the taps that meet a place, and over no others."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index, needed
from codegen.ir import Expr, Kernel, Param, Store, apply, const, coord, load, reduce, valid
from codegen.rewrites.phases import phased
from codegen.rewrites.rewrite import prepare
from codegen.verify import verify
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import kernels

F = dtypes.float32


@dataclass(frozen=True)
class Spread:
    """One dimension of a window put back: its place, its tap, where it is read and when."""

    place: Axis
    tap: Axis
    at: Index
    guards: frozenset[Guard]


def spread(
    places: int, taps: int, stride: int, shift: int, count: int, names: str = "hk", dilation: int = 1
) -> Spread:
    place, tap = Axis(names[0], places), Axis(names[1], taps)
    distance = place.index - tap.index * dilation + shift
    at = distance // stride
    return Spread(place, tap, at, needed([Guard(at, 0, count), Guard(distance % stride, 0, 1)]))


def kernel_of(value: Expr, *order: Axis) -> Kernel:
    index = sum((axis.index * 100**i for i, axis in enumerate(order)), order[0].index * 0)
    out = Param("out", value.dtype, 100 ** len(order))
    loads = {e.param for e in Kernel("k", (), (Store(out, index, value, order=order),)).loads}
    return Kernel("k", (out, *sorted(loads, key=lambda p: p.name)), (Store(out, index, value, order=order),))


def product(one: Spread) -> Expr:
    return apply("mul", load(Param("w", F, one.tap.size), one.tap.index), windows(one))


def windows(one: Spread) -> Expr:
    return load(Param("y", F, 50), one.at, one.guards)


def chosen(one: Spread) -> Expr:
    """The gradient of a maximum: what was picked at this very place."""
    picked = load(Param("first", dtypes.int32, 50), one.at, one.guards)
    same = apply("eq", picked, coord(one.place.index))
    inner = apply("where", same, windows(one), const(0, F))
    return apply("where", valid(one.guards), inner, const(0, F))


TERMS = [product, windows, chosen]
sizes = st.integers(1, 7)


@pytest.mark.parametrize("term", TERMS)
@given(st.integers(1, 20), sizes, st.integers(2, 5), st.integers(0, 5), sizes, st.integers(1, 7), st.integers(0, 99))
@example(1, 2, 3, 1, 1, 2, 0)  # one place, which no tap meets
def test_every_place_gets_the_same_sum(
    term: Callable[[Spread], Expr],
    places: int,
    taps: int,
    stride: int,
    shift: int,
    count: int,
    dilation: int,
    seed: int,
) -> None:
    one = spread(places, taps, stride, shift, count, dilation=dilation)
    kernel = kernel_of(reduce("add", term(one), [one.tap]), one.place)
    split = phased(kernel)
    verify(split)
    assert_same_results(kernel, split, seed)
    assert_same_results(kernel, prepare(kernel), seed)


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("term", TERMS)
@given(st.integers(1, 20), sizes, st.integers(2, 5), st.integers(0, 5), sizes, st.integers(1, 7), st.integers(0, 99))
@example(places=3, taps=2, stride=4, shift=2, count=1, dilation=1, seed=0)
@example(places=3, taps=2, stride=4, shift=2, count=2, dilation=1, seed=0)
def test_a_sum_over_the_places_stays_the_same(
    term: Callable[[Spread], Expr],
    reads: bool,
    places: int,
    taps: int,
    stride: int,
    shift: int,
    count: int,
    dilation: int,
    seed: int,
) -> None:
    """What a gradient with respect to the taps is; where nothing is read at the places, it keeps them in no range."""
    one = spread(places, taps, stride, shift, count, dilation=dilation)
    read = load(Param("x", F, places), one.place.index)
    kernel = kernel_of(reduce("add", apply("mul", term(one), read) if reads else term(one), [one.place]), one.tap)
    verify(phased(kernel))
    assert_same_results(kernel, phased(kernel), seed)
    assert_same_results(kernel, prepare(kernel), seed)


@given(kernels("window"), st.integers(0, 99))
def test_random_sums_over_windows_stay_the_same(kernel: Kernel, seed: int) -> None:
    verify(phased(kernel))
    assert_same_results(kernel, phased(kernel), seed)


@given(st.tuples(sizes, sizes), st.integers(2, 3), st.integers(2, 3), st.integers(0, 3), st.integers(0, 99))
def test_two_dimensions_are_split_one_after_the_other(
    taps: tuple[int, int], first: int, second: int, shift: int, seed: int
) -> None:
    rows, columns = spread(2 * first + 1, taps[0], first, shift, 4), spread(3 * second, taps[1], second, 0, 4, "wl")
    weight = load(Param("w", F, taps[0] * taps[1]), rows.tap.index * taps[1] + columns.tap.index)
    value = load(Param("y", F, 16), rows.at * 4 + columns.at, rows.guards | columns.guards)
    total = reduce("add", apply("mul", weight, value), [rows.tap, columns.tap])
    kernel = kernel_of(total, rows.place, columns.place)
    verify(phased(kernel))
    assert_same_results(kernel, phased(kernel), seed)


def test_only_the_taps_that_meet_are_walked() -> None:
    one = spread(56, 3, 2, 1, 28)
    split = phased(kernel_of(reduce("add", product(one), [one.tap]), one.place))
    (total,) = split.reduces
    assert [axis.size for axis in total.bound] == [2]
    assert not any(atom.kind == "mod" for e in split.loads for g in e.guards for atom in g.index.atoms())
    windowed = next(e for e in split.loads if e.param.name == "y")
    assert all("r" not in axis.name for axis in windowed.axes), "what is read through the window keeps its image"


def test_windows_that_do_not_overlap_need_no_sum() -> None:
    one = spread(8, 2, 2, 0, 4)
    assert not phased(kernel_of(reduce("add", chosen(one), [one.tap]), one.place)).reduces


def refused(value: Expr, *order: Axis) -> None:
    kernel = kernel_of(value, *order)
    assert phased(kernel) is kernel


def test_terms_that_are_not_zero_elsewhere_are_all_walked() -> None:
    one = spread(8, 3, 2, 1, 4)
    refused(reduce("add", apply("add", windows(one), const(1, F)), [one.tap]), one.place)
    refused(reduce("add", apply("exp", windows(one)), [one.tap]), one.place)


def test_a_maximum_walks_every_tap() -> None:
    one = spread(8, 3, 2, 1, 4)
    refused(reduce("max", windows(one), [one.tap]), one.place)


def test_a_tap_that_is_stored_stays() -> None:
    one = spread(8, 3, 2, 1, 4)
    refused(windows(one), one.place, one.tap)


def test_a_dilation_with_a_factor_of_the_stride_stays() -> None:
    one = spread(8, 3, 4, 1, 4, dilation=2)
    refused(reduce("add", windows(one), [one.tap]), one.place)


@pytest.mark.parametrize(("places", "shift"), [(8, 0), (7, 0), (9, 1), (5, 3)])
def test_places_are_split_where_a_dilation_leaves_no_tap(places: int, shift: int) -> None:
    one = spread(places, 3, 2, shift + 20, 40, dilation=2)
    split = phased(kernel_of(reduce("add", product(one), [one.tap]), one.place))
    verify(split)
    guards = {guard for e in split.loads for guard in e.guards}
    assert not any(atom.kind == "mod" for guard in guards for atom in guard.index.atoms())
    assert any(guard.index.is_single_axis and guard.hi == 1 for guard in guards)


@pytest.mark.parametrize(("places", "shift", "met"), [(8, 0, 4), (7, 0, 4), (7, 1, 3), (2, 1, 1)])
def test_a_sum_walks_the_places_that_meet_alone(places: int, shift: int, met: int) -> None:
    one = spread(places, 3, 2, shift + 20, 40, dilation=4)
    read = load(Param("x", F, places), one.place.index)
    split = phased(kernel_of(reduce("add", apply("mul", product(one), read), [one.place]), one.tap))
    assert [axis.size for total in split.reduces for axis in total.bound] == [met] * (met > 1)
    assert not any(atom.kind == "mod" for e in split.loads for g in e.guards for atom in g.index.atoms())


@pytest.mark.parametrize(("taps", "stride", "walked"), [(3, 2, 29), (4, 2, 30), (5, 3, 20), (7, 4, 16)])
def test_taps_stay_whole_where_more_is_summed_than_stored(taps: int, stride: int, walked: int) -> None:
    one = spread(56, taps, stride, 1, 60)
    read = load(Param("x", F, 56), one.place.index)
    kernel = kernel_of(reduce("add", apply("mul", windows(one), read), [one.place]), one.tap)
    split = phased(kernel)
    assert [[axis.size for axis in total.bound] for total in split.reduces] == [[walked]]
    (store,) = split.stores
    assert [axis.size for axis in store.axes] == [taps]
    assert_same_results(kernel, split, 0)


@pytest.mark.parametrize(("places", "dilation"), [(8, 1), (7, 1), (9, 3), (8, -1), (15, 5)])
def test_places_that_the_step_does_not_divide_are_split_too(places: int, dilation: int) -> None:
    one = spread(places, 3, 2, 20, 40, dilation=dilation)
    split = phased(kernel_of(reduce("add", product(one), [one.tap]), one.place))
    assert [[axis.size for axis in total.bound] for total in split.reduces] == [[2]]
    (store,) = split.stores
    assert sum(axis.size == 2 for axis in store.axes) == 1
    assert bool(store.guards) == (places % 2 != 0)


def test_what_is_read_at_a_place_is_read_inside() -> None:
    one = spread(7, 3, 2, 1, 4)
    scale = load(Param("s", F, 7), one.place.index)
    split = phased(kernel_of(apply("mul", reduce("add", product(one), [one.tap]), scale), one.place))
    verify(split)
    assert all(e.guards for e in split.loads if e.param.name == "s")
