"""Seconds on the device.

Comes in: work of kernelforge or of torch.  Goes out: the seconds of one run, host costs left out: the launches of the
work are put into a CUDA graph, which is replayed until the clock's grain does not show.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kernelforge import Tensor
from kernelforge.kernels.cuda import CudaRuntime
from kernelforge.kernels.runtime import Memory

SAMPLE = 0.03  # seconds of one timing, about
ROUNDS = 5  # timings, of which the best counts
MOST = 2000  # replays in one timing

Launched = list[tuple[Any, list[Memory]]]


@contextmanager
def recorded(runtime: CudaRuntime) -> Iterator[Launched]:
    """The launches of the body, in order, as kernels with their memories; they run as well."""
    launches: Launched = []
    original = runtime.launch

    def launch(executable: Any, memories: Sequence[Memory], timed: bool = False) -> float | None:
        launches.append((executable, list(memories)))
        return original(executable, memories, timed)

    runtime.launch = launch  # type: ignore[method-assign]
    try:
        yield launches
    finally:
        del runtime.launch  # type: ignore[attr-defined]


def seconds_of(runtime: CudaRuntime, launches: Launched) -> float:
    """Seconds of launches one after the other, as one graph."""
    memories = list({id(memory): memory for _, arguments in launches for memory in arguments}.values())
    number = {id(memory): position for position, memory in enumerate(memories)}
    graph = runtime.graph([(kernel, [number[id(m)] for m in arguments]) for kernel, arguments in launches], memories)

    def replay(times: int) -> None:
        for _ in range(times):
            graph.replay(memories)

    try:
        return best(lambda times: runtime.elapsed(lambda: replay(times)))
    finally:
        runtime.wait()
        graph.close()


def ours(runtime: CudaRuntime, work: Callable[[], Sequence[Tensor]]) -> tuple[float, list[Tensor]]:
    """Seconds of computing tensors that are not computed yet, and the tensors."""
    wanted = list(work())
    with recorded(runtime) as launches:
        Tensor.realize(*wanted)
    runtime.wait()
    return seconds_of(runtime, launches), wanted


def theirs(torch: Any, work: Callable[[], Any]) -> float:
    """Seconds of torch's work: as a graph, or called again and again where it cannot be captured."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    replay = work
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        replay = graph.replay
    except RuntimeError as error:
        print(f"torch's work is called, not replayed: {error}", flush=True)
        torch.cuda.synchronize()
    return best(lambda times: torch_elapsed(torch, replay, times))


def torch_elapsed(torch: Any, work: Callable[[], Any], times: int) -> float:
    """Seconds of some runs in a row, by torch's events."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(times):
        work()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) * 1e-3


def best(elapsed: Callable[[int], float]) -> float:
    """The least seconds of one run: elapsed tells those of so many in a row."""
    elapsed(1)
    once = max(elapsed(1), 1e-7)
    times = max(1, min(MOST, round(SAMPLE / once)))
    return min(elapsed(times) / times for _ in range(ROUNDS))
