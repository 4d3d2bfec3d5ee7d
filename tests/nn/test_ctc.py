"""The loss of alignments that are not known, beside torch's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import Tensor
from kernelforge.nn import functional as F

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def arrays(seed: int, times: int, batch: int, classes: int, most: int, blank: int) -> Arrays:
    """Scores, targets without blanks, and how much of both counts."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes - 1, (batch, most))
    scores = rng.standard_normal((times, batch, classes)).astype(np.float32)
    lengths = rng.integers(1, times + 1, batch), rng.integers(0, most + 1, batch)
    return scores, targets + (targets >= blank), *lengths


def assert_alike(given: Arrays, blank: int, reduction: str, zero_infinity: bool) -> None:
    scores, targets, *lengths = given
    x, y = Tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
    mine = F.ctc_loss(x.log_softmax(-1), *map(Tensor, (targets, *lengths)), blank, reduction, zero_infinity)
    reference = torch.nn.functional.ctc_loss(
        y.log_softmax(-1), *map(torch.tensor, (targets, *lengths)), blank, reduction, zero_infinity
    )
    np.testing.assert_allclose(mine.numpy(), reference.detach().numpy(), 1e-4, 1e-5)
    mine.sum().backward()
    reference.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), 1e-3, 1e-5)


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 4), st.integers(2, 6), st.integers(0, 5), st.data())
def test_any_targets_and_lengths(
    seed: int, times: int, batch: int, classes: int, most: int, data: st.DataObject
) -> None:
    """Targets too long for their input, repeated classes and empty targets among them."""
    blank, reduction = data.draw(st.integers(0, classes - 1)), data.draw(st.sampled_from(["mean", "sum", "none"]))
    assert_alike(arrays(seed, times, batch, classes, most, blank), blank, reduction, data.draw(st.booleans()))


def test_a_long_sequence() -> None:
    assert_alike(arrays(0, 300, 3, 20, 40, 0), 0, "mean", False)


def test_what_stands_behind_a_target_does_not_count() -> None:
    scores, targets, times, counts = arrays(1, 9, 3, 5, 4, 0)
    counts = np.array([2, 0, 4])
    filled = np.where(np.arange(4) < counts[:, None], targets, -7)
    ways = [(Tensor(x), Tensor(times), Tensor(counts)) for x in (targets, filled)]
    first, second = (F.ctc_loss(Tensor(scores).log_softmax(-1), *way, reduction="none") for way in ways)
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    flat = np.concatenate([row[:count] for row, count in zip(targets, counts)])
    together = F.ctc_loss(Tensor(scores).log_softmax(-1), Tensor(flat), Tensor(times), Tensor(counts), reduction="none")
    np.testing.assert_allclose(together.numpy(), first.numpy(), 1e-6)


@pytest.mark.parametrize(("which", "value"), [(1, 9), (1, -1), (2, 10), (2, -1), (3, 5), (3, -1)])
def test_what_is_out_of_range_is_an_error(which: int, value: int) -> None:
    """Classes that do not exist, more times than there are, targets longer than what is given."""
    given = list(arrays(2, 9, 3, 5, 4, 0))
    given[3][...] = 4
    given[which][..., 0] = value
    with pytest.raises(IndexError):
        F.ctc_loss(Tensor(given[0]).log_softmax(-1), *map(Tensor, given[1:])).item()


def test_a_sequence_alone() -> None:
    scores, targets, _, _ = arrays(3, 7, 1, 4, 3, 0)
    given = scores[:, 0], targets[0], np.array(6), np.array(3)
    mine, reference = F.ctc_loss(*map(Tensor, given)), torch.nn.functional.ctc_loss(*map(torch.tensor, given))
    assert mine.item() == pytest.approx(reference.item(), rel=1e-5)
