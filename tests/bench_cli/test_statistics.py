"""Medians know how sure they are: the same thing measured twice is hardly ever called faster or slower."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.bench.statistics import Interval, median_interval, times_faster, verdict


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60))
def test_the_bounds_hold_the_middle(values: list[float]) -> None:
    found = median_interval(values)
    assert found.low <= found.middle <= found.high and found.middle == pytest.approx(np.median(values))
    assert (found.low == -np.inf) == (len(values) < 8), "of seven values none is 99 % sure"


def noise(random: np.random.Generator, rounds: int) -> np.ndarray:
    """Seconds of a busy machine: disturbances that last several rounds, and long ones now and then."""
    drift = np.cumsum(random.normal(0, 0.02, rounds))
    return np.exp(0.05 * random.standard_normal(rounds) + drift) * (1 + 5 * (random.random(rounds) < 0.1))


def test_the_same_is_hardly_ever_called_different() -> None:
    random = np.random.default_rng(0)
    told = []
    for _ in range(1000):
        machine = noise(random, 40)
        first, second = (machine * np.exp(0.03 * random.standard_normal(40)) for _ in range(2))
        told.append(verdict(times_faster(list(first), list(second))))
    assert told.count("same") >= 970


def test_what_differs_is_told() -> None:
    random = np.random.default_rng(1)
    told = []
    for _ in range(300):
        machine = noise(random, 40)
        first, second = (machine * np.exp(0.03 * random.standard_normal(40)) for _ in range(2))
        told.append(verdict(times_faster(list(first), list(second * 1.08))))
    assert told.count("faster") >= 285 and "slower" not in told


def test_the_order_of_the_sides_cancels() -> None:
    later = np.tile([1.0, 1.3], 20)
    assert verdict(times_faster(list(later), list(np.roll(later, 1)))) == "same"


@pytest.mark.parametrize(
    ("bounds", "word"), [((1.02, 1.1, 1.2), "faster"), ((0.8, 0.9, 0.98), "slower"), ((1.001, 1.002, 1.003), "same")]
)
def test_verdicts(bounds: tuple[float, float, float], word: str) -> None:
    assert verdict(Interval(*bounds)) == word
