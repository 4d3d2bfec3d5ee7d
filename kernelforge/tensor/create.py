"""Tensors made from nothing: constants, ranges and the identity matrix.

Comes in: shapes, values, a device and a dtype.  Goes out: tensors that are expressions of constants and positions, so
they cost no memory and join the kernel that uses them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import update_wrapper
from operator import index
from typing import Any, Self

import numpy as np

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.errors import ArgumentError, DTypeError, KindError, ShapeError
from kernelforge.kernels import Device
from kernelforge.kinds import as_dtype
from kernelforge.native import compiled
from kernelforge.recording import spelling
from kernelforge.shape import numbers
from kernelforge.tensor.broadcasting import expanded
from kernelforge.tensor.core import Core
from kernelforge.tensor.literals import is_number, literal_dtype
from kernelforge.tensor.operands import Operands
from kernelforge.tensor.storage import pinned


def as_shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape given either as separate sizes or as one tuple.

    raises ShapeError for sizes that are negative or no integers
    """
    sizes = numbers(sizes)
    try:
        shape = tuple([size.__index__() for size in sizes])
    except (AttributeError, TypeError):
        raise ShapeError(f"a shape is made of integers, got {sizes}") from None
    if shape and min(shape) < 0:
        raise ShapeError(f"a shape has no negative sizes, got {shape}")
    return shape


def _sized(sizes: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    """The sizes given by place, or by the name `size`, which is taken out of options."""
    return (options.pop("size"),) if not sizes and "size" in options else sizes


def _holding(*values: float) -> DType:
    """The default integer type, or int64 where it does not hold the values."""
    kind = dtypes.default_int
    return kind if all(kind.min <= value <= kind.max for value in values) else dtypes.int64


def _ramp(count: int, step: float, start: float, dtype: DType) -> graph.Node:
    """start + i * step for i from 0 to below count."""
    node = graph.cast(graph.iota(count), dtype)
    if step != 1:
        node = graph.elementwise("mul", node, graph.full(node.shape, step, dtype))
    return graph.elementwise("add", node, graph.full(node.shape, start, dtype)) if start else node


def _number(what: str, value: Any) -> Any:
    """A number of Python's, or that of a tensor without dimensions; raises ShapeError for other tensors."""
    if isinstance(value, np.generic):
        return value.item()  # of which differences do not wrap around, and all fractions are seen
    if not isinstance(value, Core):
        return value
    if value.ndim:
        raise ShapeError(f"{what}() goes between numbers, or tensors without dimensions, got one of {value.shape}")
    return value.item()  # type: ignore[attr-defined]


def _precise(kind: DType, *numbers: float) -> DType:
    """The type multiples of numbers are computed in: float64 if float32 lacks digits of them."""
    return kind.arithmetic if all(float(np.float32(x)) == x for x in numbers) else dtypes.float64


def _between(count: int, start: float, stop: float, dtype: DType) -> graph.Node:
    """Numbers from start to stop, those of each half counted from its end, so that both ends are exact."""
    step = (stop - start) / max(1, count - 1)
    low = _ramp(count, step, start, dtype)
    if count < 2:
        return low
    high = graph.flip(_ramp(count, -step, stop, dtype), (0,))
    first = graph.elementwise("lt", graph.iota(count), graph.full((count,), count // 2, dtypes.int32))
    return graph.elementwise("where", first, low, high)


def kept(function: Callable[..., Any]) -> Any:
    """A method of the class that makes constants of its arguments alone, which C makes again where these are plain."""
    return function if compiled is None else update_wrapper(compiled.Maker(function), function)


class Create(Operands):
    """Class methods that make tensors of constants and positions."""

    __slots__ = ()

    @classmethod
    def _made(cls, node: graph.Node, device: str | None, requires_grad: bool | None) -> Self:
        tensor = cls._wrap(pinned(node, device), None)
        if requires_grad is not None:
            tensor.requires_grad = requires_grad
        return tensor

    @classmethod
    def empty(
        cls,
        *shape: Any,
        device: str | None = None,
        dtype: DType | str | type | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """A tensor whose elements nobody has set: memory to be assigned to."""
        sizes, kind = as_shape(shape), as_dtype(dtype or dtypes.default_float)
        store = Buffer(math.prod(sizes) * kind.parts, kind.stored, Device.canonicalize(device))
        return cls._made(graph.buffer(store, sizes, kind), None, requires_grad)

    @classmethod
    def empty_strided(cls, size: Any, stride: Any, **kwargs: Any) -> Self:
        """empty(size): whatever steps are asked for, elements are in row-major order.

        raises ShapeError unless there is a step for each size
        """
        if len(tuple(size)) != len(tuple(stride)):
            raise ShapeError(f"empty_strided() takes a step for each size, got {tuple(size)} and {tuple(stride)}")
        return cls.empty(size, **kwargs)

    @classmethod
    def empty_permuted(cls, size: Any, physical_layout: Any, **kwargs: Any) -> Self:
        """empty(size): whatever order is asked for, elements are in row-major order.

        raises ShapeError unless the order has each dimension once
        """
        if sorted(physical_layout) != list(range(len(tuple(size)))):
            raise ShapeError(f"empty_permuted() takes each dimension of {tuple(size)} once, got {physical_layout}")
        return cls.empty(size, **kwargs)

    @classmethod
    def range(cls, start: float, end: float, step: float = 1, **kwargs: Any) -> Self:
        """The numbers from start, `step` apart, to end, which is one of them where it is reached; floats by default.

        >>> Tensor.range(1, 2, 0.5).tolist()
        [1.0, 1.5, 2.0]

        raises ArgumentError
        """
        if step == 0 or (end - start) * step < 0:
            raise ArgumentError(f"range({start}, {end}, {step}) does not lead from its start to its end")
        kwargs.setdefault("dtype", dtypes.default_float)
        count = math.floor((end - start) / step) + 1
        return cls.arange(start, start + (count - 0.5) * step, step, **kwargs)

    @classmethod
    @kept
    def full(
        cls,
        shape: Any,
        fill_value: Any,
        dtype: DType | str | type | None = None,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """A tensor with one value everywhere; dtype None takes the value's own type.

        >>> Tensor.full((2, 2), 7).tolist()
        [[7, 7], [7, 7]]
        """
        sizes = as_shape((shape,))
        if isinstance(fill_value, Core):
            if dtype is not None and fill_value.dtype.is_complex and as_dtype(dtype).kind not in "bc":
                raise DTypeError(f"{fill_value.dtype} cannot be elements of {dtype}: take its real part")
            value = fill_value._node if dtype is None else graph.cast(fill_value._node, as_dtype(dtype))
            return cls._made(expanded(value, sizes), device, requires_grad)
        value = fill_value.item() if isinstance(fill_value, np.generic) else fill_value
        beside = dtypes.bool if isinstance(value, bool) else dtypes.default_int
        kind = literal_dtype(value, beside) if dtype is None else as_dtype(dtype)
        if not is_number(value):  # a NaN with a sign
            return cls._made(expanded(cls(value, dtype=kind, device=device)._node, sizes), None, requires_grad)
        return cls._made(graph.full(sizes, value, kind), device, requires_grad)

    @classmethod
    @kept
    def zeros(
        cls,
        *shape: Any,
        device: str | None = None,
        dtype: DType | str | type | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """A tensor of zeros."""
        kind = as_dtype(dtype or dtypes.default_float)
        return cls._made(graph.full(as_shape(shape), 0.0, kind), device, requires_grad)

    @classmethod
    @kept
    def ones(
        cls,
        *shape: Any,
        device: str | None = None,
        dtype: DType | str | type | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """A tensor of ones."""
        kind = as_dtype(dtype or dtypes.default_float)
        return cls._made(graph.full(as_shape(shape), 1.0, kind), device, requires_grad)

    @classmethod
    @kept
    def arange(
        cls,
        start: float | None = None,
        stop: float | None = None,
        step: float = 1,
        dtype: DType | str | type | None = None,
        device: str | None = None,
        requires_grad: bool | None = None,
        *,
        end: float | None = None,
    ) -> Self:
        """The numbers from start, `step` apart, before stop; with one argument, from 0 before it.

        end   another name of stop

        For int64 all three lose their fractions first, as in torch; other integers lose them one by one.

        >>> Tensor.arange(5, 0, -2).tolist()
        [5, 3, 1]
        """
        stop = end if stop is None else stop
        start, stop, step = (_number("arange", x) for x in (start, stop, step))
        start, stop = (0, start) if stop is None else (0 if start is None else start, stop)
        if stop is None:
            raise ArgumentError("arange() needs to know where to stop")
        if dtype is not None and as_dtype(dtype) is dtypes.int64:
            start, stop, step = int(start), int(stop), int(step)
        if any(isinstance(x, float) and not math.isfinite(x) for x in (start, stop, step)):
            raise ArgumentError(f"arange({start}, {stop}, {step}) has no end: it goes between finite numbers")
        if step == 0:
            raise ArgumentError("arange() with step 0 never ends; give a positive or negative step")
        floating = any(isinstance(x, float) for x in (start, stop, step))
        count = max(0, math.ceil((stop - start) / step))
        default = dtypes.default_float if floating else _holding(start, start + max(0, count - 1) * step)
        kind = default if dtype is None else as_dtype(dtype)
        if kind.is_int and count and not all(kind.min <= n <= kind.max for n in (start, start + (count - 1) * step)):
            raise OverflowError(f"arange({start}, {stop}, {step}): {kind} holds {kind.min} to {kind.max}")
        wide = kind.is_int and kind.bits > 32
        work = _precise(kind, start, step) if kind.is_float else kind if wide else dtypes.default_int
        return cls._made(graph.cast(_ramp(count, step, start, work), kind), device, requires_grad)

    @classmethod
    @kept
    def linspace(
        cls,
        start: float,
        stop: float | None = None,
        steps: int | None = None,
        dtype: DType | str | type | None = None,
        device: str | None = None,
        requires_grad: bool | None = None,
        *,
        end: float | None = None,
    ) -> Self:
        """`steps` evenly spaced numbers, from start to stop, both included; end is another name of stop."""
        stop = end if stop is None else stop
        if stop is None or steps is None:
            raise ArgumentError("linspace() takes start, stop (or end) and steps")
        start, stop = _number("linspace", start), _number("linspace", stop)
        if isinstance(steps, float):
            raise KindError(f"linspace() takes an integer number of steps, got {steps}")
        steps = index(steps)
        if steps < 0:
            raise ArgumentError(f"linspace() needs steps >= 0, got {steps}")
        kind = as_dtype(dtype or dtypes.default_float)
        if kind.is_int:
            start, stop = int(start), int(stop)
        if kind is dtypes.bool:
            raise DTypeError("linspace() of bool: evenly spaced numbers are integers or floats")
        work = _precise(kind, start, stop, (stop - start) / max(1, steps - 1)) if kind.is_float else dtypes.float64
        node = _between(steps, start, stop, work)
        return cls._made(graph.cast(node, kind), device, requires_grad)

    @classmethod
    @kept
    def eye(
        cls,
        n: int,
        m: int | None = None,
        dtype: DType | str | type | None = None,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """The n by m matrix with ones on the diagonal, zeros elsewhere; m is n when not given."""
        shape = as_shape((n, n if m is None else m))
        rows = graph.expand(graph.reshape(graph.iota(shape[0]), (shape[0], 1)), shape)
        same = graph.elementwise("eq", rows, expanded(graph.iota(shape[1]), shape))
        return cls._made(graph.cast(same, as_dtype(dtype or dtypes.default_float)), device, requires_grad)

    def full_like(self, fill_value: Any, **kwargs: Any) -> Self:
        """A tensor of this one's shape, and its dtype and device unless given, with one value everywhere."""
        if not kwargs:
            node = self._node
            return type(self).full(node.shape, fill_value, node.dtype, node.device)
        return type(self).full(self.shape, fill_value, **self._likeness(kwargs))

    def zeros_like(self, **kwargs: Any) -> Self:
        """Zeros of this tensor's shape, dtype and device."""
        return self.full_like(0, **kwargs)

    def ones_like(self, **kwargs: Any) -> Self:
        """Ones of this tensor's shape, dtype and device."""
        return self.full_like(1, **kwargs)

    def empty_like(self, **kwargs: Any) -> Self:
        """A tensor of this one's shape, dtype and device whose elements nobody has set."""
        return type(self).empty(self.shape, **self._likeness(kwargs))

    def new_full(self, size: Any, fill_value: Any, **kwargs: Any) -> Self:
        """A tensor of the given size, with this one's dtype and device unless given, and one value everywhere."""
        return type(self).full(as_shape((size,)), fill_value, **self._likeness(kwargs))

    def new_zeros(self, *size: Any, **kwargs: Any) -> Self:
        """Zeros of this tensor's dtype and device."""
        return self.new_full(as_shape(_sized(size, kwargs)), 0, **kwargs)

    def new_ones(self, *size: Any, **kwargs: Any) -> Self:
        """Ones of this tensor's dtype and device."""
        return self.new_full(as_shape(_sized(size, kwargs)), 1, **kwargs)

    def new_empty(self, *size: Any, **kwargs: Any) -> Self:
        """A tensor of this one's dtype and device whose elements nobody has set."""
        return type(self).empty(as_shape(_sized(size, kwargs)), **self._likeness(kwargs))

    def new_empty_strided(self, size: Any, stride: Any, **kwargs: Any) -> Self:
        """new_empty(size): whatever steps are asked for, elements are in row-major order."""
        return self.new_empty(size, **kwargs)

    def new_tensor(self, data: Any, **kwargs: Any) -> Self:
        """A tensor of data, with this one's dtype and device unless given."""
        return type(self)(data, **self._likeness(kwargs))

    def _likeness(self, given: dict[str, Any]) -> dict[str, Any]:
        """Arguments that make something like this tensor; one that is None says nothing."""
        told = {name: value for name, value in given.items() if value is not None}
        return {"device": self._node.device, "dtype": self.dtype, **told}


def filled(node: graph.Node) -> Buffer | None:
    """A buffer on the default device of a node whose elements visibly have one value; None of another node."""
    value = graph.uniform(node)
    return None if value is None else Buffer.filled(node.size, value.attr, node.dtype, Device.DEFAULT)


if compiled is not None:
    compiled.set_made(dtypes, lambda: Device.DEFAULT, filled, spelling.get)
