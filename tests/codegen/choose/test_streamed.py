"""The default schedules of products with few rows and a large operand: when, and right results."""

from dataclasses import replace

from codegen.choose.default import choose, placed
from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.opencl.printer import render_nest
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen.opencl_harness import assert_as_interpreted
from tests.codegen.opencl_harness import target as here

DOTS = replace(CPU, dots=("bfloat16", "int8"))
SMALL = replace(CPU, l2=4096, l3=8 * 4096)  # so that small operands are large


def product(
    rows: int, columns: int, depth: int, batch: int = 1, name: str = "product", stored: DType = dtypes.float32
) -> Kernel:
    """out[b, m, n] = sum over k of a[b, m, k] * b[b, k, n]."""
    summed = dtypes.float32 if stored.is_float else dtypes.int32
    b, m, n, k = (Axis(name, size) for name, size in zip("bmnk", (batch, rows, columns, depth)))
    left, right = Param("a", stored, batch * rows * depth), Param("b", stored, batch * depth * columns)
    loads = (
        load(left, (b.index * rows + m.index) * depth + k.index),
        load(right, (b.index * depth + k.index) * columns + n.index),
    )
    values = loads if stored is summed else [apply("cast", e, dtype=summed) for e in loads]
    out = Param("out", summed, batch * rows * columns)
    total = reduce("add", apply("mul", *values), [k])
    place = (b.index * rows + m.index) * columns + n.index
    return prepare(Kernel(name, (left, right, out), (Store(out, place, total),)))


def test_the_large_operand_is_read_once_and_asked_for_ahead() -> None:
    schedule = choose(product(4, 4096, 512), CPU)
    assert not schedule.stages
    assert [(e.param.name, axis.name) for e, axis in schedule.ahead] == [("b", "k")]
    assert not choose(product(64, 4096, 512), CPU).ahead
    assert not choose(product(4, 64, 64), CPU).ahead


def test_narrow_operands_are_packed_in_pieces_of_equal_length() -> None:
    for stored, columns in ((dtypes.int8, 1024), (dtypes.bfloat16, 512)):
        schedule = choose(product(32, 4096, 4096, stored=stored), DOTS)
        assert schedule.stages
        assert [step.tile for step in schedule.loops[: schedule.grid]] == [columns]


def test_results() -> None:
    shapes = [(2, 33, 50), (3, 100, 129), (8, 64, 31), (5, 1030, 9), (7, 257, 64, 3)]
    kernels = [product(*shape, name=f"product_{i}") for i, shape in enumerate(shapes)]
    nests = [placed(kernel, SMALL) for kernel in kernels]
    assert all(nest.schedule.ahead for nest in nests)
    assert_as_interpreted(kernels, [render_nest(nest) for nest in nests])


def test_tiles_of_groups_ask_for_whole_lines() -> None:
    """Sums that a correction shares registers with are few; of others there are as many rows as registers hold."""
    for stored, rows, vectors in ((dtypes.bfloat16, 8, 2), (dtypes.int8, 4, 4)):
        nest = placed(product(32, 4096, 4096, stored=stored), DOTS)
        tiles = {step.axis.name: step.tile for step in nest.schedule.loops[nest.schedule.grid :]}
        assert (tiles["m"], tiles["n"]) == (rows, vectors * CPU.lanes)


def test_results_of_groups() -> None:
    shapes = [(7, 257, 64), (9, 100, 129), (13, 1030, 40), (27, 401, 96), (32, 512, 200), (17, 65, 77, 2)]
    target = replace(SMALL, dots=here().dots)
    kernels = [
        product(*shape, name=f"product_{stored}_{i}", stored=stored)
        for stored in (dtypes.bfloat16, dtypes.int8)
        for i, shape in enumerate(shapes)
    ]
    assert_as_interpreted(kernels, [render_nest(placed(kernel, target)) for kernel in kernels])
