"""The command line.

kernelforge dump SCRIPT [-o DIR] [--language opencl|triton|both] [arguments of the script]
kernelforge profile SCRIPT [-o TRACE.json] [--limit N] [arguments of the script]
kernelforge doctor
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from kernelforge.inspect import profile, report
from kernelforge.settings import Context


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="kernelforge", description="Look inside kernelforge.")
    commands = parser.add_subparsers(dest="command", required=True)
    dump = commands.add_parser(
        "dump",
        help="run a script and write the source of every kernel it uses",
        epilog="Arguments that are not known here are passed on to the script.",
    )
    dump.add_argument("script", type=Path, help="the Python script to run")
    dump.add_argument("-o", "--output", type=Path, default=Path("kernels"), help="folder for the sources (kernels)")
    dump.add_argument("--language", choices=["opencl", "triton", "both"], default="", help="default: the device's own")
    watch = commands.add_parser(
        "profile",
        help="run a script and tell where its time goes, kernel by kernel",
        epilog="Arguments that are not known here are passed on to the script.",
    )
    watch.add_argument("script", type=Path, help="the Python script to run")
    watch.add_argument("-o", "--output", type=Path, help="file for the timeline, which Perfetto shows")
    watch.add_argument("--limit", type=int, default=20, help="rows of the table (20)")
    commands.add_parser("doctor", help="tell what devices there are and what is missing")
    options, rest = parser.parse_known_args(arguments)
    if options.command == "doctor":
        if rest:
            parser.error(f"unknown arguments: {' '.join(rest)}")
        print(report())
        return 0
    if not options.script.is_file():
        print(f"kernelforge {options.command}: there is no script {options.script}", file=sys.stderr)
        return 2
    if options.command == "profile":
        return profile_script(options.script, options.output, options.limit, rest)
    return dump_script(options.script, options.output, options.language, rest)


def dump_script(script: Path, folder: Path, language: str, arguments: Sequence[str]) -> int:
    """Run a script with the sources of its kernels written to folder."""
    with Context(DUMP=str(folder), DUMP_LANGUAGE=language):
        run(script, arguments)
    files = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    print(f"{len(files)} sources in {folder}")
    return 0


def profile_script(script: Path, trace: Path | None, limit: int, arguments: Sequence[str]) -> int:
    """Run a script, then print where its time went."""
    with profile() as found:
        run(script, arguments)
    print(f"\n{found.summary()}")
    if found.events:
        print(f"\n{found.table(limit)}")
    if trace is not None:
        found.save(trace)
        print(f"\nthe timeline is in {trace}; https://ui.perfetto.dev shows it")
    return 0


def run(script: Path, arguments: Sequence[str]) -> None:
    """Run a script as `python script arguments` would."""
    before = sys.argv, sys.path[:]
    sys.argv, sys.path[0:0] = [str(script), *arguments], [str(script.resolve().parent)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before
