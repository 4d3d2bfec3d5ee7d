"""Gradients of methods of both libraries, on random arguments of float64 away from kinks and poles.

The cotangent is random.  Where torch has no gradient or an error, or the values leave the domain of the method, there
is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernelforge import Context, Tensor, linalg
from kernelforge.autograd import grad
from tests.parity.cases import Case, a_shape, values
from tests.parity.tables import ALL_CASES, WITH_DIMENSIONS

torch = pytest.importorskip("torch")

DOMAINS: list[Callable[[np.ndarray], np.ndarray]] = [lambda x: x, lambda x: x / 16 + 0.5, lambda x: x + 6]
WITHOUT = {
    "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "signbit", "logical_not",
    "logical_and", "logical_or", "logical_xor", "heaviside", "floor_divide", "any", "all", "argmax", "argmin",
    "nonzero", "argwhere", "count_nonzero", "ldexp",
}  # fmt: skip
SMOOTH = {
    table: {name: case for name, case in cases.items() if "f" in case.kinds and name.split()[0] not in WITHOUT}
    for table, cases in ALL_CASES.items()
}


def is_float(argument: Any) -> bool:
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"


def away_from_kinks(argument: Any, rng: np.random.Generator) -> Any:
    """An array's finite numbers moved a little, so that no two are equal; other arguments as they are."""
    if not is_float(argument):
        return argument
    return np.asarray(np.where(np.isfinite(argument), argument, 1) + rng.uniform(-0.2, 0.2, argument.shape))


def floats(results: Any) -> list[Any]:
    """The results of a call that are floats."""
    together = tuple(results) if isinstance(results, tuple | list) else (results,)
    return [x for x in together if x.is_floating_point()]


def weighted_sum(outputs: list[Any], make: Callable[[np.ndarray], Any], seed: int) -> Any:
    """All elements times random numbers, added up."""
    rng = np.random.default_rng(seed)
    parts = [(x * make(np.asarray(rng.normal(size=tuple(x.shape))))).sum() for x in outputs]
    return sum(parts[1:], parts[0])


def their_gradients(case: Case, arguments: list[Any], seed: int) -> tuple[list[Any], list[Any]] | None:
    """The arguments within the domain of a method, and torch's gradients; None where it has none."""
    for domain in DOMAINS:
        moved = [np.asarray(domain(a)) if is_float(a) else a for a in arguments]
        inputs = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in moved]
        leaves = [x.requires_grad_() for x in inputs if isinstance(x, torch.Tensor) and x.is_floating_point()]
        try:
            outputs = floats((case.theirs or case.call)(*inputs))
            if outputs and all(x.isfinite().all() for x in outputs):
                total = weighted_sum(outputs, torch.tensor, seed)
                found = torch.autograd.grad(total, leaves, allow_unused=True)
                return moved, [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found)]
        except (RuntimeError, IndexError, TypeError, ValueError):
            return None
    return None


@pytest.mark.parametrize("cases", SMOOTH.values(), ids=SMOOTH)
@given(data=st.data())
def test_gradients_as_in_torch(cases: dict[str, Case], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(cases)))
    case = cases[name]
    shape = a_shape(data.draw, least=name in WITH_DIMENSIONS)
    seed = data.draw(st.integers(0, 1 << 20))
    drawn = [values(data.draw, shape, "float64"), *case.arguments(data.draw, shape, "float64")]
    rng = np.random.default_rng(seed)
    reference = their_gradients(case, [away_from_kinks(a, rng) for a in drawn], seed)
    assume(reference is not None)
    arguments, expected = reference  # type: ignore[misc]
    with Context(DEVICE="NUMPY"):
        inputs = [Tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
        leaves = [x.requires_grad_() for x in inputs if isinstance(x, Tensor) and x.is_floating_point()]
        total = weighted_sum(floats(case.call(*inputs)), Tensor, seed)
        found = total.gradient(*leaves, materialize_grads=True)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), 1e-7, 1e-9)


def _determined(name: str):
    """A function of a complex matrix, made of its factors, that no free phase of theirs changes."""

    def function(a: Any) -> Any:
        algebra = linalg if isinstance(a, Tensor) else torch.linalg
        if name == "slogdet":
            sign, logarithm = algebra.slogdet(a)
            return sign * logarithm
        if name == "cholesky":
            return algebra.cholesky(a @ a.mH)
        if name == "eigh":
            _, vectors = algebra.eigh(a + a.mH)
            return vectors[:, :2] @ vectors[:, :2].mH
        parts = algebra.svd(a, full_matrices=False) if name == "svd" else algebra.qr(a)
        return parts[0] @ parts[2] if name == "svd" else parts[0] + parts[1]

    return function


@pytest.mark.parametrize("name", ["slogdet", "cholesky", "eigh", "svd", "qr"])
def test_factors_of_complex_matrices(name: str, numpy_device: None) -> None:
    """The sign of the determinant, the unitary factor svd() gives, and qr() with a real diagonal have all of theirs."""
    rng = np.random.default_rng(0)
    a, weight = (rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)) for _ in range(2))
    ours, theirs = Tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    found = (_determined(name)(ours) * Tensor(weight)).sum().real
    expected = (_determined(name)(theirs) * torch.tensor(weight)).sum().real
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-9)
    (wanted,) = torch.autograd.grad(expected, theirs, create_graph=True)
    (got,) = grad(found, [ours], create_graph=True)
    np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), rtol=1e-8, atol=1e-9)
    (wanted,) = torch.autograd.grad(wanted, theirs, torch.tensor(weight))
    (got,) = grad(got, [ours], [Tensor(weight)])
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-7, atol=1e-8, err_msg="second gradient")


ZEROS = [[2.0, 0.0, 3.0, 5.0], [0.0, 7.0, 0.0, 11.0], [0.0, 0.0, 0.0, 13.0], [2.0, 3.0, 4.0, 5.0]]


@pytest.mark.parametrize("name", ["cumprod", "scatter_reduce", "prod"])
def test_second_gradients_of_products_with_zeros(name: str, numpy_device: None) -> None:
    """What one zero is multiplied by depends on another one."""

    def product(x: Any, index: Any, base: Any) -> Any:
        if name == "scatter_reduce" and isinstance(x, Tensor):
            return base.scatter_reduce(1, index, x, "prod")
        if name == "scatter_reduce":  # torch refuses second gradients where two zeros meet
            return base * x[:, :2] * x[:, 2:]
        return x.cumprod(1) if name == "cumprod" else x.prod(1)

    weight, index, base = np.cos(np.arange(16.0)).reshape(4, 4), np.array([[0, 1, 0, 1]] * 4), np.full((4, 2), 1.5)
    base[1] = 0
    found = []
    for tensor, slopes in ((Tensor, grad), (torch.tensor, torch.autograd.grad)):
        x, z = tensor(np.array(ZEROS)).requires_grad_(), tensor(base).requires_grad_()
        y = product(x, tensor(index), z)
        weighted = y * tensor(weight[:, : y.shape[-1]] if y.ndim > 1 else weight[0])
        (dx,) = slopes(weighted.sum(), [x], create_graph=True)
        ddx = slopes((dx * tensor(weight.T + 0.0)).sum(), [x, z], allow_unused=True)
        found.append([dx.detach().numpy(), *[g.numpy() for g in ddx if g is not None]])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-9, 1e-9)
