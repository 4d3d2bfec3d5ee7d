"""The driver of host memory in the CPU's place: tries without a GPU what `tests.cuda_device` runs on one.

    pytest -p tests.fake_cuda_device tests/tensor tests/gpu
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack

from tests import cuda_device
from tests.fake_cuda import FakeDriver, installed

_stack = ExitStack()


def pytest_configure() -> None:
    """Loaded as a plugin."""
    folder = _stack.enter_context(tempfile.TemporaryDirectory())
    _stack.enter_context(installed(FakeDriver(), folder))
    cuda_device.pytest_configure()


def pytest_unconfigure() -> None:
    """The real driver again."""
    _stack.close()
