"""vmap: what a loop over the examples gives, for operations of every kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, dtypes, jit
from kernelforge.errors import ShapeError
from kernelforge.func import grad, scan, vmap

pytestmark = pytest.mark.usefixtures("numpy_device")
X = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
INDEX = np.array([[0, 3, 1], [2, 2, 0], [1, 0, 3]])

FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "elementwise": lambda x, i: (x * 2 + 1).exp(),
    "a reduction": lambda x, i: x.sum(0),
    "a whole sum": lambda x, i: x.mean(),
    "softmax": lambda x, i: x.softmax(-1),
    "views": lambda x, i: x.permute(1, 0).reshape(2, 12).flip(1)[:, 1:].pad(((1, 0), (0, 2))),
    "a convolution": lambda x, i: x[None, None].conv2d(Tensor.ones(2, 1, 2, 2)),
    "pooling": lambda x, i: x[None, None].max_pool2d(2),
    "a scan": lambda x, i: x.cumsum(1),
    "a gather": lambda x, i: x.gather(0, i[:, None]),
    "an index": lambda x, i: x[i],
    "a scatter": lambda x, i: x.scatter_add(0, i[:, None], x[:3, :1]),
    "a product": lambda x, i: x @ x.permute(1, 0),
    "a sort": lambda x, i: x.sort(1)[0],
    "joining": lambda x, i: x.cat(x * 2).stack(x.cat(x)),
    "a norm": lambda x, i: x.layernorm(),
    "assigning a part": lambda x, i: _with_part(x),
    "a constant": lambda x, i: Tensor.arange(3),
    "several": lambda x, i: {"a": (x, x.sum()), "b": [i + 1]},
    "an inverse": lambda x, i: (x[:, :4] + Tensor.eye(4) * 9).inverse(),
}


def _with_part(x: Tensor) -> Tensor:
    y = x * 1
    y[1:3] = y[:2] * 5
    return y


def flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [x for item in (value.values() if isinstance(value, dict) else value) for x in flat(item)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_a_loop(name: str) -> None:
    f = FUNCTIONS[name]
    found = flat(vmap(f)(Tensor(X), Tensor(INDEX)))
    rows = [flat(f(Tensor(X[b]), Tensor(INDEX[b]))) for b in range(3)]
    for one, expected in zip(found, zip(*rows)):
        wanted = np.stack([x.numpy() for x in expected])
        assert one.shape == wanted.shape
        np.testing.assert_allclose(one.numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_dimensions() -> None:
    x, y = Tensor(X), Tensor(X[0])
    found = vmap(lambda a, b: a * b, in_dims=(2, 1), out_dims=-1)(x, y)
    np.testing.assert_allclose(found.numpy(), X * X[0], rtol=1e-6)
    found = vmap(lambda tree, k: tree["a"] * tree["b"] * k, in_dims=({"a": 0, "b": None}, None))({"a": x, "b": y}, 3)
    np.testing.assert_allclose(found.numpy(), X * X[0] * 3, rtol=1e-6)


def test_nested() -> None:
    found = vmap(vmap(lambda a, b: (a * b).sum(), in_dims=(0, None)), in_dims=(None, 0))(Tensor(X[0]), Tensor(X[1]))
    np.testing.assert_allclose(found.numpy(), X[1] @ X[0].T, rtol=1e-5)


def test_gradients_flow_to_what_it_sees() -> None:
    w = Tensor(X[0, 0]).requires_grad_()
    vmap(lambda row: (row * w).sum())(Tensor(X[0])).sum().backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), X[0].sum(0), rtol=1e-5)


def test_random_numbers() -> None:
    with pytest.raises(RuntimeError, match="randomness='same'"):
        vmap(lambda x: x + Tensor.rand(6))(Tensor(X[0]))
    found = vmap(lambda x: x * 0 + Tensor.rand(6), randomness="same")(Tensor(X[0])).numpy()
    assert (found == found[0]).all() and found[0, 0] != found[0, 1]


def drawn(x: Tensor) -> Tensor:
    return x * 0 + Tensor.rand(6)


def test_random_numbers_of_each_example() -> None:
    Tensor.manual_seed(3)
    found = vmap(drawn, randomness="different")(Tensor(X[0])).numpy()
    Tensor.manual_seed(3)
    np.testing.assert_array_equal(found, [Tensor.rand(6).numpy() for _ in X[0]])
    nested = vmap(vmap(drawn, randomness="different"), randomness="different")(Tensor(X)).numpy()
    assert len(np.unique(nested.reshape(-1, 6), axis=0)) == X.shape[0] * X.shape[1]
    assert vmap(drawn, randomness="different")(Tensor(X[0, :0])).shape == (0, 6)


def test_random_numbers_of_each_example_when_replayed() -> None:
    Tensor.manual_seed(3)
    wanted = [vmap(drawn, randomness="different")(Tensor(X[0])).numpy() for _ in range(3)]
    Tensor.manual_seed(3)
    replayed = jit(vmap(drawn, randomness="different"))
    for numbers in wanted:
        np.testing.assert_array_equal(replayed(Tensor(X[0])).numpy(), numbers)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_chunks(size: int) -> None:
    def function(x: Tensor, tree: dict[str, Tensor], k: float) -> dict[str, Tensor]:
        return {"rows": x * tree["a"] * k, "sum": (x + tree["a"]).sum()}

    def batched(chunk_size: int | None) -> dict[str, Tensor]:
        in_dims, out_dims = (1, {"a": None}, None), ({"rows": -1, "sum": 0},)
        return vmap(function, in_dims, out_dims[0], chunk_size=chunk_size)(Tensor(X[0]), {"a": Tensor(X[0, :, 0])}, 3.0)

    found, wanted = batched(size), batched(None)
    for name in wanted:
        np.testing.assert_array_equal(found[name].numpy(), wanted[name].numpy())


def test_chunks_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="chunk_size is at least 1"):
        vmap(drawn, chunk_size=0)


def test_values_are_refused() -> None:
    with pytest.raises(RuntimeError, match="asks for the value"):
        vmap(lambda x: x if x.sum() > 0 else -x)(Tensor(X))


def test_different_numbers_of_examples() -> None:
    with pytest.raises(ShapeError, match="2 numbers of examples"):
        vmap(lambda x, y: x + y)(Tensor([1.0]), Tensor([1.0, 2.0]))


@pytest.mark.parametrize("kind", ["float32", "complex64"])
@pytest.mark.parametrize("name", ["computed", "a call", "viewed"])
def test_derivatives_by_what_a_function_sees_from_outside(kind: str, name: str) -> None:
    """By a tensor that is neither leaf nor argument: functions that are rewritten leave it what it is."""
    make: dict[str, Callable[[Tensor], Tensor]] = {
        "computed": lambda x: x * x + 1, "a call": lambda x: (x * x).cumsum(0), "viewed": lambda x: x.flip(0) * 2,
    }  # fmt: skip
    dtype = getattr(dtypes, kind)
    x = Tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
    seen, rows = make[name](x), Tensor(np.arange(6.0).reshape(2, 3), dtype=dtype)
    plain = (rows * seen * seen).sum()
    for found in (
        vmap(lambda row: (row * seen * seen).sum())(rows).sum(),
        scan(lambda total, row: (total + (row * seen * seen).sum(), total), Tensor(0.0, dtype=dtype), rows)[0],
    ):
        for ours, expected in zip(found.real.gradient(seen, x), plain.real.gradient(seen, x)):
            np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=1e-5)


def test_second_derivatives_by_what_a_function_sees_from_outside() -> None:
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    seen, rows = x.softmax(0), Tensor([[1.0, 2.0, 0.5], [0.0, 1.0, 3.0]])
    found = vmap(lambda row: grad(lambda r: (r * r * seen.exp()).sum())(row).sum())(rows).sum()
    (slope,) = found.gradient(seen)
    np.testing.assert_allclose(slope.numpy(), (rows.sum(0) * 2 * seen.exp()).numpy(), rtol=1e-5)
