"""How many captures there are, what they say of themselves, and threads that share them."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from kernelforge import JitError, jit
from tests.replay.footguns.twins import tensor

pytestmark = pytest.mark.usefixtures("numpy_device")


def test_explain_says_what_happened() -> None:
    captured = jit(lambda x, n: x * n)
    for n in (1, 2, 1, 1):
        captured(tensor(3), n)
    text = captured.explain()
    assert "2 of at most 16 captures" in text
    assert "replayed 2 times" in text
    assert "missed: argument 1 was 1, now it is 2" in text


def test_bounded_captures() -> None:
    captured = jit(lambda x, n: x * n, captures=3)
    for n in itertools.islice(itertools.cycle((0.5, 1.5, 2.5)), 9):
        captured(tensor(1), n)
    with pytest.raises(JitError, match=r"captured 3 times.*argument 1 was 2.5, now it is 3.5"):
        captured(tensor(1), 3.5)
    captured.reset()
    assert captured(tensor(1), 3.5).item() == 3.5


def test_bounded_captures_of_integers() -> None:
    captured = jit(lambda x, n: x * n, captures=3)
    with pytest.warns(RuntimeWarning, match=r"uncaptured: argument 1 was \d, now it is 3\. There are 3") as told:
        assert [captured(tensor(1), n).item() for n in (*range(6), *range(6))] == [*range(6), *range(6)]
    assert len(captured._entries) == 3 and len(told) == 1 and told[0].filename == __file__
    assert "6 calls ran uncaptured" in captured.explain()


def test_threads() -> None:
    weight = tensor(2)
    captured = jit(lambda x, n: x * weight + n)

    def work(start: int) -> list[float]:
        return [captured(tensor(i), i % 3).item() for i in range(start, start + 12)]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(work, (0, 100, 200)))
    assert found == [[2 * i + i % 3 for i in range(start, start + 12)] for start in (0, 100, 200)]
