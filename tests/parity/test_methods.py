"""Methods of both libraries on the same random arguments: the same values, shapes and types, or an error of each.

What differs by design is said in `expected_type` and `MORE`, or not tried: a tensor without dimensions has as much to
say about a result's type as any other, unlike torch's, and no dimensions to exchange; the sign of NaN is NaN; numbers
an integer type cannot hold are refused; places have 32 bits; x ** -0.5 is x.rsqrt(); any() and all() of uint8 are bool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import Context, Tensor
from kernelforge.errors import DTypeError
from tests.parity.cases import TYPES, Case, a_shape, values
from tests.parity.tables import ALL_CASES, WITH_DIMENSIONS

torch = pytest.importorskip("torch")

TOLERANCE = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-9}
PLACES = {"argmax", "argmin", "argmax of everything", "argmin of everything", "nonzero", "nonzero as a tuple"}
PLACES |= {"argwhere", "sort", "cummax", "cummin"}
MORE = {"sub", "floor_divide", "argmax of everything", "argmin of everything"}  # also take bool


def expected_type(name: str, theirs: Any, inputs: list[str]) -> set[str]:
    """The types a result may have: torch's; for places, and for truths beside whole numbers, also 32 bits."""
    dtype = str(theirs.dtype).removeprefix("torch.")
    beside = set(inputs) == {"bool"} and name in ALL_CASES["arithmetic"]
    return {"int64", "int32"} if dtype == "int64" and (name in PLACES or beside) else {dtype}


def outcome(call: Callable[..., Any], arguments: list[Any]) -> Any:
    """The results as a tuple, or the error."""
    try:
        found = call(*arguments)
        found = tuple(found) if isinstance(found, tuple | list) else (found,)
        for x in found:
            if isinstance(x, Tensor):
                x.realize()
    except Exception as error:
        return error
    return found


@pytest.mark.parametrize("cases", ALL_CASES.values(), ids=ALL_CASES)
@given(data=st.data())
def test_as_in_torch(cases: dict[str, Case], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(cases)))
    case = cases[name]
    shape = a_shape(data.draw, least=name in WITH_DIMENSIONS)
    dtype = data.draw(st.sampled_from([t for kind in case.kinds for t in TYPES[kind]]))
    arguments = [values(data.draw, shape, dtype), *case.arguments(data.draw, shape, dtype)]
    inputs = [str(a.dtype) for a in arguments if isinstance(a, np.ndarray)]
    with Context(DEVICE="NUMPY"):
        found = outcome(case.call, [Tensor(a) if isinstance(a, np.ndarray) else a for a in arguments])
        tensors = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
        expected = outcome(case.theirs or case.call, tensors)
        if isinstance(found, DTypeError) and "does not fit" in str(found):
            return  # torch wraps a number outside of the type's range, this library refuses it
        if isinstance(expected, Exception) or isinstance(found, Exception):
            unfinished = isinstance(expected, NotImplementedError)  # torch has no kernel for the type
            beside_bools = "bool" in inputs or any(isinstance(a, bool) for a in arguments)
            refused = isinstance(found, Exception) or unfinished or (name in MORE and beside_bools)
            assert isinstance(expected, Exception) and refused, (found, expected)
            return
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected):
            assert ours.shape == tuple(theirs.shape)
            assert str(ours.dtype) in expected_type(name, theirs, inputs)
            tolerance = TOLERANCE.get(str(ours.dtype), 0)
            reference = theirs.numpy().astype(np.float64)
            np.testing.assert_allclose(ours.numpy().astype(np.float64), reference, tolerance, tolerance, equal_nan=True)
