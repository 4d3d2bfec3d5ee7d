"""The collector is paused in the context, and afterwards what it was."""

import gc
from collections.abc import Iterator

import pytest

from kernelforge import Tensor, realize
from kernelforge.collector import paused
from kernelforge.planning import plan


@pytest.fixture(params=[True, False])
def enabled(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether it runs before."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_it_is_what_it_was_afterwards(enabled: bool) -> None:
    with paused():
        assert not gc.isenabled()
        with paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled() is enabled


def test_it_is_what_it_was_after_an_error(enabled: bool) -> None:
    with pytest.raises(ValueError), paused():
        raise ValueError
    assert gc.isenabled() is enabled


def test_plans_are_made_without_it(enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, lay_out = [], plan.lay_out
    monkeypatch.setattr(plan, "lay_out", lambda *args: seen.append(gc.isenabled()) or lay_out(*args))
    realize.planned([(Tensor([1.0, 2.0, 3.0]) * 2 + 1)._node])
    assert seen == [False] and gc.isenabled() is enabled
