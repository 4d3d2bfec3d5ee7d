"""Random arguments: of the right types, and in range wherever a kernel takes places from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import ALL, dtypes, from_storage
from codegen.index import Axis
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, load
from kernelforge.fusion.lower import FAULT, lower
from kernelforge.tensor import Tensor
from kernelforge.tune import inputs
from kernelforge.tune.inputs import arguments
from tests.codegen.random_kernels import kernels
from tests.fused import planned


@given(kernels())
def test_every_parameter_has_an_array(kernel: Kernel) -> None:
    found, again = arguments(kernel), arguments(kernel)
    for param in kernel.params:
        assert found[param.name].shape == (param.size,)
        assert found[param.name].dtype == param.dtype.numpy
        np.testing.assert_array_equal(found[param.name], again[param.name])
        assert np.isfinite(from_storage(found[param.name], param.dtype)).all()


@given(st.integers(2, 50), st.integers(2, 50), st.sampled_from([d for d in ALL if d.is_int]))
def test_indices_are_in_range(rows: int, size: int, dtype) -> None:
    """No fault flag is raised by what a gather is measured with."""
    table = Tensor(np.zeros((rows, 3), np.float32))
    places = Tensor(np.zeros(size, dtype.numpy))
    (group,) = planned(table[places])
    kernel = lower(group).kernel
    arrays = arguments(kernel)
    arrays[FAULT][:] = 0
    interpret(kernel, arrays)
    assert not arrays[FAULT].any()


def test_long_arrays_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "PERIOD", 7)
    axis, x, out = Axis("i", 40), Param("x", dtypes.float32, 40), Param("out", dtypes.float32, 40)
    found = arguments(Kernel("copy", (x, out), (Store(out, axis.index, load(x, axis.index)),)))["x"]
    np.testing.assert_array_equal(found[:-7], found[7:])
    assert len(set(found.tolist())) == 7
