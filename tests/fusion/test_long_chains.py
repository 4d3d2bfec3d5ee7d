"""Reductions that follow each other, many of them: what fusion looks at grows with their number alone."""

from typing import Any

import pytest
from pytest import MonkeyPatch

from kernelforge.fusion.demand import OFTEN, Demands
from kernelforge.fusion.limits import Limits
from tests.fused import planned, tensor


@pytest.mark.parametrize("size", [4, 200])
def test_each_step_of_a_chain_is_one_question_of_a_size_that_is_capped(size: int, monkeypatch: MonkeyPatch) -> None:
    expand, count, steps = Demands._expand, 0, 60

    def counted(*args: Any) -> None:
        nonlocal count
        count += 1
        expand(*args)

    monkeypatch.setattr(Demands, "_expand", counted)
    x = tensor(size, size)
    for _ in range(steps):
        x = x - x.sum(0) * 0.1
    planned(x)
    assert 0 < count <= steps * OFTEN * 4 * Limits().operations
