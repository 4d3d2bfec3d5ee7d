"""What kernels take of a GPU that need not be here: registers, spills, shared memory, instructions that matter.

Comes in: tensors that are not computed yet, and a target.  Goes out: programs, and `Figures` read from the machine code
that Triton compiles them to.  Nothing runs.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from codegen.generate import generate
from codegen.program import Program
from codegen.rewrites.rewrite import prepare
from codegen.target import Target
from kernelforge import Tensor
from kernelforge.calls import expanded
from kernelforge.dumping.machine import Machine, architecture_of, described
from kernelforge.fusion.fuse import groups
from kernelforge.fusion.lower import lower
from kernelforge.kernels.triton_compile import compile_program
from kernelforge.node import is_stored
from kernelforge.planning.plan import rewritten, storage

REGISTERS = 65_536  # 32-bit ones of a multiprocessor
PATTERNS = {  # by kind of machine code: matrix instructions, copies into shared memory, accesses and the narrow ones
    "sass": {
        "matrix": r"HGMMA|QGMMA|IGMMA|UTC\w*MMA|DMMA",
        "older": r"HMMA|IMMA|QMMA",
        "copies": r"UTMALDG|LDGSTS",
        "accesses": r"(LDG|STG|LDGSTS)\b",
        "narrow": r"(LDG|STG|LDGSTS)\b(?!.*\.128)",
    },
    "amdgcn": {
        "matrix": r"v_mfma",
        "older": r"v_wmma",
        "copies": r"buffer_load_\w+_lds|global_load_lds",
        "accesses": r"(global|buffer)_(load|store)_",
        "narrow": r"(global|buffer)_(load|store)_(?!dwordx4)",
    },
}


@dataclass(frozen=True)
class Figures:
    """What one kernel takes.

    registers         of a thread; threads: of a block
    spills            instructions that move registers to memory and back; stack: bytes of a thread
    shared            bytes of a block
    matrix, older     instructions of the matrix unit: of groups of warps (on AMD's: of one), of the older kind
    copies            instructions of copies into shared memory
    serialised        warnings of the assembler that matrix instructions wait for each other
    accesses, narrow  instructions that load and store global memory, and those of less than 16 bytes
    """

    registers: int
    threads: int
    spills: int
    stack: int
    shared: int
    instructions: int
    matrix: int
    older: int
    copies: int
    accesses: int
    narrow: int
    serialised: int = 0

    def asdict(self) -> dict[str, int]:
        return asdict(self)


def programs_of(target: Target, *tensors: Tensor) -> list[Program]:
    """The kernels that compute tensors together on a target, each once, in order."""
    with rewritten((), expanded([x._node for x in tensors]), target) as simple:
        wanted = [node for node in dict.fromkeys(map(storage, simple)) if not is_stored(node) and node.size]
        found = (generate(prepare(lower(group).kernel), target) for group in groups(wanted, target))
        return list(dict.fromkeys(found))


def machine_of(program: Program, target: Target) -> tuple[Machine, Figures]:
    """A program's machine code, and what it takes.

    raises CompileError when Triton refuses it
    """
    architecture = architecture_of(target)
    binary = compile_program(program, architecture)
    machine = described(binary, architecture)
    counts = {name: machine.count(pattern) for name, pattern in PATTERNS[machine.kind].items()}
    taken = {name: machine.figures[name] for name in ("registers", "spills", "stack", "shared", "instructions")}
    width = 64 if machine.kind == "amdgcn" else 32
    waits = serialised(machine, target) if counts["matrix"] else 0
    return machine, Figures(threads=binary.warps * width, serialised=waits, **taken, **counts)


def serialised(machine: Machine, target: Target) -> int:
    """How often the assembler says that it has matrix instructions of groups of warps wait where the text does not."""
    if "wgmma" not in machine.ptx:
        return 0
    from triton.backends.nvidia.compiler import get_ptxas  # which of those that it comes with it uses is its matter

    tool = get_ptxas(architecture_of(target)).path
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "kernel.ptx")
        text.write_text(machine.ptx)
        command = [tool, "-v", f"--gpu-name={target.name}a", text, "-o", f"{folder}/kernel.cubin"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return len(re.findall(r"wgmma.*serialized|wgmma.wait_group is injected", done.stdout + done.stderr))


def faults(figures: Figures, target: Target, matrix: bool = False) -> list[str]:
    """What is wrong with a kernel, in words.

    matrix  True when its products are to use the matrix unit
    """
    found: list[str] = []
    if figures.spills or figures.stack:
        found.append(f"{figures.spills} spills, {figures.stack} bytes of stack")
    if figures.serialised:
        found.append(f"{figures.serialised} times matrix instructions wait for each other")
    if figures.shared > target.scratch:
        found.append(f"{figures.shared:,} bytes of shared memory of {target.scratch:,}")
    if not target.is_amd and figures.registers * figures.threads > REGISTERS:
        found.append(f"{figures.registers} registers in {figures.threads} threads")
    newer = target.is_amd or target.has_warpgroups
    if matrix and not (figures.matrix or (figures.older and not newer)):
        found.append(f"{'the older' if figures.older else 'no'} instructions of the matrix unit")
    return found


def all_figures(target: Target, tensors: Sequence[Tensor]) -> dict[str, Figures]:
    """The figures of every kernel of some tensors, by its name and number."""
    programs = programs_of(target, *tensors)
    return {f"{number} {p.entry}": machine_of(p, target)[1] for number, p in enumerate(programs)}
