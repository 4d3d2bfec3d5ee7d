"""The command `python -m bench.host`; see the package for what it does."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from bench.host import calls, planning, starts
from bench.host.row import HEAD, Row
from bench.measure import environment, table
from kernelforge.settings import THREADS

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "host.md"
TEXT = """# What the host costs

Made by `python -m bench.host`: what a user pays beside the kernels themselves. Times are the best of several rounds;
calls are made on one thread, peers in the same process and in turn where they are compared. Goals of single operations
are 1.25 times torch's time, those of a chain torch's time, that of the loop twice torch's time in the same run. New
processes find bytecode on disk, as of installed packages; a result counts when it is printed.

"""


def measured(rounds: int) -> Iterator[Row]:
    """All rows, printed as they come."""
    for part in (starts.rows(max(1, rounds // 4)), calls.rows(rounds), planning.rows()):
        for row in part:
            print(" | ".join(row.cells), flush=True)
            yield row


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.host", description="what is paid beside the kernels")
    parser.add_argument("--quick", action="store_true", help="a few rounds, nothing written")
    options = parser.parse_args()
    THREADS.set(1)
    rows = list(measured(4 if options.quick else 20))
    if not options.quick:
        head = "\n".join(f"- {name}: {value}" for name, value in environment().items())
        PAGE.write_text(f"{TEXT}{head}\n\n{table(HEAD, [row.cells for row in rows])}\n")


if __name__ == "__main__":
    main()
