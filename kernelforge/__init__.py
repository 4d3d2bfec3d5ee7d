"""A lazy tensor library that fuses whole expressions into kernels and writes readable OpenCL and Triton.

    from kernelforge import Tensor
    x = Tensor.rand(4, 3, requires_grad=True)
    (x @ Tensor.ones(3, 2)).gelu().sum().backward()
    print(x.grad.numpy())

Nothing runs until a value is needed (`numpy`, `item`, `realize`).  Methods are functions too, as in PyTorch:
`kernelforge.cat([x, y])`, `kernelforge.zeros(2, 3)`; so are element types: `kernelforge.float32`.  What is built on
tensors (`nn`, `optim`, ...) is loaded when it is first named.  Read the rooms in the order of docs/architecture.md.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from codegen.dtypes import dtypes
from kernelforge.counters import GlobalCounters
from kernelforge.errors import DeviceError, DTypeError, FileFormatError, JitError, LinAlgError, ShapeError
from kernelforge.kernels import Device
from kernelforge.settings import Context
from kernelforge.tensor import Tensor, enable_grad, no_grad
from kernelforge.variable import Variable

if TYPE_CHECKING:
    from kernelforge import amp, autograd, fft, func, linalg, nn, optim, signal, special
    from kernelforge.dumping import dump
    from kernelforge.inspect.profile import profile
    from kernelforge.replay import TinyJit, jit

__all__ = [
    "Context",
    "DTypeError",
    "Device",
    "DeviceError",
    "FileFormatError",
    "GlobalCounters",
    "JitError",
    "LinAlgError",
    "ShapeError",
    "Tensor",
    "TinyJit",
    "Variable",
    "amp",
    "autograd",
    "dtypes",
    "dump",
    "enable_grad",
    "fft",
    "func",
    "jit",
    "linalg",
    "nn",
    "no_grad",
    "optim",
    "profile",
    "signal",
    "special",
]


_FUNCTIONS = {
    "TinyJit": "kernelforge.replay",
    "dump": "kernelforge.dumping",
    "jit": "kernelforge.replay",
    "profile": "kernelforge.inspect",
}


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(import_module(_FUNCTIONS[name]), name)
    if name[0] != "_" and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    try:
        value = globals()[name] = import_module("kernelforge.functions").named(name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *import_module("kernelforge.functions").names()})
