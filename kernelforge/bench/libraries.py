"""The sides: how each library takes arrays, finds operations, and is waited for.

Comes in: a side's name.  Goes out: a library, imported now; the others need not be installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelforge.bench.onnx import Onnx
from kernelforge.errors import ArgumentError
from kernelforge.kernels import Device, Runtime
from kernelforge.nn import functional
from kernelforge.settings import THREADS
from kernelforge.tensor import Tensor

OURS: Final = "kernelforge"
MODULES: Final = {
    OURS: OURS, "torch": "torch", "torch.compile": "torch", "jax": "jax", "tinygrad": "tinygrad",
    "onnxruntime": "onnxruntime",
}  # fmt: skip
BESIDE: Final = {"onnxruntime": "onnx"}  # what makes the models it runs
OTHERS: Final = {"layernorm": "layer_norm", "layer_norm": "layernorm", "rmsnorm": "rms_norm"}


class Library(Protocol):
    """What a worker asks of a side."""

    def tensor(self, array: NDArray, dtype: str) -> Any:
        """The array as the library's value of a type, ready to be computed with."""
        ...

    def find(self, name: str) -> Callable[..., Any]:
        """The operation of this name, as a function of values; raises ArgumentError."""
        ...

    def ready(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of values that computes, and waits until that is done."""
        ...

    def array(self, value: Any) -> NDArray:
        """A value as NumPy array, 16-bit floats as float32."""
        ...


def load(name: str, device: str) -> Library:
    """The library of this name."""
    kinds: dict[str, Callable[[str], Library]] = {
        OURS: Ours, "torch": Torch, "torch.compile": Compiled, "jax": Jax, "tinygrad": Tinygrad,
        "onnxruntime": lambda device: Onnx(device, threads()),
    }  # fmt: skip
    return kinds[name](device)


def installed(name: str) -> bool:
    """Whether it can be imported."""
    return all(find_spec(module) is not None for module in (MODULES[name], BESIDE.get(name, MODULES[name])))


def threads() -> int:
    """Processors that every side may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return THREADS.value or available


def _first(name: str, *rooms: Any) -> Callable[..., Any]:
    """An operation in the first place that has it."""
    for room in rooms:
        for spelling in (name, OTHERS.get(name, name)):
            if callable(found := getattr(room, spelling, None)):
                operation: Callable[..., Any] = found
                return operation
    raise ArgumentError(f"there is no operation {name}")


class Ours:
    """kernelforge, as a script without jit uses it."""

    def __init__(self, device: str) -> None:
        self.device = device

    def tensor(self, array: NDArray, dtype: str) -> Tensor:
        return Tensor(array, dtype=dtype, device=self.device).realize()

    def find(self, name: str) -> Callable[..., Any]:
        return _first(name, Tensor, functional)

    def ready(self, function: Callable[..., Any]) -> Callable[..., Any]:
        runtime: Runtime = Device[self.device]

        def call(*values: Tensor) -> Any:
            result = function(*values).realize()
            runtime.synchronize()
            return result

        return call

    def array(self, value: Tensor) -> NDArray:
        return value.numpy()


class Torch:
    """torch, eager."""

    def __init__(self, device: str) -> None:
        self.torch = import_module("torch")
        self.device = "cuda" if device.startswith(("CUDA", "GPU")) else "cpu"
        self.torch.set_num_threads(threads())

    def tensor(self, array: NDArray, dtype: str) -> Any:
        return self.torch.from_numpy(array).to(self.device, getattr(self.torch, dtype))

    def find(self, name: str) -> Callable[..., Any]:
        if name == "layernorm":
            return lambda x, *rest, **options: self.torch.nn.functional.layer_norm(x, x.shape[-1:], *rest, **options)
        return _first(name, self.torch.Tensor, self.torch.nn.functional, self.torch)

    def ready(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            with self.torch.no_grad():
                result = function(*values)
            if self.device == "cuda":
                self.torch.cuda.synchronize()
            return result

        return call

    def array(self, value: Any) -> NDArray:
        narrow = value.dtype in (self.torch.bfloat16, self.torch.float16)
        found: NDArray = (value.float() if narrow else value).cpu().numpy()
        return found


class Compiled(Torch):
    """torch.compile."""

    def ready(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return super().ready(self.torch.compile(function))


class Jax:
    """JAX under jit."""

    def __init__(self, device: str) -> None:
        os.environ.setdefault("JAX_PLATFORMS", "cuda" if device.startswith(("CUDA", "GPU")) else "cpu")
        self.jax, self.numpy = import_module("jax"), import_module("jax.numpy")

    def tensor(self, array: NDArray, dtype: str) -> Any:
        return self.jax.block_until_ready(self.numpy.asarray(array, dtype=dtype))

    def find(self, name: str) -> Callable[..., Any]:
        return _first(name, self.jax.nn, self.numpy, self.jax.lax, import_module("jax.scipy.special"))

    def ready(self, function: Callable[..., Any]) -> Callable[..., Any]:
        compiled = self.jax.jit(function)
        return lambda *values: self.jax.block_until_ready(compiled(*values))

    def array(self, value: Any) -> NDArray:
        found = np.asarray(value)
        return found.astype(np.float32) if found.dtype.itemsize == 2 and found.dtype.kind in "fV" else found


class Tinygrad:
    """tinygrad under its TinyJit."""

    def __init__(self, device: str) -> None:
        self.tinygrad = import_module("tinygrad")
        self.device = "CUDA" if device.startswith(("CUDA", "GPU")) else "CPU"

    def tensor(self, array: NDArray, dtype: str) -> Any:
        return self.tinygrad.Tensor(array, device=self.device).cast(dtype).contiguous().realize()

    def find(self, name: str) -> Callable[..., Any]:
        return _first(name, self.tinygrad.Tensor)

    def ready(self, function: Callable[..., Any]) -> Callable[..., Any]:
        captured = self.tinygrad.TinyJit(lambda *values: function(*values).realize())

        def call(*values: Any) -> Any:
            result = captured(*values)
            self.tinygrad.Device[self.device].synchronize()
            return result

        return call

    def array(self, value: Any) -> NDArray:
        found: NDArray = (value.float() if value.dtype.itemsize == 2 else value).numpy()
        return found


def versions(names: Sequence[str]) -> dict[str, str]:
    """The version of each library or package that is installed."""
    found = {}
    for package in dict.fromkeys(MODULES.get(name, name) for name in names):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
