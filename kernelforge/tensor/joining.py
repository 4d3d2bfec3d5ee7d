"""Padding, repeating and joining.

Comes in: tensors and amounts.  Goes out: padded views, repeated views, and selections among padded views where tensors
are joined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import index
from typing import Any, Self

import numpy as np

from codegen.dtypes import dtypes, promote
from kernelforge import graph
from kernelforge import shape as shapes
from kernelforge.errors import ArgumentError, DTypeError, KindError, ModeError, ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.create import as_shape
from kernelforge.tensor.empties import with_empties
from kernelforge.tensor.movement import Movement


class Joining(Movement):
    """Operations that make larger tensors, or put elements in another order, out of parts."""

    __slots__ = ()

    # Padding ----------------------------------------------------------------------------------------------------

    @composite
    def pad(self, padding: Sequence[Any], mode: str = "constant", value: float = 0.0) -> Self:
        """Enlarged by elements around each dimension; negative amounts crop.

        padding   flat, as torch has it: (before, after) of the last dimension, then of the one before it, ...;
                  or a (before, after) pair or None for every dimension, the first one first
        mode      "constant" (value), "reflect", "replicate" or "circular"
        """
        pads = self._paddings(padding)
        if mode not in ("constant", "reflect", "replicate", "circular"):
            raise ModeError(f"pad mode is constant, reflect, replicate or circular, got {mode!r}")
        if mode != "constant":
            return reduce(lambda x, item: x._mode_padded(mode, *item), enumerate(pads), self)
        bounds = [(max(0, -lo), n - max(0, -hi)) for n, (lo, hi) in zip(self.shape, pads)]
        kept = tuple([(max(0, lo), max(0, hi)) for lo, hi in pads])
        x = self.shrink([(start, max(start, stop)) for start, stop in bounds])
        zeros = x._derived(graph.pad(x._node, kept))
        if zeros.shape == x.shape or _is_plain_zero(value):
            return zeros
        inside = graph.pad(graph.full(x.shape, True, dtypes.bool), kept)
        return x._wrap(inside, None).where(zeros, self._filling(value))

    def _filling(self, value: Operand) -> Operand:
        """A value to be put among this tensor's elements, in their type.

        raises DTypeError for a value that type has nothing for: a complex one, or an infinite one among integers
        """
        if isinstance(value, Core):
            if value.dtype.is_complex and not self.dtype.is_complex:
                raise DTypeError(f"a value of {value.dtype} cannot be put into a tensor of {self.dtype}")
            return self._as_tensor(value).cast(self.dtype)
        value = value.item() if isinstance(value, np.generic) else value
        if self.dtype is dtypes.bool:
            return bool(value)
        if isinstance(value, complex) and not value.imag and not self.dtype.is_complex:
            value = value.real
        if (isinstance(value, complex) and not self.dtype.is_complex) or (
            isinstance(value, float) and self.dtype.is_int and not math.isfinite(value)
        ):
            raise DTypeError(f"{value} cannot be put into a tensor of {self.dtype}; cast() the tensor")
        return int(value) if self.dtype.is_int and isinstance(value, float) else value

    def _paddings(self, padding: Sequence[Any]) -> tuple[tuple[int, int], ...]:
        """Both forms of a padding as one (before, after) pair for each dimension.

        raises ShapeError, KindError
        """
        if not shapes.is_several(padding) or isinstance(padding, str):
            raise KindError(f"pad of {self.shape} by {padding!r}: give (before, after) for some last dimensions")
        padding = shapes.sequence(padding)
        if not any(item is None or shapes.is_several(item) for item in padding):
            if len(padding) % 2 or len(padding) > 2 * self.ndim:
                raise ShapeError(f"pad{tuple(padding)} of {self.shape}: give (before, after) for some last dimensions")
            amounts = shapes.per_axis(padding, len(padding), "pad", "padding")
            pairs = [*zip(amounts[::2], amounts[1::2])][::-1]
            return ((0, 0),) * (self.ndim - len(pairs)) + tuple(pairs)
        return shapes.normal_pads([(0, 0) if pair is None else pair for pair in padding], self.shape)

    def _mode_padded(self, mode: str, dim: int, pads: tuple[int, int]) -> Self:
        """Padded along one dimension with elements of its own."""
        n = self.shape[dim]
        before, after = kept = max(0, pads[0]), max(0, pads[1])
        if not any(pads):
            return self
        start, end = max(0, -pads[0]), max(0, -pads[1])
        inside = max(0, n - start - end)
        limit = {"reflect": n - 1, "circular": n if inside else 0}.get(mode, max(kept))
        if max(kept) > limit or sum(pads) < -n:
            raise ShapeError(f"pad {pads} of dimension {dim} of {self.shape}: {mode} allows -{n} to {limit} elements")
        if kept != pads and mode == "circular" and any(kept):
            return self._between(dim, start, n - end)._wrapped(dim, kept)
        if kept != pads:
            wide = self._mode_padded(mode, dim, kept)
            return wide._between(dim, start, wide.shape[dim] - end)
        if not before and not after:
            return self
        if mode == "replicate":
            first, last = self._between(dim, 0, 1), self._between(dim, n - 1, n)
            front, back = (end.repeat_interleave(count, dim) for end, count in zip((first, last), pads))
        elif mode == "circular":
            return self._wrapped(dim, kept)
        else:
            front, back = self._between(dim, 1, before + 1), self._between(dim, n - 1 - after, n - 1)
            front, back = front.flip(dim), back.flip(dim)
        return front.cat(self, back, dim=dim)

    def _wrapped(self, dim: int, pads: tuple[int, int]) -> Self:
        """With so many elements before and after them that are their own again, as often round as it takes."""
        (before, after), n = pads, self.shape[dim]
        rounds = before // n, after // n
        first = self._between(dim, n - before % n, n)
        return first.cat(*[self] * (rounds[0] + 1 + rounds[1]), self._between(dim, 0, after % n), dim=dim)

    # Repeating --------------------------------------------------------------------------------------------------

    @composite
    def repeat(self, *repeats: Any) -> Self:
        """The whole tensor repeated along each dimension; new dimensions may be added in front."""
        times = as_shape(repeats)
        if len(times) < self.ndim:
            raise ShapeError(f"repeat{times} of {self.shape}: give a count for each of the {self.ndim} dimensions")
        shape = (1,) * (len(times) - self.ndim) + self.shape
        pairs = [size for n in shape for size in (1, n)]
        repeated = [size for count, n in zip(times, shape) for size in (count, n)]
        return self.reshape(pairs).expand(repeated).reshape([count * n for count, n in zip(times, shape)])

    def tile(self, *dims: Any) -> Self:
        """repeat() with as many counts as wanted, those of the first dimensions being 1 if not given."""
        times = shapes.numbers(dims)
        return self.repeat((1,) * (self.ndim - len(times)) + times)

    def repeat_interleave(
        self, repeats: int | Self, dim: int | None = None, *, output_size: int | None = None
    ) -> Self:
        """Each element along dim repeated in place; without dim, of the flattened tensor.

        repeats       how often; as a vector one for each place, which is computed
        output_size   of no account: the result's size follows from repeats
        """
        if not isinstance(repeats, Core):
            return self._repeated_each(repeats, dim)
        x, dim = (self.flatten(), 0) if dim is None else (self, self._dim(dim, "repeat_interleave"))
        n, times = x.shape[dim], np.asarray(repeats).reshape(-1)
        if times.size not in (1, n):
            raise ShapeError(f"repeat_interleave of {self.shape} along {dim} takes {n} counts, got {repeats.shape}")
        if times.size and times.min() < 0:
            raise ArgumentError(f"repeat_interleave: counts are at least 0, got {times.min()} at {times.argmin()}")
        places = np.repeat(np.arange(n, dtype=np.int32), times)
        index = (slice(None),) * dim + (type(self)(places, device=self._node.device),)
        return x[index]  # type: ignore[index]

    @composite
    def _repeated_each(self, repeats: int, dim: int | None) -> Self:
        if repeats < 0:
            raise ArgumentError(f"repeat_interleave: a count is at least 0, got {repeats}")
        x, dim = (self.flatten(), 0) if dim is None else (self, self._dim(dim, "repeat_interleave"))
        shape = x.shape
        wide = x.unsqueeze(dim + 1).expand(*shape[: dim + 1], repeats, *shape[dim + 1 :])
        return wide.reshape(*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :])

    # Joining ----------------------------------------------------------------------------------------------------

    @composite
    def cat(self, *others: Self, dim: int = 0) -> Self:
        """This tensor and others joined along dim; Tensor.cat(a, b, c, dim=...) and Tensor.cat([a, b], dim) as well.

        A tensor of shape (0,) goes with tensors of any shape, as torch has it; only its type counts.

        raises ShapeError when another dimension differs
        """
        (first, *rest), dim = _listed((self, *others), dim)
        if any(x.dtype is not first.dtype for x in rest):
            kind = promote(first.dtype, *[x.dtype for x in rest])
            first, *rest = [x.cast(kind) for x in (first, *rest)]
        given = first, *rest
        if any(x.ndim != first.ndim for x in rest):
            first, *rest = _without_empty((first, *rest))
        tensors = (first, *rest)
        dim = first._dim(dim, "cat")
        shapes.joined_shape([x.shape for x in tensors], dim)
        return with_empties(first._joined(tensors, dim), given)

    def _joined(self, tensors: tuple[Self, ...], dim: int) -> Self:
        """Each tensor padded with zeros to the whole length, and the first whose part a place belongs to selected."""
        total, end = sum(x.shape[dim] for x in tensors), 0
        places = graph.reshape(graph.iota(total), tuple([total if i == dim else 1 for i in range(self.ndim)]))
        position = self._wrap(places, None)
        padded, ends = [], []
        for x in tensors:
            if x.shape[dim]:
                padded.append(x._zero_padded(dim, end, total - end - x.shape[dim]))
                end += x.shape[dim]
                ends.append(end)
        if not padded:
            padded = [tensors[0].cast(promote(*[x.dtype for x in tensors]))]
        result = padded[-1]
        for x, stop in zip(padded[-2::-1], ends[-2::-1]):
            result = (position < stop).where(x, result)
        return result

    @composite
    def stack(self, *others: Self, dim: int = 0) -> Self:
        """This tensor and others, of one shape, along a new dimension; Tensor.stack([a, b], dim) as well."""
        (first, *rest), dim = _listed((self, *others), dim)
        tensors = [x.unsqueeze(dim) for x in (first, *rest)]
        return tensors[0].cat(*tensors[1:], dim=first._dim(dim, "stack", extra=1))

    def meshgrid(self, *others: Self, indexing: str = "ij") -> tuple[Self, ...]:
        """Vectors expanded to the grid they span: result i varies along dimension i; "xy" exchanges the first two."""
        if indexing not in ("ij", "xy"):
            raise ArgumentError(f"indexing is 'ij' or 'xy', got {indexing!r}")
        vectors = [x.reshape(-1) for x in (self, *others)]
        order = list(range(len(vectors)))
        if indexing == "xy" and len(vectors) > 1:
            order[:2] = [1, 0]
        shape = [vectors[i].shape[0] for i in order]
        columns = [x.reshape([-1 if place == i else 1 for place in order]) for i, x in enumerate(vectors)]
        return tuple([x.expand(shape) for x in columns])

    @composite
    def diff(self, n: int = 1, dim: int = -1, prepend: Self | None = None, append: Self | None = None) -> Self:
        """Each element minus the one before it along dim, n times; bool elements: whether they differ.

        prepend, append   what comes first before and after the elements, broadcast in the other dimensions

        >>> Tensor([1, 4, 9]).diff().tolist()
        [3, 5]
        """
        if n < 0:
            raise ArgumentError(f"diff() takes differences n >= 0 times, got {n}")
        dim = self._dim(dim, "diff")
        ends = [x if x is None or x.ndim else x.reshape((1,) * self.ndim) for x in (prepend, append)]
        parts = [x for x in (ends[0], self, ends[1]) if x is not None]
        x = parts[0].cat(*parts[1:], dim=dim)
        for _ in range(min(n, x.shape[dim])):
            size = x.shape[dim]
            after, before = x._between(dim, 1, size), x._between(dim, 0, size - 1)
            x = after.ne(before) if x.dtype is dtypes.bool else after - before
        return x

    @composite
    def roll(self, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Self:
        """Shifted along dims; what leaves at the end comes in at the front. Without dims the flattened tensor rolls."""
        if dims is None:
            if len(shapes.sequence(shifts)) != 1:
                raise ArgumentError("roll() without dims takes one shift; name the dimensions of several shifts")
            return self.flatten().roll(shifts, 0).reshape(self.shape)
        if len(shapes.sequence(shifts)) != len(shapes.sequence(dims)):
            raise ArgumentError(f"roll() takes one shift for each dimension, got {shifts} for {dims}")
        pairs = zip(shapes.sequence(shifts), shapes.sequence(dims), strict=True)
        return reduce(lambda x, pair: x._rolled(*pair), pairs, self)

    def _rolled(self, shift: int, dim: int) -> Self:
        dim = self._dim(dim, "roll")
        n = self.shape[dim]
        shift = index(shift) % n if n else 0
        return self if not shift else self._between(dim, n - shift, n).cat(self._between(dim, 0, n - shift), dim=dim)


def _without_empty(tensors: Sequence[Any]) -> list[Any]:
    """Tensors without those of shape (0,), in the type of all of them."""
    kind = reduce(promote, [x.dtype for x in tensors])
    return [x.cast(kind) for x in tensors if x.shape != (0,)]


def _listed(given: tuple[Any, ...], dim: int) -> tuple[Sequence[Any], int]:
    """Tensors given one by one, or as a list with the dimension after it.

    raises ArgumentError, KindError
    """
    if isinstance(given[0], list | tuple):
        if any(map(shapes.is_several, given[1:2])) or len(given) > 2:
            raise ArgumentError("cat() and stack() take tensors one by one, or one list of them and a dimension")
        if not given[0]:
            raise ArgumentError("cat() and stack() of no tensors: give at least one")
        given, dim = tuple(given[0]), given[1] if len(given) > 1 else dim
    for item in given:
        if not hasattr(item, "shape"):
            raise KindError(f"cat() and stack() take tensors, one of these is {type(item).__name__}")
    return given, dim


def _is_plain_zero(value: object) -> bool:
    """True for the zero that what is not there reads as, which the negative one is not."""
    return isinstance(value, int | float | np.floating) and value == 0 and math.copysign(1, value) > 0
