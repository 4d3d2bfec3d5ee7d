"""The command line.

kernelforge dump PROGRAM [-o DIR] [--language both|opencl|triton] [--assembly] [arguments of the program]
kernelforge profile PROGRAM [-o TRACE.json] [--limit N] [arguments of the program]
kernelforge bench SUBJECT ... [--shapes SHAPE ...] [--against torch,jax] [--save FILE] [--compare FILE]
kernelforge doctor

PROGRAM is a Python script, or MODULE:FUNCTION, which is called without arguments.
"""

from __future__ import annotations

import argparse
import importlib
import runpy
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from kernelforge.bench import command as bench
from kernelforge.dumping import dump
from kernelforge.inspect import profile, report

PASSED_ON: Final = "Arguments that are not known here are passed on to the program."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser, takes_more = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in takes_more:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    run_command: Callable[[Namespace, list[str]], int] = options.run
    try:
        return run_command(options, rest)
    except UserError as error:
        print(f"kernelforge {options.command}: {error}", file=sys.stderr)
        return 2


class UserError(Exception):
    """What the user asked for cannot be done, in words."""


def _parser() -> tuple[argparse.ArgumentParser, set[str]]:
    """The parser, and the commands that pass arguments on."""
    parser = argparse.ArgumentParser(prog="kernelforge", description="Look inside kernelforge.")
    commands = parser.add_subparsers(dest="command", required=True)
    takes_more: set[str] = set()

    def command(name: str, run_it: Callable[[Namespace, list[str]], int], help: str, program: bool = False) -> Any:
        made = commands.add_parser(name, help=help, epilog=PASSED_ON if program else None)
        made.set_defaults(run=run_it)
        if program:
            made.add_argument("program", help="the Python script to run, or MODULE:FUNCTION")
            takes_more.add(name)
        return made

    made = command("dump", _dump, "run a program and show every kernel it uses: sources, reasons, times", True)
    made.add_argument("-o", "--output", type=Path, default=Path("kernels"), help="the folder to write (kernels)")
    made.add_argument("--language", choices=["opencl", "triton", "both"], default="both", help="of the sources (both)")
    made.add_argument("--assembly", action="store_true", help="compile Triton's sources for sm_90, too: a second each")
    made = command("profile", _profile, "run a program and tell where its time goes, kernel by kernel", True)
    made.add_argument("-o", "--output", type=Path, help="file for the timeline, which Perfetto shows")
    made.add_argument("--limit", type=int, default=20, help="rows of the table (20)")
    bench.add_options(command("bench", _bench, "measure expressions, beside other libraries or earlier runs"))
    command("doctor", _doctor, "tell what devices there are and what is missing")
    return parser, takes_more


def _bench(options: Namespace, rest: list[str]) -> int:
    return bench.run(options)


def _doctor(options: Namespace, rest: list[str]) -> int:
    print(report())
    return 0


def _dump(options: Namespace, rest: list[str]) -> int:
    program = program_of(options.program, rest)
    with dump(options.output, options.language, options.assembly):
        program()
    print(f"{options.output / 'index.html'} shows what ran")
    return 0


def _profile(options: Namespace, rest: list[str]) -> int:
    program = program_of(options.program, rest)
    with profile() as found:
        program()
    print(f"\n{found.summary()}")
    if found.events:
        print(f"\n{found.table(options.limit)}")
    if options.output is not None:
        found.save(options.output)
        print(f"\nthe timeline is in {options.output}; https://ui.perfetto.dev shows it")
    return 0


def program_of(name: str, arguments: Sequence[str]) -> Callable[[], object]:
    """What runs a script as `python script arguments` would, or calls a function of a module.

    raises UserError where there is none
    """
    module, _, function = name.rpartition(":")
    script = Path(name)
    if not script.is_file() and not (module and function.isidentifier()):
        raise UserError(f"there is no script {name}")

    def run() -> object:
        before = sys.argv, sys.path[:]
        sys.argv = [name, *arguments]
        sys.path.insert(0, str(script.resolve().parent) if script.is_file() else str(Path.cwd()))
        try:
            if script.is_file():
                return runpy.run_path(name, run_name="__main__")
            return _function(module, function)()
        finally:
            sys.argv, sys.path[:] = before

    return run


def _function(module: str, name: str) -> Callable[[], object]:
    try:
        found: Callable[[], object] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"there is no function {module}:{name}: {error}") from None
    return found
