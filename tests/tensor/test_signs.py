"""Signs of zeros and of NaN, and complex exponentials at the ends of the range."""

import numpy as np
import pytest

from kernelforge import Tensor


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "float8_e5m2", "float8_e4m3fn"])
def test_signs(dtype: str, device) -> None:
    x = Tensor([1.0, -1.0, 0.0, -0.0], dtype=dtype)
    assert x.signbit().tolist() == [False, True, False, True]
    assert Tensor([1.0, 1.0, 1.0, 1.0]).copysign(x.float()).tolist() == [1, -1, 1, -1]


def test_nan_has_a_sign(device) -> None:
    x = Tensor(np.copysign(np.array([np.nan, np.nan], np.float32), [-1, 1]))
    assert x.signbit().tolist() == [True, False]


def test_values_too_small_are_not_zero(numpy_device) -> None:
    """What is 0 or infinite by underflow and overflow alone does not absorb NaN."""
    z = Tensor([complex(-1e5, np.nan)], dtype="complex128")
    assert np.isnan(z.exp().numpy().real).all() and np.isnan(z.sinh().numpy().real).all()
    assert np.isnan(z.cosh().numpy().imag).all()


def test_a_constant_nan_does_not_take_the_sign_of_another(numpy_device) -> None:
    for value in (-np.nan, np.nan):
        assert Tensor.full((2,), value).signbit().tolist() == [bool(np.signbit(value))] * 2


@pytest.mark.parametrize("value", [0.0, -0.0, 0, np.float32(-0.0)])
def test_padding_has_the_sign_of_its_zero(value: float) -> None:
    found = Tensor([[1.0, -2.0]]).pad((1, 1, 0, 2), value=value).numpy()
    expected = np.full((3, 4), value, np.float32)
    expected[0, 1:3] = 1.0, -2.0
    assert found.tobytes() == expected.tobytes()
