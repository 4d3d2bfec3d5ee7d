"""Arithmetic, comparison, selection and rounding against NumPy; promotion; gradients."""

import math

import numpy as np
import pytest

from codegen.dtypes import ALL, dtypes
from kernelforge import array_api
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

INTEGERS = [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64]
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mod": np.mod,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}


def test_binary_operations_of_every_kind(device):
    found, expected = [], []
    for dtype in (np.float32, np.int32, np.uint8):
        low = 0 if dtype == np.uint8 else -9
        x, y = values(4, 5, low=low, high=9, dtype=dtype), values(4, 5, seed=1, low=1, high=9, dtype=dtype)
        found += [getattr(Tensor(x), name)(Tensor(y)) for name in BINARY]
        expected += [function(x, y) for function in BINARY.values()]
    assert_all_same(found, expected)


def test_division(device):
    x, y = values(30, low=-20, high=20, dtype=np.int32), values(30, seed=1, low=-4, high=4, dtype=np.int32)
    y[y == 0] = 3
    a, b = Tensor(x), Tensor(y)
    f, g = x.astype(np.float32) + 0.5, y.astype(np.float32)
    found = [
        a / b,
        a // b,
        a % b,
        a.div(b, rounding_mode="trunc"),
        a.fmod(b),
        7 // b,
        7 % b,
        7 / b,
        Tensor(f) / Tensor(g),
        Tensor(f) // Tensor(g),
        Tensor(f) % Tensor(g),
        Tensor(f).fmod(Tensor(g)),
    ]
    expected = [
        x / y,
        x // y,
        x % y,
        np.trunc(x / y),
        np.fmod(x, y),
        7 // y,
        7 % y,
        7 / y,
        f / g,
        f // g,
        f % g,
        np.fmod(f, g),
    ]
    assert_all_same(found, expected, rtol=1e-5, atol=1e-5)


def test_bits_and_logic(device):
    found, expected = [], []
    for dtype in INTEGERS:
        x, y = values(16, low=0, high=100, dtype=dtype), values(16, seed=1, low=0, high=7, dtype=dtype)
        a, b = Tensor(x), Tensor(y)
        found += [a & b, a | b, a ^ b, ~a, a >> b, (a & 3) << b, a & 5]
        expected += [x & y, x | y, x ^ y, ~x, x >> y, (x & 3) << y, x & 5]
    p, q = values(16, dtype=np.int32) > 0, values(16, seed=1, dtype=np.int32) > 0
    a, b = Tensor(p), Tensor(q)
    found += [a & b, a | b, a ^ b, ~a, a + b, a * b, a.logical_not(), -a]
    expected += [p & q, p | q, p ^ q, ~p, p | q, p & q, ~p, ~p]
    assert_all_same(found, expected)


def test_rounding(device):
    x = np.array([-2.5, -1.5, -0.5, -0.0, 0.4, 0.5, 1.5, 2.5, 1e9, np.inf, -np.inf, np.nan], np.float32)
    t = Tensor(x)
    assert_all_same([t.floor(), t.ceil(), t.trunc(), t.round()], [np.floor(x), np.ceil(x), np.trunc(x), np.round(x)])
    assert Tensor([1, 2]).floor().dtype is dtypes.int32


def test_special_values(numpy_device):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -3.0], np.float32)
    t = Tensor(x)
    found = [t.isnan(), t.isinf(), t.isfinite(), t.isinf(detect_negative=False), t.sign(), t.relu(), t.clamp(-2, 0.5)]
    expected = [
        np.isnan(x),
        np.isinf(x),
        np.isfinite(x),
        np.isposinf(x),
        np.sign(x),
        np.where(x < 0, 0, x),
        np.clip(x, -2, 0.5),
    ]
    assert_all_same(found, expected)
    y = np.array([1, -1, 1, -1, -0.0, 0.0, -np.inf], np.float32)
    assert_same(t.abs().copysign(Tensor(y)), np.copysign(np.abs(x), y))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, -1, -2, 0.5, -0.5, 2.0, 2.5, 17, -1.3])
def test_power_of_scalars(exponent, numpy_device):
    x = values(3, 4, low=0.3, high=2)
    assert_same(Tensor(x) ** exponent, x**exponent, rtol=3e-5)
    if exponent:
        assert_gradient(lambda t: t**exponent, x)


def test_power_of_tensors(device):
    x, y = values(12, low=0.2, high=3), values(12, seed=1, low=-2, high=2)
    i, j = values(12, low=-6, high=6, dtype=np.int32), values(12, seed=1, low=0, high=6, dtype=np.int32)
    found = [Tensor(x) ** Tensor(y), 2 ** Tensor(y), Tensor(i) ** 3, Tensor(i) ** Tensor(j), Tensor(i) ** 2.0]
    assert_all_same(found, [x**y, 2**y, i**3, i**j, i**2.0], rtol=1e-4)
    assert found[2].dtype is found[3].dtype is dtypes.int32
    with pytest.raises(DTypeError, match="exponent >= 0"):
        Tensor([2]) ** -1


def test_power_gradient_at_zero_has_no_logarithm(numpy_device):
    x = Tensor([0.0, -2.0])
    assert (x**3).sum().gradient(x)[0].tolist() == [0.0, 12.0]
    assert (x**2.0).sum().gradient(x)[0].tolist() == [0.0, -4.0]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum", "pow", "mod", "copysign"])
def test_gradients_of_binary_operations(name, numpy_device):
    x, y = values(3, 4, low=0.5, high=2), values(4, seed=1, low=0.6, high=2.1)
    assert_gradient(lambda a, b: getattr(a, name)(b), x, y)
    if name != "copysign":
        assert_gradient(lambda b: getattr(b, name)(1.7), y)


def test_where_lerp_and_friends(device):
    x, y = values(3, 4), values(4, seed=1)
    a, b = Tensor(x), Tensor(y)
    mask = x > 0
    found = [
        (a > 0).where(a, b),
        (a > 0).where(1, b),
        (a > 0).where(a, 0),
        (a > 0).where(1.5, 2),
        (a > 0).where(1, 2),
        a.lerp(a * 2, 0.3),
        a.masked_fill(a > 0, -1),
        a.clamp(min_=-1),
        a.clip(max_=1),
    ]
    expected = [
        np.where(mask, x, y),
        np.where(mask, 1, y),
        np.where(mask, x, 0),
        np.where(mask, 1.5, 2),
        np.where(mask, 1, 2),
        x + x * 0.3,
        np.where(mask, -1, x),
        np.maximum(x, -1),
        np.minimum(x, 1),
    ]
    assert_all_same(found, expected)
    assert found[4].dtype is dtypes.int32
    assert_gradient(lambda a, b: (a > 0).where(a, b * a), x, y)
    assert_gradient(lambda a, b: a.lerp(b, 0.3) + a.clamp(-1, 1), x, y)


def test_promotion(numpy_device):
    f16, f32, i32, u8, flag = (Tensor([1], dtype=d) for d in ("float16", "float32", "int32", "uint8", "bool"))
    cases = [
        (f16 * 2.0, "float16"),
        (f16 + f32, "float32"),
        (i32 * 2.5, "float32"),
        (i32 + f16, "float16"),
        (u8 + 1, "uint8"),
        (u8 + i32, "int32"),
        (flag + 1, "int32"),
        (flag * 1.5, "float32"),
        (u8 * True, "uint8"),
        (i32 / 2, "float32"),
        (i32 > 0.5, "bool"),
        (f16 == 1, "bool"),
        (u8 - Tensor([1], dtype="int8"), "int16"),
        (1 - f16, "float16"),
        (i32 + np.float32(1.5), "float32"),
        (i32 * np.ones(1, np.float64), "float64"),
    ]
    for result, dtype in cases:
        assert str(result.dtype) == dtype


@pytest.mark.parametrize("dtype", [d for d in ALL if d is not dtypes.bool], ids=str)
def test_every_number_type_adds_and_casts(dtype, device):
    x = np.array([0, 1, 2, 50])
    t = Tensor(x, dtype=dtype)
    assert_same(t + t - 1, x + x - 1) if dtype.kind != "u" else assert_same(t + t, x + x)
    assert t.cast("float64").tolist() == x.tolist()
    assert t.bool().tolist() == [False, True, True, True]


def test_casts_truncate_and_wrap(numpy_device):
    assert Tensor([-1.7, 1.7, 2.5]).int().tolist() == [-1, 1, 2]
    assert Tensor([300, -1]).cast("uint8").tolist() == [44, 255]
    assert Tensor([1.0, -2.0]).bitcast("uint32").tolist() == [0x3F800000, 0xC0000000]
    assert Tensor([1.00390625]).half().float().tolist() == [1.00390625]
    assert Tensor([1.001]).bfloat16().float().tolist() == [1.0]
    assert [x.float().dtype for x in (Tensor([1]), Tensor([1.0]))] == [dtypes.float32] * 2


@pytest.mark.parametrize("shapes", [((), (3,)), ((1, 3), (4, 1)), ((0, 3), (3,)), ((2, 1, 5), (7, 1)), ((1,), (1, 1))])
def test_broadcasting(shapes, device):
    x, y = values(*shapes[0]), values(*shapes[1], seed=1)
    assert_same(Tensor(x) + Tensor(y), x + y)


def test_errors():
    with pytest.raises(ShapeError, match=r"\(3,\).*\(4,\)"):
        Tensor([1.0, 2, 3]) + Tensor([1.0, 2, 3, 4])
    with pytest.raises(DTypeError, match="float32"):
        Tensor([1.0]) & Tensor([1.0])
    with pytest.raises(DTypeError, match="bool"):
        Tensor([True]) - Tensor([True])
    with pytest.raises(DTypeError, match="300 does not fit uint8"):
        Tensor([1], dtype="uint8") + 300
    with pytest.raises(DTypeError, match="str"):
        Tensor([1]) + "1"
    with pytest.raises(ValueError, match="clamp"):
        Tensor([1.0]).clamp()
    with pytest.raises(DTypeError, match="shifts"):
        Tensor([1.0]) << 1


@pytest.mark.parametrize("name", ["mul", "add", "bitwise_and", "maximum"])
def test_integers_beside_truth_values_are_never_cut_off(name, device):
    truth = Tensor([True, False])
    assert getattr(truth, name)(2**31 - 1).tolist() == getattr(truth.cast("int32"), name)(2**31 - 1).tolist()
    for number in (2**31, 2**40, 2**63 - 1, -(2**31) - 1):
        with pytest.raises(DTypeError, match=f"{number} does not fit int32"):
            getattr(truth, name)(number)


def test_whole_quotients_of_floats_agree_with_their_remainders(device):
    """Quotients near a whole number, and operands that are infinite or zero."""
    x = np.array([1, 1, -1, 0.3, 6, 7.5, -7.5, 7.5, 0, 5, -5, np.inf, -3], np.float64)
    y = np.array([0.1, -0.1, 0.1, 0.1, 0.1, 2, 2, -2, 3, np.inf, np.inf, 2, np.nan], np.float64)
    for dtype in (np.float64, np.float32):
        a, b = x.astype(dtype), y.astype(dtype)
        with np.errstate(invalid="ignore"):
            expected = [a // b, np.fmod(a, b), a % b]
        assert_all_same([Tensor(a).floor_divide(Tensor(b)), Tensor(a).fmod(Tensor(b)), Tensor(a) % Tensor(b)], expected)
    assert (Tensor([1.0, -1.0]) // 0).tolist() == [np.inf, -np.inf]
    divisor = Tensor(y[:4], requires_grad=True)
    assert (Tensor(x[:4]) % divisor).sum().gradient(divisor)[0].tolist() == (-(x[:4] // y[:4])).tolist()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "float32", "float64"])
def test_the_operator_divides_as_the_method_does(dtype: str, numpy_device: None) -> None:
    for other in ("bool", "uint8", "int32", "float16", "float32", "float64"):
        x, y = Tensor([True, False, True], dtype=dtype), Tensor([True, True, True], dtype=other)
        for found in (x // y, array_api.floor_divide(x, y)):
            expected = x.floor_divide(y)
            assert found.dtype is expected.dtype and found.tolist() == expected.tolist()
        z = Tensor([1, 1, 1], dtype=dtype)
        for number in (True, 2, 2.5):
            assert (x // number).tolist() == x.floor_divide(number).tolist()
            assert (x // number).dtype is x.floor_divide(number).dtype
            assert (number // z).tolist() == z.div(number, reverse=True, rounding_mode="floor").tolist()


def test_the_operator_divides_infinities_as_the_standard_has_it(numpy_device: None) -> None:
    x = Tensor([math.inf, -math.inf, 3.0, -3.0, 0.0, -0.0])
    for number in (2, -2.0, 0.0, -0.0, math.inf, -math.inf, math.nan, 1e300, np.float32(2), np.int64(3)):
        y = Tensor.full((6,), float(number))
        assert_same(x // number, np.floor((x / y).numpy()))
        if not isinstance(number, np.generic):  # which divides as NumPy does
            assert_same(number // x, np.floor((y / x).numpy()))
    half = x.cast("float16") // 70000  # infinite in half precision
    assert_same(half, np.floor((x.cast("float16") / math.inf).numpy()))


def test_slopes_of_clamp_at_its_limits(numpy_device):
    x = Tensor([-2.0, -1.0, 0.0, 1.0, 2.0, np.nan], requires_grad=True)
    limited = x.clamp(-1, 1)
    assert_same(limited, np.array([-1, -1, 0, 1, 1, np.nan], np.float32))
    assert limited.sum().gradient(x)[0].tolist() == [0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_fmod_has_the_sign_of_the_dividend_also_at_zero(dtype, device):
    numbers, divisors = [0, -0.0, 1, -1, 2.5, -4, np.inf, np.nan], [1, -2, 0.5, np.inf]
    x, y = np.meshgrid(np.array(numbers, dtype), np.array(divisors, dtype))
    found = Tensor(x).fmod(Tensor(y)).numpy()
    with np.errstate(invalid="ignore"):
        expected = np.fmod(x, y)
    np.testing.assert_array_equal(found, expected)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(expected)[known])


@pytest.mark.parametrize(
    ("x", "alpha"), [([1], 1.0), ([1], True), ([1], 1j), ([1.5], True), ([1.5], 0.5j), ([True], 0.5)]
)
def test_alpha_is_of_the_kind_of_number_that_the_operands_are(x, alpha):
    for method in (Tensor.add, Tensor.sub):
        with pytest.raises(DTypeError, match="alpha"):
            method(Tensor(x), Tensor(x), alpha=alpha)


def test_sums_of_truth_values_times_alpha_are_truth_values():
    x = Tensor([True, False])
    assert x.add(Tensor([True, True]), alpha=0).tolist() == [True, False]
    assert x.add(Tensor([True, True]), alpha=True).tolist() == [True, True]
    assert Tensor([1]).add(Tensor([2]), alpha=3).tolist() == [7]
    assert Tensor([1.0]).sub(Tensor([2]), alpha=0.5).tolist() == [0]


@pytest.mark.parametrize("dtype", [*INTEGERS, np.uint16, np.uint64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("count", [3, 40])
def test_shifts_by_more_than_there_is_or_less_than_nothing(dtype, count, device):
    random, limits = np.random.default_rng(count), np.iinfo(dtype)
    x = random.integers(limits.min, limits.max, count, dtype, endpoint=True)
    by = random.integers(max(limits.min, -140), min(limits.max, 140), count, np.int16, endpoint=True).astype(dtype)
    np.testing.assert_array_equal((Tensor(x) << Tensor(by)).numpy(), x << by)
    np.testing.assert_array_equal((Tensor(x) >> Tensor(by)).numpy(), x >> by)
    number = -1 if limits.min else 64
    np.testing.assert_array_equal((Tensor(x) << number).numpy(), x << dtype(number))
    np.testing.assert_array_equal((Tensor(x) >> number).numpy(), x >> dtype(number))
