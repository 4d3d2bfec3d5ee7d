"""NumPy's functions on tensors: the values and shapes NumPy gives, and nothing computed on the way."""

import warnings

import numpy as np
import pytest

from kernelforge.counterparts import TABLE, converts
from kernelforge.counters import GlobalCounters
from kernelforge.errors import KernelForgeError
from kernelforge.settings import EAGER
from kernelforge.tensor import Tensor

pytestmark = pytest.mark.usefixtures("numpy_device")
RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4))
Y = RNG.normal(size=(3, 4))
V, W = RNG.normal(size=5), RNG.normal(size=3)
N = np.where(X > 1, np.nan, X)
WHOLE = np.array([[3, 1, 2], [0, 2, 2]])
Q = X[:, :3] @ X[:, :3].T + np.eye(3)
Z = X + 1j * Y
C = RNG.normal(size=(2, 3, 4))

SHAPING = [
    lambda n, x, y, v: n.reshape(x, (2, -1)),
    lambda n, x, y, v: n.reshape(x, 12, copy=True),
    lambda n, x, y, v: n.ravel(x),
    lambda n, x, y, v: n.transpose(x),
    lambda n, x, y, v: n.swapaxes(x, 0, 1),
    lambda n, x, y, v: n.moveaxis(x, 0, -1),
    lambda n, x, y, v: n.rollaxis(x, 1),
    lambda n, x, y, v: n.expand_dims(x, (0, 3)),
    lambda n, x, y, v: n.squeeze(n.expand_dims(x, 1), 1),
    lambda n, x, y, v: n.broadcast_to(x, (2, 3, 4)),
    lambda n, x, y, v: n.broadcast_arrays(x, v[:1]),
    lambda n, x, y, v: n.atleast_3d(v),
    lambda n, x, y, v: n.atleast_1d(v, x),
    lambda n, x, y, v: n.tile(x, 2),
    lambda n, x, y, v: n.tile(v, (2, 1)),
    lambda n, x, y, v: n.repeat(x, 2),
    lambda n, x, y, v: n.repeat(x, 3, axis=0),
    lambda n, x, y, v: n.flip(x),
    lambda n, x, y, v: n.flip(x, 1),
    lambda n, x, y, v: n.fliplr(x),
    lambda n, x, y, v: n.flipud(x),
    lambda n, x, y, v: n.rot90(x),
    lambda n, x, y, v: n.roll(x, 2),
    lambda n, x, y, v: n.roll(x, (1, 2), (0, 1)),
    lambda n, x, y, v: n.tril(x, 1),
    lambda n, x, y, v: n.triu(x, -1),
    lambda n, x, y, v: n.diag(v, 1),
    lambda n, x, y, v: n.diag(x),
    lambda n, x, y, v: n.diagflat(v),
    lambda n, x, y, v: n.diagonal(x, 1),
    lambda n, x, y, v: n.resize(v, (2, 4)),
    lambda n, x, y, v: n.delete(x, 1, axis=1),
    lambda n, x, y, v: n.delete(v, [0, 2]),
    lambda n, x, y, v: n.pad(x, 1),
    lambda n, x, y, v: n.pad(x, ((1, 0), (0, 2)), constant_values=3),
    lambda n, x, y, v: n.pad(x, ((1, 1), (2, 2)), mode="reflect"),
    lambda n, x, y, v: n.pad(v, (1, 2), "edge"),
    lambda n, x, y, v: n.pad(v, 2, "wrap"),
    lambda n, x, y, v: n.concatenate([x, y], axis=None),
    lambda n, x, y, v: n.concatenate([x, Y]),
    lambda n, x, y, v: n.stack([x, y], axis=-1),
    lambda n, x, y, v: n.vstack([v, v]),
    lambda n, x, y, v: n.hstack([v, v]),
    lambda n, x, y, v: n.dstack([x, y]),
    lambda n, x, y, v: n.column_stack([v, v]),
    lambda n, x, y, v: n.append(x, v),
    lambda n, x, y, v: n.block([[x, y], [y, x]]),
    lambda n, x, y, v: n.block([v, 1.0]),
    lambda n, x, y, v: n.array_split(v, 3),
    lambda n, x, y, v: n.split(x, [1, 3], axis=1),
    lambda n, x, y, v: n.split(x, 3),
    lambda n, x, y, v: n.hsplit(x, 2),
    lambda n, x, y, v: n.vsplit(x, 3),
    lambda n, x, y, v: n.unstack(x),
    lambda n, x, y, v: n.take(x, 2, axis=1),
    lambda n, x, y, v: n.take(x, [0, 5]),
    lambda n, x, y, v: n.meshgrid(v, v[:2]),
    lambda n, x, y, v: n.vander(v, 3),
    lambda n, x, y, v: n.linspace(v, v + 2, 4, axis=1),
    lambda n, x, y, v: n.logspace(v, 2, 3),
    lambda n, x, y, v: n.zeros_like(x, shape=(2, 2)),
    lambda n, x, y, v: n.full_like(x, 7),
    lambda n, x, y, v: n.astype(x, np.float32),
    lambda n, x, y, v: n.copy(x),
]
ELEMENTWISE = [
    lambda n, x, y, v: n.round(x, 1),
    lambda n, x, y, v: n.fix(x),
    lambda n, x, y, v: n.clip(x, -0.5, 0.5),
    lambda n, x, y, v: n.clip(x, None, y),
    lambda n, x, y, v: n.nan_to_num(x, nan=1.0),
    lambda n, x, y, v: n.angle(x, deg=True),
    lambda n, x, y, v: n.sinc(x),
    lambda n, x, y, v: n.i0(x),
    lambda n, x, y, v: n.isreal(x),
    lambda n, x, y, v: n.where(x > 0, y, 0),
    lambda n, x, y, v: n.select([x > 1, x > 0], [x, -y], 7),
    lambda n, x, y, v: n.isclose(x, y, atol=0.5),
    lambda n, x, y, v: n.cbrt(x),
    lambda n, x, y, v: n.divmod(x, y),
    lambda n, x, y, v: n.modf(x),
    lambda n, x, y, v: n.float_power(n.abs(x), 2),
    lambda n, x, y, v: n.heaviside(x, 0.5),
    lambda n, x, y, v: n.add(x, y, where=x > 0, out=None) * (x > 0),
    lambda n, x, y, v: n.multiply(x, y, dtype=np.float32),
    lambda n, x, y, v: n.subtract.outer(v, v),
    lambda n, x, y, v: n.add.accumulate(x, axis=1),
    lambda n, x, y, v: n.maximum.accumulate(x),
    lambda n, x, y, v: n.add.reduce(x, axis=(0, 1), keepdims=True),
    lambda n, x, y, v: n.logaddexp.reduce(x, axis=1),
    lambda n, x, y, v: n.minimum.reduce(x, axis=None),
    lambda n, x, y, v: n.add.reduce(x, axis=1, initial=2.0, where=x > 0),
    lambda n, x, y, v: n.interp(x, [-1.0, 0.0, 2.0], [3.0, 1.0, 4.0]),
    lambda n, x, y, v: n.unwrap(v * 9),
    lambda n, x, y, v: n.polyval([2.0, 0.5, 1.0], x),
]
REDUCING = [
    lambda n, x, y, v: n.sum(x, 1, keepdims=True),
    lambda n, x, y, v: n.sum(x, where=x > 0, initial=3.0),
    lambda n, x, y, v: n.prod(x, axis=(0, 1)),
    lambda n, x, y, v: n.max(x, 0, initial=0.5),
    lambda n, x, y, v: n.amin(x, axis=1),
    lambda n, x, y, v: n.all(x > -1, axis=0),
    lambda n, x, y, v: n.any(x > 1, where=x > 0),
    lambda n, x, y, v: n.count_nonzero(x > 0, axis=1),
    lambda n, x, y, v: n.mean(x, axis=1, where=x > -1),
    lambda n, x, y, v: n.var(x, axis=0, ddof=1),
    lambda n, x, y, v: n.std(x, axis=(0, 1), where=x > -1),
    lambda n, x, y, v: n.ptp(x, axis=0),
    lambda n, x, y, v: n.argmax(x, axis=1, keepdims=True),
    lambda n, x, y, v: n.argmin(x),
    lambda n, x, y, v: n.average(x, axis=1, weights=[1, 2, 3, 4]),
    lambda n, x, y, v: n.average(x, returned=True),
    lambda n, x, y, v: n.quantile(x, [0.2, 0.5], axis=1),
    lambda n, x, y, v: n.quantile(x, 0.3, axis=(0, 1), keepdims=True),
    lambda n, x, y, v: n.percentile(x, 30, method="lower"),
    lambda n, x, y, v: n.quantile(x > 0, 0.4, method="nearest"),
    lambda n, x, y, v: n.median(x, axis=1),
    lambda n, x, y, v: n.cumsum(x),
    lambda n, x, y, v: n.cumprod(x, axis=1),
    lambda n, x, y, v: n.cumulative_sum(x, axis=0, include_initial=True),
    lambda n, x, y, v: n.trapezoid(x, dx=0.5),
    lambda n, x, y, v: n.trapezoid(v, [0, 1, 3, 4, 9]),
    lambda n, x, y, v: n.sort(x, axis=None),
    lambda n, x, y, v: n.sort(x, 0),
    lambda n, x, y, v: n.argsort(x),
    lambda n, x, y, v: n.lexsort((v, n.round(v))),
    lambda n, x, y, v: n.searchsorted(n.sort(v), x),
    lambda n, x, y, v: n.digitize(x, [-1.0, 0.0, 1.0]),
    lambda n, x, y, v: n.take_along_axis(x, n.argsort(x, axis=0), axis=0),
    lambda n, x, y, v: n.diff(x, n=2, axis=0),
    lambda n, x, y, v: n.diff(x, prepend=0, append=y),
    lambda n, x, y, v: n.ediff1d(v, to_begin=[1.0]),
    lambda n, x, y, v: n.gradient(x),
    lambda n, x, y, v: n.gradient(v, 0.5),
    lambda n, x, y, v: n.convolve(v, v[:3]),
    lambda n, x, y, v: n.convolve(v, v[:2], "same"),
    lambda n, x, y, v: n.correlate(v, v[1:3], "full"),
    lambda n, x, y, v: n.correlate(v[:2], v, "same"),
]
ALGEBRA = [
    lambda n, x, y, v: n.dot(x, n.transpose(y)),
    lambda n, x, y, v: n.dot(v, v),
    lambda n, x, y, v: n.dot(C, n.transpose(x)),
    lambda n, x, y, v: n.inner(x, y),
    lambda n, x, y, v: n.outer(x, v),
    lambda n, x, y, v: n.vdot(x, y),
    lambda n, x, y, v: n.matvec(x, x[0]),
    lambda n, x, y, v: n.vecmat(x[:, 0], x),
    lambda n, x, y, v: n.vecdot(x, y),
    lambda n, x, y, v: n.tensordot(x, y, axes=([0, 1], [0, 1])),
    lambda n, x, y, v: n.tensordot(x, y, axes=(1, 1)),
    lambda n, x, y, v: n.kron(x, y),
    lambda n, x, y, v: n.cross(x[:, :3], y[:, 1:]),
    lambda n, x, y, v: n.trace(x, 1),
    lambda n, x, y, v: n.einsum("ij,kj->ik", x, y, optimize=True),
    lambda n, x, y, v: n.cov(x),
    lambda n, x, y, v: n.cov(x[:1], rowvar=False, ddof=0),
    lambda n, x, y, v: n.cov(v, v[::-1], ddof=0),
    lambda n, x, y, v: n.corrcoef(x),
    lambda n, x, y, v: n.linalg.norm(x),
    lambda n, x, y, v: n.linalg.norm(x, 1, axis=1),
    lambda n, x, y, v: n.linalg.norm(x, np.inf),
    lambda n, x, y, v: n.linalg.norm(x, axis=(0, 1)),
    lambda n, x, y, v: n.linalg.matrix_norm(x),
    lambda n, x, y, v: n.linalg.vector_norm(x, axis=1),
    lambda n, x, y, v: n.fft.fft(v),
    lambda n, x, y, v: n.fft.rfft(x, 6, axis=0, norm="ortho"),
    lambda n, x, y, v: n.fft.ifft2(x),
    lambda n, x, y, v: n.fft.fftn(x, axes=(0,)),
    lambda n, x, y, v: n.fft.irfft(n.fft.rfft(v), 5),
    lambda n, x, y, v: n.fft.fftshift(x),
]
SQUARE = [
    lambda n, q: n.linalg.inv(q),
    lambda n, q: n.linalg.det(q),
    lambda n, q: n.linalg.slogdet(q),
    lambda n, q: n.linalg.solve(q, W),
    lambda n, q: n.linalg.pinv(q),
    lambda n, q: n.linalg.eigvalsh(q),
    lambda n, q: n.linalg.svd(q, compute_uv=False),
    lambda n, q: n.linalg.qr(q, mode="r"),
    lambda n, q: n.linalg.cholesky(q),
    lambda n, q: n.linalg.matrix_power(q, 3),
    lambda n, q: n.linalg.matrix_rank(q),
    lambda n, q: n.linalg.multi_dot([q, q, q]),
    lambda n, q: n.linalg.cond(q),
    lambda n, q: n.linalg.cond(q, 1),
]
NANS = [
    "nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian", "nancumsum", "nancumprod"
]  # fmt: skip


def _same(found: object, expected: object) -> None:
    """Both are equal, tensor for array."""
    if isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            _same(one, other)
        return
    assert isinstance(found, Tensor), type(found)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, 1e-5, 1e-6)


@pytest.mark.parametrize("function", [*SHAPING, *ELEMENTWISE, *REDUCING, *ALGEBRA])
def test_as_numpy(function) -> None:
    x, y, v = Tensor(X), Tensor(Y), Tensor(V)
    before = GlobalCounters.kernel_count, GlobalCounters.plans
    found = function(np, x, y, v)
    assert EAGER.value or (GlobalCounters.kernel_count, GlobalCounters.plans) == before, "nothing was computed"
    _same(found, function(np, X, Y, V))


@pytest.mark.parametrize("function", SQUARE)
def test_matrices(function) -> None:
    _same(function(np, Tensor(Q)), function(np, Q))


@pytest.mark.parametrize("name", NANS)
def test_without_nan(name: str) -> None:
    for axis in (None, 0, 1):
        _same(getattr(np, name)(Tensor(N), axis=axis), getattr(np, name)(N, axis=axis))


def test_complex_numbers() -> None:
    for function in (np.real, np.imag, np.angle, np.iscomplex, np.var, np.std, np.cov, np.conj):
        _same(function(Tensor(Z)), function(Z))
    assert np.iscomplexobj(Tensor(Z)) and np.isrealobj(Tensor(X))


def test_whole_numbers() -> None:
    i = Tensor(WHOLE)
    for function in (np.bincount, np.flatnonzero, np.ravel):
        _same(function(i.reshape(-1)), function(WHOLE.reshape(-1)))
    _same(np.nonzero(i), np.nonzero(WHOLE))
    _same(np.where(i), np.where(WHOLE))
    _same(np.unravel_index(i, (2, 2)), np.unravel_index(WHOLE, (2, 2)))
    _same(np.ravel_multi_index((i, i), (4, 4)), np.ravel_multi_index((WHOLE, WHOLE), (4, 4)))
    _same(np.choose(i, [10, 20, 30, 40]), np.choose(WHOLE, [10, 20, 30, 40]))
    _same(np.isin(i, [1, 2]), np.isin(WHOLE, [1, 2]))
    _same(np.compress([True, False], i, axis=0), np.compress([True, False], WHOLE, axis=0))
    _same(np.extract(i > 1, i), np.extract(WHOLE > 1, WHOLE))
    _same(np.median(i), np.median(WHOLE))
    _same(np.mean(i, axis=0), np.mean(WHOLE, axis=0))
    assert np.mean(i, axis=0).dtype.is_inexact
    assert np.size(i) == 6 and np.size(i, 1) == 3 and np.ndim(i) == 2 and np.shape(i) == (2, 3)
    assert np.result_type(i, np.float64) == np.float64 and not np.can_cast(i, np.int8)


def test_types_of_tensors_are_types_for_numpy() -> None:
    assert np.zeros(2, Tensor(X).dtype).dtype == X.dtype
    assert np.asarray(Tensor(WHOLE), dtype=Tensor(X).dtype).dtype == X.dtype
    assert np.dtype(Tensor([1.0], dtype="bfloat16").dtype) == np.float32, "NumPy has no such type: that of values"


def test_answers_of_python() -> None:
    x = Tensor(X)
    assert np.allclose(x, X) is True and np.array_equal(x, x + 1) is False and np.array_equiv(x, X)
    assert np.array_equal(Tensor(N), N, equal_nan=True) and not np.array_equal(Tensor(N), N)
    assert not np.array_equal(x, X[0]) and np.shares_memory(x, x) and not np.shares_memory(x, X)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: np.copyto(x, 3, where=x > 0),
        lambda x: np.putmask(x, x > 0, [1.0, 2.0, 3.0]),
        lambda x: np.place(x, x > 0, [1.0, 2.0]),
        lambda x: np.put(x, [0, -1, 5], [7.0, 8.0]),
        lambda x: np.put_along_axis(x, np.array([[0], [-1], [2]]), 9.0, axis=1),
        lambda x: np.fill_diagonal(x, 5.0),
        lambda x: np.add.at(x, ([0, 0, 2], [1, 1, 3]), [1.0, 2.0, 3.0]),
        lambda x: np.subtract.at(x, [0, 0], 1.0),
        lambda x: np.multiply.at(x[0], [0, 0, -1], 2.0),
        lambda x: np.maximum.at(x[1], [0, 1], [0.0, 9.0]),
        lambda x: np.negative.at(x, 1),
        lambda x: np.add(x, 1, out=x, where=x > 0),
        lambda x: np.sum(x, axis=0, out=x[1]),
        lambda x: np.multiply(x, 2, x),
        lambda x: np.modf(x, out=(None, x)),
    ],
)
def test_changes_in_place(change) -> None:
    x, expected = Tensor(X), X.copy()
    change(x)
    change(expected)
    np.testing.assert_allclose(x.numpy(), expected, 1e-5, 1e-6)


def test_results_in_arrays() -> None:
    place = np.empty_like(X)
    assert np.add(Tensor(X), 1, out=place) is place
    np.testing.assert_allclose(place, X + 1, 1e-6)
    place += Tensor(X)
    np.testing.assert_allclose(place, 2 * X + 1, 1e-6)
    assert np.mean(Tensor(X), axis=1, out=place[:, 0]).base is place
    with pytest.raises(ValueError, match="out= has"):
        np.add(Tensor(X), 1, out=Tensor(V))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: np.linalg.solve(x[:, :3], Tensor(V)), "solve"),
        (lambda x: np.concatenate([x, x[:, :2]]), "axes other than 0 must agree"),
        (lambda x: np.einsum("ij,jk", x, x), "einsum"),
        (lambda x: np.reshape(x, (5, 2)), "reshape of"),
        (lambda x: np.sum(x, axis=2), "axis 2"),
        (lambda x: np.split(x, 2), "evenly"),
        (lambda x: np.take(x, 70), "index 70 is out of bounds"),
        (lambda x: np.floor(Tensor(Z)), "complex"),
    ],
)
def test_errors_name_the_line(wrong, words: str) -> None:
    with pytest.raises(KernelForgeError, match=words) as caught:
        wrong(Tensor(X))
    assert "test_functions.py" in str(caught.value)


def test_what_is_left_to_numpy() -> None:
    """Functions without a counterpart, and what counterparts lack, give arrays."""
    x = Tensor(X)
    for function in (np.roots, np.histogram, np.unique):
        found = function(Tensor(V))
        assert isinstance(found[0] if isinstance(found, tuple) else found, np.ndarray)
        assert converts(function)
    assert isinstance(np.reshape(x, 12, order="F"), np.ndarray)
    np.testing.assert_array_equal(np.reshape(x, 12, order="F"), X.reshape(12, order="F"))
    assert not converts(np.sum) and not converts(np.sin) and np.linalg.solve in TABLE


def test_most_functions_have_a_counterpart() -> None:
    """What is left of NumPy's functions of arrays: those that print, write files, know of dates and polynomials, tell
    sets and histograms, or take functions."""
    rooms = ((np, ""), (np.linalg, "linalg."), (np.fft, "fft."))
    names = [(room, prefix, name) for room, prefix in rooms for name in dir(room) if not name.startswith("_")]
    public = {prefix + name: getattr(room, name) for room, prefix, name in names}
    dispatched = {name: one for name, one in public.items() if hasattr(one, "_implementation")}
    left = sorted(name for name, one in dispatched.items() if one not in TABLE)
    assert len(left) <= 62, left
    assert not [name for name in left if name.startswith("fft.")]


def test_numbers_keep_their_digits_beside_tensors() -> None:
    whole = WHOLE + (1 << 40)
    found = np.percentile(Tensor(whole), [30, 60], axis=1, method="higher")
    np.testing.assert_array_equal(np.asarray(found), np.percentile(whole, [30, 60], axis=1, method="higher"))
    assert str(found.dtype) == "int64"
    assert np.interp(0.3, Tensor(np.arange(5.0)), Tensor(np.arange(5.0))).item() == 0.3
    sums = np.average(Tensor(WHOLE), axis=1, weights=[1, 2, 3], returned=True)
    assert [str(x.dtype) for x in sums] == ["float32"] * 2


def test_numpys_numbers_and_names_as_arguments() -> None:
    two, zero = np.uint16(2), np.int64(0)
    for call in (
        lambda n, x: n.roll(x, two), lambda n, x: n.sum(x, zero), lambda n, x: n.resize(x, two),
        lambda n, x: n.mean(x, axis=(zero, np.int32(1))), lambda n, x: n.zeros_like(x, dtype="i2"),
        lambda n, x: n.full_like(x, 2, dtype="c16"), lambda n, x: n.flip(x, (zero, 1)),
    ):  # fmt: skip
        found, expected = call(np, Tensor(X)), np.asarray(call(np, X))
        assert isinstance(found, Tensor)
        np.testing.assert_allclose(found.numpy(), expected)
        assert found.numpy().dtype == expected.dtype


def test_what_has_no_order_or_no_middle_is_left_to_numpy() -> None:
    np.testing.assert_array_equal(np.sort(Tensor(Z)), np.sort(Z))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(np.median(Tensor([])))
        assert np.isnan(np.nanpercentile(Tensor(np.zeros((0, 3))), 40, axis=0)).all()


def test_vectors_masks_and_single_values_as_numpy_takes_them() -> None:
    """Vectors as matrices, masks as places or as numbers, single values as vectors."""
    mask, single = V > 0, np.float64(2.0)
    for call in (
        lambda n, x, m, s: n.tril(x), lambda n, x, m, s: n.triu(x, 1), lambda n, x, m, s: n.take(x, m),
        lambda n, x, m, s: n.take(x, True), lambda n, x, m, s: n.ix_(m, x)[0], lambda n, x, m, s: n.convolve(s, s),
        lambda n, x, m, s: n.linalg.matrix_rank(x), lambda n, x, m, s: n.linalg.matrix_rank(s * 0),
        lambda n, x, m, s: n.linalg.matrix_rank(n.zeros_like(x).reshape(-1, 1)[:0]),
        lambda n, x, m, s: n.round(x + 1j * x, 2), lambda n, x, m, s: n.linalg.matrix_rank(n.outer(x, x)),
    ):  # fmt: skip
        _same(call(np, Tensor(V), Tensor(mask), Tensor(single)), np.asarray(call(np, V, mask, np.asarray(single))))


def test_axes_that_are_not_there() -> None:
    for call in (
        lambda x: np.flip(x, 2),
        lambda x: np.count_nonzero(x, axis=(0, -3)),
        lambda x: np.quantile(x, 0.5, 5),
    ):
        with pytest.raises(IndexError, match="valid axes"):
            call(Tensor(X))
    for call in (lambda x: np.expand_dims(x, (1, 1)), lambda x: np.rollaxis(x, 2), lambda x: np.rollaxis(x, 0, -3)):
        with pytest.raises(ValueError, match=r"valid axes|twice"):
            call(Tensor(X))
    with pytest.raises(ValueError, match="two elements"):
        np.gradient(Tensor([1.0]))
    with pytest.raises(ValueError, match="matrices"):
        Tensor([1.0]).H
