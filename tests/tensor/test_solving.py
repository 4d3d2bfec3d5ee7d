"""Linear algebra: values against NumPy and torch, gradients of both orders against finite differences, errors."""

from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import LinAlgError, ShapeError, Tensor
from kernelforge.calls import expanded
from kernelforge.graph import toposort
from tests.tensor.checks import assert_gradient, assert_same

RNG = np.random.default_rng(0)
A = RNG.normal(size=(2, 4, 4)) + 2 * np.eye(4)
S = A @ A.transpose(0, 2, 1) + np.eye(4)
B = RNG.normal(size=(2, 4, 3))
W = RNG.normal(size=(2, 5, 3))


def symmetric(x: Tensor) -> Tensor:
    return (x + x.mT) * 0.5


def slope(x: Tensor, name: str) -> Tensor:
    """The gradient of the sum of squares of a method's result."""
    return getattr(x, name)().square().sum().gradient(x)[0]


CASES: dict[str, tuple[Callable, tuple]] = {
    "solve": (lambda a, b: a.solve(b), (A, B)),
    "solve on the right": (lambda a, b: a.solve(b.mT, left=False), (A, B)),
    "solve of a vector": (lambda a, b: a.solve(b), (A[0], B[0, :, 0])),
    "solve of one matrix and many sides": (lambda a, b: a.solve(b), (A[0], B)),
    "triangular_solve": (lambda a, b: b.triangular_solve(a, transpose=True)[0], (A, B)),
    "upper": (lambda a, b: a.solve_triangular(b, upper=True), (A, B)),
    "lower with ones": (lambda a, b: a.solve_triangular(b, upper=False, unitriangular=True), (A, B)),
    "lower on the right": (lambda a, b: a.solve_triangular(b.mT, upper=False, left=False), (A, B)),
    "lstsq": (lambda a, b: a.lstsq(b), (W, RNG.normal(size=(2, 5, 2)))),
    "lstsq of few": (lambda a, b: a.mT.lstsq(b), (W, RNG.normal(size=(2, 3, 2)))),
    "inv": (lambda a: a.inv(), (A,)),
    "pinv": (lambda a: a.pinv(), (W,)),
    "pinv of wide": (lambda a: a.mT.pinv(), (W,)),
    "det": (lambda a: a.det(), (A,)),
    "logdet": (lambda a: a.logdet(), (S,)),
    "slogdet": (lambda a: a.slogdet()[1], (A,)),
    "matrix_exp": (lambda a: a.matrix_exp(), (A,)),
    "matrix_power": (lambda a: a.matrix_power(-2), (A,)),
    "cholesky": (lambda a: symmetric(a).cholesky(), (S,)),
    "upper cholesky": (lambda a: symmetric(a).cholesky(upper=True), (S,)),
    "cholesky_solve": (lambda a, b: b.cholesky_solve(symmetric(a).cholesky()), (S, B)),
    "cholesky_inverse": (lambda a: symmetric(a).cholesky(True).cholesky_inverse(True), (S,)),
    "q": (lambda a: a.qr()[0], (W,)),
    "r": (lambda a: a.qr()[1], (W,)),
    "q of wide": (lambda a: a.mT.qr()[0], (W,)),
    "r of wide": (lambda a: a.mT.qr()[1], (W,)),
    "eigenvalues": (lambda a: symmetric(a).eigvalsh(), (S,)),
    "eigenvectors": (lambda a: symmetric(a).eigh("U")[1].abs(), (S,)),
    **{f"svd {i}": (lambda a, i=i: a.svd(False)[i].abs(), (W,)) for i in range(3)},
    **{f"svd {i} of wide": (lambda a, i=i: a.mT.svd(False)[i].abs(), (W,)) for i in range(3)},
    "singular values of full": (lambda a: a.svd()[1], (W,)),
    **{f"slope of {name}": (lambda a, n=name: slope(a, n), (A,)) for name in ("inv", "det", "matrix_exp", "svdvals")},
}


@pytest.mark.parametrize("name", CASES)
def test_gradients(name, numpy_device):
    function, arrays = CASES[name]
    assert_gradient(function, *arrays, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 0, 3, 3), (0, 0), (2, 0, 0), (2, 3, 5, 5)], ids=str)
def test_values_of_square_matrices(shape, device):
    a = RNG.normal(size=shape) + 2 * np.eye(shape[-1])
    x = Tensor(a)
    for found, expected in [
        (x.inv(), np.linalg.inv(a)),
        (x.det(), np.linalg.det(a)),
        (x.slogdet()[0], np.linalg.slogdet(a)[0]),
        (x.slogdet()[1], np.linalg.slogdet(a)[1]),
        (x.matrix_power(3), np.linalg.matrix_power(a, 3)),
        (x.matrix_rank(), np.linalg.matrix_rank(a) if a.size else np.zeros(shape[:-2])),
        (x.solve(x), np.broadcast_to(np.eye(shape[-1]), shape)),
    ]:
        assert_same(found, expected, 1e-6, 1e-6)
    torch = pytest.importorskip("torch")
    assert_same(x.matrix_exp(), torch.matrix_exp(torch.tensor(a)).numpy(), 1e-6, 1e-6)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 4, 4), (2, 1, 6)], ids=str)
def test_decompositions_give_the_matrix_back(shape, device):
    a = RNG.normal(size=shape).astype(np.float32)
    x = Tensor(a)
    for mode in ("reduced", "complete"):
        q, r = x.qr(mode)
        assert (q.shape, r.shape) == tuple(f.shape for f in np.linalg.qr(a, mode))
        assert_same(q @ r, a, 1e-4, 1e-5)
    for full in (True, False):
        u, s, vh = x.svd(full)
        assert tuple(f.shape for f in (u, s, vh)) == tuple(f.shape for f in np.linalg.svd(a, full))
        k = s.shape[-1]
        assert_same((u[..., :k] * s.unsqueeze(-2)) @ vh[..., :k, :], a, 1e-4, 1e-5)
    assert_same(x.pinv(), np.linalg.pinv(a), 1e-3, 1e-4)
    assert_same(x.cond(), np.linalg.cond(a), 1e-3)
    gram = x @ x.mT
    values, vectors = gram.eigh()
    assert_same(vectors * values.unsqueeze(-2) @ vectors.mT, gram.numpy(), 1e-3, 1e-4)


def test_types(numpy_device):
    assert str(Tensor([[2, 0], [0, 4]]).inv().dtype) == "float32"
    assert str(Tensor(A).half().svd()[0].dtype) == "float16"
    assert str(Tensor(A).float().solve(Tensor(B)).dtype) == "float64"


def test_kernels_and_the_host_take_turns(device):
    """One plan; constants too are read by the host."""
    x = Tensor(A.astype(np.float32))
    y = (x * 2).inv() @ x + Tensor.eye(4).inv().sum()
    assert sum(node.op == "host" for node in toposort(expanded([y._node]))) == 2
    assert "inv of (2, 4, 4) on the host" in y.explain()
    assert_same(y, np.broadcast_to(0.5 * np.eye(4) + 4, A.shape), 1e-4, 1e-4)
    assert_same((Tensor(S.astype(np.float32)) * 2).inv() @ Tensor(S.astype(np.float32)) + Tensor.eye(4).inv().sum(),
                np.broadcast_to(0.5 * np.eye(4) + 4, A.shape), 1e-4, 1e-4)  # fmt: skip


def test_what_has_no_answer(device):
    x = Tensor.ones(3, 3) * 2
    for name, matrix, *others in (("inv", x), ("solve", x, x), ("cholesky", x - 5)):
        y = getattr(matrix, name)(*others) + 1
        with pytest.raises(LinAlgError, match=r"(?s)float32 \[3, 3\].*identity.*written at .*test_solving.py:\d+"):
            y.numpy()
        with pytest.raises(np.linalg.LinAlgError):  # asked again, it says so again
            y.realize()
    assert x.det().item() == 0 and x.pinv().shape == (3, 3)
    with pytest.raises(ShapeError, match="square matrices"):
        Tensor.ones(2, 3).inv()
    with pytest.raises(ShapeError, match="a row for each row"):
        Tensor.eye(3).solve(Tensor.ones(2, 3))
    with pytest.raises(ValueError, match="reduced"):
        x.qr("r")


@pytest.mark.parametrize("limits", [{"atol": 0.5}, {"rtol": Tensor(0.2)}, {"rtol": 0.1, "atol": 0.5}])
def test_pseudoinverses_with_limits_of_each_matrix(limits, numpy_device):
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.normal(size=(2, 4, 4)))[0] for _ in range(2))
    singular = np.array([[3.0, 1.0, 0.4, 0.0], [2.0, 1.0, 0.3, 0.1]])
    rtol, atol = (np.asarray(limits[k].numpy() if isinstance(limits.get(k), Tensor) else limits.get(k, 0.0)) for k in
                  ("rtol", "atol"))  # fmt: skip
    kept = singular > np.maximum(rtol * singular.max(-1), atol)[..., None]
    inverse = np.where(kept, 1 / np.where(kept, singular, 1), 0)
    found = Tensor((u * singular[:, None]) @ v.swapaxes(1, 2)).pinv(**limits).numpy()
    assert np.allclose(found, (v * inverse[:, None]) @ u.swapaxes(1, 2))


def test_a_pseudoinverse_of_a_symmetric_matrix_reads_its_lower_triangle(numpy_device):
    x = np.random.default_rng(0).normal(size=(3, 3))
    assert np.allclose(Tensor(x).pinv(hermitian=True).numpy(), np.linalg.pinv(np.tril(x) + np.tril(x, -1).T))
