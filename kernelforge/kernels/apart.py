"""The compiler of a driver in a process of its own, seen from the process that needs it.

Comes in: sources.  Goes out: binaries.  The process is started by the first source, never where kernels are on disk,
and is there for the next ones; when the compiler crashes, an error says so, and the next source starts another.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Final

from kernelforge.kernels import compiling
from kernelforge.kernels.compiling import IDLE, LENGTH, MADE, READY, received

MOST_SAID: Final = 2000  # letters of what a compiler said before it crashed


class Refused(RuntimeError):
    """The compiler refuses a source, or has crashed over it."""


class _Gone(Exception):
    """The process has ended; idle: as nobody asked for anything, so it is no fault of the source."""

    def __init__(self, idle: bool = False) -> None:
        self.idle = idle


class Apart:
    """A process that compiles, started when it is needed.

    libraries  in which the driver may be; name, version: of the device
    """

    def __init__(self, libraries: Sequence[str], name: str, version: str, options: str) -> None:
        self._command = ["-I", "-S", compiling.__file__, options, name, version, *libraries]
        self._lock, self._process = threading.Lock(), _Process()
        self._there = os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False)

    def build(self, source: str) -> bytes | None:
        """The binary of a source; None where there can be no such process.

        raises Refused
        """
        with self._lock:
            while self._there:
                try:
                    return self._answer(source)
                except _Gone as gone:
                    self._lost(gone.idle)
        return None

    def _answer(self, source: str) -> bytes:
        """The binary of a source.

        raises Refused; _Gone where the process is, or cannot be started
        """
        if not self._process.is_ours:  # but of the process this one is a fork of, or not started
            self._process = _Process()
            self._process.start(self._command)
        try:
            made, content = self._process.asked(source.encode())
        except (Exception, KeyboardInterrupt) as error:  # the answer would be taken for that to the next source
            if not isinstance(error, _Gone):
                self._process.kill()
                self._process = _Process()
            raise
        if not made:
            raise Refused(content.decode(errors="replace"))
        return content

    def _lost(self, idle: bool) -> None:
        """Takes note that the process is gone, or could not be started.

        raises Refused where that is a source's fault
        """
        process, self._process = self._process, _Process()
        why = process.ended()
        self._there = process.was_there
        if process.was_there and not idle:
            raise Refused(f"error: the compiler crashed, in a process of its own: {why}")


class _Process:
    """One process; `was_there` once it has opened the device."""

    def __init__(self) -> None:
        self.number = self._parent = 0
        self.was_there = False
        self._questions = self._answers = -1
        self._said: IO[bytes] | None = None

    @property
    def is_ours(self) -> bool:
        return self._parent == os.getpid()

    def start(self, command: Sequence[str]) -> None:
        """Starts it.

        raises _Gone where that is impossible
        """
        theirs, self._questions = os.pipe()
        self._answers, back = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        places = [(theirs, 0), (back, 1), (self._said.fileno(), 2)]
        actions = [(os.POSIX_SPAWN_DUP2, old, new) for old, new in places]
        try:
            if min(theirs, back, self._said.fileno()) <= 2:  # a program without standard streams: they would be taken
                raise _Gone
            self.number = os.posix_spawn(sys.executable, [sys.executable, *command], os.environ, file_actions=actions)
        except OSError:
            raise _Gone from None
        finally:
            os.close(theirs)
            os.close(back)
        self._parent = os.getpid()

    def asked(self, source: bytes) -> tuple[bool, bytes]:
        """Whether a source was compiled, and its binary or what the compiler said.

        raises _Gone
        """
        rest = memoryview(LENGTH.pack(len(source)) + source)
        try:
            while rest:
                rest = rest[os.write(self._questions, rest) :]
        except OSError:
            pass  # it is gone; its last words tell why
        kind = received(self._answers, len(READY))
        if kind == READY:
            self.was_there = True
            kind = received(self._answers, len(READY))
        head = received(self._answers, LENGTH.size)
        if len(head) < LENGTH.size:
            raise _Gone(idle=kind == IDLE)
        (length,) = LENGTH.unpack(head)
        content = received(self._answers, length)
        if len(content) < length:
            raise _Gone
        return kind == MADE, content

    def kill(self) -> None:
        """Ends it whatever it does."""
        if self.number > 0:
            with suppress(OSError):
                os.kill(self.number, signal.SIGKILL)
        self.ended()

    def ended(self) -> str:
        """How it ended, and what it said last."""
        code, said = None, b""
        if self.number > 0:
            with suppress(ChildProcessError):  # the program has waited for all its children
                code = os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1])
        if self._said is not None:
            self._said.seek(0)
            said = self._said.read(MOST_SAID)
            self._said.close()
        for pipe in (self._questions, self._answers):
            with suppress(OSError):
                os.close(pipe)
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"{how}\n{said.decode(errors='replace')}".strip()
