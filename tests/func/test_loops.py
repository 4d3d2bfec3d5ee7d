"""Choices, loops and recurrences: Python's own results, also captured, differentiated and in batches."""

from typing import Any

import numpy as np
import pytest

from kernelforge import Context, Tensor, jit
from kernelforge.counters import GlobalCounters
from kernelforge.errors import ShapeError
from kernelforge.func import cond, grad, jvp, scan, vmap
from kernelforge.func.loops import _unrolled

pytestmark = pytest.mark.usefixtures("numpy_device")


def chosen(x: Tensor) -> Tensor:
    result: Tensor = cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, x)
    return result


def test_cond() -> None:
    captured = jit(chosen)
    for value in (1.0, -1.0, 3.0):
        expected = value * 2 if value > 0 else value - 1
        assert chosen(Tensor([value])).tolist() == captured(Tensor([value])).tolist() == [expected]
    assert len(captured._entries) == 1
    assert vmap(chosen)(Tensor([[1.0], [-1.0]])).tolist() == [[2], [-2]]
    assert [grad(lambda x: chosen(x).sum())(Tensor([v])).item() for v in (1.0, -1.0)] == [2, 1]
    assert cond(True, lambda: 3, lambda: 4) == 3


def test_cond_of_different_results() -> None:
    with pytest.raises(ShapeError, match="must be equal"):
        cond(Tensor(True), lambda: Tensor([1.0]), lambda: Tensor([1]))
    with pytest.raises(ShapeError, match="one element"):
        cond(Tensor([True, False]), lambda: 1, lambda: 1)


def test_cond_computes_one_of_both() -> None:
    x = Tensor([4.0]).realize()
    before = GlobalCounters.kernel_count
    y = cond((x > 0).all().realize(), lambda x: x.sqrt(), lambda x: x.cumsum(0).exp().contiguous() + 1, x)
    assert y.tolist() == [2] and GlobalCounters.kernel_count == before + 2
    slope = grad(lambda x: cond(x.sum() > 0, lambda x: x.sqrt().sum(), lambda x: (-x).sqrt().sum(), x))(x)
    assert slope.tolist() == [0.25]  # where() would give nan, of a branch that is not chosen


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse: bool) -> None:
    def step(carry: Any, x: Any) -> Any:
        state = (carry["state"] * 0.5 + x[0]).tanh()
        return {"state": state}, (state, x[1] * 2)

    xs = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    carry, (states, twice) = scan(step, {"state": Tensor.zeros(3)}, (Tensor(xs[0]), Tensor(xs[1])), reverse=reverse)
    state, expected = np.zeros(3, np.float32), {}
    for i in range(5)[:: -1 if reverse else 1]:
        state = expected[i] = np.tanh(state * 0.5 + xs[0, i])
    np.testing.assert_allclose(states.numpy(), [expected[i] for i in range(5)], rtol=1e-5)
    np.testing.assert_allclose(carry["state"].numpy(), state, rtol=1e-5)
    np.testing.assert_allclose(twice.numpy(), xs[1] * 2)


def test_scan_along_another_dimension() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    _, found = scan(lambda c, x: (c + x, c + x), Tensor.zeros(2), Tensor(x), dim=1)
    np.testing.assert_allclose(found.numpy(), x.cumsum(1))
    slopes = grad(lambda x: scan(lambda c, x: (c * x, c), Tensor(1.0), x)[0])(Tensor([2.0, 3.0, 4.0]))
    assert slopes.tolist() == [12, 8, 6]


def weighted(carry: Any, x: Any, w: Tensor) -> Any:
    """A step with two parts of a carry, sequences of two types, and something from outside."""
    h = (carry["h"] @ w + x[0]).tanh()
    total = carry["total"] * 0.5 + h.sum()
    return {"h": h, "total": total}, (h * 2, total + x[1], carry["total"])


def unrolled(function: Any, init: Any, xs: Any, reverse: bool = False) -> Any:
    return _unrolled(function, init, xs, 0, range(len(xs[0])), reverse)


@pytest.mark.parametrize("length", [1, 2, 3, 6])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_recorded_once(length: int, reverse: bool) -> None:
    rng = np.random.default_rng(length)
    x, h, w = (Tensor(rng.normal(size=shape).astype(np.float32)) for shape in ((length, 3), (3,), (3, 3)))
    number, calls = Tensor(np.arange(length)), []

    def loss(x: Tensor, h: Tensor, w: Tensor, way: Any = scan) -> Any:
        def step(carry: Any, x: Any) -> Any:
            calls.append(way)
            return weighted(carry, x, w)

        carry, ys = way(step, {"h": h, "total": Tensor(1.0)}, (x, number), reverse=reverse)
        return carry["total"] + (carry["h"] * ys[0]).sum() + ys[1].mean() + (ys[2] ** 2).sum()

    for place in range(3):
        calls.clear()
        found, expected = grad(loss, place)(x, h, w), grad(loss, place)(x, h, w, unrolled)
        assert (calls.count(scan), calls.count(unrolled)) == (1, length)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss(x, h, w).numpy(), loss(x, h, w, unrolled).numpy(), rtol=1e-5)


def test_scan_under_other_transforms() -> None:
    def last(x: Tensor, rate: Tensor) -> Any:
        return scan(lambda c, v: (c * rate + v.sin(), c), Tensor(0.5), x)[0]

    x, rate = Tensor(np.linspace(0.1, 1, 12, dtype=np.float32).reshape(2, 6)), Tensor(0.7)
    rows = [last(x[i], rate).item() for i in range(2)]
    np.testing.assert_allclose(vmap(last, in_dims=(0, None))(x, rate).numpy(), rows, rtol=1e-5)
    slopes = vmap(grad(last), in_dims=(0, None))(x, rate).numpy()
    np.testing.assert_allclose(slopes, np.cos(x.numpy()) * 0.7 ** np.arange(5, -1, -1), rtol=1e-4)
    second = grad(grad(last, 1), 1)(x[0], rate).item()
    terms = np.array([0.5, *np.sin(x[0].numpy())])
    powers = np.arange(6, -1, -1)
    np.testing.assert_allclose(second, (terms * powers * (powers - 1) * 0.7 ** (powers - 2.0)).sum(), rtol=1e-4)
    moved = jvp(last, (x[0], rate), (Tensor.ones(6), Tensor(0.0)))[1]
    np.testing.assert_allclose(moved.item(), slopes[0].sum(), rtol=1e-4)
    captured = jit(lambda x: last(x, rate))
    assert [captured(x[i]).item() for i in (0, 1, 0)] == pytest.approx([rows[0], rows[1], rows[0]], rel=1e-5)


def test_a_scan_in_a_scan() -> None:
    def outer(c: Tensor, row: Tensor) -> Any:
        inner, ys = scan(lambda a, v: (a * 0.5 + v, a), c, row)
        return inner, ys.sum()

    values = np.arange(20, dtype=np.float32).reshape(4, 5)
    carry, sums = scan(outer, Tensor(1.0), Tensor(values))
    state, expected = 1.0, []
    for row in values:
        given = []
        for v in row:
            given.append(state)
            state = state * 0.5 + v
        expected.append(sum(given))
    assert carry.item() == pytest.approx(state, rel=1e-5)
    np.testing.assert_allclose(sums.numpy(), expected, rtol=1e-5)


def test_a_scan_compiles_one_step_however_long() -> None:
    def compiled(length: int) -> int:
        before = GlobalCounters.compiled
        x = Tensor(np.ones((length, 131), np.float32))
        carry, _ = scan(lambda c, v: ((c * 0.5 + v).cumsum(0).tanh(), v), Tensor.zeros(131), x)
        carry.realize()
        return GlobalCounters.compiled - before

    with Context(OPEN=0):
        assert compiled(40) <= compiled(8) + 1
        before = GlobalCounters.plans
        compiled(40)
        assert GlobalCounters.plans == before  # another function of the same code is the same step


def test_a_scan_that_draws_or_asks_is_done_place_by_place() -> None:
    calls = []

    def noisy(c: Tensor, x: Tensor) -> Any:
        calls.append(1)
        return c + Tensor.rand(1), c

    _, ys = scan(noisy, Tensor.zeros(1), Tensor.zeros(9, 1))
    steps = np.diff(ys.numpy().ravel())
    assert len(set(steps.tolist())) == 8 and len(calls) >= 9
    asked = scan(lambda c, x: (c + (1 if x.item() > 1 else 0), c), Tensor(0), Tensor([1.0, 2.0, 3.0]))
    assert asked[0].item() == 2
    longer = scan(lambda c, x: (c.cat(x.reshape(1)), x), Tensor([0.0]), Tensor([1.0, 2.0]))
    assert longer[0].tolist() == [0, 1, 2]


def test_scan_of_nothing() -> None:
    with pytest.raises(ValueError, match="without elements"):
        scan(lambda c, x: (c, x), 0, Tensor.zeros(0, 2))
    with pytest.raises(ShapeError, match="different lengths"):
        scan(lambda c, x: (c, x), 0, (Tensor.zeros(3), Tensor.zeros(2)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["a constant", "a tensor from outside", "what it was", "the element"])
def test_a_scan_that_carries_what_it_did_not_compute(name: str, reverse: bool) -> None:
    outside = Tensor([5.0, 6.0]) * 2
    carried = {
        "a constant": lambda c, x: Tensor.zeros(2) + 3,
        "a tensor from outside": lambda c, x: outside,
        "what it was": lambda c, x: c,
        "the element": lambda c, x: x,
    }[name]

    def step(c: Tensor, x: Tensor) -> Any:
        return carried(c, x), c + x

    begin, xs = Tensor([1.0, 2.0]), Tensor(np.arange(12.0, dtype=np.float32).reshape(6, 2))
    plainly = _unrolled(step, begin, xs, 0, range(6), reverse)
    for found, expected in zip(scan(step, begin, xs, reverse=reverse), plainly):
        assert found.tolist() == expected.tolist()
