"""What NumPy, other array libraries and notebooks ask of a tensor.

Comes in: a function of NumPy applied to tensors.  Goes out: the tensor's own method, which computes nothing; functions
without such a method get arrays.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import ArgumentError
from kernelforge.kernels import Device
from kernelforge.tensor import printing
from kernelforge.tensor.names import Names
from kernelforge.tensor.pictures import picture

_METHODS: Final = {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "remainder": "mod", "power": "pow",
    "negative": "neg", "absolute": "abs", "fabs": "abs", "rint": "round", "radians": "deg2rad", "degrees": "rad2deg",
    "invert": "bitwise_not", "left_shift": "lshift", "right_shift": "rshift", "equal": "eq", "not_equal": "ne",
    "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "conjugate": "conj", "amax": "max",
    "amin": "min", "round": "round", "around": "round", "expand_dims": "unsqueeze", "clip": "clamp",
    "concatenate": "cat", "permute_dims": "permute", "matrix_transpose": "mT", "ndim": "ndim", "shape": "shape",
    "real": "real", "imag": "imag", "take_along_axis": "take_along_dim", "power_": "pow",
}  # fmt: skip
_REDUCTIONS: Final = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all",
                      "logical_or": "any"}  # fmt: skip
_OTHERWISE: Final = frozenset((  # functions of NumPy that are not what the method of their name is
    "nonzero", "sort", "argsort", "unique", "transpose", "split", "histogram", "repeat", "round", "around", "take",
    "searchsorted", "pad", "size", "partition", "cov", "corrcoef", "median", "bincount", "diff", "cumsum", "cumprod",
    "var", "std", "array_split", "trapezoid", "delete", "insert", "interp", "quantile", "percentile", "full_like",
    "zeros_like", "ones_like", "empty_like", "allclose", "array_equal", "copyto", "flip", "reshape", "squeeze",
))  # fmt: skip


class Protocols(Names):
    """Protocols of Python's array world."""

    __slots__ = ()

    # NumPy ------------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """A universal function of NumPy as the method of its meaning: np.sin(x) is x.sin()."""
        name = ufunc.__name__
        if method == "reduce" and name in _REDUCTIONS:
            chosen = {key: value for key, value in options.items() if key in ("keepdims", "dtype") and value}
            return getattr(self, _REDUCTIONS[name])(axis=options.get("axis", 0), **chosen)
        out = options.pop("out", (None,))
        found = getattr(type(self), _METHODS.get(name, name), None)
        if method != "__call__" or options or found is None:
            return self._by_numpy(getattr(ufunc, method), inputs, options)
        first = inputs[0] if isinstance(inputs[0], type(self)) else self._beside(inputs[0])
        result = found(first, *inputs[1:])
        if out[0] is None:
            return result
        if not isinstance(out[0], type(self)):
            return NotImplemented
        return out[0].assign(result.cast(out[0].dtype))

    def _beside(self, value: Any) -> Any:
        """An operand that is no tensor as one."""
        return self._as_tensor(value.item() if isinstance(value, np.generic) else value)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A function of NumPy as the method of its meaning, or of the values as arrays where there is none."""
        name = function.__name__
        options = {key: value for key, value in kwargs.items() if not (key == "out" and value is None)}
        if name in ("concatenate", "stack"):
            first, *others = map(self._beside, args[0])
            dim = args[1] if len(args) > 1 else options.get("axis", 0)
            return first.cat(*others, dim=dim) if name == "concatenate" else first.stack(*others, dim=dim)
        if name == "where" and len(args) == 3:
            return self._beside(args[0]).where(*args[1:])
        if name == "einsum":
            return type(self).einsum(args[0], *map(self._beside, args[1:]))
        if name in ("shape", "ndim"):
            return getattr(args[0], name)
        method = getattr(type(self), _METHODS.get(name, name), None)
        if name not in _OTHERWISE and callable(method) and args and isinstance(args[0], Protocols):
            return method(*args, **options)
        return self._by_numpy(function, args, kwargs)

    def _by_numpy(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """What NumPy makes of the values."""

        def plain(value: Any) -> Any:
            if isinstance(value, Protocols):
                return value.numpy()
            return type(value)(plain(item) for item in value) if isinstance(value, list | tuple) else value

        return function(*[plain(value) for value in args], **{key: plain(value) for key, value in kwargs.items()})

    def __buffer__(self, flags: int) -> memoryview:
        """The values' memory, read-only, where the host can reach it; else that of a copy."""
        try:
            return self.__array__(copy=False).data
        except ValueError:
            return self.numpy().data

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
        if self.dtype not in (dtypes.default_float, dtypes.default_int, dtypes.bool) or not values.size:
            notes.append(f"dtype={self.dtype!r}")
        if not values.size and len(self.shape) != 1:
            notes.insert(0, f"size={self.shape}")
        return printing.text(type(self).__name__, values, [*notes, *["requires_grad=True"] * bool(self.requires_grad)])

    def _in_words(self) -> str:
        grad = ", requires_grad" if self.requires_grad else ""
        return f"<Tensor {list(self.shape)} {self.dtype} on {self.device}, lazy{grad}>"

    def _repr_html_(self) -> str:
        """The tensor for a notebook: its shape, type and device, and a table of its values if they are computed, else
        the graph of operations that waits, with shapes and lines."""
        values = self._known()
        title = f"{type(self).__name__} {list(self.shape)} {self.dtype} on {self.device}"
        if values is not None:
            return printing.page(title, values)
        return printing.page(f"{title}, lazy", None) + picture(self._node)
