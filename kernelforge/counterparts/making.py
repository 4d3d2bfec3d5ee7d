"""Counterparts of NumPy's functions that make tensors like others, round them, compare them or say what they are.

Comes in: tensors, with NumPy's arguments.  Goes out: tensors; Python's bools and NumPy's types where NumPy gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import numpy as np

from codegen.dtypes import dtypes
from kernelforge.counterparts.table import Otherwise, alike, counterpart, floating, tensor, tensors
from kernelforge.kinds import as_dtype
from kernelforge.shape import sequence
from kernelforge.tensor import Tensor


def _like(value: Any, a: Any, dtype: Any, shape: Any) -> Tensor:
    x = tensor(a)
    shape = x.shape if shape is None else sequence(shape)
    return Tensor.full(shape, value, dtype=x.dtype if dtype is None else as_dtype(dtype), device=x.device)


@counterpart("zeros_like", "empty_like")
def zeros_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Tensor:
    """Zeros of the same shape and type."""
    return _like(0, a, dtype, shape)


@counterpart("ones_like")
def ones_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Tensor:
    """Ones of the same shape and type."""
    return _like(1, a, dtype, shape)


@counterpart("full_like")
def full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Tensor:
    """One value of the same shape and type."""
    if isinstance(fill_value, Tensor) or np.ndim(fill_value):
        empty = zeros_like(a, dtype, shape=shape)
        return empty + tensor(fill_value).cast(empty.dtype)
    return _like(fill_value, a, dtype, shape)


@counterpart("copy")
def copy(a: Any) -> Tensor:
    """A copy."""
    return tensor(a).clone()


@counterpart("astype")
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """In another type."""
    found = tensor(x).cast(as_dtype(dtype))
    return found.clone() if copy and found is x else found


@counterpart("linspace")
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """num evenly spaced numbers from start to stop."""
    first, last = (floating(x) for x in alike((start, stop)))
    parts = num - 1 if endpoint else num
    step = (last - first) / parts if parts > 0 else (last - first) * float("nan")
    place = Tensor.arange(num, device=first.device).cast(first.dtype).reshape(-1, *(1,) * step.ndim)
    found = place * (step if parts > 0 else 0) + first
    if endpoint and num > 1:
        found = place.eq(num - 1).where(last, found)
    found = (found.floor() if dtype is not None and as_dtype(dtype).is_int else found).movedim(0, axis)
    found = found if dtype is None else found.cast(as_dtype(dtype))
    return (found, step) if retstep else found


@counterpart("logspace")
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Tensor:
    """base to the power of num evenly spaced numbers."""
    if isinstance(base, Tensor) or np.ndim(base):
        raise Otherwise
    places: Tensor = linspace(start, stop, num, endpoint, axis=axis)
    found = Tensor.full((), float(base), dtype=places.dtype, device=places.device).pow(places)
    return found if dtype is None else found.cast(as_dtype(dtype))


@counterpart("meshgrid")
def meshgrid(*xi: Any, indexing: Any = "xy", sparse: bool = False) -> tuple[Tensor, ...]:
    """The coordinates of a grid."""
    if sparse:
        raise Otherwise
    first, *others = [x.reshape(-1) for x in tensors(xi)]
    return tuple(first.meshgrid(*others, indexing=indexing))


@counterpart("vander")
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of a vector as columns."""
    return tensor(x).vander(N, increasing)


@counterpart("ix_")
def ix_(*args: Any) -> tuple[Tensor, ...]:
    """Vectors of places as an open grid; those of a mask are where it is true, which is computed."""
    lines = [x.nonzero(as_tuple=True)[0] if x.dtype is dtypes.bool else x for x in tensors(args)]
    return tuple([x.reshape(*[-1 if j == i else 1 for j in range(len(args))]) for i, x in enumerate(lines)])


# ------------------------------------------------------------------------------------------------ elementwise


@counterpart("round", "around")
def rounded(a: Any, decimals: int = 0) -> Tensor:
    """Rounded to a number of decimals."""
    x = tensor(a)
    return x if x.dtype.is_int and decimals >= 0 else x.round(decimals)


@counterpart("fix")
def fix(x: Any) -> Tensor:
    """Rounded towards 0."""
    return tensor(x).trunc()


@counterpart("clip")
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    """Limited to at least one value and at most another."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    x = tensor(a)
    return x if low is None and high is None else x.clamp(*[_operand(limit, x) for limit in (low, high)])


def _operand(value: Any, like: Tensor) -> Any:
    if isinstance(value, np.ndarray):
        return tensor(value, like)
    return value.item() if isinstance(value, np.generic) else value


@counterpart("nan_to_num")
def nan_to_num(x: Any, *, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """Other numbers in the place of nan and infinities."""
    return tensor(x).nan_to_num(nan, posinf, neginf)


@counterpart("real")
def real(val: Any) -> Tensor:
    """The real parts."""
    return tensor(val).real


@counterpart("imag")
def imag(val: Any) -> Tensor:
    """The imaginary parts."""
    x = tensor(val)
    return x.imag if x.dtype.is_complex else x.zeros_like()


@counterpart("angle")
def angle(z: Any, deg: bool = False) -> Tensor:
    """The angles of complex numbers."""
    found = floating(tensor(z)).angle()
    return found * (180 / pi) if deg else found


@counterpart("iscomplex")
def iscomplex(x: Any) -> Tensor:
    """Where there is an imaginary part."""
    return imag(x).ne(0)


@counterpart("isreal")
def isreal(x: Any) -> Tensor:
    """Where there is no imaginary part."""
    return imag(x).eq(0)


@counterpart("iscomplexobj")
def iscomplexobj(x: Any) -> bool:
    """Whether the type is complex."""
    return bool(tensor(x).dtype.is_complex)


@counterpart("isrealobj")
def isrealobj(x: Any) -> bool:
    """Whether the type is not complex."""
    return not iscomplexobj(x)


@counterpart("sinc")
def sinc(x: Any) -> Tensor:
    """sin(pi x) / (pi x)."""
    return floating(tensor(x)).sinc()


@counterpart("i0")
def i0(x: Any) -> Tensor:
    """The modified Bessel function of order 0."""
    return floating(tensor(x)).i0()


@counterpart("isposinf")
def isposinf(x: Any) -> Tensor:
    """Where there is positive infinity."""
    return tensor(x).isposinf()


@counterpart("isneginf")
def isneginf(x: Any) -> Tensor:
    """Where there is negative infinity."""
    return tensor(x).isneginf()


@counterpart("where")
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """x where a condition holds, else y; the places where it holds if neither is given."""
    if x is None and y is None:
        return tensor(condition).nonzero(as_tuple=True)
    found = next(value for value in (condition, x, y) if isinstance(value, Tensor))
    return tensor(condition, found).bool().where(_operand(x, found), _operand(y, found))


@counterpart("select")
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Tensor:
    """The choice of the first condition that holds."""
    chosen: Any = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        chosen = tensor(condition).where(choice, chosen)
    return tensor(chosen)


@counterpart("choose")
def choose(a: Any, choices: Any) -> Tensor:
    """The element of the choice that an index names, at each place."""
    options = tensor(choices) if isinstance(choices, Tensor | np.ndarray) else None
    parts = list(options.unbind(0)) if options is not None else alike(choices)
    found, index = parts[0], tensor(a)
    for number, part in enumerate(parts[1:], 1):
        found = index.eq(number).where(part, found)
    return found + index.cast(found.dtype) * 0 if found.shape != index.shape else found


# ------------------------------------------------------------------------------------------------ comparisons


@counterpart("isclose")
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where both are nearly equal."""
    x, y = tensors((a, b))
    return x.isclose(y, rtol, atol, equal_nan)


@counterpart("allclose")
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all are nearly equal."""
    return bool(isclose(a, b, rtol, atol, equal_nan).all().item())


@counterpart("array_equal")
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    """Whether shapes and all elements are equal."""
    x, y = tensors((a1, a2))
    if x.shape != y.shape:
        return False
    same = x.eq(y)
    return bool((same | (x.ne(x) & y.ne(y)) if equal_nan else same).all().item())


@counterpart("array_equiv")
def array_equiv(a1: Any, a2: Any) -> bool:
    """Whether all elements are equal after broadcasting."""
    x, y = tensors((a1, a2))
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return bool(x.eq(y).all().item())


@counterpart("isin")
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Tensor:
    """Where elements are among others."""
    x, others = alike((element, test_elements))
    return x.isin(others, invert=invert)


# ---------------------------------------------------------------------------------------------- what they are


@counterpart("shape")
def shape(a: Any) -> tuple[int, ...]:
    """The shape."""
    return tensor(a).shape


@counterpart("ndim")
def ndim(a: Any) -> int:
    """The number of axes."""
    return tensor(a).ndim


@counterpart("size")
def size(a: Any, axis: int | None = None) -> int:
    """The number of elements, or the size of an axis."""
    return tensor(a).numel() if axis is None else tensor(a).shape[axis]


def _numpys(value: Any) -> Any:
    return value.dtype.numpy if isinstance(value, Tensor) else value


@counterpart("result_type")
def result_type(*arrays_and_dtypes: Any) -> Any:
    """The type of NumPy's that all go together in."""
    return np.result_type(*map(_numpys, arrays_and_dtypes))


@counterpart("can_cast")
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """Whether NumPy casts one type to another."""
    return np.can_cast(_numpys(from_), _numpys(to), casting)


@counterpart("common_type")
def common_type(*arrays: Any) -> Any:
    """The float type of NumPy's that all go together in."""
    return np.common_type(*[np.empty(0, _numpys(x)) if isinstance(x, Tensor) else x for x in arrays])


@counterpart("may_share_memory", "shares_memory")
def shares_memory(a: Any, b: Any, /, max_work: Any = None) -> bool:
    """Whether both are one family of views."""
    first, second = (getattr(x, "_place", None) for x in (a, b))
    return a is b or (first is not None and second is not None and first.family is second.family)
