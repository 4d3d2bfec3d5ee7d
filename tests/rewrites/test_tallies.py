"""Tallies: a scatter with its history, in one kernel or in two halves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.target import CPU, SM90
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.errors import ShapeError
from kernelforge.fusion.fuse import groups
from kernelforge.graph import Node
from kernelforge.realize import read, realize
from kernelforge.rewrites.tallies import without_tallies
from tests.evaluate import evaluate
from tests.fused import interpreted

MODES = ("add", "max", "min", "mul", "xor")


def leaf(values: np.ndarray) -> Node:
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtypes.int32, "NUMPY")), values.shape)


@st.composite
def tallies(draw: st.DrawFn) -> Node:
    """A tally of small integers along either dimension of a matrix."""
    rows, places, count = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    base, x = rng.integers(-3, 9, (rows, places)), rng.integers(-3, 4, (rows, count))
    index = rng.integers(0, places, (rows, count))
    dim = draw(st.integers(0, 1))
    return graph.tally(*(leaf(a if dim else a.T.copy()) for a in (base, index, x)), dim, draw(st.sampled_from(MODES)))


@given(tallies())
def test_one_kernel_gives_the_scatter_and_its_history(node: Node) -> None:
    plan = groups([node], CPU)
    assert [group.kind for group in plan] == ["base", "scatter"]
    np.testing.assert_array_equal(interpreted(plan, [node])[0], evaluate(node))


@given(tallies())
def test_two_halves_mean_the_same(node: Node) -> None:
    (halves,) = without_tallies([node], SM90)
    assert all(x.op != "tally" for x in graph.toposort([halves]))
    np.testing.assert_array_equal(evaluate(halves), evaluate(node))


@pytest.mark.parametrize("device", ["NUMPY", "CPU"])
@given(node=tallies())
def test_a_tally_of_what_was_computed_has_memory_of_its_own(device: str, node: Node) -> None:
    """A base that nothing else reads stays in its place for a scatter; a tally is longer."""
    base, index, x = (graph.reshape(graph.buffer(Buffer.from_numpy(evaluate(a), a.dtype, device)), a.shape)
                      for a in node.src)  # fmt: skip
    begun = graph.scatter(graph.flip(base, (0,)), index, x, node.attr[0], "add")
    counted = graph.elementwise("mul", again := graph.tally(begun, index, x, *node.attr), again)
    expected = evaluate(counted)
    realize([counted])
    np.testing.assert_array_equal(read(counted).reshape(counted.shape), expected)


def test_a_tally_counts_and_numbers() -> None:
    index = leaf(np.array([2, 0, 2, 2, 0]))
    node = graph.tally(graph.full((3,), 0, dtypes.int32), index, graph.full((5,), 1, dtypes.int32), 0)
    assert evaluate(node).tolist() == [2, 0, 3] + [0, 0, 1, 2, 1]
    assert without_tallies([node], CPU) == [node]


def test_a_tally_refuses_lines_of_different_number() -> None:
    index = leaf(np.zeros((2, 5), np.int32))
    with pytest.raises(ShapeError, match="dimension 1 alone"):
        graph.tally(graph.full((3, 4), 0, dtypes.int32), index, index, 1)


def test_placing_needs_no_base() -> None:
    index, x = leaf(np.array([2, 0, 1])), leaf(np.array([5, 6, 7]))
    node = graph.scatter(graph.full((3,), 0, dtypes.int32), index, x, 0, "place")
    plan = groups([node], CPU)
    assert [group.kind for group in plan] == ["scatter"]
    assert interpreted(plan, [node])[0].tolist() == [6, 7, 5]
