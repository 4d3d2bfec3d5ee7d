"""Loops of unknown length: Python's own results, recorded once, also captured, in batches and with tangents."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelforge import Context, GlobalCounters, Tensor, jit
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.func import grad, jvp, scan, vmap, while_loop

pytestmark = pytest.mark.usefixtures("numpy_device")

PARTS: dict[str, Callable[..., Any]] = {
    "doubled": lambda a, b, n: (a * 2, b, n + 1),
    "swapped": lambda a, b, n: (b, a, n + 1),
    "mixed": lambda a, b, n: (a * 0.5 + b, b - a, n + 1),
    "counted": lambda a, b, n: (a + n, b * 0 + 1, n + 2),
    "turned": lambda a, b, n: (a[::-1] if isinstance(a, np.ndarray) else a.flip(0), b + 1, n + 1),
}


@given(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=3), st.integers(0, 5), st.sampled_from((0, 1, 3)),
       st.integers(0, 99))  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_as_python_does(parts: list[str], rounds: int, size: int, seed: int) -> None:
    def body(a: Any, b: Any, n: Any) -> Any:
        for part in parts:
            a, b, n = PARTS[part](a, b, n)
        return a, b, n

    a, b = np.random.default_rng(seed).integers(-4, 4, (2, size)).astype(np.float32)
    expected: Any = (a, b, 0)
    found = while_loop(lambda a, b, n: n < rounds, body, (Tensor(a), Tensor(b), 0))
    while expected[2] < rounds:
        expected = body(*expected)
    for x, y in zip(found, expected):
        np.testing.assert_array_equal(x.numpy(), y)


def doubled(x: Tensor) -> Any:
    return while_loop(lambda x, n: x.max() < 100, lambda x, n: (x * 2, n + 1), (x, 0))


def test_functions_are_called_once() -> None:
    calls = []

    def body(x: Tensor) -> tuple[Tensor]:
        calls.append(x)
        return (x + 1,)

    (found,) = while_loop(lambda x: x < 50, body, (Tensor(0),))
    assert found._stored is None, "it is lazy"
    assert (found + 1).item() == 51 and len(calls) == 1


def test_plans_are_made_once() -> None:
    assert doubled(Tensor([3.0]))[1].item() == 6
    before = GlobalCounters.plans
    assert [doubled(Tensor([v]))[1].item() for v in (60.0, 1.0, 200.0)] == [1, 7, 0]
    assert GlobalCounters.plans == before


def test_states_are_computed_together() -> None:
    x, n = doubled(Tensor([3.0]))
    assert x.tolist() == [192]
    before = GlobalCounters.kernel_count
    assert n.item() == 6 and GlobalCounters.kernel_count == before


def test_captured() -> None:
    captured = jit(doubled)
    assert [captured(Tensor([v]))[1].item() for v in (60.0, 200.0, 1.0, 3.0)] == [1, 0, 7, 6]
    assert len(captured._entries) == 1
    assert len(captured._entries[0].capture.plans) == 1, "it does not split the capture"


def test_what_is_around_it_is_one_plan() -> None:
    weight = Tensor([2.0, 3.0])
    found = (while_loop(lambda x: x.sum() < 50, lambda x: x * weight + 1, ((Tensor([1.0, 2.0]) + 1),))[0] - 1) * 2
    x = np.array([2.0, 3.0])
    while x.sum() < 50:
        x = x * [2, 3] + 1
    assert found.tolist() == ((x - 1) * 2).tolist()


def test_loops_in_loops() -> None:
    def body(x: Tensor, n: Tensor) -> Any:
        inner = while_loop(lambda y, k: k < n, lambda y, k: (y + x, k + 1), (Tensor(0), 0))
        return inner[0] + 1, n + 1

    x, n = 1, 0
    while n < 4:
        x, n = x * n + 1, n + 1
    assert while_loop(lambda x, n: n < 4, body, (1, 0))[0].item() == x


def test_in_a_recurrence() -> None:
    def step(carry: Tensor, x: Tensor) -> Any:
        found = while_loop(lambda y: y < x, lambda y: y * 2, (carry,))[0]
        return found, found

    _, found = scan(step, Tensor(1.0), Tensor([3.0, 10.0, 10.0, 40.0, 100.0]))
    assert found.tolist() == [4, 16, 16, 64, 128]


def test_batches() -> None:
    many = Tensor([[3.0], [60.0], [200.0]])
    x, n = vmap(doubled)(many)
    assert x.tolist() == [[192], [120], [200]] and n.tolist() == [6, 1, 0]
    weight = Tensor([1.0, 10.0])
    by_count = vmap(lambda x, w: while_loop(lambda x, n: n < 3, lambda x, n: (x * w, n + 1), (x, 0)), in_dims=(0, None))
    assert by_count(many[:2].expand(2, 2), weight)[0].tolist() == [[3, 3000], [60, 60000]]
    limits = vmap(lambda limit: while_loop(lambda n: n < limit, lambda n: n + 1, (0,))[0])
    assert limits(Tensor([0, 5, 2])).tolist() == [0, 5, 2]


def test_tangents() -> None:
    def power(c: Tensor) -> Tensor:
        found: Tensor = while_loop(lambda x: x < 100, lambda x: x * c, (Tensor(1.0),))[0]
        return found

    c, one = Tensor(3.0), Tensor(1.0)
    assert [x.item() for x in jvp(power, (c,), (one,))] == [243, 5 * 81]
    assert [x.item() for x in jvp(lambda c: jvp(power, (c,), (one,))[1], (c,), (one,))] == [405, 20 * 27]
    twice = jvp(lambda c: power(c * 2 - 3) * c, (c,), (one,))
    assert [x.item() for x in twice] == [729, 243 + 3 * 5 * 81 * 2]
    assert vmap(lambda dc: jvp(power, (c,), (dc,))[1])(Tensor([1.0, 2.0])).tolist() == [405, 810]
    count = jvp(lambda x: while_loop(lambda x, n: x < 9, lambda x, n: (x * 2, n + 1), (x, 0)), (one,), (one,))
    assert [x.item() for x in count[1]] == [16, 0]


def test_gradients_need_a_bound() -> None:
    with pytest.raises(ArgumentError, match="maximum_trips"):
        grad(lambda x: doubled(x)[0].sum())(Tensor([3.0]))
    weight = Tensor(3.0, requires_grad=True)
    with pytest.raises(ArgumentError, match="maximum_trips"):
        while_loop(lambda x: x < 100, lambda x: x * weight, (Tensor(1.0),))[0].backward()

    def bounded(c: Tensor, trips: int) -> Tensor:
        found: Tensor = while_loop(lambda x: x < 100, lambda x: x * c, (Tensor(1.0),), maximum_trips=trips)[0]
        return found

    assert [bounded(weight.detach(), trips).item() for trips in (0, 2, 5, 9)] == [1, 9, 243, 243]
    assert grad(lambda c: bounded(c, 9))(Tensor(3.0)).item() == 5 * 81


def test_what_a_loop_cannot_do() -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"makes a tensor of \(4,\) of one of \(2,\)"):
        while_loop(lambda x: x.sum() < 9, lambda x: x.cat(x), (x,))
    with pytest.raises(DTypeError, match="cast what it gives"):
        while_loop(lambda x: x.sum() < 9, lambda x: x.int(), (x,))
    with pytest.raises(ShapeError, match="takes 1 tensors and gives 2"):
        while_loop(lambda x: x.sum() < 9, lambda x: (x, x), (x,))
    with pytest.raises(ShapeError, match="one element"):
        while_loop(lambda x: x < 9, lambda x: x + 1, (x,))
    with pytest.raises(RuntimeError, match="asks for the value"):
        while_loop(lambda x: x.sum() < 9, lambda x: x + x.sum().item(), (x,))
    with pytest.raises(RuntimeError, match="random numbers"):
        while_loop(lambda x: x.sum() < 9, lambda x: x + Tensor.rand(2), (x,))
    with pytest.raises(RuntimeError, match="from outside"):
        while_loop(lambda y: y.sum() < 9, lambda y: y + x.add_(1), (x * 1,))


def test_one_operation_at_a_time() -> None:
    with Context(EAGER=1):
        assert [x.tolist() for x in doubled(Tensor([3.0]))] == [[192], 6]


def test_a_weight_is_stored_as_it_is() -> None:
    weight = Tensor(np.eye(30, dtype=np.float32) * 0.5).realize()
    captured = jit(lambda x: while_loop(lambda x: x.square().sum() > 1, lambda x: (x @ weight,), (x,))[0])
    assert captured(Tensor(np.full((4, 30), 8.0, np.float32))).tolist() == [[0.0625] * 30] * 4
    (plan,) = captured._entries[0].capture.plans
    assert sum(slot.nbytes for slot in plan.slots if slot.role == "scratch") < 4 * 30 * 30
