"""Layers are tested on the interpreter; the kernels of the tensor methods they call are tested on every device."""

import pytest

from kernelforge import Tensor


@pytest.fixture(autouse=True)
def _interpreted(numpy_device: None) -> None:
    Tensor.manual_seed(0)
