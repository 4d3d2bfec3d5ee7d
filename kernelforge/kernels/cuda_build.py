"""Programs to functions on a device: cubins from this process, the disk or Triton, many compiled at a time.

Comes in: programs in Triton.  Goes out: `Compiled` kernels.  Cubins depend on the source, the compute capability and
Triton's version, not on the GPU or the driver, so a machine without either can make them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from codegen.program import Program
from kernelforge.errors import CompileError
from kernelforge.kernels import cache
from kernelforge.kernels.cuda_devices import CudaDevice
from kernelforge.kernels.cuda_driver import Stream
from kernelforge.kernels.cuda_launch import NON_PORTABLE, Compiled, Loaded
from kernelforge.kernels.runtime import Memory
from kernelforge.kernels.triton_compile import Binary, compile_program, triton_version
from kernelforge.kernels.workers import crew

FORMAT: Final = "2"  # of the entries on disk
STATIC_LIMIT: Final = 48 << 10  # bytes of shared memory a kernel may have without asking
UNREADABLE: Final = tuple(
    f"CUDA_ERROR_{name}" for name in ("INVALID_IMAGE", "NO_BINARY_FOR_GPU", "UNSUPPORTED_PTX_VERSION")
)
UNREAD: Final = (
    "error: the driver ({driver}) does not take what Triton {triton} makes ({code}): install a newer driver, or a "
    "Triton whose assembler is no newer than it"
)
PARALLEL: Final = 3  # programs from which on it pays to start workers


def cache_key(program: Program, capability: int) -> str:
    """The name of a program's cubin in the disk cache."""
    types = ",".join(param.dtype.name for param in program.params)
    options = ",".join(f"{name}={value}" for name, value in program.options)
    facts = (types, options, ",".join(program.divisible))
    return cache.key_of("cuda", FORMAT, f"sm_{capability}", triton_version(), *facts, program.source)


def compile_to_cache(program: Program, capability: int) -> Binary:
    """A program's binary, compiled in this process and left in the disk cache; no GPU is needed.

    raises CompileError when Triton refuses it
    """
    try:
        binary = compile_program(program, capability)
    except CompileError as error:
        path = cache.write_source(program.entry, program.source, ".py")
        raise CompileError(program.entry, error.device, str(path) if path else None, error.log) from None
    cache.save(cache_key(program, capability), binary.packed())
    return binary


class Builder:
    """The compiler of one device, with what it has built."""

    def __init__(self, stream: Stream, device: CudaDevice, allocate: Callable[[int], Memory]) -> None:
        self._stream, self._device, self._allocate = stream, device, allocate
        self._compiled: dict[Program, Compiled] = {}
        self._loaded: dict[str, Loaded] = {}

    def compile(self, programs: Sequence[Program]) -> list[Compiled]:
        """One kernel per program: from this process, the disk, or Triton.

        raises CompileError for a program that Triton refuses or the device cannot hold; the others stay compiled
        """
        new = dict.fromkeys(program for program in programs if program not in self._compiled)
        cache.statistics.memory += len(programs) - len(new)
        keys = {program: cache_key(program, self._device.capability) for program in new}
        missing: dict[str, Program] = {}
        for program, key in keys.items():
            if key not in self._loaded and not self._load_kept(program, key):
                missing[key] = program
        if missing:
            self._build(missing)
        for program, key in keys.items():
            cuda, handle = self._stream.cuda, self._stream.handle
            self._compiled[program] = Compiled(cuda, handle, program, self._loaded[key], self._allocate)
        return [self._compiled[program] for program in programs]

    def _load_kept(self, program: Program, key: str) -> bool:
        """True when the cubin was found on disk."""
        content = cache.load(key)
        if content is None:
            return False
        self._load(program, key, Binary.unpacked(content))
        cache.statistics.disk += 1
        return True

    def _build(self, missing: dict[str, Program]) -> None:
        """Compiles programs, several at a time where there are many; the first that is refused raises at the end."""
        capability = self._device.capability
        made: dict[Program, Binary] = {}
        refused: list[CompileError] = []

        def here(program: Program) -> bool:
            try:
                made[program] = compile_to_cache(program, capability)
            except CompileError as error:
                refused.append(error)
                return False
            return True

        helpers = crew(self._stream.name, self._device.target)
        if len(missing) >= PARALLEL:
            helpers.start(len(missing) - 1)
        done = set(helpers.compile(missing.values(), here, math.inf))
        for key, program in missing.items():
            content = cache.load(key) if program in done and program not in made else None
            binary = made.get(program) or (Binary.unpacked(content) if content else None)
            if binary is None and not refused:  # a worker died over it, or refused it and only told that it did
                here(program)
                binary = made.get(program)
            if binary is not None:
                self._load(program, key, binary)
        cache.statistics.compiled += len(missing) - len(refused)
        if refused:
            raise refused[0]

    def _load(self, program: Program, key: str, binary: Binary) -> None:
        """Brings a cubin to the device.

        raises CompileError for one that needs more than the device has
        """
        stream, cuda, limit = self._stream, self._stream.cuda, self._device.facts.local_memory
        if binary.shared > limit:
            self._refuse(program, f"error: it needs {binary.shared:,} bytes of shared memory, the device has {limit:,}")
        stream.enter()
        found = cuda.cuModuleLoadData(binary.code)
        if found[0] and found[0].name in UNREADABLE:
            driver, code = self._device.facts.driver, found[0].name
            self._refuse(program, UNREAD.format(driver=driver, triton=triton_version(), code=code))
        module = stream.done(found, f"load the kernel {program.entry}")
        function = stream.done(
            cuda.cuModuleGetFunction(module, binary.name.encode()), f"find the kernel {program.entry}"
        )
        attributes = cuda.CUfunction_attribute
        most = stream.done(
            cuda.cuFuncGetAttribute(attributes.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function),
            f"tell the limits of the kernel {program.entry}",
        )
        if 32 * binary.warps > most:
            self._refuse(program, f"error: it runs {32 * binary.warps} threads, its registers allow {most}")
        if binary.shared > STATIC_LIMIT:
            wanted = attributes.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._set(function, wanted, binary.shared, program)
            much = cuda.CUfunc_cache.CU_FUNC_CACHE_PREFER_SHARED  # room for as many blocks as fit
            stream.done(cuda.cuFuncSetCacheConfig(function, much), f"set up the kernel {program.entry}")
        if binary.blocks > NON_PORTABLE:
            self._set(function, attributes.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1, program)
        self._loaded[key] = Loaded(function, binary)

    def _set(self, function: Any, attribute: Any, value: int, program: Program) -> None:
        result = self._stream.cuda.cuFuncSetAttribute(function, attribute, value)
        self._stream.done(result, f"set up the kernel {program.entry}")

    def _refuse(self, program: Program, log: str) -> None:
        path = cache.write_source(program.entry, program.source, ".py")
        raise CompileError(program.entry, self._stream.name, str(path) if path else None, log)
