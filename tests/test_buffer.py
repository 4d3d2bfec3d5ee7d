"""Buffers: values are converted, flattened in row-major order and owned."""

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
