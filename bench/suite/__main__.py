"""The command `python -m bench.suite`; see the package for what it does."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bench.measure import THREADS, environment, table
from bench.suite import report
from bench.suite.contest import FULL, QUICK, Side, contest, held
from bench.suite.libraries import MODULES, OURS, installed
from bench.suite.report import Record
from bench.suite.start import first_results
from bench.suite.workloads import ALL

USUAL = ("torch", "torch.compile", "jax")
STARTED = [name for name, workload in ALL.items() if workload.group == "models"]


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.suite", description="kernelforge beside its peers")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="workloads with TEXT in name or group")
    parser.add_argument("--missing", action="store_true", help="only what the record does not have yet")
    parser.add_argument("--quick", action="store_true", help="a few rounds, nothing written")
    parser.add_argument("--starts", action="store_true", help="only first results and memory")
    parser.add_argument("--peers", nargs="*", default=list(USUAL), choices=[s for s in MODULES if s != OURS])
    parser.add_argument("--lock", type=Path, metavar="FILE", help="hold FILE's lock while timing: several runs take turns")
    parser.add_argument("--page", action="store_true", help="only write the tables from the record again")
    return parser.parse_args()


def main() -> None:
    """Measure and report."""
    options = arguments()
    for variable in ("OMP_NUM_THREADS", "KF_THREADS"):
        os.environ[variable] = str(THREADS)
    record = Record(environment())
    if report.RECORD.exists() and not options.quick:
        kept = Record.read(report.RECORD)
        if options.page or kept.environment == record.environment:
            record = kept
        else:
            print("The record is of another environment: its rows are dropped.", file=sys.stderr)
    sides = [OURS, *(peer for peer in options.peers if installed(peer))]
    wanted = [name for name, w in ALL.items() if not options.only or any(t in name or t == w.group for t in options.only)]
    if not options.page:
        if not options.starts:
            run_contests(record, sides, wanted, options)
        if not options.quick:
            run_starts(record, sides, [name for name in wanted if name in STARTED], options)
    if not options.quick:
        report.publish(record, ALL)


def run_contests(record: Record, names: list[str], wanted: list[str], options: argparse.Namespace) -> None:
    """Measure the ceilings and the workloads; print each row, and keep it at once."""
    sides = [Side(name) for name in names]
    with held(options.lock):
        found = sides[0].do("ceilings")
    record.ceilings = {name: max(value, record.ceilings.get(name, 0)) for name, value in found.items()}
    print(report.described(record) + "\n")
    print(table([f"{'workload':44}", *names, "times", "of ceiling"], []))
    for name in wanted:
        if options.missing and name in record.rows:
            continue
        row = contest(sides, name, QUICK if options.quick else FULL, options.lock)
        record.rows[name] = row
        print("| " + " | ".join(report.line(f"{name:44}", row, ALL[name], record.ceilings, names)) + " |", flush=True)
        for side, note in row.notes.items():
            print(f"    {side}: {note}", flush=True)
        if not options.quick:
            record.write(report.RECORD)
    for side in sides:
        side.end()
    print(f"\ngeometric mean {report.mean_ratio(record.rows[name] for name in wanted):.2f}")


def run_starts(record: Record, names: list[str], wanted: list[str], options: argparse.Namespace) -> None:
    """Measure first results and memory, and keep them."""
    for name in wanted:
        if options.missing and name in record.starts:
            continue
        found = {}
        for side in names:
            try:
                with held(options.lock):
                    found[side] = first_results(side, name)
                print(name, side, {what: round(value, 3) for what, value in found[side].items()}, flush=True)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{name}, {side}: {error}", file=sys.stderr)
        record.starts[name] = found
        record.write(report.RECORD)


if __name__ == "__main__":
    main()
