"""The devices tensor tests run on."""

from collections.abc import Iterator

import pytest

from kernelforge.errors import DeviceError
from kernelforge.kernels import Device


@pytest.fixture(params=["NUMPY", "CPU"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each device that needs no special hardware in turn, as the default."""
    try:
        Device[request.param]
    except DeviceError as reason:
        pytest.skip(str(reason))
    before, Device.DEFAULT = Device.DEFAULT, request.param
    yield request.param
    Device.DEFAULT = before


@pytest.fixture
def numpy_device() -> Iterator[None]:
    """The interpreter as the default device."""
    before, Device.DEFAULT = Device.DEFAULT, "NUMPY"
    yield
    Device.DEFAULT = before
