"""What every test shares: options, markers, devices and the number of cases of a property test.

    --slow        also run tests marked slow
    --cases N     examples per property test (default 50); tests leave max_examples alone so that N decides
    --programs N  random programs that run in every way there is (default 300)
    --matrix full all types and samples of torch's database of operations, instead of one of each
"""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from kernelforge.errors import DeviceError
from kernelforge.kernels import Device
from kernelforge.kernels.cuda_driver import absence
from kernelforge.settings import CACHE_PLANS, OPENCL, TRAINING, TUNE_LOCK, WORKERS, forget
from tests.alone import pytest_runtest_call  # noqa: F401
from tests.guarded import GUARDED, install
from tests.modes import pytest_pyfunc_call, pytest_terminal_summary  # noqa: F401
from tests.optional import left_out

WITHOUT_TORCH = left_out("torch")
collect_ignore = [
    "codegen/triton_interpreter.py",  # importing it makes triton interpret; looking for doctests would
    *map(str, WITHOUT_TORCH),
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")
    parser.addoption("--programs", type=int, default=300, metavar="N", help="random programs to run (default 300)")
    parser.addoption("--golden", action="store_true", help="compile every watched kernel for every GPU, not a sample")
    parser.addoption("--matrix", choices=("sample", "full"), default="sample", help="cases of torch's operations")
    parser.addoption("--cases", type=int, default=50, metavar="N", help="examples per property test (default 50)")


def pytest_configure(config: pytest.Config) -> None:
    if GUARDED:
        install()
    TUNE_LOCK.set("none")  # schedules that somebody measured on this machine are none of the tests'
    OPENCL.set(OPENCL.value or "all")  # devices are tested with every driver there is
    WORKERS.set(0)
    CACHE_PLANS.set(False)  # tests patch what makes plans
    settings.register_profile(
        "kernelforge",
        max_examples=config.getoption("--cases"),
        deadline=None,
        derandomize="CI" in os.environ,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("kernelforge")


def pytest_report_header() -> list[str]:
    missing = f"torch is not installed (pip install '.[parity]'): {len(WITHOUT_TORCH)} files that need it are left out"
    return [missing] if WITHOUT_TORCH else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow test: runs with --slow"))
        if item.get_closest_marker("gpu") and (missing := absence()) is not None:
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> None:
    """Garbage is looked for in what a file of tests makes itself: in all that many of them left it takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def native_calls() -> None:
    """The CPU's kernels are called by the C module, which not every driver lets it do."""
    if not getattr(Device["CPU"], "is_native", False):
        pytest.skip("the C module calls no kernels of this driver")


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


@pytest.fixture(autouse=True)
def _nobody_spoke_of_training() -> Iterator[None]:
    """Fresh modules train, whatever tests before did with Tensor.training.

    Not by `monkeypatch`: a fixture that is always there would make it the first, so that it undoes its changes last.
    """
    before, TRAINING.asked = TRAINING.asked, False
    forget()
    yield
    TRAINING.asked = before


@pytest.fixture
def numpy_device() -> Iterator[None]:
    """The interpreter as the default device."""
    before, Device.DEFAULT = Device.DEFAULT, "NUMPY"
    yield
    Device.DEFAULT = before
