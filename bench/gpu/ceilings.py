"""What the device can do at most: copying memory, and the fastest large product that can be had."""

from bench.gpu.lab import Lab, Operand
from bench.gpu.table import Row
from bench.gpu.timing import seconds_of, theirs
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, load
from codegen.program import Program
from kernelforge.kernels.runtime import Memory

SIZE = 1 << 29  # float32 elements: far more than any cache holds
BLOCK = 4096
SIDE = 8192
COPY = f"""\
import triton
import triton.language as tl


@triton.jit
def copy(out, x):
    i = tl.program_id(0) * {BLOCK} + tl.arange(0, {BLOCK})
    tl.store(out + i, tl.load(x + i))
"""


def measure(lab: Lab, section: str) -> None:
    size, side = (1 << 16, 64) if lab.small else (SIZE, SIDE)
    lab.results.add(_copy(lab, section, size))
    if lab.torch is not None:
        torch = lab.torch
        x = torch.ones(size, device=lab.place)
        y = torch.empty_like(x)
        row = Row(section, "copy by torch", theirs=theirs(torch, lambda: y.copy_(x)), peer="torch", nbytes=8 * size)
        _raise_ceiling(lab, "copy", row.nbytes, row.theirs)
        lab.results.add(row)
        a, b = (lab.array(Operand((side, side)), seed) for seed in (0, 1))
        row = Row(section, f"product of bfloat16 by torch, {side} x {side} x {side}", peer="torch", flops=2 * side**3)
        row.theirs = theirs(torch, lambda: a @ b)
        _raise_ceiling(lab, "flops", row.flops, row.theirs)
        lab.results.add(row)


def _copy(lab: Lab, section: str, size: int) -> Row:
    runtime = lab.runtime
    i, out, x = Axis("i", size), Param("out", dtypes.float32, size), Param("x", dtypes.float32, size)
    meaning = Kernel("copy", (out, x), (Store(out, i.index, load(x, i.index), order=(i,)),))
    options = (("num_warps", 8), ("num_stages", 1))
    program = Program("triton", COPY, "copy", (size // BLOCK,), (out, x), meaning.written, meaning, options=options)
    (executable,) = runtime.compile([program])
    memories: list[Memory] = [runtime.allocate(4 * size) for _ in program.params]
    row = Row(section, "copy", seconds_of(runtime, [(executable, memories)]), nbytes=8 * size)
    _raise_ceiling(lab, "copy", row.nbytes, row.ours)
    return row


def _raise_ceiling(lab: Lab, name: str, amount: float, seconds: float | None) -> None:
    if seconds:
        lab.results.ceilings[name] = max(lab.results.ceilings.get(name, 0.0), amount / seconds)
