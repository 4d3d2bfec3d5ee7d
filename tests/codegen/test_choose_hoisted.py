"""Costly values are kept outside of the loops they do not depend on."""

from codegen.choose import choose
from codegen.choose_hoisted import hoisted
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, load
from codegen.schedule import Schedule, Step
from codegen.target import CPU

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
