"""What a GPU is tried with when it is opened: small kernels whose results are known.

Comes in: a runtime.  Goes out: nothing, or the reason why the device is not used; whether its copy engine works with
the Triton that is here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, load
from codegen.program import Program
from kernelforge.errors import CompileError, DeviceError
from kernelforge.kernels.runtime import Runtime

_HEAD: Final = """\
import triton
import triton.language as tl


@triton.jit
"""
_SIZE: Final = 256
_SOURCE: Final = f"""{_HEAD}\
def kf_probe(x, y, h):
    i = tl.program_id(0) * 64 + tl.arange(0, 64)
    v = tl.load(x + i)
    tl.store(y + i, v * v + 0.5)
    tl.store(h + i, v.to(tl.float16))
"""
_ROWS, _COLUMNS, _TILE = 48, 80, 32  # the last tiles reach beyond the array
_TILES: Final = f"""{_HEAD}\
def kf_probe_tiles(y, x):
    tiles = tl.make_tensor_descriptor(
        x, shape=[{_ROWS}, {_COLUMNS}], strides=[{_COLUMNS}, 1], block_shape=[{_TILE}, {_TILE}])
    i, j = tl.program_id(0) // 3 * 32, tl.program_id(0) % 3 * 32
    rows, columns = i + tl.arange(0, 32), j + tl.arange(0, 32)
    mask = (rows[:, None] < {_ROWS}) & (columns[None, :] < {_COLUMNS})
    tl.store(y + rows[:, None] * {_COLUMNS} + columns[None, :], tiles.load([i, j]), mask=mask)
"""
_NO_COPIES: Final = "kernelforge: {name}: the copy engine is not used (KF_TMA=0): {reason}"


def try_out(runtime: Runtime) -> None:
    """raises DeviceError unless a small kernel gives the right values on the device"""
    sizes = (("x", dtypes.float32), ("y", dtypes.float32), ("h", dtypes.float16))
    params = tuple(Param(name, dtype, _SIZE) for name, dtype in sizes)
    options = (("num_warps", 1), ("num_stages", 1))
    program = Program("triton", _SOURCE, "kf_probe", (_SIZE // 64,), params, frozenset(("y", "h")), options=options)
    x = np.arange(_SIZE, dtype=np.float32) / 8
    arrays: list[NDArray[Any]] = [x, np.zeros_like(x), np.zeros(_SIZE, np.float16)]
    _run(runtime, program, arrays)
    if not (np.array_equal(arrays[1], x * x + np.float32(0.5)) and np.array_equal(arrays[2], x.astype(np.float16))):
        raise DeviceError(f"device {runtime.name} ({runtime.facts.device}) computes wrong results: it is not used")


def copies_tiles(runtime: Runtime) -> bool:
    """True when tiles that the copy engine brings are right; else one line says why they are not used."""
    size = _ROWS * _COLUMNS
    i, y, x = Axis("i", size), Param("y", dtypes.float16, size), Param("x", dtypes.float16, size)
    meaning = Kernel("kf_probe_tiles", (y, x), (Store(y, i.index, load(x, i.index), order=(i,)),))
    options = (("num_warps", 4), ("num_stages", 1))
    program = Program(
        "triton", _TILES, "kf_probe_tiles", (6,), (y, x), meaning.written, meaning, options=options
    )
    values = np.arange(size).astype(np.float16)
    arrays = [np.zeros_like(values), values]
    try:
        _run(runtime, program, arrays)
        reason = "" if np.array_equal(arrays[0], values) else "it brings wrong values"
    except CompileError as error:
        reason = str(error).splitlines()[0]
    if reason:
        print(_NO_COPIES.format(name=runtime.name, reason=reason), file=sys.stderr)
    return not reason


def _run(runtime: Runtime, program: Program, arrays: Sequence[NDArray[Any]]) -> None:
    """One launch on arrays, those of which that are written hold the results afterwards."""
    memories = [runtime.allocate(array.nbytes) for array in arrays]
    is_result = [param.name in program.written for param in program.params]
    for memory, array, written in zip(memories, arrays, is_result):
        if not written:
            runtime.copy_in(memory, array)
    (executable,) = runtime.compile([program])
    runtime.launch(executable, memories)
    for memory, array, written in zip(memories, arrays, is_result):
        if written:
            runtime.copy_out(memory, array)
    runtime.synchronize()
