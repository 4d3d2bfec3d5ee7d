"""Derivatives of functions: torch.func's values, alone and inside each other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit, no_grad
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.func import (
    checkpoint,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    value_and_grad,
    vjp,
    vmap,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75]], np.float32)
W = np.array([0.3, -0.6, 0.9], np.float32)
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: x.exp() * x.sin() + x,
    "softmax": lambda x: x.softmax(-1),
    "a sum": lambda x: (x * x).sum(0),
    "a scan": lambda x: x.cumsum(1) * x,
    "a product": lambda x: x @ x.permute(1, 0),
    "a maximum": lambda x: x.amax(-1) + x.mean(),
    "a view": lambda x: (x[:, 1:] * x[:, :2]).flip(0).reshape(-1),
    "a constant": lambda x: (x * 0 + 1).sigmoid(),
}


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_products(name: str) -> None:
    f, x, t = FUNCTIONS[name], X, X[::-1].copy()
    y, pull = vjp(f, Tensor(x))
    expected, pulled = torch.func.vjp(f, torch.tensor(x))
    close(y, expected)
    close(pull(Tensor(expected.numpy() + 1))[0], pulled(expected + 1)[0])
    y, dy = jvp(f, (Tensor(x),), (Tensor(t),))
    expected, pushed = torch.func.jvp(f, (torch.tensor(x),), (torch.tensor(t),))
    close(y, expected)
    close(dy, pushed)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians(name: str) -> None:
    f = FUNCTIONS[name]
    expected = torch.func.jacrev(f)(torch.tensor(X))
    for way in (jacrev, jacfwd, jacobian):
        close(way(f)(Tensor(X)), expected)


@pytest.mark.parametrize("name", ["elementwise", "softmax", "a scan"])
def test_second_derivatives(name: str) -> None:
    def total(x: Any) -> Any:
        return (FUNCTIONS[name](x) * 0.5).sum() * x.sum()

    close(hessian(total)(Tensor(W)[None]), torch.func.hessian(total)(torch.tensor(W)[None]))
    ours = grad(lambda x: (grad(total)(x) * 2).sum())(Tensor(X))
    close(ours, torch.func.grad(lambda x: (torch.func.grad(total)(x) * 2).sum())(torch.tensor(X)))


def test_gradients_of_each_example() -> None:
    def loss(w: Any, x: Any) -> Any:
        return ((x * w).sum() - 1).square()

    ours = vmap(grad(loss), in_dims=(None, 0))(Tensor(W), Tensor(X))
    close(ours, torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(torch.tensor(W), torch.tensor(X)))
    outer = grad(lambda w: vmap(loss, in_dims=(None, 0))(w, Tensor(X)).sum())(Tensor(W))
    close(outer, ours.sum(0))


def test_trees_and_places() -> None:
    def loss(params: Any, x: Any, scale: float = 1.0) -> Any:
        return ((x * params["w"] + params["b"][0]) * scale).square().sum()

    params = {"w": Tensor(W), "b": [Tensor([1.0]), 3]}
    both = value_and_grad(lambda w, b, x: loss({"w": w, "b": [b]}, x), argnums=(0, 1))
    value, (dw, db) = both(params["w"], Tensor([1.0]), Tensor(X))
    w, b = torch.tensor(W, requires_grad=True), torch.tensor([1.0], requires_grad=True)
    expected = loss({"w": w, "b": [b]}, torch.tensor(X))
    expected.backward()
    close(value, expected)
    close(dw, w.grad)
    close(db, b.grad)
    found = grad(lambda p, x: loss({"w": p["w"], "b": p["b"]}, x, scale=2.0))(
        {"w": Tensor(W), "b": (Tensor([1.0]),)}, Tensor(X)
    )
    close(found["w"], w.grad * 4)
    close(found["b"][0], b.grad * 4)


def test_anything_else_comes_along() -> None:
    slope, aux = grad(lambda x: (x * x, {"twice": x * 2}), has_aux=True)(Tensor(3.0))
    assert (slope.item(), aux["twice"].item()) == (6, 6)
    slope, value = grad_and_value(lambda x: x * x)(Tensor(3.0))
    assert (slope.item(), value.item()) == (6, 9)


def test_what_it_sees_is_a_constant() -> None:
    x = Tensor(3.0)
    assert grad(lambda y: x * y)(x).item() == 3
    assert grad(lambda y: grad(lambda z: z * y * y)(y))(x).item() == 6
    with no_grad():
        assert grad(lambda y: y * y)(x).item() == 6


def test_results_are_constants_unless_something_outside_is_tracked() -> None:
    assert grad(lambda y: y * y)(Tensor(3.0)).requires_grad is None
    w = Tensor([3.0]).requires_grad_()
    found = grad(lambda y: (y * y * w).sum())(Tensor(2.0))
    found.backward()
    assert w.grad is not None and w.grad.tolist() == [4]


def test_no_dependence_is_zero() -> None:
    assert grad(lambda x: Tensor(1.0))(Tensor([2.0])).tolist() == [0]
    assert jvp(lambda x: Tensor([1, 2]), (Tensor([2.0]),), (Tensor([1.0]),))[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: grad(lambda x: x * x)(Tensor([1.0, 2.0])), ShapeError, "one number"),
        (lambda: grad(lambda x: x * x)(Tensor(1)), DTypeError, "only floats"),
        (lambda: grad(lambda x: x)("text"), TypeError, "str"),
        (lambda: jvp(lambda x: x, (Tensor([1.0]),), (Tensor([1.0, 2.0]),)), ShapeError, "must be equal"),
    ],
)
def test_errors(wrong: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        wrong()


def test_captured() -> None:
    step = jit(lambda w, x: value_and_grad(lambda w: (x * w).sin().sum())(w))
    for i in range(3):
        value, slope = step(Tensor(W), Tensor(X + i))
        x = torch.tensor(X + i)
        close(value, (x * torch.tensor(W)).sin().sum())
        close(slope, ((x * torch.tensor(W)).cos() * x).sum(0))


@pytest.mark.parametrize("captured", [False, True])
def test_checkpoint_draws_the_same_numbers_again(captured: bool) -> None:
    def noisy(x: Any, use: Callable[..., Any]) -> Any:
        return use(lambda x: use(lambda x: (x * Tensor.rand(3)).sin(), x) * x.dropout(0.5), x)

    def gradient(x: Any, use: Callable[..., Any]) -> Any:
        y = noisy(x, use)
        return y, y.sum().gradient(x)[0], Tensor.rand(2)

    found = []
    for use in (checkpoint, lambda f, *args: f(*args)):
        Tensor.manual_seed(3)
        step = jit(lambda x, use=use: gradient(x, use)) if captured else lambda x, use=use: gradient(x, use)
        with Tensor.train():
            found.append([[part.tolist() for part in step(Tensor(X, requires_grad=True))] for _ in range(3)])
    assert found[0] == found[1] and found[0][0] != found[0][1]


def test_checkpoint() -> None:
    def block(x: Any, w: Any) -> Any:
        return (x * w).sin().exp()

    for use in (checkpoint, lambda f, *args: f(*args)):
        w = Tensor(W).requires_grad_()
        y = use(block, use(block, Tensor(X) * 2, w), w)
        y.sum().backward()
        v = torch.tensor(W, requires_grad=True)
        expected = block(block(torch.tensor(X) * 2, v), v)
        expected.sum().backward()
        close(y, expected)
        assert w.grad is not None
        close(w.grad, v.grad)


def _square_and_more(x):
    return x * x, {"more": x + 1}


@pytest.mark.parametrize("nested", [False, True])
def test_what_else_a_function_gives_is_a_further_result(nested):
    def check(x):
        y, pull, more = vjp(_square_and_more, x, has_aux=True)
        pushed, dy, also = jvp(_square_and_more, (x,), (x.ones_like(),), has_aux=True)
        rows, third = jacrev(_square_and_more, has_aux=True)(x)
        columns, fourth = jacfwd(_square_and_more, has_aux=True)(x)
        for each in (more, also, third, fourth):
            assert each["more"].tolist() == [2, 4]
        assert y.tolist() == pushed.tolist() == [1, 9]
        assert pull(x.ones_like())[0].tolist() == dy.tolist() == [2, 6]
        assert rows.tolist() == columns.tolist() == [[2, 0], [0, 6]]
        return y.sum()

    x = Tensor([1.0, 3.0])
    if nested:
        assert grad(check)(x).tolist() == [2, 6]
    else:
        check(x)
    for transform in (jacrev, jacfwd):
        with pytest.raises(TypeError, match="value, anything else"):
            transform(lambda x: x, has_aux=True)(x)


@pytest.mark.parametrize("transform", [jacrev, jacfwd])
def test_jacobians_of_several_arguments(transform):
    x, y = Tensor([1.0, 3.0]), Tensor([2.0, 5.0])
    found = transform(lambda x, y: x * y, argnums=(0, 1))(x, y)
    assert [part.tolist() for part in found] == [[[2, 0], [0, 5]], [[1, 0], [0, 3]]]
