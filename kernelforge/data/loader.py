"""DataLoader: batches of a dataset as tensors, made here or in worker processes.

Comes in: a dataset, an order, a way to make batches. Goes out: an iterator over batches, in the order of the sampler
however many workers there are. Worker processes are fresh ones, not forks of a process that may hold an open device.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice, repeat
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

import numpy as np

from kernelforge.data.collate import default_collate, to_tensors
from kernelforge.data.dataset import IterableDataset
from kernelforge.data.pool import WorkerPool
from kernelforge.data.sampler import BatchSampler, RandomSampler, Seed, SequentialSampler, batch_count, seeded
from kernelforge.data.source import END, IndexedSource, Source, StreamedSource
from kernelforge.recording import recorder
from kernelforge.tensor.generators import default, refuse


def _each_time(act: Callable[[], None]) -> None:
    """Does something now, and again whenever a function that is being recorded is replayed."""
    act()
    if (active := recorder.get()) is not None:
        active.acted(act)


class _Start(NamedTuple):
    """The beginning of a pass: what is to be made, the workers' seed, and what both follow from."""

    tasks: Iterator[Any]
    seed: int
    begun: dict[str, Any]


class DataLoader:
    """Batches of a dataset as tensors, over and over: each `for` loop is one pass.

    dataset             anything with `__getitem__` and `__len__`, or an IterableDataset
    batch_size          samples per batch; None: no batches, every sample is handed out by itself
    shuffle             a new random order each pass
    sampler             an order of indices instead
    batch_sampler       lists of indices instead of batch_size, shuffle, sampler and drop_last
    num_workers         processes that make batches ahead of time; 0: made in the loop itself
    collate_fn          from a list of samples to a batch; default_collate when None. It runs where the samples are
                        made; the arrays in what it returns become tensors
    drop_last           leave out a last, shorter batch
    timeout             seconds to wait for a worker's batch before giving up; 0: for ever
    worker_init_fn      called with the worker's number in each new worker process
    prefetch_factor     batches each worker makes ahead; 2 when None
    persistent_workers  keep the processes between passes
    generator           a seed or a NumPy generator for the order and the workers' seeds; None: both follow from
                        `Tensor.manual_seed`
    multiprocessing_context  "forkserver" or "spawn"; the first where there is one
    pin_memory          taken for torch's sake: batches travel in shared memory anyway
    raises              ValueError for options that exclude each other. The loop re-raises a worker's exception with the
                        worker's traceback, and raises RuntimeError when a worker dies.

    With workers, samples, collate_fn and its result must be picklable and hold no tensors.

    >>> [batch.numpy().tolist() for batch in DataLoader(range(5), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    unguarded = ("_begun", "_handed_out")  # replays of a captured pass write down what is theirs

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        *,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        generator: Seed = None,
        multiprocessing_context: str | BaseContext | None = None,
        pin_memory: bool = False,
    ) -> None:
        self.dataset, self.batch_size, self.drop_last, self.collate_fn = dataset, batch_size, drop_last, collate_fn
        self.num_workers, self.timeout = num_workers, timeout
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.worker_init_fn, self.persistent_workers = worker_init_fn, persistent_workers
        self.multiprocessing_context, self.pin_memory = multiprocessing_context, pin_memory
        self.generator = None if generator is None else seeded(generator)
        self._check_options(shuffle, sampler, batch_sampler)
        if not self._streams and batch_sampler is None:
            if sampler is None:
                sampler = RandomSampler(dataset, generator=self.generator) if shuffle else SequentialSampler(dataset)
            if batch_size is not None:
                batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self._idle: WorkerPool | None = None
        self._begun: dict[str, Any] | None = None
        self._resumed: dict[str, Any] | None = None
        self._handed_out = 0

    @property
    def _streams(self) -> bool:
        return isinstance(self.dataset, IterableDataset)

    def _check_options(self, shuffle: bool, sampler: Any, batch_sampler: Any) -> None:
        if shuffle and (sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: shuffle and a sampler exclude each other; let the sampler shuffle")
        if batch_sampler is not None and (self.batch_size != 1 or sampler is not None or self.drop_last):
            raise ValueError("DataLoader: a batch_sampler excludes batch_size, sampler and drop_last")
        if self._streams and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: an IterableDataset gives its own order; it takes no shuffle and no sampler")
        if self.batch_size is None and self.drop_last:
            raise ValueError("DataLoader: drop_last needs a batch_size")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"DataLoader: a batch needs at least one sample, got batch_size={self.batch_size}")
        if self.num_workers < 0 or self.prefetch_factor < 1 or self.timeout < 0:
            raise ValueError(
                f"DataLoader: num_workers={self.num_workers} and timeout={self.timeout} must not be negative, "
                f"prefetch_factor={self.prefetch_factor} at least 1"
            )
        if self.persistent_workers and not self.num_workers:
            raise ValueError("DataLoader: persistent_workers needs num_workers of at least 1")

    def __len__(self) -> int:
        """Batches in one pass; TypeError when the dataset or sampler has no length."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        if self.sampler is not None:
            return len(self.sampler)  # type: ignore[arg-type]
        return batch_count(len(self.dataset), self.batch_size or 1, self.drop_last)

    # Passes ---------------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        """One pass: batches with a tensor for every array in them; after load_state_dict(), the rest of one."""
        resumed, self._resumed = self._resumed, None
        if resumed is None:
            return self._pass(self._start(), 0)
        for generator, state in zip(self._generators(), resumed["generators"], strict=True):
            generator.bit_generator.state = state
        here = default.get_state()
        default.set_state(resumed["random"])
        try:
            start = self._start()
            for _ in range(0 if self._streams else resumed["batches"]):
                next(start.tasks, None)
        finally:
            default.set_state(here)
        return self._pass(start, resumed["batches"])

    def _start(self) -> _Start:
        """The beginning of a pass, with all random numbers it takes drawn."""
        begun = dict[str, Any]()
        _each_time(partial(self._note_beginning, begun))
        # Drawn with and without workers, so that their number does not change the order of the samples.
        own = self.generator or np.random.default_rng(default.passed())
        seed = int(own.integers(2**31))
        order = self.sampler if self.batch_sampler is None else self.batch_sampler
        tasks = iter(repeat(None) if order is None else order)
        return _Start(chain(list(islice(tasks, 1)), tasks), seed, begun)

    def _pass(self, start: _Start, done: int) -> Iterator[Any]:
        """The batches of a pass after the first `done`; streams make and drop those."""
        _each_time(partial(self._begin, start.begun, done))
        unseen = done if self._streams else 0
        batches = self._from_workers(start, done - unseen) if self.num_workers else self._from_here(start.tasks)
        for batch in islice(batches, unseen, None):
            _each_time(partial(self._hand_out, start.begun))
            yield to_tensors(batch)
        _each_time(partial(self._end, start.begun))

    def _note_beginning(self, begun: dict[str, Any]) -> None:
        begun.update(random=default.reached(), generators=self._states())

    def _begin(self, begun: dict[str, Any], done: int) -> None:
        self._begun, self._handed_out = begun, done

    def _hand_out(self, begun: dict[str, Any]) -> None:
        """Counts a batch of the pass that began last."""
        if self._begun is begun:
            self._handed_out += 1

    def _end(self, begun: dict[str, Any]) -> None:
        if self._begun is begun:
            self._begun = None

    def _from_here(self, tasks: Iterator[Any]) -> Iterator[Any]:
        batch_of = self._source().start()
        for task in tasks:
            batch = batch_of(task)
            if batch is END:
                return
            yield batch

    def _from_workers(self, start: _Start, done: int) -> Iterator[Any]:
        pool, self._idle = self._idle or self._pool(), None
        healthy = True
        try:
            yield from pool.run(start.tasks, start.seed, self.timeout or None, done)
        except Exception:
            healthy = False
            raise
        finally:
            if self.persistent_workers and healthy and self._idle is None:
                self._idle = pool
            else:
                pool.close()

    def _source(self) -> Source:
        collate = None if self.collate_fn is default_collate else self.collate_fn
        if self._streams:
            return StreamedSource(self.dataset, collate, self.batch_size, self.drop_last)
        return IndexedSource(self.dataset, collate, batched=self.batch_sampler is not None)

    def _pool(self) -> WorkerPool:
        context = self.multiprocessing_context
        if not isinstance(context, BaseContext):
            has_server = "forkserver" in multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context(context or ("forkserver" if has_server else "spawn"))
        if context.get_start_method() == "fork":
            raise ValueError("DataLoader workers cannot be forks: the parent may hold an open device and its threads")
        if context.get_start_method() == "forkserver":
            context.set_forkserver_preload([__name__])  # imported once, in a process that opens no device
        return WorkerPool(self._source(), self.worker_init_fn, self.num_workers, self.prefetch_factor, context)

    # State ----------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is: how many batches of the current pass were handed out, and what its order follows from.

        A loader of the same dataset and options goes on from there, whatever its number of workers: the next pass over
        it is the rest of this one. Between passes the state is that of the next one's beginning.

        raises JitError in a captured function, which would tell the same each time
        """
        refuse("asks for the state of a DataLoader")
        if self._resumed is not None:
            return self._resumed
        if self._begun is None:
            return {"batches": 0, "random": default.get_state(), "generators": self._states()}
        return {"batches": self._handed_out, **self._begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state: the next pass begins behind the batches that were handed out."""
        if len(state["generators"]) != len(self._generators()):
            raise ValueError("this state is of a DataLoader with other generators; give both the same options")
        self._resumed = dict(state) if state["batches"] else None
        if not state["batches"]:
            for generator, inner in zip(self._generators(), state["generators"]):
                generator.bit_generator.state = inner

    def _generators(self) -> list[np.random.Generator]:
        """The generators of its own that the order follows from."""
        inner = getattr(self.batch_sampler, "sampler", None)
        given = [getattr(part, "generator", None) for part in (self, self.sampler, self.batch_sampler, inner)]
        return list({id(g): g for g in given if isinstance(g, np.random.Generator)}.values())

    def _states(self) -> list[Any]:
        return [generator.bit_generator.state for generator in self._generators()]
