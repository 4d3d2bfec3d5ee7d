"""The demand walk: views vanish, repeated demands share axes, and the walk neither recurses nor explodes."""

import numpy as np
import pytest

from codegen.dtypes import dtypes
from codegen.index import Axis
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.fusion.axes import matches
from kernelforge.fusion.demand import Demands, TooManyDemands


def leaf(*shape: int) -> graph.Node:
    return graph.reshape(graph.buffer(Buffer.from_numpy(np.zeros(shape), dtypes.float32, "NUMPY")), shape)


def row_sum(x: graph.Node) -> graph.Node:
    (rows, columns) = x.shape
    return graph.expand(graph.reshape(graph.reduce("add", x, (1,)), (rows, 1)), (rows, columns))


def walked(*outputs: graph.Node, cap: int = 4000) -> Demands:
    demands = Demands(frozenset(), cap)
    for output in outputs:
        demands.add_store([output])
    return demands


def kinds(demands: Demands) -> list[str]:
    return [demand.kind for demand in demands.order()]


def test_views_are_no_demands() -> None:
    x = leaf(4, 6)
    assert kinds(walked(graph.flip(graph.permute(graph.shrink(x, ((1, 3), (0, 6))), (1, 0)), (0,)))) == ["load"]


def test_a_pad_keeps_its_condition() -> None:
    demands = walked(graph.pad(leaf(4), ((1, 1),)))
    assert kinds(demands) == ["load", "pad"]
    assert len(demands.roots[0].condition) == 1


def test_a_row_statistic_takes_the_axis_of_its_row() -> None:
    x = leaf(6, 6)
    demands = walked(graph.elementwise("sub", x, row_sum(x)))
    assert kinds(demands).count("load") == 1
    (axes,) = demands.stores
    (reduction,) = (demand for demand in demands.order() if demand.kind == "reduce")
    assert reduction.bound == (axes[1],)
    assert reduction.axes == {axes[0]}


def test_a_product_with_itself_keeps_its_axes_apart() -> None:
    x = leaf(6, 6)
    left = graph.expand(graph.reshape(x, (6, 1, 6)), (6, 6, 6))
    right = graph.expand(graph.reshape(x, (1, 6, 6)), (6, 6, 6))
    demands = walked(graph.reduce("add", graph.elementwise("mul", left, right), (2,)))
    (axes,) = demands.stores
    (reduction,) = (demand for demand in demands.order() if demand.kind == "reduce")
    assert set(reduction.bound).isdisjoint(axes)


def test_stores_of_other_shapes_find_the_axes_of_what_they_share() -> None:
    x = leaf(6, 9)
    demands = walked(graph.elementwise("exp", x), graph.reduce("add", x, (1,)), graph.reduce("max", x, (0,)))
    whole, rows, columns = demands.stores
    assert rows == (whole[0],)
    assert columns == (whole[1],)


def test_equal_shapes_without_common_values_share_axes() -> None:
    demands = walked(graph.elementwise("exp", leaf(3, 4)), graph.elementwise("exp", leaf(3, 4)))
    assert demands.stores[0] == demands.stores[1]


def test_a_gather_waits_for_its_index() -> None:
    index = graph.reshape(graph.buffer(Buffer.from_numpy(np.zeros(3), dtypes.int32, "NUMPY")), (3,))
    demands = walked(graph.gather(leaf(8), index, 0))
    assert kinds(demands) == ["load", "load", "gather"]
    position, source = demands.roots[0].needs
    assert position.stand_in is not None
    assert source.all_guards, "the place is guarded"


def test_a_deep_graph_needs_no_recursion() -> None:
    x = leaf(4)
    for _ in range(3000):
        x = graph.elementwise("exp", x)
    assert len(walked(x).order()) == 3001


def test_too_many_demands_are_refused() -> None:
    x = leaf(4)
    for _ in range(100):
        x = graph.elementwise("exp", x)
    with pytest.raises(TooManyDemands):
        walked(x, cap=50)


def test_matching_renames_fresh_axes_alone() -> None:
    i, j, r, s = Axis("i", 4), Axis("j", 4), Axis("r", 4), Axis("s", 3)
    fresh = frozenset((r, s))
    assert matches((i.index * 4 + r.index,), (i.index * 4 + j.index,), fresh) == {r: j}
    assert matches((j.index * 4 + i.index,), (i.index * 4 + j.index,), fresh) is None
    assert matches((i.index * 4 + s.index,), (i.index * 4 + j.index,), fresh) is None, "sizes differ"
    assert matches((r.index // 2,), (j.index // 2,), fresh) == {r: j}
    assert matches((r.index, r.index), (i.index, j.index), fresh) is None
