"""Elements picked from, and put into, places that an integer tensor names along one dimension.

Comes in: tensors and indices of as many dimensions, as torch has it; negative indices count from the end.  Goes out:
tensors.  An index out of range raises IndexError when the values are next synchronised.
"""

from __future__ import annotations

from typing import Any, Final, Self

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import ArgumentError, DTypeError, PlaceError, ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.empties import no_elements, with_empties
from kernelforge.tensor.interchange import Interchange
from kernelforge.tensor.spent import either

_REDUCTIONS: Final = {"sum": "add", "add": "add", "prod": "mul", "multiply": "mul", "amax": "max", "amin": "min"}


class Scatter(Interchange):
    """gather() and scatter() with torch's meaning."""

    __slots__ = ()

    def _along(self, dim: int, index: Self, what: str) -> tuple[int, Self]:
        """dim and index in normal form for gather and scatter.

        raises ShapeError, DTypeError, IndexError when there is nothing to index
        """
        dim = self._dim(dim, what)
        if not index.dtype.is_int:
            raise DTypeError(f"{what} needs an index of integers, got {index.dtype}")
        too_large = any(m > n for i, (m, n) in enumerate(zip(index.shape, self.shape)) if i != dim)
        if index.ndim != self.ndim or too_large:
            raise ShapeError(
                f"{what} along dimension {dim} of {self.shape} with an index of {index.shape}: "
                "the index has as many dimensions, and is no larger in the others"
            )
        if not self.shape[dim] and index.numel():
            raise PlaceError(f"{what} along dimension {dim} of {self.shape}: there are no elements to index")
        return dim, from_front(index, self.shape[dim])

    @composite
    def gather(self, dim: int, index: Self, *, sparse_grad: bool = False) -> Self:
        """out[i, j, ..] = self[.., index[i, j, ..], ..], the index replacing the one of dimension dim.

        sparse_grad   of no account: gradients are dense

        >>> Tensor([[1, 2], [3, 4]]).gather(1, Tensor([[1], [0]])).tolist()
        [[2], [3]]
        """
        if not index.numel():
            return no_elements(self, index.shape)
        if not self.shape:
            return self.reshape(1).gather(dim, index.reshape(-1)).reshape(index.shape)
        dim, places = self._along(dim, index, "gather")
        return self._derived(graph.gather(self._node, places._node, dim))

    @composite
    def scatter(self, dim: int, index: Self, src: Operand, reduce: str | None = None) -> Self:
        """self with self[.., index[i, j, ..], ..] replaced by src[i, j, ..].

        An index without elements, of any shape, changes nothing, as torch has it.
        It is unspecified which of several values for one place remains; reduce "add" or "multiply" combines them all.

        raises ShapeError, and DTypeError for a source of another type
        """
        if reduce not in (None, "add", "multiply"):
            raise ArgumentError(f"reduce is None, 'add' or 'multiply', got {reduce!r}; scatter_reduce() knows more")
        return self._scattered(dim, index, src, "set" if reduce is None else _REDUCTIONS[reduce])

    @composite
    def _scattered(self, dim: int, index: Self, src: Operand, mode: str) -> Self:
        if not isinstance(src, Core):
            src = index._wrap(graph.full(index.shape, src, self.dtype), None)  # type: ignore[arg-type]
        if src.dtype is not self.dtype:
            raise DTypeError(f"scatter of {src.dtype} into {self.dtype}: cast() the source to {self.dtype} first")
        if not self.shape:
            return self.reshape(1)._scattered(dim, index.reshape(-1), src.reshape(-1), mode).reshape(())  # type: ignore[attr-defined]
        if self.dtype is dtypes.bool and mode in ("add", "mul"):
            return self.cast(dtypes.int32)._scattered(dim, index, src.cast(dtypes.int32), mode).cast(dtypes.bool)  # type: ignore[attr-defined]
        if not index.numel() and index.dtype.is_int:
            self._dim(dim, "scatter")
            return with_empties(self, (self, src))
        dim, places = self._along(dim, index, "scatter")
        if src.ndim != index.ndim or any(m > n for m, n in zip(index.shape, src.shape)):
            raise ShapeError(f"scatter of {src.shape} with an index of {index.shape}: the source is smaller")
        source: Self = src.shrink([(0, n) for n in index.shape])  # type: ignore[attr-defined]
        node = graph.scatter(self._node, places._node, source._node, dim, mode)
        return self._wrap(node, either(self._tracked, source._tracked))

    @composite
    def scatter_add(self, dim: int, index: Self, src: Operand) -> Self:
        """scatter() with reduce="add"."""
        return self._scattered(dim, index, src, "add")

    def scatter_reduce(self, dim: int, index: Self, src: Self, reduce: str, include_self: bool = True) -> Self:
        """self with the elements src has for each place combined: by "sum", "prod", "mean", "amax" or "amin".

        Equal extrema share their gradient equally; the mean of integers is rounded down.

        include_self   whether the old value of a place takes part
        """
        if reduce == "mean":
            total = self.scatter_reduce(dim, index, src, "sum", include_self)
            count = self._constant(1 if include_self else 0)._scattered(dim, index, 1, "add")
            return total.div(count.maximum(1), rounding_mode=None if self.dtype.is_float else "floor")
        mode = _REDUCTIONS.get(reduce)
        if mode is None:
            raise ArgumentError(f"reduce is 'sum', 'prod', 'mean', 'amax' or 'amin', got {reduce!r}")
        identity = {"add": 0, "mul": 1, "max": self.dtype.min, "min": self.dtype.max}[mode]
        base = self if include_self else self._scattered(dim, index, identity, "set")
        return base._scattered(dim, index, src, mode)


def as_index(index: Any) -> Any:
    """Integers as int32 or int64, the types of indices."""
    wide = index.dtype.bits == 64 or index.dtype is dtypes.uint32
    return index.cast(dtypes.int64 if wide else dtypes.int32)


@composite
def from_front(index: Any, n: int) -> Any:
    """Indices as int32 or int64, negative ones counted from the end of a dimension of size n."""
    places = as_index(index)
    return places if index.dtype.kind == "u" else (places < 0).where(places + n, places)


@composite
def from_front_only(index: Any, n: int) -> Any:
    """Indices as int32 or int64, negative ones put out of range in a dimension of size n."""
    places = as_index(index)
    return places if index.dtype.kind == "u" else (places < 0).where(n, places)
