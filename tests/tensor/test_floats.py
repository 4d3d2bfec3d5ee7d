"""Floats taken apart are NumPy's."""

import numpy as np
import pytest

from kernelforge.errors import DTypeError
from kernelforge.tensor import Tensor

pytestmark = pytest.mark.usefixtures("numpy_device")
INF = float("inf")
VALUES = [0.0, -0.0, 1.0, -1.5, 3.25, 1e-30, INF, -INF, float("nan"), 1.1754944e-38, 65504.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_next(dtype) -> None:
    x, y = (a.reshape(-1) for a in np.meshgrid(np.array(VALUES, dtype), np.array(VALUES, dtype)))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(Tensor(x).nextafter(Tensor(y)).numpy(), np.nextafter(x, y))
    with pytest.raises(DTypeError, match="neighbours"):
        Tensor([1]).nextafter(2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_parts(dtype) -> None:
    with np.errstate(all="ignore"):
        x = np.array([*VALUES, np.finfo(dtype).smallest_subnormal], dtype)
    mantissa, exponent = (part.numpy() for part in Tensor(x).frexp())
    expected = np.frexp(x)
    np.testing.assert_array_equal(mantissa, expected[0])
    np.testing.assert_array_equal(exponent[np.isfinite(x)], expected[1][np.isfinite(x)])
