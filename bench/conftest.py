"""What every benchmark shares: the `compare` fixture and the table at the end of a run.

    pytest bench/bench_sort.py --clock cpu

A benchmark gives `compare` the same work done by kernelforge and by a well-known library, and how much work that is.
The workloads of the suite are in bench_workloads.py.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.measure import CLOCKS, THREADS, Ratio, environment, ratio, table
from bench.suite.libraries import MODULES
from kernelforge.ceilings import measured

ROWS = pytest.StashKey[list[list[str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clock", choices=sorted(CLOCKS), default="wall", help="what ratios measure (default wall)")
    parser.addoption(
        "--side", action="append", choices=MODULES, help="who runs bench_workloads.py (default kernelforge)"
    )
    parser.addoption("--rounds", type=int, default=20, help="timings per side (default 20)")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture(scope="session", autouse=True)
def torch_threads() -> Iterator[None]:
    """torch computes with as many threads as kernelforge."""
    torch = pytest.importorskip("torch", reason="benchmarks compare with torch: pip install 'kernelforge[parity]'")
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ceilings() -> dict[str, float]:
    """What the machine can do at most."""
    return measured("CPU", 100)


@pytest.fixture
def compare(request: pytest.FixtureRequest, benchmark: Any, ceilings: dict[str, float]) -> Callable[..., Ratio]:
    """compare(ours, theirs, flops=0, nbytes=0): time both in turn, and put a line in the table.

    flops, nbytes  the work of one call: operations, and bytes that must at least move; whichever takes this machine
                   longer gives the fraction of what it can do
    """

    def run(ours: Callable[[], Any], theirs: Callable[[], Any], flops: float = 0, nbytes: float = 0) -> Ratio:
        options = request.config.option
        found = ratio(ours, theirs, options.rounds, options.clock)
        least = max(flops / ceilings["flops"], nbytes / ceilings["copy"])
        benchmark.extra_info |= {"theirs": found.theirs, "times": found.times, "of_peak": least / found.ours}
        benchmark.pedantic(ours, rounds=5)
        rate = f"{flops / found.ours / 1e9:.1f} GFLOP/s" if flops else f"{nbytes / found.ours / 1e9:.1f} GB/s"
        times = [f"{found.ours * 1e3:.3f} ms", f"{found.theirs * 1e3:.3f} ms", f"{found.times:.2f}"]
        name = request.node.name.removeprefix("bench_")
        request.config.stash[ROWS].append([name, *times, rate, f"{least / found.ours:.0%}"])
        return found

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[ROWS]
    if not rows:
        return
    terminalreporter.section("kernelforge and torch")
    terminalreporter.write_line(", ".join(f"{name} {value}" for name, value in environment().items()))
    terminalreporter.write_line(f"clock: {config.option.clock}; times above 1: kernelforge is faster\n")
    terminalreporter.write_line(table(["workload", "kernelforge", "torch", "times", "rate", "of peak"], rows))
