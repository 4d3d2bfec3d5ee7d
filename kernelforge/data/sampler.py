"""Samplers: in which order a dataset is read, and how many samples make a batch.

Comes in: lengths, weights and a seed. Goes out: indices, or lists of them. It knows no dataset beyond its length.
Random samplers advance their generator: each pass is another order, and a seed repeats the whole sequence of passes.
"""

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from kernelforge.tensor.generators import Generator, default, refuse

Seed: TypeAlias = "int | np.random.Generator | Generator | None"
Item = TypeVar("Item", covariant=True)

CHUNK = 1 << 14  # indices turned into Python integers at a time, so a long epoch costs 8 bytes a sample, not 40


class Sampler(Generic[Item]):
    """The order of one pass over a dataset. Subclasses define `__iter__` and usually `__len__`."""

    def __iter__(self) -> Iterator[Item]:
        raise TypeError(f"{type(self).__name__} defines no __iter__, so it gives no order")


class SequentialSampler(Sampler[int]):
    """0, 1, ... len - 1."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A random order of the samples; with replacement, independent uniform draws.

    num_samples  how many a pass draws; all of them when None. Without replacement more than all means one random order
                 after the other
    generator    a seed or a NumPy generator; None: each pass takes a seed that follows from `Tensor.manual_seed`
    """

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Seed = None
    ) -> None:
        if num_samples is not None and (num_samples < 0 or (num_samples > 0 and not len(data_source))):
            raise ValueError(f"RandomSampler cannot draw {num_samples} samples from {len(data_source)}")
        self.data_source, self.replacement, self.num_samples = data_source, replacement, num_samples
        self.generator = None if generator is None else seeded(generator)

    def __iter__(self) -> Iterator[int]:
        size, missing = len(self.data_source), len(self)
        generator = seeded(self.generator)
        while missing > 0:
            if self.replacement:
                order = generator.integers(size, size=min(missing, CHUNK))
            else:
                order = generator.permutation(size)[:missing]
            yield from _numbers(order)
            missing -= len(order)

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Seed = None) -> None:
        self.indices = indices
        self.generator = None if generator is None else seeded(generator)

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in seeded(self.generator).permutation(len(self.indices)).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class DistributedSampler(Sampler[int]):
    """One process's share of a dataset that several read: every num_replicas-th index of one common order.

    num_replicas  how many processes; rank: which one this is, from 0
    shuffle       a random order, the same in all processes, another for each epoch that set_epoch() tells
    seed          what the order follows from, with the epoch
    drop_last     leave the last samples out, so that all shares are equal; otherwise the first are read again

    >>> [list(DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int,
        rank: int,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas < 1 or not 0 <= rank < num_replicas:
            raise ValueError(f"DistributedSampler: rank {rank} of {num_replicas} processes; ranks begin at 0")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is: every process the same."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        order = np.random.default_rng([self.seed, self.epoch]).permutation(size) if self.shuffle else np.arange(size)
        return _numbers(np.resize(order, len(self) * self.num_replicas)[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return batch_count(len(self.dataset), self.num_replicas, self.drop_last)


class WeightedRandomSampler(Sampler[int]):
    """Draws of 0 ... len(weights) - 1, each with probability weight / sum(weights).

    weights      non-negative, not all zero
    num_samples  how many a pass draws
    replacement  False: every index at most once, so at least num_samples weights must be positive
    raises       ValueError for weights or counts that allow no such draw
    """

    def __init__(self, weights: ArrayLike, num_samples: int, replacement: bool = True, generator: Seed = None) -> None:
        values = np.asarray(weights, np.float64)
        positive = int(np.count_nonzero(values > 0))
        if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not positive:
            raise ValueError(f"WeightedRandomSampler needs one finite, non-negative weight per sample, got {values}")
        if num_samples < 0 or (not replacement and num_samples > positive):
            raise ValueError(f"WeightedRandomSampler cannot draw {num_samples} of {positive} positive weights")
        self.probabilities, self.num_samples, self.replacement = values / values.sum(), num_samples, replacement
        self.generator = None if generator is None else seeded(generator)

    def __iter__(self) -> Iterator[int]:
        size, generator = len(self.probabilities), seeded(self.generator)
        yield from _numbers(generator.choice(size, self.num_samples, self.replacement, self.probabilities))

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of a sampler in lists of batch_size; the last may be shorter, or is left out with drop_last.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if batch_size < 1:
            raise ValueError(f"a batch needs at least one sample, got batch_size={batch_size}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return batches(self.sampler, self.batch_size, self.drop_last)

    def __len__(self) -> int:
        return batch_count(len(self.sampler), self.batch_size, self.drop_last)  # type: ignore[arg-type]


def batches(items: Iterable[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Items in lists of the given size; a shorter last list unless drop_last."""
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch and not drop_last:
        yield batch


def batch_count(total: int, size: int, drop_last: bool) -> int:
    """How many lists `batches` makes of total items."""
    return total // size if drop_last else -(-total // size)


def seeded(generator: Seed) -> np.random.Generator:
    """A generator from a seed; None takes one from the library's random numbers, which `Tensor.manual_seed` fixes.

    raises JitError in a captured function that asks for the latter: each replay would repeat what is drawn
    """
    if generator is None or isinstance(generator, Generator):
        refuse("draws an order, or a sample, on the host")
        return np.random.default_rng((generator or default).words())
    return np.random.default_rng(generator)


def _numbers(order: np.ndarray) -> Iterator[int]:
    for start in range(0, len(order), CHUNK):
        yield from order[start : start + CHUNK].tolist()
