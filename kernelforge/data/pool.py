"""The worker processes of one loader, and the order in which they take turns.

Comes in: a source and an iterator of tasks. Goes out: the tasks' batches in order. It knows no tensors.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.context import BaseContext
from time import monotonic
from typing import Any
from weakref import finalize

from kernelforge.data.source import Source
from kernelforge.data.transport import Shared
from kernelforge.data.worker import PATIENCE, Worker
from kernelforge.data.worker_info import WorkerInfo


class WorkerPool:
    """Worker processes of one source; `run` uses them for one pass over the data.

    close()  end the processes: none is left when it returns. Also done when the pool is dropped or the program ends
    """

    def __init__(
        self, source: Source, init: Callable[[int], Any] | None, num_workers: int, slots: int, context: BaseContext
    ) -> None:
        self.workers: list[Worker] = []
        self.passes = 0
        shared = Shared(source)
        self.close = finalize(self, _stop, self.workers, shared)
        try:
            for i in range(num_workers):
                info = WorkerInfo(i, num_workers, seed=0, dataset=None)
                self.workers.append(Worker(shared, init, info, slots, context))
        except BaseException:
            self.close()
            raise

    def run(self, tasks: Iterator[Any], seed: int, timeout: float | None, done: int = 0) -> Iterator[Any]:
        """The batches of the tasks, in order; the workers take turns, and leave them when they have no more to give.

        done  how many tasks of the pass came before these
        """
        self.passes += 1
        for worker in self.workers:
            worker.begin(self.passes, seed)
        numbered = enumerate(tasks, done)
        waiting: deque[Worker] = deque()  # one entry per task that has no batch yet, in the order of the tasks
        for worker in self.workers * len(self.workers[0].slots):
            _submit_next(numbered, worker, waiting)
        while waiting:
            worker = waiting.popleft()
            found, batch = worker.receive(timeout)
            if found:
                _submit_next(numbered, worker, waiting)
                yield batch


def _submit_next(tasks: Iterator[tuple[int, Any]], worker: Worker, waiting: deque[Worker]) -> None:
    for place, task in islice(tasks, 1):
        worker.submit(task, place)
        waiting.append(worker)


def _stop(workers: list[Worker], shared: Shared) -> None:
    shared.close()
    for worker in workers:
        worker.disconnect()
    deadline = monotonic() + PATIENCE
    while workers:
        workers.pop().stop(max(0.0, deadline - monotonic()))
