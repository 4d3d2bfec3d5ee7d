"""Machine code of compiled kernels as text, and what it takes: registers, stack, spills.

Comes in: executables of the processor's OpenCL driver, or cubins.  Goes out: `Machine`s.  The tools that read machine
code (objdump; nvdisasm and cuobjdump, which come with Triton) need not be there: then there is no text.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codegen.program import Program
from codegen.target import Target
from kernelforge.errors import CompileError
from kernelforge.kernels.opencl_binary import machine_code
from kernelforge.kernels.triton_compile import Binary, compile_program

_SYMBOL: Final = re.compile(r"^[0-9a-f]+ <([^>]+)>:$", re.MULTILINE)
_VECTOR: Final = re.compile(r"%?\b[xyz]mm(\d+)\b")
_FRAME: Final = re.compile(r"\bsub\s+\$?(0x[0-9a-f]+),\s*%rsp|\bsub\s+rsp,\s*(0x[0-9a-f]+)")
_STACK: Final = re.compile(r"\bmov\w*ps?\s.*\(%rsp\)|\bvmov\w+\s.*\b(?:0x[0-9a-f]+)?\(%r[sb]p\)")
CAPABILITY: Final = 90
_INSTRUCTION: Final = {
    "x86": re.compile(r"^\s+[0-9a-f]+:\s+(\w+)", re.MULTILINE),
    "sass": re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)"),
    "amdgcn": re.compile(r"^\t([a-z]+_\w+)", re.MULTILINE),
}


@dataclass(frozen=True)
class Machine:
    """Machine code.

    kind     "x86", "sass" of NVIDIA's GPUs, "amdgcn" of AMD's; ptx: the text that sass was assembled from
    figures  instructions, registers, spills, stack, shared (bytes), as far as they are known
    """

    kind: str
    text: str
    figures: dict[str, int]
    ptx: str = ""

    @property
    def opcodes(self) -> Counter[str]:
        """How often each instruction of a GPU occurs, by its name with modifiers: "LDG.E.128"."""
        return Counter(_INSTRUCTION[self.kind].findall(self.text))

    def count(self, pattern: str) -> int:
        """How many instructions match a regular expression from their first letter on."""
        return sum(n for opcode, n in self.opcodes.items() if re.match(pattern, opcode))


def disassembled(executables: Sequence[Any]) -> dict[int, Machine]:
    """The machine code of kernels of the processor's driver, by position; those whose form is unknown are left out."""
    tool = shutil.which("objdump")
    codes: dict[bytes, list[int]] = {}
    for number, executable in enumerate(executables):
        if tool is not None and (code := _code(executable)) is not None:
            codes.setdefault(code, []).append(number)
    found: dict[int, Machine] = {}
    for code, numbers in codes.items():
        functions = _functions(str(tool), code)
        for number in numbers:
            name = executables[number].kernel.function_name
            text = next((text for symbol, text in functions.items() if name in symbol), None)
            if text is not None:
                found[number] = Machine("x86", text, _figures(text))
    return found


def _code(executable: Any) -> bytes | None:
    """The object file in an executable's binary, if it is one of Intel's."""
    try:
        (binary,) = executable.kernel.program.binaries
    except (AttributeError, TypeError, ValueError):
        return None
    return machine_code(binary)


def _functions(tool: str, code: bytes) -> dict[str, str]:
    """The functions of an object file as text, by symbol."""
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(code)
        file.flush()
        command = [tool, "-d", "--no-show-raw-insn", "-w", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    pieces = _SYMBOL.split(text)
    return dict(zip(pieces[1::2], pieces[2::2]))


def _figures(text: str) -> dict[str, int]:
    lines = [line for line in text.splitlines() if "\t" in line]
    frames = [int(a or b, 16) for a, b in _FRAME.findall(text)]
    return {
        "instructions": len(lines),
        "registers": len(set(_VECTOR.findall(text))),
        "spills": sum(1 for line in lines if _STACK.search(line)),
        "stack": max(frames, default=0),
    }


def architecture_of(target: Target) -> int | str:
    """What Triton compiles for: NVIDIA's compute capability, as 10 times major and minor; the name of AMD's GPU."""
    if target.name.startswith("gfx"):
        return target.name
    digits = target.name.removeprefix("sm_")
    return int(digits) if digits.isdecimal() else CAPABILITY


def assembled(program: Program, architecture: int | str = CAPABILITY) -> Machine | None:
    """The machine code of a Triton program; None where Triton is not there or refuses it."""
    if importlib.util.find_spec("triton") is None:
        return None
    try:
        return described(compile_program(program, architecture), architecture)
    except CompileError:
        return None


def described(binary: Binary, architecture: int | str) -> Machine:
    """What the tools that come with Triton say of its machine code."""
    if isinstance(architecture, str):
        return _described_by_text(binary)
    spec = importlib.util.find_spec("triton")
    assert spec is not None and spec.origin is not None
    tools = Path(spec.origin).parent / "backends/nvidia/bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.code)
        file.flush()
        usage, text = (
            subprocess.run([tools / tool, flag, file.name], capture_output=True, text=True, check=False).stdout
            for tool, flag in (("cuobjdump", "--dump-resource-usage"), ("nvdisasm", "-c"))
        )
    figures = {key: int(number) for key, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    machine = Machine("sass", text, {}, binary.ptx)
    spills = sum(n for opcode, n in machine.opcodes.items() if re.match(r"LDL|STL", opcode))
    machine.figures.update(
        instructions=machine.opcodes.total(),
        registers=figures.get("REG", 0),
        stack=figures.get("STACK", 0) + figures.get("LOCAL", 0),
        spills=spills,
        shared=binary.shared,
    )
    return machine


def _described_by_text(binary: Binary) -> Machine:
    """The same of an AMD GPU's, whose assembly text ends with these figures."""
    names = "vgpr_count|vgpr_spill_count|private_segment_fixed_size"
    found = dict(re.findall(rf"^\s+\.({names}):\s+(\d+)", binary.ptx, re.MULTILINE))
    machine = Machine("amdgcn", binary.ptx, {})
    machine.figures.update(
        instructions=machine.opcodes.total(),
        registers=int(found.get("vgpr_count", 0)),
        stack=int(found.get("private_segment_fixed_size", 0)),
        spills=int(found.get("vgpr_spill_count", 0)),
        shared=binary.shared,
    )
    return machine
