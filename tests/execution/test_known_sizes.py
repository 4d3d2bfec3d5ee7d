"""Plans for open sizes are found in one call, as often as they run before they are made for their very sizes."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from kernelforge import Context, Tensor, met
from kernelforge.native import compiled
from tests.forgotten import forget_plans


@pytest.fixture(autouse=True)
def new_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plans(monkeypatch)
    monkeypatch.setattr(met, "_sized", deque())


def doubled(length: int, times: int) -> None:
    given = np.random.default_rng(length).integers(9, size=(length, 96)).astype(np.float32)
    x = Tensor(given).realize()
    for _ in range(times):
        found = (x * 2 + 3).flip(0).realize()
        np.testing.assert_array_equal(found.numpy(), given[::-1] * 2 + 3)


@pytest.mark.usefixtures("native_calls")
def test_a_large_plan_is_known_until_it_has_outgrown_its_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(met, "OFTEN", 40)
    asked, outgrown = list[int](), met.outgrown

    def counted(plans: met.Plans, plan: met.Plan) -> bool:
        asked.append(plans.runs)
        return outgrown(plans, plan)

    monkeypatch.setattr(met, "outgrown", counted)
    doubled(501, 1)
    doubled(517, 60)
    assert asked  # it was looked for in Python first,
    assert len(asked) < 40  # most runs were not,
    assert max(asked) >= 40  # and it was made anew at last


@pytest.mark.usefixtures("native_calls")
def test_plans_that_are_let_go_of_are_known_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(met, "OFTEN", 40)
    monkeypatch.setattr(met, "MOST_SIZED", 2)
    told = list[object]()
    monkeypatch.setattr(met.compiled, "unknow", told.append)
    for length in (401, 417, 431, 443, 457, 461):
        doubled(length, 8)
    assert len(told) >= 2
    assert all(isinstance(one, compiled.Function) for one in told)


@pytest.mark.usefixtures("native_calls")
def test_who_looked_for_nan_once_finds_known_plans_in_one_call_afterwards() -> None:
    x, one = Tensor(np.ones(64, np.float32)).realize(), Tensor(np.ones(64, np.float32)).realize()
    with Context(NAN=1):
        (x + one).realize()
    for _ in range(4):
        (x + one).realize()
    y = x + one
    assert compiled.computed_again(y) and y.tolist() == [2] * 64
    with Context(NAN=1):
        assert not compiled.computed_again(x + one)
