"""Scatters with copies of their places: when there are copies, and that they change no value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import DType, dtypes
from codegen.target import CPU, SM90
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node, toposort
from kernelforge.rewrites.privatise import CHUNK, FEW, LINE, copies, privatise
from tests.evaluate import evaluate

MANY = 4 * CHUNK


def leaf(values: np.ndarray, dtype: DType) -> Node:
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtype, "NUMPY")), values.shape)


def counts(places: int, shape: tuple[int, ...] = (MANY,), mode: str = "add") -> Node:
    """Ones scattered along the first dimension."""
    base = graph.full((places, *shape[1:]), 0, dtypes.int32)
    return graph.scatter(base, graph.full(shape, 0, dtypes.int32), graph.full(shape, 1, dtypes.int32), 0, mode)


@pytest.mark.parametrize(
    "node, many",
    [
        (counts(10), True),
        (counts(MANY // 8), True),
        (counts(MANY), False),
        (counts(10, (CHUNK,)), False),
        (counts(10, (MANY, 16)), False),
        (counts(10, (MANY, 1)), True),
        (counts(10, mode="max"), True),
        (counts(10, mode="set"), False),
    ],
)
def test_few_places_of_many_points_are_copied(node: Node, many: bool) -> None:
    assert (copies(node, CPU) > 1) == many
    assert copies(node, SM90) == 1


@given(
    st.sampled_from(["add", "max", "min", "xor"]),
    st.sampled_from([MANY, MANY + 1, 3 * CHUNK - 5]),
    st.sampled_from([dtypes.int32, dtypes.uint8, dtypes.float32, dtypes.float16]),
    st.sampled_from([(7,), (7, 1), (1, 7)]),
)
def test_copies_change_no_value(mode: str, n: int, dtype: DType, places: tuple[int, ...]) -> None:
    if mode == "xor" and dtype.is_float:
        return
    rng = np.random.default_rng(n)
    dim = places.index(7)
    shape = tuple(n if d == dim else 1 for d in range(len(places)))
    index = leaf(rng.integers(0, 7, shape), dtypes.int32)
    x, base = (leaf((rng.random(s) < 0.01).astype(np.int32), dtype) for s in (shape, places))
    node = graph.scatter(base, index, x, dim, mode)
    (found,) = privatise([node], CPU)
    assert found is not node
    np.testing.assert_array_equal(evaluate(found), evaluate(node))


@pytest.mark.parametrize("dtype", [dtypes.int32, dtypes.float64, dtypes.uint8])
@pytest.mark.parametrize("places", [1, 2, 9, 64, 65])
def test_copies_share_no_line_of_the_cache(places: int, dtype: DType) -> None:
    base = graph.full((places,), 0, dtype)
    node = graph.scatter(base, graph.full((MANY,), 0, dtypes.int32), graph.full((MANY,), 1, dtype), 0, "add")
    (found,) = privatise([node], CPU)
    (copied,) = (x for x in toposort([found]) if x.op == "scatter")
    parts, apart, width = copied.shape
    nbytes = width * copied.dtype.itemsize
    assert parts > 1 and width == places and ((apart - 1) * nbytes >= LINE or nbytes > FEW * LINE)


def test_a_graph_without_scatters_stays_the_same() -> None:
    node = counts(10, (CHUNK,))
    assert privatise([node], CPU) == [node]
