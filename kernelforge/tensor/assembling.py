"""Tensors put together and taken apart by the names NumPy has for it, and small tables.

Comes in: tensors and counts.  Goes out: tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations, combinations_with_replacement
from typing import Any, Final, Self, TypeVar

import numpy as np

from codegen.dtypes import dtypes, promote
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.kinds import as_dtype
from kernelforge.shape import is_several
from kernelforge.tensor.composite import composite, repeatable
from kernelforge.tensor.windowing import Windowing

T = TypeVar("T")
_OF_SEGMENTS: Final = {
    "sum": ("sum", 0), "mean": ("sum", 0), "max": ("amax", -math.inf), "min": ("amin", math.inf), "prod": ("prod", 1),
}  # fmt: skip
_FEW_TESTS: Final = 128  # elements that each is compared with


def listed(first: T | Sequence[T], others: tuple[T, ...]) -> tuple[T, ...]:
    """Tensors given one by one, or as one list.

    raises ShapeError when the list is empty
    """
    found: tuple[T, ...] = tuple(first) if isinstance(first, list | tuple) else (first, *others)  # type: ignore[arg-type]
    if not found:
        raise ShapeError("an empty list of tensors: there is nothing to join")
    return found


def _atleast_1d(x: Any) -> Any:
    return x if x.ndim else x.reshape(1)


def _atleast_2d(x: Any) -> Any:
    return x if x.ndim > 1 else x.reshape(1, -1)


def _atleast_3d(x: Any) -> Any:
    return x if x.ndim > 2 else x.unsqueeze(-1) if x.ndim == 2 else x.reshape(1, -1, 1)


def _each(first: Any, others: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """A tensor changed; a tuple of several, or of those of a list."""
    if not others and not isinstance(first, list | tuple):
        return change(first)
    return tuple([change(x) for x in listed(first, others)])


class Assembling(Windowing):
    """Joining, splitting and listing."""

    __slots__ = ()

    # Together ---------------------------------------------------------------------------------------------------

    def atleast_1d(self, *others: Self) -> Any:
        """With one dimension if there is none; a tuple for several tensors, or for a list of them."""
        return _each(self, others, _atleast_1d)

    def atleast_2d(self, *others: Self) -> Any:
        """With two dimensions if there are fewer; a vector is a row. A tuple for several tensors, or for a list."""
        return _each(self, others, _atleast_2d)

    def atleast_3d(self, *others: Self) -> Any:
        """With three dimensions if there are fewer; a vector is a row, a matrix is one deep.

        A tuple for several tensors, or for a list of them.
        """
        return _each(self, others, _atleast_3d)

    @repeatable
    def hstack(self, *others: Self) -> Self:
        """This tensor and others, or those of a list, side by side: along dimension 1, vectors along their only one.

        >>> Tensor([1, 2]).hstack(Tensor([3])).tolist()
        [1, 2, 3]
        """
        tensors = [_atleast_1d(x) for x in listed(self, others)]
        return tensors[0].cat(*tensors[1:], dim=0 if tensors[0].ndim == 1 else 1)

    @repeatable
    def vstack(self, *others: Self) -> Self:
        """This tensor and others one below the other: along dimension 0, vectors as rows."""
        tensors = [_atleast_2d(x) for x in listed(self, others)]
        return tensors[0].cat(*tensors[1:], dim=0)

    row_stack = vstack

    @repeatable
    def dstack(self, *others: Self) -> Self:
        """This tensor and others one behind the other: along dimension 2."""
        tensors = [_atleast_3d(x) for x in listed(self, others)]
        return tensors[0].cat(*tensors[1:], dim=2)

    @repeatable
    def column_stack(self, *others: Self) -> Self:
        """This tensor and others side by side, vectors as columns."""
        tensors = [x if x.ndim > 1 else x.reshape(-1, 1) for x in listed(self, others)]
        return tensors[0].cat(*tensors[1:], dim=1)

    def broadcast_tensors(self, *others: Self) -> tuple[Self, ...]:
        """This tensor and others expanded to their common shape."""
        return self._broadcasted(*others)

    @composite
    def block_diag(self, *others: Self) -> Self:
        """The matrix with this one and others along its diagonal, and zeros; vectors count as rows.

        >>> Tensor([[1, 2]]).block_diag(Tensor([3])).tolist()
        [[1, 2, 0], [0, 0, 3]]
        """
        blocks = [_atleast_2d(x) for x in (self, *others)]
        if any(x.ndim > 2 for x in blocks):
            raise ShapeError(f"block_diag of {[x.shape for x in blocks]}: it takes matrices")
        kind = promote(*[x.dtype for x in blocks])
        columns, left, lines = sum(x.shape[1] for x in blocks), 0, []
        for x in blocks:
            lines.append(x.cast(kind)._zero_padded(1, left, columns - left - x.shape[1]))
            left += x.shape[1]
        return lines[0].cat(*lines[1:], dim=0)

    @repeatable
    def cartesian_prod(self, *others: Self) -> Self:
        """All choices of one element of each vector, one a row; of one vector, itself."""
        if not others:
            return self
        columns = [x.flatten() for x in self.meshgrid(*others)]
        return columns[0].stack(*columns[1:], dim=1)

    def combinations(self, r: int = 2, with_replacement: bool = False) -> Self:
        """All choices of r elements of a vector, one a row, in the vector's order."""
        if self.ndim != 1:
            raise ShapeError(f"combinations() takes a vector, got {self.shape}")
        choices = (combinations_with_replacement if with_replacement else combinations)(range(self.shape[0]), r)
        return self[np.array(list(choices), np.int64).reshape(-1, r)] if r else self.new_empty(0)

    # Apart ------------------------------------------------------------------------------------------------------

    def _split_evenly(self, parts: int | Sequence[int], dim: int, what: str) -> tuple[Self, ...]:
        """raises ShapeError when the dimension is missing, or not divisible by a number of parts"""
        if self.ndim <= dim or (not is_several(parts) and (parts < 1 or self.shape[dim] % parts)):
            raise ShapeError(f"{what}({parts}) of {self.shape}: dimension {dim} does not divide; see tensor_split()")
        return self.tensor_split(parts, dim)

    def hsplit(self, parts: int | Sequence[int]) -> tuple[Self, ...]:
        """Equal parts of dimension 1, or its parts between places; of a vector's only dimension."""
        return self._split_evenly(parts, 0 if self.ndim == 1 else 1, "hsplit")

    def vsplit(self, parts: int | Sequence[int]) -> tuple[Self, ...]:
        """Equal parts of dimension 0 of a matrix or more, or its parts between places."""
        return self._split_evenly(parts, 0 if self.ndim > 1 else self.ndim, "vsplit")

    def dsplit(self, parts: int | Sequence[int]) -> tuple[Self, ...]:
        """Equal parts of dimension 2, or its parts between places."""
        return self._split_evenly(parts, 2, "dsplit")

    # Elements ---------------------------------------------------------------------------------------------------

    @composite
    def isin(self, test_elements: Self, *, assume_unique: bool = False, invert: bool = False) -> Self:
        """True where an element is among those of another tensor, or is not if invert.

        >>> Tensor([1, 2, 3]).isin(Tensor([3, 1])).tolist()
        [True, False, True]
        """
        tests = test_elements.detach().flatten()
        found = self._is_among(tests) if tests.numel() > _FEW_TESTS else self.unsqueeze(-1).eq(tests).any(-1)
        return found.logical_not() if invert else found

    def _is_among(self, tests: Self) -> Self:
        """True where an element is one of a vector, looked for in its order."""
        kind = promote(self.dtype, tests.dtype)
        x = self.detach().cast(kind)
        ordered, wanted = tests.cast(kind)._keys().sort()[0], x._keys()
        place = ordered.searchsorted(wanted).minimum(tests.numel() - 1)
        found = ordered._fetched(place.flatten()).reshape(x.shape).eq(wanted)
        return found & x.isnan().logical_not() if kind.is_float else found

    def unravel_index(self, shape: Sequence[int]) -> tuple[Self, ...]:
        """The indices, by dimension, of places in the flattened form of a tensor of a shape.

        >>> [x.tolist() for x in Tensor([5, 2]).unravel_index((2, 3))]
        [[1, 0], [2, 2]]
        """
        rest, found = self if self.dtype.bits >= 32 else self.cast(dtypes.int32), []
        for n in reversed(shape):
            found.append(rest % n)
            rest = rest // n
        return tuple(found[::-1])

    @composite
    def renorm(self, p: float, dim: int, maxnorm: float) -> Self:
        """The slices of dimension dim, those with a p-norm above maxnorm made shorter."""
        dim = self._dim(dim, "renorm")
        norms = self.norm(p, [i for i in range(self.ndim) if i != dim], keepdim=True)
        return self * (norms > maxnorm).where(maxnorm / (norms + 1e-7), 1)

    def pdist(self, p: float = 2.0) -> Self:
        """The p-norms of the differences of all pairs of a matrix's rows."""
        if self.ndim != 2:
            raise ShapeError(f"pdist() takes a matrix, got {self.shape}")
        first, second = np.triu_indices(self.shape[0], 1)
        return (self[first] - self[second]).norm(p, -1)

    @composite
    def vander(self, N: int | None = None, increasing: bool = False) -> Self:
        """The powers N - 1, .., 0 of a vector's elements, or 0, .., N - 1 if increasing, as columns; N as many rows.

        Batches of vectors give batches of matrices.  torch.linalg.vander is that of increasing=True.
        """
        if not self.ndim:
            return self.reshape(1).vander(N, increasing)
        count = self.shape[-1] if N is None else N
        powers = [self.long() ** k if self.dtype.kind in "biu" else self**k for k in range(count)]
        if not powers:
            return self.unsqueeze(-1)._between(self.ndim, 0, 0)
        ordered = powers if increasing else powers[::-1]
        return ordered[0].stack(*ordered[1:], dim=-1)

    # Segments ---------------------------------------------------------------------------------------------------

    def segment_reduce(
        self,
        reduce: str,
        *,
        lengths: Self | None = None,
        offsets: Self | None = None,
        axis: int = 0,
        unsafe: bool = False,
        initial: float | None = None,
    ) -> Self:
        """Runs of a dimension combined: by "sum", "mean", "max", "min" or "prod".

        lengths   of the runs, [.., runs] after the dimensions before axis
        offsets   where the runs begin, and where the last ends, instead
        initial   what each begins with; without it a run without elements is 0, NaN, -inf, inf or 1
        unsafe    of no account: lengths that do not fit leave elements out

        >>> Tensor([1.0, 2.0, 3.0]).segment_reduce("sum", lengths=Tensor([1, 2])).tolist()
        [1.0, 5.0]

        raises ArgumentError, ShapeError
        """
        axis = self._dim(axis, "segment_reduce")
        if reduce not in _OF_SEGMENTS:
            raise ArgumentError(f"reduce is one of {', '.join(map(repr, _OF_SEGMENTS))}, got {reduce!r}")
        if (lengths is None) == (offsets is None):
            raise ArgumentError("segment_reduce() takes lengths of the segments, or their offsets")
        if offsets is None:
            assert lengths is not None
            offsets = lengths.cumsum(-1)._zero_padded(-1 % lengths.ndim, 1, 0)
        if offsets.ndim != axis + 1 or offsets.shape[:-1] != self.shape[:axis]:
            raise ShapeError(f"segments {offsets.shape} of {self.shape} along {axis}: they are its last dimension")
        return self._of_segments(reduce, offsets, axis, initial)

    @composite
    def _of_segments(self, reduce: str, offsets: Self, axis: int, initial: float | None) -> Self:
        """The runs between each two offsets combined."""
        how, empty = _OF_SEGMENTS[reduce]
        count, before = offsets.shape[-1] - 1, self.shape[:axis]
        places = self._integers((self.shape[axis],)).expand(*before, -1)
        run = offsets.cast(dtypes.int32).searchsorted(places, right=True)
        shape = (*before, count + 2, *self.shape[axis + 1 :])
        rest = (1,) * (self.ndim - axis - 1)
        start = self.new_full(shape, empty if initial is None else initial)
        found = start.scatter_reduce(axis, run.reshape(*run.shape, *rest).expand(self.shape), self, how)
        found = found._between(axis, 1, count + 1)
        if reduce != "mean":
            return found
        lengths = offsets.diff().reshape(*before, count, *rest).expand(found.shape)
        return found / lengths if initial is None else lengths.eq(0).where(found, found / lengths)

    # Tables -----------------------------------------------------------------------------------------------------

    @classmethod
    def logspace(cls, start: float, end: float, steps: int, base: float = 10.0, **kwargs: Any) -> Self:
        """`steps` numbers from base^start to base^end with equal ratios; integers are these without their fractions."""
        kind = as_dtype(kwargs.pop("dtype", None) or dtypes.default_float)
        if kind.is_int:
            start, end = int(start), int(end)
        work = dtypes.float64 if kind.is_int else kind.arithmetic
        return cls.linspace(start, end, steps, dtype=work, **kwargs).pow(base, True).cast(kind)

    @classmethod
    def tril_indices(cls, row: int, col: int, offset: int = 0, **kwargs: Any) -> Self:
        """The row and the column, int64, of each element on or below a diagonal, row by row: [2, count]."""
        return cls(np.stack(np.tril_indices(row, offset, col)), **{"dtype": dtypes.int64, **kwargs})

    @classmethod
    def triu_indices(cls, row: int, col: int, offset: int = 0, **kwargs: Any) -> Self:
        """The row and the column, int64, of each element on or above a diagonal, row by row: [2, count]."""
        return cls(np.stack(np.triu_indices(row, offset, col)), **{"dtype": dtypes.int64, **kwargs})
