"""Every universal function of NumPy, of all types and shapes: NumPy's values and nothing computed, or a TypeError."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernelforge import Context, Tensor
from kernelforge.counterparts import converts
from kernelforge.counters import GlobalCounters
from kernelforge.errors import KernelForgeError
from kernelforge.settings import EAGER

FUNCTIONS = sorted({one for one in vars(np).values() if isinstance(one, np.ufunc)}, key=lambda one: one.__name__)
WHOLE = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
TYPES = ("bool", *WHOLE, "float16", "float32", "float64", "complex64", "complex128")
SHAPES = [((), (3,)), ((2, 1), (3,)), ((2, 3), (2, 3)), ((0,), (1,)), ((4,), ()), ((1, 0, 2), (3, 1, 1))]
SQUARE = ((3, 3), (3, 3))
DIGITS = {"float16": 2e-2, "float32": 1e-4, "complex64": 1e-4}


def values(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> NDArray:
    """Small numbers of a type, none of them 0 but among bools."""
    if kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    found = rng.integers(1, 12, shape) * (1 if kind[0] == "u" else rng.choice([1, -1], shape))
    if kind[0] in "ui":
        return np.asarray(found).astype(kind)
    found = found * rng.random(shape) + 0.1
    return np.asarray(found + 1j * rng.random(shape) if kind[0] == "c" else found).astype(kind)


def expected(function: np.ufunc, arrays: list[NDArray], kind: np.dtype) -> object:
    """What NumPy gives; integers are the floats first that they become with tensors, which are not narrower ones."""
    if kind.kind in "fc":
        whole = [x.dtype.kind in "biu" and not (function is np.ldexp and i) for i, x in enumerate(arrays)]
        arrays = [x.astype(kind) if cast else x for x, cast in zip(arrays, whole)]
    return function(*arrays)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.__name__)
def test_universal_functions(function: np.ufunc) -> None:
    @given(st.tuples(st.sampled_from(TYPES), st.sampled_from(TYPES)), st.sampled_from(SHAPES), st.integers(0, 2**32))
    @settings(deadline=None, max_examples=15, derandomize=True)
    def holds(kinds: tuple[str, str], shapes: tuple[tuple[int, ...], ...], seed: int) -> None:
        rng = np.random.default_rng(seed)
        shapes = SQUARE if function.signature else shapes
        arrays = [values(rng, kind, shape) for kind, shape in zip(kinds, shapes)][: function.nin]
        before = GlobalCounters.kernel_count
        with Context(DEVICE="NUMPY"), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                found = function(*[Tensor(x) for x in arrays])
            except KernelForgeError as error:
                assert isinstance(error, TypeError | ValueError)
                return
            except TypeError:  # NumPy's own
                return
            parts = found if isinstance(found, tuple) else (found,)
            if converts(function):
                assert not any(isinstance(part, Tensor) for part in parts)
                return
            assert EAGER.value or GlobalCounters.kernel_count == before
            assert all(isinstance(part, Tensor) for part in parts)
            try:
                wanted = expected(function, arrays, parts[0].numpy().dtype)
            except (TypeError, ValueError):  # of complex numbers that have a length, or integers' negative powers
                return
            for part, one in zip(parts, wanted if isinstance(wanted, tuple) else (wanted,)):
                assert part.shape == np.shape(one)
                near = max(DIGITS.get(str(kind), 1e-9) for kind in (part.numpy().dtype, np.asarray(one).dtype))
                np.testing.assert_allclose(part.numpy().astype(complex), np.asarray(one).astype(complex), near, near)

    holds()


def test_bits_and_spacings_at_the_ends() -> None:
    for kind in WHOLE:
        bounds = np.iinfo(kind)
        x = np.asarray([bounds.min, bounds.max, 0, 1, bounds.max // 3], kind)
        with Context(DEVICE="NUMPY"):
            np.testing.assert_array_equal(np.bitwise_count(Tensor(x)).numpy(), np.bitwise_count(x))
    for kind in ("float32", "float64"):  # NumPy's float16 below 0 are told how far the next number up is
        x = np.asarray([0.0, -0.0, 1.0, -1.0, np.finfo(kind).max, np.inf, -np.inf, np.nan], kind)
        with Context(DEVICE="NUMPY"), np.errstate(all="ignore"):
            np.testing.assert_array_equal(np.spacing(Tensor(x)).numpy(), np.spacing(x))
