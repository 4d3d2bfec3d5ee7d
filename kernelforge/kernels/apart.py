"""The compiler of a driver in a process of its own, seen from the process that needs it.

Comes in: sources.  Goes out: binaries.  The process is started by the first source, never where kernels are on disk,
and is there for the next ones; when the compiler crashes, an error says so, and the next source starts another.  One
that ended as nobody asked is waited for (it is defunct till then) when the next source comes.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Final

from kernelforge.kernels import compiling
from kernelforge.kernels.compiling import IDLE, LENGTH, MADE, READY, received

MOST_SAID: Final = 2000  # letters of what a compiler said before it crashed
PATIENCE: Final = 20.0  # seconds to open the device in: what calls itself Python may be a program that embeds it


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
        can_start = hasattr(os, "posix_spawn") and hasattr(socket, "MSG_NOSIGNAL") and not getattr(sys, "frozen", False)
        self._there = can_start and bool(sys.executable)

    def build(self, source: str) -> bytes | None:
        """The binary of a source; None where there can be no such process.

        A process that ends while it is asked may have been killed before, so another one is asked the same once more.

        raises Refused
        """
        crash = ""
        with self._lock:
            while self._there:
                try:
                    return self._answer(source)
                except _Gone as gone:
                    crashed_before, crash = crash, self._lost(gone.idle) or crash
                    if crashed_before and not gone.idle:
                        raise Refused(f"error: the compiler crashed, in a process of its own: {crash}") from None
        return None

    def _answer(self, source: str) -> bytes:
        """The binary of a source.

        raises Refused; _Gone where the process is, or cannot be started
        """
        try:
            if not self._process.is_ours:  # but of the process this one is a fork of, or not started
                self._process.close()
                self._process = _Process()
                self._process.start(self._command)
            made, content = self._process.asked(source.encode())
        except (Exception, KeyboardInterrupt) as error:  # the answer would be taken for that to the next source
            if not isinstance(error, _Gone):
                self._process.kill()
                self._process.ended()
                self._process = _Process()
            raise
        if not made:
            raise Refused(content.decode(errors="replace"))
        return content

    def _lost(self, idle: bool) -> str:
        """Takes note that the process is gone, or could not be started; how it crashed, if it did."""
        process, self._process = self._process, _Process()
        why = process.ended()
        self._there = process.was_there
        return why if process.was_there and not idle else ""


class _Process:
    """One process; `was_there` once it has opened the device."""

    def __init__(self) -> None:
        self.number = self._parent = 0
        self.was_there = False
        self._ours: socket.socket | None = None
        self._said: IO[bytes] | None = None

    @property
    def is_ours(self) -> bool:
        return self._parent == os.getpid()

    def start(self, command: Sequence[str]) -> None:
        """Starts it, and waits until it has opened the device.

        raises _Gone where that is impossible
        """
        self._parent = os.getpid()
        with suppress(OSError):  # too many files or processes, no place for what it says, no such program
            self.was_there = self._is_ready(self._spawned(command))
        if not self.was_there:
            self.kill()
            raise _Gone

    def _spawned(self, command: Sequence[str]) -> socket.socket:
        """This process's end of a connection to a new one.

        raises OSError
        """
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115
            ends = [self._ours.fileno(), theirs.fileno(), self._said.fileno()]
            if min(ends) <= 2:  # a program without standard streams: they would be taken
                raise OSError
            self._ours.settimeout(None)
            for end in ends[:2]:  # whatever the program has made of sockets
                os.set_blocking(end, True)
            actions = [(os.POSIX_SPAWN_DUP2, old, new) for new, old in enumerate((ends[1], ends[1], ends[2]))]
            self.number = os.posix_spawn(sys.executable, [sys.executable, *command], os.environ, file_actions=actions)
        return self._ours

    def _is_ready(self, ours: socket.socket) -> bool:
        """Whether it says in time that it has opened the device, and nothing else."""
        until, said = time.monotonic() + PATIENCE, b""
        waiting = select.poll()
        waiting.register(ours, select.POLLIN)
        while said != READY:
            left = max(0.0, until - time.monotonic())
            part = ours.recv(len(READY) - len(said)) if waiting.poll(left * 1000) else b""
            said += part
            if not part or not READY.startswith(said):
                return False
        return True

    def asked(self, source: bytes) -> tuple[bool, bytes]:
        """Whether a source was compiled, and its binary or what the compiler said.

        raises _Gone
        """
        assert self._ours is not None
        with suppress(OSError):  # it is gone; its last words tell why
            self._ours.sendall(LENGTH.pack(len(source)) + source, socket.MSG_NOSIGNAL)
        kind = content = b""
        try:
            kind = received(self._ours.fileno(), len(READY))
            (length,) = LENGTH.unpack(received(self._ours.fileno(), LENGTH.size))
            content = received(self._ours.fileno(), length)
        except (OSError, struct.error):
            raise _Gone(idle=kind == IDLE) from None
        if len(content) < length:
            raise _Gone
        return kind == MADE, content

    def kill(self) -> None:
        """Ends it whatever it does."""
        if self.number > 0:
            with suppress(OSError):
                os.kill(self.number, signal.SIGKILL)

    def ended(self) -> str:
        """How it ended, and what it said last; waits for that."""
        code, said = None, b""
        if self.number > 0:
            with suppress(ChildProcessError):  # the program has waited for all its children
                code = os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1])
        if self._said is not None:
            self._said.seek(0)
            said = self._said.read(MOST_SAID)
        self.close()
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"{how}\n{said.decode(errors='replace')}".strip()

    def close(self) -> None:
        """Lets go of the connection and of what it said."""
        for end in (self._ours, self._said):
            if end is not None:
                end.close()
