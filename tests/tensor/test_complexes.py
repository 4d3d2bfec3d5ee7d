"""Complex numbers, held against torch: values, and gradients in torch's convention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import kernelforge
from codegen.dtypes import dtypes
from kernelforge import Tensor
from kernelforge.errors import KernelForgeError

UNARY = [
    "abs", "angle", "sgn", "exp", "expm1", "exp2", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "sin", "cos",
    "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "sigmoid", "sinc", "reciprocal",
    "square", "conj", "neg",
]  # fmt: skip
OTHERS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda z: z.sum(),
    "sum of rows": lambda z: z.sum(1),
    "mean": lambda z: z.mean(0),
    "product": lambda z: z.prod(),
    "product of rows": lambda z: z.prod(1),
    "running sum": lambda z: z.cumsum(1),
    "running product": lambda z: z.cumprod(1),
    "real": lambda z: z.real,
    "imag": lambda z: z.imag,
    "times a number": lambda z: (2 - 3j) * z + 1,
    "below a number": lambda z: 1j / z,
    "square by power": lambda z: z**2,
    "power of a number": lambda z: z ** (1.5 - 0.5j),
    "number to a power": lambda z: (2 + 1j) ** z,
    "power 0.5": lambda z: z**0.5,
    "matrix product": lambda z: z @ z.mT,
    "with its conjugate": lambda z: z.mH @ z,
    "indexing": lambda z: z[1:, ::2] * z[0, :2],
    "rows by number": lambda z: z[[2, 0, 0]],
    "reversed": lambda z: z.flip(1),
    "reshaped": lambda z: z.reshape(-1)[3:9],
    "variance": lambda z: z.var(1),
    "deviation": lambda z: z.std(),
    "norm": lambda z: z.norm(),
    "parts": lambda z: z.real * z.imag + z.abs(),
    "roll": lambda z: z.roll(2, 1),
    "transposed": lambda z: z.T * 1j,
}


def numbers(*shape: int, seed: int = 0, dtype: str = "complex64") -> NDArray:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(dtype)


def assert_same(function: Callable[..., Any], *values: NDArray) -> None:
    """Values and gradients of a function of tensors agree with torch's."""
    ours = [Tensor(x, requires_grad=True) for x in values]
    theirs = [torch.tensor(x, requires_grad=True) for x in values]
    found, expected = function(*ours), function(*theirs)
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if values[0].dtype in ("complex64", "float32") else {"rtol": 1e-9}
    np.testing.assert_allclose(found.numpy(), expected.detach().resolve_conj().numpy(), **tolerance)
    weights = numbers(*found.shape, seed=7, dtype="complex128").astype(found.numpy().dtype) if found.dtype.is_complex \
        else numbers(*found.shape, seed=7).real.astype(found.numpy().dtype)  # fmt: skip
    found.backward(Tensor(weights))
    expected.backward(torch.tensor(weights))
    for mine, other in zip(ours, theirs):
        assert mine.grad is not None and other.grad is not None
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.resolve_conj().numpy(), **tolerance)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_functions_of_one_number(name: str, dtype: str) -> None:
    assert_same(lambda z: getattr(z, name)(), numbers(3, 4, dtype=dtype))


@pytest.mark.parametrize("name", OTHERS)
def test_other_functions(name: str) -> None:
    assert_same(OTHERS[name], numbers(3, 4))


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__mul__", "__truediv__", "__pow__", "__matmul__"])
@pytest.mark.parametrize("second", ["complex64", "complex128", "float32", "float64"])
def test_two_numbers(operator: str, second: str) -> None:
    if operator == "__matmul__" and second != "complex64":
        pytest.skip("torch multiplies matrices of one type")
    y = numbers(3, 3, seed=1, dtype="complex128")
    y = y.real.astype(second) if second[0] == "f" else y.astype(second)
    assert_same(lambda a, b: getattr(a, operator)(b), numbers(3, 3), y)


def test_the_gradient_with_respect_to_a_value_between() -> None:
    """Parts share their values with the number; what is reached through the number itself does not count."""
    z, t = Tensor(numbers(4), requires_grad=True), torch.tensor(numbers(4), requires_grad=True)
    for make in (lambda x: x.conj(), lambda x: x.real, lambda x: x.imag, lambda x: x * 1):
        middle, other = make(z), make(t)
        ((found,), (expected,)) = (
            ((middle * middle.conj()).real.sum() + (z * 2).real.sum()).gradient(middle),
            torch.autograd.grad((other * other.conj()).real.sum() + (t * 2).real.sum(), other),
        )
        np.testing.assert_allclose(found.numpy(), expected.resolve_conj().numpy(), rtol=1e-5)


def test_second_derivatives() -> None:
    def twice(x: Any, differentiate: Callable[[Any, Any], Any]) -> Any:
        first = differentiate((x.exp() * x).abs().sum(), x)
        return differentiate((first * first.conj()).real.sum(), x)

    found = twice(Tensor(numbers(5), requires_grad=True), lambda y, x: y.gradient(x)[0])
    expected = twice(
        torch.tensor(numbers(5), requires_grad=True), lambda y, x: torch.autograd.grad(y, x, create_graph=True)[0]
    )
    np.testing.assert_allclose(found.numpy(), expected.detach().resolve_conj().numpy(), rtol=1e-4)


def matrices(n: int) -> NDArray:
    return numbers(2, n, n, dtype="complex128") + 3 * np.eye(n)


@pytest.mark.parametrize(
    "function",
    [
        lambda f, a: f.inv(a), lambda f, a: f.det(a), lambda f, a: f.solve(a, a.mT), lambda f, a: f.slogdet(a)[1],
        lambda f, a: f.cholesky(a @ a.mH), lambda f, a: f.eigh(a + a.mH)[0], lambda f, a: f.svd(a)[1],
        lambda f, a: f.qr(a)[1].abs(), lambda f, a: f.pinv(a), lambda f, a: f.matrix_exp(a),
    ],
)  # fmt: skip
def test_linear_algebra(function: Callable[[Any, Any], Any], numpy_device: None) -> None:
    assert_same(lambda a: function(torch.linalg if isinstance(a, torch.Tensor) else Tensor, a), matrices(3))


def test_edges() -> None:
    edges = np.array([0, -0.0, 1, -1, 1j, -1j, 3 + 4j, -3 - 4j], np.complex128)
    for name in ("sqrt", "exp", "sin", "cosh", "tanh", "asinh", "atan", "abs", "angle"):
        found, expected = getattr(Tensor(edges), name)().numpy(), getattr(torch.tensor(edges), name)().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15, err_msg=name)
    assert (Tensor(edges) ** 0.5).eq(Tensor(edges).sqrt()).numpy()[2:].any()
    assert Tensor([0j, 2 + 0j]).abs().sum().numpy() == 2


def test_conversion_comparison_and_printing() -> None:
    z = Tensor([1 + 2j, 3.0])
    assert z.dtype is dtypes.complex64 and z.is_complex() and z.tolist() == [1 + 2j, 3 + 0j]
    assert (z == Tensor([1 + 2j, 3j])).tolist() == [True, False] and (z != 3).tolist() == [True, False]
    assert repr(Tensor([1 + 2j, 3.0]) * 1) != "" and "2" in repr(z)
    assert z.bool().tolist() == [True, True] and z.cast("float32").tolist() == [1, 3]
    assert complex(z[0]) == 1 + 2j and z.nbytes() == 16 and z.element_size() == 8
    assert Tensor.polar(Tensor([2.0]), Tensor([0.0])).tolist() == [2 + 0j]
    assert z.view_as_real().tolist() == [[1, 2], [3, 0]] and z.view_as_real().view_as_complex().tolist() == z.tolist()
    for wrong in (lambda: z < z, z.max, z.sort, lambda: z // 2, lambda: z % 2):
        with pytest.raises(KernelForgeError):
            wrong()


def test_changes_in_place_and_memory_shared_with_others() -> None:
    values = numbers(4, 4)
    z = Tensor(values)
    z[1] = 2j
    z[:, 2] += 1
    values[1], values[:, 2] = 2j, values[:, 2] + np.r_[1, 1, 1, 1]
    values[1, 2] = 1 + 2j
    np.testing.assert_allclose(z.numpy(), values, rtol=1e-6)
    shared = numbers(64)
    assert np.array_equal(Tensor.from_dlpack(torch.from_numpy(shared)).numpy(), shared)
    assert np.array_equal(torch.from_dlpack(Tensor(shared)).numpy(), shared)
    assert np.array_equal(np.asarray(Tensor(shared)), shared)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (2, 3, 5)])
def test_shapes(shape: tuple[int, ...]) -> None:
    z = Tensor(numbers(*shape))
    np.testing.assert_allclose((z * z + 1j).numpy(), numbers(*shape) ** 2 + 1j, rtol=1e-5)
    np.testing.assert_allclose(z.sum().numpy(), numbers(*shape).sum(), rtol=1e-5, atol=1e-6)


def test_parts_are_views(numpy_device):
    """Changes of parts change the numbers, and the other way round, through other views too."""
    array = np.array([[1 + 2j, 3 + 4j], [5 + 6j, 7 + 8j]], np.complex64)
    z, expected = Tensor(array), array.copy()
    real, pairs = z.real, z.view_as_real()
    z.T.imag[0] = Tensor([10.0, 20.0])
    expected.T.imag[0] = [10, 20]
    pairs[1, :, 0] += 1
    expected.real[1] += 1
    assert z.tolist() == expected.tolist() == pairs.view_as_complex().tolist()
    z *= 2
    assert real.tolist() == (2 * expected.real).tolist()
    x = Tensor(np.arange(8, dtype=np.float32).reshape(2, 2, 2))
    y = x.view_as_complex()
    y.imag.fill_(9.0)
    assert x.tolist() == [[[0, 9], [2, 9]], [[4, 9], [6, 9]]]
    copied = x.T.view_as_complex()  # parts that do not lie side by side
    copied.real.fill_(0.0)
    assert x[1].tolist() == [[4, 9], [6, 9]]


def test_parts_keep_what_they_are_parts_of(numpy_device):
    """What remains of numbers that only views know is right after a change."""
    z = Tensor(np.array([1 + 2j, 3 + 4j]))
    real, imag, whole = z.real, z.imag, z[:]
    del z
    real.fill_(7.0)
    assert (real.tolist(), imag.tolist(), whole.tolist()) == ([7, 7], [2, 4], [7 + 2j, 7 + 4j])


def test_gradients_through_changed_parts(numpy_device):
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    z = Tensor.complex(x, x * 2)
    z.real.mul_(3.0)
    (z.real * z.imag).sum().backward()
    assert x.grad.tolist() == [12.0, 24.0]


ODD = np.array([complex(a, b) for a in (0.0, -0.0, 1.0, -1.0, 0.5, 3.0, np.inf, -np.inf, np.nan)
                for b in (0.0, -0.0, 1.0, -1.0, 0.5, 3.0, np.inf, -np.inf, np.nan)])  # fmt: skip
OTHER_NAMES = {"a" + name: "arc" + name for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")}


@pytest.mark.parametrize("name", [
    "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sinh", "cosh", "tanh", "sin", "cos", "tan", *OTHER_NAMES,
])  # fmt: skip
def test_infinities_and_signed_zeros(name, numpy_device):
    """What functions are at the ends and beside cuts; signs that the C standard leaves open may differ from NumPy's."""
    found = getattr(Tensor(ODD), name)().numpy()
    with np.errstate(all="ignore"):
        expected = getattr(np, OTHER_NAMES.get(name, name))(ODD)
    for ours, theirs in ((found.real, expected.real), (found.imag, expected.imag)):
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), 1e-12, 1e-14)
        settled = np.isfinite(ODD) & ~np.isnan(theirs)
        assert (np.signbit(ours) == np.signbit(theirs))[settled].all()


@pytest.mark.parametrize("a", [0.0, 1.0, -30.0, 1000.0])
@pytest.mark.parametrize("b", [np.inf, -np.inf, np.nan])
def test_hyperbolic_tangents_far_along_the_imaginary_axis(a, b, numpy_device):
    found = Tensor(complex(a, b), dtype="complex128").tanh().numpy()
    assert np.isnan(found.imag) and (found.real == 0 if a == 0 else np.isnan(found.real))
    assert Tensor(complex(np.inf, b), dtype="complex128").tanh().real.item() == 1


@pytest.mark.parametrize("name", ["complex64", "complex128"])
def test_quotients_of_zeros_and_infinities(name, device):
    with np.errstate(all="ignore"):
        x, y = ODD.astype(name)[:, None], ODD.astype(name)
        expected = x / y
    for found, wanted in (
        ((Tensor(x) / Tensor(y)).numpy(), expected),
        ((Tensor(x) / 0).numpy(), (torch.tensor(x) / 0).numpy()),
    ):
        np.testing.assert_allclose(found.real, wanted.real, rtol=1e-6)
        np.testing.assert_allclose(found.imag, wanted.imag, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_quotients_far_from_one_and_their_gradients(scale, numpy_device):
    draws = np.random.default_rng(0)
    a, b = ((draws.normal(size=40) + 1j * draws.normal(size=40)).astype(np.complex64) for _ in range(2))
    b *= np.float32(scale)
    ours, theirs = ([library.tensor(x, requires_grad=True) for x in (a, b)] for library in (kernelforge, torch))
    for x, y in (ours, theirs):
        (x / y).abs().sum().backward()
    np.testing.assert_allclose(ours[0].grad.numpy(), theirs[0].grad.numpy(), rtol=1e-5)
    np.testing.assert_allclose(ours[1].grad.numpy(), theirs[1].grad.numpy(), rtol=1e-5)
