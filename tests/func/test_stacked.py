"""Transformations of functions stacked at random, of random programs: torch.func's values."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor, func, jit
from kernelforge.counters import GlobalCounters

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")

SIZE = 3
# Of a square matrix each gives one, in both libraries; `lib` is the library.
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda x, lib: (x * 0.3).exp(),
    "tanh": lambda x, lib: x.tanh(),
    "fraction": lambda x, lib: 1 / (x * x + 0.5),
    "power": lambda x, lib: (x.abs() + 0.3) ** 1.7,
    "softmax": lambda x, lib: x.softmax(0),
    "cumsum": lambda x, lib: x.cumsum(-1),
    "cumprod": lambda x, lib: (x + 2).cumprod(0) / 10,
    "logcumsumexp": lambda x, lib: x.logcumsumexp(-1),
    "largest": lambda x, lib: x - x.amax(-1, keepdim=True),
    "deviation": lambda x, lib: x / (x.var(0, keepdim=True) + 1),
    "sorted": lambda x, lib: x.sort(-1)[0] * x,
    "turned": lambda x, lib: x.flip(0).transpose(0, 1) + x.roll(1, 1),
    "product": lambda x, lib: x @ x.transpose(0, 1) / 3,
    "contracted": lambda x, lib: lib.einsum("ij,kj->ik", x, x.sin()) / 3,
    "chosen": lambda x, lib: lib.where(x > 0, x, x * 0.1),
    "picked": lambda x, lib: x[lib.tensor([2, 0, 2])] * x,
    "joined": lambda x, lib: lib.cat([x, x * 2], 0)[1:4],
    "inverse": lambda x, lib: lib.linalg.inv(x @ x.transpose(0, 1) + 2 * lib.eye(SIZE)),
    "determinant": lambda x, lib: x * lib.linalg.det(x),
    "constant": lambda x, lib: x.detach() * x,
    "triangle": lambda x, lib: x.tril() + x.diagonal().sum(),
}


def program(names: list[str], lib: Any) -> Callable[..., Any]:
    def run(x: Any, y: Any) -> Any:
        for name in names:
            x = OPERATIONS[name](x, lib) + 0.5 * y
        return x

    return run


# What each makes of a function of two matrices, with the functions of one library.
TRANSFORMATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "grad": lambda f, own: own.grad(lambda x, y: f(x, y).sin().sum()),
    "grad of the second": lambda f, own: own.grad(lambda x, y: f(x, y).sin().sum(), argnums=1),
    "value and grad": lambda f, own: lambda x, y: sum(own.grad_and_value(lambda *z: f(*z).cos().sum())(x, y)),
    "a pull of the value": lambda f, own: lambda x, y: _pulled(f, own, x, y),
    "a push": lambda f, own: lambda x, y: own.jvp(f, (x, y), (y.cos(), x.sin()))[1],
    "a push of its own push": lambda f, own: lambda x, y: _pushed_twice(f, own, x, y),
    "a gradient beside a gradient": lambda f, own: lambda x, y: _beside(f, own, x, y),
    "rows": lambda f, own: lambda x, y: own.jacrev(f)(x, y).sum((0, 1)),
    "columns": lambda f, own: lambda x, y: own.jacfwd(f)(x, y).sum((2, 3)),
    "examples": lambda f, own: lambda x, y: own.vmap(lambda a: f(a * x, y))(x[:2].unsqueeze(-1)).sum(0),
    "a Hessian": lambda f, own: lambda x, y: own.hessian(lambda a: f(a, y).sin().sum())(x).sum((0, 1)),
}


def _pulled(f: Any, own: Any, x: Any, y: Any) -> Any:
    value, pull = own.vjp(f, x, y)
    dx, dy = pull(value.cos())
    return dx + dy * value


def _pushed_twice(f: Any, own: Any, x: Any, y: Any) -> Any:
    value, moved = own.jvp(f, (x, y), (y, x))
    return own.jvp(f, (x, value), (moved, y))[1]


def _beside(f: Any, own: Any, x: Any, y: Any) -> Any:
    slope = own.grad(lambda a: f(a, y).sum())(x)
    return own.grad(lambda a: (f(a, y) * slope * a).sum())(x)


@pytest.mark.parametrize("seed", range(60))
def test_a_stack(seed: int) -> None:
    choose = random.Random(seed)
    names = [choose.choice(list(OPERATIONS)) for _ in range(choose.randint(1, 3))]
    around = [choose.choice(list(TRANSFORMATIONS)) for _ in range(choose.randint(1, 2))]
    arrays = [np.random.default_rng([seed, i]).standard_normal((SIZE, SIZE)) for i in range(2)]
    ours, theirs = program(names, kernelforge), program(names, torch)
    for name in around:
        ours, theirs = TRANSFORMATIONS[name](ours, func), TRANSFORMATIONS[name](theirs, torch.func)
    expected = theirs(*map(torch.tensor, arrays)).detach().numpy()
    tolerance = 1e-6 * max(1.0, float(np.abs(expected).max()))
    given = [Tensor(array) for array in arrays]
    what = f"{around} of {names}"
    for way in (ours, captured := jit(ours), captured, captured):
        np.testing.assert_allclose(way(*given).numpy(), expected, rtol=1e-6, atol=tolerance, err_msg=what)


def test_results_of_one_function_are_constants_in_another() -> None:
    """Also where they were computed from the very tensor that the other is a function of."""
    x = Tensor([1.0, 2.0, 3.0])

    def slope(a: Tensor) -> Tensor:
        before = func.grad(lambda b: (b**3).sum())(a)  # 3 a^2
        return func.grad(lambda b: (b * before).sum())(a).sum()

    assert func.grad(slope)(x).tolist() == [6.0, 12.0, 18.0]
    leaf = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    value, _ = func.vjp(lambda b: b**3, leaf)
    _, pull = func.vjp(lambda b: b * value, leaf)
    assert pull(Tensor([1.0, 1.0, 1.0]))[0].tolist() == [1.0, 8.0, 27.0]


def test_a_cotangent_made_of_the_value() -> None:
    def pulled(x: Tensor) -> Tensor:
        value, pull = func.vjp(lambda a: a * a, x)
        return pull(value)[0].sum()  # 2 x^3

    assert func.grad(pulled)(Tensor([1.0, 2.0])).tolist() == [6.0, 24.0]
    assert func.hessian(pulled)(Tensor([1.0, 2.0])).tolist() == [[12.0, 0.0], [0.0, 24.0]]


def test_a_pull_is_differentiated_by_its_cotangent() -> None:
    """Also where the function was pulled from outside of every transformation."""
    x, move = Tensor([1.0, 2.0, 3.0]), Tensor([1.0, 10.0, 100.0])
    _, pull = func.vjp(lambda a: a**3, x)
    found = [
        func.vjp(lambda c: pull(c)[0], x)[1](move)[0],
        func.jvp(lambda c: pull(c)[0], (x,), (move,))[1],
        func.grad(lambda c: (pull(c)[0] * move).sum())(x),
        func.jacrev(lambda c: pull(c)[0])(x) @ move,
        func.vmap(func.grad(lambda c: (pull(c)[0] * move).sum()))(x.stack(x))[1],
    ]
    for slope in found:
        assert slope.tolist() == [3.0, 120.0, 2700.0]
    assert not pull(x)[0].requires_grad


@pytest.mark.parametrize("name", ["gradients", "of each example", "pushed gradients"])
def test_steps_are_planned_alike_whatever_is_held_uncomputed(name: str) -> None:
    def loss(w: Tensor, x: Tensor) -> Tensor:
        return (w * x).tanh().square().mean()

    slope: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "gradients": func.grad(loss),
        "of each example": lambda w, x: func.vmap(func.grad(loss), (None, 0))(w, x).mean(0),
        "pushed gradients": lambda w, x: func.jvp(func.grad(lambda a: loss(a, x)), (w,), (w * 2,))[1],
    }
    held, w, plans = [], Tensor([0.1, 0.2, 0.3]), []
    for i in range(6):
        found = slope[name](w, Tensor(np.full((4, 3), i + 0.5, np.float32)))
        w = (w - 0.1 * found).realize()
        held.append(found)
        plans.append(GlobalCounters.plans)
    assert plans[2:] == plans[2:3] * 4
