"""Triton without a GPU: run sources in Triton's interpreter over NumPy memory, compile them, read their machine code.

Whether `triton` interprets or compiles is decided when it is imported, so each has a worker process of its own; this
process imports neither.  `check` compares a program with the interpreter of kernels, `compiled` gives a `Machine` with
the figures and opcodes of the cubin.
"""

import atexit
import importlib.util
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, from_storage
from codegen.interpret import interpret
from codegen.program import Program

Arrays = Mapping[str, NDArray]
MOST_SHARED = {80: 166_912, 90: 232_448}
TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-5, "float64": 1e-10}


def check(program: Program, arrays: Arrays) -> None:
    """Run a program in Triton's interpreter and assert that it computes what its kernel means.

    arrays are not changed
    """
    assert program.kernel is not None
    expected = {name: array.copy() for name, array in arrays.items()}
    interpret(program.kernel, expected)
    actual = run(program, arrays)
    for param in program.params:
        if param.name in program.written:
            close(actual[param.name], expected[param.name], param.dtype, program.source)


def close(actual: NDArray, expected: NDArray, dtype: DType, source: str, scale: float = 0.0) -> None:
    """Assert equality of integers, near equality of floats: relative to the largest value, or to `scale` if larger.

    A sum that cancels is as exact as its terms, whose size only the caller may know.
    """
    got, want = from_storage(actual, dtype), from_storage(expected, dtype)
    if not dtype.is_float:
        np.testing.assert_array_equal(got, want, err_msg=source)
        return
    finite = np.abs(want[np.isfinite(want)]).astype(np.float64)
    allowed = TOLERANCE[dtype.name]
    atol = allowed * max(scale, max(finite, default=0.0))
    np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=allowed, atol=atol, err_msg=source)


def run(program: Program, arrays: Arrays, numbers: Sequence[int] = ()) -> dict[str, NDArray]:
    """The arrays after a launch in Triton's interpreter; numbers are the ints of a program for open sizes."""
    memory = [(p.dtype.name, np.ascontiguousarray(arrays[p.name])) for p in program.params]
    job = _worker(True).submit(
        _call, "tests.codegen.triton_interpreter", "run", program.source, program.entry, program.grid, memory,
        tuple(numbers),
    )  # fmt: skip
    try:
        results = job.result()
    except Exception as error:
        raise AssertionError(f"{error}\n{program.source}") from error
    return {p.name: array for p, array in zip(program.params, results)}


@dataclass(frozen=True)
class Machine:
    """What the disassembler says of a cubin.

    opcodes    how often each opcode occurs, modifiers included: "LDG.E.128"
    registers  per thread; stack: bytes; shared: bytes of dynamic shared memory
    """

    opcodes: Counter[str]
    registers: int
    stack: int
    shared: int
    warps: int
    ptx: str

    def count(self, pattern: str) -> int:
        """How many instructions match a regular expression from their first letter on."""
        return sum(n for opcode, n in self.opcodes.items() if re.match(pattern, opcode))

    def assert_sound(self, capability: int) -> None:
        """No register spills, and a block that fits on a multiprocessor."""
        assert not self.count("LDL|STL") and not self.stack, "registers spill"
        assert self.shared <= MOST_SHARED[capability], f"{self.shared} bytes of shared memory"
        assert self.registers * 32 * self.warps <= 65_536, f"{self.registers} registers on {self.warps} warps"

    def assert_wide(self) -> None:
        """Every access to global memory moves 16 bytes a thread."""
        narrow = {o: n for o, n in self.opcodes.items() if re.match(r"(LDG|STG)\b(?!.*\.128)", o)}
        assert not narrow, f"narrow accesses: {narrow}"

    def assert_matrix_unit(self, instruction: str = "HGMMA") -> None:
        """Matrix instructions, not waited for one by one."""
        used = self.count(instruction)
        assert used, f"no {instruction}: {self.opcodes.most_common(12)}"
        if instruction == "HGMMA":
            assert self.count(r"WARPGROUP\.DEPBAR") <= used // 2 + 1, "the matrix instructions are serialised"


def compiled(program: Program, capability: int) -> Machine:
    """The machine code of a program for a compute capability."""
    job = _worker(False).submit(
        _call,
        "kernelforge.kernels.triton_compile",
        "compile_source",
        program.source,
        program.entry,
        [p.dtype for p in program.params],
        dict(program.options),
        capability,
        program.divisible,
    )
    binary = job.result()
    spec = importlib.util.find_spec("triton")
    assert spec is not None and spec.origin is not None
    tools = Path(spec.origin).parent / "backends/nvidia/bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.code)
        file.flush()
        usage, text = (
            subprocess.run([tools / tool, flag, file.name], check=True, capture_output=True, text=True).stdout
            for tool, flag in (("cuobjdump", "--dump-resource-usage"), ("nvdisasm", "-c"))
        )
    figures = {key: int(number) for key, number in re.findall(r"(REG|STACK):(\d+)", usage)}
    return Machine(
        Counter(re.findall(r"/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)", text)),
        figures["REG"],
        figures["STACK"],
        binary.shared,
        binary.warps,
        binary.ptx,
    )


# ---------------------------------------------------------------------------------------------- the workers


@cache
def _worker(interprets: bool) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start, initargs=(interprets,))
    atexit.register(pool.shutdown, wait=False, cancel_futures=True)
    return pool


def _start(interprets: bool) -> None:
    """Settle what `triton` is in a worker, before its first import."""
    assert "triton" not in sys.modules
    os.environ["TRITON_INTERPRET"] = str(int(interprets))


def _call(module: str, function: str, *args: Any) -> Any:
    """Call a function of a module that only a worker may import; what it raises becomes an error that can travel."""
    try:
        return getattr(importlib.import_module(module), function)(*args)
    except Exception as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from None
