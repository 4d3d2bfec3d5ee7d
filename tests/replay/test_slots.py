"""Objects whose attributes lie in slots, or come and go, some of which a captured function never names."""

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit
from kernelforge.replay.guards import Guard

NAMES = ("a", "b", "c", "d")


class Slotted:
    __slots__ = NAMES


class Inherited(Slotted):
    """With a dict beside the slots."""


class Kept(Slotted):
    __slots__ = ("e",)


class Plain:
    """With no slots."""


class Unlike(Slotted):
    """Of the same layout as its base, so that an instance may become one."""

    __slots__ = ()

    @property
    def c(self) -> int:  # type: ignore[override]
        return 7


class _Hidden:
    __slots__ = ("__factor",)

    def take(self, factor: int) -> None:
        self.__factor = factor

    def times(self, x: Tensor) -> Tensor:
        return x * self.__factor


class Private(_Hidden):
    """Whose slot has the name of its base."""

    __slots__ = ()


def told(x: Tensor, held: Any) -> Tensor:
    """Names a and c and, of what may be in a dict, more; never b and d."""
    x = x * held.a if held.a else x + 11
    try:
        return x + held.c
    except AttributeError:
        pass
    try:
        return x - held.more
    except AttributeError:
        return x


def named_only(x: Tensor, held: Any) -> Tensor:
    """Names a and c alone."""
    x = x * held.a
    try:
        return x + held.c
    except AttributeError:
        return x


def changed(draw: random.Random, held: Any) -> None:
    """One attribute set, changed or taken away."""
    name = draw.choice(NAMES + (("more", "other") if hasattr(held, "__dict__") else ()))
    if hasattr(held, "__dict__") and draw.random() < 0.4:  # one for another
        gone, come = draw.sample(("b", "c", "d", "more", "other"), 2)
        if hasattr(held, gone) and not hasattr(held, come):
            delattr(held, gone)
            setattr(held, come, 3)
    elif name != "a" and hasattr(held, name) and draw.random() < 0.4:
        delattr(held, name)
    else:
        setattr(held, name, draw.choice((1, 2, 2.0, True)))


@pytest.mark.parametrize("function", [told, named_only])
@pytest.mark.parametrize("kind", [Slotted, Inherited, Kept, Plain])
@pytest.mark.parametrize("seed", range(6))
def test_replays_follow_attributes_in_slots(function: Any, kind: type, seed: int) -> None:
    draw, held, x = random.Random(seed), kind(), Tensor([1.0, 2.0, 3.0]).realize()
    held.a, held.b = 2, 1
    step = jit(lambda x: function(x, held), captures=100)
    for _ in range(30):
        np.testing.assert_array_equal(step(x).numpy(), function(x, held).numpy())
        changed(draw, held)


@pytest.mark.parametrize("kind", [Inherited, Plain, lambda: ModuleType("held")])
def test_attributes_that_come_as_others_go_are_seen(kind: Callable[[], Any]) -> None:
    held, x = kind(), Tensor([1.0, 2.0]).realize()
    held.a = 2
    held.other = 1
    step = jit(lambda x: told(x, held), captures=5)
    for _ in range(3):
        np.testing.assert_array_equal(step(x).numpy(), [2, 4])
    del held.other
    held.more = 5
    np.testing.assert_array_equal(step(x).numpy(), [-3, -1])


def test_replays_follow_private_attributes_in_slots() -> None:
    held, x = Private(), Tensor([1.0, 2.0]).realize()
    step = jit(held.times, captures=5)
    for factor in (2, 2, 2, 3, 2):
        held.take(factor)
        np.testing.assert_array_equal(step(x).numpy(), [factor, 2 * factor])


def test_replays_follow_the_class_of_what_has_slots() -> None:
    held, x = Slotted(), Tensor([1.0, 2.0]).realize()
    held.a, held.b = 2, 5
    step = jit(lambda x: named_only(x, held), captures=5)
    for _ in range(3):
        np.testing.assert_array_equal(step(x).numpy(), [2, 4])
    held.__class__ = Unlike
    np.testing.assert_array_equal(step(x).numpy(), [9, 11])


@pytest.mark.parametrize("kind", [Slotted, Inherited, Kept])
def test_slots_no_code_names_do_not_slow_a_replay(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    held, x = kind(), Tensor([1.0, 2.0]).realize()
    held.a, held.b, held.d = 2, 5, []
    step = jit(lambda x: named_only(x, held))
    for _ in range(3):
        step(x)
    monkeypatch.setattr(Guard, "reason", lambda guard: pytest.fail(f"{guard.holder.path} is looked at closely"))
    np.testing.assert_array_equal(step(x).numpy(), [2, 4])
