"""Launches as one graph: they wait for what they must wait for, no more, and run again on other memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.errors import DeviceError
from kernelforge.kernels.cuda_graph import dependencies
from kernelforge.kernels.runtime import Memory
from tests.fake_cuda import FakeDriver
from tests.kernels.conftest import Change, increment
from tests.kernels.test_cuda import contents, filled, opened

VALUES = np.arange(6, dtype=np.float32)
CHAIN = [(1, 0), (2, 1), (3, 0), (0, 3), (4, 2)]  # written, read: two branches, the second overwrites the input


def graph_of(places: list[tuple[int, int]], count: int):
    runtime = opened()
    (kernel,) = runtime.compile([increment(VALUES.size, language="triton")])
    memories: list[Memory | None] = [filled(runtime, VALUES + 100 * number) for number in range(count)]
    return runtime, runtime.graph([(kernel, place) for place in places], memories), memories


def after(places: list[tuple[int, int]], arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The arrays when the launches ran one after the other."""
    arrays = [array.copy() for array in arrays]
    for out, x in places:
        arrays[out] = arrays[x] + 1
    return arrays


def test_a_graph_does_what_its_launches_do(cuda: FakeDriver) -> None:
    runtime, graph, memories = graph_of(CHAIN, 5)
    expected = after(CHAIN, [VALUES + 100 * number for number in range(5)])
    graph.replay(memories)
    for memory, array in zip(memories, expected):
        assert memory is not None and np.array_equal(contents(runtime, memory, VALUES), array)


def test_it_runs_again_on_other_memory(cuda: FakeDriver) -> None:
    runtime, graph, memories = graph_of(CHAIN, 5)
    for start in (0, 1000, 2000):
        memories[0], memories[4] = filled(runtime, VALUES + start), runtime.allocate(VALUES.nbytes)
        before = len(cuda.calls)
        graph.replay(memories)
        changed = cuda.calls[before:].count("cuGraphExecKernelNodeSetParams")
        assert changed == 4, "the launches that use the memory exchanged"
        assert np.array_equal(contents(runtime, memories[4], VALUES), VALUES + start + 3)
    before = len(cuda.calls)
    graph.replay(memories)
    assert cuda.calls[before:] == ["cuCtxSetCurrent", "cuGraphLaunch"]
    graph.close()


def test_numbers_that_share_memory_are_ordered(cuda: FakeDriver) -> None:
    runtime = opened()
    (kernel,) = runtime.compile([increment(VALUES.size, language="triton")])
    shared, other = filled(runtime, VALUES), filled(runtime, VALUES)
    memories = [shared, other, shared]
    graph = runtime.graph([(kernel, (1, 0)), (kernel, (2, 1)), (kernel, (1, 0))], memories)
    graph.replay(memories)
    assert np.array_equal(contents(runtime, other, VALUES), VALUES + 3)


def test_memory_may_go_before_a_replay_is_done(cuda: FakeDriver) -> None:
    runtime, graph, memories = graph_of([(1, 0)], 2)
    graph.replay(memories)
    memories[0] = None
    runtime.pool.clear()
    assert memories[1] is not None and np.array_equal(contents(runtime, memories[1], VALUES), VALUES + 1)


def test_a_fault_in_a_graph_names_its_kernels(cuda: FakeDriver) -> None:
    runtime, graph, memories = graph_of(CHAIN, 5)
    cuda.culprit = "increment"
    graph.replay(memories)
    with pytest.raises(DeviceError, match="it came from the kernel increment"):
        runtime.wait()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_conflicts_are_ordered_and_nothing_else(places: list[tuple[int, int]]) -> None:
    program = increment(1, language="triton")
    waits = dependencies([(program, place) for place in places])
    reached: list[set[int]] = []
    for before in waits:
        reached.append(set(before).union(*(reached[earlier] for earlier in before)))
    for later, (out, x) in enumerate(places):
        for earlier, (before_out, before_x) in enumerate(places[:later]):
            conflict = before_out in (out, x) or before_x == out
            assert earlier in reached[later] if conflict else True
            assert conflict or earlier not in waits[later]


def test_a_cluster_is_one_in_a_graph_too(cuda: FakeDriver, binaries: Change) -> None:
    binaries(blocks=2, shared=100_000)
    graph_of([(1, 0)], 2)
    (node,) = cuda.graphs[-1]
    cluster = node.attributes["CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION"].clusterDim
    assert (cluster.x, cluster.y, cluster.z) == (2, 1, 1)
    assert node.call.shape == (2 * VALUES.size, 1, 1, 128, 1, 1) and node.call.shared == 100_000


def test_launches_that_run_side_by_side_have_scratch_memory_of_their_own(cuda: FakeDriver, binaries: Change) -> None:
    binaries(scratch=256)
    graph_of([(1, 0), (3, 2)], 4)
    scratches = {node.call.values[-2] for node in cuda.graphs[-1]}
    assert len(scratches) == 2 and 0 not in scratches
