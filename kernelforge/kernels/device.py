"""Device names and the runtimes behind them.

    CPU       an OpenCL runtime for the processor; without one the interpreter, with one notice
    CUDA      the first NVIDIA GPU; CUDA:<i>: the i-th, counted from 0 as in CUDA_VISIBLE_DEVICES
    GPU       CUDA where that works, else the first OpenCL GPU
    CL:<i>    the i-th OpenCL device of any kind, as `kernelforge doctor` lists them
    NUMPY     the interpreter, always there

Comes in: a name.  Goes out: its runtime, opened when first asked for.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from kernelforge.errors import CompileError, DeviceError
from kernelforge.kernels.runtime import Runtime
from kernelforge.later import at_fork, later
from kernelforge.settings import DEVICE, OPENCL

if TYPE_CHECKING:
    from kernelforge.kernels import interpreted, opencl, opencl_devices
else:
    later(
        globals(),
        interpreted="kernelforge.kernels.interpreted",
        opencl="kernelforge.kernels.opencl",
        opencl_devices="kernelforge.kernels.opencl_devices",
    )

NO_OPENCL: Final = (
    "kernelforge: {reason}; kernels are interpreted with NumPy, which is slow. "
    "Fix: pip install 'kernelforge[cpu]'  (what was found: kernelforge doctor)"
)
FORKED: Final = (
    "device {name} was opened before this process was forked, and its driver does not survive a fork: start processes "
    "with the method 'spawn' or 'forkserver', or use the device NUMPY here"
)

_opened: Final[dict[str, Runtime]] = {}
_lost: Final[dict[str, Runtime]] = {}  # devices of the parent of a forked process; kept, for releasing them may hang
_lock: Final = threading.RLock()


class _Registry(type):
    """What makes `Device["CPU"]` and `Device.DEFAULT` work."""

    def __getitem__(cls, name: str) -> Runtime:
        return runtime_of(name)

    @property
    def DEFAULT(cls) -> str:
        """The device of tensors that name none: KF_DEVICE, or the CPU."""
        return canonicalize(DEVICE.value)

    @DEFAULT.setter
    def DEFAULT(cls, name: str) -> None:
        DEVICE.set(canonicalize(name))


class Device(metaclass=_Registry):
    """The devices: `Device["CPU"]` is a runtime, `Device.DEFAULT` the name of the default one.

    raises DeviceError for a name that is none, and for a device that is not here or does not work

    >>> Device.canonicalize("cpu"), Device.canonicalize("cl")
    ('CPU', 'CL:0')
    """

    @staticmethod
    def canonicalize(name: str | None) -> str:
        """The one spelling of a device name; the default device's for None."""
        return canonicalize(name)

    @staticmethod
    def available() -> list[str]:
        """The names of the devices of this machine."""
        found = opencl_devices.candidates()
        gpus = [_cuda_name(device.number) for device in _cuda_devices()]
        if not gpus and any(candidate.facts.kind == "gpu" for candidate in found):
            gpus = ["GPU"]
        return ["CPU", *gpus, *(f"CL:{number}" for number in range(len(found))), "NUMPY"]

    @staticmethod
    def opened() -> list[str]:
        """The names of the devices in use."""
        return list(_opened)


def runtime_of(name: str) -> Runtime:
    """What Device[name] is, in half the time."""
    return _opened.get(name) or _open(canonicalize(name))


def canonicalize(name: str | None) -> str:
    """See `Device.canonicalize`."""
    if name is None:
        name = DEVICE.value
    if name in _opened or (name in _OPENERS and name != "GPU"):
        return name
    kind, mark, number = name.upper().partition(":")
    if number.isdecimal() or not mark:
        if kind == "CUDA":
            return _present(int(number or 0))
        if kind == "CL":
            return f"CL:{int(number or 0)}"
        if kind == "GPU" and not int(number or 0):
            return _cuda_name(0) if _cuda_devices() else "GPU"
        if kind in _OPENERS and not int(number or 0):
            return kind
    raise DeviceError(f"there is no device {name!r}; there are {', '.join(Device.available())}")


def _open(name: str) -> Runtime:
    """The runtime of a device, made by the first thread that asks."""
    with _lock:
        if name not in _opened:
            if name in _lost and not isinstance(_lost[name], interpreted.InterpretedRuntime):
                raise DeviceError(FORKED.format(name=name))
            opener = _OPENERS.get(name)
            _opened[name] = opener() if opener else _open_numbered(name)
        return _opened[name]


def _open_cpu() -> Runtime:
    """The preferred OpenCL runtime for the processor that works, else the interpreter."""
    failures = []
    for candidate in opencl_devices.candidates():
        if candidate.facts.kind == "cpu":
            try:
                return opencl.OpenCLRuntime("CPU", candidate)
            except (DeviceError, CompileError) as error:
                failures.append(str(error))
    if failures:
        reason = "; ".join(failures)
    elif OPENCL.value and (known := opencl_devices.platforms()):
        reason = f"KF_OPENCL={OPENCL.value} matches none of the OpenCL platforms {', '.join(known)}"
    else:
        reason = "no OpenCL runtime for the CPU was found"
    print(NO_OPENCL.format(reason=reason), file=sys.stderr)
    return interpreted.InterpretedRuntime("CPU")


def _open_numpy() -> Runtime:
    return interpreted.InterpretedRuntime()


def _open_gpu() -> Runtime:
    for candidate in opencl_devices.candidates():
        if candidate.facts.kind == "gpu":
            return opencl.OpenCLRuntime("GPU", candidate)
    raise DeviceError(f"there is no GPU here: there is no OpenCL GPU, and CUDA is not available: {_absence()}")


def _cuda(module: str) -> Any:
    """A module for NVIDIA's GPUs: they take a while to load, and most programs never need one."""
    return import_module(f"kernelforge.kernels.{module}")


def _cuda_devices() -> Any:
    """NVIDIA's GPUs."""
    return _cuda("cuda_devices").devices()


def _absence() -> str | None:
    """Why there is none of them; None if there are."""
    reason: str | None = _cuda("cuda_driver").absence()
    return reason


def _cuda_name(number: int) -> str:
    return f"CUDA:{number}" if number else "CUDA"


def _present(number: int) -> str:
    """The name of one of NVIDIA's GPUs.

    raises DeviceError where it is not there
    """
    name = _cuda_name(number)
    if name in _opened or number < len(_cuda_devices()):
        return name
    here = ", ".join(Device.available())
    raise DeviceError(f"there is no device {name}: {_absence() or 'it is not visible'}; there are {here}")


def _open_numbered(name: str) -> Runtime:
    kind, _, digits = name.partition(":")
    number = int(digits or 0)
    if kind == "CUDA":
        return _cuda("cuda").CudaRuntime(name, _cuda_devices()[number])
    found = opencl_devices.candidates()
    if number >= len(found):
        raise DeviceError(f"there is no device {name}; there are {', '.join(Device.available())}")
    return opencl.OpenCLRuntime(name, found[number])


_OPENERS: Final[dict[str, Callable[[], Runtime]]] = {"CPU": _open_cpu, "GPU": _open_gpu, "NUMPY": _open_numpy}


def _settle() -> None:
    """Before a fork: no thread of a driver holds a lock that the child would inherit."""
    for runtime in _opened.values():
        runtime.wait()


def _lose_all() -> None:
    _lost.update(_opened)
    _opened.clear()


at_fork(_lock, _settle, _lose_all)  # nor is a device being opened
