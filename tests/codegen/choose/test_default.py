"""The default schedules: always there, legal, right at every size, and of the form each class of kernel needs."""

import dataclasses
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.access import between_lanes
from codegen.choose.default import choose, placed
from codegen.dtypes import DType, dtypes
from codegen.index import Axis, Guard, Index, dynamic, needed
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Load, Param, Store, apply, load, reduce
from codegen.nest import build
from codegen.nodes import Update, nodes
from codegen.opencl.printer import render_nest
from codegen.rewrites.contract import contraction
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen import written_kernels as written
from tests.codegen.opencl_harness import run_all, target
from tests.codegen.random_kernels import kernels, random_arrays

F32 = dtypes.float32


def product(m: int, n: int, k: int, form: str = "NN", batch: int = 0, stored: DType = F32) -> Kernel:
    """A matrix product in float32, either operand stored transposed, perhaps batched."""
    b, i, j, r = Axis("b", max(1, batch)), Axis("i", m), Axis("j", n), Axis("r", k)
    sizes = {"x": m * k, "y": k * n, "out": m * n}
    x, y, out = (Param(name, stored, max(1, batch) * size) for name, size in sizes.items())
    left = r.index * m + i.index if form[0] == "T" else i.index * k + r.index
    right = j.index * k + r.index if form[1] == "T" else r.index * n + j.index
    to = i.index * n + j.index
    if batch:
        left, right, to = left + b.index * (m * k), right + b.index * (k * n), to + b.index * (m * n)
    total = dtypes.float64 if stored is dtypes.float64 else F32
    factors = (e if stored is total else apply("cast", e, dtype=total) for e in (load(x, left), load(y, right)))
    value = apply("cast", reduce("add", apply("mul", *factors), [r]), dtype=stored)
    return prepare(Kernel("product", (x, y, out), (Store(out, to, value, order=(b, i, j)),)))


def convolution(images: int, channels: int, outputs: int, plane: int, taps: int, stride: int) -> Kernel:
    """A padded two-dimensional convolution."""
    size = (plane + 2 * (taps // 2) - taps) // stride + 1
    b, o, h, w = (Axis(name, n) for name, n in zip("bohw", (images, outputs, size, size)))
    c, r, s = (Axis(name, n) for name, n in zip("crs", (channels, taps, taps)))
    x, f = Param("x", F32, images * channels * plane**2), Param("f", F32, outputs * channels * taps**2)
    out = Param("out", F32, images * outputs * size**2)
    row, column = (p.index * stride + t.index - taps // 2 for p, t in ((h, r), (w, s)))
    place = (b.index * channels + c.index) * plane**2 + row * plane + column
    pixel = load(x, place, [Guard(row, 0, plane), Guard(column, 0, plane)])
    tap = load(f, ((o.index * channels + c.index) * taps + r.index) * taps + s.index)
    value = reduce("add", apply("mul", pixel, tap), [c, r, s])
    to = ((b.index * outputs + o.index) * size + h.index) * size + w.index
    return prepare(Kernel("convolution", (x, f, out), (Store(out, to, value, order=(b, o, h, w)),)))


def test_lanes_of_rows_shorter_than_half_a_vector_lie_across_them() -> None:
    """Unless what is kept does not fill a vector either."""
    for rows, length, lane in ((64, 6, 64), (64, 40, 40), (3, 6, 6)):
        i, r = Axis("i", rows), Axis("r", length)
        x, out = Param("x", F32, rows * length), Param("out", F32, rows)
        value = reduce("max", load(x, i.index * length + r.index), [r])
        kernel = prepare(Kernel("rows", (x, out), (Store(out, i.index, value),)))
        assert [axis.size for axis in choose(kernel, CPU).vector] == [lane]


@pytest.mark.parametrize(("pieces", "shared"), [(3, False), (90, True)])
@pytest.mark.parametrize("along", [False, True])
def test_short_pieces_of_a_result_are_reduced_once(pieces: int, shared: bool, along: bool) -> None:
    """Sums of columns or rows, stored several times: groups share these, and the pieces only where they are many."""
    p, j, r = Axis("p", pieces), Axis("j", 20 if along else 200), Axis("r", 40)
    index = j.index * 40 + r.index if along else r.index * j.size + j.index
    x, y, out = Param("x", F32, 40 * j.size), Param("y", F32, pieces), Param("out", F32, pieces * j.size)
    value = apply("mul", reduce("add", load(x, index), [r]), load(y, p.index))
    kernel = prepare(Kernel("pieces", (x, y, out), (Store(out, p.index * j.size + j.index, value, order=(p, j)),)))
    schedule = choose(kernel, dataclasses.replace(CPU, cores=64))
    assert any(step.axis.size == pieces for step in schedule.loops[: schedule.grid]) is shared


def _sum_of(length: int) -> written.Field:
    x = written.tensor("x", 64, length)
    return lambda i: written.over("add", length, lambda r: x(i, r))


def _range_of(length: int) -> written.Field:
    x = written.tensor("x", 64, length)
    ends = [lambda i, op=op: written.over(op, length, lambda r: x(i, r)) for op in ("max", "min")]
    return lambda i: apply("sub", *(end(i) for end in ends))


def test_lanes_of_short_rows_that_are_walked_twice_lie_across_them() -> None:
    """A sum of such a row is one vector; what else is done with a row would be done one by one, and functions of what
    it came to cost as much for one row as for a vector of them."""
    for length, lane, function_lane in ((13, 64, 64), (16, 16, 64), (40, 40, 64), (50, 50, 50)):
        log = prepare(written.kernel("log", (64,), written.log_sum_exp(written.tensor("x", 64, length), length)))
        assert [axis.size for axis in choose(log, CPU).vector] == [function_lane]
        walked = prepare(written.kernel("range", (64,), _range_of(length)))
        assert [axis.size for axis in choose(walked, CPU).vector] == [lane]
        once = prepare(written.kernel("rows", (64,), _sum_of(length)))
        assert [axis.size for axis in choose(once, CPU).vector] == [length]
        check(log, walked, once)


def check(*kernels_: Kernel) -> None:
    """The default schedule of each kernel, printed and run, gives what the interpreter gives."""
    named = [Kernel(f"{kernel.name}_{i}", kernel.params, kernel.stores) for i, kernel in enumerate(kernels_)]
    arrays = [random_arrays(kernel, seed) for seed, kernel in enumerate(named)]
    found = run_all([render_nest(placed(kernel, target())) for kernel in named], arrays)
    for kernel, given_, got in zip(named, arrays, found):
        wanted = {name: array.copy() for name, array in given_.items()}
        interpret(kernel, wanted)
        for name in kernel.written:
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-4, atol=1e-4, err_msg=kernel.name)


@given(kernels())
@settings(max_examples=150, deadline=None)
def test_every_kernel_has_a_legal_schedule(kernel):
    prepared = prepare(kernel)
    build(prepared, choose(prepared, CPU), CPU)


@pytest.mark.parametrize("form", ["NN", "TN", "NT", "TT"])
@pytest.mark.parametrize("size", [(3, 600, 700), (400, 500, 2), (40, 30, 3), (2, 64, 64)])
def test_products_of_two_or_three_rows_or_steps_have_register_tiles(form, size):
    kernel = prepare(product(*size, form))
    nest = build(kernel, choose(kernel, CPU), CPU)
    (r,) = nest.kernel.reduces
    free = [step for step in nest.schedule.loops if step.axis in r.axes and step.axis not in nest.schedule.vector]
    assert any(step.tile > 1 for step in free[1:])
    check(product(*size, form))


@pytest.mark.parametrize("form", ["NN", "TN", "NT", "TT"])
def test_products_of_many_sizes(form):
    sizes = [(1, 5, 7), (4, 4, 4), (8, 32, 16), (17, 33, 5), (64, 10, 70), (7, 130, 65), (70, 67, 600), (300, 40, 20)]
    check(*(product(*size, form) for size in sizes), product(5, 19, 23, form, batch=3))


@given(st.tuples(*[st.integers(1, 90)] * 3), st.sampled_from(["NN", "TN", "NT", "TT"]), st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_products_of_random_sizes(size, form, batch):
    check(product(*size, form, batch))


def test_convolutions():
    check(
        convolution(2, 3, 8, 9, 3, 1),
        convolution(1, 16, 20, 8, 3, 1),
        convolution(2, 1, 32, 8, 3, 1),
        convolution(1, 5, 7, 17, 5, 2),
        convolution(2, 20, 33, 6, 1, 1),
        convolution(1, 3, 16, 33, 7, 2),
    )


def test_a_large_product_is_read_where_it_lies():
    schedule = choose(product(1024, 1024, 1024), CPU)
    assert not schedule.stages
    assert len(schedule.vector) == 1 and schedule.grid == 2


def test_a_large_product_whose_operands_lie_across_packs_both():
    schedule = choose(product(1024, 1024, 1024, "TT"), CPU)
    assert [stage.layout is not None for stage in schedule.stages] == [True, True]


def test_an_operand_that_lies_near_is_read_in_place():
    kernel = product(256, 256, 256)
    packed = [stage.value for stage in choose(kernel, CPU).stages]
    right = next(e for e in kernel.loads if e.param.name == "y")
    assert right not in packed
    assert right not in [stage.value for stage in choose(product(127, 129, 131), CPU).stages]


@pytest.mark.parametrize("columns", [40, 64, 512, 600, 1000, 4096])
def test_columns_are_cut_evenly_among_cores(columns):
    x = written.tensor("x", 300, columns)
    kernel = prepare(written.kernel("sum", (columns,), lambda j: written.over("add", 300, lambda r: x(r, j))))
    (stripe,) = (step.tile for step in choose(kernel, CPU).loops[:1])
    groups = -(-columns // stripe)
    assert groups % CPU.cores == 0
    assert stripe % CPU.lanes == 0 and stripe <= 32 * CPU.lanes


def test_a_softmax_keeps_its_exponentials_and_asks_for_the_next_row():
    x = written.tensor("x", 64, 256)
    schedule = choose(prepare(written.kernel("softmax", (64, 256), written.softmax(x, 256))), CPU)
    assert any(stage.layout is None for stage in schedule.stages)
    assert [e.param.name for e, _ in schedule.ahead] == ["x"]


@pytest.mark.parametrize(("queries", "keys", "depth"), [(40, 40, 16), (65, 200, 24), (8, 130, 64), (3, 5, 7)])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_blocks(queries, keys, depth, masked):
    q, k, v = (written.tensor(name, rows, depth) for name, rows in (("q", queries), ("k", keys), ("v", keys)))
    mask = written.tensor("mask", queries, keys) if masked else None
    body = written.attention(q, k, v, keys, depth, mask)
    check(prepare(written.kernel("attention", (queries, depth), body)))


@pytest.mark.parametrize(("n", "depth"), [(40, 16), (70, 33)])
def test_attention_gradients_one_by_one(n, depth):
    q, k, v, do = (written.tensor(name, n, depth) for name in ("q", "k", "v", "do"))
    fields = written.attention_gradients(q, k, v, do, n, n, depth)
    check(*(prepare(written.kernel("gradient", (n, depth), field)) for field in fields))


def test_a_pack_for_one_contraction_is_not_read_across_its_lanes_by_another():
    q, k = written.tensor("q", 256, 32), written.tensor("k", 256, 32)
    kernel = prepare(written.kernel("attention", (256, 32), written.attention(q, k, k, 256, 32)))
    nest = placed(kernel, CPU)
    updates = {n.reduce: n for n in nodes(nest.body) if isinstance(n, Update) and contraction(n.reduce)}
    found = [updates[r].env.items() for r in kernel.reduces if r in updates]
    packed = [[box.kind for e, box in env if isinstance(e, Load)] for env in found]
    assert packed == [["pack"], []], "scores have lanes along the keys, results along the depth"
    check(kernel)


@pytest.mark.parametrize("reduced", [False, True])
def test_a_kernel_of_many_values_has_a_legal_schedule(reduced):
    """The bound on text is one on what tiles multiply, not on what the program itself says."""
    i, j = Axis("i", 5), Axis("j", 40)
    x, out = Param("x", F32, 200), Param("out", F32, 5 if reduced else 200)
    place = i.index * 40 + j.index
    value = load(x, place)
    for _ in range(2500):
        value = apply("sin", value)
    store = Store(out, i.index, reduce("add", value, [j])) if reduced else Store(out, place, value)
    assert placed(Kernel("chain", (x, out), (store,)), CPU)


def test_short_axes_between_the_lanes_are_stored_together() -> None:
    i, p, q = Axis("i", 40), Axis("p", 28), Axis("q", 2)
    value = load(Param("x", dtypes.float32, 40 * 28), i.index * 28 + p.index)
    store = Store(Param("o", dtypes.float32, 40 * 56), i.index * 56 + p.index * 2 + q.index, value, order=(i, p, q))
    kernel = Kernel("k", (store.param, Param("x", dtypes.float32, 40 * 28)), (store,))
    assert between_lanes(kernel, p, 16) == (q,)
    assert between_lanes(kernel, p, 32) == () == between_lanes(kernel, None, 16)
    assert between_lanes(kernel, i, 16) == ()
    schedule = choose(kernel, CPU)
    assert schedule.vector == (p,)
    assert q not in [step.axis for step in schedule.loops]


@pytest.mark.parametrize("size", [640, 768, 1000, 1536])
def test_cores_share_the_blocks_of_a_product_evenly(size):
    schedule = choose(product(size, size, size), CPU)
    groups = prod(-(-step.axis.size // step.tile) for step in schedule.loops[: schedule.grid])
    assert -(-groups // CPU.cores) * CPU.cores <= 1.05 * groups


@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("stored", [F32, dtypes.bfloat16, dtypes.float16])
@pytest.mark.parametrize("sizes", [(2048, 2048, 2048), (4096, 1100, 3000), (700, 5000, 900)])
def test_blocks_of_large_products_and_what_they_pack_fit_the_scratch(form, stored, sizes):
    kernel = product(*sizes, form, stored=stored)
    schedule = choose(kernel, dataclasses.replace(CPU, dots=("bfloat16",)))
    assert max(step.tile for step in schedule.loops[: schedule.grid]) > 256


@pytest.mark.parametrize("sizes", [(127, 129, 131), (100, 100, 100), (160, 97, 87), (1000, 40, 60), (64, 64, 40)])
def test_short_products_have_a_group_for_each_core_and_tiny_ones_one(sizes):
    schedule = choose(product(*sizes), CPU)
    groups = prod(-(-step.axis.size // step.tile) for step in schedule.loops[: schedule.grid])
    assert groups == (CPU.cores if prod(sizes) > 1 << 19 else 1)


@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT"])
def test_products_of_blocks_that_exceed_a_cache_stay_at_their_columns(form):
    """Tiles of rows are walked inside; sums lie in scratch between blocks of k."""
    machine = dataclasses.replace(target(), cores=1, l2=64 << 10)
    kernel = product(150, 210, 530, form)
    nest = placed(kernel, machine)
    axes = [step.axis for step in nest.schedule.loops[nest.schedule.grid :]]
    (c,) = (contraction(reduce_) for reduce_ in nest.kernel.reduces)
    assert axes[0] in c.k and axes[1] is nest.schedule.vector[0]
    arrays = random_arrays(kernel, 0)
    (found,) = run_all([render_nest(nest)], [arrays])
    interpret(kernel, arrays)
    np.testing.assert_allclose(found["out"], arrays["out"], rtol=1e-4, atol=1e-4)


def test_the_smaller_operand_is_turned():
    few, many = product(48, 1000, 1000, "NT"), product(1000, 1000, 1000, "NT")
    lanes = [choose(kernel, CPU).vector[0] in contraction(kernel.reduces[0]).m for kernel in (few, many)]
    assert lanes == [True, False]


@pytest.mark.parametrize("stored", [dtypes.float32, dtypes.bfloat16], ids=str)
@pytest.mark.parametrize("columns", [2, 5])
def test_a_matrix_that_few_columns_meet_is_read_as_it_lies(columns: int, stored: DType) -> None:
    kernel = prepare(product(1000, columns, 700, "TN", stored=stored))
    schedule = choose(kernel, CPU)
    assert all(stage.value.axes.isdisjoint(schedule.vector) for stage in schedule.stages)
    check(product(1000, columns, 700, "TN"))


@pytest.mark.parametrize(("places", "alone"), [(1 << 20, True), (1 << 14, True), (1000, False)])
def test_what_is_scattered_far_is_stored_one_by_one(places: int, alone: bool) -> None:
    i = Axis("i", 5000)
    x, at, out = Param("x", F32, 5000), Param("at", dtypes.int32, 5000), Param("out", F32, places)
    index = dynamic(load(at, i.index), places)
    kernel = Kernel("scattered", (out, x, at), (Store(out, index, load(x, i.index), mode="add", order=(i,)),))
    assert (choose(kernel, CPU).vector == ()) is alone


def test_rows_that_are_added_up_far_apart_are_asked_for_ahead() -> None:
    i, j = Axis("i", 500), Axis("j", 6000)
    x, at, out = Param("x", F32, 3_000_000), Param("at", dtypes.int32, 500), Param("out", F32, 60_000)
    index = dynamic(load(at, i.index), 10) * 6000 + j.index
    rows = load(x, i.index * 6000 + j.index)
    kernel = Kernel("rows", (out, x, at), (Store(out, index, rows, mode="add", order=(i, j)),))
    assert [request.load for request in choose(kernel, CPU).ahead] == [rows]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 3), (97, 1021), (3001, 166), (600, 2048)])
def test_rows_that_are_added_up_are_walked_in_few_pieces(rows: int, columns: int) -> None:
    """Each group walks all rows: no more groups share out a row than there are cores."""
    i, j = Axis("i", rows), Axis("j", columns)
    x, at, out = Param("x", F32, rows * columns), Param("at", dtypes.int32, rows), Param("out", F32, 5 * columns)
    row, value = dynamic(load(at, i.index), 5), load(x, i.index * columns + j.index)
    stored = Store(out, row * columns + j.index, value, needed([Guard(row, 0, 5)]), "add", (i, j))
    kernel = Kernel("rows", (out, x, at), (stored,))
    nest = placed(kernel, CPU)
    schedule = nest.schedule
    groups = prod(-(-step.axis.size // step.tile) for step in schedule.loops[: schedule.grid])
    assert groups <= CPU.cores
    arrays = random_arrays(kernel, 0)
    (found,) = run_all([render_nest(nest)], [arrays])
    interpret(kernel, arrays)
    np.testing.assert_allclose(found["out"], arrays["out"], rtol=1e-4, atol=1e-4)


def pairs(m: int, n: int, k: int, op: str, dtype: DType) -> Kernel:
    """A reduce of the distances of rows of one array to rows of another."""
    x, y = written.tensor("x", m, k, dtype=dtype), written.tensor("y", n, k, dtype=dtype)

    def distance(i: Index, j: Index) -> Expr:
        return written.over(op, k, lambda r: apply("abs", apply("sub", x(i, r), y(j, r))))

    return prepare(written.kernel("pairs", (m, n), distance, dtype=dtype))


@pytest.mark.parametrize("op", ["add", "max", "min", "mul"])
def test_pairs_have_tiles_like_products(op: str) -> None:
    """Also where no size is a multiple of the tile's: what is packed beyond the ends is combined with nothing."""
    sizes = [(130, 70, 33), (37, 129, 5), (9, 17, 600), (4, 4, 4)]
    kernels_ = [pairs(*size, op, dtype) for size in sizes for dtype in (F32, dtypes.float64, dtypes.int32)]
    check(*kernels_)
    (reduce_,) = kernels_[0].reduces
    tile = [step.tile for step in choose(kernels_[0], CPU).loops if step.axis in reduce_.axes]
    assert sum(size > 1 for size in tile) >= 4  # blocks of both axes, and the tile inside them


@pytest.mark.parametrize("dtype", [F32, dtypes.float64, dtypes.bfloat16], ids=str)
@pytest.mark.parametrize("form", ["NN", "NT", "TN", "TT"])
def test_large_products_have_register_tiles_whatever_they_are_of(form: str, dtype: DType) -> None:
    """What the preferred schedule holds in scratch fits, so that none falls back to rows."""
    cpu = dataclasses.replace(CPU, dots=("bfloat16",))
    for size in (500, 1024, 1536):
        schedule = choose(product(size, size, size, form, stored=dtype), cpu)
        last = {step.axis.name: step.tile for step in schedule.loops}
        assert min(last["m"], last["n"]) > 1


@pytest.mark.parametrize("cores", [2, 3, 8])
def test_what_costs_more_is_shared_by_the_cores_sooner(cores: int) -> None:
    def groups(calls: int, points: int) -> int:
        i = Axis("i", points)
        x, out = Param("x", F32, points), Param("out", F32, points)
        value = load(x, i.index)
        for _ in range(calls):
            value = apply("sin", value)
        kernel = prepare(Kernel("calls", (x, out), (Store(out, i.index, value),)))
        schedule = choose(kernel, dataclasses.replace(CPU, cores=cores))
        return prod(-(-step.axis.size // step.tile) for step in schedule.loops[: schedule.grid])

    assert groups(0, 1 << 14) == groups(1, 1 << 12) == groups(0, 1 << 15) == 1
    for few in (groups(12, 1 << 14), groups(3, 1 << 15)):
        assert few and few % cores == 0
    assert groups(0, 1 << 22) == groups(12, 1 << 22) >= 4 * cores


@pytest.mark.parametrize("stored", [False, True])
def test_places_that_each_lane_looks_up_are_shared_by_the_cores_sooner(stored: bool) -> None:
    """Whole rows that are looked up are moved like any others."""

    def groups(rows: int, columns: int, each: bool) -> int:
        i, j = Axis("i", rows), Axis("j", columns)
        near = i.index * columns + j.index
        x, out = Param("x", F32, rows * columns), Param("out", F32, rows * columns)
        at = Param("at", dtypes.int32, rows * columns)
        place = dynamic(load(at, near), columns) if each else j.index
        row = i.index if each or stored else dynamic(load(at, i.index), rows)
        far = row * columns + place
        read, written = (near, far) if stored else (far, near)
        store = Store(out, written, load(x, read), mode="add" if stored else "set", order=(i, j))
        kernel = prepare(Kernel(f"looked_up_{rows}", (out, x, at), (store,)))
        schedule = choose(kernel, CPU)
        return prod(-(-step.axis.size // step.tile) for step in schedule.loops[: schedule.grid])

    assert groups(1500, 20, each=True) > 1 == groups(1500, 20, each=False)
    assert groups(97, 20, each=True) == 1
