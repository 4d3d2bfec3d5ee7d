"""Views that captured functions return or leave behind: they show what they show without a capture."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kernelforge import Tensor, jit

pytestmark = pytest.mark.usefixtures("numpy_device")

RETURNED: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "a part": lambda x: (x, x[:1]),
    "a part with a step": lambda x: (x[::-2], x),
    "another shape": lambda x: (x.reshape(2, 2), x),
    "detached": lambda x: (x.detach(), x[1:]),
    "of what was made": lambda x: (lambda y: (y, y[1:]))(x * 2),
    "both of what is gone": lambda x: (lambda y: (y[:2], y[1:]))(x * 2),
    "one of each": lambda x: (x[1:], (x * 2)[:2]),
    "a view of a view": lambda x: (x[1:][::-1], x[::-1]),
    "repeated": lambda x: (x.reshape(4, 1).expand(4, 2), x),
}


@pytest.mark.parametrize("name", RETURNED)
def test_returned(name: str) -> None:
    function, captured, found = RETURNED[name], jit(RETURNED[name]), []
    for call in (function, captured, captured, captured):
        x = Tensor([1.0, 2.0, 3.0, 4.0])
        outside = x[2:]
        first, second = call(x)
        states: list[Any] = [first.tolist(), second.tolist()]
        second[:1] = 7
        states += [first.tolist(), second.tolist(), x.tolist(), outside.tolist()]
        x += 1
        states += [first.tolist(), second.tolist(), x.tolist(), outside.tolist()]
        if name != "repeated":
            first *= 2
        found.append([*states, first.tolist(), second.tolist(), x.tolist(), outside.tolist()])
    assert found[1:] == found[:1] * 3
    assert captured._entries[0].replays == 2


def test_of_a_view_that_is_given() -> None:
    captured = jit(lambda x: x[:1])
    for rows in (0, 1, 1, 0):
        whole = Tensor([[1.0, 2.0], [3.0, 4.0]])
        part = captured(whole[rows])
        part += 10
        assert whole[rows].tolist()[0] in (11, 13)
        whole += 1
        assert part.item() == whole[rows, 0].item()


def test_what_only_copies_is_no_view() -> None:
    captured = jit(lambda x: x.reshape(4))
    for turned in (False, False, True, True):
        x = Tensor([[1.0, 2.0], [3.0, 4.0]])
        given = x.T if turned else x
        flat = captured(given)
        flat += 1
        assert x.tolist() == ([[1, 2], [3, 4]] if turned else [[2, 3], [4, 5]])


def test_left_behind() -> None:
    def run(captures: bool) -> list[Any]:
        state, found = SimpleNamespace(x=Tensor([1.0, 2.0]), part=Tensor([0.0])), []

        def step() -> None:
            state.part = state.x[:1]

        function = jit(step) if captures else step
        for _ in range(4):
            function()
            state.x += 1
            found.append(state.part.tolist())
        return found

    assert run(True) == run(False) == [[2], [3], [4], [5]]
