"""Compiling OpenCL programs: one build for many kernels, binaries kept on disk, errors that name the kernel.

Comes in: programs.  Goes out: `Compiled` kernels.  All programs that neither this process nor the disk holds are built
as one source, several times faster than one by one; their names are made unique for that.  On disk a kernel's entry
names the binary it is in.  Other processes help with many large programs.  PoCL keeps binaries itself and takes up to a
second to hand one out, so there only the process remembers.

A driver takes half a MiB for a binary, so the process lets go of one as soon as nobody has a kernel of it any more, but
for those made last.  A program that comes back is read from disk.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

import numpy as np

from codegen.program import Program
from kernelforge.errors import CompileError
from kernelforge.kernels import cache
from kernelforge.kernels.apart import Apart, Refused
from kernelforge.kernels.opencl_binary import without_code
from kernelforge.kernels.opencl_direct import Direct, Entrances
from kernelforge.kernels.opencl_native import Native
from kernelforge.kernels.progress import Progress
from kernelforge.later import later
from kernelforge.settings import COMPILE_APART

if TYPE_CHECKING:
    from codegen.opencl import sources as texts
    from kernelforge.kernels.workers import Batch, Crew
else:
    later(globals(), texts="codegen.opencl.sources")

FORMAT: Final = "4"  # of the entries on disk
OPTIONS: Final = ""  # the defaults: -cl-fast-relaxed-math makes exp wrong by 3800 ulp and 1/0 a NaN
SHARED: Final = 120_000  # characters of source from which on other processes help: to start them takes as long
BATCH: Final = 30_000  # characters of source that are built together then
CHANCES: Final = 4  # a kernel interrupted by other processes now and then is not a long one
RECENT: Final = 64  # kernels made last that stay whether or not anybody has them
MOST_BYTES, MOST_FLOPS = 2 << 20, 8 << 20  # of kernels that may be short


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Built:
    """A kernel in a binary that the driver has taken."""

    binary: Any
    name: str


@dataclass(slots=True, weakref_slot=True)
class Compiled:
    """A program and its kernel object; `bound` are the serial numbers of the blocks set as its arguments.

    numbers  the int arguments after the arrays, and held: those that are set
    chances  how many times in a row it may still turn out not to be short; 0 for one that is known to be long
    direct   the kernel as a function, while it may be short and where it can be called
    native   the kernel as the C module calls it, where it can

    The driver does not retain arguments, and neither does this: a block that is gone can never be bound again, for its
    number is never used again, so its argument is set before the next launch.
    """

    program: Program
    built: Built
    kernel: Any
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    bound: list[int]
    chances: int
    direct: Direct | None
    native: Native | None
    numbers: tuple[int, ...] = ()
    held: list[tuple[int, ...]] = field(default_factory=lambda: [()])

    def sized(self, program: Program, numbers: tuple[int, ...]) -> Compiled:
        """The same kernel object with int arguments and a grid for some sizes."""
        chances = _chances(program)
        native = None if self.native is None else self.native.on(program.grid, chances > 0, numbers)
        return replace(
            self,
            program=program,
            global_size=program.global_size,
            local_size=program.local_size,
            chances=chances,
            native=native,
            numbers=numbers,
        )

    def set_numbers(self) -> None:
        """Sets the int arguments."""
        self.held[0] = ()  # whatever interrupts the next lines, they are set again
        for i, number in enumerate(self.numbers):
            self.kernel.set_arg(len(self.bound) + i, np.int32(number))
        self.held[0] = self.numbers


Found = dict[str, Built]
"""Kernels by the names of their entries on disk."""


def _chances(program: Program) -> int:
    return CHANCES if program.nbytes <= MOST_BYTES and program.flops <= MOST_FLOPS else 0


class Builder:
    """The compiler of one device, with what it has built.

    device     how the user calls it, for messages
    identity   everything about the device that binaries depend on
    keeps      True when binaries are to be kept on disk
    helpers    gives the processes that may help, which hand over binaries on disk
    libraries  in which another process finds the driver, to compile there; none: it compiles here

    entrances  where kernels can be called
    """

    def __init__(
        self,
        cl: Any,
        context: Any,
        handle: Any,
        device: str,
        identity: Sequence[str],
        keeps: bool,
        helpers: Callable[[], Crew] | None = None,
        libraries: Sequence[str] = (),
    ) -> None:
        self._cl, self._context, self._handle = cl, context, handle
        self._device, self._identity, self._keeps = device, (FORMAT, OPTIONS, *identity), keeps
        self._helpers = helpers if keeps else None
        name, version = handle.name.strip(), handle.driver_version.strip()
        self._apart = Apart(libraries, name, version, OPTIONS) if keeps and libraries else None
        self.entrances = Entrances(cl, handle)
        self._compiled: WeakValueDictionary[Program, Compiled] = WeakValueDictionary()
        self._built: WeakValueDictionary[str, Built] = WeakValueDictionary()
        self._binaries: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._recent: deque[Built] = deque(maxlen=RECENT)
        self._donor: Any = None  # the first program, a very small one

    def compile(self, programs: Sequence[Program]) -> list[Compiled]:
        """One kernel per program: from this process, the disk, or the driver's compiler.

        raises CompileError for the first program the driver refuses; those before it stay compiled
        """
        known = [(program, self._compiled.get(program)) for program in dict.fromkeys(programs)]
        found = {program: compiled for program, compiled in known if compiled is not None}
        new = [program for program, compiled in known if compiled is None]
        cache.statistics.memory += len(programs) - len(new)
        keys = {program: cache.key_of(*self._identity, program.source) for program in new}
        built: Found = {}  # what nobody has yet is held here
        missing: dict[str, Program] = {}
        for program, key in keys.items():
            if not self._load(key, built):
                missing[key] = program
        if _length(missing.values()) > SHARED and self._helpers is not None:
            missing = self._shared(missing, self._helpers(), built)
        if _length(missing.values()) > 2 * BATCH and sys.stderr.isatty():
            self._build_told(missing, built)
        elif missing:
            self._build(missing, built)
        for program, key in keys.items():
            found[program] = self._compiled[program] = self._executable(program, built[key])
        return [found[program] for program in programs]

    def _executable(self, program: Program, built: Built) -> Compiled:
        size, local = program.global_size, program.local_size
        try:
            kernel = self._cl.Kernel(built.binary, built.name)
        except self._cl.Error as error:  # the source does not define what it says
            raise self._refusal(program, error) from None
        chances = _chances(program)
        direct = self.entrances.direct(program, built.binary, built.name) if chances else None
        native = self.entrances.entered(program, kernel, chances > 0)
        return Compiled(program, built, kernel, size, local, [0] * len(program.params), chances, direct, native)

    def try_calls(self, executable: Compiled, works: Callable[[Direct], bool], threads: int) -> None:
        """Finds out by a compiled kernel whether kernels can be called, by so many threads."""
        built = executable.kernel
        self.entrances.try_out(self._identity, executable.program, built.program, built.function_name, works, threads)

    def another(self, executable: Compiled) -> Compiled:
        """The same program as a kernel object of its own, with arguments of its own."""
        kernel = self._cl.Kernel(executable.kernel.program, executable.kernel.function_name)
        direct = None if executable.direct is None else executable.direct.apart()
        found = replace(executable, kernel=kernel, bound=[0] * len(executable.bound), direct=direct, held=[()])
        if found.numbers:
            found.set_numbers()
        return found

    # ---------------------------------------------------------------------------------------------- the disk

    def _load(self, key: str, found: Found) -> bool:
        """True when the kernel was found, in this process or on disk."""
        known = self._built.get(key)
        if known is not None:
            found[key] = known
            return True
        record = cache.load(key) if self._keeps else None
        if record is None:
            return False
        binary_key, name = record.decode().split(" ")
        binary = self._binaries.get(binary_key)
        if binary is None:
            content = cache.load(binary_key)
            if content is None:
                return False
            try:
                self._binaries[binary_key] = binary = self._accepted(content)
            except self._cl.Error:  # a binary that this driver refuses heals by being built again
                cache.forget(binary_key)
                return False
            self._first(binary)
        self._keep({key: Built(binary, name)}, found)
        cache.statistics.disk += 1
        return True

    def _keep(self, made: Found, found: Found) -> None:
        """Notes kernels that are new to this process, for this call and for the next ones."""
        found.update(made)
        self._built.update(made)
        self._recent.extend(made.values())

    def _accepted(self, content: bytes) -> Any:
        return self._quietly(self._cl.Program(self._context, [self._handle], [content]))

    def _save(self, keys: Sequence[str], binary: Any, names: Sequence[str]) -> None:
        content = self._content(binary)
        binary_key = cache.key_of(*self._identity, "binary", *keys)
        cache.save(binary_key, content)
        for key, name in zip(keys, names):
            cache.save(key, f"{binary_key} {name}".encode())

    # ---------------------------------------------------------------------------------------------- the compiler

    def _shared(self, missing: dict[str, Program], crew: Crew, found: Found) -> dict[str, Program]:
        """Builds programs in batches, here and in other processes; those that are missing still."""
        keys = {program: key for key, program in missing.items()}

        def here(batch: Batch) -> bool:
            self._build({keys[program]: program for program in batch}, found)
            return True

        if not crew.workers:
            return missing
        batches = batched(list(keys))
        crew.start(len(batches) // 2)
        progress = Progress(len(missing), _length(keys))
        try:
            for batch in crew.compile_batches(batches, here):
                progress.advance(len(batch), _length(batch))
        finally:
            progress.end()
            crew.dismiss()
        return {key: program for key, program in missing.items() if key not in found and not self._load(key, found)}

    def _build_told(self, missing: dict[str, Program], found: Found) -> None:
        """Compiles programs in batches, and says how far it is."""
        keys = {program: key for key, program in missing.items()}
        progress = Progress(len(missing), _length(keys))
        try:
            for batch in batched(list(keys)):
                self._build({keys[program]: program for program in batch}, found)
                progress.advance(len(batch), _length(batch))
        finally:
            progress.end()

    def _build(self, missing: dict[str, Program], found: Found) -> None:
        """Compiles programs together; one by one when that fails, to keep the good ones and name the bad one."""
        names = [f"{program.entry}_{key[:12]}" for key, program in missing.items()]
        sources = [renamed(program.source, program.entry, name) for program, name in zip(missing.values(), names)]
        try:
            source = sources[0] if len(sources) == 1 else texts.joined(sources)
            binary = self._made(source, names)
        except (self._cl.Error, Refused, ValueError) as error:  # ValueError: a source that cannot be joined
            if len(missing) == 1:
                raise self._refusal(next(iter(missing.values())), error) from None
            for key, program in missing.items():
                self._build({key: program}, found)
            return
        self._keep({key: Built(binary, name) for key, name in zip(missing, names)}, found)
        cache.statistics.compiled += len(missing)
        if self._keeps:
            self._save(list(missing), binary, names)
        _release_heap()

    def _made(self, source: str, names: Sequence[str]) -> Any:
        """A built program, without intermediate code where the driver takes that.

        raises Refused, or the driver's error
        """
        content = self._apart.build(source) if self._apart is not None and COMPILE_APART.value else None
        if content is not None:
            return self._slim(content, names) or self._first(self._accepted(content))
        binary = self._quietly(self._cl.Program(self._context, source))
        return (self._slim(self._content(binary), names) if self._keeps else None) or self._first(binary)

    def _first(self, binary: Any) -> Any:
        """The program itself, which becomes the donor if it is the first."""
        self._donor = self._donor or binary
        return binary

    def _slim(self, content: bytes, names: Sequence[str]) -> Any:
        """A built program without intermediate code; None where the driver does not take that, and for the first."""
        slimmed = None if self._donor is None else without_code(content, self._content(self._donor))
        if slimmed is None:
            return None
        try:
            slim = self._accepted(slimmed)
            for name in names:
                self._cl.Kernel(slim, name)
        except self._cl.Error:
            return None
        return slim

    def _content(self, binary: Any) -> bytes:
        content: bytes
        (content,) = binary.get_info(self._cl.program_info.BINARIES)
        return content

    def _quietly(self, program: Any) -> Any:
        """The program, built; pyopencl would warn of every log that is not empty, and Intel's never is."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return program.build(OPTIONS, [self._handle])

    def _refusal(self, program: Program, error: Exception) -> CompileError:
        path = cache.write_source(program.entry, program.source, ".cl")
        return CompileError(program.entry, self._device, str(path) if path else None, str(error))


def _release_heap() -> None:
    """Gives back what a compiler has freed, which the C library would keep: tens of MiB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def _length(programs: Iterable[Program]) -> int:
    """Characters of all sources."""
    return sum(len(program.source) for program in programs)


def batched(programs: Sequence[Program]) -> list[Batch]:
    """Programs in batches of about equal size, largest programs first."""
    count = -(-_length(programs) // BATCH)
    ordered = sorted(programs, key=lambda program: -len(program.source))
    return [tuple(ordered[start::count]) for start in range(min(count, len(ordered)))]


def renamed(source: str, entry: str, name: str) -> str:
    """The source with its kernel under another name.

    >>> renamed("__kernel void f(__global float *x) {}", "f", "g")
    '__kernel void g(__global float *x) {}'
    """
    return re.sub(rf"(\bvoid\s+){re.escape(entry)}(?=\s*\()", rf"\g<1>{name}", source, count=1)
