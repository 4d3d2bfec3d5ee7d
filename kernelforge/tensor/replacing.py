"""Tensors with some of their elements replaced or added to.

Comes in: a tensor, where the elements are, and their new values.  Goes out: tensors of the same shape and type.  An
index by a tensor that is out of range raises IndexError when the values are next synchronised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from codegen.dtypes import dtypes
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.index import are_places
from kernelforge.tensor.picking import Picking


class Replacing(Picking):
    """Assignments to parts, as operations."""

    __slots__ = ()

    @composite
    def masked_fill(self, mask: Self, value: Operand) -> Self:
        """value, a number or a tensor without dimensions, in this tensor's type, where mask is true, else self."""
        if isinstance(value, Core) and value.shape:
            raise ShapeError(f"masked_fill() takes one value, got {value.shape}; where() takes many")
        return mask.where(self._filling(value), self)

    def _with_part(self, index: Any, src: Self, what: str) -> Self:
        """This tensor with the elements at an index expression of integers and slices replaced.

        raises ShapeError unless src has just their shape
        """
        selection = self._selection(index)
        if src.shape != selection.shape:
            raise ShapeError(f"{what} of {self.shape}: the source has shape {src.shape}, the part {selection.shape}")
        return self._with_part_replaced(*selection.view, src.cast(self.dtype))

    @composite
    def slice_scatter(
        self, src: Self, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
    ) -> Self:
        """self with the elements start, start + step, ... before end of dimension dim replaced by src.

        >>> Tensor([0, 0, 0, 0]).slice_scatter(Tensor([1, 2]), 0, 0, 4, 2).tolist()
        [1, 0, 2, 0]

        raises ShapeError
        """
        dim = self._dim(dim, "slice_scatter")
        return self._with_part((slice(None),) * dim + (slice(start, end, step),), src, "slice_scatter")

    @composite
    def select_scatter(self, src: Self, dim: int, index: int) -> Self:
        """self with the elements at one place of dimension dim replaced by src, which lacks that dimension.

        raises ShapeError, IndexError
        """
        dim = self._dim(dim, "select_scatter")
        return self._with_part((slice(None),) * dim + (index,), src, "select_scatter")

    @composite
    def diagonal_scatter(self, src: Self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Self:
        """self with the elements that diagonal() of the same arguments shows replaced by src.

        >>> Tensor.zeros(2, 2).diagonal_scatter(Tensor([1.0, 2.0])).tolist()
        [[1.0, 0.0], [0.0, 2.0]]

        raises ShapeError
        """
        shape = self.diagonal(offset, dim1, dim2).shape
        if src.shape != shape:
            raise ShapeError(f"diagonal_scatter of {self.shape}: the source has {src.shape}, the diagonal {shape}")
        first, second = self._dim(dim1, "diagonal_scatter"), self._dim(dim2, "diagonal_scatter")
        x = self.movedim((first, second), (-2, -1))
        rows, columns = x._places(*x.shape[-2:])
        top = max(-offset, 0)
        lines = src.cast(self.dtype)._zero_padded(src.ndim - 1, min(top, x.shape[-2]), 0)
        lines = lines._zero_padded(src.ndim - 1, 0, x.shape[-2] - lines.shape[-1])
        return columns.eq(rows + offset).where(lines.unsqueeze(-1), x).movedim((-2, -1), (first, second))

    def fill_diagonal(self, fill_value: float, wrap: bool = False) -> Self:
        """A matrix with one value on its diagonal; of more dimensions, which are then equal, where all indices are.

        wrap   the diagonal of a tall matrix starts again below its end, one row being left out

        raises ShapeError
        """
        if self.ndim < 2 or (self.ndim > 2 and len(set(self.shape)) > 1):
            raise ShapeError(f"fill_diagonal of {self.shape}: it takes a matrix, or more dimensions of one size")
        if wrap and self.ndim == 2:
            place = type(self).arange(self.numel()).reshape(self.shape)
            return (place % (self.shape[1] + 1)).eq(0).where(fill_value, self)
        index = [type(self).arange(n).reshape(-1, *(1,) * (self.ndim - i - 1)) for i, n in enumerate(self.shape)]
        hit = index[0].eq(index[1])
        for places in index[2:]:
            hit = hit & index[0].eq(places)
        return hit.where(fill_value, self)

    def index_put(self, indices: Sequence[Any], values: Operand, accumulate: bool = False) -> Self:
        """self with the elements self[indices] replaced by values, broadcast; or with values added to them.

        indices      tensors, as many as dimensions or fewer: integers or masks; None takes all of a dimension
        accumulate   True: add, and several values for one place all count

        >>> Tensor([0, 0, 0]).index_put((Tensor([1, 1]),), Tensor([5, 6]), accumulate=True).tolist()
        [0, 11, 0]

        raises ShapeError, IndexError, DTypeError
        """
        source = self._of_its_kind(values)
        if 0 < len(indices) <= self.ndim and are_places(indices) and not (accumulate and self.dtype is dtypes.bool):
            return self._with_named("add" if accumulate else "set", source, *indices)
        index = tuple([slice(None) if item is None else item for item in indices])
        selection = self._selection(index)
        if not selection.picks:
            return self._with_part_replaced(*selection.view, source)
        if accumulate and self.dtype is dtypes.bool:  # the sum of truths is one
            return self.cast(dtypes.int32).index_put(indices, source.cast(dtypes.int32), True).cast(dtypes.bool)
        changed = self._viewed_apart(selection)._with_picked(selection, source, "add" if accumulate else "set")
        return changed.reshape(self.shape)  # a mask without dimensions has given it one of its own

    def put(self, index: Self, source: Self, accumulate: bool = False) -> Self:
        """self with the elements of the flattened tensor that an index names replaced by source, or added to.

        raises ShapeError, IndexError
        """
        if index.numel() != source.numel():
            raise ShapeError(f"put() takes as many elements as indices, got {source.shape} for {index.shape}")
        if accumulate and self.dtype is dtypes.bool:
            return self.cast(dtypes.int32).put(index, source.cast(dtypes.int32), True).cast(dtypes.bool)
        flat = self.flatten()._scattered(0, index.flatten(), source.flatten(), "add" if accumulate else "set")
        return flat.reshape(self.shape)

    def index_reduce(self, dim: int, index: Self, source: Self, reduce: str, *, include_self: bool = True) -> Self:
        """self with slices of dimension dim that a vector of indices names combined with those of source.

        reduce   "prod", "mean", "amax" or "amin"; see scatter_reduce()
        """
        if not self.shape:
            line = self.reshape(1).index_reduce(dim, index, source.reshape(1), reduce, include_self=include_self)
            return line.reshape(())
        dim = self._dim(dim, "index_reduce")
        shape = (*self.shape[:dim], index.numel(), *self.shape[dim + 1 :])
        if reduce not in ("prod", "mean", "amax", "amin"):
            raise ArgumentError(f"reduce is 'prod', 'mean', 'amax' or 'amin', got {reduce!r}; see index_add() for sums")
        if index.ndim > 1 or source.shape != shape:
            raise ShapeError(f"index_reduce of {self.shape} along {dim} takes a source of {shape}, got {source.shape}")
        places = index.reshape([-1 if i == dim else 1 for i in range(self.ndim)]).expand(shape)
        return self.scatter_reduce(dim, places, source, reduce, include_self)

    @composite
    def sum_to_size(self, *size: int) -> Self:
        """Summed over what broadcasting from a size to this tensor's shape repeats; the opposite of expand().

        raises ShapeError
        """
        wanted = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
        lead = self.ndim - len(wanted)
        if lead < 0 or any(m not in (1, n) for m, n in zip(wanted, self.shape[lead:])):
            raise ShapeError(f"sum_to_size of {self.shape} to {wanted}, which does not broadcast to it")
        axes = [i for i, n in enumerate(self.shape) if i < lead or (wanted[i - lead] == 1 and n != 1)]
        return self if wanted == self.shape and self.ndim else self.sum(axes).reshape(wanted)

    # Elements by steps in memory --------------------------------------------------------------------------------

    @composite
    def as_strided(
        self, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
    ) -> Self:
        """The elements at storage_offset + sum_d i[d] * stride[d] of those in row-major order; no view.

        >>> Tensor([0, 1, 2, 3]).as_strided((3, 2), (1, 1)).tolist()
        [[0, 1], [1, 2], [2, 3]]

        raises ShapeError for places the tensor does not have
        """
        return self.flatten().gather(0, self._strided_places(size, stride, storage_offset)).reshape(tuple(size))

    @composite
    def as_strided_scatter(
        self, src: Self, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
    ) -> Self:
        """self with the elements that as_strided() of the same arguments shows replaced by src."""
        if src.shape != tuple(size):
            raise ShapeError(f"as_strided_scatter of a source of {src.shape} where as_strided() gives {tuple(size)}")
        places = self._strided_places(size, stride, storage_offset)
        return self.flatten()._scattered(0, places, src.flatten().cast(self.dtype), "set").reshape(self.shape)

    def _strided_places(self, size: Sequence[int], stride: Sequence[int], offset: int | None) -> Self:
        """The places of as_strided(), flattened.

        raises ShapeError
        """
        sizes, steps, start = tuple(size), tuple(stride), offset or 0
        if len(sizes) != len(steps) or any(n < 0 for n in (*sizes, *steps, start)):
            raise ShapeError(f"as_strided({sizes}, {steps}, {offset}): a step for each size, and nothing negative")
        last = start + sum((n - 1) * step for n, step in zip(sizes, steps))
        if 0 not in sizes and last >= self.numel():
            raise ShapeError(
                f"as_strided({sizes}, {steps}, {offset}) of a tensor of shape {self.shape}: it reaches element {last}, "
                f"but there are {self.numel()}"
            )
        places = type(self).full((), start, dtype=dtypes.int64)
        for dim, (n, step) in enumerate(zip(sizes, steps)):
            along = type(self).arange(n, dtype=dtypes.int64) * step
            places = places + along.reshape([n if i == dim else 1 for i in range(len(sizes))])
        return places.expand(sizes).flatten()
