"""The command line.

kernelforge explain PROGRAM|DIR [--details] [arguments of the program]
kernelforge dump PROGRAM [-o DIR] [--language both|opencl|triton] [--assembly] [--target cuda:sm_90] [arguments]
kernelforge profile PROGRAM [-o TRACE.json] [--limit N] [arguments of the program]
kernelforge source EXPRESSION --shape x=64x128 [--dtype float32] [--target cuda:sm_90|opencl:cpu]
kernelforge diff A B [--html FILE]
kernelforge edit DIR KERNEL [--drop]
kernelforge replay DIR [--use-edited]
kernelforge bench SUBJECT ... [--shapes SHAPE ...] [--against torch,jax] [--save FILE] [--compare FILE]
kernelforge doctor

PROGRAM is a Python script, or MODULE:FUNCTION, which is called without arguments and whose results are computed.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import runpy
import shlex
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from kernelforge.bench import command as bench
from kernelforge.dumping import dump
from kernelforge.errors import ArgumentError, DTypeError, SettingError, ShapeError
from kernelforge.execution.edits import edits, manifest_of
from kernelforge.inspect import editing, profile, report, sourcing
from kernelforge.inspect.differing import difference
from kernelforge.inspect.explaining import details, explain
from kernelforge.replay.structures import tensors_in
from kernelforge.tensor import Tensor

FROZEN: Final = ("<frozen runpy>", "<frozen importlib._bootstrap>")  # files of frames that run programs
PASSED_ON: Final = "Arguments that are not known here are passed on to the program."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser, takes_more = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in takes_more:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    run_command: Callable[[Namespace, list[str]], int] = options.run
    try:
        status = run_command(options, rest)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads the output has seen enough, as in `kernelforge explain PROGRAM | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UserError as error:
        print(f"kernelforge {options.command}: {error}", file=sys.stderr)
        return 2
    except ProgramError as error:
        sys.excepthook(*error.args)
        return 1


class ProgramError(Exception):
    """The program that was run failed: type, error and traceback, from the program's own first frame on."""


class UserError(Exception):
    """What the user asked for cannot be done, in words."""


@contextmanager
def _asked() -> Iterator[None]:
    """Faults of what was asked for are told without a traceback; those of the user's program never come here."""
    try:
        yield
    except (ArgumentError, DTypeError, ShapeError, SettingError, OSError) as error:
        lines = [line for line in str(error).splitlines() if not line.startswith(("  in ", "  called at"))]
        raise UserError("\n".join(lines)) from None


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

    made = command("explain", _explain, "tell in ten lines what a program runs, and the largest wins", True)
    made.add_argument("--details", action="store_true", help="every kernel and every boundary, too")
    made = command("dump", _dump, "run a program and show every kernel it uses: sources, reasons, times", True)
    made.add_argument("-o", "--output", type=Path, default=Path("kernels"), help="the folder to write (kernels)")
    made.add_argument("--language", choices=["opencl", "triton", "both"], default="both", help="of the sources (both)")
    made.add_argument("--assembly", action="store_true", help="compile Triton's sources, too: a second each")
    made.add_argument("--target", help="cuda:sm_90, cuda:sm_80, cuda:sm_100 or hip:gfx942: implies --assembly")
    made = command("profile", _profile, "run a program and tell where its time goes, kernel by kernel", True)
    made.add_argument("-o", "--output", type=Path, help="file for the timeline, which Perfetto shows")
    made.add_argument("--limit", type=int, default=20, help="rows of the table (20)")
    made = command("source", _source, "print the kernels of an expression, for any target")
    made.add_argument("expression", help="of tensors, such as '(x @ w).softmax()'")
    made.add_argument("--shape", nargs="+", default=[], help="of each name: x=64x128, or in the names' order 64x128")
    made.add_argument("--dtype", default="float32", help="of the names (float32)")
    made.add_argument("--target", default="opencl:cpu", help="opencl:cpu, cuda:sm_90, hip:gfx942, or a device here")
    made = command("diff", _diff, "tell what differs between two dumps")
    made.add_argument("before", type=Path)
    made.add_argument("after", type=Path)
    made.add_argument("--html", type=Path, help="file for the same as a page")
    made = command("edit", _edit, "change the source of a kernel of a dump by hand")
    made.add_argument("folder", type=Path)
    made.add_argument("kernel", help="its name, or how the name begins")
    made.add_argument("--drop", action="store_true", help="forget the edit")
    made = command("replay", _replay, "run the program of a dump again")
    made.add_argument("folder", type=Path)
    made.add_argument("--use-edited", action="store_true", help="with the sources that were edited")
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
    with _asked():
        target = sourcing.target_named(options.target) if options.target else None
    is_gpu = target is not None and target.language == "triton"
    with dump(options.output, options.language, options.assembly or is_gpu, target if is_gpu else None):
        program()
    print(f"{options.output / 'index.html'} shows what ran")
    return 0


def _explain(options: Namespace, rest: list[str]) -> int:
    if Path(options.program).is_dir():
        with _asked():
            manifest = manifest_of(Path(options.program))
    else:
        program = program_of(options.program, rest)
        with tempfile.TemporaryDirectory() as folder:
            with dump(folder, language=""):
                program()
            manifest = manifest_of(Path(folder))
    print(explain(manifest))
    if options.details:
        print(f"\n{details(manifest)}")
    return 0


def _source(options: Namespace, rest: list[str]) -> int:
    with _asked():
        target = sourcing.target_named(options.target)
        made = sourcing.programs(options.expression, options.shape, target, options.dtype)
    print("\n".join(program.source for program in made))
    return 0


def _diff(options: Namespace, rest: list[str]) -> int:
    with _asked():
        found = difference(options.before, options.after)
    print(found.text())
    if options.html is not None:
        options.html.write_text(found.page())
    return 0


def _edit(options: Namespace, rest: list[str]) -> int:
    with _asked():
        path = (editing.drop if options.drop else editing.start)(options.folder, options.kernel)
    if options.drop:
        print(f"{path} is no more")
        return 0
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if editor and sys.stdin.isatty():
        subprocess.run([*shlex.split(editor), str(path)], check=False)
    print(f"{path} is used by `kernelforge replay {options.folder} --use-edited`, or with KF_EDITED={options.folder}")
    return 0


def _replay(options: Namespace, rest: list[str]) -> int:
    with _asked():
        manifest = manifest_of(options.folder)
    name, *arguments = manifest["command"] or [""]
    verdicts = editing.verdicts(options.folder) if options.use_edited else []
    if options.use_edited and not edits(options.folder):
        print(f"nothing of {options.folder} is edited: `kernelforge edit {options.folder} KERNEL` begins")
    found = editing.replayed(options.folder, program_of(name, arguments), options.use_edited)
    print(f"\n{found.summary()}\n\n{found.table(10)}")
    before = {kernel["entry"]: kernel["best"] for kernel in manifest["kernels"]}
    for verdict in verdicts:
        now = min((event.seconds for event in found.events if event.name == verdict.name), default=None)
        was = before.get(verdict.name)
        inside = f"; in the program {was * 1e3:.4f} ms -> {now * 1e3:.4f} ms at best" if now and was else ""
        print(f"\n{verdict}{inside}")
    return 0 if all(verdict.agrees for verdict in verdicts) else 1


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
            return computed(_function(module, function)())
        except UserError:
            raise
        except Exception as error:
            own = _own_part(error.__traceback__)
            raise ProgramError(type(error), error.with_traceback(own), own) from None
        finally:
            sys.argv, sys.path[:] = before

    return run


def _function(module: str, name: str) -> Callable[[], object]:
    try:
        found: Callable[[], object] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"there is no function {module}:{name}: {error}") from None
    if not callable(found):
        raise UserError(f"{module}:{name} is no function, but of type {type(found).__name__}")
    try:
        with suppress(ValueError):  # some functions do not tell what they take
            inspect.signature(found).bind()
    except TypeError as error:
        raise UserError(f"{module}:{name} is called without arguments: {error}") from None
    return found


def computed(result: object) -> object:
    """What a function gives, with all tensors in it computed."""
    found = tensors_in(result)
    if found:
        Tensor.realize(*found)
    return result


def _own_part(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of what runs programs."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename in (__file__, runpy.__file__, *FROZEN):
        traceback = traceback.tb_next
    return traceback
