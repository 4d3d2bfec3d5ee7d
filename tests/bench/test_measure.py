"""Measurements: a known difference is found, short calls are repeated, and the head of a table is complete."""

import time
from collections import Counter

import pytest

from bench.measure import LEAST, calls_to_last, environment, ratio, seconds


def spin(duration: float) -> None:
    """Keep this thread computing for a while."""
    end = time.perf_counter() + duration
    while time.perf_counter() < end:
        pass


def count(number: int) -> None:
    """A fixed amount of work."""
    for _ in range(number):
        pass


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_twice_the_work_takes_twice_the_time(clock) -> None:
    found = ratio(lambda: count(50_000), lambda: count(100_000), rounds=20, clock=clock)
    assert found.times == pytest.approx(2, rel=0.4) and found.times == found.theirs / found.ours


def test_the_two_sides_alternate_in_changing_order() -> None:
    calls: list[str] = []

    def side(name: str):
        def call() -> None:
            calls.append(name)
            spin(3 * LEAST)

        return call

    ratio(side("ours"), side("theirs"), rounds=4)
    assert Counter(calls) == {"ours": 10, "theirs": 10}
    timed = calls[5::2]
    assert timed == calls[4::2] == ["theirs", "ours", "ours", "theirs"] * 2, "each after a call that is not timed"


def test_short_calls_are_repeated() -> None:
    assert calls_to_last(lambda: None) > 10 and calls_to_last(lambda: spin(5 * LEAST)) == 1
    assert 1e-4 <= seconds(lambda: spin(1e-4), repeats=10) < 1e-2


def test_a_table_tells_where_it_was_measured() -> None:
    report = environment()
    assert {"processor", "python", "numpy", "torch"} <= report.keys() and all(report.values())
