"""Every function of one value against NumPy or its formula, and its gradient against finite differences."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, values


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


REAL, POSITIVE, UNIT, ABOVE_ONE = (-3, 3), (0.2, 4), (-0.95, 0.95), (1.1, 4)
TABLE: dict[str, tuple[Callable, tuple[float, float]]] = {
    "neg": (np.negative, REAL),
    "abs": (np.abs, REAL),
    "square": (np.square, REAL),
    "reciprocal": (np.reciprocal, POSITIVE),
    "exp": (np.exp, REAL),
    "exp2": (np.exp2, REAL),
    "expm1": (np.expm1, REAL),
    "log": (np.log, POSITIVE),
    "log2": (np.log2, POSITIVE),
    "log10": (np.log10, POSITIVE),
    "log1p": (np.log1p, POSITIVE),
    "sqrt": (np.sqrt, POSITIVE),
    "rsqrt": (lambda x: 1 / np.sqrt(x), POSITIVE),
    "sin": (np.sin, REAL),
    "cos": (np.cos, REAL),
    "tan": (np.tan, (-1.2, 1.2)),
    "sinh": (np.sinh, REAL),
    "cosh": (np.cosh, REAL),
    "tanh": (np.tanh, REAL),
    "erf": (_erf, REAL),
    "asin": (np.arcsin, UNIT),
    "acos": (np.arccos, UNIT),
    "atan": (np.arctan, REAL),
    "asinh": (np.arcsinh, REAL),
    "acosh": (np.arccosh, ABOVE_ONE),
    "atanh": (np.arctanh, UNIT),
    "relu": (lambda x: np.maximum(x, 0), REAL),
    "relu6": (lambda x: np.clip(x, 0, 6), (-3, 9)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), REAL),
    "sigmoid": (_sigmoid, REAL),
    "logsigmoid": (lambda x: -_softplus(-x), REAL),
    "silu": (lambda x: x * _sigmoid(x), REAL),
    "gelu": (_gelu, REAL),
    "quick_gelu": (lambda x: x * _sigmoid(1.702 * x), REAL),
    "elu": (_elu, REAL),
    "celu": (_elu, REAL),
    "selu": (lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772), REAL),
    "softplus": (_softplus, REAL),
    "mish": (lambda x: x * np.tanh(_softplus(x)), REAL),
    "softsign": (lambda x: x / (1 + np.abs(x)), REAL),
    "hardtanh": (lambda x: np.clip(x, -1, 1), REAL),
    "hardsigmoid": (lambda x: np.clip(x / 6 + 0.5, 0, 1), (-5, 5)),
    "hardswish": (lambda x: x * np.clip(x + 3, 0, 6) / 6, (-5, 5)),
    "tanhshrink": (lambda x: x - np.tanh(x), REAL),
}


def test_values(device):
    inputs = [values(5, 7, seed=i, low=low, high=high) for i, (_, (low, high)) in enumerate(TABLE.values())]
    found = [getattr(Tensor(x), name)() for name, x in zip(TABLE, inputs)]
    expected = [reference(x.astype(np.float64)) for (reference, _), x in zip(TABLE.values(), inputs)]
    assert_all_same(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", TABLE)
def test_gradient(name, numpy_device):
    low, high = TABLE[name][1]
    assert_gradient(lambda x: getattr(x, name)(), values(3, 4, seed=3, low=low, high=high))


def test_options(numpy_device):
    x = values(20, low=-4, high=4)
    t = Tensor(x)
    assert_all_same(
        [t.gelu("none"), t.leaky_relu(0.2), t.elu(0.5), t.softplus(3), t.hardtanh(-2, 3), t.threshold(1, -7)],
        [
            0.5 * x * (1 + _erf(x / np.sqrt(2))),
            np.where(x > 0, x, 0.2 * x),
            _elu(x, 0.5),
            _softplus(3 * x) / 3,
            np.clip(x, -2, 3),
            np.where(x > 1, x, -7),
        ],
    )
    with pytest.raises(ValueError, match="tanh"):
        t.gelu("exact")


def test_gradients_stay_finite_for_large_inputs(numpy_device):
    x = Tensor(np.array([-1e4, -200, -90, 0, 90, 200, 1e4], np.float32), requires_grad=True)
    for name in ("sigmoid", "logsigmoid", "silu", "softplus", "mish", "elu", "selu", "gelu", "tanh", "hardswish"):
        y = getattr(x, name)()
        assert np.isfinite(y.numpy()).all(), name
        assert np.isfinite(y.sum().gradient(x)[0].numpy()).all(), name
    assert x.sigmoid().sum().gradient(x)[0].numpy()[3] == 0.25


def test_integers_become_floats(numpy_device):
    result = Tensor([0, 1, 4]).sqrt()
    assert str(result.dtype) == "float32"
    assert result.tolist() == [0, 1, 2]


def test_nan_passes_through(numpy_device):
    nan = Tensor(np.array([np.nan], np.float32))
    for name in TABLE:
        assert np.isnan(getattr(nan, name)().numpy()).all(), name


def test_logaddexp(numpy_device):
    x, y = values(6), values(6, seed=1)
    assert_all_same([Tensor(x).logaddexp(Tensor(y))], [np.logaddexp(x, y)])
    edges = np.array([-np.inf, np.inf, -np.inf, 1e4], np.float32)
    others = np.array([-np.inf, 0, 3, -1e4], np.float32)
    assert_all_same([Tensor(edges).logaddexp(Tensor(others))], [np.logaddexp(edges, others)])
    assert_gradient(Tensor.logaddexp, x, y)


def test_double_precision(device):
    ranges = [between for _, between in TABLE.values()]
    inputs = [values(31, seed=i, low=low, high=high).astype(np.float64) for i, (low, high) in enumerate(ranges)]
    found = [getattr(Tensor(x), name)() for name, x in zip(TABLE, inputs)]
    expected = [reference(x) for (reference, _), x in zip(TABLE.values(), inputs)]
    assert_all_same(found, expected, rtol=1e-13, atol=1e-14)


def test_sixteen_bit_floats_keep_their_type(numpy_device):
    for name in TABLE:
        assert getattr(Tensor([0.5], dtype="float16"), name)().dtype is dtypes.float16, name


def test_inverse_functions_at_the_ends_of_their_range(device):
    largest = np.array([0.0, 1.0, 2e4, 1e10, 1e30, 3e38, np.inf], np.float32)
    ends = np.array([-1.0, -0.9999999, 0.0, 0.9999999, 1.0], np.float32)
    both = np.concatenate([-largest, largest])
    near_one = np.array([1.0, 1.0000001, 1.001, *largest[2:]], np.float32)
    exact = [np.arcsinh(both.astype(np.float64)), np.arccosh(near_one.astype(np.float64))]
    exact += [np.arcsin(ends.astype(np.float64)), np.arccos(ends.astype(np.float64))]
    exact += [np.arctan(both.astype(np.float64))]
    found = [Tensor(both).asinh(), Tensor(near_one).acosh()]
    found += [Tensor(ends).asin(), Tensor(ends).acos(), Tensor(both).atan()]
    assert_all_same(found, [x.astype(np.float32) for x in exact], rtol=2e-6, atol=0)


SLOPES = {
    "asinh": ([-np.inf, -3e38, 0, 3e38, np.inf], [0, 1 / 3e38, 1, 1 / 3e38, 0]),
    "acosh": ([1, 3e38, np.inf], [np.inf, 1 / 3e38, 0]),
    "asin": ([-1, 0, 1], [np.inf, 1, np.inf]),
    "acos": ([-1, 0, 1], [-np.inf, -1, -np.inf]),
    "atan": ([-np.inf, 0, np.inf], [0, 1, 0]),
    "relu": ([0], [0]),
    "relu6": ([0, 6], [0, 0]),
    "hardtanh": ([-1, 1], [0, 0]),
    "hardsigmoid": ([-3, 3], [0, 0]),
    "hardswish": ([-3, 3], [0, 1]),
    "elu": ([0], [1]),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slope_at_edges_and_kinks(name, numpy_device):
    points, slopes = SLOPES[name]
    x = Tensor(np.array(points, np.float64), requires_grad=True)
    np.testing.assert_allclose(getattr(x, name)().sum().gradient(x)[0].numpy(), slopes, rtol=1e-12)


def test_what_replaces_nan_is_not_replaced_in_turn(numpy_device) -> None:
    x = Tensor([-np.inf, np.nan, np.inf])
    assert x.nan_to_num(nan=np.inf, posinf=9.0, neginf=np.nan).tolist()[1:] == [np.inf, 9]
    assert x.nan_to_num(nan=-np.inf, neginf=1.0).tolist()[:2] == [1, -np.inf]
