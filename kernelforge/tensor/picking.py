"""Elements picked and replaced, by the names of methods.

Comes in: tensors with indices or masks.  Goes out: tensors.  A mask decides a shape where elements are selected by it,
and so do the places of what is not zero: masked_select(), nonzero() and argwhere() compute for it.  An index out of
range raises IndexError when the values are next synchronised.
"""

from __future__ import annotations

from math import prod
from typing import Literal, Self, overload

import numpy as np

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.native import compiled
from kernelforge.shape import broadcast_shapes
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.index import Index, true_places
from kernelforge.tensor.scatter import from_front_only
from kernelforge.tensor.storage import told


class Picking(Index):
    """Indexing without brackets."""

    __slots__ = ()

    # Picking ----------------------------------------------------------------------------------------------------

    def index_select(self, dim: int, index: Self) -> Self:
        """The slices of dimension dim that a vector of indices names; an index without dimensions is a vector of one.

        raises ShapeError for an index of more dimensions
        """
        if index.ndim > 1:
            raise ShapeError(f"index_select({dim}) of {self.shape} by an index of {index.shape}: it takes a vector")
        if not index.ndim and self.shape:
            return self.index_select(dim, index.reshape(1))
        if not self.shape:
            return self.reshape(1).index_select(dim, index.reshape(-1)).reshape(())
        dim = self._dim(dim, "index_select")
        return self._slices(dim, index) if index.dtype.is_int else self[(slice(None),) * dim + (index,)]

    def masked_select(self, mask: Self, size: int | None = None, fill_value: float = 0) -> Self:
        """A vector of the elements where mask, broadcast, is true; this computes the mask.

        size   the first so many of them, fill_value after the last; computes nothing
        """
        x, kept = self._broadcasted(mask)
        if size is None:
            return x.flatten()[kept.bool().flatten()]
        return x.flatten()._compacted(kept.bool().flatten(), size, fill_value)

    def _compacted(self, kept: Self, size: int, fill_value: float) -> Self:
        """The first `size` slices of dimension 0 where a bool vector is true, fill_value after the last."""
        number = kept.cast(dtypes.default_int).cumsum(0).cast(dtypes.default_int)
        places = (kept & (number <= size)).where(number - 1, size)
        rest = self.shape[1:]
        base = type(self).full((size + 1, *rest), fill_value, dtype=self.dtype, device=self._node.device)
        index = places.reshape(-1, *(1,) * len(rest)).expand(self.shape)
        return base.scatter(0, index, self)[:size]

    def one_hot(self, num_classes: int = -1) -> Self:
        """int32 1 at each element's value along a new last dimension, 0 elsewhere; -1 computes the largest value.

        raises DTypeError, IndexError when the values are next synchronised, if one is not in 0 <= value < num_classes
        """
        if not self.dtype.is_int:
            raise DTypeError(f"one_hot() takes integers, got {self.dtype}; cast first")
        if num_classes == -1:
            num_classes = int(self.max().item()) + 1
        return self._one_hot(num_classes)

    @composite
    def _one_hot(self, num_classes: int) -> Self:
        return type(self).eye(num_classes, dtype=dtypes.default_int)[from_front_only(self, num_classes)]

    @overload
    def nonzero(self, size: int | None = None, fill_value: int = 0, *, as_tuple: Literal[False] = False) -> Self: ...

    @overload
    def nonzero(
        self, size: int | None = None, fill_value: int = 0, *, as_tuple: Literal[True]
    ) -> tuple[Self, ...]: ...

    def nonzero(
        self, size: int | None = None, fill_value: int = 0, *, as_tuple: bool = False
    ) -> Self | tuple[Self, ...]:
        """The int32 indices [count, ndim] of the elements that are not zero, or a vector for each dimension.

        size   the first so many of them, rows of fill_value after the last; computes nothing
        """
        if size is None:
            return self.reshape(self.shape or 1).argwhere().unbind(1) if as_tuple else self.argwhere()
        x = self.reshape(self.shape or 1)
        place = type(self).arange(x.numel(), device=self._node.device)
        sizes = [max(1, n) for n in x.shape]  # of none there are no places to divide
        indices = [place // prod(sizes[dim + 1 :]) % n for dim, n in enumerate(sizes)]
        found = [index._compacted(x.flatten().ne(0), size, fill_value) for index in indices]
        return tuple(found) if as_tuple else found[0].stack(*found[1:], dim=1)[:, : self.ndim]

    def argwhere(self) -> Self:
        """The int32 indices [count, ndim] of the elements that are not zero."""
        if compiled is not None and (node := compiled.places_of_true(self)) is not None:
            return self._wrap(told(node, 4 * prod(node.shape)), None)
        elements = self.numpy()
        places = true_places(elements if elements.dtype == np.bool_ else elements != 0)
        return type(self)(places.T.astype(np.int32, order="C", copy=False), device=self._node.device)

    def take(self, index: Self) -> Self:
        """The elements of the flattened tensor that indices of any shape name."""
        places = isinstance(index, Core) and index.dtype.is_int
        return self._taken(index) if places else self.flatten()[index]

    @composite
    def _taken(self, index: Self) -> Self:
        """take() of a tensor of whole numbers."""
        return self.flatten()[index]

    @composite
    def take_along_dim(self, indices: Self, dim: int | None = None) -> Self:
        """gather() with the other dimensions broadcast together; without dim, of the flattened tensor.

        >>> x = Tensor([[3, 1, 2], [6, 5, 4]])
        >>> x.take_along_dim(x.argmin(1, keepdim=True), 1).tolist()
        [[1], [4]]
        """
        if dim is None:
            return self.flatten().gather(0, indices.flatten())
        if self.ndim != indices.ndim:
            raise ShapeError(f"take_along_dim of {self.shape} with indices of {indices.shape}: ranks must be equal")
        dim = self._dim(dim, "take_along_dim")
        rest = [x.shape[:dim] + (1,) + x.shape[dim + 1 :] for x in (self, indices)]
        shape = broadcast_shapes(*rest, what="take_along_dim")
        x, places = (x.expand(*shape[:dim], x.shape[dim], *shape[dim + 1 :]) for x in (self, indices))
        return x.gather(dim, places)

    # Replacing --------------------------------------------------------------------------------------------------

    def _with_slices(self, dim: int, index: Self, source: Operand, mode: str) -> Self:
        """The slices of dimension dim that a vector of indices names combined with those of source.

        raises ShapeError
        """
        if not self.shape:
            return self.reshape(1)._with_slices(dim, index, self._as_tensor(source).reshape(1), mode).reshape(())
        dim = self._dim(dim, "index_add, index_copy or index_fill")
        count = index.numel()
        shape = self.shape[:dim] + (count,) + self.shape[dim + 1 :]
        values: Self = source if isinstance(source, Core) else self._of_its_kind(source)  # type: ignore[assignment]
        if index.ndim > 1 or values.shape not in (shape, ()):
            raise ShapeError(
                f"{count} slices of dimension {dim} of {self.shape} by an index of {index.shape} and a source of "
                f"{values.shape}: the index is a vector, the source {shape}"
            )
        places = index.reshape([count if i == dim else 1 for i in range(self.ndim)]).expand(shape)
        return self._scattered(dim, places, values.expand(shape), mode)

    @composite
    def index_add(self, dim: int, index: Self, source: Self, *, alpha: float = 1) -> Self:
        """self with alpha * source added to the slices of dimension dim that a vector of indices names."""
        return self._with_slices(dim, index, source if alpha == 1 else source * alpha, "add")

    @composite
    def index_copy(self, dim: int, index: Self, source: Self) -> Self:
        """self with the slices of dimension dim that a vector of indices names replaced by those of source."""
        return self._with_slices(dim, index, source, "set")

    @composite
    def index_fill(self, dim: int, index: Self, value: Operand) -> Self:
        """self with one value in the slices of dimension dim that a vector of indices names."""
        if not self.shape:
            return self.reshape(1).index_fill(dim, index, value).reshape(())
        dim = self._dim(dim, "index_fill")
        hit = self._wrap(graph.full((self.shape[dim],), False, dtypes.bool), None)._with_slices(0, index, True, "set")
        fills: Self = self._of_its_kind(value)
        if fills.shape:
            raise ShapeError(f"index_fill() takes one value, got {fills.shape}")
        return hit.reshape([-1 if i == dim else 1 for i in range(self.ndim)]).where(fills, self)

    def masked_scatter(self, mask: Self, source: Self) -> Self:
        """self with the elements where mask, broadcast, is true replaced by the first ones of source, in order.

        >>> Tensor([0, 0, 0]).masked_scatter(Tensor([True, False, True]), Tensor([7, 8, 9])).tolist()
        [7, 0, 8]

        raises IndexError when the values are next synchronised, if source has too few elements
        """
        if mask.dtype is not dtypes.bool:
            raise DTypeError(f"masked_scatter() takes a mask of bool, got {mask.dtype}; compare it with something")
        x, chosen = self._broadcasted(mask)
        if not x.numel():
            return x
        chosen = chosen.flatten()
        given = self._of_its_kind(source.flatten())
        if given.shape[0]:
            found = given[chosen.where(chosen.cumsum(0) - 1, 0)]
        else:
            found = given._zero_padded(0, 1, 0)[chosen.where(chosen.cumsum(0), 0)]
        return chosen.where(found, x.flatten()).reshape(x.shape)
