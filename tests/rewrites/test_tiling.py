"""Sums of pieces side by side become stacks, and nothing else does."""

import numpy as np
import pytest

from kernelforge import Tensor, graph
from kernelforge.graph import Node, toposort
from kernelforge.rewrites.tiling import tiled

pytestmark = pytest.mark.usefixtures("numpy_device")


def pieces(places: list[tuple[int, int]], width: int) -> Node:
    """Random pieces [3, 2] at the given places of [3, width], padded and added up one after the other."""
    found = [graph.pad(Tensor.rand(3, 2).exp()._node, ((0, 0), pads)) for pads in places]
    total = found[0]
    for x in found[1:]:
        total = graph.elementwise("add", total, x)
    assert total.shape == (3, width)
    return total


def ops(node: Node) -> set[str]:
    return {x.op for x in toposort([node])}


@pytest.mark.parametrize("places", [[(0, 4), (2, 2), (4, 0)], [(4, 0), (0, 4), (2, 2)]])
def test_pieces_that_fill_a_dimension(places: list[tuple[int, int]]) -> None:
    before = pieces(places, 6)
    (after,) = tiled([before])
    assert "stack" in ops(after) and "pad" not in ops(after)
    np.testing.assert_array_equal(Tensor._wrap(after, None).numpy(), Tensor._wrap(before, None).numpy())


@pytest.mark.parametrize("places", [[(0, 4), (2, 2)], [(0, 4), (2, 2), (2, 2)], [(1, 3), (3, 1)]])
def test_pieces_that_do_not(places: list[tuple[int, int]]) -> None:
    before = pieces(places, 6)
    assert tiled([before]) == [before]
