"""Compiling OpenCL programs: one build for many kernels, binaries kept on disk, errors that name the kernel.

Comes in: programs.  Goes out: `Compiled` kernels.  All programs that neither this process nor the disk holds are built as
one source, several times faster than one by one; their names are made unique for that.  On disk a kernel's entry names
the binary it is in.  PoCL keeps binaries itself and takes up to a second to hand one out, so there only the process
remembers.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from codegen.opencl import joined
from codegen.program import Program
from kernelforge.errors import CompileError
from kernelforge.kernels import cache
from kernelforge.kernels.icd import cl

FORMAT: Final = "2"


@dataclass(slots=True)
class Compiled:
    """A program and its kernel object; `arguments` are those set last."""

    program: Program
    kernel: Any
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    arguments: list[Any] = field(default_factory=list)


class Builder:
    """The compiler of one device, with what it has built."""

    def __init__(self, context: Any, device: Any, platform: str, driver: str) -> None:
        self._context, self._device = context, device
        self._identity = (FORMAT, platform, device.name.strip(), driver)
        self._keeps_binaries = "portable computing" not in platform.lower()
        self._built: dict[str, Compiled] = {}
        self._binaries: dict[str, Any] = {}

    def compile(self, programs: Sequence[Program]) -> list[Compiled]:
        """The kernels of programs: from this process, the disk, or the driver's compiler.

        raises CompileError for the first program the driver refuses
        """
        keys = [cache.key_of(*self._identity, program.source, repr(program.grid)) for program in programs]
        missing: dict[str, Program] = {}
        for key, program in zip(keys, programs):
            if key in self._built:
                cache.statistics.memory += 1
            elif key not in missing and not self._load(key, program):
                missing[key] = program
        if missing:
            self._build(missing)
        return [self._built[key] for key in keys]

    def _add(self, key: str, program: Program, binary: Any, name: str) -> None:
        local = program.local or (1,) * len(program.grid)
        size = tuple(groups * items for groups, items in zip(program.grid, local))
        kernel = cl.Kernel(binary, name)
        self._built[key] = Compiled(program, kernel, size, local, [None] * len(program.params))

    # ---------------------------------------------------------------------------------------------- from disk

    def _load(self, key: str, program: Program) -> bool:
        """True when the kernel was found on disk."""
        record = cache.load(key) if self._keeps_binaries else None
        if record is None:
            return False
        binary_key, name = record.decode().split(" ")
        try:
            if binary_key not in self._binaries:
                content = cache.load(binary_key)
                if content is None:
                    return False
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._binaries[binary_key] = cl.Program(self._context, [self._device], [content]).build()
            self._add(key, program, self._binaries[binary_key], name)
        except cl.Error:  # a binary this driver does not take: build it again
            cache.forget(binary_key)
            return False
        cache.statistics.disk += 1
        return True

    def _save(self, keys: Sequence[str], binary: Any, names: Sequence[str]) -> None:
        if not self._keeps_binaries:
            return
        (content,) = binary.get_info(cl.program_info.BINARIES)
        binary_key = cache.key_of(*self._identity, "binary", *keys)
        cache.save(binary_key, content)
        for key, name in zip(keys, names):
            cache.save(key, f"{binary_key} {name}".encode())

    # ---------------------------------------------------------------------------------------------- compiling

    def _build(self, missing: dict[str, Program]) -> None:
        names = [f"{program.entry}_{key[:12]}" for key, program in missing.items()]
        sources = [renamed(program.source, program.entry, name) for program, name in zip(missing.values(), names)]
        try:
            binary = self._compiled(joined(sources) if len(sources) > 1 else sources[0])
        except cl.Error as error:
            if len(missing) == 1:
                ((_, program),) = missing.items()
                raise _refused(program, error) from None
            for key, program in missing.items():  # one by one, to keep the good ones and name the bad one
                self._build({key: program})
            return
        for (key, program), name in zip(missing.items(), names):
            self._add(key, program, binary, name)
        cache.statistics.compiled += len(missing)
        self._save(list(missing), binary, names)

    def _compiled(self, source: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cl.Program(self._context, source).build(devices=[self._device])


def renamed(source: str, entry: str, name: str) -> str:
    """The source with its kernel under another name.

    >>> renamed("__kernel void f(__global float *x) {}", "f", "g")
    '__kernel void g(__global float *x) {}'
    """
    return re.sub(rf"(__kernel\s+(?:\S+\s+)*?void\s+){re.escape(entry)}\b", rf"\g<1>{name}", source, count=1)


def _refused(program: Program, error: Any) -> CompileError:
    """What to tell of a program the driver refuses: its name, its source file, the first lines of the log."""
    path = cache.write_source(program.entry, program.source, ".cl")
    return CompileError(program.entry, "OpenCL", str(path), str(error))
