"""What NumPy, other array libraries and notebooks ask of a tensor.

Comes in: a function of NumPy applied to tensors, a request for a namespace, for words or a picture.  Goes out: what
`kernelforge.counterparts` and `kernelforge.array_api` make of it, loaded when first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import ArgumentError
from kernelforge.kernels import Device
from kernelforge.tensor import printing
from kernelforge.tensor.names import Names
from kernelforge.tensor.pictures import picture


def _counterparts() -> ModuleType:
    return importlib.import_module("kernelforge.counterparts")


class Protocols(Names):
    """Protocols of Python's array world."""

    __slots__ = ()

    # NumPy ------------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """A universal function of NumPy as the method of its meaning: np.sin(x) is x.sin()."""
        return _counterparts().universal(ufunc, method, inputs, options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A function of NumPy as its counterpart for tensors, which computes nothing; or of the values as arrays where
        there is none."""
        return _counterparts().applied(function, args, kwargs)

    def __buffer__(self, flags: int) -> memoryview:
        """The values' memory, read-only, where the host can reach it; else that of a copy."""
        try:
            return self.__array__(copy=False).data
        except ValueError:
            return self.numpy().data

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """The values in another type, as NumPy's arrays have it: cast(), and a copy where that changes nothing."""
        made = self.cast(dtype)
        return made.clone() if copy and made is self else made

    conjugate = Names.conj

    def __complex__(self) -> complex:
        return complex(self.item())

    # The array API standard -------------------------------------------------------------------------------------

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The functions of the Python array API standard: `kernelforge.array_api`.

        raises ValueError for a version of the standard that is not followed
        """
        namespace = importlib.import_module("kernelforge.array_api")
        if api_version is not None and api_version not in namespace.VERSIONS:
            raise ArgumentError(f"version {api_version} of the array API; there are {', '.join(namespace.VERSIONS)}")
        return namespace

    def to_device(self, device: str, /, *, stream: object = None) -> Any:
        """The same values on another device."""
        if stream is not None:
            raise ArgumentError("to_device() knows no streams")
        return self.to(device)

    # In words ---------------------------------------------------------------------------------------------------

    def _known(self) -> NDArray | None:
        """The values, if they need not be computed."""
        if graph.uniform(self._node) is None and self._stored is None:
            return None
        return self.numpy()

    def __repr__(self) -> str:
        """The values, if they are computed; else shape, type and device, and that the tensor is lazy."""
        values = self._known()
        if values is None:
            return self._in_words()
        notes = [] if self.device == Device.DEFAULT else [f"device={self.device!r}"]
        if not values.size and len(self.shape) != 1:
            notes.append(f"size={self.shape}")
        usual = (dtypes.default_float, dtypes.default_float.complex, dtypes.default_int, dtypes.bool)
        if self.dtype not in (usual if values.size else usual[:1]):
            notes.append(f"dtype={self.dtype!r}")
        return printing.text(type(self).__name__, values, [*notes, *["requires_grad=True"] * bool(self.requires_grad)])

    def _in_words(self) -> str:
        grad = ", requires_grad" if self.requires_grad else ""
        return f"<Tensor {list(self.shape)} {self.dtype} on {self.device}, lazy{grad}>"

    def _repr_html_(self) -> str:
        """The tensor for a notebook: its shape, type and device, and a table of its values if they are computed, else
        the graph of operations that waits, with shapes and lines."""
        values = self._known()
        grad = ", requires_grad" if self.requires_grad else ""
        title = f"{type(self).__name__} {list(self.shape)} {self.dtype} on {self.device}"
        if values is not None:
            return printing.page(title + grad, values)
        return printing.page(f"{title}, lazy{grad}", None) + picture(self._node)
