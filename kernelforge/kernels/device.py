"""Device names and the runtimes behind them.

    CPU     an OpenCL runtime for the processor; without one the interpreter, with one notice
    GPU     the first OpenCL GPU
    CL:<i>  the i-th OpenCL device of any kind, as `kernelforge doctor` lists them
    NUMPY   the interpreter, always there

Comes in: a name.  Goes out: its runtime, opened when first asked for.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

from kernelforge.errors import DeviceError
from kernelforge.kernels.interpreted import InterpretedRuntime
from kernelforge.kernels.opencl import OpenCLRuntime, devices
from kernelforge.kernels.runtime import Runtime
from kernelforge.settings import DEVICE

NO_OPENCL: Final = (
    "kernelforge: no OpenCL runtime for the CPU was found; kernels are interpreted with NumPy, which is slow. "
    "Fix: pip install 'kernelforge[cpu]'  (what was found: kernelforge doctor)"
)


_KNOWN: Final = {"CPU": "CPU", "NUMPY": "NUMPY", "GPU": "GPU"}
_opened: Final[dict[str, Runtime]] = {}
_lock: Final = threading.RLock()


def canonicalize(name: str | None) -> str:
    """See `Device.canonicalize`."""
    name = DEVICE.value if name is None else name
    known = _KNOWN.get(name)
    if known is not None:
        return known
    kind, _, number = name.upper().partition(":")
    if kind in _KNOWN and number in ("", "0"):
        return kind
    if kind == "CL" and (number.isdigit() or not number):
        return f"CL:{int(number or 0)}"
    raise DeviceError(f"there is no device {name!r}; there are {', '.join(Device.available())}")


class _Registry(type):
    """What makes `Device["CPU"]` and `Device.DEFAULT` work."""

    def __getitem__(cls, name: str) -> Runtime:
        runtime = _opened.get(name)
        if runtime is None:
            name = canonicalize(name)
            with _lock:
                runtime = _opened.get(name)
                if runtime is None:
                    runtime = _opened[name] = _open(name)
        return runtime

    @property
    def DEFAULT(cls) -> str:
        """The device of tensors that name none: KF_DEVICE, or the CPU."""
        return canonicalize(DEVICE.value)

    @DEFAULT.setter
    def DEFAULT(cls, name: str) -> None:
        DEVICE.set(canonicalize(name))


class Device(metaclass=_Registry):
    """The devices: `Device["CPU"]` is a runtime, `Device.DEFAULT` the name of the default one.

    >>> Device.canonicalize("cpu"), Device.canonicalize("cl")
    ('CPU', 'CL:0')
    """

    @staticmethod
    def canonicalize(name: str | None) -> str:
        """The one spelling of a device name; the default device's for None.

        raises DeviceError for a name that is none
        """
        return canonicalize(name)

    @staticmethod
    def available() -> list[str]:
        """The names of the devices of this machine."""
        found = devices()
        names = ["CPU", "NUMPY", *(f"CL:{i}" for i in range(len(found)))]
        return [*names, "GPU"] if any(d.is_gpu for d in found) else names

    @staticmethod
    def opened() -> list[str]:
        """The names of the devices in use."""
        return list(_opened)


def _open(name: str) -> Runtime:
    if name == "NUMPY":
        return InterpretedRuntime()
    found = devices()
    if name == "CPU":
        processors = [d for d in found if not d.is_gpu]
        if not processors:
            print(NO_OPENCL, file=sys.stderr)
            return InterpretedRuntime("CPU")
        return OpenCLRuntime(name, min(processors, key=lambda d: d.preference))
    if name == "GPU":
        graphics = [d for d in found if d.is_gpu]
        if not graphics:
            raise DeviceError("there is no OpenCL GPU here; `kernelforge doctor` tells what was found and what is missing")
        return OpenCLRuntime(name, graphics[0])
    number = int(name.partition(":")[2])
    if number >= len(found):
        raise DeviceError(f"there is no device {name}: {len(found)} OpenCL devices were found")
    return OpenCLRuntime(name, found[number])
