"""Operands that stay the same are stored as products read them, wherever they lie; values do not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.target import CPU, SM90
from kernelforge import Tensor, graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node, toposort
from kernelforge.rewrites.steady import steady
from kernelforge.tensor.walking import walk


def product(rows: int, weight: Node) -> Node:
    """x @ weight.T of some x [rows, k] and a weight [n, k]."""
    n, k = weight.shape
    x = graph.reshape(graph.buffer(Buffer(rows * k, dtypes.float32, "NUMPY")), (rows, 1, k))
    y = graph.reshape(weight, (1, n, k))
    factors = [graph.expand(value, (rows, n, k)) for value in (x, y)]
    return graph.reduce("add", graph.elementwise("mul", *factors), (2,))


def stored(node: Node) -> list[tuple[int, ...]]:
    return [x.shape for x in toposort([node]) if x.op == "contiguous"]


def laid_out(n: int, k: int, dtype=dtypes.float32, turned: bool = False) -> list[tuple[int, ...]]:
    """The shapes that a weight of a round's product is stored in."""
    buffer = Buffer(n * k, dtype, "NUMPY")
    weight = graph.buffer(buffer, (k, n) if turned else (n, k))
    weight = graph.permute(weight, (1, 0)) if turned else weight
    node = product(3, graph.cast(weight, dtypes.float32))
    (found,) = steady([node], [buffer], CPU)
    assert steady([found], [buffer], CPU) == [found], "what is laid out stays"
    assert steady([node], [], CPU) == [node] and steady([node], [buffer], SM90) == [node]
    return stored(found)


def test_a_weight_that_lies_across_is_turned() -> None:
    assert laid_out(48, 20) == [(20, 48)]
    assert laid_out(48, 20, turned=True) == [], "it lies well"
    assert laid_out(8, 20) == [], "there are fewer columns than lanes"
    assert laid_out(48, 20, dtypes.bfloat16) == [], "it is converted where it is packed"


def test_long_rows_are_stored_in_pieces() -> None:
    assert laid_out(1024, 20) == [(16, 20, 64)]
    assert laid_out(1025, 20) == [(20, 1025)], "no whole number of pieces"


def test_a_part_of_a_weight_is_left_alone() -> None:
    buffer = Buffer(96 * 20, dtypes.float32, "NUMPY")
    part = graph.shrink(graph.buffer(buffer, (96, 20)), ((0, 48), (0, 20)))
    node = product(3, part)
    assert steady([node], [buffer], CPU) == [node]


@pytest.mark.parametrize("device", ["NUMPY", "CPU"])
@settings(max_examples=12)
@given(st.sampled_from([1, 2, 9]), st.sampled_from([7, 16, 33]), st.sampled_from([1, 2]), st.booleans())
def test_values(device: str, rows: int, size: int, heads: int, long: bool) -> None:
    """Products by weights of one and several heads in a loop."""
    random = np.random.default_rng(rows)
    width = 1024 if long else size
    first, second = (random.normal(0, 0.1, shape).astype(np.float32) for shape in ((heads, width, size), (size, width)))
    shapes = ((heads, rows, size), (5, heads, rows, size))
    state, x = (random.normal(0, 1, shape).astype(np.float32) for shape in shapes)

    def step(h: Tensor, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        return x + (h @ first.transpose(1, 2)) @ second.T

    given = [Tensor(value, device=device) for value in (state, x, first, second)]
    found = walk(step, given[0], [given[1]], given[2:]).numpy()
    for i in range(5):
        state = x[i] + state @ first.transpose(0, 2, 1) @ second.T
        np.testing.assert_allclose(found[i], state, rtol=1e-3, atol=1e-3)
