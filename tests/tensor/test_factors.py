"""Factors of matrices are LAPACK's, as torch calls it; their gradients are torch's, or finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge import LinAlgError, Tensor, linalg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")
SHAPES = [(4, 4), (3, 5), (5, 3), (2, 3, 3), (1, 1)]
KINDS = [np.float64, np.complex128]


def numbers(*shape: int, kind: Any = np.float64, seed: int = 0) -> NDArray:
    rng = np.random.default_rng((seed, *shape))
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape) * (kind is np.complex128)).astype(kind)


def same(found: Tensor, expected: Any, tolerance: float = 1e-9) -> None:
    expected = expected.detach().resolve_conj().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.detach().numpy(), expected, tolerance, tolerance)


def check(ours: Callable[..., Tensor], theirs: Callable[..., Any], *arrays: NDArray) -> None:
    """Both give the same, with the same gradients of a random sum."""
    xs, ts = [Tensor(x, requires_grad=True) for x in arrays], [torch.tensor(x, requires_grad=True) for x in arrays]
    y, z = ours(*xs), theirs(*ts)
    same(y, z, 1e-7)
    weights = numbers(*z.shape, kind=z.detach().numpy().dtype.type, seed=9)
    (y * Tensor(weights)).real.sum().backward()
    torch.real(z * torch.tensor(weights)).sum().backward()
    for x, t in zip(xs, ts):
        same(x.grad, t.grad, 1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_lu(shape: tuple[int, ...], kind: Any) -> None:
    a = numbers(*shape, kind=kind)
    for found, expected in zip(Tensor(a).lu_factor_ex(), torch.linalg.lu_factor_ex(torch.tensor(a))):
        same(found, expected)
    for found, expected in zip(linalg.lu(Tensor(a)), torch.linalg.lu(torch.tensor(a))):
        same(found, expected)
    for place in (1, 2):
        check(lambda x, i=place: linalg.lu(x)[i], lambda x, i=place: torch.linalg.lu(x)[i], a)
    check(lambda x: x.lu_factor()[0], lambda x: torch.linalg.lu_factor(x)[0], a)


@pytest.mark.parametrize("kind", KINDS)
def test_lu_solve(kind: Any) -> None:
    a, b = numbers(2, 4, 4, kind=kind), numbers(2, 4, 3, kind=kind)
    factors, pivots = torch.linalg.lu_factor(torch.tensor(a))
    ours = Tensor(pivots.numpy())
    check(lambda x, y: y.lu_solve(x, ours), lambda x, y: torch.linalg.lu_solve(x, pivots, y), factors.numpy(), b)
    for left in (True, False):
        for adjoint in (True, False):
            right = b if left else np.swapaxes(b, -1, -2).copy()
            found = linalg.lu_solve(Tensor(factors.numpy()), ours, Tensor(right), left=left, adjoint=adjoint)
            expected = torch.linalg.lu_solve(factors, pivots, torch.tensor(right), left=left, adjoint=adjoint)
            same(found, expected)


def test_a_zero_pivot() -> None:
    assert Tensor.ones(3, 3).lu_factor_ex()[2].item() == 2
    with pytest.raises(LinAlgError, match=r"U\[2,2\] is zero"):
        Tensor.ones(3, 3).lu_factor_ex(check_errors=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_ldl(n: int, hermitian: bool, kind: Any) -> None:
    for hollow in (False, True)[: 1 + (n > 1)]:  # without a diagonal all blocks have two rows
        a = numbers(2, n, n, kind=kind)
        a = (a + np.swapaxes(a.conj() if hermitian else a, -1, -2)) * (1 - hollow * np.eye(n))
        factors, pivots = Tensor(a).ldl_factor(hermitian=hermitian)
        expected, places = torch.linalg.ldl_factor(torch.tensor(a), hermitian=hermitian)
        same(pivots, places)
        same(factors.tril(), expected.tril(), 1e-6)
        check(
            lambda b, f=factors, p=pivots: f.ldl_solve(p, b, hermitian=hermitian),
            lambda b, a=a: torch.linalg.solve(torch.tensor(a), b), numbers(2, n, 3, kind=kind),
        )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_reflections(shape: tuple[int, ...], kind: Any) -> None:
    a = torch.tensor(numbers(*shape, kind=kind))
    expected = torch.geqrf(a)
    found = Tensor(a.numpy()).geqrf()
    for x, y in zip(found, expected):
        same(x, y)
    if shape[-2] < shape[-1]:
        return
    packed = [x.numpy() for x in expected]
    check(lambda x, t: x.householder_product(t), torch.linalg.householder_product, *packed)
    for left in (True, False):
        for transpose in (True, False):
            other = numbers(*shape[:-2], *((shape[-2], 2) if left else (2, shape[-2])), kind=kind)
            check(
                lambda x, t, o, left=left, way=transpose: x.ormqr(t, o, left, way),
                lambda x, t, o, left=left, way=transpose: torch.ormqr(x, t, o, left, way), *packed, other,
            )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3), (1, 1)])
def test_eigenvalues(shape: tuple[int, ...], kind: Any) -> None:
    a = numbers(*shape, kind=kind)
    for found, expected in zip(Tensor(a).eig(), torch.linalg.eig(torch.tensor(a))):
        same(found, expected)
    check(lambda x: x.eigvals(), torch.linalg.eigvals, a)
    check(lambda x: x.eig()[1].abs(), lambda x: torch.linalg.eig(x)[1].abs(), a)


@pytest.mark.parametrize("kind", ["float32", "complex64"])
@pytest.mark.parametrize("shape", [(0, 3, 3), (2, 0, 0), (0, 2, 3), (3, 0)])
def test_no_elements(shape: tuple[int, ...], kind: str) -> None:
    x, t = Tensor.zeros(shape, dtype=kind), torch.zeros(shape, dtype=getattr(torch, kind))
    pairs = [(x.lu_factor_ex(), torch.linalg.lu_factor_ex(t)), (linalg.lu(x), torch.linalg.lu(t))]
    if shape[-1] == shape[-2]:
        pairs += [(x.eig(), torch.linalg.eig(t)), (x.ldl_factor(), torch.linalg.ldl_factor(t))]
    for ours, theirs in pairs:
        assert [y.shape for y in ours] == [tuple(y.shape) for y in theirs]
        assert [str(y.dtype) for y in ours] == [str(y.dtype).removeprefix("torch.") for y in theirs]


def test_as_strided() -> None:
    x = numbers(3, 4)
    args = ((2, 3), (6, 2), 1)
    check(lambda x: x.as_strided((2, 2, 3), (0, 4, 1)), lambda x: x.as_strided((2, 2, 3), (0, 4, 1)), x)
    base, source = Tensor(x, requires_grad=True), Tensor(numbers(2, 3), requires_grad=True)
    found = base.as_strided_scatter(source, *args)
    same(found, torch.tensor(x).as_strided_scatter(torch.tensor(numbers(2, 3)), *args))
    found.sum().backward()
    assert base.grad.tolist() == [[1, 0, 1, 0]] * 3
    assert source.grad.tolist() == [[1, 1, 1]] * 2
    assert Tensor(x).as_strided((0, 2), (100, 1)).shape == (0, 2)
    with pytest.raises(ValueError, match="reaches element 12"):
        Tensor(x).as_strided((2,), (12,))


def test_least_squares_and_condition() -> None:
    a, b = numbers(5, 3), numbers(5, 2)
    expected = torch.linalg.lstsq(torch.tensor(a), torch.tensor(b), driver="gelsd")
    found = linalg.lstsq(Tensor(a), Tensor(b))
    for x, y in zip(found, expected):
        np.testing.assert_allclose(x.numpy(), y.numpy(), 1e-9)
    for p in (None, 2, -2):
        same(linalg.cond(Tensor(a), p), torch.linalg.cond(torch.tensor(a), p))
    for p in ("fro", "nuc", 1, -1, np.inf):
        same(linalg.cond(Tensor(a[:3]), p), torch.linalg.cond(torch.tensor(a[:3]), p))
