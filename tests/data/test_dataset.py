"""Datasets: combinations of them hold the samples they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from kernelforge.data.dataset import samples, stacked
from kernelforge.tensor import Tensor
from tests.data.sets import Counting, Squares


def test_tensor_dataset_of_tensors_holds_numpy() -> None:
    dataset = TensorDataset(Tensor(np.arange(6, dtype=np.float32).reshape(3, 2)), np.array([5, 6, 7]))
    assert len(dataset) == 3 and all(type(array) is np.ndarray for array in dataset.arrays)
    row, label = dataset[-1]
    assert row.tolist() == [4, 5] and label == 7
    with pytest.raises(IndexError):
        dataset[3]


@pytest.mark.parametrize("shapes", [[], [(2, 1), (3, 1)], [()], [(2,), ()]])
def test_tensor_dataset_needs_one_length(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="one common first dimension, got shapes"):
        TensorDataset(*(np.zeros(shape) for shape in shapes))


@given(st.data())
def test_one_index_gathers_what_single_samples_give(data: st.DataObject) -> None:
    dataset: Dataset = TensorDataset(np.random.rand(12, 2, 3), np.arange(12))
    for _ in range(data.draw(st.integers(0, 3))):
        places = st.integers(-len(dataset), len(dataset) - 1)
        dataset = Subset(dataset, data.draw(st.lists(places, min_size=1, max_size=9)))
    indices = data.draw(st.lists(st.integers(-len(dataset), len(dataset) - 1), max_size=9))
    together = stacked(dataset, indices)
    for position, index in enumerate(indices):
        for batch, sample, listed in zip(together, dataset[index], samples(dataset, indices)[position], strict=True):
            np.testing.assert_array_equal(batch[position], sample)
            np.testing.assert_array_equal(listed, sample)


def test_other_datasets_are_not_gathered() -> None:
    assert stacked(Squares(3), [0]) is None and stacked(Subset(Squares(3), [1]), [0]) is None


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_concatenation_is_one_after_the_other(sizes: list[int]) -> None:
    parts = [list(range(10 * i, 10 * i + size)) for i, size in enumerate(sizes)]
    dataset = ConcatDataset(parts)
    expected = [value for part in parts for value in part]
    assert len(dataset) == len(expected)
    assert [dataset[i] for i in range(-len(dataset), len(dataset))] == expected * 2
    for index in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError, match="outside"):
            dataset[index]


def test_plus_concatenates() -> None:
    both = Squares(2) + Squares(3)
    assert [label for _, label in (both[i] for i in range(5))] == [0, 1, 0, 1, 4]


def test_streams_cannot_be_concatenated() -> None:
    with pytest.raises(ValueError, match="samples by index"):
        Counting(3) + Squares(2)


@given(st.integers(0, 30), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_split_by_fractions_is_a_partition(size: int, shares: list[int], seed: int) -> None:
    fractions = [share / sum(shares) for share in shares]
    parts = random_split(range(size), fractions, generator=seed)
    again = random_split(range(size), fractions, generator=seed)
    assert sorted(i for part in parts for i in part.indices) == list(range(size))
    assert [part.indices for part in parts] == [part.indices for part in again]
    assert all(abs(len(part) - size * fraction) < 1 + 1e-6 for part, fraction in zip(parts, fractions))


def test_split_by_lengths() -> None:
    first, second = random_split(Squares(10), [7, 3], generator=1)
    assert len(first) == 7 and len(second) == 3 and first[0].label == first.indices[0] ** 2
    assert [len(part) for part in random_split(range(1), [1], generator=1)] == [1]


@pytest.mark.parametrize("lengths", [[], [5, 4], [0.5, 0.4], [-1, 11], [1.5, 8.5]])
def test_split_that_does_not_add_up(lengths: list[float]) -> None:
    with pytest.raises(ValueError, match="random_split of 10 samples"):
        random_split(range(10), lengths)


def test_streams_follow_each_other() -> None:
    assert list(Counting(2) + Counting(3)) == [0, 1, 0, 1, 2]
    batches = DataLoader(Counting(3) + Counting(2), batch_size=2)
    assert [batch.numpy().tolist() for batch in batches] == [[0, 1], [2, 0], [1]]


@pytest.mark.parametrize("make", [StackDataset, lambda: StackDataset("a", x="b"), lambda: StackDataset("a", "bc")])
def test_what_cannot_stand_side_by_side(make) -> None:
    with pytest.raises(ValueError, match="StackDataset needs"):
        make()


class Together(Squares):
    """Samples made at once, number 4 of which fails."""

    def __getitems__(self, indices: list[int]) -> list:
        if 4 in indices:
            raise OSError("disk")
        return [self[i] for i in indices]


@pytest.mark.parametrize(
    ("dataset", "note"),
    [
        (Subset(Squares(9), [1, 20]), "raised by sample 20 of Squares"),
        (Subset(Subset(Squares(9), [1, 20]), [1]), "raised by sample 20 of Squares"),
        (Together(9), "raised by one of the samples [0, 1, 4] of Together"),
        (Squares(3), "raised by sample 4 of Squares"),
    ],
)
def test_errors_are_noted_with_the_sample(dataset, note: str) -> None:
    indices = [0, 1, 4] if not isinstance(dataset, Subset) else range(len(dataset))
    with pytest.raises((IndexError, OSError)) as caught:
        samples(dataset, list(indices))
    assert caught.value.__notes__ == [note]


def test_samples_that_do_not_fit_are_noted() -> None:
    with pytest.raises(ValueError, match="cannot stack") as caught:
        list(DataLoader([np.zeros(2), np.zeros(3), np.zeros(2)], batch_size=2))
    assert caught.value.__notes__ == ["raised by the batch of samples [0, 1]"]


def test_bare_classes_say_what_is_missing() -> None:
    with pytest.raises(TypeError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(TypeError, match="__iter__"):
        iter(IterableDataset())
