"""Shape rules: what shape an operation on given shapes has, or an error that says what to do.

Comes in: shapes, axes and sizes as users give them.  Goes out: tuples in normal form (axes non-negative and in range,
-1 resolved).  Knows no tensors, nodes or dtypes.  Every function takes `what`, the name of the operation for its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar, overload

from kernelforge.errors import AxisError, KindError, ShapeError

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Shape = tuple[int, ...]
T = TypeVar("T")

# ---------------------------------------------------------------------------------------------- one or several


def is_several(value: object) -> TypeIs[Iterable[Any]]:
    """True for what has elements: no number, NumPy's among them, and no array or tensor without dimensions."""
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0


def sequence(value: Any, count: int = 1) -> tuple[Any, ...]:
    """Several values as a tuple, one value as a tuple that has it `count` times.

    >>> sequence([1, 2]), sequence(3, 2)
    ((1, 2), (3, 3))
    """
    return tuple(value) if is_several(value) else (value,) * count


def numbers(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a function that takes either several numbers or one sequence of them.

    >>> numbers((1, 2)), numbers(([1, 2],))
    ((1, 2), (1, 2))
    """
    return sequence(given[0]) if len(given) == 1 else given


# ------------------------------------------------------------------------------------------------------ axes


def normal_axis(axis: int, rank: int, what: str) -> int:
    """The axis counted from the front.

    raises AxisError when a tensor of that rank has no such axis, KindError when it is no integer

    >>> normal_axis(-1, 3, "sum")
    2
    """
    try:
        place = index(axis)
    except TypeError:
        raise KindError(f"{what} along axis {axis!r}: an axis is an integer") from None
    if not -rank <= place < rank:
        valid = f"-{rank} to {rank - 1}" if rank else "none: it is a scalar"
        raise AxisError(f"{what} along axis {axis} of a tensor with {rank} dimensions; valid axes are {valid}")
    return place % rank


def normal_axes(axes: int | Sequence[int] | None, rank: int, what: str) -> tuple[int, ...]:
    """Distinct axes, sorted and counted from the front; None means all.  A scalar has none, which 0 and -1 name too.

    raises ShapeError when one is out of range or given twice
    """
    if axes is None:
        return tuple(range(rank))
    given = sequence(axes)
    if not rank and given in ((0,), (-1,)):
        return ()
    found = sorted(normal_axis(axis, rank, what) for axis in given)
    if len(set(found)) < len(found):
        raise ShapeError(f"{what} along axes {given}: an axis is given twice")
    return tuple(found)


def normal_order(order: Sequence[int], rank: int, what: str) -> tuple[int, ...]:
    """A permutation of a tensor's axes.

    raises ShapeError when an axis is missing, given twice or out of range
    """
    found = tuple(normal_axis(axis, rank, what) for axis in order)
    if sorted(found) != list(range(rank)):
        raise ShapeError(f"{what} with order {tuple(order)}: each of the {rank} axes must be given once")
    return found


def reduced_shape(shape: Shape, axes: tuple[int, ...], keepdim: bool) -> Shape:
    """The shape after combining the elements over axes, which vanish or, with keepdim, keep size 1."""
    if keepdim:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


# ------------------------------------------------------------------------------------------------- same size


def broadcast_shapes(*shapes: Shape, what: str = "broadcast") -> Shape:
    """The shape arrays of several shapes have in common: aligned at the last axis, size 1 stretches.

    raises ShapeError naming the axis that does not fit

    >>> broadcast_shapes((4, 1, 3), (5, 1))
    (4, 5, 3)
    """
    result = shapes[0]
    for shape in shapes[1:]:
        if shape != result:
            result = _broadcast_pair(result, shape, shapes, what)
    return result


@lru_cache(maxsize=4096)
def _broadcast_pair(a: Shape, b: Shape, shapes: tuple[Shape, ...], what: str) -> Shape:
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    for axis, (m, n) in enumerate(zip(a, b)):
        if m not in (1, n) and n != 1:
            raise ShapeError(
                f"{what} of shapes {' and '.join(map(str, shapes))}: sizes {m} and {n} differ in axis {axis - rank}; "
                "equal sizes or a 1 are needed there (reshape, unsqueeze or transpose one of them)"
            )
    return tuple([n if m == 1 else m for m, n in zip(a, b)])


def _integers(shape: Shape, wanted: Sequence[int], what: str) -> Shape:
    try:
        return tuple(map(index, wanted))
    except TypeError:
        raise KindError(f"{what} of {shape} to {tuple(wanted)}: sizes are integers") from None


def reshaped(shape: Shape, wanted: Sequence[int], what: str = "reshape") -> Shape:
    """The wanted shape with its -1, at most one, replaced by the size that is left.

    raises ShapeError when the number of elements differs

    >>> reshaped((4, 6), (3, -1))
    (3, 8)
    """
    return _reshaped(shape, _integers(shape, wanted, what), what)


@lru_cache(maxsize=4096)
def _reshaped(shape: Shape, wanted: Shape, what: str) -> Shape:
    size, known = prod(shape), prod(n for n in wanted if n != -1)
    unknown = wanted.count(-1)
    if unknown > 1 or any(n < -1 for n in wanted):
        raise ShapeError(f"{what} of {shape} to {wanted}: sizes are at least 0, and one of them may be -1")
    if unknown and known and size % known == 0:
        wanted = tuple(size // known if n == -1 else n for n in wanted)
    elif unknown:
        raise ShapeError(f"{what} of {shape} to {wanted}: {size} elements do not divide evenly by {known}")
    if prod(wanted) != size:
        raise ShapeError(f"{what} of {shape} to {wanted}: {size} elements cannot fill {prod(wanted)} places")
    return wanted


def expanded(shape: Shape, wanted: Sequence[int], what: str = "expand") -> Shape:
    """The wanted shape with every -1 replaced by the size that axis has; new axes come in front.

    raises ShapeError when an axis that is not 1 would change

    >>> expanded((3, 1), (2, -1, 5))
    (2, 3, 5)
    """
    return _expanded(shape, _integers(shape, wanted, what), what)


@lru_cache(maxsize=4096)
def _expanded(shape: Shape, wanted: Shape, what: str) -> Shape:
    extra = len(wanted) - len(shape)
    old = (1,) * extra + shape
    result = tuple(m if n == -1 else n for m, n in zip(old, wanted))
    if extra < 0 or any(m not in (1, n) or n < 0 for m, n in zip(old, result)) or -1 in wanted[: max(extra, 0)]:
        raise ShapeError(
            f"{what} of {shape} to {wanted}: only axes of size 1 expand, new ones come in front and need a size"
        )
    return result


# ------------------------------------------------------------------------------------------------ other sizes


def joined_shape(shapes: Sequence[Shape], axis: int, what: str = "cat") -> Shape:
    """The shape of arrays put one after the other along axis, which is normal.

    raises ShapeError when they differ in another axis
    """
    first = shapes[0]
    for shape in shapes:
        if len(shape) != len(first) or any(m != n for i, (m, n) in enumerate(zip(shape, first)) if i != axis):
            raise ShapeError(f"{what} of shapes {', '.join(map(str, shapes))}: all axes other than {axis} must agree")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def part_sizes(size: int, parts: int | Sequence[int], what: str = "split") -> tuple[int, ...]:
    """The sizes of the parts an axis is split into: pieces of a given size, the last one smaller, or given sizes.

    raises ShapeError when given sizes do not add up

    >>> part_sizes(7, 3), part_sizes(7, [5, 2])
    ((3, 3, 1), (5, 2))
    """
    if not is_several(parts):
        parts = index(parts)
        if parts < 1:
            raise ShapeError(f"{what} of an axis of size {size} into pieces of {parts}: a piece has at least 1 element")
        return tuple(min(parts, size - start) for start in range(0, size, parts)) or (0,)
    parts = tuple(map(index, parts))
    if sum(parts) != size or any(n < 0 for n in parts):
        raise ShapeError(f"{what} of an axis of size {size} into sizes {parts}: they must add up to {size}")
    return parts


def matmul_shapes(a: Shape, b: Shape, what: str = "matmul") -> tuple[Shape, int, int, int]:
    """The broadcast batch shape and m, k, n of a product [.., m, k] @ [.., k, n].

    raises ShapeError

    >>> matmul_shapes((5, 2, 3), (3, 4))
    ((5,), 2, 3, 4)
    """
    if len(a) < 2 or len(b) < 2:
        raise ShapeError(f"{what} of {a} and {b}: a matrix has at least 2 dimensions")
    if a[-1] != b[-2]:
        raise ShapeError(
            f"{what} of {a} and {b}: the last axis of the first, {a[-1]}, must equal the axis before the last of the "
            f"second, {b[-2]}" + ("; transpose the second" if a[-1] == b[-1] else "")
        )
    return broadcast_shapes(a[:-2], b[:-2], what=what), a[-2], a[-1], b[-1]


# ---------------------------------------------------------------------------------------------------- windows


@overload
def per_axis(value: Any, rank: int, what: str, name: str, *, alone: bool = True) -> Shape: ...


@overload
def per_axis(
    value: Any, rank: int, what: str, name: str, kind: Callable[[Any], T], alone: bool = True
) -> tuple[T, ...]: ...


def per_axis(
    value: Any, rank: int, what: str, name: str, kind: Callable[[Any], Any] = index, alone: bool = True
) -> tuple[Any, ...]:
    """One number per axis: the given one for all, or as given.

    kind   what makes one of what is given for an axis
    alone  whether a sequence of one number stands for all, too

    raises ShapeError when their number is wrong, KindError when they are no such numbers
    """
    kinds = "integers" if kind is index else "numbers"
    count = f"one for all or {rank}" if rank != 1 else "one"
    try:
        values = tuple(map(kind, sequence(value)))
    except (TypeError, ValueError):
        raise KindError(f"{what} with {name} {value!r}: {kinds} expected, {count}") from None
    values = values * rank if len(values) == 1 and (alone or not is_several(value)) else values
    if len(values) != rank:
        raise ShapeError(f"{what} with {name} {values}: {len(values)} given, {count} expected")
    return values


def strides_or(window: Shape, stride: Any, what: str) -> Shape:
    """One stride per axis of a window: its own sizes where none is given, which an empty sequence says, too.

    raises ShapeError when their number is wrong or one is below 1, KindError when they are no integers

    >>> strides_or((2, 3), None, "pool"), strides_or((2, 3), 1, "pool")
    ((2, 3), (1, 1))
    """
    if stride is None or sequence(stride) == ():
        return window
    strides = per_axis(stride, len(window), what, "stride")
    if min(strides) < 1:
        raise ShapeError(f"{what} with stride {strides}: each is at least 1")
    return strides


def kept_or_index(size: int | None) -> int | None:
    """A size as an integer, None, which keeps one, as it is."""
    return None if size is None else index(size)


def window_count(size: int, window: int, stride: int, dilation: int, what: str) -> int:
    """The number of windows along an axis of a given size, padding included.

        (size - dilation*(window - 1) - 1) // stride + 1

    raises ShapeError when none fits

    >>> window_count(8, 3, stride=2, dilation=1, what="conv2d")
    3
    """
    span = dilation * (window - 1) + 1
    if min(window, stride, dilation) < 1:
        raise ShapeError(f"{what} with window {window}, stride {stride}, dilation {dilation}: each is at least 1")
    if span > size:
        spread = f", {span} with dilation {dilation}" if dilation > 1 else ""
        raise ShapeError(f"{what}: a window of {window}{spread} on an axis of {size}: pad it or use a smaller window")
    return (size - span) // stride + 1


def spread_size(count: int, window: int, stride: int, dilation: int, what: str) -> int:
    """The size of the axis that `count` windows cover: what a transposed convolution without padding makes.

        (count - 1)*stride + dilation*(window - 1) + 1

    raises ShapeError when a number is below 1
    """
    if min(count, window, stride, dilation) < 1:
        raise ShapeError(
            f"{what} of an axis of {count}, window {window}, stride {stride}, dilation {dilation}: each is at least 1"
        )
    return (count - 1) * stride + dilation * (window - 1) + 1


def normal_pads(pads: Iterable[Sequence[int]], shape: Shape, what: str = "pad") -> tuple[tuple[int, int], ...]:
    """(before, after) for each axis; negative ones crop.

    raises ShapeError when their number is wrong
    """
    pairs = tuple((index(lo), index(hi)) for lo, hi in pads)
    if len(pairs) != len(shape):
        raise ShapeError(f"{what} of {shape} with {pairs}: one (before, after) is needed for each axis")
    return pairs
