"""Measurements: a known difference is found, short calls are repeated, and the head of a table is complete."""

from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from bench import measure
from bench.measure import FIRST, LEAST, calls_to_last, environment, ratio, seconds


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Work of given seconds, on clocks that show nothing but it and pauses."""
    now = 0.0

    def pass_time(duration: float) -> None:
        nonlocal now
        now += duration

    monkeypatch.setattr(measure, "CLOCKS", {"wall": lambda: now, "cpu": lambda: now})
    monkeypatch.setattr(measure, "time", SimpleNamespace(sleep=pass_time))
    return pass_time


@pytest.mark.parametrize("clock", ["wall", "cpu"])
@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1.0])
def test_twice_the_work_takes_twice_the_time(work: Callable[[float], None], clock: measure.Clock, unit: float) -> None:
    found = ratio(lambda: work(unit), lambda: work(2 * unit), rounds=20, clock=clock)
    assert found.times == pytest.approx(2) and found.ours == pytest.approx(unit)
    assert found.times == found.theirs / found.ours


def test_other_work_does_not_count(work: Callable[[float], None]) -> None:
    calls: Counter[str] = Counter()

    def disturbed(name: str, duration: float) -> None:
        calls[name] += 1
        work(duration if calls[name] % 3 else 5 * duration)

    found = ratio(lambda: disturbed("ours", 0.1), lambda: disturbed("theirs", 0.3))
    assert found.times == pytest.approx(3)


def test_the_two_sides_alternate_in_changing_order(work: Callable[[float], None]) -> None:
    calls: list[str] = []

    def side(name: str) -> Callable[[], None]:
        def call() -> None:
            calls.append(name)
            work(3 * LEAST)

        return call

    ratio(side("ours"), side("theirs"), rounds=4)
    first = 2 + -(-FIRST // 3)  # the one that may compile, the longest, and others that tell how long one takes
    assert Counter(calls) == {"ours": first + 8, "theirs": first + 8}
    timed = calls[2 * first + 1 :: 2]
    untimed = calls[2 * first :: 2]  # each timing comes after a call that is not timed
    assert timed == untimed == ["theirs", "ours", "ours", "theirs"] * 2


def test_short_calls_are_repeated(work: Callable[[float], None]) -> None:
    assert calls_to_last(lambda: None) > 10 and calls_to_last(lambda: work(5 * LEAST)) == 1
    assert calls_to_last(lambda: work(LEAST / 20)) == 20
    assert seconds(lambda: work(1e-4), repeats=10) == pytest.approx(1e-4)


def test_the_clocks_show_time() -> None:
    assert seconds(lambda: sum(range(100_000))) > 0 and seconds(lambda: sum(range(100_000)), clock="cpu") > 0


def test_a_table_tells_where_it_was_measured() -> None:
    report = environment()
    peers = {"torch"} if find_spec("torch") else set()
    assert {"processor", "python", "numpy", *peers} <= report.keys() and all(report.values())
