"""Realisation: values on every device, the plan cache, memory reuse, aliases, errors found while running."""

import gc
import itertools
import random
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.counters import GlobalCounters
from kernelforge.kernels import Device
from kernelforge.planning.bounded import Bound
from kernelforge.planning.plan import make_plan
from kernelforge.realize import explain, read, realize, synchronize
from kernelforge.settings import Context
from kernelforge.structure import structure
from kernelforge.tensor import Tensor
from tests.evaluate import evaluate_all
from tests.random_graphs import Options, random_graph, tolerance


@pytest.fixture(params=["NUMPY", "CPU"])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def leaf(values, device: str = "NUMPY", dtype=dtypes.float32) -> graph.Node:
    values = np.asarray(values)
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtype, device)), values.shape)


def matrix(seed: int, shape=(8, 8), device: str = "NUMPY") -> graph.Node:
    return leaf(np.random.default_rng(seed).standard_normal(shape), device)


def add(a: graph.Node, b: graph.Node) -> graph.Node:
    return graph.elementwise("add", a, b)


def contraction(a: graph.Node, b: graph.Node) -> graph.Node:
    (m, k), n = a.shape, b.shape[1]
    left = graph.expand(graph.reshape(a, (m, k, 1)), (m, k, n))
    right = graph.expand(graph.reshape(b, (1, k, n)), (m, k, n))
    return graph.reduce("add", graph.elementwise("mul", left, right), (1,))


def check(outputs, atol: float = 1e-4) -> None:
    expected = evaluate_all(outputs)
    realize(outputs)
    for node, values in zip(outputs, expected):
        np.testing.assert_allclose(read(node).astype(np.float64), values.astype(np.float64), rtol=1e-5, atol=atol)


# ------------------------------------------------------------------------------------------------- values


@given(st.integers(0, 2**32 - 1))
def test_random_graphs_interpreted(seed: int) -> None:
    outputs = random_graph(random.Random(seed), Options(steps=12, device="NUMPY"))
    check(outputs, tolerance(outputs))


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1))
def test_random_graphs_on_the_cpu(seed: int) -> None:
    outputs = random_graph(random.Random(seed), Options(steps=12))
    check(outputs, tolerance(outputs))


def test_outputs_that_share_work_are_computed_together(device: str) -> None:
    x = matrix(0, device=device)
    e = graph.elementwise("exp", x)
    check([add(e, x), graph.reduce("add", e, (1,)), e])


def test_nothing_is_computed_twice(device: str) -> None:
    x = add(matrix(0, device=device), matrix(1, device=device))
    realize([x])
    buffer = x.realized
    GlobalCounters.reset()
    realize([x, x])
    assert x.realized is buffer
    assert GlobalCounters.kernel_count == 0
    y = graph.elementwise("exp", x)
    realize([y])
    assert GlobalCounters.kernel_count == 1
    np.testing.assert_allclose(read(y), np.exp(read(x)), rtol=1e-5)


def test_empty_results_need_no_kernel(device: str) -> None:
    x = matrix(0, (0, 3), device)
    GlobalCounters.reset()
    check([graph.elementwise("exp", x), graph.reduce("add", x, (1,))])
    assert GlobalCounters.kernel_count == 0
    check([graph.reduce("add", x, (0,)), graph.pad(x, ((1, 0), (0, 0)))])


def test_graphs_without_buffers() -> None:
    check(
        [graph.full((3, 4), 2.5, dtypes.float32), graph.iota(5), graph.elementwise("mul", graph.iota(3), graph.iota(3))]
    )


def test_several_names_of_one_result() -> None:
    x = add(matrix(0), matrix(1))
    names = [x, graph.reshape(x, (64,)), graph.detach(x), graph.contiguous(x)]
    realize(names)
    assert len({id(node.realized) for node in names[:3]}) == 1
    for node in names:
        np.testing.assert_array_equal(read(node).reshape(8, 8), read(x))


def test_a_reshaped_buffer_stays_where_it_is() -> None:
    x = leaf(np.arange(6.0))
    y = graph.reshape(x, (2, 3))
    GlobalCounters.reset()
    realize([y])
    assert y.realized is x.attr
    assert GlobalCounters.kernel_count == 0


def test_a_permuted_buffer_is_copied(device: str) -> None:
    x = matrix(0, (4, 6), device)
    check([graph.permute(x, (1, 0))])


def test_copies_between_devices() -> None:
    x = matrix(0, device="NUMPY")
    moved = graph.copy(graph.elementwise("exp", x), "CPU")
    result = add(moved, matrix(1, device="CPU"))
    check([result, graph.copy(result, "NUMPY")])
    assert result.realized is not None
    assert result.realized.device == "CPU"


def test_a_constant_moved_to_a_device_is_computed_there() -> None:
    x = graph.copy(graph.full((4,), 3.0, dtypes.float32), "CPU")
    check([add(x, x)])


def test_constants_computed_on_another_device_are_computed_anew() -> None:
    """Also those they were computed from, and where nothing but the plan is asked for."""
    inner = graph.elementwise("exp", graph.cast(graph.iota(8), dtypes.float32))
    outer = graph.elementwise("neg", inner)
    before, Device.DEFAULT = Device.DEFAULT, "NUMPY"
    try:
        realize([inner])
        realize([outer])
    finally:
        Device.DEFAULT = before
    result = add(outer, matrix(0, (8,), "CPU"))
    assert "on CPU" in explain([result])
    check([result])
    assert outer.realized is None and inner.realized is None


# --------------------------------------------------------------------------------------------- plan cache


def test_equal_graphs_on_other_buffers_plan_and_compile_nothing(device: str) -> None:
    def step(seed: int) -> list[graph.Node]:
        x, w = matrix(seed, device=device), matrix(seed + 1, device=device)
        y = graph.elementwise("exp", graph.elementwise("neg", graph.elementwise("abs", contraction(x, w))))
        return [contraction(y, x), graph.reduce("add", y, (0,))]

    check(step(0))
    GlobalCounters.reset()
    for seed in range(5, 8):
        check(step(seed))
    assert (GlobalCounters.plans, GlobalCounters.compiled) == (0, 0)
    assert GlobalCounters.kernel_count > 0


def test_one_operation_on_views_is_known_by_how_its_operands_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time without a walk through the graph."""
    views = (lambda a: a.reshape(3, 2).T, lambda a: np.flip(a, 0), lambda a: a[0:2], lambda a: a)
    seen = (lambda t: t.reshape(3, 2).permute(1, 0), lambda t: t.flip(0), lambda t: t[0:2], lambda t: t)
    pairs = [(i, j) for i in range(len(views)) for j in range(len(views))]
    for time in range(2):
        a, b = (np.random.default_rng((time, number)).standard_normal((2, 3)).astype(np.float32) for number in (0, 1))
        x, y = Tensor(a).realize(), Tensor(b).realize()
        for i, j in pairs:
            np.testing.assert_array_equal((seen[i](x) + seen[j](y)).realize().numpy(), views[i](a) + views[j](b))
        monkeypatch.setattr("kernelforge.realize.structure_on", None)


def test_which_buffers_are_the_same_is_part_of_the_structure() -> None:
    for pair in ((0, 1), (0, 0), (1, 0)):
        leaves = [leaf(np.ones(4)), leaf(np.full(4, 2.0))]
        check([add(*(leaves[i] for i in pair))])


@pytest.mark.parametrize(
    "one, other",
    [
        (lambda x: graph.full(x.shape, 0.0, x.dtype), lambda x: graph.full(x.shape, -0.0, x.dtype)),
        (lambda x: graph.full(x.shape, 1.0, x.dtype), lambda x: graph.full(x.shape, 2.0, x.dtype)),
        (lambda x: graph.flip(x, (0,)), lambda x: graph.flip(x, (1,))),
        (lambda x: graph.permute(x, (1, 0)), lambda x: x),
    ],
)
def test_different_graphs_have_different_keys(one, other) -> None:
    x = matrix(3)
    assert structure([add(x, one(x))]).key != structure([add(x, other(x))]).key


def test_nan_constants_have_one_key() -> None:
    x = matrix(3)
    keys = {structure([add(x, graph.full(x.shape, float("nan"), x.dtype))]).key for _ in range(2)}
    assert len(keys) == 1


def test_layers_of_one_structure_are_lowered_once() -> None:
    x = matrix(0, (8, 32))
    for seed in range(6):
        x = graph.elementwise("tanh", contraction(x, matrix(seed + 1, (32, 32))))
    plan = make_plan([x], structure([x]).leaves, "NUMPY")  # type: ignore[arg-type]
    assert len(plan.launches) == 6
    assert len({id(step.program) for step in plan.launches}) == 2, "the first reads a buffer in another shape"


def test_a_plan_keeps_no_buffer_alive() -> None:
    x = matrix(12, (5, 7))
    y = graph.elementwise("sin", graph.elementwise("cos", x))
    realize([y])
    watched = weakref.ref(y.realized)
    del x, y
    gc.collect()
    assert watched() is None


def test_a_plan_keeps_no_algebra_where_text_is_enough() -> None:
    x = matrix(4, (13, 11), "CPU")
    y = graph.elementwise("sin", contraction(x, matrix(5, (11, 17), "CPU")))
    gc.collect()
    before = axes_alive()
    plan = make_plan([y], structure([y]).leaves, "CPU")  # type: ignore[arg-type]
    assert plan.launches and all(step.program.kernel is None for step in plan.launches)
    gc.collect()
    assert axes_alive() <= before
    with Context(DUMP_LANGUAGE="both"):
        shown = make_plan([y], structure([y]).leaves, "CPU")  # type: ignore[arg-type]
    assert all(step.program.kernel is not None for step in shown.launches)
    assert [step.program for step in shown.launches] == [step.program for step in plan.launches]


def axes_alive() -> int:
    """The axes of kernels in memory; those that only stand for the dimensions of a reshape are few and kept."""
    return sum(isinstance(found, Axis) and found.name != "_" for found in gc.get_objects())


# ----------------------------------------------------------------------------------------------- memory


def test_intermediate_results_share_memory(device: str) -> None:
    x, w = matrix(0, (16, 16), device), matrix(1, (16, 16), device)
    y = x
    for _ in range(12):
        y = graph.elementwise("tanh", contraction(y, w))
    plan = make_plan([y], structure([y]).leaves, device)  # type: ignore[arg-type]
    assert len(plan.launches) == 12
    assert len(plan.blocks) == 2
    check([y])


def test_a_result_needed_late_keeps_its_block() -> None:
    x = matrix(0, (16, 16))
    first = contraction(x, x)
    y = first
    for seed in range(5):
        y = graph.elementwise("tanh", contraction(y, matrix(seed, (16, 16))))
    check([contraction(y, first)])


# ----------------------------------------------------------------------------------------------- faults


def test_an_index_out_of_range_is_reported_at_the_next_synchronisation(device: str) -> None:
    x, index = leaf(np.arange(5.0), device), leaf([0, 5], device, dtypes.int32)
    with graph.user_line(("model.py", 42)):
        bad = graph.gather(x, index, 0)
    realize([bad])
    with pytest.raises(IndexError, match=r"(?s)0 <= index < 5.*model.py:42"):
        synchronize()
    synchronize()


def test_a_good_index_after_a_bad_one_is_good(device: str) -> None:
    def pick(values) -> graph.Node:
        return graph.gather(leaf(np.arange(5.0), device), leaf(values, device, dtypes.int32), 0)

    with pytest.raises(IndexError):
        read(pick([7, 0]))
    good = pick([4, 0])
    np.testing.assert_array_equal(read(good), [4.0, 0.0])


def test_a_scatter_out_of_range_is_reported(device: str) -> None:
    base, index = leaf(np.zeros(3), device), leaf([3], device, dtypes.int32)
    with pytest.raises(IndexError):
        read(graph.scatter(base, index, leaf([1.0], device), 0, "add"))


# --------------------------------------------------------------------------------------------- counters


def test_counters_count(device: str) -> None:
    x = matrix(0, (32, 32), device)
    GlobalCounters.reset()
    realize([contraction(x, x)])
    assert GlobalCounters.kernel_count == 1
    assert GlobalCounters.global_ops >= 2 * 32**3
    assert GlobalCounters.global_mem == 2 * 4 * 32 * 32


def test_a_chain_of_ten_thousand_operations() -> None:
    x = leaf(np.ones(16))
    factor, term = graph.full((16,), 0.5, x.dtype), graph.full((16,), 1.0, x.dtype)
    for _ in range(5000):
        x = add(graph.elementwise("mul", x, factor), term)
    GlobalCounters.reset()
    realize([x])
    np.testing.assert_allclose(read(x), np.full(16, 2.0), rtol=1e-6)
    assert GlobalCounters.compiled <= 4, "identical pieces are compiled once"


@pytest.mark.parametrize("device", ["NUMPY", "CPU"])
def test_waiting_for_a_device_reports_indices_out_of_range(device):
    x = Tensor(np.arange(10, dtype=np.float32), device=device)
    x[Tensor(np.array([1, 12]), device=device)].realize()
    with pytest.raises(IndexError, match="test_realize"):
        Device[device].synchronize()
    Device[device].synchronize()


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x + y,
        lambda x, y: y - x,
        lambda x, y: x - x,
        lambda x, y: x - 1,
        lambda x, y: 2 - x,
        lambda x, y: x @ y,
        lambda x, y: x @ x,
        lambda x, y: x.sum(0),
        lambda x, y: x + x.T,
    ],
)
def test_one_operation_runs_again_without_a_look_at_its_structure(
    function: Callable[[Any, Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> tuple[np.ndarray, np.ndarray]:
        return tuple(np.random.default_rng(next(seeds)).random((5, 5), np.float32) for _ in range(2))  # type: ignore

    monkeypatch.setattr("kernelforge.planning.open_plans._families", {})  # nor plans for other sizes
    monkeypatch.setattr("kernelforge.planning.open_plans._kinds", {})
    monkeypatch.setattr("kernelforge.met.plans_of", {})
    monkeypatch.setattr("kernelforge.met._bound", Bound())  # of the kernels of these, not of those of other tests
    seeds = itertools.count()
    for _ in range(2):
        function(*[Tensor(values).realize() for values in drawn()]).realize()
    monkeypatch.setattr("kernelforge.realize.structure_on", None)
    values = drawn()
    found = function(*[Tensor(value).realize() for value in values]).realize()
    assert np.allclose(found.numpy(), function(*values), rtol=1e-5)


@pytest.mark.parametrize("devices", [("NUMPY", "CPU"), ("CPU", "NUMPY")])
def test_constants_are_computed_again_on_another_device(devices: tuple[str, str]) -> None:
    if "CPU" not in Device.available():
        pytest.skip("there is no OpenCL device")
    first, second = devices
    with Context(DEVICE=first):
        held = Tensor.arange(1 << 17)._node
        Tensor(held).numpy()
    with Context(DEVICE=second):
        same = Tensor.arange(1 << 17)
        total = same * 2 + Tensor(np.ones(1 << 17, np.int32))
        np.testing.assert_array_equal(total.numpy(), np.arange(1 << 17) * 2 + 1)
    assert same._node is held and held.realized is None
