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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codegen.program import Program
from codegen.target import Target
from kernelforge.errors import CompileError
from kernelforge.kernels.opencl_binary import machine_code
from kernelforge.kernels.triton_compile import compile_program

_SYMBOL: Final = re.compile(r"^[0-9a-f]+ <([^>]+)>:$", re.MULTILINE)
_VECTOR: Final = re.compile(r"%?\b[xyz]mm(\d+)\b")
_FRAME: Final = re.compile(r"\bsub\s+\$?(0x[0-9a-f]+),\s*%rsp|\bsub\s+rsp,\s*(0x[0-9a-f]+)")
_STACK: Final = re.compile(r"\bmov\w*ps?\s.*\(%rsp\)|\bvmov\w+\s.*\b(?:0x[0-9a-f]+)?\(%r[sb]p\)")
CAPABILITY: Final = 90


@dataclass(frozen=True)
class Machine:
    """Machine code.

    kind     "x86" or "sass"; ptx: the text it was assembled from, of a GPU's kernel
    figures  instructions, registers, spills, stack, shared (bytes), as far as they are known
    """

    kind: str
    text: str
    figures: dict[str, int]
    ptx: str = ""


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


def capability_of(target: Target) -> int:
    """The compute capability of a target, as 10 times major and minor: sm_90 is 90."""
    digits = target.name.removeprefix("sm_")
    return int(digits) if digits.isdecimal() else CAPABILITY


def assembled(program: Program, capability: int = CAPABILITY) -> Machine | None:
    """The machine code of a Triton program; None where Triton is not there or refuses it."""
    spec = importlib.util.find_spec("triton")
    if spec is None or spec.origin is None:
        return None
    try:
        binary = compile_program(program, capability)
    except CompileError:
        return None
    tools = Path(spec.origin).parent / "backends/nvidia/bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.code)
        file.flush()
        usage, text = (
            subprocess.run([tools / tool, flag, file.name], capture_output=True, text=True, check=False).stdout
            for tool, flag in (("cuobjdump", "--dump-resource-usage"), ("nvdisasm", "-c"))
        )
    figures = {key: int(number) for key, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    instructions = len(re.findall(r"/\*[0-9a-f]{4,}\*/", text))
    named = {"registers": figures.get("REG", 0), "stack": figures.get("STACK", 0), "spills": figures.get("LOCAL", 0)}
    return Machine("sass", text, {"instructions": instructions, **named, "shared": binary.shared}, binary.ptx)
