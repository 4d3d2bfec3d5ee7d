"""The process of a worker: compiles what it is told until its pipe closes.

Comes in: pickled orders on standard input.  Goes out: True or False on standard output, whatever drivers print there.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import BinaryIO

from codegen.program import Program
from kernelforge.errors import CompileError
from kernelforge.kernels import Device, Runtime


def main() -> None:
    """Serve one parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it then closes the pipe
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    runtime: Runtime = Device[sys.argv[1]]
    _answer(answers, True)
    while True:
        try:
            entry, source = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            runtime.compile([Program(runtime.target.language, source, entry, (1,), (), frozenset())])
            done = True
        except CompileError:
            done = False
        _answer(answers, done)


def _answer(answers: BinaryIO, done: bool) -> None:
    pickle.dump(done, answers)
    answers.flush()


if __name__ == "__main__":
    main()
