"""The command `python -m bench.memory`; see the package for what it does."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.measure import environment, table
from bench.memory.models import CASES

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "memory.md"
RANDOM = 5
WAYS = ("op by op", "lazily", "captured", "needed", "within a budget", "torch")
HEAD = ("training step", *(f"{way}, MB" for way in WAYS), "captured / op by op")
TEXT = """# What a training step takes of memory

Made by `python -m bench.memory`: the most that arrays take at once in a step, after five others. Parameters, gradients,
the optimiser's state and the input count, what kernels and libraries have on their stacks does not. Each figure is of a
process of its own. kernelforge counts the blocks of its pool that are in use whenever one is taken, size classes
included, which round up by an eighth at most, and so is what functions of plans have in reserve (blocks of up to half
a MiB, two of each, 16 MiB in all); torch's are from its own profiler, which notes every allocation.

*Op by op* is `KF_EAGER=1`: every operation runs as it is made. *Lazily* is without it, the loss and the parameters
being asked for after each step; *captured* is the step under `jit`, and *within a budget* the same with
`memory_budget=` half of what the captured step takes beyond what is there when the lazy one begins. torch runs eagerly.
*Needed* is what is alive at a time of what the captured step reads and makes, by its plan: no layout takes less, so
what captured takes beyond it is lost between blocks, in size classes, and in memory that is kept for other calls.
A captured step takes no more than op by op. Models called random are drawn by their number.

"""


def measured(name: str, way: str, budget: int = 0) -> tuple[int, int, int]:
    """Bytes at the peak of a step, at its beginning, and of what a captured one needs at a time."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.memory.side", name, way, str(budget)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}, {way}: {done.stderr[-2000:]}")
    peak, before, needed = map(int, done.stdout.split())
    return peak, before, needed


def row(name: str) -> list[str]:
    """The cells of a model."""
    eager, lazy, captured = (measured(name, way) for way in ("eager", "lazy", "captured"))
    least = measured(name, "captured", max(1, (captured[0] - lazy[1]) // 2))
    found = [eager, lazy, captured, least, *([measured(name, "torch")] if find_spec("torch") else [])]
    cells = [f"{peak / 1e6:.2f}" for peak, *_ in found]
    cells.insert(3, f"{captured[2] / 1e6:.2f}")
    return [name, *cells, *[""] * (len(WAYS) - len(cells)), f"{captured[0] / eager[0]:.2f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description="what training steps take of memory")
    parser.add_argument("names", nargs="*", help='some models: "MLP, SGD", "random 3", ...; nothing is written then')
    options = parser.parse_args(arguments)
    rows: list[list[str]] = []
    head = "\n".join(f"- {name}: {value}" for name, value in environment().items())
    for name in options.names or [*CASES, *(f"random {seed}" for seed in range(RANDOM))]:
        rows.append(row(name))
        print(" | ".join(rows[-1]), flush=True)
        if not options.names:
            PAGE.write_text(f"{TEXT}{head}\n\n{table(HEAD, rows)}\n")


if __name__ == "__main__":
    main()
