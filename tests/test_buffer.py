"""Buffers: values are converted, flattened in row-major order and owned."""

import math

import numpy as np
import pytest

from codegen.dtypes import ALL, DType, dtypes
from kernelforge.buffer import Buffer


@pytest.mark.parametrize("dtype", ALL)
def test_values_are_converted_to_storage_and_flattened(dtype: DType) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]])
    buffer = Buffer.from_numpy(values.T, dtype, "CPU")
    assert (buffer.size, buffer.nbytes, buffer.host.dtype) == (6, 6 * dtype.itemsize, dtype.numpy)
    one = 0x3F80 if dtype is dtypes.bfloat16 else 1
    assert buffer.host.tolist() == [one * v for v in (0, 1, 1, 0, 1, 1)]


@pytest.mark.parametrize("value", [0, 1, 0.1, -0.0, float("nan"), 300, 1 + 2j])
@pytest.mark.parametrize("dtype", ALL)
def test_one_value_everywhere_is_stored_as_an_array_of_it_is(dtype: DType, value: complex) -> None:
    held = value if dtype.is_complex else np.real(value) if dtype.is_float else int(np.nan_to_num(np.real(value))) % 2
    for shape in ((), (3,), (2, 0)):
        found = Buffer.filled(math.prod(shape), held, dtype, "CPU")
        wanted = Buffer.from_numpy(np.full(shape, held, dtype.compute), dtype, "CPU")
        assert (found.size, found.dtype, found.nbytes) == (wanted.size, wanted.dtype, wanted.nbytes)
        assert found.host.dtype == wanted.host.dtype and found.host.tobytes() == wanted.host.tobytes()


@pytest.mark.parametrize("values", [np.arange(4.0, dtype=np.float32), np.ones((2, 2), np.float32, order="F")])
def test_a_buffer_shares_no_memory_with_its_values(values: np.ndarray) -> None:
    buffer = Buffer.from_numpy(values, dtypes.float32, "CPU")
    before = buffer.host.copy()
    values[...] = 9
    np.testing.assert_array_equal(buffer.host, before)


def test_where_the_elements_are() -> None:
    assert repr(Buffer(3, dtypes.int8, "CPU")) == "Buffer(3, int8, CPU, unallocated)"
    assert repr(Buffer(3, dtypes.int8, "CPU", memory=object())) == "Buffer(3, int8, CPU, memory)"
    assert Buffer.from_numpy(np.zeros((2, 0)), dtypes.int8, "CPU").size == 0
