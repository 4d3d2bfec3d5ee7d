"""python -m bench.gpu.absent [-o FILE] [--target sm_90] [--small]

Plans and compiles every kernel of a GPT-2 124M training step for a GPU that is not here, and tells what each takes.
Nothing runs: memory has no contents, launches are counted.  What is written says so.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bench.gpu.figures import Figures, faults, machine_of
from bench.gpu.gpt2 import Sizes, Trainer
from bench.gpu.lab import DEVICE
from bench.measure import table
from codegen.program import Program
from codegen.target import SM80, SM90, SM100, Target
from kernelforge.errors import CompileError
from kernelforge.kernels import device
from kernelforge.kernels.pool import Pool
from kernelforge.kernels.runtime import Block, Facts, Memory, Parts
from kernelforge.kernels.triton_compile import triton_version
from kernelforge.realize import synchronize

TARGETS = {target.name: target for target in (SM80, SM90, SM100)}
HEAD = ["kernel", "launches", "registers", "threads", "shared", "matrix", "copies", "accesses", "narrow", "faults"]
PAGE = """\
# The kernels of a GPT-2 124M training step

**Compiled for {target} with Triton {triton}, never run on hardware.** Made by `python -m bench.gpu.absent`; there are
no times, since there was no GPU. A step of {batch} x {length} tokens: {launches} launches of {kernels} different
kernels; {faulty} with faults.

Registers are of a thread, `shared` bytes of a block; `matrix` counts instructions of the matrix unit in machine code
(of warp groups, + the older ones), `copies` those that bring operands into shared memory, `accesses` those to global
memory, `narrow` the ones among them that move less than 16 bytes a thread, single values and statistics of rows
included. A fault is a spill, more shared memory or registers than there are, or a product on the matrix unit that does
without its newest instructions.

{rows}
"""


@dataclass(frozen=True)
class Counted:
    """A program that is launched by counting."""

    program: Program


class AbsentRuntime:
    """A device of which only the target is known: every size has kernels of its own."""

    opens = False

    def __init__(self, target: Target) -> None:
        self.name, self.target, self.facts = DEVICE, target, Facts(target.name, kind="gpu")
        self.pool = Pool(lambda n: Block(n, None, None), wait=lambda launch: None, limit=1 << 60)
        self.launches: Counter[Program] = Counter()

    def allocate(self, nbytes: int) -> Memory:
        return self.pool.take(nbytes)

    def parts(self, memory: Memory) -> Parts:
        return Parts(memory, lambda handle, start, nbytes: None)

    def adopt(self, array: NDArray) -> Memory | None:
        return None

    def copy_in(self, memory: Memory, array: NDArray) -> None:
        """There is no place for it."""

    def copy_out(self, memory: Memory, array: NDArray) -> None:
        array[...] = 0

    def compile(self, programs: Sequence[Program]) -> list[Counted]:
        return list(map(Counted, programs))

    def another(self, executable: Counted) -> Counted:
        return executable

    def launch(self, executable: Counted, memories: Sequence[Memory], timed: bool = False) -> float | None:
        self.launches[executable.program] += 1
        return 1.0 if timed else None

    def launch_all(self, launches: Iterable[tuple[Counted, Sequence[int]]], memories: Sequence[Memory]) -> None:
        for executable, _ in launches:
            self.launch(executable, ())

    def wait(self) -> None:
        """Nothing is under way."""

    def synchronize(self) -> None:
        """Nothing is under way."""


def step(sizes: Sizes, target: Target) -> Counter[Program]:
    """The programs that one training step launches, with how often."""
    runtime = AbsentRuntime(target)
    before, opened = device._OPENERS.get(DEVICE), device._opened.pop(DEVICE, None)
    device._OPENERS[DEVICE] = lambda: runtime
    try:
        trainer = Trainer(sizes)
        trainer.step()
        runtime.launches.clear()
        trainer.step()
        synchronize(DEVICE)  # nothing is left to ask the device for
    finally:
        device._opened.pop(DEVICE, None)
        device._OPENERS.pop(DEVICE)
        if before is not None:
            device._OPENERS[DEVICE] = before
        if opened is not None:
            device._opened[DEVICE] = opened
    return runtime.launches


def examined(program: Program, target: Target) -> tuple[Figures | None, list[str]]:
    """What a kernel takes, and what is wrong with it."""
    try:
        _, figures = machine_of(program, target)
    except CompileError as error:
        return None, [str(error).splitlines()[0]]
    return figures, faults(figures, target, matrix="tl.dot(" in program.source)


def report(sizes: Sizes, target: Target) -> tuple[str, int]:
    """The page, and how many kernels have faults."""
    launches = step(sizes, target)
    rows: list[list[Any]] = []
    faulty = 0
    for number, (program, count) in enumerate(launches.items()):
        figures, told = examined(program, target)
        faulty += bool(told)
        found = [""] * 7
        if figures is not None:
            f, matrix = figures, f"{figures.matrix} + {figures.older}" if figures.older else figures.matrix
            found = list(map(str, (f.registers, f.threads, f.shared, matrix, f.copies, f.accesses, f.narrow)))
        rows.append([program.entry, str(count), *found, "; ".join(told)])
        print(f"{number + 1} of {len(launches)}: {' | '.join(rows[-1])}", file=sys.stderr, flush=True)
    page = PAGE.format(
        target=target.name, triton=triton_version(), batch=sizes.batch, length=sizes.length,
        launches=launches.total(), kernels=len(launches), faulty=faulty or "none", rows=table(HEAD, rows),
    )  # fmt: skip
    return page, faulty


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.absent", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="file of the page (printed)")
    parser.add_argument("--target", choices=TARGETS, default="sm_90")
    parser.add_argument("--small", action="store_true", help="a tiny model")
    options = parser.parse_args()
    page, faulty = report(Sizes.tiny() if options.small else Sizes(), TARGETS[options.target])
    if options.output:
        options.output.write_text(page)
    else:
        print(page)
    return min(1, faulty)


if __name__ == "__main__":
    sys.exit(main())
