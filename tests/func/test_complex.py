"""Derivatives with respect to complex tensors are torch.func's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import DTypeError, Tensor, func

torch = pytest.importorskip("torch")

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "holomorphic": lambda z: z * z * (1 + 2j) + z.exp(),
    "conjugate": lambda z: z * z.conj() * z + z.conj() * 1j,
    "to real": lambda z: z.abs() * z.real - z.imag,
    "of sums": lambda z: z * z.sum(),
}
VALUES, MOVES = np.array([1 + 2j, 0.5 - 1j, -0.3 + 0.1j]), np.array([0.2 - 1j, 1.5 + 0.5j, 2 - 3j])


def same(ours: Tensor, theirs: Any) -> None:
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.numpy(), theirs.detach().resolve_conj().numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_products(name: str, numpy_device: None) -> None:
    function, z, dz = FUNCTIONS[name], Tensor(VALUES), Tensor(MOVES)
    other, move = torch.tensor(VALUES), torch.tensor(MOVES)
    same(func.jvp(function, (z,), (dz,))[1], torch.func.jvp(function, (other,), (move,))[1])
    real = name == "to real"
    back = (dz.real, move.real) if real else (dz, move)
    same(func.vjp(function, z)[1](back[0])[0], torch.func.vjp(function, other)[1](back[1])[0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_real_values(name: str, numpy_device: None) -> None:
    def loss(z: Any) -> Any:
        y = FUNCTIONS[name](z)
        return (y * y.conj()).real.sum()

    same(func.grad(loss)(Tensor(VALUES)), torch.func.grad(loss)(torch.tensor(VALUES)))
    rows, columns = (each.real for each in (Tensor(VALUES), torch.tensor(VALUES)))
    same(func.grad(lambda a: loss(a * (1 + 1j)))(rows), torch.func.grad(lambda a: loss(a * (1 + 1j)))(columns))


def test_equal_parts_are_two_variables(numpy_device: None) -> None:
    slope = func.grad(lambda z: (z.real * 2 + z.imag * 3).sum())(Tensor.full((2,), 1 + 1j))
    assert slope.tolist() == [2 + 3j, 2 + 3j]


def test_a_complex_value_has_no_gradient() -> None:
    with pytest.raises(DTypeError, match="must be real"):
        func.grad(lambda z: (z * z).sum())(Tensor(VALUES))


@pytest.mark.parametrize("jacobian", [func.jacrev, func.jacfwd])
def test_jacobians_are_of_real_tensors_by_real_ones(jacobian: Any, numpy_device: None) -> None:
    with pytest.raises(DTypeError, match="view_as_real"):
        jacobian(lambda z: z.real)(Tensor(VALUES))
    with pytest.raises(DTypeError, match="view_as_real"):
        jacobian(lambda x: x * 1j)(Tensor(VALUES).real)
    inside = jacobian(lambda x: (x.view_as_complex() * 2j).view_as_real())(Tensor([[1.0, 2.0]]))
    assert inside.shape == (1, 2, 1, 2) and inside.reshape(2, 2).tolist() == [[0, -2], [2, 0]]
