"""Layers are tested on the interpreter; the kernels of the tensor methods they call are tested on every device."""

from collections.abc import Iterator

import pytest

from kernelforge import Device, Tensor


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    before, Device.DEFAULT = Device.DEFAULT, "NUMPY"
    Tensor.manual_seed(0)
    yield
    Device.DEFAULT = before
