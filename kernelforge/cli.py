"""The command line.

kernelforge dump SCRIPT [-o DIR] [--language opencl|triton|both] [arguments of the script]
kernelforge doctor
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from kernelforge.inspect import report
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
    commands.add_parser("doctor", help="tell what devices there are and what is missing")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "dump":
        parser.error(f"unknown arguments: {' '.join(rest)}")
    if options.command == "doctor":
        print(report())
        return 0
    return dump_script(options.script, options.output, options.language, rest)


def dump_script(script: Path, folder: Path, language: str, arguments: Sequence[str]) -> int:
    """Run a script as `python script arguments` would, with the sources of its kernels written to folder."""
    if not script.is_file():
        print(f"kernelforge dump: there is no script {script}", file=sys.stderr)
        return 2
    before = sys.argv, sys.path[:]
    sys.argv, sys.path[0:0] = [str(script), *arguments], [str(script.resolve().parent)]
    try:
        with Context(DUMP=str(folder), DUMP_LANGUAGE=language):
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before
    files = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    print(f"{len(files)} sources in {folder}")
    return 0
