"""Ever new numbers compile no more kernels: graphs that differ in constants alone share those that read them."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import Context, GlobalCounters, Tensor, nn, optim, where
from kernelforge.calls import memory_forms
from kernelforge.planning.numbered import beside_data, numbered
from kernelforge.planning.open_plans import MOST_ALIKE, MOST_LEARNT
from kernelforge.structure import structure
from kernelforge.tensor.walking import walk
from tests.forgotten import forget_plans

SHAPE = (13, 7)


@pytest.fixture(autouse=True)
def new_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plans(monkeypatch)


def data(seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 10, SHAPE).astype(dtype)


def compiled_by(run: Callable[[float], object], numbers: list[float]) -> list[int]:
    """How many kernels each of some runs compiled."""
    counts = []
    for number in numbers:
        before = GlobalCounters.compiled
        run(number)
        counts.append(GlobalCounters.compiled - before)
    return counts


FORMS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "a factor": lambda x, c: x * c,
    "a bound": lambda x, c: x.clip(-c, c),
    "a choice": lambda x, c: where(x > c, x, -c),
    "a sum of it": lambda x, c: (x * c + 1).exp().sum(0),
    "a power": lambda x, c: (x.abs() + 1) ** c,
    "a temperature": lambda x, c: (x / c).softmax(-1),
    "a rate": nn.functional.leaky_relu,
    "twice": lambda x, c: x * c + c,
}


@pytest.mark.parametrize("form", FORMS)
def test_ever_new_numbers_compile_no_more_kernels(form: str) -> None:
    array = data()
    x = Tensor(array).realize()
    numbers = [0.3 + 0.37 * k for k in range(9)]
    found: list[np.ndarray] = []
    counts = compiled_by(lambda c: found.append(FORMS[form](x, c).numpy()), numbers)
    assert all(counts[:MOST_ALIKE]) and not any(counts[MOST_ALIKE + 1 :]), counts
    with Context(DEVICE="NUMPY"):
        held = Tensor(array).realize()
        for c, values in zip(numbers, found):
            np.testing.assert_allclose(values, FORMS[form](held, c).numpy(), rtol=1e-5, atol=1e-6)


def test_a_step_with_another_weight_of_a_penalty_each_time_compiles_no_more_kernels() -> None:
    net = nn.Linear(7, 5)
    opt = optim.SGD(net.parameters(), lr=0.01)
    x, labels = Tensor(data()).realize(), Tensor(np.arange(13) % 5).realize()

    def step(weight: float) -> None:
        out = net(x)
        loss = nn.functional.cross_entropy(out, labels) + weight * (out * out).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        assert np.isfinite(loss.item())

    counts = compiled_by(step, [0.01 * k for k in range(1, 10)])
    assert not any(counts[MOST_ALIKE + 2 :]), counts


def test_special_numbers_are_numbers() -> None:
    array = data()
    x = Tensor(array).realize()
    with np.errstate(all="ignore"):
        for c in (1.5, 2.5, 3.5, 4.5, 0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38, 1e39):
            np.testing.assert_array_equal((x * c).numpy(), array * np.float32(c), err_msg=str(c))
            np.testing.assert_array_equal((c / x).numpy(), np.float32(c) / array, err_msg=str(c))


def test_a_number_that_never_changed_may_change_later() -> None:
    array = data()
    x = Tensor(array).realize()
    pairs = [(1 + k, 5) for k in range(MOST_ALIKE + 1)] + [(2, 6), (9, 6), (9, 7), (3, 8), (3, 9), (4, 11), (8, 13)]
    for first, second in [*pairs, *((k, k * k) for k in range(20, 20 + MOST_LEARNT))]:
        np.testing.assert_array_equal((x * first + second).numpy(), array * first + second)


@pytest.mark.parametrize("seed", range(6))
def test_numbers_and_sizes_change_as_they_like(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(24):
        rows, first, second = rng.choice((1, 3, 5, 8, 31)), rng.randint(-3, 3), rng.choice((1, 2, 7))
        array = np.random.default_rng(rows).integers(-9, 10, (rows, 7)).astype(rng.choice((np.float32, np.int32)))
        found = ((Tensor(array) * first).clip(-second) - second).sum(0).numpy()
        np.testing.assert_array_equal(found, (np.maximum(array * first, -second) - second).sum(0))


def test_gradients_are_of_the_number_of_the_moment() -> None:
    array = data()
    for k in range(9):
        x = Tensor(array).realize().requires_grad_()
        ((x * (k + 1)) * (x + k)).sum().backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), (k + 1) * (2 * array + k))


def test_limits_of_masks_stay_what_they_are() -> None:
    """Kernels skip what a mask hides, which they could not with a limit they read."""
    x = Tensor(data()).realize()
    masked = where(Tensor.arange(7) < 4, x * 3, 0.5)
    met = numbered(memory_forms([masked._node]), structure([masked._node]).leaves)  # type: ignore[arg-type]
    beside = {met.values[place][0] for place in beside_data(met)}
    assert beside == {3.0, 0.5}
    for k in range(8):
        expected = np.where(np.arange(7) < k, data(), 0)
        np.testing.assert_array_equal(where(Tensor.arange(7) < k, x, 0).numpy(), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.float64, np.bool_])
def test_numbers_beside_one_number(dtype: type) -> None:
    """A graph without any size."""
    x = Tensor(np.asarray(1, dtype)).realize()
    counts = compiled_by(lambda c: np.testing.assert_equal((x * c + c).item(), 2 * c), list(range(2, 12)))
    assert not any(counts[MOST_ALIKE + 1 :]), counts


def test_a_number_may_be_a_result() -> None:
    x = Tensor(np.asarray(5, np.int32)).realize()
    for k in range(2, 10):
        assert (x * 0 + k).item() == k
        doubled, same = x * k, x * 0 + k
        Tensor.realize(doubled, same)
        assert (doubled.item(), same.item()) == (5 * k, k)


def test_an_error_is_told_with_the_line_and_the_operation_of_the_moment() -> None:
    x, places = Tensor(np.arange(10.0)).realize(), Tensor(np.arange(6)).realize()
    for k in range(4 + MOST_ALIKE):
        if k < 5:
            np.testing.assert_array_equal(x[places + k].numpy(), np.arange(6.0) + k)
            continue
        with pytest.raises(
            IndexError, match=r"gather of float64 \[10\] by int64 \[6\](.|\n)*written at .*test_open_constants\.py"
        ):
            x[places + k].numpy()


@pytest.mark.parametrize("lengths", [[5], [5, 6, 7, 9]])
def test_what_is_made_of_a_number_is_not_kept_for_others(lengths: list[int]) -> None:
    """Weights of a loop are laid out once, and that is kept while they are the same."""
    rng = np.random.default_rng(0)
    first, second = (rng.normal(0, 0.1, shape).astype(np.float32) for shape in ((48, 33), (33, 48)))
    weight, other = Tensor(first).realize(), Tensor(second).realize()
    for k in range(2 * MOST_ALIKE + 2):
        state, x = (rng.random(shape, np.float32) for shape in ((3, 33), (lengths[k % len(lengths)], 3, 33)))
        factor = np.float32(0.2 + 0.1 * k)
        found = walk(lambda h, x, a, b: x + (h @ a.T) @ b.T, Tensor(state), [Tensor(x)], [weight * factor, other])
        for row, value in zip(x, found.numpy()):
            state = row + state @ (first * factor).T @ second.T
            np.testing.assert_allclose(value, state, rtol=1e-3, atol=1e-3)


def test_a_table_that_depends_on_nothing_is_computed_once_for_all_numbers() -> None:
    array = data()
    x = Tensor(array).realize()
    table = np.cos(np.arange(7).reshape(7, 1) * np.arange(7) / 7)

    def kernels(number: float) -> int:
        before = GlobalCounters.kernel_count
        places = Tensor.arange(7)
        found = (x @ (places.reshape(7, 1) * places / 7).cos().contiguous() * number).numpy()
        np.testing.assert_allclose(found, array @ table * number, rtol=1e-4, atol=1e-4)
        return GlobalCounters.kernel_count - before

    counts = [kernels(0.5 + k) for k in range(2 * MOST_ALIKE + 2)]
    assert counts[-1] == 1, counts
