"""Datasets: what can be indexed or iterated, and ways to combine it.

Comes in: the user's samples. Goes out: samples by index, one at a time or, where a dataset can, a batch at once. It
knows neither loaders nor tensors, beyond turning a tensor into an array.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from math import floor, isclose
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernelforge.data.collate import as_array
from kernelforge.data.sampler import Seed, seeded

Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Samples by index. Subclasses define `__getitem__` and, for samplers that need it, `__len__`.

    Samples are numbers, NumPy arrays, strings, or tuples, lists and dicts of them. A dataset may also define
    `__getitems__(indices)`, which returns the list of samples at once.
    """

    def __getitem__(self, index: int) -> Sample:
        raise TypeError(f"{type(self).__name__} defines no __getitem__, so it has no samples by index")

    def __add__(self, other: "Dataset[Any]") -> "ConcatDataset":
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample]):
    """Samples in the order of `__iter__`, for streams that cannot be indexed.

    With workers each process iterates its own copy: `get_worker_info()` says which share to yield.
    """

    def __iter__(self) -> Iterator[Sample]:
        raise TypeError(f"{type(self).__name__} defines no __iter__, so it has no samples")

    def __add__(self, other: Dataset[Any]) -> "ChainDataset":  # type: ignore[override]
        if not isinstance(other, IterableDataset):
            raise ValueError("a stream goes on with another stream, not with a dataset that has samples by index")
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[NDArray, ...]]):
    """Rows of arrays that have the same first dimension: sample i is (a[i], b[i], ...).

    arrays   NumPy arrays or tensors; tensors are computed and copied to NumPy once, here
    raises   ValueError when the lengths differ

    >>> TensorDataset(np.arange(6).reshape(3, 2), np.ones((3, 1)))[1]
    (array([2, 3]), array([1.]))
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays = tuple(as_array(array) for array in arrays)
        shapes = [array.shape for array in self.arrays]
        if not shapes or len({shape[:1] for shape in shapes}) > 1 or () in shapes:
            raise ValueError(f"TensorDataset needs arrays with one common first dimension, got shapes {shapes}")

    def __getitem__(self, index: int) -> tuple[NDArray, ...]:
        return tuple(array[index] for array in self.arrays)

    def stacked(self, indices: Sequence[int]) -> tuple[NDArray, ...]:
        """The samples at indices as one batch, gathered without making the samples."""
        return tuple(array[np.asarray(indices, np.intp)] for array in self.arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])


class Subset(Dataset[Sample]):
    """The samples of a dataset at the given indices, in that order."""

    def __init__(self, dataset: Dataset[Sample], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> Sample:
        return sample(self.dataset, self.indices[index])

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        return samples(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class StackDataset(Dataset[Any]):
    """Datasets side by side: sample i is the tuple, or by name the dict, of their samples i.

    raises  ValueError when their lengths differ

    >>> StackDataset("abc", range(3))[1], StackDataset(x="abc", y=range(3))[2]
    (('b', 1), {'x': 'c', 'y': 2})
    """

    def __init__(self, *datasets: Any, **named: Any) -> None:
        lengths = [len(dataset) for dataset in (*datasets, *named.values())]
        if bool(datasets) == bool(named) or len(set(lengths)) > 1:
            raise ValueError(f"StackDataset needs datasets of one length, all or none of them named; got {lengths}")
        self.datasets: Any = named or datasets

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return len(next(iter(self.datasets.values())) if isinstance(self.datasets, dict) else self.datasets[0])


class ChainDataset(IterableDataset[Any]):
    """Streams one after the other.

    >>> list(ChainDataset([range(2), "ab"]))
    [0, 1, 'a', 'b']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.datasets)


class ConcatDataset(Dataset[Any]):
    """Datasets one after the other.

    >>> both = ConcatDataset([range(3), range(10, 12)])
    >>> len(both), both[3], both[-1]
    (5, 10, 11)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets or any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise ValueError("ConcatDataset needs at least one dataset, and only datasets with samples by index")
        self.ends = list(accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: int) -> Any:
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"index {index} is outside a ConcatDataset of {len(self)} samples")
        which = bisect_right(self.ends, position)
        return self.datasets[which][position - (self.ends[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.ends[-1]


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Seed = None) -> list[Subset]:
    """Disjoint random subsets of the given sizes, which together are the dataset.

    lengths    sizes that add up to len(dataset), or fractions that add up to 1; a fraction's size is rounded down, what
               remains goes to the first subsets one by one
    generator  a seed or a NumPy generator; None: it follows from `Tensor.manual_seed`
    raises     ValueError when the lengths do not add up

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25], generator=0)]
    [8, 2]
    """
    sizes = _sizes(len(dataset), lengths)
    order = seeded(generator).permutation(len(dataset)).tolist()
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, accumulate(sizes))]


def _sizes(total: int, lengths: Sequence[int | float]) -> list[int]:
    """Lengths or fractions as sizes that add up to total."""
    if min(lengths, default=0) >= 0:
        if sum(lengths) == total and all(length == int(length) for length in lengths):
            return [int(length) for length in lengths]
        if isclose(sum(lengths), 1):
            sizes = [floor(total * fraction) for fraction in lengths]
            for i in range(total - sum(sizes)):
                sizes[i % len(sizes)] += 1
            return sizes
    raise ValueError(
        f"random_split of {total} samples into {list(lengths)}: lengths are sizes that add up to {total} or fractions "
        f"that add up to 1, none of them negative"
    )


def samples(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """The samples at indices, by the dataset's own `__getitems__` if it has one; errors are noted with the index."""
    together = getattr(dataset, "__getitems__", None)
    if together is None:
        return [sample(dataset, i) for i in indices]
    try:
        return together(indices)
    except Exception as error:
        if not hasattr(error, "__notes__"):
            error.add_note(f"raised by one of the samples {_some(indices)} of {type(dataset).__name__}")
        raise


def sample(dataset: Any, index: int) -> Any:
    """One sample; errors are noted with its index."""
    try:
        return dataset[index]
    except Exception as error:
        if not isinstance(dataset, Subset):  # what the indices of a Subset stand for was noted inside
            error.add_note(f"raised by sample {index} of {type(dataset).__name__}")
        raise


def _some(indices: Sequence[int]) -> str:
    return f"{list(indices[:16])}{' ...' if len(indices) > 16 else ''}"


def stacked(dataset: Any, indices: Sequence[int]) -> Any:
    """The samples at indices as one batch if the dataset can gather it at once, else None."""
    while isinstance(dataset, Subset):
        dataset, indices = dataset.dataset, [dataset.indices[i] for i in indices]
    return dataset.stacked(indices) if isinstance(dataset, TensorDataset) else None
