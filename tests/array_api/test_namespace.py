"""The array API: names, types, and values held against NumPy, which follows the same standard."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernelforge.array_api as xp
from kernelforge import Context, Tensor

NAMES = [name for name in xp.__all__ if callable(getattr(xp, name)) and hasattr(np, name)]
UNARY = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "exp",
    "expm1",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log10",
    "log1p",
    "log2",
    "negative",
    "positive",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]
BINARY = [
    "add",
    "atan2",
    "copysign",
    "divide",
    "equal",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "less",
    "less_equal",
    "logaddexp",
    "maximum",
    "minimum",
    "multiply",
    "nextafter",
    "not_equal",
    "pow",
    "remainder",
    "subtract",
]
CALLS = {
    "argmax": lambda m, x: m.argmax(x, axis=1, keepdims=True),
    "sort": lambda m, x: m.sort(x, axis=0),
    "argsort": lambda m, x: m.argsort(x, axis=1),
    "sum": lambda m, x: m.sum(x, axis=(0, 1)),
    "var": lambda m, x: m.var(x, axis=0, keepdims=True),
    "std": lambda m, x: m.std(x, axis=(0, 1)),
    "cumulative_sum": lambda m, x: m.cumulative_sum(x, axis=1, include_initial=True),
    "cumulative_prod": lambda m, x: m.cumulative_prod(x, axis=0),
    "diff": lambda m, x: m.diff(x, axis=0, n=2),
    "diff prepended": lambda m, x: m.diff(x, axis=1, prepend=x, append=x),
    "repeat": lambda m, x: m.repeat(x, 2, axis=1),
    "repeat all": lambda m, x: m.repeat(x, 3),
    "roll": lambda m, x: m.roll(x, (1, -2), axis=(0, 1)),
    "roll all": lambda m, x: m.roll(x, 2),
    "tile": lambda m, x: m.tile(x, (2, 1, 2)),
    "expand_dims": lambda m, x: m.expand_dims(x, axis=-1),
    "flip": lambda m, x: m.flip(x),
    "concat": lambda m, x: m.concat([x, x], axis=None),
    "stack": lambda m, x: m.stack([x, x], axis=-1),
    "moveaxis": lambda m, x: m.moveaxis(x, 0, -1),
    "unstack": lambda m, x: m.unstack(x, axis=1)[0],
    "permute_dims": lambda m, x: m.permute_dims(x, (1, 0)),
    "broadcast_to": lambda m, x: m.broadcast_to(x, (2, *x.shape)),
    "tril": lambda m, x: m.tril(x, k=1),
    "triu": lambda m, x: m.triu(x, k=-1),
    "nonzero": lambda m, x: m.nonzero(x)[1],
    "unique_all": lambda m, x: m.unique_all(m.round(x))[0],
    "unique_counts": lambda m, x: m.unique_counts(m.round(x))[1],
    "unique_inverse": lambda m, x: m.unique_inverse(m.round(x))[1],
    "unique_values": lambda m, x: m.unique_values(x),
    "searchsorted": lambda m, x: m.searchsorted(m.sort(m.reshape(x, (-1,))), m.reshape(x, (-1,)), side="right"),
    "take": lambda m, x: m.take(x, m.asarray([1, 0, 1]), axis=1),
    "clip": lambda m, x: m.clip(x, -1.0, 0.5),
    "take_along_axis": lambda m, x: m.take_along_axis(x, m.argsort(x, axis=0), axis=0),
    "where": lambda m, x: m.where(x > 0, x, 0),
    "count_nonzero": lambda m, x: m.count_nonzero(x > 0, axis=1),
    "matmul": lambda m, x: m.matmul(x, m.matrix_transpose(x)),
    "tensordot": lambda m, x: m.tensordot(x, x, axes=2),
    "vecdot": lambda m, x: m.vecdot(x, x, axis=0),
    "meshgrid": lambda m, x: m.meshgrid(x[0, :], x[:, 0])[1],
    "linspace": lambda m, x: m.linspace(-1.0, 2.0, 7, endpoint=False),
    "eye": lambda m, x: m.eye(3, 4, k=-1),
    "trace": lambda m, x: m.linalg.trace(x, offset=1),
    "diagonal": lambda m, x: m.linalg.diagonal(x, offset=-1),
    "svdvals": lambda m, x: m.linalg.svdvals(x),
    "vector_norm": lambda m, x: m.linalg.vector_norm(x, axis=1, ord=3),
    "matrix_norm": lambda m, x: m.linalg.matrix_norm(x, ord="nuc"),
    "outer": lambda m, x: m.linalg.outer(x[0, :], x[1, :]),
    "pinv": lambda m, x: m.linalg.pinv(x),
    "matrix_rank": lambda m, x: m.linalg.matrix_rank(x),
    "fftfreq": lambda m, x: m.fft.fftfreq(5, d=0.5),
    "rfftfreq": lambda m, x: m.fft.rfftfreq(6),
    "fftshift": lambda m, x: m.fft.fftshift(x),
    "ifftshift": lambda m, x: m.fft.ifftshift(x, axes=1),
}


def same(found: Tensor, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(
        found.numpy().astype(np.float64), expected.astype(np.float64), 2e-5, 2e-6, equal_nan=True
    )


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
@given(data=st.data())
def test_elementwise(name: str, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 16)))
    x, y = (rng.normal(size=(2, 3)).astype(np.float32) for _ in range(2))
    arguments = [x] if name in UNARY else [x, y]
    with np.errstate(all="ignore"), Context(DEVICE="NUMPY"):
        same(getattr(xp, name)(*map(xp.asarray, arguments)), getattr(np, name)(*arguments))


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str, numpy_device) -> None:
    x = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
    same(CALLS[name](xp, xp.asarray(x)), np.asarray(CALLS[name](np, x)))


def test_everything_is_there(numpy_device) -> None:
    assert set(xp.__all__) <= set(dir(xp)) and len(NAMES) > 120
    x = xp.asarray([1.0, 2.0])
    assert x.__array_namespace__() is xp is x.__array_namespace__(api_version="2024.12")
    assert x.size == 2 and x.size() == (2,) and x.to_device("NUMPY").device == "NUMPY"
    with pytest.raises(ValueError, match="2019"):
        x.__array_namespace__(api_version="2019.12")


def test_types(numpy_device) -> None:
    assert xp.isdtype(xp.int8, "integral") and xp.isdtype(xp.float32, (xp.bool, "real floating"))
    assert not xp.isdtype(xp.uint8, "signed integer") and xp.can_cast(xp.int8, xp.int16)
    assert not xp.can_cast(xp.float64, xp.float32)
    assert xp.result_type(xp.int8, xp.asarray([1], dtype=xp.int16), 3) is xp.int16
    assert xp.result_type(xp.int8, 1.5) is xp.float32
    assert (xp.finfo(xp.float32).eps, xp.iinfo(xp.uint8).max) == (np.finfo(np.float32).eps, 255)
    assert xp.sum(xp.ones(3, dtype=xp.int8)).dtype is xp.int32 and xp.sum(xp.ones(3, dtype=xp.uint8)).dtype is xp.uint32
    info = xp.__array_namespace_info__()
    assert info.dtypes(kind="bool") == {"bool": xp.bool} and info.default_device() in info.devices()
    with pytest.raises(ValueError, match="kinds"):
        xp.isdtype(xp.int8, "whole")


def test_copies(numpy_device) -> None:
    x = xp.asarray([1.0, 2.0])
    assert xp.asarray(x) is x and xp.asarray(x, copy=True) is not x and xp.astype(x, xp.float32, copy=False) is x
    with pytest.raises(ValueError, match="copy"):
        xp.asarray(x, dtype=xp.int32, copy=False)
    with pytest.raises(ValueError, match="copy"):
        xp.asarray([1.0], copy=False)
    assert xp.from_dlpack(np.arange(3)).tolist() == [0, 1, 2]


def test_diagonals_far_away_and_vectors_of_other_sizes(numpy_device):
    assert xp.eye(2, 3, k=1 << 40).tolist() == np.eye(2, 3, k=1 << 40).tolist()
    assert xp.eye(2, 3, k=-(1 << 40)).tolist() == np.zeros((2, 3)).tolist()
    assert xp.eye(2, 3, k=2).tolist() == np.eye(2, 3, k=2).tolist()
    with pytest.raises(ValueError, match="same size"):
        xp.vecdot(xp.zeros((3, 1)), xp.zeros((3, 4)))


ENDS = [
    (complex(np.inf, 0.0), complex(np.inf, 0.0)),
    (complex(-np.inf, np.inf), complex(-1, 0)),
    (complex(np.inf, np.inf), complex(np.inf, np.nan)),
    (complex(-np.inf, np.nan), complex(-1, 0)),
    (complex(np.inf, np.nan), complex(np.inf, np.nan)),
    (complex(np.nan, 0.0), complex(np.nan, 0)),
    (complex(1, np.nan), complex(np.nan, np.nan)),
]


@pytest.mark.parametrize(("z", "expected"), ENDS, ids=str)
def test_one_less_than_the_exponential(z: complex, expected: complex, numpy_device) -> None:
    """The array API's special cases."""
    np.testing.assert_array_equal(xp.expm1(Tensor([z], dtype="complex128")).numpy(), [expected])


SPECIAL = np.asarray([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, np.inf, -np.inf, np.nan])


def assert_same_with_signs(found: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(found.numpy(), expected)
    told = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found.numpy())[told], np.signbit(expected)[told])


def test_quotients_rounded_down_of_special_values(numpy_device) -> None:
    """With an infinity the function and the operator are floor(x / y), the method is NumPy's; signs of zeros too."""
    x, y = np.repeat(SPECIAL, len(SPECIAL)), np.tile(SPECIAL, len(SPECIAL))
    with np.errstate(all="ignore"):
        down = np.floor_divide(x, y)
        limits = np.where(np.isinf(x) | np.isinf(y), np.floor(x / y), down)
    assert_same_with_signs(Tensor(x).floor_divide(Tensor(y)), down)
    assert_same_with_signs(Tensor(x) // Tensor(y), limits)
    assert_same_with_signs(xp.floor_divide(Tensor(x), Tensor(y)), limits)
    changed = Tensor(x)
    changed //= Tensor(y)
    assert_same_with_signs(changed, limits)
    assert xp.floor_divide(Tensor([np.inf, 3.0]), 2).tolist() == [np.inf, 1.0]
    assert_same_with_signs(xp.floor_divide(3.0, Tensor([-np.inf, 2.0])), np.asarray([-0.0, 1.0]))
    assert_same_with_signs(3.0 // Tensor([-np.inf, 2.0]), np.asarray([-0.0, 1.0]))
    assert_same_with_signs(xp.floor_divide(Tensor([3.0]), -np.inf), np.asarray([-0.0]))
    assert xp.floor_divide(Tensor([7, -7]), 2).tolist() == [3, -4]


def test_signs_of_nan(numpy_device) -> None:
    """Those of Python's numbers stay."""
    for made in (xp.asarray(-np.nan), xp.full((2,), -np.nan), Tensor.zeros(3).full_like(-np.nan)):
        assert xp.all(xp.signbit(made)) and xp.all(xp.isnan(made))
    assert not xp.any(xp.signbit(xp.full((2,), np.nan)))


def test_zeros_of_complex_results(numpy_device) -> None:
    """tanh has the sign of the imaginary part at infinity, expm1 of a zero none in its real part."""
    at = xp.asarray([complex(a, b) for a in (np.inf, -np.inf) for b in (0.5, 2.0, 4.0, -2.0, 0.0, -0.0)])
    found = xp.tanh(at).numpy()
    assert (found.real == np.sign(at.numpy().real)).all() and (found.imag == 0).all()
    assert (np.signbit(found.imag) == np.signbit(at.numpy().imag)).all()
    zeros = xp.expm1(xp.asarray([complex(-0.0, 0.0), complex(0.0, -0.0), complex(-0.0, -0.0)])).numpy()
    assert not np.signbit(zeros.real).any() and np.signbit(zeros.imag).tolist() == [False, True, True]


def test_complex_numbers_told_apart(numpy_device) -> None:
    """In the order NumPy has them, signs of zeros of no account."""
    parts = np.random.default_rng(0).integers(-2, 2, (2, 60)).astype(float)
    x = parts[0] + 1j * parts[1]
    x[:5] = [complex(-0.0, 1), complex(0.0, 1), complex(-0.0, -0.0), complex(np.nan, 1), complex(np.nan, 1)]
    values, places, inverse, counts = np.unique(x, True, True, True, equal_nan=False)
    found = xp.unique_all(xp.asarray(x))
    np.testing.assert_array_equal(found.values.numpy(), values)
    for one, other in zip(found[1:], (places, inverse, counts)):
        np.testing.assert_array_equal(one.numpy(), other)


def test_what_other_libraries_write_beyond_the_standard(numpy_device) -> None:
    """NumPy's types, n beside x in diff(), where() of a condition alone, astype() of arrays and of tensors."""
    assert xp.isdtype(np.float64, "real floating") and xp.isdtype(np.dtype("int32"), (xp.int32, "bool"))
    assert xp.result_type(np.float32, xp.int8) is xp.float32 and xp.can_cast(np.int8, np.float64)
    assert xp.diff(xp.asarray([1, 4, 9, 16]), 2).tolist() == [2, 2]
    (places,) = xp.where(xp.asarray([False, True]))
    assert places.tolist() == [1]
    with pytest.raises(ValueError, match="a condition and two choices"):
        xp.where(xp.asarray([True]), xp.asarray([1]))
    x = xp.astype(np.ones(2), np.float32)
    assert x.dtype is xp.float32 and x.astype(np.int8).tolist() == [1, 1]
    assert x.astype(x.dtype) is not x and x.astype(x.dtype, copy=False) is x
    assert xp.asarray([1j]).conjugate().tolist() == [-1j]


def test_ramps_of_wide_integers(numpy_device) -> None:
    for kind in (np.uint32, np.int64, np.uint64):
        found = xp.arange(0, 2**31 + 1, 2**27, dtype=kind)
        np.testing.assert_array_equal(found.numpy(), np.arange(0, 2**31 + 1, 2**27, dtype=kind))


@pytest.mark.parametrize("shape", [(0, 0), (0,), (2, 0), (0, 3)])
def test_masks_without_elements(shape, numpy_device) -> None:
    """They fit any size, as in NumPy."""
    x, mask = np.ones((2, 3)), np.ones(shape, bool)
    assert Tensor(x)[Tensor(mask)].shape == x[mask].shape
