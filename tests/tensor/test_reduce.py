"""Reductions and what is made of them against NumPy, and their gradients."""

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge import array_api
from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

X = values(3, 5, 4)
AXES = [None, 0, -1, (0, 2), (0, 1, 2)]


def _logsumexp(a, axis=None, keepdims=False):
    m = a.max(axis=axis, keepdims=True)
    result = np.log(np.exp(a - m).sum(axis=axis, keepdims=True)) + m
    return result if keepdims else np.squeeze(result, axis)


REDUCTIONS = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "mean": np.mean,
    "logsumexp": _logsumexp,
    "any": np.any,
    "all": np.all,
    "var": lambda a, axis=None, keepdims=False: np.var(a, axis, ddof=1, keepdims=keepdims),
    "std": lambda a, axis=None, keepdims=False: np.std(a, axis, ddof=1, keepdims=keepdims),
}


def _softmax(a, axis):
    e = np.exp(a - a.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def test_values(device):
    tensor = Tensor(X)
    found = [
        getattr(tensor, name)(axis, keepdim=keep) for name in REDUCTIONS for axis in AXES for keep in (False, True)
    ]
    wide = X.astype(np.float64)
    expected = [
        f(wide, axis=axis, keepdims=keep) for f in REDUCTIONS.values() for axis in AXES for keep in (False, True)
    ]
    assert_all_same(found, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in REDUCTIONS if name not in ("any", "all")])
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_gradient(name, axis, numpy_device):
    assert_gradient(lambda x: getattr(x, name)(axis), X)


COMPOSITES = {
    "softmax": (lambda t: t.softmax(), lambda a: _softmax(a, -1)),
    "softmax 1": (lambda t: t.softmax(1), lambda a: _softmax(a, 1)),
    "softmax of two axes": (lambda t: t.softmax((0, 2)), lambda a: _softmax(a, (0, 2))),
    "log_softmax": (lambda t: t.log_softmax(0), lambda a: np.log(_softmax(a, 0))),
    "layernorm": (
        lambda t: t.layernorm(),
        lambda a: (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5),
    ),
    "rmsnorm": (lambda t: t.rmsnorm(), lambda a: a / np.sqrt((a * a).mean(-1, keepdims=True) + 1e-6)),
    "cumsum": (lambda t: t.cumsum(1), lambda a: a.cumsum(1)),
    "cumprod": (lambda t: t.cumprod(-1), lambda a: a.cumprod(-1)),
    "cummax": (lambda t: t.cummax(1)[0], lambda a: np.maximum.accumulate(a, 1)),
    "cummin": (lambda t: t.cummin(0)[0], lambda a: np.minimum.accumulate(a, 0)),
    "norm": (lambda t: t.norm(axis=1), lambda a: np.linalg.norm(a, axis=1)),
    "norm 3": (lambda t: t.norm(3), lambda a: (np.abs(a) ** 3).sum() ** (1 / 3)),
    "norm inf": (lambda t: t.norm(np.inf), lambda a: np.abs(a).max()),
    "var_mean": (lambda t: t.var_mean(1)[1], lambda a: a.mean(1)),
    "std_mean": (lambda t: t.std_mean(1, correction=0)[0], lambda a: a.std(1)),
    "batchnorm": (
        lambda t: t.batchnorm(t[0, :, 0], t[1, :, 1], t.mean((0, 2)), t[2, :, 2] + 3),
        lambda a: (a - a.mean((0, 2))[:, None]) * ((a[2, :, 2] + 3) * a[0, :, 0])[:, None] + a[1, :, 1][:, None],
    ),
}


def test_composites(device):
    wide = X.astype(np.float64)
    found, expected = zip(*[(make(Tensor(X)), reference(wide)) for make, reference in COMPOSITES.values()])
    assert_all_same(found, expected, rtol=3e-5, atol=1e-5)


@pytest.mark.parametrize("name", COMPOSITES)
def test_gradient_of_composites(name, numpy_device):
    assert_gradient(COMPOSITES[name][0], X, atol=1e-6)


def test_argmax_and_argmin(device):
    x = np.array([[1, 3, 3, -2], [0, 0, 0, 0], [5, np.nan, 7, np.nan]], np.float32)
    t = Tensor(x)
    found = [
        t.argmax(),
        t.argmax(1),
        t.argmin(1),
        t.argmax(0, keepdim=True),
        t.argmin(),
        Tensor([[1, 2], [2, 0]]).argmax(1),
    ]
    expected = [x.argmax(), x.argmax(1), x.argmin(1), x.argmax(0, keepdims=True), x.argmin(), [1, 0]]
    assert_all_same(found, expected)
    assert found[0].dtype is dtypes.int32


def test_nan_and_infinity(device):
    x = np.array([[1, np.nan, 2], [np.inf, 1, -np.inf], [-np.inf, -np.inf, -np.inf]], np.float32)
    t = Tensor(x)
    with np.errstate(all="ignore"):
        assert_all_same([t.max(1), t.min(1), t.sum(1), t.prod(1)], [x.max(1), x.min(1), x.sum(1), x.prod(1)])
    assert_same(t.logsumexp(1), [np.nan, np.inf, -np.inf])
    masked = np.array([-np.inf, 0, 0], np.float32)
    assert_all_same(
        [Tensor(masked).softmax(), Tensor(masked).log_softmax()], [[0, 0.5, 0.5], [-np.inf, *[-np.log(2)] * 2]]
    )


def test_result_types(numpy_device):
    cases = [
        ("bool", "int64"),
        ("int8", "int64"),
        ("uint8", "int64"),
        ("int64", "int64"),
        ("uint32", "int64"),
        ("float16", "float16"),
        ("bfloat16", "bfloat16"),
        ("float64", "float64"),
    ]
    for given, expected in cases:
        assert str(Tensor([1, 0, 1], dtype=given).sum().dtype) == expected
        cumulative = given if "float" in given else "int64"
        assert str(Tensor([1, 0, 1], dtype=given).cumsum().dtype) == cumulative
    assert str(Tensor([1, 2]).mean().dtype) == "float32"
    assert str(Tensor([1, 2]).sum(dtype="float64").dtype) == "float64"
    assert str(Tensor([1, 2]).max().dtype) == "int32"
    assert str(Tensor([1.0], dtype="float16").softmax(dtype="float32").dtype) == "float32"


def test_integers_and_bool(device):
    x = values(4, 6, low=-50, high=50, dtype=np.int8)
    t = Tensor(x)
    found = [t.sum(1), t.max(0), t.min(), t.prod(0), (t > 0).sum(), (t > 0).any(1), (t > 0).all(0), t.cumsum(1)]
    expected = [
        x.sum(1, dtype=np.int32),
        x.max(0),
        x.min(),
        x.prod(0, dtype=np.int32),
        (x > 0).sum(),
        (x > 0).any(1),
        (x > 0).all(0),
        x.cumsum(1, dtype=np.int32),
    ]
    assert_all_same(found, expected, 0, 0)


def test_narrow_floats_accumulate_in_float32(device):
    ones = Tensor(np.ones(5000, np.float16))
    assert ones.sum().item() == 5000
    assert ones.mean().item() == 1
    assert Tensor(np.full(70000, 1.0, np.float16)).softmax().sum(dtype="float32").item() == pytest.approx(1, abs=1e-2)
    x = values(4, 300, dtype=np.float16)
    assert_same(Tensor(x).var(1), x.astype(np.float64).var(1, ddof=1), rtol=1e-3)


def test_variance_is_two_pass(device):
    x = values(4, 64) + np.float32(1000)
    assert_same(Tensor(x).var(1), x.astype(np.float64).var(1, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 1000])
def test_long_cumulative_sums(n, numpy_device):
    x = values(2, n, low=-9, high=9, dtype=np.int32)
    assert_same(Tensor(x).cumsum(1), x.cumsum(1), 0, 0)
    assert_same(Tensor(x).cummax(1)[0], np.maximum.accumulate(x, 1), 0, 0)


def test_no_elements(device):
    x = Tensor(np.zeros((0, 3), np.float32))
    found = [x.sum(), x.sum(0), x.sum(1), x.prod(0), x.mean(1), x.cumsum(0), x.any(), x.all(0), x.max(1), x.softmax(1)]
    expected = [
        0,
        np.zeros(3),
        np.zeros(0),
        np.ones(3),
        np.zeros(0),
        np.zeros((0, 3)),
        False,
        np.ones(3, bool),
        np.zeros(0),
        np.zeros((0, 3)),
    ]
    assert_all_same(found, expected)
    assert np.isnan(x.mean().item())
    with pytest.raises(ShapeError, match="no max of no elements"):
        x.max()
    with pytest.raises(ShapeError, match="min"):
        x.argmin(0)


def test_errors():
    with pytest.raises(ShapeError, match="sum along axis 3"):
        Tensor(X).sum(3)
    with pytest.raises(ShapeError, match="twice"):
        Tensor(X).mean((0, 0))


def test_isclose(numpy_device):
    x = np.array([1.0, 1.0, np.inf, np.nan, 0.0], np.float32)
    y = np.array([1.0 + 1e-6, 1.1, np.inf, np.nan, 1e-9], np.float32)
    assert_same(Tensor(x).isclose(Tensor(y)), np.isclose(x, y))
    assert_same(Tensor(x).isclose(Tensor(y), equal_nan=True), np.isclose(x, y, equal_nan=True))


@pytest.mark.parametrize("name", ["norm", "std"])
def test_no_gradient_where_nothing_spreads(name, numpy_device):
    """The root of 0 has an infinite slope, of which elements that are all alike get none."""
    data = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]], np.float32)
    x = Tensor(data, requires_grad=True)
    lengths = getattr(x, name)(axis=1)
    expected = {"norm": [0, 5], "std": data.std(1, ddof=1)}[name]
    assert_same(lengths, np.array(expected, np.float32))
    slopes = lengths.sum().gradient(x)[0].numpy()
    assert slopes[0].tolist() == [0, 0, 0]
    assert np.isfinite(slopes).all() and slopes[1].any()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumulative_operations(axis, device):
    x = values(37, 70)
    wide = x.astype(np.float64)
    t = Tensor(x)
    found = [t.cumsum(axis), t.cumprod(axis), t.cummax(axis)[0], t.cummin(axis)[0], t.exp().cumsum(axis) * 2]
    found += [t.cumsum(axis)[-1], (100 * t).logcumsumexp(axis)]
    expected = [
        wide.cumsum(axis),
        wide.cumprod(axis),
        np.maximum.accumulate(x, axis),
        np.minimum.accumulate(x, axis),
        np.exp(wide).cumsum(axis) * 2,
        wide.cumsum(axis)[-1],
        np.logaddexp.accumulate(100 * wide, axis),
    ]
    assert_all_same(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_of_logcumsumexp(axis, numpy_device):
    assert_gradient(lambda t: t.logcumsumexp(axis), values(5, 6))
    x = Tensor(np.array([[-np.inf, 900.0], [-900.0, -np.inf]], np.float32), requires_grad=True)
    (slope,) = x.logcumsumexp(axis)[1].gradient(x, gradient=Tensor([1.0, -2.0]))
    expected = {0: [[0, -2], [1, 0]], 1: [[0, 0], [-1, 0]]}[axis]
    np.testing.assert_allclose(slope.numpy(), expected, rtol=1e-4)


def test_cumulative_operations_of_hard_values(device):
    x = np.array([[1, np.nan, 2, 0], [-np.inf, 3, np.inf, 1], [2, 2, -0.0, 5]], np.float32)
    t = Tensor(x)
    found = [t.cummax(1)[0], t.cummin(1)[0], t.cumsum(1), Tensor([True, False, True]).cumsum(), Tensor([]).cumsum()]
    expected = [np.maximum.accumulate(x, 1), np.minimum.accumulate(x, 1), x.cumsum(1), [1, 1, 2], []]
    assert_all_same(found, expected)


def test_cumulative_operations_have_the_types_asked_for(device):
    x = np.full(300, 100, np.int8)
    assert_same(Tensor(x).cumsum(), x.cumsum(dtype=np.int64), 0, 0)
    assert_same(Tensor(x).cumsum(dtype="int8"), x.cumsum(dtype=np.int8), 0, 0)
    assert str(Tensor(x).cumsum(dtype="float32").dtype) == "float32"
    assert str(Tensor(x).cumprod().dtype) == "int64"
    assert str(Tensor(x).cummax()[0].dtype) == "int8"
    ones = Tensor(np.ones(5000, np.float16))
    assert ones.cumsum()[-1].item() == 5000
    assert Tensor(3.5).cumsum().item() == 3.5
    with pytest.raises(ShapeError, match="cumulative add"):
        Tensor([1, 2]).cumsum(1)


def test_gradients_of_running_extrema_go_to_one_place(numpy_device):
    x = Tensor([1.0, 3.0, 3.0, 2.0], requires_grad=True)
    x.cummax()[0].sum().backward()
    assert x.grad.tolist() == [1, 1, 2, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.bool_])
@pytest.mark.parametrize("axis", [0, 1])
def test_places_of_running_extrema_are_the_last_of_equal_ones(axis, dtype, device):
    torch = pytest.importorskip("torch")
    x = values(9, 41, low=-3, high=3, dtype=np.int32).astype(dtype)
    if x.dtype.kind == "f":
        x[4, 7], x[2, 30], x[6, 30] = np.nan, np.inf, np.nan
    source = torch.from_numpy(x)
    for name in ("cummax", "cummin"):
        extremes, places = getattr(Tensor(x), name)(axis)
        expected = getattr(torch, name)(source, axis)
        assert str(places.dtype) == "int32"
        assert_all_same([extremes, places], [expected.values.numpy(), expected.indices.numpy()], 0, 0)


def test_places_of_running_extrema_of_one_element_or_none():
    assert [found.item() for found in Tensor(2.5).cummax()] == [2.5, 0]
    assert [found.shape for found in Tensor(np.zeros((0, 3), np.float32)).cummin(0)] == [(0, 3), (0, 3)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_extrema_of_rows_of_any_length_have_every_nan(device, dtype):
    rng = np.random.default_rng(5)
    for n in (1, 2, 7, 13, 16, 17, 33, 70):
        x = rng.standard_normal((24, n)).astype(dtype)
        x[np.arange(8), rng.integers(0, n, 8)] = np.nan
        x[8], x[9], x[10, -1] = -np.inf, np.inf, -np.inf
        t = Tensor(x)
        assert_all_same([t.max(1), t.min(1), t.max(), t[8:].max(0)], [x.max(1), x.min(1), x.max(), x[8:].max(0)])


def test_equal_numbers_are_close_whatever_their_magnitude(numpy_device) -> None:
    least = np.iinfo(np.int64).min
    assert Tensor([least, 5], dtype="int64").isclose(Tensor([least, 5], dtype="int64")).all().item()


@pytest.mark.parametrize("values", [[True, True], [True, False], [False, False], []])
def test_sums_and_products_of_bools_in_bool(values: list[bool], numpy_device: None) -> None:
    x, a = Tensor(values, dtype="bool"), np.array(values, bool)
    y, b = Tensor([not value for value in values], dtype="bool"), ~a
    found = [x.sum(dtype="bool"), x.prod(dtype="bool"), np.sum(x, dtype=bool), np.add.reduce(x, dtype=bool)]
    assert_all_same(found, [a.any(), a.all(), a.any(), a.any()])
    for dot in (np.vecdot, lambda x, y: x.vecdot(y), array_api.vecdot):
        product = dot(x, y)
        assert product.dtype is dtypes.bool and product.item() == np.vecdot(a, b)
    if values:
        assert np.vecdot(x, x).item() == np.vecdot(a, a)
    assert Tensor([2.0, -2.0]).sum(dtype="bool").item() is True
