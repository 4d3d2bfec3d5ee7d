"""Splitting of large reductions and scans: where it is done, and that it changes no value."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.target import CPU, SM90
from kernelforge import Tensor, graph
from kernelforge.buffer import Buffer
from kernelforge.calls import expanded
from kernelforge.fusion.fuse import groups
from kernelforge.graph import toposort
from kernelforge.rewrites.simplify import simplify
from kernelforge.rewrites.split import partition, scan_partition, split
from tests.evaluate import evaluate
from tests.fused import interpreted, planned, tensor


def leaf(shape: tuple[int, ...], dtype=dtypes.float32) -> graph.Node:
    values = np.random.default_rng(1).integers(0, 7, shape)
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtype, "NUMPY")), shape)


@pytest.mark.parametrize(
    "shape, axes, splits",
    [
        ((1 << 20,), (0,), True),
        ((1000,), (0,), False),
        ((4096, 1024), (1,), False),
        ((4, 300_000), (1,), False),
        ((1, 300_000), (1,), True),
        ((300_000, 2), (0,), True),
        ((0,), (0,), False),
    ],
)
def test_only_large_reductions_to_few_results_are_split(shape, axes, splits) -> None:
    node = graph.reduce("add", graph.full(shape, 1.0, dtypes.float32), axes)
    assert (partition(node, CPU) is not None) == splits


def test_more_processors_split_more() -> None:
    node = graph.reduce("add", graph.full((64, 1 << 16), 1.0, dtypes.float32), (1,))
    assert partition(node, CPU) is None
    assert partition(node, SM90) is not None


@given(st.integers(2, 3000), st.integers(2, 64))
def test_what_parts_leave_over_is_no_longer_than_one_of_them(size: int, cores: int) -> None:
    node = graph.reduce("add", graph.full((size, 1 << 20), 1.0, dtypes.float32), (0, 1))
    part = partition(node, dataclasses.replace(CPU, cores=cores))
    assert part is not None
    assert part.dim == 0 and size % part.parts <= size // part.parts and part.parts >= min(size, cores)


@given(
    st.sampled_from(["add", "max", "min"]),
    st.sampled_from([1 << 18, 999_983, (1 << 19) + 1]),
    st.sampled_from([dtypes.float32, dtypes.int32, dtypes.float16]),
)
def test_values_stay(op: str, size: int, dtype) -> None:
    if (op, dtype) == ("add", dtypes.float16):
        size = 1 << 18  # larger sums are infinite
    x = leaf((size,), dtype)
    node = graph.reduce(op, x if op != "add" or dtype is not dtypes.float16 else graph.cast(leaf((size,)), dtype), (0,))
    (new,) = split([node], CPU)
    assert new is not node
    plan = groups([new], CPU)
    assert len(plan) == 2
    np.testing.assert_allclose(interpreted(plan, [new])[0], evaluate(node), rtol=1e-6)


def test_a_dimension_among_others_is_split() -> None:
    node = graph.reduce("add", leaf((700, 2, 500)), (0, 2))
    (new,) = split([node], CPU)
    np.testing.assert_array_equal(interpreted(groups([new], CPU), [new])[0], evaluate(node))


@pytest.mark.parametrize(
    ("m", "n", "k", "parts"),
    [
        (768, 768, 16_384, 8), (768, 2304, 16_384, 2), (768, 3072, 16_384, 4), (1024, 1024, 4096, 0),
        (64, 64, 65_536, 64), (512, 4096, 11_008, 0), (128, 4096, 16_384, 8), (1536, 1536, 1536, 0),
        (4096, 4096, 4096, 0),
    ],
)
def test_deep_contractions_occupy_a_gpu(m: int, n: int, k: int, parts: int) -> None:
    """Such as the gradients of weights: many rows are summed over, and large tiles of the results are few."""
    product = Tensor.empty(k, m, dtype="bfloat16").transpose(0, 1) @ Tensor.empty(k, n, dtype="bfloat16")
    (node,) = [x for x in toposort(simplify(expanded([product._node]))) if x.op == "reduce"]
    found = partition(node, SM90)
    assert (0 if found is None else found.parts) == parts


def test_parts_lie_in_the_order_in_which_they_are_used() -> None:
    """Or the sum of them, and all that is fused with it, would read across memory."""
    a, b = (Tensor.empty(16, 1024, n, dtype="bfloat16") for n in (768, 512))
    product = (a.reshape(-1, 768).transpose(0, 1) @ b.reshape(-1, 512)).cast("float32")
    used = product.reshape(768, 1, 512).permute(2, 1, 0).reshape(512, 768) + tensor(512, 768)
    nodes = split(simplify(expanded([used._node])), SM90)
    (stored,) = [x for x in toposort(nodes) if x.op == "contiguous" and x.src[0].op in ("reduce", "permute")]
    assert stored.shape[1:] == (512, 768)


@pytest.mark.parametrize(("m", "n", "k"), [(64, 4096, 11_008), (128, 4096, 16_384), (4096, 128, 4096)])
def test_parts_of_a_product_lie_outside_of_its_results_on_a_gpu(m: int, n: int, k: int) -> None:
    """Or each program would write single numbers with gaps between them."""
    product = Tensor.empty(m, k, dtype="bfloat16") @ Tensor.empty(k, n, dtype="bfloat16")
    nodes = split(simplify(expanded([product._node])), SM90)
    (stored,) = [x for x in toposort(nodes) if x.op == "contiguous"]
    assert [size for size in stored.shape[1:] if size > 1] == [m, n] and stored.shape[0] > 1


def test_a_contraction_to_few_results_is_split() -> None:
    a, b = tensor(8, 20_000), tensor(20_000, 8)
    assert len(planned(a @ b)) == 2


def test_a_batch_of_contractions_occupies_processors_and_little_work_one() -> None:
    two = dataclasses.replace(CPU, cores=2)

    def parts(*shapes: tuple[int, ...]) -> int:
        product = Tensor.empty(*shapes[0]) @ Tensor.empty(*shapes[1])
        (node,) = [x for x in toposort(simplify(expanded([product._node]))) if x.op == "reduce"]
        found = partition(node, two)
        return 0 if found is None else found.parts

    assert parts((16, 30_000), (30_000, 80))
    assert not parts((2, 16, 30_000), (2, 30_000, 80))
    assert not parts((4, 2048), (2048, 64))


def test_a_graph_without_large_reductions_stays_as_it_is() -> None:
    node = graph.reduce("add", leaf((100, 100)), (1,))
    assert split([node], CPU) == [node]


MANY = dataclasses.replace(CPU, cores=8)


def test_long_lines_are_scanned_in_parts_where_processors_are_many() -> None:
    node = graph.scan("add", graph.full((1 << 20,), 1.0, dtypes.float32), 0)
    assert scan_partition(node, CPU) is None
    assert scan_partition(node, MANY) is not None and scan_partition(node, SM90) is not None
    rows = graph.scan("add", graph.full((64, 1 << 20), 1.0, dtypes.float32), 1)
    assert scan_partition(rows, MANY) is None and scan_partition(graph.scan("add", rows, 0), MANY) is None
    assert scan_partition(graph.scan("add", graph.full((999_983,), 1.0, dtypes.float32), 0), MANY) is None


@given(
    st.sampled_from(["add", "max", "min"]),
    st.sampled_from([(1 << 18,), (3 << 17,), (2, 1 << 18), (1 << 18, 2)]),
    st.booleans(),
    st.sampled_from([dtypes.float32, dtypes.int32, dtypes.bfloat16]),
)
def test_split_scans_have_the_same_values(op, shape, reverse, dtype) -> None:
    axis = max(range(len(shape)), key=shape.__getitem__)
    x = leaf(shape, dtype)
    x = graph.elementwise("mul", x, graph.full(shape, -2, dtype))
    node = graph.scan(op, x, axis, reverse)
    doubled = graph.elementwise("add", node, node)
    (result,) = split([doubled], MANY)
    assert result is not doubled
    parts = groups([result], MANY)
    assert [group.reasons[group.outputs[0]] for group in parts] == ["asked to be contiguous", "output"]
    expected = evaluate(doubled).astype(np.float64)
    np.testing.assert_allclose(evaluate(result), expected, rtol=1e-2 if dtype is dtypes.bfloat16 else 1e-5)
