"""python -m bench.gpu.audit [-o FILE] [--target sm_90] [--only SECTION ...] [--every N]

Compiles the kernels of everything that `python -m bench.gpu` times, and of the catalogue, for a GPU that need not be
here, and tells what is wrong with them: spills, too much shared memory, products off the matrix unit or on an older
part of it, matrix instructions that wait for each other, narrow accesses.  Nothing runs.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.gpu import attention, catalogue, products, rows
from bench.gpu.absent import TARGETS, examined
from bench.gpu.figures import programs_of
from bench.gpu.lab import Case
from bench.measure import table
from codegen.target import Target
from kernelforge import Context, Tensor
from kernelforge.kernels.triton_compile import triton_version

KINDS = ((True, False), (False, False), (True, True), (False, True))  # of attention: causal, backward
HEAD = ["program", "kernel", "registers", "spills", "shared", "matrix", "copies", "accesses", "narrow", "faults"]
Work = tuple[str, Callable[[], Sequence[Tensor]]]
PAGE = """\
# The kernels of what the GPU benchmarks time

**Compiled for {target} with Triton {triton}, never run on hardware.** Made by `python -m bench.gpu.audit`.

{counts}

A fault is a spill, more shared memory or registers than there are, a product on the matrix unit that does without its
newest instructions, or a warning of the assembler that these wait for each other. Kernels with faults:

{faulty}
"""


@dataclass
class Found:
    """Kernels of one section: programs, kernels, those on the matrix unit, and the rows of those with faults."""

    programs: int = 0
    kernels: int = 0
    matrix: int = 0
    faulty: list[list[str]] = field(default_factory=list)


def of_cases(cases: Sequence[Case]) -> list[Work]:
    """Names and results of what sections time."""

    def results(case: Case) -> Sequence[Tensor]:
        return case.our_results([Tensor.empty(*o.shape, dtype=o.kind) for o in case.operands])

    return [(case.name, lambda case=case: results(case)) for case in cases]  # type: ignore[misc]


def made(*shape: int, dtype: str = "bfloat16", high: int = 0) -> Tensor:
    """An input of the catalogue's, without contents."""
    return Tensor.empty(*shape, dtype=("int8" if dtype == "int8" else "int32") if high else dtype)


def sections() -> dict[str, list[Work]]:
    """What is compiled, by section."""
    cases = {
        "products of bfloat16": [products.product(*shape, "bfloat16") for shape in products.SHAPES],
        "products of float32": [products.product(*shape, "float32") for shape in products.SHAPES],
        "fused products": [products.fused(*shape) for shape in products.FUSED],
        "attention": [attention.attention(*shape, *kind) for kind in KINDS for shape in attention.SHAPES],
        "rows": rows.cases(rows.ROWS, rows.COLUMNS, rows.WORDS),
    }
    found = {name: of_cases(some) for name, some in cases.items()}
    found["catalogue"] = [(e.name, lambda e=e: e.results(made)) for e in catalogue.CATALOGUE]  # type: ignore[misc]
    return found


def audited(works: Sequence[Work], target: Target) -> Found:
    """What the kernels of some works are like; those of earlier ones are not told again."""
    found, seen = Found(), set()
    for name, results in works:
        with Context(TRAINING=1, EAGER=0):
            programs = [p for p in programs_of(target, *results()) if p not in seen]
        seen.update(programs)
        found.programs += 1
        for program in programs:
            figures, told = examined(program, target)
            found.kernels += 1
            found.matrix += "tl.dot(" in program.source
            f = figures
            taken = (f.registers, f.spills, f.shared, f.matrix, f.copies, f.accesses, f.narrow) if f else ("",) * 7
            row = [name, program.entry, *map(str, taken), "; ".join(told)]
            print(" | ".join(row), file=sys.stderr, flush=True)
            if told:
                found.faulty.append(row)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.audit", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="file of the page (printed)")
    parser.add_argument("--target", choices=TARGETS, default="sm_90")
    parser.add_argument("--only", nargs="+", choices=sections(), default=list(sections()), help="sections (all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth program of a section alone")
    options = parser.parse_args()
    found = {name: audited(sections()[name][:: options.every], TARGETS[options.target]) for name in options.only}
    counts = [[name, *map(str, (f.programs, f.kernels, f.matrix, len(f.faulty)))] for name, f in found.items()]
    faulty = [row for f in found.values() for row in f.faulty]
    page = PAGE.format(
        target=options.target, triton=triton_version(), faulty=table(HEAD, faulty) if faulty else "none.",
        counts=table(["section", "programs", "kernels", "on the matrix unit", "with faults"], counts),
    )  # fmt: skip
    if options.output:
        options.output.write_text(page)
    else:
        print(page)
    return min(1, len(faulty))


if __name__ == "__main__":
    sys.exit(main())
