"""Views as changes of index: every point of random chains of views against NumPy, and the form of the indices."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from codegen.index import NO_GUARDS, Axis, Guard, Guards, Index, constant, guard_axes
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node, Shape
from kernelforge.views import matching_groups, source_index
from tests.evaluate import evaluate
from tests.random_graphs import Maker, Options

Point = dict[Axis, NDArray]
NAMES = "ijklmnop"


def leaf(*shape: int) -> Node:
    """Distinct values, none of them 0."""
    values = np.arange(1, int(np.prod(shape)) + 1)
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtypes.int32, "CPU")), shape)


def axes(shape: Shape) -> tuple[list[Axis | None], list[Index]]:
    found = [Axis(NAMES[d % len(NAMES)], n) if n > 1 else None for d, n in enumerate(shape)]
    return found, [axis.index if axis else constant(0) for axis in found]


def value(index: Index, at: Point) -> NDArray:
    """The index at the given values of its axes."""
    total = np.asarray(index.const)
    for atom, factor in index.terms:
        if isinstance(atom, Axis):
            part = at[atom]
        else:
            part = value(atom.inner, at)
            part = part // atom.by if atom.kind == "div" else part % atom.by
        total = total + factor * part
    return total


def holds(guards: Guards, at: Point) -> NDArray:
    result = np.asarray(True)
    for guard in guards:
        place = value(guard.index, at)
        result = result & (guard.lo <= place) & (place < guard.hi)
    return result


def read(view: Node, stop: Node) -> tuple[NDArray, list[Index], list[Guards]]:
    """The elements of view read from stop, with 0 where a condition fails, and the place they are read at."""
    names, index = axes(view.shape)
    points = np.indices(view.shape)
    at = {axis: points[d] for d, axis in enumerate(names) if axis}
    guards: list[Guards] = [NO_GUARDS] * len(index)
    used = np.ones(view.shape, bool)
    while view is not stop:
        index, guards, condition = source_index(view, index, guards)
        used = used & holds(condition, at)
        view = view.src[0]
    place = [np.broadcast_to(value(i, at), used.shape) for i in index]
    safe = np.broadcast_to(holds(frozenset().union(*guards), at), used.shape)
    for i, n in zip(place, stop.shape):
        assert np.all((i >= 0) & (i < n) | ~safe), "the guards let an index out of bounds"
    assert np.all(safe | ~used), "a guard fails where the value is used"
    elements = evaluate(stop)[tuple(np.where(safe, i, 0) for i in place)]
    return np.where(used, elements, 0), list(index), list(guards)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_random_chains_read_what_numpy_reads(seed: int, length: int) -> None:
    rng = random.Random(seed)
    maker = Maker(rng, Options(steps=0, sizes=(1, 2, 3, 4, 6)))
    stop = view = leaf(*(rng.choice((1, 2, 3, 4, 6)) for _ in range(rng.randint(0, 3))))
    for _ in range(length):
        made = maker._view(view)
        if made is not None and 0 < made.size <= 500 and len(made.shape) <= 6:
            view = made
    found, _, _ = read(view, stop)
    np.testing.assert_array_equal(found, evaluate(view))


@given(st.lists(st.integers(1, 5), max_size=4), st.randoms(use_true_random=False))
def test_random_reshapes_of_random_permutations(shape: list[int], rng: random.Random) -> None:
    maker = Maker(rng, Options(steps=0))
    view = stop = leaf(*shape)
    for _ in range(3):
        view = maker._reshape(maker._permute(view))
    np.testing.assert_array_equal(read(view, stop)[0], evaluate(view))


# ------------------------------------------------------------------------------------------- form of the indices


def test_a_reshape_of_a_contiguous_array_reads_it_flat() -> None:
    x = leaf(24)
    _, index, _ = read(graph.reshape(graph.reshape(x, (4, 6)), (8, 3)), x)
    assert repr(index) == "[i*3+j]"


def test_reshapes_are_done_on_the_bounds_of_their_own_dimensions() -> None:
    """A padded index leaves its dimension; on it, a remainder would survive."""
    flat = leaf(64)
    _, index, _ = read(graph.pad(graph.reshape(flat, (8, 8)), ((1, 1), (0, 0))), flat)
    assert repr(index) == "[i*8+j-8]"
    windows = graph.expand(graph.reshape(flat, (8, 8, 1)), (8, 8, 3))
    adjoint = graph.unwindow(graph.permute(windows, (0, 2, 1)), 0, 9)
    _, index, _ = read(adjoint, flat)
    assert {atom.name: factor for atom, factor in index[0].terms} == {"i": 8, "j": -8, "k": 1}


def test_guards_belong_to_dimensions() -> None:
    x = leaf(4, 6)
    padded = graph.pad(x, ((1, 1), (0, 0)))
    (i, j), index = axes(padded.shape)
    _, guards, condition = source_index(padded, index, [NO_GUARDS] * 2)
    assert guards == ({Guard(i.index - 1, 0, 4)}, NO_GUARDS) and condition == guards[0]
    turned = graph.permute(padded, (1, 0))
    _, turned_guards, _ = source_index(turned, [index[1], index[0]], [guards[1], guards[0]])
    assert turned_guards == guards
    merged = source_index(graph.reshape(leaf(6, 6), (36,)), [j.index], [guards[0]])
    assert merged.guards == (guards[0], guards[0]) and not merged.condition


@pytest.mark.parametrize("view", [graph.expand(leaf(4, 1), (4, 5)), graph.reshape(leaf(4), (4, 1))])
def test_dimensions_of_size_one_drop_their_guards(view: Node) -> None:
    axis = Axis("g", 9)
    guard = frozenset((Guard(axis.index, 0, 5),))
    _, index = axes(view.shape)
    found = source_index(view, index, [NO_GUARDS, guard])
    assert all(not guard_axes(g) for g in found.guards)


def test_a_padded_dimension_of_size_one_is_read_at_zero() -> None:
    x = leaf(1)
    _, index, guards = read(graph.pad(x, ((1, 3),)), x)
    assert index == [constant(0)] and len(guards[0]) == 1


def test_a_strided_unwindow_guards_the_remainder() -> None:
    x = leaf(3, 2)
    _, index, guards = read(graph.unwindow(x, 0, 6, 2, 1), x)
    found = {(atom.kind, atom.by, guard.lo, guard.hi) for guard in guards[0] for atom in guard.index.atoms()}
    assert found == {("div", 2, 0, 3), ("mod", 2, 0, 1)}
    assert repr(index[1]) == "j" and [atom.kind for atom in index[0].atoms()] == ["div"]


@pytest.mark.parametrize(
    ("shape", "other", "groups"),
    [
        ((2, 3), (6,), [([0, 1], [0])]),
        ((4, 6, 5), (2, 2, 30), [([0], [0, 1]), ([1, 2], [2])]),
        ((3, 1, 2), (3, 2), [([0], [0]), ([1, 2], [1])]),
        ((1,), (), [([0], [])]),
        ((), (1, 1), [([], [0]), ([], [1])]),
        ((4, 6), (8, 3), [([0, 1], [0, 1])]),
    ],
)
def test_matching_groups_are_the_smallest(shape: Shape, other: Shape, groups: list) -> None:
    assert matching_groups(shape, other) == groups
