"""Costly values are kept outside of the loops they do not depend on."""

from dataclasses import replace

from codegen.choose.default import choose
from codegen.choose.hoisted import hoisted
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Apply, Kernel, Param, Store, apply, load
from codegen.nest import build
from codegen.nodes import Update, nodes
from codegen.rewrites.rewrite import prepare
from codegen.schedule import Schedule, Stage, Step
from codegen.target import CPU
from tests.codegen import written_kernels as written

ROW, COLUMN = Axis("i", 4), Axis("j", 64)


def rows(value) -> Kernel:
    """out[i, j] = x[j] + value, a value that does not depend on j."""
    x, out = Param("x", dtypes.float32, 64), Param("out", dtypes.float32, 256)
    store = Store(out, ROW.index * 64 + COLUMN.index, apply("add", load(x, COLUMN.index), value))
    return Kernel("rows", (out, x, Param("y", dtypes.float32, 4)), (store,))


def test_a_call_is_kept_outside_of_the_loop() -> None:
    value = apply("log", load(Param("y", dtypes.float32, 4), ROW.index))
    (stage,) = hoisted(rows(value), Schedule((Step(ROW, 1), Step(COLUMN, 16)), 0, (COLUMN,))).stages
    assert (stage.value, stage.depth, stage.layout) == (value, 1, None)


def test_values_used_many_times_are_walked_once() -> None:
    value = load(Param("y", dtypes.float32, 4), ROW.index)
    for _ in range(200):
        value = apply("mul", value, value)
    assert choose(rows(value), CPU).loops


def test_sums_under_a_kept_value_are_not_computed_again() -> None:
    """The variance's root is kept; what it shares with the stored value, the mean, is one pass all the same."""
    n = 256
    layer = written.layer_norm(written.tensor("x", 8, n), written.tensor("w", n), written.tensor("b", n), n)
    kernel = prepare(written.kernel("norm", (8, n), layer))
    (root,) = (e for e in kernel.exprs if isinstance(e, Apply) and e.op.name in ("sqrt", "rsqrt"))
    schedule = choose(kernel, CPU)
    depth = next(number for number, step in enumerate(schedule.loops) if step.axis not in root.axes)
    nest = build(kernel, replace(schedule, stages=(Stage(root, depth),)), CPU)
    passes = [node.reduce for node in nodes(nest.body) if isinstance(node, Update)]
    assert len(passes) == len(set(passes)) == len(kernel.reduces) > 1
