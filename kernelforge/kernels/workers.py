"""Processes that compile: drivers and Triton compile under one lock, so that threads do not help.

Comes in: programs.  Goes out: nothing but the binaries they leave in the disk cache, where this process finds them.
Workers are started when first needed and end when they are dismissed or with this process: their connection closes.
This process compiles as well, so that nothing waits for a worker to start.  KF_WORKERS bounds their number.
"""

from __future__ import annotations

import math
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing.connection import wait
from typing import Any, Final, NamedTuple

from codegen.program import Program
from codegen.target import Target
from kernelforge.settings import CACHE, SETTINGS, WORKERS

MOST: Final = 15
NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)
SILENT: Final = {"KF_COMPILE_APART": "0", "KF_DEBUG": "0", "KF_TUNE": "0", "KF_DUMP": "", "KF_WORKERS": "0"}
Batch = tuple[Program, ...]


class Order(NamedTuple):
    """What a worker is to compile: a program by names and numbers.

    types    the names of its parameters' types
    options  as in the program, and so are divisible
    """

    entry: str
    source: str
    types: tuple[str, ...]
    options: tuple[tuple[str, int], ...]
    divisible: tuple[str, ...]


class Worker:
    """One process, with the orders of at most one batch in work; its first answer says that it has started."""

    def __init__(self, compiler: str) -> None:
        switches = {s.variable: str(int(s.value) if isinstance(s.value, bool) else s.value) for s in SETTINGS.values()}
        paths = os.pathsep.join(path for path in sys.path if path)
        self._orders, theirs = socket.socketpair()  # a pipe would end programs that let SIGPIPE end them
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kernelforge.kernels.worker", compiler],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                env=os.environ | switches | SILENT | {"PYTHONPATH": paths},
            )

    @property
    def answers(self) -> Any:
        return self.process.stdout

    def send(self, orders: Sequence[Order]) -> bool:
        """Orders to be compiled together; False when the process is gone."""
        try:
            self._orders.sendall(pickle.dumps([tuple(order) for order in orders]), NO_SIGNAL)
        except OSError:
            return False
        return True

    def receive(self) -> bool:
        """True when the orders in work, or the start, succeeded; waits for it."""
        with suppress(EOFError, pickle.UnpicklingError):
            return bool(pickle.load(self.answers))
        return False

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """Lets the process end by itself."""
        with suppress(OSError):
            self._orders.close()
            self.answers.close()


class Crew:
    """This process and some others that compile with one compiler.

    compiler  the name of a device whose driver compiles, or of what Triton compiles for: "sm_90"
    """

    def __init__(self, compiler: str, workers: int) -> None:
        self.compiler, self.workers = compiler, min(workers, MOST)
        self.starting: list[Worker] = []
        self.idle: list[Worker] = []
        self.ending: list[Worker] = []  # kept until they are gone, or they would be nobody's children

    @property
    def size(self) -> int:
        """How many programs are compiled at a time."""
        return 1 + self.workers

    def start(self, wanted: int = MOST) -> None:
        """Begins to start the workers that are missing, `wanted` in all, which takes a second; returns at once."""
        self.idle = [worker for worker in self.idle if worker.alive]
        self.starting = [worker for worker in self.starting if worker.alive]
        missing = min(wanted, self.workers) - len(self.idle) - len(self.starting)
        with suppress(OSError):  # too many files or processes: those there are, and this one, do
            for _ in range(missing):
                self.starting.append(Worker(self.compiler))

    def dismiss(self) -> None:
        """Lets all workers end."""
        self.ending = [worker for worker in (*self.ending, *self.idle, *self.starting) if worker.alive]
        self.idle, self.starting = [], []
        for worker in self.ending:
            worker.end()

    def compile(
        self, programs: Iterable[Program], here: Callable[[Program], bool], deadline: float
    ) -> Iterator[Program]:
        """The programs that are compiled, as they get ready; none is begun after the deadline.

        A program whose compiler refused it, or died with it, is not among them.

        here  compiles in this process; the workers leave their binaries in the disk cache
        """
        for (program,) in self.compile_batches(((one,) for one in programs), lambda batch: here(*batch), deadline):
            yield program

    def compile_batches(
        self, batches: Iterable[Batch], here: Callable[[Batch], bool], deadline: float = math.inf
    ) -> Iterator[Batch]:
        """`compile` for programs that are built together, several at a time."""
        waiting = iter(batches)
        busy: dict[Any, tuple[Worker, Batch]] = {}
        try:
            while True:
                self._welcome()
                while self.idle and (batch := _next(waiting, deadline)) is not None:
                    self._send(self.idle.pop(), batch, busy)
                mine = _next(waiting, deadline)
                if mine is None and not busy:
                    return
                if mine is not None and here(mine):
                    yield mine
                for pipe in wait(list(busy), timeout=0 if mine is not None else None):
                    worker, batch = busy.pop(pipe)
                    done = worker.receive()
                    self.idle.append(worker)
                    if done:
                        yield batch
        finally:
            for worker, _ in busy.values():  # interrupted: their answers would be taken for those of later orders
                worker.process.kill()

    def _welcome(self) -> None:
        """Workers that have started become idle; those that ended are forgotten."""
        for worker in [w for w in self.starting if wait([w.answers], timeout=0)]:
            self.starting.remove(worker)
            if worker.receive():
                self.idle.append(worker)
        self.idle = [worker for worker in self.idle if worker.alive]

    def _send(self, worker: Worker, batch: Batch, busy: dict[Any, tuple[Worker, Batch]]) -> None:
        if worker.send(_orders(batch)):
            busy[worker.answers] = worker, batch


def _orders(batch: Sequence[Program]) -> list[Order]:
    types = [tuple(param.dtype.name for param in program.params) for program in batch]
    return [Order(p.entry, p.source, names, p.options, p.divisible) for p, names in zip(batch, types)]


def _next(batches: Iterator[Batch], deadline: float) -> Batch | None:
    return next(batches, None) if time.perf_counter() < deadline else None


def crew(device: str, target: Target) -> Crew:
    """Those that compile for a device: for Triton any process can, on all the processor's cores."""
    return _crew(target.name if target.language == "triton" else device, hands(target))


def hands(target: Target) -> int:
    """Cores of this machine that may compile for a device: those of another kind compile nothing themselves."""
    own = os.cpu_count() or 1
    return own if target.language == "triton" else min(own, target.cores)


@cache
def _crew(compiler: str, cores: int) -> Crew:
    """This process alone where no disk cache hands binaries over, or pipes cannot be waited for (Windows)."""
    allowed = cores - 1 if WORKERS.value < 0 else min(cores - 1, WORKERS.value)
    return Crew(compiler, allowed if CACHE.value and sys.executable and os.name == "posix" else 0)
