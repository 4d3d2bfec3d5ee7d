"""Laws of samplers: what a pass holds, how often, and when two passes agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from kernelforge.data.sampler import CHUNK
from kernelforge.tensor import Tensor

sizes = st.integers(0, 40)
seeds = st.integers(0, 2**32)


@given(sizes)
def test_sequential_is_range(size: int) -> None:
    sampler = SequentialSampler(range(size))
    assert list(sampler) == list(range(size)) and len(sampler) == size


@given(sizes, seeds)
def test_random_is_a_permutation_and_a_seed_repeats_all_passes(size: int, seed: int) -> None:
    first, second = (RandomSampler(range(size), generator=seed) for _ in range(2))
    for _ in range(3):
        order = list(first)
        assert sorted(order) == list(range(size)) and len(order) == len(first)
        assert order == list(second)


def test_each_pass_is_another_order() -> None:
    sampler = RandomSampler(range(100), generator=3)
    assert list(sampler) != list(sampler)


def test_the_librarys_seed_fixes_the_order_when_no_other_is_given() -> None:
    orders = []
    for _ in range(2):
        sampler = RandomSampler(range(100))
        Tensor.manual_seed(5)
        orders.append([list(sampler), list(sampler)])
    assert orders[0] == orders[1] and orders[0][0] != orders[0][1]


@given(st.integers(1, 20), st.integers(0, 70), seeds)
def test_more_samples_than_there_are_repeats_whole_permutations(size: int, count: int, seed: int) -> None:
    order = list(RandomSampler(range(size), num_samples=count, generator=seed))
    times = np.bincount(order, minlength=size)
    assert len(order) == count and times.min() == count // size and times.max() <= -(-count // size)


@given(st.integers(1, 20), st.integers(0, 70), seeds)
def test_replacement_draws_any_index(size: int, count: int, seed: int) -> None:
    order = list(RandomSampler(range(size), replacement=True, num_samples=count, generator=seed))
    assert len(order) == count and all(0 <= i < size and type(i) is int for i in order)


def test_long_passes_are_made_in_chunks() -> None:
    size = 2 * CHUNK + 3
    assert sorted(RandomSampler(range(size), generator=1)) == list(range(size))
    draws = list(RandomSampler(range(4), replacement=True, num_samples=size, generator=1))
    assert np.bincount(draws).min() > 0.2 * size and len(draws) == size


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 4.0]), min_size=1, max_size=10).filter(any), st.booleans(), seeds)
def test_weighted_draws_only_what_has_weight(weights: list[float], replacement: bool, seed: int) -> None:
    positive = np.flatnonzero(weights)
    count = 30 if replacement else len(positive)
    sampler = WeightedRandomSampler(weights, count, replacement, generator=seed)
    order = list(sampler)
    assert len(order) == len(sampler) == count and set(order) <= set(positive.tolist())
    if not replacement:
        assert sorted(order) == positive.tolist()


@given(st.integers(1, 30), st.integers(1, 5), st.booleans(), st.booleans(), seeds)
def test_shares_of_several_processes_are_the_dataset(size, count, shuffle, drop_last, seed) -> None:
    shares = [DistributedSampler(range(size), count, rank, shuffle, seed % 1000, drop_last) for rank in range(count)]
    orders = [list(share) for share in shares]
    assert {len(order) for order in orders} == {len(shares[0])}
    together = [index for group in zip(*orders) for index in group]
    assert len(together) == (size // count * count if drop_last else -(-size // count) * count)
    assert len(set(together[:size])) == min(size, len(together)), "nothing twice before all were read"
    assert shuffle or together == [index % size for index in range(len(together))]
    for share in shares:
        share.set_epoch(1)
    assert size < 9 or not shuffle or drop_last or [list(share) for share in shares] != orders


def test_a_subset_in_random_order() -> None:
    sampler = SubsetRandomSampler([5, 7, 9], generator=1)
    orders = [list(sampler) for _ in range(8)]
    assert (
        all(sorted(order) == [5, 7, 9] for order in orders) and len(set(map(tuple, orders))) > 1 and len(sampler) == 3
    )


def test_weights_are_frequencies() -> None:
    order = list(WeightedRandomSampler([1, 3, 0, 6], 20_000, generator=7))
    np.testing.assert_allclose(np.bincount(order) / len(order), [0.1, 0.3, 0, 0.6], atol=0.015)


@given(sizes, st.integers(1, 12), st.booleans())
def test_batches_are_the_order_cut_into_pieces(size: int, batch_size: int, drop_last: bool) -> None:
    sampler = BatchSampler(range(size), batch_size, drop_last)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    whole = size - size % batch_size if drop_last else size
    assert [i for batch in batches for i in batch] == list(range(whole))


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler([], num_samples=3),
        lambda: RandomSampler([1], num_samples=-1),
        lambda: WeightedRandomSampler([0, 0], 1),
        lambda: WeightedRandomSampler([1, -1], 1),
        lambda: WeightedRandomSampler([1, float("nan")], 1),
        lambda: WeightedRandomSampler([[1, 2]], 1),
        lambda: WeightedRandomSampler([1, 0, 2], 3, replacement=False),
        lambda: BatchSampler(range(3), 0, False),
        lambda: DistributedSampler(range(3), 2, 2),
    ],
)
def test_impossible_samplers_are_refused(make) -> None:
    with pytest.raises(ValueError, match="draw|weight|batch|rank"):
        make()
