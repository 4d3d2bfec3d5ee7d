"""Lowering: types, guards, flags, scatters, and the axes the demand walk chooses."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import ALL, dtypes
from codegen.interpret import interpret
from codegen.ir import Apply, Load
from codegen.verify import verify
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.calls import expanded
from kernelforge.fusion.fuse import groups
from kernelforge.fusion.group import Group
from kernelforge.fusion.lower import lower
from kernelforge.tensor import Tensor
from tests.evaluate import evaluate, evaluate_all
from tests.fused import CPU, interpreted, planned, tensor
from tests.random_graphs import Options, random_graph, tolerance

Y = tensor(6, 6, seed=2)


def leaf(values, dtype=dtypes.float32) -> graph.Node:
    values = np.asarray(values)
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtype, "NUMPY")), values.shape)


def kernel_of(result: Tensor):
    (group,) = planned(result)
    return lower(group).kernel


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2))
def test_pieces_are_stored_side_by_side(rows: int, columns: int, first: int, gap: int) -> None:
    x, last = leaf(np.arange(12.0).reshape(3, 4)), first + 1 + gap
    pieces = [graph.elementwise("mul", x, graph.full((3, 4), float(i), dtypes.float32)) for i in range(rows * columns)]
    node = graph.stack(pieces, ((first, rows), (min(last, 3), columns)))
    node.realized = None
    np.testing.assert_array_equal(interpreted(groups([node], CPU), [node])[0], evaluate(node))


def all_in_one(outputs) -> Group:
    """One group that computes the outputs from buffers alone."""
    order = graph.toposort(outputs)
    for node in order:  # an equal node of another test may be computed, and alive
        node.realized = None
    buffers = tuple(node for node in order if node.op == "buffer")
    return Group("compute", tuple(outputs), buffers)


@pytest.mark.parametrize(
    "build, axes, loads",
    [
        (lambda x: x.softmax(-1), 2, 1),
        (lambda x: x.softmax(0), 2, 1),
        (lambda x: x.logsumexp(-1), 2, 1),
        (lambda x: x.layernorm(), 2, 1),
        (lambda x: (x @ tensor(6, 6)).softmax(-1), 3, 2),
        (lambda x: x @ x.transpose(0, 1), 3, 2),
        (lambda x: x.sum(1) + Y.sum(1) + (x * Y).sum(1), 2, 2),
    ],
)
def test_what_is_one_axis_is_read_once(build, axes: int, loads: int) -> None:
    result = build(tensor(6, 6))
    kernel = lower(all_in_one(expanded([result._node]))).kernel
    assert (len(kernel.axes), len(kernel.loads)) == (axes, loads)


def test_attention_has_four_axes() -> None:
    q, k, v = (tensor(6, 6, seed=s) for s in range(3))
    kernel = lower(all_in_one(expanded([((q @ k.transpose(0, 1)).softmax(-1) @ v)._node]))).kernel
    assert (len(kernel.axes), len(kernel.loads), len(kernel.reduces)) == (4, 3, 4)


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16])
def test_16_bit_floats_are_stored_and_computed_in_float32(dtype) -> None:
    x = leaf(np.linspace(-2, 2, 12).reshape(3, 4), dtype)
    y = graph.reduce("add", graph.elementwise("exp", x), (1,))
    kernel = lower(all_in_one([y])).kernel
    assert all(e.dtype is not dtype for e in kernel.exprs if isinstance(e, Apply) and e.op.name != "cast")
    assert kernel.stores[0].param.dtype is dtype
    np.testing.assert_allclose(interpreted([all_in_one([y])], [y])[0], evaluate(y), rtol=1e-2)


def test_a_cast_to_a_16_bit_float_rounds() -> None:
    x = leaf([1.0 + 2.0**-12])
    y = graph.cast(graph.cast(x, dtypes.float16), dtypes.float32)
    assert interpreted([all_in_one([y])], [y])[0][0] == 1.0


def test_a_pad_of_a_load_is_a_guard_alone() -> None:
    kernel = kernel_of(tensor(5).pad(((2, 1),)))
    (load,) = [e for e in kernel.exprs if isinstance(e, Load)]
    assert load.guards
    assert kernel.stores[0].value is load


def test_an_index_out_of_range_raises_a_flag_and_reads_nothing() -> None:
    x, index = leaf(np.arange(6.0)), leaf([1, 6, -1], dtypes.int32)
    lowered = lower(all_in_one([graph.gather(x, index, 0)]))
    assert [check.size for check in lowered.checks] == [6]
    arrays = {p.name: np.zeros(p.size, p.dtype.numpy) for p in lowered.kernel.params}
    for name, node in lowered.nodes.items():
        if node.op == "buffer":
            arrays[name] = node.attr.host
    interpret(lowered.kernel, arrays)
    assert arrays["fault"].tolist() == [1]
    written = next(p.name for p in lowered.kernel.params if p.name in lowered.kernel.written and p.name != "fault")
    assert arrays[written].tolist() == [1.0, 0.0, 0.0]


def test_one_flag_per_distinct_index() -> None:
    x, index = leaf(np.arange(6.0)), leaf([1, 2], dtypes.int32)
    both = graph.elementwise("add", graph.gather(x, index, 0), graph.gather(graph.elementwise("exp", x), index, 0))
    assert len(lower(all_in_one([both])).checks) == 1


def test_an_index_known_to_be_inside_has_no_flag() -> None:
    picked = graph.gather(leaf(np.arange(6.0)), graph.iota(4), 0)
    assert lower(all_in_one([picked])).checks == ()


@pytest.mark.parametrize("mode", ["set", "add", "max"])
def test_scatter(mode: str) -> None:
    base, index = leaf(np.arange(12.0).reshape(3, 4)), leaf([[0, 2, 1, 0], [2, 0, 0, 1]], dtypes.int32)
    y = graph.scatter(base, index, leaf(-np.arange(8.0).reshape(2, 4)), 0, mode)
    plan = groups([y], CPU)
    assert [group.kind for group in plan] == ["base", "scatter"]
    np.testing.assert_array_equal(interpreted(plan, [y])[0], evaluate(y))


def test_scatter_counts_every_point_of_a_constant_index() -> None:
    base, index = leaf(np.zeros(3)), graph.full((5,), 1, dtypes.int32)
    y = graph.scatter(base, index, graph.full((5,), 2.0, dtypes.float32), 0, "add")
    np.testing.assert_array_equal(interpreted(groups([y], CPU), [y])[0], [0.0, 10.0, 0.0])


def test_names_tell_the_content() -> None:
    assert kernel_of((tensor(64, 48) @ tensor(48, 80) + tensor(80)).gelu()).name == "contract_tanh_64x80_k48_f32"
    assert kernel_of(tensor(64, 96).softmax(-1)).name.startswith("max_sum")
    long = tensor(7).exp().log().sin().cos().sqrt().exp2().log2().tanh().floor().ceil().round().trunc().erf()
    assert len(kernel_of(long).name) <= 60


@given(st.integers(0, 2**32 - 1))
def test_a_whole_graph_as_one_kernel_means_the_same(seed: int) -> None:
    options = Options(steps=7, dtypes=ALL, families=("elementwise", "view", "reduce", "cast"))
    outputs = [node for node in dict.fromkeys(random_graph(random.Random(seed), options)) if node.op != "buffer"]
    outputs = [node for node in outputs if node.size]
    if not outputs:
        return
    group = all_in_one(outputs)
    verify(lower(group).kernel)
    for got, expected in zip(interpreted([group], outputs), evaluate_all(outputs)):
        np.testing.assert_allclose(
            got.astype(np.float64), expected.astype(np.float64), rtol=1e-5, atol=tolerance(outputs)
        )
