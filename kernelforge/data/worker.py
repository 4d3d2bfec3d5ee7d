"""One worker process of a loader: what runs in it, and the parent's handle on it.

Comes in: a source and tasks. Goes out: one answer per task, in order. The parent and the worker share a pipe for small
messages and a few slots of memory for batches. Either notices the other's death by the pipe closing, so neither waits
for ever. It knows no samplers and no tensors.
"""

import pickle
import random
import signal
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from kernelforge.data.source import END, Source
from kernelforge.data.transport import Shared, Slot
from kernelforge.data.worker_info import WorkerInfo, set_worker_info

Init: TypeAlias = Callable[[int], Any]

PATIENCE = 2.0  # seconds a worker may take to notice that the loader is done, before it is stopped
LOOK = 2.0  # seconds between two looks at a worker that gives no batch
LOOKS = 3  # at so many looks in a row a worker that is stopped counts as lost
SLOW = 60.0  # seconds for one batch that are worth a warning


class Begin(NamedTuple):
    """Order to start a pass: its answers carry the number, random numbers start from the seed."""

    number: int
    seed: int


class Fetch(NamedTuple):
    """Order to make a task's batch and leave it in a slot; `place` counts the tasks of a pass."""

    task: Any
    slot: int
    place: int


class Answer(NamedTuple):
    """The outcome of a Fetch: the sizes tell where in the slot the batch, or the exception, lies."""

    number: int
    kind: Literal["batch", "end", "error"]
    sizes: list[int]


def serve(source: Source, init: Init | None, info: WorkerInfo, connection: Connection, slots: list[Slot]) -> None:
    """Run a worker: answer orders until the parent closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it then closes the connection
    desk = _Desk(source, init, info)
    try:
        while True:
            order = connection.recv()
            if isinstance(order, Begin):
                desk.begin(order)
            else:
                connection.send(desk.answer(order, slots[order.slot]))
    except (EOFError, OSError):
        return  # the parent is done, or dead


class _Desk:
    """What a worker keeps between orders: the pass it is in and what went wrong when that began."""

    def __init__(self, source: Source, init: Init | None, info: WorkerInfo) -> None:
        self.source, self.init, self.info = source, init, info
        self.number = self.seed = 0
        self.failure: Exception | None = None
        self.batch_of: Callable[[Any], Any] | None = None

    def begin(self, order: Begin) -> None:
        seed, self.seed = order.seed + self.info.id, order.seed
        _sow(seed)
        set_worker_info(WorkerInfo(self.info.id, self.info.num_workers, seed, self.source.dataset))
        self.number, self.failure = order.number, None
        try:
            if self.init is not None:
                self.init(self.info.id)
                self.init = None
            self.batch_of = self.source.start()
        except Exception as error:
            self.failure = error

    def answer(self, order: Fetch, slot: Slot) -> Answer:
        try:
            if self.failure is not None:
                raise self.failure
            assert self.batch_of is not None
            _sow(self.seed, order.place)  # a batch's random numbers depend on neither worker nor batches before it
            batch = self.batch_of(order.task)
            if batch is END:
                return Answer(self.number, "end", [])
            return Answer(self.number, "batch", slot.write(batch))
        except Exception as error:
            return Answer(self.number, "error", slot.write(_portable(error, self.info.id)))


def _sow(*seeds: int) -> None:
    """Start the random numbers of `random` and `numpy.random` from seeds."""
    seed = int(np.random.SeedSequence(seeds).generate_state(1)[0]) if len(seeds) > 1 else seeds[0]
    random.seed(seed)
    np.random.seed(seed)


def _portable(error: Exception, worker: int) -> Exception:
    """The exception with the worker's traceback as a note; a RuntimeError when it would not survive pickling."""
    text = "".join(traceback.format_exception(error)).rstrip()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        notes = getattr(error, "__notes__", ())
        error = RuntimeError(f"{type(error).__name__}: {error}")
        for note in notes:
            error.add_note(note)
    error.add_note(f"raised in DataLoader worker {worker}:\n{text}")
    return error


def _is_stopped(pid: int | None) -> bool:
    """Whether a process is held by a signal, where the system tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


class Worker:
    """The parent's handle on one worker process.

    source  a Source, shared with the other workers
    slots   how many answers may be outstanding in one pass
    raises  TypeError when the source cannot be sent to another process
    """

    def __init__(self, source: Shared, init: Init | None, info: WorkerInfo, slots: int, context: BaseContext) -> None:
        self.id = info.id
        self.slots = [Slot() for _ in range(slots)]
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=serve,
            args=(source, init, info, theirs, self.slots),
            name=f"DataLoader worker {info.id}",
            daemon=True,
        )
        try:
            self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self._release()
            raise TypeError(
                f"a DataLoader with workers sends dataset, collate_fn and worker_init_fn to other processes, but "
                f"cannot pickle them ({error}); define them at the top level of a module, or use num_workers=0"
            ) from error
        finally:
            theirs.close()
        self.number = self.submitted = self.received = 0

    def begin(self, number: int, seed: int) -> None:
        """Start a pass; what is still to come of earlier ones will be dropped."""
        self.number, self.submitted, self.received = number, 0, 0
        self._send(Begin(number, seed))

    def submit(self, task: Any, place: int) -> None:
        """Order the batch that has a place in the pass."""
        self._send(Fetch(task, self.submitted % len(self.slots), place))
        self.submitted += 1

    def receive(self, timeout: float | None) -> tuple[bool, Any]:
        """The next outcome, in the order of submission: (True, batch), or (False, None) when there are no more.

        raises  the worker's exception, with its traceback as a note; RuntimeError when the worker has died, or when
                nothing came for `timeout` seconds
        """
        answer = self._next_answer(timeout)
        while answer.number != self.number:
            answer = self._next_answer(timeout)
        slot = self.slots[self.received % len(self.slots)]
        self.received += 1
        if answer.kind == "end":
            return False, None
        value = slot.read(answer.sizes)
        if answer.kind == "error":
            raise value
        return True, value

    def _next_answer(self, timeout: float | None) -> Answer:
        start, stopped, warned = monotonic(), 0, False
        while True:
            waited = monotonic() - start
            if timeout is not None and waited >= timeout:
                raise RuntimeError(f"DataLoader worker {self.id} gave no batch within timeout={timeout} s")
            try:
                if self.connection.poll(LOOK if timeout is None else min(LOOK, timeout - waited)):
                    return self.connection.recv()
            except (EOFError, OSError) as error:
                raise self._death() from error
            stopped = stopped + 1 if _is_stopped(self.process.pid) else 0
            if stopped == LOOKS:
                raise RuntimeError(f"DataLoader worker {self.id} (process {self.process.pid}) was stopped by a signal")
            if timeout is None and not warned and waited > SLOW:
                warned = True
                text = f"DataLoader worker {self.id} has been at one batch for {waited:.0f} s; with timeout=SECONDS"
                warnings.warn(f"{text} that is an error", RuntimeWarning, stacklevel=2)

    def _send(self, order: Begin | Fetch) -> None:
        try:
            self.connection.send(order)
        except OSError as error:
            raise self._death() from error

    def _death(self) -> RuntimeError:
        self.process.join(PATIENCE)
        return RuntimeError(
            f"DataLoader worker {self.id} (process {self.process.pid}) ended unexpectedly, exit code "
            f"{self.process.exitcode}. A negative code is a signal (-9: killed, often for lack of memory). If a "
            f"traceback above comes from the import of the main module, put the program under "
            f'`if __name__ == "__main__":`'
        )

    def disconnect(self) -> None:
        """Tell the worker to end."""
        self.connection.close()

    def stop(self, patience: float) -> None:
        """Wait for the worker to end, at most `patience` seconds; then make it."""
        self.process.join(patience)
        for end in (self.process.terminate, self.process.kill):
            if self.process.exitcode is None:
                end()
                self.process.join(PATIENCE)
        self.process.close()
        self._release()

    def _release(self) -> None:
        for slot in self.slots:
            slot.close()
