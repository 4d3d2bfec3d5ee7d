"""NumPy's universal functions on tensors: calls, reductions, running results, outer products and updates at places.

Comes in: a universal function, what is done with it, operands and options.  Goes out: tensors, not computed; arrays
where there is no method of its meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from codegen.dtypes import dtypes
from kernelforge.counterparts.table import TABLE, Otherwise, axes_of, tensor, tensors
from kernelforge.errors import ArgumentError, DTypeError
from kernelforge.kinds import as_dtype
from kernelforge.tensor import Tensor

_METHODS: Final = {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "remainder": "mod", "power": "pow",
    "negative": "neg", "absolute": "abs", "fabs": "abs", "rint": "round", "radians": "deg2rad", "degrees": "rad2deg",
    "invert": "bitwise_not", "left_shift": "lshift", "right_shift": "rshift", "equal": "eq", "not_equal": "ne",
    "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "conjugate": "conj", "sign": "sgn",
}  # fmt: skip
_REDUCTIONS: Final[dict[str, Any]] = {
    "add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min, "logical_and": np.all,
    "logical_or": np.any,
}  # fmt: skip
_RUNNING: Final = {"add": "cumsum", "multiply": "cumprod", "maximum": "cummax", "minimum": "cummin",
                   "logaddexp": "logcumsumexp"}  # fmt: skip
_AT: Final = {"add": "sum", "multiply": "prod", "maximum": "amax", "minimum": "amin"}
_PLACING: Final = {"casting": ("same_kind", "unsafe"), "order": ("K", "C", "A"), "subok": (True, False)}


def universal(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a universal function gives for tensors."""
    options = {name: value for name, value in options.items()
               if value is not np._NoValue and not (name in _PLACING and value in _PLACING[name])}  # fmt: skip
    out = options.pop("out", None)
    out = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    try:
        found = _WAYS.get(method, _left)(ufunc, *inputs, out=out, **options)
    except Otherwise:
        if isinstance(inputs[0], Tensor) and method == "at":
            return _at_by_numpy(ufunc, *inputs)
        found = by_numpy(getattr(ufunc, method), inputs, options)
    return found if out is None else put_into(out, found)


def _left(*args: Any, **options: Any) -> Any:
    raise Otherwise


def _called(ufunc: np.ufunc, *inputs: Any, out: Any = None, where: Any = True, dtype: Any = None, **rest: Any) -> Any:
    name = ufunc.__name__
    function: Callable[..., Any] | None = _OTHERS.get(name) or getattr(Tensor, _METHODS.get(name, name), None)
    if rest or not callable(function) or not all(map(_is_operand, inputs)):
        raise Otherwise
    first, *others = inputs
    like = next(x for x in (*inputs, Tensor(0)) if isinstance(x, Tensor))
    first = _beside(first, like, others)
    if dtype is not None:
        kind = as_dtype(dtype)
        first, others = first.cast(kind), [tensor(x, like).cast(kind) for x in others]
    found = function(first, *[x.item() if isinstance(x, np.generic) else x for x in others])
    if where is True:
        return found
    if isinstance(found, tuple):
        raise Otherwise
    return tensor(where, like).where(found, 0 if out is None else tensor(out, like))


def _is_operand(value: Any) -> bool:
    return isinstance(value, Tensor | bool | int | float | complex | np.ndarray | np.generic | list)


def _beside(value: Any, like: Tensor, others: list[Any]) -> Tensor:
    """The first operand as a tensor; a number takes the type it has beside the others."""
    if isinstance(value, bool | int | float | complex) and others and isinstance(others[0], Tensor):
        kind = (like.reshape(-1)[:0] + value).dtype
        return Tensor.full((), value, dtype=kind, device=like.device)
    return tensor(value, like)


def _reduced(ufunc: np.ufunc, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None, **options: Any) -> Any:
    name = ufunc.__name__
    if axis == ():
        raise Otherwise
    if name == "logaddexp" and not options.keys() - {"keepdims"}:
        return tensor(x).logsumexp(axes_of(axis, tensor(x).ndim), **options)
    if name not in _REDUCTIONS:
        raise Otherwise
    typed = {} if dtype is None else {"dtype": dtype}
    if options.get("initial") is None:
        options.pop("initial", None)
    if options and name.startswith("logical") and "initial" in options:
        raise Otherwise
    return TABLE[_REDUCTIONS[name]](x, axis, **typed, **options)


def _accumulated(ufunc: np.ufunc, x: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    if ufunc.__name__ not in _RUNNING:
        raise Otherwise
    line = tensor(x) if dtype is None else tensor(x).cast(as_dtype(dtype))
    found = getattr(line, _RUNNING[ufunc.__name__])(axis)
    return found[0] if isinstance(found, tuple) else found


def _crossed(ufunc: np.ufunc, a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    x, y = tensors((a, b))
    return _called(ufunc, x.reshape(*x.shape, *(1,) * y.ndim), y, out=out, **options)


def _at(ufunc: np.ufunc, x: Any, places: Any, value: Any = None, out: Any = None) -> None:
    """ufunc.at: x[places] = ufunc(x[places], value) for each place, one after the other."""
    if not isinstance(x, Tensor):
        ufunc.at(x, np.asarray(places), np.asarray(value))
        return
    name, operand = ufunc.__name__, value
    if name == "subtract":
        name, operand = "add", -tensor(value, x)
    if name != "add" and (x.ndim != 1 or isinstance(places, tuple) or name not in _AT):
        raise Otherwise
    index = places if isinstance(places, tuple) else (places,)
    index = tuple([one if isinstance(one, slice | int) or one is None else tensor(one, x) for one in index])
    if name == "add":
        x[...] = x.index_put(index, tensor(operand, x), accumulate=True)
        return
    if not isinstance(index[0], Tensor) or index[0].dtype is dtypes.bool:
        raise Otherwise
    source = tensor(operand, x).cast(x.dtype).expand(index[0].shape)
    count = x.shape[0]
    place = (index[0] < 0).where(index[0] + count, index[0]).reshape(-1)
    x[...] = x.scatter_reduce(0, place, source.reshape(-1), _AT[name], include_self=True)


def _at_by_numpy(ufunc: np.ufunc, x: Tensor, *others: Any) -> None:
    values = x.numpy().copy()
    by_numpy(ufunc.at, (values, *others), {})
    x[...] = Tensor(values, device=x.device)


def _cube_root(x: Tensor) -> Tensor:
    """The real cube root: of the magnitude, with the sign; one step of Newton's makes it as good as the type is."""
    size = x.abs()
    root = size.pow(1 / 3)
    better = root - (root - size / (root * root)) / 3
    fine = (root > 0) & root.isfinite()
    return fine.where(better, root).copysign(x)


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """The fraction and the whole part, both with the sign."""
    whole = x.trunc()
    return x.isinf().where(0, x - whole).copysign(x), whole


def _spacing(x: Tensor) -> Tensor:
    """How far the next number away from 0 is, with the sign."""
    x = x._floating()
    return x.nextafter((x < 0).where(-math.inf, x._constant(math.inf))) - x


def _count_of_ones(x: Tensor) -> Tensor:
    """The bits of magnitudes that are 1: added in pairs, fours and eights, and the eights by a product.

    raises TypeError for floats
    """
    if x.dtype.kind not in "biu":
        raise DTypeError(f"bitwise_count() of {x.dtype}: only integers have bits to count")
    magnitude = x.abs().bitcast(f"uint{x.dtype.bits}") if x.dtype.kind == "i" else x
    n = magnitude.cast(dtypes.uint64)
    n = n - (n.rshift(1) & 0x5555555555555555)
    n = (n & 0x3333333333333333) + (n.rshift(2) & 0x3333333333333333)
    n = (n + n.rshift(4)) & 0x0F0F0F0F0F0F0F0F
    return (n * 0x0101010101010101).rshift(56).cast(dtypes.uint8)


_OTHERS: Final[dict[str, Callable[..., Any]]] = {
    "bitwise_count": _count_of_ones,
    "spacing": _spacing,
    "cbrt": _cube_root,
    "modf": _parts,
    "divmod": lambda x, y: (x.floor_divide(y), x % y),
    "matvec": lambda x, y: (x @ tensor(y, x).unsqueeze(-1)).squeeze(-1),
    "vecmat": lambda x, y: (x.conj().unsqueeze(-2) @ tensor(y, x)).squeeze(-2),
    "vecdot": lambda x, y: (product := x.conj() * tensor(y, x)).sum(-1, dtype=product.dtype),
    "frexp": lambda x: x.frexp(),
    "float_power": lambda x, y: x.cast(dtypes.complex128 if x.dtype.is_complex else dtypes.float64).pow(y),
}
_WAYS: Final[dict[str, Callable[..., Any]]] = {
    "__call__": _called, "reduce": _reduced, "accumulate": _accumulated, "outer": _crossed, "at": _at,
}  # fmt: skip


def put_into(out: Any, found: Any) -> Any:
    """A result in the tensor or array that was named for it, or several in several."""
    if isinstance(out, tuple):
        return tuple([result if place is None else put_into(place, result) for place, result in zip(out, found)])
    if isinstance(out, Tensor):
        made = tensor(found, out)
        if made.shape != out.shape:
            raise ArgumentError(f"the result has shape {made.shape}, out= has {out.shape}; they must be the same")
        out[...] = made.cast(out.dtype)
        return out
    np.copyto(out, np.asarray(found), casting="same_kind")
    return out


def by_numpy(function: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
    """What NumPy makes of the values, in arrays."""

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.numpy()
        return type(value)(map(plain, value)) if type(value) in (list, tuple) else value

    return function(*map(plain, args), **{name: plain(value) for name, value in options.items()})
