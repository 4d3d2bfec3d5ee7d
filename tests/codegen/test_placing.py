"""Placement: what shares a pass over the rows of an array."""

from codegen.access import parallel_axes, walked_rows
from codegen.choose.default import choose
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.nest import build
from codegen.nodes import Loop, Out, nodes
from codegen.rewrites.rewrite import prepare
from codegen.schedule import Schedule, Step
from codegen.target import CPU


def test_a_store_rides_in_the_loop_of_a_sum_it_does_not_need() -> None:
    """y[i, j] = x[i, j] + x[i, j] and the sums of columns: x is walked once.  What needs the sums comes after them."""
    i, j, x = Axis("i", 48), Axis("j", 64), Param("x", dtypes.float32, 48 * 64)
    y, s, z = (Param(name, dtypes.float32, size) for name, size in (("y", x.size), ("s", 64), ("z", x.size)))
    value = load(x, i.index * 64 + j.index)
    total = reduce("add", value, (i,))
    doubled = Store(y, i.index * 64 + j.index, apply("add", value, value), order=(i, j))
    sums = Store(s, j.index, total, order=(j,))
    again = Axis("again", 48)
    share = apply("div", load(x, again.index * 64 + j.index), total)
    shares = Store(z, again.index * 64 + j.index, share, order=(again, j))
    loops = (Step(i, 1), Step(again, 1), Step(j, 16))
    for stores, count in (((doubled, sums), 1), ((shares, sums), 2), ((doubled, shares), 2)):
        kernel = Kernel("both", tuple(dict.fromkeys((*(store.param for store in stores), x))), stores)
        known = tuple(step for step in loops if step.axis in kernel.axes)
        nest = build(kernel, Schedule(known, 0, (j,)), CPU)
        assert sum(isinstance(node, Loop) and node.axis.size == 48 for node in nodes(nest.body)) == count
        assert sum(isinstance(node, Out) for node in nodes(nest.body)) == 2


def test_rows_whose_columns_are_summed_are_walked_one_after_the_other() -> None:
    """The greatest of each row, what is left of the row, and the columns of that summed over some rows."""
    p, r, j = Axis("p", 4), Axis("r", 24), Axis("j", 128)
    x = Param("x", dtypes.float32, 4 * 24 * 128)
    y, s = Param("y", dtypes.float32, x.size), Param("s", dtypes.float32, 4 * 128)
    at = p.index * (24 * 128) + r.index * 128 + j.index
    rest = apply("sub", load(x, at), reduce("max", load(x, at), (j,)))
    total = Store(s, p.index * 128 + j.index, reduce("add", rest, (r,)), order=(p, j))
    kernel = prepare(Kernel("beside", (y, s, x), (Store(y, at, rest, order=(p, r, j)), total)))
    (row,) = walked_rows(kernel, parallel_axes(kernel), next(a for a in kernel.axes if a.size == 128))
    assert row.size == 24 and [a.size for a in parallel_axes(kernel)] == [4]
    nest = build(kernel, choose(kernel, CPU), CPU)
    assert sum(isinstance(node, Loop) and node.axis is row for node in nodes(nest.body)) == 1
