"""Optimisers are tested on the interpreter."""

import pytest

from kernelforge import Tensor


@pytest.fixture(autouse=True)
def _interpreted(numpy_device: None) -> None:
    Tensor.manual_seed(0)
