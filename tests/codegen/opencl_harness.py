"""Run OpenCL programs on a CPU runtime, directly through pyopencl.

`run_all` builds many programs as one source, since building is what takes the time, and returns the arrays each wrote.
"""

import dataclasses
import functools
import importlib.metadata
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes, from_storage, to_storage
from codegen.interpret import interpret
from codegen.ir import Kernel
from codegen.opencl.sources import joined
from codegen.program import Program
from codegen.target import CPU, Target
from kernelforge.kernels.opencl_devices import POCL_BY_LANE, dots
from tests.codegen.random_kernels import random_arrays

Arrays = Mapping[str, NDArray]
RELATIVE = {dtypes.float16: 2e-3, dtypes.bfloat16: 1.6e-2, dtypes.float32: 2e-5, dtypes.float64: 1e-9}


@functools.cache
def device() -> tuple[Any, Any]:
    """A context on the first CPU device and a queue in it; skips the test when there is no runtime.

    KF_OPENCL, as for the library, asks for another platform than the preferred one: pocl, or part of its name.
    """
    pytest.importorskip("pyopencl")
    wanted = os.environ.get("KF_OPENCL", "").lower()
    if wanted in ("", "intel"):
        _find_runtime()
    import pyopencl as cl

    wanted = "portable computing language" if wanted == "pocl" else wanted
    try:
        platforms = [p for p in cl.get_platforms() if wanted in p.name.lower()]
        devices = [d for p in platforms for d in p.get_devices(cl.device_type.CPU)]
    except cl.Error:
        devices = []
    if not devices:
        pytest.skip("no such OpenCL CPU runtime")
    context = cl.Context(devices[:1])
    return context, cl.CommandQueue(context)


def is_pocl() -> bool:
    return "portable" in device()[0].devices[0].platform.name.lower()


@functools.cache
def target() -> Target:
    """What code generation has to know of the device."""
    platform = device()[0].devices[0].platform.name
    facts = {"by_lane": POCL_BY_LANE, "aligned_halves": True} if is_pocl() else {}
    return dataclasses.replace(CPU, dots=dots(platform), **facts)


def _find_runtime() -> None:
    """Name the loader the driver that pip installed: its own registration may hold a wrong path."""
    if "OCL_ICD_VENDORS" in os.environ:
        return
    try:
        files = importlib.metadata.files("intel-opencl-rt") or []
        found = [Path(str(f.locate())).resolve() for f in files if f.name == "libintelocl.so"]
    except importlib.metadata.PackageNotFoundError:
        return
    if found and found[0].exists():
        folder = Path(tempfile.mkdtemp(prefix="icd-"))
        (folder / "cpu.icd").write_text(f"{found[0]}\n")
        os.environ["OCL_ICD_VENDORS"] = str(folder)


def run_all(programs: Sequence[Program], arrays: Sequence[Arrays]) -> list[dict[str, NDArray]]:
    """What each program, run on copies of its arrays, left in the parameters it writes; entries must differ."""
    import pyopencl as cl

    context, commands = device()
    # PoCL's optimiser is wrong about barriers in the branches of a condition
    options = ["-cl-opt-disable"] if any(p.local for p in programs) and is_pocl() else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.CompilerWarning)  # the compiler's log of successful builds
        built = cl.Program(context, joined(p.source for p in programs)).build(options)
    results = []
    for program, given in zip(programs, arrays):
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        buffers = [cl.Buffer(context, flags, hostbuf=given[p.name]) for p in program.params]
        kernel = getattr(built, program.entry)
        kernel.set_args(*buffers)
        cl.enqueue_nd_range_kernel(commands, kernel, program.global_size, program.local_size)
        left = {}
        for param, buffer in zip(program.params, buffers):
            if param.name in program.written:
                left[param.name] = np.empty_like(given[param.name])
                cl.enqueue_copy(commands, left[param.name], buffer)
        commands.finish()
        results.append(left)
    return results


def assert_right(programs: list[Program]) -> None:
    """Programs leave what the interpreter leaves of their kernels on whole numbers."""
    rng = np.random.default_rng(0)
    kernels = [program.kernel for program in programs if program.kernel is not None]
    given_arrays = [{p.name: to_storage(rng.integers(0, 99, p.size), p.dtype) for p in k.params} for k in kernels]
    for program, kernel, arrays, left in zip(programs, kernels, given_arrays, run_all(programs, given_arrays)):
        interpret(kernel, arrays)
        assert difference(left["out"], arrays["out"], kernel.params[0].dtype) is None, program.source


def assert_as_interpreted(kernels: Sequence[Kernel], programs: Sequence[Program]) -> None:
    """Programs leave what the interpreter leaves of their kernels on random values."""
    arrays = [random_arrays(kernel, seed) for seed, kernel in enumerate(kernels)]
    for kernel, given, got in zip(kernels, arrays, run_all(programs, arrays), strict=True):
        wanted = {name: array.copy() for name, array in given.items()}
        interpret(kernel, wanted)
        assert difference(got["out"], wanted["out"], kernel.stores[0].param.dtype) is None, kernel.name


def difference(actual: NDArray, expected: NDArray, dtype: DType) -> str | None:
    """What differs beyond rounding between two storage arrays, or None."""
    if not dtype.is_float:
        wrong = np.flatnonzero(actual != expected)
    else:
        with np.errstate(all="ignore"):
            actual, expected = (from_storage(x, dtype).astype(np.float64) for x in (actual, expected))
            scale = np.maximum(np.abs(expected), np.abs(expected[np.isfinite(expected)]).max(initial=1.0))
            same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
            wrong = np.flatnonzero(~(same | (np.abs(actual - expected) <= RELATIVE[dtype] * scale)))
    if not wrong.size:
        return None
    at = int(wrong[0])
    return f"{wrong.size} of {expected.size} differ, first at {at}: {actual[at]} instead of {expected[at]}"
