"""The command `python -m bench.suite`; see the package for what it does."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from bench.measure import THREADS, environment, table
from bench.suite import report
from bench.suite.contest import FULL, QUICK, USUAL, contest, in_turns
from bench.suite.libraries import MODULES, OURS, installed
from bench.suite.record import Record, Row, mean_ratio, rounded
from bench.suite.start import first_results
from bench.suite.worker import Worker
from bench.suite.workloads import ALL
from kernelforge.bench.sides import Side

PEERS = [side for side in MODULES if side != OURS]
SLOW = "torch.compile"  # it compiles for seconds: left out where it was behind another peer by
HOPELESS, LATE = 1.1, 1.0  # this, and by this where the run is late
GRACE = 20.0
USUALLY = 480.0  # seconds for all rows: where a run is behind that, it is late
NOT_AGAIN = "not measured again"
STARTED = [name for name, workload in ALL.items() if workload.group == "models"]


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.suite", description="kernelforge beside its peers")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="workloads with TEXT in name or group"
    )
    parser.add_argument("--missing", action="store_true", help="only what the record does not have yet")
    parser.add_argument("--quick", action="store_true", help="a few rounds, nothing written")
    parser.add_argument(
        "--thorough", action="store_true", help="as many rounds as noise may need, every peer, starts and memory too"
    )
    parser.add_argument("--starts", action="store_true", help="only first results and memory")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument(
        "--lock", type=Path, metavar="FILE", help="hold FILE's lock while timing: several runs take turns"
    )
    parser.add_argument("--page", action="store_true", help="only write the tables from the record again")
    return parser.parse_args()


def main() -> None:
    """Measure and report."""
    options = arguments()
    if options.page:
        report.publish(Record.read(report.RECORD), ALL)
        return
    for variable in ("OMP_NUM_THREADS", "KF_THREADS"):
        os.environ[variable] = str(THREADS)
    sides = [Side(name, Worker, name) for name in (OURS, *filter(installed, options.peers))]
    wanted = [
        name for name, w in ALL.items() if not options.only or any(t in name or t == w.group for t in options.only)
    ]
    record = begun(environment() | {"OpenCL runtime": sides[0].do("runtime")}, options.quick)
    if not options.starts:
        run_contests(record, sides, wanted, options)
    for side in sides:
        side.end()
    if options.starts or options.thorough:
        run_starts(record, [side.name for side in sides], [name for name in wanted if name in STARTED], options)
    if not options.quick:
        report.publish(record, ALL)


def begun(now: dict[str, str], quick: bool) -> Record:
    """The record to go on with: the one that is kept, if it is of the same machine and versions."""
    if quick or not report.RECORD.exists():
        return Record(now)
    kept = Record.read(report.RECORD)
    if kept.environment == now:
        return kept
    print("The record is of another environment: its rows are dropped.", file=sys.stderr)
    return Record(now)


def run_contests(record: Record, sides: list[Side], wanted: list[str], options: argparse.Namespace) -> None:
    """Measure the workloads, the ceilings beside each; print each row, and keep it at once."""
    names = [side.name for side in sides]
    missing = [name for name in wanted if not options.missing or name not in record.rows]
    print(report.described(record) + "\n")
    print(table([f"{'workload':44}", *names, "times", "of ceiling"], []), flush=True)
    begun_at = perf_counter()
    for number, name in enumerate(in_turns(missing, options.lock)):
        effort = QUICK if options.quick else FULL if options.thorough else USUAL
        late = perf_counter() - begun_at > USUALLY * number / len(ALL) + GRACE
        slow = {} if options.thorough else hopeless(record.rows.get(name), LATE if late else HOPELESS)
        row = contest([*(side for side in sides[1:] if side.name not in slow), sides[0]], name, effort, sides[0])
        row.notes |= slow
        record.rows[name] = row
        print("| " + " | ".join(report.line(f"{name:44}", row, ALL[name], names)) + " |", flush=True)
        for side, note in row.notes.items():
            print(f"    {side}: {note}", flush=True)
        if not options.quick:
            record.write(report.RECORD)
    print(f"\ngeometric mean {mean_ratio(record.rows[name] for name in wanted):.2f}")


def hopeless(row: Row | None, behind: float) -> dict[str, str]:
    """Notes on the sides that take long to prepare and were so far behind the fastest peer when last measured."""
    peers = {} if row is None else {side: taken for side, taken in row.seconds.items() if side not in (OURS, SLOW)}
    if row is None or not peers:
        return {}
    if SLOW not in row.seconds:
        return {side: note for side, note in row.notes.items() if side == SLOW and NOT_AGAIN in note}
    times = row.seconds[SLOW] / min(peers.values())
    return {SLOW: f"{NOT_AGAIN}: {times:.2f} times the fastest peer's time before"} if times > behind else {}


def run_starts(record: Record, names: list[str], wanted: list[str], options: argparse.Namespace) -> None:
    """Measure first results and memory, and keep them."""
    pairs = [(name, side) for name in wanted for side in names]
    missing = [pair for pair in pairs if not options.missing or pair[1] not in record.starts.get(pair[0], {})]
    for name, side in in_turns(missing, options.lock):
        try:
            found = first_results(side, name)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{name}, {side}: {error}", file=sys.stderr)
            continue
        print(name, side, rounded(found), flush=True)
        record.starts.setdefault(name, {})[side] = found
        record.write(report.RECORD)


if __name__ == "__main__":
    main()
