"""The default schedules of contractions over windows: which operand is held as its image, blocks, right results."""

import numpy as np
import pytest

from codegen.choose.default import choose, placed
from codegen.choose.forms import columns_of, rows_of, windows_of
from codegen.choose.picks import first
from codegen.choose.window import windowed
from codegen.dtypes import DType, dtypes
from codegen.index import Axis, Guard
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.nodes import Loop, nodes
from codegen.opencl.printer import render_nest
from codegen.rewrites.contract import contractions
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen.opencl_harness import difference, run_all
from tests.codegen.random_kernels import random_arrays

F32 = dtypes.float32


def convolution(
    form: str,
    images: int,
    channels: int,
    outputs: int,
    plane: int,
    taps: int = 3,
    stride: int = 1,
    adds: bool = False,
    kinds: tuple[DType, DType] = (F32, F32),
) -> Kernel:
    """A padded convolution of square planes ("forward"), or its gradient by the input or the weight.

    adds   a value per image to what the window is over, inside its bounds alone
    kinds  the types of what the window is over and of the other operand, floats or integers
    """
    wide = F32 if kinds[0].is_float else dtypes.int32
    size = (plane + 2 * (taps // 2) - taps) // stride + 1
    b, o, c = (Axis(name, n) for name, n in zip("boc", (images, outputs, channels)))
    r, s = Axis("r", taps), Axis("s", taps)
    lead, other = ("x", "f") if form == "forward" else ("g", "f") if form == "input" else ("x", "g")
    h, w = (Axis(name, plane if form == "input" else size) for name in "hw")
    sizes = {"x": images * channels * plane**2, "f": channels * outputs * taps**2, "g": images * outputs * size**2}
    weight = ((o.index * channels + c.index) * taps + r.index) * taps + s.index
    if form == "input":
        at = [p.index - t.index + taps // 2 for p, t in ((h, r), (w, s))]
        guards = [Guard(i // stride, 0, size) for i in at] + [Guard(i % stride, 0, 1) for i in at]
        place = (b.index * outputs + o.index) * size**2 + at[0] // stride * size + at[1] // stride
        to, summed = ((b.index * channels + c.index) * plane + h.index) * plane + w.index, [o, r, s]
    else:
        at = [p.index * stride + t.index - taps // 2 for p, t in ((h, r), (w, s))]
        guards = [Guard(i, 0, plane) for i in at]
        place = (b.index * channels + c.index) * plane**2 + at[0] * plane + at[1]
        to, summed = ((b.index * outputs + o.index) * size + h.index) * size + w.index, [c, r, s]
    second = weight if form != "weight" else ((b.index * outputs + o.index) * size + h.index) * size + w.index
    if form == "weight":
        to, summed = weight, [b, h, w]
    params = [Param(name, kind, sizes[name]) for name, kind in zip((lead, other), kinds)]
    first = apply("cast", load(params[0], place, guards), dtype=wide)
    if adds:
        params.append(Param("a", F32, images))
        first = apply("add", first, load(params[2], b.index, guards))
    value = reduce("add", apply("mul", first, apply("cast", load(params[1], second), dtype=wide)), summed)
    out = Param("out", wide, to.hi + 1)
    return prepare(Kernel(f"{form}", (*params, out), (Store(out, to, value),)))


def window(kernel: Kernel):
    (found,) = contractions(kernel)
    return next(columns_of(kernel, found, CPU.lanes), None)


@pytest.mark.parametrize("form", ["forward", "input", "weight"])
def test_the_windowed_operand_is_packed_once(form: str) -> None:
    kernel = convolution(form, 2, 24, 40, 14)
    images = [stage for stage in choose(kernel, CPU).stages if stage.image is not None]
    assert len(images) == 1
    assert images[0].value in [e for e in kernel.loads if e.param.name == ("g" if form == "input" else "x")]
    assert len(choose(kernel, CPU).stages) == 2, "the panels of the other operand are packed too"


def test_taps_of_a_weight_gradient_stay_in_the_group() -> None:
    schedule = choose(convolution("weight", 4, 32, 64, 8), CPU)
    taps = {axis for axis, tile in schedule.loops[: schedule.grid] if axis.size == 3 and tile < 3}
    assert not taps


@pytest.mark.parametrize(("plane", "rows"), [(56, 8), (28, 7), (14, 7), (13, 7), (7, 7), (9, 9)])
def test_rows_divide_a_plane_evenly(plane: int, rows: int) -> None:
    found = window(convolution("forward", 1, 16, 32, plane))
    assert found is not None
    assert list(rows_of(found.free).values()) == [rows]


def test_small_planes_share_a_tile() -> None:
    found = window(convolution("forward", 1, 16, 32, 4))
    assert found is not None
    assert sorted(rows_of(found.free).values()) == [2, 4]


def test_no_window_without_overlap_or_lanes() -> None:
    assert window(convolution("forward", 2, 16, 32, 8, taps=1)) is None
    assert window(convolution("forward", 2, 16, 4, 8)) is None


def test_short_lines_leave_the_lanes_to_the_other_operand() -> None:
    kernel = convolution("forward", 2, 24, 48, 14, taps=1, stride=2)
    schedule = choose(kernel, CPU)
    assert [axis.size for axis in schedule.vector] == [48]
    assert all(stage.image is None for stage in schedule.stages)


def test_taps_that_meet_no_place_are_left_out() -> None:
    kernel = convolution("input", 2, 24, 40, 14, stride=2)
    found = window(kernel)
    assert found is not None
    assert sorted(found.partly.values()) == [0.75, 0.75], "1 or 2 of 2 taps"
    nest = placed(kernel, CPU)
    narrowed = {loop.axis for loop in nodes(nest.body) if isinstance(loop, Loop) and loop.within}
    assert narrowed >= found.partly.keys()
    innermost = nest.schedule.loops[-1].axis
    assert innermost.size == 40, "a long loop is left inside"


def test_rows_beyond_the_edge_of_small_planes_are_left_out() -> None:
    found = window(convolution("forward", 2, 24, 40, 7))
    assert found is not None
    assert list(found.partly.values()) == [pytest.approx(19 / 21)]
    large = window(convolution("forward", 2, 24, 40, 112))
    assert large is not None
    assert not large.partly


def test_the_operand_with_the_window_is_the_windowed_one() -> None:
    for images in (1, 2):
        found = window(convolution("input", images, 64, 128, 56, stride=2))
        assert found is not None
        assert found.image.at


def test_sums_over_several_axes_pack_long_lines_for_the_lanes() -> None:
    found = window(convolution("weight", 4, 24, 40, 28, taps=1, stride=2))
    assert found is not None
    assert [e.param.name for e in found.other.args or (found.other,)] == ["g"], "the other is read with steps of 2"
    schedule = choose(convolution("weight", 4, 24, 40, 28, taps=1, stride=2), CPU)
    assert next(step.axis.size for step in schedule.loops[schedule.grid :]) == 4, "images are cut before lines"


def test_panels_that_lie_in_one_run_stay_one() -> None:
    kernel = convolution("forward", 1, 512, 512, 7)
    source = render_nest(placed(kernel, CPU)).source
    assert "kf_transpose(" in source.split("__kernel")[1]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("outputs", [2, 3, 8])
def test_few_outputs_leave_the_lanes_to_lines(outputs: int, stride: int) -> None:
    kernel = convolution("forward", 2, 24, outputs, 40 * stride, stride=stride)
    schedule = choose(kernel, CPU)
    (lane,) = schedule.vector
    assert kernel.stores[0].index.stride(lane) == 1
    (image,) = [stage.image for stage in schedule.stages if stage.image is not None]
    (line,) = [new for new, index in image.at.items() if lane in index.axes]
    packed = next(stage.layout for stage in schedule.stages if stage.image is not None)
    assert packed is not None
    assert packed[-1] == (line, 1)
    source = render_nest(placed(kernel, CPU)).source.split("__kernel")[1]
    assert (").even, (" in source) == (stride == 2)


@pytest.mark.parametrize("form", ["forward", "input"])
@pytest.mark.parametrize("outputs", [4, 8, 40])
def test_what_is_masked_with_a_window_and_stays_is_no_part_of_it(form: str, outputs: int) -> None:
    channels = 24 if form == "forward" else outputs
    sizes = (2, channels, outputs if form == "forward" else 24, 40)
    without, beside = (choose(convolution(form, *sizes, adds=adds), CPU) for adds in (False, True))
    assert [(step.axis.name, step.tile) for step in beside.loops] == [(s.axis.name, s.tile) for s in without.loops]
    assert [axis.name for axis in beside.vector] == [axis.name for axis in without.vector]


def test_many_outputs_hold_the_lanes_themselves() -> None:
    kernel = convolution("forward", 2, 24, 64, 40)
    assert [axis.size for axis in choose(kernel, CPU).vector] == [64]


@pytest.mark.parametrize("outputs", [4, 8, 10, 34])
def test_lanes_that_outputs_leave_empty_go_to_the_channels_of_a_weight_gradient(outputs: int) -> None:
    """The image is turned where it is packed, once for all taps."""
    schedule = choose(convolution("weight", 4, 192, outputs, 20, taps=4), CPU)
    assert [axis.size for axis in schedule.vector] == [192]
    (packed,) = [stage.layout for stage in schedule.stages if stage.image is not None]
    assert packed is not None
    assert packed[-1] == (schedule.vector[0], 1)
    taps = {axis for axis, tile in schedule.loops[: schedule.grid] if axis.size == 4 and tile == 1}
    assert not taps


def test_patches_that_do_not_overlap_are_read_as_they_lie() -> None:
    """Of two operands with runs as long, that one holds the lanes whose results are written in runs."""
    o, h, w, c, r, s = (Axis(name, size) for name, size in zip("ohwcrs", (96, 56, 56, 3, 4, 4)))
    x, f, out = Param("x", F32, 3 * 224**2), Param("f", F32, 96 * 48), Param("out", F32, 96 * 56**2)
    place = (c.index * 224 + h.index * 4 + r.index) * 224 + w.index * 4 + s.index
    weight = ((o.index * 3 + c.index) * 4 + r.index) * 4 + s.index
    value = reduce("add", apply("mul", load(x, place), load(f, weight)), [c, r, s])
    kernel = prepare(Kernel("patches", (x, f, out), (Store(out, (o.index * 56 + h.index) * 56 + w.index, value),)))
    schedule = choose(kernel, CPU)
    assert [axis.size for axis in schedule.vector] == [96]
    (row,) = [step.axis for step in schedule.loops[schedule.grid :] if step.tile == 8]
    assert kernel.stores[0].index.stride(row) == 1


def test_results_pages_apart_are_written_in_runs_of_taps_and_channels() -> None:
    """A weight gradient of 512 channels of two taps: lanes lie 4096 bytes apart, which few lines of a cache share."""
    o, c, r, w = (Axis(name, size) for name, size in zip("ocrw", (512, 512, 2, 199)))
    g, x, out = Param("g", F32, 512 * 199), Param("x", F32, 512 * 399), Param("out", F32, 512 * 1024)
    value = apply("mul", load(g, o.index * 199 + w.index), load(x, c.index * 399 + w.index * 2 + r.index))
    to = (o.index * 512 + c.index) * 2 + r.index
    kernel = prepare(Kernel("weight", (g, x, out), (Store(out, to, reduce("add", value, [w])),)))
    (found,) = contractions(kernel)
    far = [seen for seen in windows_of(kernel, found, CPU.lanes) if kernel.stores[0].index.stride(seen.lane) == 1024]
    costs = {tuple(kernel.stores[0].index.stride(a) for a in seen.rows): seen.stored for seen in far}
    assert costs[(1, 2)] * 4 < costs[(2,)]
    assert kernel.stores[0].index.stride(choose(kernel, CPU).vector[0]) == 2, "or lanes are those of short steps"


def put_back(images: int, channels: int, outputs: int, line: int, taps: int, stride: int, cut: int = 0) -> Kernel:
    """A transposed convolution of lines, some places cut off at its ends."""
    h = Axis("h", (line - 1) * stride + taps - 2 * cut)
    b, c, o, k = (Axis(name, size) for name, size in zip("bcok", (images, channels, outputs, taps)))
    at = h.index - k.index + cut
    guards = [Guard(at // stride, 0, line), Guard(at % stride, 0, 1)]
    x, f, out = (Param("x", F32, images * channels * line), Param("f", F32, channels * outputs * taps), "out")
    left = load(x, (b.index * channels + c.index) * line + at // stride, guards)
    right = load(f, (c.index * outputs + o.index) * taps + k.index)
    to = (b.index * outputs + o.index) * h.size + h.index
    store = Store(Param(out, F32, images * outputs * h.size), to, reduce("add", apply("mul", left, right), [c, k]))
    return prepare(Kernel("put_back", (x, f, store.param), (store,)))


def test_places_between_those_put_back_share_what_is_packed() -> None:
    kernel = put_back(4, 48, 16, 500, 5, 3, cut=4)
    schedule = choose(kernel, CPU)
    (stage,) = [stage for stage in schedule.stages if stage.image is not None]
    assert stage.value.param.name == "x"
    inside = [axis for axis in kernel.axes if axis.size == 3]
    (between,) = [axis for axis in inside if kernel.stores[0].index.stride(axis) == 1]
    assert between not in stage.value.axes
    assert dict(schedule.loops[: schedule.grid])[between] == 3, "a group has them all"


def test_less_is_summed_at_a_time_where_many_taps_share_what_is_packed() -> None:
    """7 x 7 taps of 64 channels: the image of all of them is packed once for each of the images summed."""
    kernel = convolution("weight", 32, 64, 8, 16, taps=7, stride=2)
    schedule = choose(kernel, CPU)
    (stage,) = [stage for stage in schedule.stages if stage.image is not None]
    taps = [axis for axis in stage.value.axes if axis.size == 7]
    around = [step for step in schedule.loops[schedule.grid : stage.depth] if step.axis in taps]
    assert len(taps) == 2
    assert not [step for step in around if step.tile == 1], "what neighbouring taps share would be packed again"


def test_taps_put_side_by_side_are_written_in_one_run() -> None:
    kernel = put_back(4, 64, 256, 40, 2, 2)
    schedule = choose(kernel, CPU)
    assert [axis.size for axis in schedule.vector] == [256]
    tiles = dict(schedule.loops[schedule.grid :])
    steps = {kernel.stores[0].index.stride(a): tile for a, tile in tiles.items() if a not in schedule.vector}
    assert steps[1] == 2, "the taps"
    assert steps[2] >= 4, "the places"


def test_lines_that_others_fill_as_well_are_those_that_lie_together() -> None:
    """A sum over two axes without a window: of equal sides the one with unit stride."""
    m, n1, n2, k1, k2 = (Axis(name, size) for name, size in zip(("m", "n", "o", "k", "l"), (4, 20, 20, 3, 5)))
    x, y, out = Param("x", F32, 60), Param("y", F32, 6000), Param("out", F32, 1600)
    right = load(y, ((k1.index * 5 + k2.index) * 20 + n1.index) * 20 + n2.index)
    value = apply("mul", load(x, (m.index * 3 + k1.index) * 5 + k2.index), right)
    to = (m.index * 20 + n1.index) * 20 + n2.index * 1
    kernel = Kernel("product", (x, y, out), (Store(out, to, reduce("add", value, [k1, k2])),))
    found = window(kernel)
    assert found is not None
    assert found.n is n2


def test_groups_for_every_core() -> None:
    for kernel in (convolution("forward", 1, 64, 64, 56), convolution("weight", 8, 32, 64, 8)):
        (found,) = contractions(kernel)
        (schedule,) = windowed(kernel, found, CPU, first)
        groups = np.prod([-(-axis.size // tile) for axis, tile in schedule.loops[: schedule.grid]])
        assert groups >= CPU.cores


def test_results() -> None:
    sizes = [(1, 1, 9, 1), (2, 6, 32, 7), (2, 3, 17, 7), (3, 5, 33, 6), (1, 16, 20, 13), (2, 1, 32, 4), (2, 7, 3, 37)]
    sizes += [(2, 35, 5, 6), (16, 4, 9, 4)]
    found = [
        convolution(form, *shape, taps=taps, stride=stride)
        for shape in sizes
        for form in ("forward", "input", "weight")
        for taps, stride in ((1, 1), (3, 1), (3, 2), (5, 1))
    ]
    ways = ((5, 3, 4), (2, 2, 0), (4, 2, 1), (3, 2, 0))
    found += [put_back(2, 5, outputs, 37, *way) for outputs in (3, 20) for way in ways]
    named = [Kernel(f"{kernel.name}_{i}", kernel.params, kernel.stores) for i, kernel in enumerate(found)]
    arrays = [random_arrays(kernel, seed) for seed, kernel in enumerate(named)]
    programs = [render_nest(placed(kernel, CPU)) for kernel in named]
    for kernel, given, got in zip(named, arrays, run_all(programs, arrays)):
        wanted = {name: array.copy() for name, array in given.items()}
        interpret(kernel, wanted)
        assert difference(got["out"], wanted["out"], F32) is None, kernel.name
