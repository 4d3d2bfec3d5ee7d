"""Functions in every float type against higher precision: units in the last place, and NumPy's special values."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes, from_storage, to_storage
from kernelforge.kernels import Device
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.tensor import Tensor

Wide = Callable[[NDArray], NDArray]


def _erf(x: NDArray) -> NDArray:
    return np.frompyfunc(math.erf, 1, 1)(x.astype(np.float64)).astype(np.float64)


# name -> its meaning in higher precision, the largest error in float32
FUNCTIONS: dict[str, tuple[Wide, float]] = {
    "exp": (np.exp, 2.5), "exp2": (np.exp2, 2.5), "expm1": (np.expm1, 2.5),
    "log": (np.log, 2.5), "log2": (np.log2, 2.5), "log10": (np.log10, 2.5), "log1p": (np.log1p, 2.5),
    "sin": (np.sin, 2.5), "cos": (np.cos, 2.5), "tan": (np.tan, 2.5), "atan": (np.arctan, 2.5),
    "tanh": (np.tanh, 2.5), "sinh": (np.sinh, 2.5), "cosh": (np.cosh, 2.5),
    "asin": (np.arcsin, 2.5), "acos": (np.arccos, 2.5), "asinh": (np.arcsinh, 2.5), "acosh": (np.arccosh, 2.5),
    "atanh": (np.arctanh, 2.5), "erf": (_erf, 2.5), "sqrt": (np.sqrt, 0.5), "rsqrt": (lambda x: 1 / np.sqrt(x), 2.5),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2.5), "softplus": (lambda x: np.logaddexp(0, x), 2.5),
    "silu": (lambda x: x / (1 + np.exp(-x)), 2.5), "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), 2.5),
    "reciprocal": (lambda x: 1 / x, 0.5), "deg2rad": (lambda x: x * (np.pi / x.dtype.type(180)), 2.5),
    "rad2deg": (lambda x: x * (x.dtype.type(180) / np.pi), 2.5),
}  # fmt: skip
SPECIAL = (0.0, math.inf, math.nan, 1.0, 2.0, 0.5, math.pi, 1e-3, 8.0, 100.0)


def points(dtype: DType, count: int = 20_000) -> NDArray:
    """Numbers of every size with both signs, many of them where functions bend, and the special ones."""
    rng = np.random.default_rng(5)
    limits = np.finfo(dtype.numpy if dtype is not dtypes.bfloat16 else np.float32)
    exponents = rng.uniform(limits.minexp - 5, limits.maxexp, count)
    sizes = [
        np.exp2(exponents), np.exp2(rng.uniform(-30, 7, count)), rng.uniform(0, 2, count), rng.uniform(0, 90, count),
        np.exp(rng.uniform(0, 11, count)), 1 + rng.normal(0, 1e-3, count), np.array(SPECIAL),
        [limits.max, limits.tiny, limits.smallest_subnormal],
    ]  # fmt: skip
    x = np.concatenate(sizes)
    with np.errstate(all="ignore"):
        return to_storage(np.concatenate([x, -x]).astype(dtype.arithmetic.numpy), dtype)


def units(actual: NDArray, exact: NDArray, dtype: DType) -> NDArray:
    """How far numbers are from the exact ones, in units of the last place of those; 0 for equal special values."""
    digits = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}[dtype.name]
    least = {"float64": -1022, "float16": -14}.get(dtype.name, -126)
    with np.errstate(all="ignore"):
        rounded = from_storage(to_storage(exact.astype(dtype.arithmetic.numpy), dtype), dtype)
        exponent = np.maximum(np.frexp(exact)[1] - 1, least)
        error = np.abs(actual.astype(exact.dtype) - exact) / np.ldexp(np.ones_like(exact), exponent - digits)
    same = (actual == rounded) | (np.isnan(actual) & np.isnan(rounded))
    return np.where(same, np.minimum(np.nan_to_num(error, nan=0), 0.5), np.nan_to_num(error, nan=np.inf))


def assert_accurate(
    name: str, ours: Callable[..., Tensor], exact: Callable[..., NDArray], dtype: DType, limit: float, *args: NDArray
) -> None:
    with np.errstate(all="ignore"):
        wide = [from_storage(x, dtype).astype(np.longdouble if dtype is dtypes.float64 else np.float64) for x in args]
        expected = exact(*wide)
    result = ours(*(Tensor(from_storage(x, dtype)).cast(dtype) for x in args)).realize()
    computed = result.cast(dtype.arithmetic).numpy()
    error = units(computed, expected, dtype)
    worst = int(error.argmax())
    at = ", ".join(str(x[worst]) for x in wide)
    assert error[worst] <= limit, f"{name}({at}) is {computed[worst]}, exactly {expected[worst]}: {error[worst]} units"
    zeros = (expected == 0) & (computed == 0)
    wrong = np.flatnonzero(np.signbit(computed[zeros]) != np.signbit(expected[zeros]))
    assert not wrong.size, f"{name} of {wide[0][zeros][wrong[:3]]} has a zero of the wrong sign"


@pytest.fixture(autouse=True)
def _compiled() -> Any:
    if not isinstance(Device["CPU"], OpenCLRuntime):
        pytest.skip("NumPy's own functions are less accurate than the kernels'")
    before, Device.DEFAULT = Device.DEFAULT, "CPU"
    yield
    Device.DEFAULT = before


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32(name: str) -> None:
    exact, limit = FUNCTIONS[name]
    x = points(dtypes.float32)
    assert_accurate(name, getattr(Tensor, name), exact, dtypes.float32, limit, x)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for name in FUNCTIONS for dtype in (dtypes.float16, dtypes.float64)]
    + [(name, dtypes.bfloat16) for name in ("exp", "acos", "erf")],
)
def test_other_floats(name: str, dtype: DType) -> None:
    exact, limit = FUNCTIONS[name]
    if dtype is not dtypes.float64:
        limit = 0.52  # computed in float32 and rounded once
    elif name == "erf":
        limit = 4  # so accurate are the reference and it together
    assert_accurate(name, getattr(Tensor, name), exact, dtype, limit, points(dtype, 3_000))


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64])
def test_pow(dtype: DType) -> None:
    x = points(dtype, 4_000)
    rng = np.random.default_rng(7)
    middling = to_storage(rng.uniform(-9, 9, x.size).astype(dtype.arithmetic.numpy), dtype)
    exponents = np.concatenate([rng.permutation(x), middling])
    limit = 2.5 if dtype.bits >= 32 else 0.52
    assert_accurate("pow", Tensor.pow, np.power, dtype, limit, np.concatenate([x, x]), exponents)
    whole = to_storage(rng.integers(-9, 10, x.size).astype(dtype.arithmetic.numpy), dtype)
    assert_accurate("pow", Tensor.pow, np.power, dtype, limit, x, whole)
