"""The process of a worker: compiles what it is told until its pipe closes.

Comes in: pickled orders on standard input.  Goes out: True or False on standard output, whatever drivers print there.
The programs of a user are not imported here.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from codegen.dtypes import as_dtype
from codegen.ir import Param
from codegen.program import Program
from kernelforge.errors import CompileError
from kernelforge.kernels import Device, Runtime
from kernelforge.kernels.cuda_build import compile_to_cache
from kernelforge.kernels.workers import Order


def main() -> None:
    """Serve one parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it then closes the pipe
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    compile_together = compiler(sys.argv[1])
    _answer(answers, True)
    while True:
        try:
            orders = [Order(*parts) for parts in pickle.load(sys.stdin.buffer)]
        except EOFError:
            return
        try:
            compile_together(orders)
            done = True
        except CompileError:
            done = False
        _answer(answers, done)


def compiler(name: str) -> Callable[[Sequence[Order]], Any]:
    """What compiles orders and leaves the binaries in the disk cache: Triton for "sm_90", else a device's driver."""
    if name.startswith("sm_"):
        capability = int(name.removeprefix("sm_"))
        return lambda orders: [compile_to_cache(_program("triton", order), capability) for order in orders]
    runtime: Runtime = Device[name]
    return lambda orders: runtime.compile([_program(runtime.target.language, order) for order in orders])


def _program(language: str, order: Order) -> Program:
    params = tuple(Param(f"x{number}", as_dtype(name), 0) for number, name in enumerate(order.types))
    program = Program(language, order.source, order.entry, (1,), params, frozenset(), options=order.options)
    return replace(program, divisible=order.divisible)


def _answer(answers: BinaryIO, done: bool) -> None:
    pickle.dump(done, answers)
    answers.flush()


if __name__ == "__main__":
    main()
