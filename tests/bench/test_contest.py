"""The sides take turns, wrong results and refusals are noted, and a lock is given to others now and then."""

import fcntl
import math

import numpy as np
import pytest

from bench.suite import contest as subject
from bench.suite.__main__ import hopeless
from bench.suite.contest import Effort, apart, contest, in_turns, settled
from bench.suite.libraries import installed, load
from bench.suite.record import Row
from bench.suite.worker import Worker, ready
from bench.suite.workloads import ALL
from kernelforge.bench.sides import Refused, Side

NAME = "add 64x64"
SMALL = [
    *(name for name, workload in ALL.items() if workload.group == "small"),
    "127x129x131 TN",
    "attention 32x8x128x32 causal",
    "softmax 1000x1000 forward + backward",
    "digits training step, batch 64",
]


class Scripted(Side):
    """A side without a process: its results and times are given."""

    def __init__(self, name, log, result=1.0, times=(1.0,), refuses=False) -> None:
        super().__init__(name, dict)
        self.log, self.result, self.times, self.refuses = log, result, list(times), refuses

    def ask(self, *request) -> None:
        self.request = request[0]

    def answer(self):
        if self.refuses:
            raise Refused("out of order")
        if self.request == "round":
            self.log.append(self.name)
            return self.times.pop(0)
        if self.request == "ceilings":
            return {"copy": float(len(self.log))}
        return {"prepare": [np.array([self.result, 2.0])], "calibrate": 1.0}[self.request]


def test_the_best_of_rounds_in_changing_order() -> None:
    log: list[str] = []
    sides = [Scripted("a", log, times=(3.0, 1.0, 2.0)), Scripted("b", log, times=(5.0, 6.0, 4.0))]
    row = contest(sides, NAME, Effort(least=3, most=9, seconds=1.0))
    assert row.seconds == {"a": 1.0, "b": 4.0} and not row.notes
    assert log == ["b", "a", "a", "b", "b", "a"]


def test_ceilings_are_the_best_of_the_same_minutes() -> None:
    log: list[str] = []
    sides = [Scripted("a", log, times=[1.0] * 6), Scripted("b", log, times=[1.0] * 6)]
    row = contest(sides, NAME, Effort(least=6, most=6, seconds=1.0), sides[0])
    assert row.ceilings == {"copy": 10.0}, "asked for before the first round, one in the middle, and the last"


def test_who_differs_is_noted_and_who_refuses_is_left_out() -> None:
    log: list[str] = []
    sides = [Scripted("a", log), Scripted("b", log, result=1.5), Scripted("c", log, refuses=True)]
    row = contest(sides, NAME, Effort(least=1, most=1, seconds=1.0))
    assert row.seconds.keys() == {"a", "b"} and row.notes.keys() == {"b", "c"}
    assert "a's by 2.5e-01" in row.notes["b"] and row.notes["c"] == "out of order"


@pytest.mark.parametrize(
    ("found", "expected", "distance"),
    [([1, 2], [1, 4], 0.5), ([0, 0], [0, 0], 0), ([], [], 0), ([1], [1, 2], math.inf), ([True], [False], 1)],
)
def test_distance(found, expected, distance) -> None:
    assert apart(np.array(found), np.array(expected)) == distance


def test_distance_to_what_is_not_a_number() -> None:
    assert not apart(np.array([math.nan]), np.array([1.0])) <= 1


def test_random_results_agree_in_mean_and_deviation() -> None:
    first, second = (np.random.default_rng(seed).standard_normal(100_000) for seed in (0, 1))
    assert apart(first, second) > 0.1
    assert apart(first, second, random=True) < 0.02 < apart(first * 1.1, second, random=True)


def test_the_lock_is_held_and_given_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(subject, "TURN", 0)
    lock, free = tmp_path / "lock", []
    for _ in in_turns("ab", lock):
        with lock.open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free.append(lock)
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert len(free) == 2


def test_a_worker_answers_refuses_and_starts_again() -> None:
    side = Side("kernelforge", Worker, "kernelforge")
    try:
        assert "OpenCL" in side.do("runtime") or side.do("runtime")
        with pytest.raises(Refused, match="no such workload"):
            side.do("prepare", "no such workload")
        side.process.kill()
        with pytest.raises(Refused, match="ended"):
            side.answer()
        assert [value.shape for value in side.do("prepare", NAME)] == [(64, 64)]
        assert side.do("calibrate") > 0 and 0 < side.do("round") < 1
    finally:
        side.end()


@pytest.mark.parametrize("peer", ["torch", "jax"])
@pytest.mark.parametrize("name", SMALL)
def test_the_sides_compute_the_same(name, peer) -> None:
    if not installed(peer):
        pytest.skip(f"{peer} is not installed")
    ours, theirs = load("kernelforge"), load(peer)
    found, expected = (side.arrays(ready(side, name)()) for side in (ours, theirs))
    assert [apart(a, b) <= 1e-3 for a, b in zip(found, expected, strict=True)] == [True] * len(found)


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome"),
    [
        ([1.0, 1.01, 1.02, 9, 9], [1.0, 1.02, 1.03, 5, 5], True),
        ([1.0, 1.01, 1.02, 9, 9], [1.0, 1.2, 1.3, 5, 5], False),
        ([1.0, 1.05, 1.5, 1.6, 1.7], [2.0, 2.1, 2.5, 3, 4], True),
        ([1.0, 1.3, 1.5, 1.6, 1.7], [2.0, 2.1, 2.5, 3, 4], False),
        ([1.0, 1.05, 1.5, 1.6, 2.7], [2.0, 2.1, 2.5, 3, 4], False),
    ],
)
def test_times_settle_when_the_best_are_equal_or_none_is_among_the_others(ours, theirs, outcome) -> None:
    assert settled({"ours": ours, "theirs": theirs, "far": [10.0, 30.0, 50.0, 60, 70]}, "ours") is outcome


def test_peers_far_behind_are_not_measured_further() -> None:
    log: list[str] = []
    sides = [Scripted("far", log, times=[9.0, 8.0]), Scripted("near", log, times=[2.0] * 5), Scripted("ours", log)]
    sides[-1].times = [1.0, 1.5, 1.2, 1.1, 1.0]
    row = contest(sides, NAME, Effort(least=5, most=5, seconds=9.0, settles=True))
    assert row.seconds == {"far": 8.0, "near": 2.0, "ours": 1.0} and log.count("far") == 2


@pytest.mark.parametrize(("ours", "theirs"), [(9.0, 1.0), (1.0, 9.0)])
def test_ours_and_the_fastest_peer_are_measured_however_far_apart(ours: float, theirs: float) -> None:
    log: list[str] = []
    times = {"far": [50.0] * 2, "peer": [theirs, 1.2 * theirs] * 3, "ours": [ours, 1.2 * ours] * 3}
    contest([Scripted(name, log, times=found) for name, found in times.items()], NAME,
            Effort(least=5, most=6, seconds=9.0, settles=True))  # fmt: skip
    assert log.count("ours") == log.count("peer") >= 5 and log.count("far") == 2


def test_no_round_begins_once_times_have_settled() -> None:
    log: list[str] = []
    sides = [Scripted("a", log, times=[1.0] * 9), Scripted("b", log, times=[3.0] * 9)]
    row = contest(sides, NAME, Effort(least=5, most=9, seconds=9.0, settles=True))
    assert row.seconds == {"a": 1.0, "b": 3.0} and len(log) == 10


def test_what_was_far_behind_is_not_compiled_again() -> None:
    row = Row({"kernelforge": 1.0, "torch": 2.0, "torch.compile": 3.0})
    (note,) = hopeless(row, 1.1).values()
    assert "1.50 times" in note
    assert hopeless(Row({"kernelforge": 1.0, "torch": 2.0}, {"torch.compile": note}), 1.1) == {"torch.compile": note}
    close = Row({"kernelforge": 1.0, "torch": 2.0, "torch.compile": 2.1})
    assert hopeless(close, 1.0) and not hopeless(close, 1.1) and not hopeless(None, 1.0)
    assert not hopeless(Row({"kernelforge": 1.0, "torch": 2.0, "torch.compile": 1.9}), 1.0), "the best is measured"
