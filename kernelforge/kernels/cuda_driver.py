"""The CUDA driver: is it here, what do its errors mean, and one stream per device on which all work is ordered.

Comes in: calls of `cuda.bindings.driver`, an optional package, each of which returns a code and values.  Goes out: the
values, or errors in the user's words.  It knows no program and no kernel but their names.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from kernelforge.errors import DeviceError

INSTALL: Final = "pip install 'kernelforge[cuda]'"
NO_BINDINGS: Final = f"the package cuda-bindings is not installed: {INSTALL}"
NO_TRITON: Final = f"the package triton is not installed: {INSTALL}"
NO_DRIVER: Final = (
    "the NVIDIA driver (libcuda.so.1) is not installed: install NVIDIA's driver package, for example "
    "apt-get install nvidia-driver-580; in a container, start it with its GPUs (docker run --gpus all)"
)
NO_CALL: Final = (
    "the NVIDIA driver does not work with this cuda-bindings ({error}): install a version of it for the driver's CUDA, "
    "which nvidia-smi tells"
)
NO_DEVICE: Final = "the NVIDIA driver finds no GPU ({reason}): look at nvidia-smi and at CUDA_VISIBLE_DEVICES"
REMEMBERED: Final = 8  # launches a fault of the device may have come from
STICKY: Final = frozenset(
    f"CUDA_ERROR_{name}"
    for name in (
        "ILLEGAL_ADDRESS", "LAUNCH_FAILED", "ILLEGAL_INSTRUCTION", "MISALIGNED_ADDRESS", "INVALID_ADDRESS_SPACE",
        "INVALID_PC", "HARDWARE_STACK_ERROR", "ASSERT", "LAUNCH_TIMEOUT", "ECC_UNCORRECTABLE", "UNKNOWN",
        "CONTEXT_IS_DESTROYED", "EXTERNAL_DEVICE",
    )
)  # fmt: skip
"""Errors after which the context of a process is lost; they are found some time after the launch that caused them."""


@cache
def driver() -> ModuleType | None:
    """The module `cuda.bindings.driver`, initialised; None where it, the driver or every GPU is missing."""
    return None if absence() is not None else _imported()


def _imported() -> ModuleType:
    from cuda.bindings import driver as module

    return module


@cache
def absence() -> str | None:
    """What keeps this process from using CUDA, with the way to put it right; None when nothing does."""
    try:
        cuda = _imported()
    except ImportError:
        return NO_BINDINGS if has_library() else f"{NO_DRIVER}; then {INSTALL}"
    try:
        (code,) = cuda.cuInit(0)
    except RuntimeError as error:  # the bindings cannot load the driver's library, or it lacks what they call
        return NO_CALL.format(error=error) if has_library() else NO_DRIVER
    if code:
        return NO_DEVICE.format(reason=code.name)
    if not checked(cuda.cuDeviceGetCount(), "count the devices"):
        return NO_DEVICE.format(reason="none is visible")
    return None if find_spec("triton") is not None else NO_TRITON


def has_library() -> bool:
    """True when the driver's library can be loaded."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


class CudaError(DeviceError):
    """A call of the driver that failed; code is the name of its result, such as "CUDA_ERROR_INVALID_VALUE"."""

    def __init__(self, code: Any, attempt: str) -> None:
        self.code: str = code.name
        super().__init__(f"CUDA cannot {attempt}: {self.code}")


def checked(result: tuple[Any, ...], attempt: str) -> Any:
    """The value of a driver's call, or the tuple of its values; raises CudaError unless its code is success."""
    code = result[0]
    if code:
        raise CudaError(code, attempt)
    return result[1] if len(result) == 2 else result[1:]


class Stream:
    """A device's primary context, which other libraries of the process share, and a stream of our own in it.

    All work is put on the one stream, so it is done in the order of the calls, memory management included.

    cuda    the driver's module; handle: the stream
    lost    what destroyed the context, or None
    recent  the kernels launched last, for the message of an error that is found later
    """

    def __init__(self, name: str, number: int) -> None:
        cuda = driver()
        if cuda is None:
            raise DeviceError(f"device {name} cannot be opened: {absence()}")
        self.name, self.cuda = name, cuda
        self.lost: str | None = None
        self.recent: deque[str] = deque(maxlen=REMEMBERED)
        self._process = os.getpid()
        self.device = checked(cuda.cuDeviceGet(number), f"find device {number}")
        self._context = checked(cuda.cuDevicePrimaryCtxRetain(self.device), f"open device {name}")
        self.enter()
        self.handle = checked(cuda.cuStreamCreate(cuda.CUstream_flags.CU_STREAM_NON_BLOCKING), "make a stream")

    def enter(self) -> None:
        """Makes the context current in this thread, where another library may have set its own since."""
        self.done(self.cuda.cuCtxSetCurrent(self._context), "make its context current")

    @contextmanager
    def visited(self) -> Iterator[None]:
        """Makes the context current in this thread for a while; then that of before is again."""
        before = self.done(self.cuda.cuCtxGetCurrent(), "tell the current context")
        self.enter()
        try:
            yield
        finally:
            self.done(self.cuda.cuCtxSetCurrent(before), "go back to another context")

    @property
    def works(self) -> bool:
        """False when the context is lost, and in a forked process, where it does not exist."""
        return self.lost is None and os.getpid() == self._process

    def wait(self) -> None:
        """Returns when all work so far is done."""
        if self.works:
            self.enter()
            self.done(self.cuda.cuStreamSynchronize(self.handle), "finish its work")
            self.recent.clear()

    def done(self, result: tuple[Any, ...], attempt: str) -> Any:
        """The value of a driver's call.

        raises MemoryError when there is no memory, DeviceError for everything else; both name the device
        """
        code = result[0]
        if not code:
            return result[1] if len(result) == 2 else result[1:]
        raise self.failure(code, attempt)

    def failure(self, code: Any, attempt: str) -> Exception:
        """What a failed call means for the user."""
        name = code.name
        if name == "CUDA_ERROR_OUT_OF_MEMORY":
            return MemoryError(f"{self.name} cannot {attempt}: out of memory")
        if name in STICKY and self.lost is None:
            self.lost = self._blame(name)
        if self.lost is not None:
            return DeviceError(f"{self.name} cannot {attempt}: {self.lost}")
        return DeviceError(f"{self.name} cannot {attempt}: {name} ({self._meaning(code)})")

    def _blame(self, name: str) -> str:
        """The kernels that may have caused an error the device reports late."""
        kernels = list(dict.fromkeys(self.recent))
        if not kernels:
            suspects = "no kernel of kernelforge was running"
        elif len(kernels) == 1:
            suspects = f"it came from the kernel {kernels[0]}"
        else:
            suspects = f"it came from one of the last kernels launched: {', '.join(reversed(kernels))}"
        return (
            f"{name} destroyed its context; {suspects}. No device memory of this process can be used any more: start "
            "it again, with KF_DEBUG=2 to wait for every launch and so name the kernel"
        )

    def _meaning(self, code: Any) -> str:
        _, text = self.cuda.cuGetErrorString(code)
        return text.decode() if text else "no description"
