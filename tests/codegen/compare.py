"""Whether two kernels do the same: exactly for integers, up to the rounding of their type for floats."""

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes, from_storage
from codegen.ir import Kernel
from tests.codegen.random_kernels import random_arrays, run

TOLERANCE = {dtypes.float64: 1e-9, dtypes.float32: 1e-4, dtypes.float16: 4e-3, dtypes.bfloat16: 2e-2}


def assert_same_results(before: Kernel, after: Kernel, seed: int = 0, tolerance: float | None = None) -> None:
    """Run both on the same random arguments and compare what they wrote."""
    arrays = random_arrays(before, seed)
    expected, found = run(before, arrays), run(after, arrays)
    assert expected.keys() == found.keys()
    types = {param.name: param.dtype for param in before.params}
    for name, values in expected.items():
        assert_close(found[name], values, types[name], tolerance, name)


def assert_close(
    found: NDArray, expected: NDArray, dtype: DType, tolerance: float | None = None, name: str = "result"
) -> None:
    """Storage arrays are equal, or for floats close relative to their largest finite value."""
    if not dtype.is_float:
        np.testing.assert_array_equal(found, expected, name)
        return
    a, b = (from_storage(values, dtype).astype(np.float64) for values in (found, expected))
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=1.0))
    tolerance = TOLERANCE[dtype] if tolerance is None else tolerance
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True, err_msg=name)
