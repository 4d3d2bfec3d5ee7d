"""Triton as a compiler: a program's source becomes machine code.  Neither a GPU, a driver nor torch is needed.

Comes in: a `Program` in Triton and the GPU to compile for: the compute capability of NVIDIA's, the name of one of AMD's
("gfx942").  Goes out: a `Binary` with what a launch must know.  Arguments are pointers, each aligned to 16 bytes; where
sizes are open, ints follow them.
"""

from __future__ import annotations

import contextlib
import json
import linecache
import os
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from hashlib import sha256
from importlib import metadata
from types import ModuleType
from typing import Any, Final

from codegen.dtypes import DType
from codegen.program import Program
from codegen.triton.text import short_name
from kernelforge.errors import CompileError

ALIGNMENT: Final = 16  # bytes; what every buffer starts at a multiple of
_FAILED: Final = ("PTXASError", "CompilationError", "RuntimeError", "OutOfResources", "AssertionError")
_output: Final = threading.Lock()


@dataclass(frozen=True)
class Binary:
    """Machine code and what its launch needs.

    code         the cubin, or AMD's code object; ptx: the text it was assembled from, not kept on disk
    name         the function in it
    warps        threads per block are 32 times this
    shared       bytes of dynamic shared memory
    blocks       that make up one program: a cluster where it is more than 1
    scratch      bytes of global memory it wants per block; profile: as much for a profiler; almost always 0
    overlaps     it may start before the launch in front of it has ended
    cooperative  all its blocks must run at a time

    Its arguments are those of the source, then two more pointers: to the scratch and to the profiler's.
    """

    code: bytes
    ptx: str
    name: str
    warps: int
    shared: int
    blocks: int = 1
    scratch: int = 0
    profile: int = 0
    overlaps: bool = False
    cooperative: bool = False

    def packed(self) -> bytes:
        """All but the text, as bytes."""
        facts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("code", "ptx")}
        return json.dumps(facts).encode() + b"\n" + self.code

    @staticmethod
    def unpacked(content: bytes) -> Binary:
        """The binary that `packed` made bytes of."""
        facts, _, code = content.partition(b"\n")
        return Binary(code=code, ptx="", **json.loads(facts))


@cache
def triton_version() -> str:
    """The version of the Triton that compiles here."""
    try:
        return metadata.version("triton")  # which is much faster than to import it
    except metadata.PackageNotFoundError:
        import triton

        return str(triton.__version__)


def compile_program(program: Program, capability: int | str) -> Binary:
    """The machine code of a Triton program for a compute capability, 80 or 90 for example, or for a GPU of AMD's.

    raises CompileError when Triton or ptxas refuses it
    """
    types = [p.dtype for p in program.params]
    return compile_source(
        program.source, program.entry, types, dict(program.options), capability, program.divisible
    )


def compile_source(
    source: str,
    entry: str,
    params: Sequence[DType],
    options: dict[str, int],
    capability: int | str,
    divisible: Collection[str] = (),
) -> Binary:
    """The machine code of one function whose arguments are pointers to the given types, then ints.

    divisible  the names of ints that will be multiples of 16
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = load_function(source, entry)
    pointers = {name: f"*{short_name(dtype)}" for name, dtype in zip(function.arg_names, params)}
    described = ASTSource(
        fn=function,
        signature={name: pointers.get(name, "i32") for name in function.arg_names},
        constexprs={},
        attrs={
            (position,): [["tt.divisibility", ALIGNMENT]]
            for position, name in enumerate(function.arg_names)
            if name in pointers or name in divisible
        },
    )
    fused = bool(options.get("enable_fp_fusion", True))  # an int is refused
    is_nvidia = isinstance(capability, int)
    target = GPUTarget("cuda", capability, 32) if is_nvidia else GPUTarget("hip", capability, 64)
    with _captured() as printed:
        try:
            made = triton.compile(described, target=target, options=options | {"enable_fp_fusion": fused})
        except Exception as error:
            if type(error).__name__ not in _FAILED:
                raise
            name = f"sm_{capability}" if is_nvidia else str(capability)
            raise CompileError(entry, name, None, f"{error}\n{printed()[-2000:]}") from error
    data = made.metadata
    return Binary(
        code=made.asm["cubin" if is_nvidia else "hsaco"],
        ptx=made.asm["ptx" if is_nvidia else "amdgcn"],
        name=data.name,
        warps=data.num_warps,
        shared=data.shared,
        blocks=data.num_ctas,
        scratch=getattr(data, "global_scratch_size", None) or 0,
        profile=getattr(data, "profile_scratch_size", None) or 0,
        overlaps=bool(getattr(data, "launch_pdl", False)),
        cooperative=bool(getattr(data, "launch_cooperative_grid", False)),
    )


def load_function(source: str, entry: str) -> Any:
    """The jitted function of a source text, made without a file: Triton finds its lines through linecache."""
    name = f"<triton {entry} {sha256(source.encode()).hexdigest()[:16]}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    module = ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    return module.__dict__[entry]


@contextlib.contextmanager
def _captured() -> Iterator[Any]:
    """Keep what C and Python print from the terminal; yields a function that returns it.

    Triton prints the whole intermediate code when a stage fails.
    """
    with _output, tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        sys.stderr.flush()
        saved = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)

        def printed() -> str:
            sys.stdout.flush()
            sys.stderr.flush()
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            yield printed
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in zip((1, 2), saved):
                os.dup2(copy, descriptor)
                os.close(copy)
