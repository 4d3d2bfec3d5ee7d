"""The options of `kernelforge bench`, and what it does.

Comes in: options.  Goes out: tables on standard output, files, and the exit status.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from typing import Final

from kernelforge.bench import report
from kernelforge.bench.contest import contest, sitting
from kernelforge.bench.libraries import MODULES, OURS, installed, threads, versions
from kernelforge.bench.results import Change, Results, changes, other_environment
from kernelforge.bench.sides import Refused, Side
from kernelforge.bench.starts import first_calls
from kernelforge.bench.subjects import Subject, parsed, shapes_of
from kernelforge.bench.worker import Worker
from kernelforge.errors import ArgumentError, DeviceError, FileFormatError
from kernelforge.kernels import Device

ROUNDS: Final = 40
SITTINGS: Final = 4  # processes in which what is saved or compared is measured: 2 of 70 orders of 8 part them
PEERS: Final = [name for name in MODULES if name != OURS]
EPILOG: Final = """examples:
  kernelforge bench 'softmax(-1)' gelu --shapes 4096x1024 64x64 --against torch,jax
  kernelforge bench '(a @ b).relu()' --shapes 512x512,512x512 --dtype bfloat16 --against torch
  kernelforge bench model.py::forward --shapes 8x3x224x224 --save before.json
  kernelforge bench model.py::forward --shapes 8x3x224x224 --compare before.json --fail-on 5%
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, EPILOG
    add = parser.add_argument
    add("subjects", nargs="+", help="operations, expressions of the inputs a, b, ..., or script.py::function")
    add("--shapes", nargs="+", default=["1024x1024"], metavar="SHAPE", help="of the inputs, such as 512x256,256x128")
    add("--dtype", nargs="+", default=["float32"], help="element types")
    add("--device", default="", help="device of kernelforge; peers use the same kind")
    add("--against", default="", metavar="PEERS", help=f"of {', '.join(PEERS)}, separated by commas")
    add("--rounds", type=int, default=ROUNDS, help=f"in which the sides take turns; a verdict needs 16 ({ROUNDS})")
    add("--no-first", action="store_true", help="leave out the first calls, which take new processes")
    add("--save", type=Path, metavar="FILE", help="write the results as JSON")
    add("--compare", type=Path, metavar="FILE", help="set them beside those saved earlier")
    add("--fail-on", default="", metavar="PERCENT", help="exit status 1 if something is certainly slower by so much")
    add("--json", action="store_true", help="print the results as JSON instead of tables")
    add("--html", type=Path, metavar="FILE", help="write a page")


def run(options: argparse.Namespace) -> int:
    """Measure, report; 0, or 1 if something became slower, 2 if nothing could be measured."""
    try:
        peers, limit = _peers(options.against), _part(options.fail_on)
        before = Results.read(options.compare) if options.compare else None
        subjects = _subjects(options)
        device = Device.canonicalize(options.device or None)
        results = measured(subjects, device, peers, options.rounds, not options.no_first)
        if options.save or options.compare:
            sit(results, subjects, device, options.rounds)
    except (ArgumentError, DeviceError, FileFormatError, Refused) as error:
        print(f"kernelforge bench: {error.args[0]}", file=sys.stderr)
        return 2
    found = changes(before, results) if before else []
    _write(options, results, found)
    if before and (differs := other_environment(before.environment, results.environment)):
        print("\nmeasured elsewhere before: " + "; ".join(differs), file=sys.stderr)
    return int(limit is not None and any(change.is_slower_by(limit) for change in found))


def measured(subjects: list[Subject], device: str, peers: list[str], rounds: int, first: bool) -> Results:
    """The results of all subjects; each row is told on standard error as soon as it is there."""
    sides = [Side(name, Worker, name, device) for name in (OURS, *peers)]
    try:
        results = Results(environment(sides[0].do("description"), peers))
        for subject in subjects:
            row = contest(sides, subject, rounds)
            if first and OURS in row.seconds:
                row.starts = first_calls(subject, device)
            results.rows.append(row)
            print(f"{row.subject}: done", file=sys.stderr, flush=True)
    finally:
        for side in sides:
            side.end()
    return results


def sit(results: Results, subjects: list[Subject], device: str, rounds: int) -> None:
    """Measures subjects in further processes, each of which goes through all of them: how far runs are apart."""
    for _ in range(SITTINGS):
        side = Side(OURS, Worker, OURS, device)
        try:
            for subject, row in zip(subjects, results.rows):
                if OURS in row.seconds:
                    row.sittings.append(sitting(side, subject, max(1, rounds // SITTINGS)))
        finally:
            side.end()


def environment(device: str, peers: list[str]) -> dict[str, str]:
    """Device, processors and versions."""
    here = {"device": device, "processors": str(threads()), "python": platform.python_version()}
    return here | versions([OURS, "numpy", *peers])


def _subjects(options: argparse.Namespace) -> list[Subject]:
    for text in options.subjects:
        if "::" not in text:
            parsed(text)
    shapes = [shapes_of(text) for text in options.shapes]
    return [Subject(text, s, dtype) for text in options.subjects for s in shapes for dtype in options.dtype]


def _peers(text: str) -> list[str]:
    wanted = [name for name in text.split(",") if name]
    for name in wanted:
        if name not in PEERS:
            raise ArgumentError(f"there is no peer {name}; there are {', '.join(PEERS)}")
        if not installed(name):
            raise ArgumentError(f"{name} is not installed: pip install {MODULES[name]}, or leave it out of --against")
    return wanted


def _part(text: str) -> float | None:
    """5% as 0.05."""
    if not text:
        return None
    try:
        return float(text.rstrip("%")) / 100
    except ValueError:
        raise ArgumentError(f"--fail-on takes percents such as 5%, not {text!r}") from None


def _write(options: argparse.Namespace, results: Results, found: list[Change]) -> None:
    if options.json:
        print(results.to_json())
    else:
        print(report.text(results, found))
    if options.save:
        results.save(options.save)
    if options.html:
        options.html.write_text(report.page(results, found))
