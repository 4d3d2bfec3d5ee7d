"""The default schedules of reduces over windows without channels in common: their form, their blocks, right results."""

from math import prod

import numpy as np
import pytest

from codegen.choose.default import placed
from codegen.choose.neighbours import blocks_of, form_of, neighbours
from codegen.choose.picks import first
from codegen.dtypes import DType, dtypes
from codegen.index import Axis, Guard
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load, reduce, valid
from codegen.opencl.printer import render_nest
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen.opencl_harness import assert_as_interpreted

F32 = dtypes.float32


def kernel_of(
    form: str, images: int, channels: int, plane: int, taps: int = 3, stride: int = 1, dtype: DType = F32
) -> Kernel:
    """A padded depthwise convolution of square planes ("forward"), its gradient by weight or input, or a maximum."""
    if form == "input":
        return put_back(images, channels, plane, taps, stride, dtype)
    size = (plane + 2 * (taps // 2) - taps) // stride + 1
    b, c, h, w = (Axis(name, n) for name, n in zip("bchw", (images, channels, size, size)))
    r, s = Axis("r", taps), Axis("s", taps)
    at = [p.index * stride + t.index - taps // 2 for p, t in ((h, r), (w, s))]
    guards = [Guard(i, 0, plane) for i in at]
    line = b.index * channels + c.index
    x = load(Param("x", dtype, images * channels * plane**2), (line * plane + at[0]) * plane + at[1], guards)
    to, tap = (line * size + h.index) * size + w.index, (c.index * taps + r.index) * taps + s.index
    value: Expr
    if form == "maximum":
        value = reduce("max", apply("where", valid(guards), x, const(-9, dtype)), [r, s])
    elif form == "forward":
        weight = load(Param("f", dtype, channels * taps**2), tap)
        value = reduce("add", apply("mul", x, weight), [r, s])
    else:
        gradient = load(Param("g", dtype, images * channels * size**2), to)
        value, to = reduce("add", apply("mul", x, gradient), [b, h, w]), tap
    out = Param("out", dtype, to.hi + 1)
    params = {e.param for e in Kernel("k", (), (Store(out, to, value),)).loads}
    return prepare(Kernel(form, (*sorted(params, key=lambda p: p.name), out), (Store(out, to, value),)))


def put_back(images: int, channels: int, plane: int, taps: int, stride: int, dtype: DType) -> Kernel:
    """The gradient of a padded depthwise convolution of square planes by its input."""
    size = (plane + 2 * (taps // 2) - taps) // stride + 1
    b, c, h, w = (Axis(name, n) for name, n in zip("bchw", (images, channels, plane, plane)))
    r, s = Axis("r", taps), Axis("s", taps)
    at = [p.index - t.index + taps // 2 for p, t in ((h, r), (w, s))]
    guards = [Guard(i // stride, 0, size) for i in at] + [Guard(i % stride, 0, 1) for i in at]
    line = b.index * channels + c.index
    place = (line * size + at[0] // stride) * size + at[1] // stride
    params = [Param(name, dtype, n) for name, n in (("f", channels * taps**2), ("g", images * channels * size**2))]
    weight = load(params[0], (c.index * taps + r.index) * taps + s.index)
    value = reduce("add", apply("mul", load(params[1], place, guards), weight), [r, s])
    to = (line * plane + h.index) * plane + w.index
    out = Param("out", dtype, to.hi + 1)
    return prepare(Kernel("input", (*params, out), (Store(out, to, value),)))


@pytest.mark.parametrize("stride", [2, 3])
def test_remainders_of_places_share_a_packed_plane(stride: int) -> None:
    kernel = kernel_of("input", 2, 40, 14, taps=2 * stride - 1, stride=stride)
    found = form_of(kernel, CPU.lanes)
    assert found is not None
    assert [axis.size for axis in found.inside] == [stride, stride]
    schedule = placed(kernel, CPU).schedule
    assert schedule.vector == (found.n,)
    assert not {step.axis for step in schedule.loops[: schedule.grid]}.intersection(found.inside)


@pytest.mark.parametrize("form", ["forward", "weight", "maximum"])
def test_lanes_lie_along_the_channels(form: str) -> None:
    kernel = kernel_of(form, 2, 40, 14)
    found = form_of(kernel, CPU.lanes)
    assert found is not None
    (value,) = found.images
    assert next(e.param.name for e in (value, *value.args) if e in kernel.loads) == "x"
    nest = placed(kernel, CPU)
    assert [axis.size for axis in nest.schedule.vector] == [80 if form == "maximum" else 40]
    assert sum(stage.image is not None for stage in nest.schedule.stages) == 1


def apart(op: str, lines: int, places: tuple[int, ...], taps: tuple[int, ...], dtype: DType = F32) -> Kernel:
    """A reduction over windows side by side: x[line, place * tap, ...] -> out[line, place, ...]."""
    line, kept = Axis("i", lines), [Axis(name, n) for name, n in zip("jlm", places)]
    bound = [Axis(name, n) for name, n in zip("rst", taps)]
    at, to = line.index, line.index
    for place, tap in zip(kept, bound):
        at, to = (at * place.size + place.index) * tap.size + tap.index, to * place.size + place.index
    x = load(Param("x", dtype, lines * prod(places) * prod(taps)), at)
    out = Param("out", dtype, to.hi + 1)
    return prepare(Kernel(op, (x.param, out), (Store(out, to, reduce(op, x, [a for a in bound if a.size > 1])),)))


def test_windows_side_by_side_on_small_planes_have_lanes_along_the_channels() -> None:
    lines = apart("max", 64, (9, 9), (3, 3))  # those of a plane go on where the ones before end
    for kernel, size in ((lines, 64 * 9), (kernel_of("maximum", 4, 16, 8, taps=2, stride=2), 64)):
        nest = placed(kernel, CPU)
        assert [axis.size for axis in nest.schedule.vector] == [size]
        assert nest.schedule.stages and not any(stage.image for stage in nest.schedule.stages)
    for places, taps in (((9, 40), (3, 2)), ((9, 9), (3, 12)), ((4, 4), (1, 1))):
        assert form_of(apart("max", 64, places, taps), CPU.lanes) is None


def test_few_channels_have_other_schedules() -> None:
    assert form_of(apart("add", 1, (1,), (7,)), CPU.lanes) is None
    assert form_of(kernel_of("forward", 2, 5, 14), CPU.lanes) is None
    assert not list(neighbours(kernel_of("forward", 2, 5, 14), CPU, first))


@pytest.mark.parametrize("form", ["forward", "weight", "maximum"])
def test_packed_planes_fit_and_taps_stay_whole(form: str) -> None:
    found = form_of(kernel_of(form, 3, 32, 200, taps=5), CPU.lanes)
    assert found is not None
    blocks = blocks_of(found, 4096)
    assert all(blocks[a] == 5 for a in blocks if a.size == 5)
    (image,) = found.images.values()
    box = image.extents({a: blocks.get(a, 1) for value in found.images for a in value.axes})
    assert 512 <= np.prod(list(box.values())) <= 4096


@pytest.mark.parametrize("most", [64, 256, 1024])
def test_blocks_of_wide_windows_pack_little_again(most: int) -> None:
    """Cutting the summed places alone would pack the whole window for each of them."""
    found = form_of(kernel_of("weight", 1, 16, 24, taps=15), CPU.lanes)
    assert found is not None
    (image,) = found.images.values()
    blocks = blocks_of(found, most)
    window = prod(image.extents({a: blocks[a] for a in (*found.places, *found.bound)}).values())
    pieces = prod(-(-axis.size // extent) for axis, extent in blocks.items())
    assert window <= most
    assert window * pieces < prod(axis.size for axis in blocks)


def test_a_value_computed_from_a_packed_one_is_not_packed_itself() -> None:
    kernel = kernel_of("maximum", 2, 32, 14)
    (store,) = kernel.stores
    (largest,) = kernel.reduces
    value = largest.arg
    hit = apply("or", apply("eq", value, largest), apply("ne", value, value))
    count = reduce("add", apply("cast", hit, dtype=F32), largest.bound)
    twice = Kernel("k", kernel.params, (store, Store(Param("n", F32, store.param.size), store.index, count)))
    found = form_of(twice, CPU.lanes)
    assert found is not None
    assert list(found.images) == [value]


def test_results() -> None:
    sizes = [(1, 16, 9), (2, 17, 7), (2, 33, 14), (3, 20, 29), (1, 16, 1), (9, 4, 12)]
    found = [
        kernel_of(form, *size, taps=taps, stride=stride, dtype=dtype)
        for form in ("forward", "weight", "input", "maximum")
        for size in sizes
        for taps, stride, dtype in ((3, 1, F32), (3, 2, F32), (5, 3, dtypes.float64), (4, 1, dtypes.int32))
    ]
    found += [
        apart(op, lines, places, taps, dtype)
        for op, dtype in (("max", F32), ("add", dtypes.float64))
        for lines, places, taps in (
            (33, (7, 5), (2, 2)), (16, (9,), (3,)), (50, (3, 4, 7), (2, 3, 2)), (19, (1, 6), (7, 1)),
            (700, (2, 2), (5, 8)),
        )
    ]  # fmt: skip
    named = [Kernel(f"{kernel.name}_{i}", kernel.params, kernel.stores) for i, kernel in enumerate(found)]
    assert_as_interpreted(named, [render_nest(placed(kernel, CPU)) for kernel in named])


def test_places_counted_without_reading_any() -> None:
    """The slopes of a sum of what was padded with its edge: how often each element was taken."""
    line, place, tap = Axis("i", 25), Axis("j", 5), Axis("r", 7)
    taken = valid([Guard(tap.index - place.index, 0, 3)])
    value = reduce("add", apply("where", taken, const(1.0, F32), const(0.0, F32)), [tap])
    out = Param("out", F32, 125)
    kernel = prepare(Kernel("count", (out,), (Store(out, line.index * 5 + place.index, value),)))
    assert placed(kernel, CPU).schedule is not None
