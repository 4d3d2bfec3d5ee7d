"""Sums of products of narrow values by groups: what is one, and equal results in every layout, size and schedule."""

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codegen.access import loads_of
from codegen.choose.candidates import Space
from codegen.choose.default import placed
from codegen.dots import dot_of
from codegen.dtypes import DType, dtypes, to_storage
from codegen.index import Axis
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.nest import build
from codegen.nodes import Nest, Pack, nodes
from codegen.opencl.printer import render_nest
from codegen.opencl.words import far_outside
from codegen.rewrites.rewrite import prepare
from codegen.schedule import Schedule, Step
from codegen.target import CPU
from tests.codegen.choose.test_window import convolution
from tests.codegen.opencl_harness import Arrays, run_all, target

BYTES = (dtypes.int8, dtypes.uint8)
PAIRS = [(dtypes.bfloat16, dtypes.bfloat16), *((a, b) for a in BYTES for b in BYTES)]
DOTS = dataclasses.replace(CPU, dots=("bfloat16", "int8"))
FORMS = ("NN", "NT", "TN", "TT")
SIZES = st.integers(1, 70) | st.sampled_from((1, 2, 3, 16, 17, 64, 127, 131))


def product(m: int, n: int, k: int, form: str, pair: tuple[DType, DType]) -> Kernel:
    """A matrix product of narrow values, either operand stored transposed."""
    i, j, r = Axis("i", m), Axis("j", n), Axis("r", k)
    total = dtypes.float32 if pair[0].is_float else dtypes.int32
    x, y, out = Param("x", pair[0], m * k), Param("y", pair[1], k * n), Param("out", total, m * n)
    left = load(x, r.index * m + i.index if form[0] == "T" else i.index * k + r.index)
    right = load(y, j.index * k + r.index if form[1] == "T" else r.index * n + j.index)
    factors = [apply("cast", e, dtype=total) for e in (left, right)]
    value = reduce("add", apply("mul", *factors), [r])
    return prepare(Kernel("product", (x, y, out), (Store(out, i.index * n + j.index, value, order=(i, j)),)))


def total(rows: int, length: int, kind: DType) -> Kernel:
    """Sums of rows of bytes in int32."""
    i, r = Axis("i", rows), Axis("r", length)
    x, out = Param("x", kind, rows * length), Param("out", dtypes.int32, rows)
    value = reduce("add", apply("cast", load(x, i.index * length + r.index), dtype=dtypes.int32), [r])
    return prepare(Kernel("total", (x, out), (Store(out, i.index, value),)))


def arguments(kernel: Kernel, seed: int) -> Arrays:
    """Numbers small enough for sums of floats to be exact, bytes of any size."""
    rng = np.random.default_rng(seed)

    def values(p: Param) -> np.ndarray:
        if p.dtype.is_float:
            return to_storage(rng.integers(-9, 10, p.size).astype(np.float32), p.dtype)
        return rng.integers(p.dtype.min, p.dtype.max, p.size, endpoint=True).astype(p.dtype.numpy)

    return {p.name: values(p) if p.name != "out" else np.zeros(p.size, p.dtype.numpy) for p in kernel.params}


def expected(kernel: Kernel, arrays: Arrays) -> np.ndarray:
    """What the interpreter makes of the arrays."""
    copies = {name: array.copy() for name, array in arrays.items()}
    interpret(kernel, copies)
    return copies["out"]


def named(nest: Nest, name: str) -> Nest:
    """The nest of the same kernel under another name."""
    return dataclasses.replace(nest, kernel=Kernel(name, nest.kernel.params, nest.kernel.stores))


@settings(max_examples=20)
@given(m=SIZES, n=SIZES, k=SIZES, form=st.sampled_from(FORMS), pair=st.sampled_from(PAIRS), seed=st.integers(0, 99))
def test_products_of_narrow_values_are_exact_under_any_schedule(m, n, k, form, pair, seed):
    kernel = product(m, n, k, form, pair)
    arrays = arguments(kernel, seed)
    space, rng = Space(kernel, target()), random.Random(seed)
    candidates = [space.first]
    for _ in range(3):
        near = [c for picks in space.around(candidates[-1].picks) if (c := space.candidate(picks)) is not None]
        candidates += [rng.choice(near)] if near else []
    programs = [render_nest(named(candidate.nest, f"product{i}")) for i, candidate in enumerate(candidates)]
    for found in run_all(programs, [arrays] * len(programs)):
        np.testing.assert_array_equal(found["out"], expected(kernel, arrays))


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_large_products_take_groups(form, pair):
    source = render_nest(placed(product(70, 100, 131, form, pair), DOTS)).source
    assert "kf_dot_" in source


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_long_sums_pack_a_block_of_k_at_a_time(form, pair):
    nest = placed(product(520, 520, 5000, form, pair), DOTS)
    packed = [node.box for node in nodes(nest.body) if isinstance(node, Pack)]
    assert packed
    assert {box.of for box in packed} == {stage.value for stage in nest.schedule.stages if stage.layout}
    assert all(max(box.tile.values()) < 5000 for box in packed)


def test_other_types_and_targets_take_single_products():
    kernel = product(64, 64, 64, "NN", PAIRS[0])
    (r,) = kernel.reduces
    assert dot_of(r, CPU) is None
    found = dot_of(r, DOTS)
    assert found is not None and (found.group, found.alike) == (2, False)
    (mixed,) = product(64, 64, 64, "NN", (dtypes.bfloat16, dtypes.float16)).reduces
    assert dot_of(mixed, DOTS) is None
    (signed,) = product(64, 64, 64, "NN", (dtypes.int8, dtypes.int8)).reduces
    found = dot_of(signed, DOTS)
    assert found is not None and (found.group, found.alike) == (4, True)


def test_a_schedule_for_groups_means_the_same_where_there_are_none():
    kernel = product(20, 40, 37, "NT", PAIRS[0])
    arrays = arguments(kernel, 1)
    program = render_nest(dataclasses.replace(placed(kernel, DOTS), target=CPU))
    assert "kf_dot_" not in program.source
    (found,) = run_all([program], [arrays])
    np.testing.assert_array_equal(found["out"], expected(kernel, arrays))


@settings(max_examples=10)
@given(rows=st.integers(2, 20), length=st.integers(2, 300), kind=st.sampled_from(BYTES), seed=st.integers(0, 99))
@example(rows=4, length=64, kind=dtypes.uint8, seed=1)
def test_bytes_are_summed_in_groups(rows, length, kind, seed):
    kernel = total(rows, length, kind)
    (r,), arrays = kernel.reduces, arguments(kernel, seed)
    found = dot_of(r, DOTS)
    assert found is not None and not found.alike
    assert dot_of(r, CPU) is None
    (i,), (k,) = (kernel.stores[0].index.axes, r.bound)
    schedule = Schedule((Step(i, 4), Step(i, 1), Step(k, 64)), 1, (k,))
    program = render_nest(build(kernel, schedule, target()))
    # A row of one step is summed where it is used, no total being kept from step to step.
    assert length <= 64 or "int8" not in target().dots or "kf_dot_int8" in program.source
    (got,) = run_all([program], [arrays])
    np.testing.assert_array_equal(got["out"], expected(kernel, arrays))


@settings(max_examples=30)
@given(
    form=st.sampled_from(("forward", "input", "weight")),
    images=st.integers(1, 5),
    channels=st.integers(1, 40),
    outputs=st.integers(17, 70),
    plane=st.integers(3, 20),
    taps=st.sampled_from((2, 3, 5)),
    stride=st.integers(1, 2),
    kinds=st.sampled_from(((dtypes.bfloat16,) * 2, (dtypes.int8, dtypes.uint8), (dtypes.uint8, dtypes.int8))),
)
@example("forward", 2, 33, 65, 9, 3, 1, (dtypes.bfloat16,) * 2)
@example("weight", 3, 20, 40, 9, 3, 1, (dtypes.bfloat16,) * 2)
@example("input", 2, 40, 37, 9, 3, 2, (dtypes.bfloat16,) * 2)
def test_sums_over_windows_are_taken_in_groups(form, images, channels, outputs, plane, taps, stride, kinds):
    kernel = convolution(form, images, channels, outputs, plane, taps, stride, kinds=kinds)
    arrays = arguments(kernel, seed=images + plane)
    nest = dataclasses.replace(placed(kernel, DOTS), target=target())  # which may have no such products
    (found,) = run_all([render_nest(nest)], [arrays])
    np.testing.assert_array_equal(found["out"], expected(kernel, arrays))


def test_channels_of_a_window_lie_side_by_side():
    kernel = convolution("forward", 2, 32, 64, 14, kinds=(dtypes.bfloat16,) * 2)
    nest = placed(kernel, DOTS)
    (image,) = [node.box for node in nodes(nest.body) if isinstance(node, Pack) and node.box.image is not None]
    axis, _ = image.layout[-1]
    assert (axis, 2) in image.layout
    assert "kf_dot_bfloat16" in render_nest(nest).source


@pytest.mark.parametrize("form", ("forward", "weight"))
@pytest.mark.parametrize(("channels", "outputs", "plane", "taps"), [(32, 64, 14, 3), (64, 128, 9, 5), (48, 33, 20, 3)])
def test_words_are_packed_in_the_order_their_values_have_in_memory(form, channels, outputs, plane, taps):
    """A line of memory has several taps: what goes through all outputs for each of them reads it that many times."""
    kernel = convolution(form, 2, channels, outputs, plane, taps, kinds=(dtypes.bfloat16,) * 2)
    nest = placed(kernel, DOTS)
    for pack in (node for node in nodes(nest.body) if isinstance(node, Pack) and node.box.narrow):
        (read,) = loads_of(pack.value)
        ranges = dict.fromkeys(pack.box.tile, (0, 1, 1))
        far = [abs(read.index.coefficient(axis)) for axis in far_outside(pack, ranges)]
        assert far == sorted(far, reverse=True)
    arrays = arguments(kernel, seed=channels)
    (found,) = run_all([render_nest(dataclasses.replace(nest, target=target()))], [arrays])
    np.testing.assert_array_equal(found["out"], expected(kernel, arrays))


def test_few_places_of_many_channels_take_groups_of_channels():
    """To put the words of a large weight together takes less time than the products groups save."""
    for channels, plane in ((256, 14), (512, 7)):
        kernel = convolution("forward", 1, channels, channels, plane, kinds=(dtypes.bfloat16,) * 2)
        assert "kf_dot_bfloat16" in render_nest(placed(kernel, DOTS)).source
