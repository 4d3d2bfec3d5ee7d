"""What is said when CUDA is missing or wrong; and that the driver of the tests has the calls of the real one."""

import inspect
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from kernelforge.inspect.doctor import cuda as doctor
from kernelforge.kernels import cuda_devices, cuda_driver
from kernelforge.kernels.cuda_driver import CudaError, absence, checked
from kernelforge.kernels.cuda_launch import launch_attributes
from kernelforge.kernels.triton_compile import Binary
from tests.fake_cuda import Code, FakeDriver, _forget

PREFIXES = ("CU_STREAM", "CU_EVENT", "CU_MEMPOOL", "CU_FUNC", "CU_DEVICE", "CU_LAUNCH", "CU_CLUSTER")


@pytest.fixture
def bindings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object], None]]:
    """Sets what importing the bindings gives: a module, or an error."""

    def give(found: object) -> None:
        def imported() -> object:
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(cuda_driver, "_imported", imported)
        _forget()

    yield give
    monkeypatch.undo()
    _forget()


class Unloadable(FakeDriver):
    def cuInit(self, Flags: int) -> tuple[Code]:
        raise RuntimeError("Failed to dlopen libcuda.so.1")


def test_without_bindings_the_fix_is_named(bindings, monkeypatch: pytest.MonkeyPatch) -> None:
    bindings(ImportError())
    monkeypatch.setattr(cuda_driver, "has_library", lambda: True)
    assert absence() == "the package cuda-bindings is not installed: pip install 'kernelforge[cuda]'"
    bindings(ImportError())
    monkeypatch.setattr(cuda_driver, "has_library", lambda: False)
    assert "NVIDIA driver" in str(absence()) and "pip install 'kernelforge[cuda]'" in str(absence())
    assert cuda_devices.devices() == () and doctor() == [f"CUDA   is not available: {absence()}"]


def test_without_a_driver_or_a_gpu_that_is_said(bindings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "has_library", lambda: False)
    bindings(Unloadable())
    assert "apt-get install nvidia-driver" in str(absence())
    monkeypatch.setattr(cuda_driver, "has_library", lambda: True)
    bindings(Unloadable())
    assert "Failed to dlopen" in str(absence()) and "cuda-bindings" in str(absence())
    bindings(FakeDriver(()))
    assert "CUDA_ERROR_NO_DEVICE" in str(absence()) and "CUDA_VISIBLE_DEVICES" in str(absence())


def test_without_triton_the_fix_is_named(bindings, monkeypatch: pytest.MonkeyPatch) -> None:
    bindings(FakeDriver())
    monkeypatch.setattr(cuda_driver, "find_spec", lambda name: None)
    assert absence() == "the package triton is not installed: pip install 'kernelforge[cuda]'"


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_where_all_is_there_nothing_is_said(bindings) -> None:
    bindings(FakeDriver())
    assert absence() is None and doctor() == [] and len(cuda_devices.devices()) == 1


def test_results_are_checked() -> None:
    assert checked((Code.CUDA_SUCCESS, 7), "try") == 7
    assert checked((Code.CUDA_SUCCESS,), "try") == () and checked((Code.CUDA_SUCCESS, 1, 2), "try") == (1, 2)
    with pytest.raises(CudaError, match="CUDA cannot try: CUDA_ERROR_NOT_FOUND"):
        checked((Code.CUDA_ERROR_NOT_FOUND, None), "try")


# ------------------------------------------------------------------------------------------------- the real driver


@pytest.fixture(scope="module")
def real():
    return pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")


CALLS = [name for name in vars(FakeDriver) if re.match("cu[A-Z]", name)]


@pytest.mark.parametrize("name", CALLS)
def test_calls_have_the_parameters_of_the_real_ones(name: str, real) -> None:
    ours, theirs = (list(inspect.signature(getattr(module, name)).parameters) for module in (FakeDriver(), real))
    assert [parameter.lower() for parameter in ours] == [parameter.lower() for parameter in theirs]


@pytest.mark.parametrize("name", [name for name in vars(FakeDriver) if re.match("CU[a-z]", name)])
def test_enumerations_and_structures_are_those_of_the_real_one(name: str, real) -> None:
    theirs, ours = getattr(real, name), getattr(FakeDriver, name)
    if name == "CUresult":
        assert {code.name: int(code) for code in ours} == {code.name: int(getattr(theirs, code.name)) for code in ours}
    for member in getattr(ours, "__dict__", {}):
        assert not member.startswith(PREFIXES) or hasattr(theirs, member)


def test_codes_of_the_real_one_are_false_when_they_succeed(real) -> None:
    assert not real.CUresult.CUDA_SUCCESS and real.CUresult.CUDA_ERROR_OUT_OF_MEMORY
    assert {code.name for code in real.CUresult} >= cuda_driver.STICKY


def test_launches_are_described_in_the_real_structures(real) -> None:
    attributes = launch_attributes(real, Binary(b"", "", "f", 4, 0, blocks=2, overlaps=True, cooperative=True))
    assert len(attributes) == 4 and attributes[2].value.clusterDim.x == 2
    config = real.CUlaunchConfig()
    config.attrs, config.numAttrs = attributes, len(attributes)
    assert config.attrs[0].value.programmaticStreamSerializationAllowed == 1
    params = real.CUDA_KERNEL_NODE_PARAMS()
    params.kernelParams = 4096
    assert params.kernelParams == 4096
