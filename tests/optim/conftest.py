"""Optimisers are tested on the interpreter."""

import pytest

from kernelforge import Tensor


@pytest.fixture(autouse=True)
def _interpreted(request: pytest.FixtureRequest) -> None:
    if request.module.__name__.rpartition(".")[2] != "test_trajectories":
        request.getfixturevalue("numpy_device")
    Tensor.manual_seed(0)
