"""Movement: views of a tensor with another shape or order, and its parts.

Comes in: tensors, shapes and dimensions.  Goes out: views, which move no data until something stores them.  Negative
dimensions count from the end everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod
from operator import index
from typing import Any, Self

import numpy as np

from codegen.dtypes import DType
from kernelforge import graph
from kernelforge import shape as shapes
from kernelforge.errors import DTypeError, PlaceError, ShapeError
from kernelforge.kernels import Device
from kernelforge.kinds import as_dtype
from kernelforge.tensor.activations import Activations
from kernelforge.tensor.broadcasting import broadcast, expanded
from kernelforge.tensor.composite import composite, repeatable, viewing
from kernelforge.tensor.core import Core


class Movement(Activations):
    """Operations that only say which element stands where."""

    __slots__ = ()

    def _dim(self, dim: int, what: str, extra: int = 0) -> int:
        """dim counted from the front, for the operation called what on a tensor with `extra` dimensions more.

        raises ShapeError
        """
        return shapes.normal_axis(dim, len(self._node.shape) + extra, what)

    # Shape ------------------------------------------------------------------------------------------------------

    @viewing
    def reshape(self, *shape: Any) -> Self:
        """The elements in row-major order under another shape; one size may be -1, None keeps the old size there.

        >>> Tensor.arange(6).reshape(2, -1).tolist()
        [[0, 1, 2], [3, 4, 5]]
        """
        node = self._node
        sizes = shapes.numbers(shape)
        if any(size is None for size in sizes):
            sizes = tuple([node.shape[i] if size is None else size for i, size in enumerate(sizes)])
        wanted = shapes.reshaped(node.shape, sizes)
        return self._view(graph.reshape(node, wanted), ("reshape", wanted))

    def reshape_as(self, other: Self) -> Self:
        """The elements under the shape of other."""
        return self.reshape(other.shape)

    @viewing
    def ravel(self) -> Self:
        """The elements as a vector."""
        return self.reshape(-1)

    @viewing
    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """The dimensions from start_dim to end_dim as one."""
        if not self.shape:
            return self.reshape(1)
        start, end = self._dim(start_dim, "flatten"), self._dim(end_dim, "flatten")
        if start > end:
            raise ShapeError(f"flatten({start_dim}, {end_dim}) of {self.shape}: start_dim must not come after end_dim")
        return self.reshape(*self.shape[:start], prod(self.shape[start : end + 1]), *self.shape[end + 1 :])

    @viewing
    def unflatten(self, dim: int, sizes: Sequence[int]) -> Self:
        """Dimension dim as several of the given sizes."""
        dim = self._dim(dim, "unflatten")
        inner = shapes.reshaped((self.shape[dim],), sizes, "unflatten")
        return self.reshape(*self.shape[:dim], *inner, *self.shape[dim + 1 :])

    @viewing
    def squeeze(self, dim: int | Sequence[int] | None = None) -> Self:
        """Without dimensions of size 1: all of them, or those among dim."""
        dims = shapes.normal_axes(dim, self.ndim, "squeeze")
        return self.reshape(tuple([size for i, size in enumerate(self.shape) if size != 1 or i not in dims]))

    @viewing
    def unsqueeze(self, dim: int) -> Self:
        """With a dimension of size 1 at dim."""
        dim = self._dim(dim, "unsqueeze", extra=1)
        return self.reshape((*self.shape[:dim], 1, *self.shape[dim:]))

    @viewing
    def expand(self, *shape: Any, size: Any = None) -> Self:
        """Dimensions of size 1 repeated to fill shape; -1 or None keeps a size, new dimensions may come in front.

        size   another name of shape
        """
        sizes = [-1 if n is None else n for n in shapes.numbers(shape if size is None else (size,))]
        wanted = shapes.expanded(self.shape, sizes)
        return self._view(expanded(self._node, wanted), ("expand", wanted))

    def expand_as(self, other: Self) -> Self:
        """Expanded to the shape of other."""
        return self.expand(other.shape)

    def _broadcasted(self, *others: Self) -> tuple[Self, ...]:
        tensors = (self, *others)
        nodes = broadcast(*[tensor._node for tensor in tensors])
        return tuple([tensor._derived(node) for tensor, node in zip(tensors, nodes)])

    # Order ------------------------------------------------------------------------------------------------------

    @viewing
    def permute(self, *order: Any, dims: Any = None) -> Self:
        """The dimensions in another order; dims is another name of it."""
        given = order if dims is None else (dims,)
        return self._permuted(shapes.normal_order(shapes.numbers(given), self.ndim, "permute"))

    def _permuted(self, order: tuple[int, ...]) -> Self:
        return self._view(graph.permute(self._node, order), ("permute", order))

    @viewing
    def transpose(self, dim0: int = 1, dim1: int = 0) -> Self:
        """With two dimensions exchanged."""
        if not self.ndim and {dim0, dim1} <= {0, -1}:
            return self._permuted(())
        order = list(range(self.ndim))
        dim0, dim1 = self._dim(dim0, "transpose"), self._dim(dim1, "transpose")
        order[dim0], order[dim1] = dim1, dim0
        return self._permuted(tuple(order))

    @property
    @viewing
    def T(self) -> Self:
        """The transpose of a matrix; the dimensions of any tensor in reverse order."""
        return self._permuted(tuple(range(self.ndim))[::-1])

    @property
    @viewing
    def mT(self) -> Self:
        """The last two dimensions exchanged: each matrix of a batch transposed."""
        return self.transpose(-1, -2)

    @viewing
    def t(self) -> Self:
        """The transpose of a matrix; a vector or a scalar is its own."""
        if self.ndim > 2:
            raise ShapeError(f"t() takes a matrix, a vector or a scalar, got {self.shape}; see transpose()")
        return self.T

    @viewing
    def movedim(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Self:
        """Dimension source moved to place destination, or several to as many places."""
        given = (source, destination)
        sources, places = ([self._dim(dim, "movedim") for dim in shapes.sequence(dims)] for dims in given)
        if len(sources) != len(places) or len(set(sources)) < len(sources) or len(set(places)) < len(places):
            raise ShapeError(
                f"movedim({source}, {destination}) of {self.shape}: it takes as many places as dimensions, each once"
            )
        placed = dict(zip(places, sources))
        rest = iter([dim for dim in range(self.ndim) if dim not in sources])
        return self.permute([placed[dim] if dim in placed else next(rest) for dim in range(self.ndim)])

    @composite
    def flip(
        self, *axes: Any, dims: int | Sequence[int] | None = None, axis: int | Sequence[int] | None = None
    ) -> Self:
        """Reversed along the given dimensions; dims and axis are other ways to give them."""
        named = axis if dims is None else dims
        chosen = shapes.numbers(axes) if named is None else shapes.sequence(named)
        return self._derived(graph.flip(self._node, shapes.normal_axes(chosen, self.ndim, "flip")))

    @repeatable
    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Self:
        """Turned by k quarters of a full turn, from the first of two dimensions towards the second.

        >>> Tensor([[1, 2], [3, 4]]).rot90().tolist()
        [[2, 4], [1, 3]]
        """
        if len(dims) != 2 or self._dim(dims[0], "rot90") == self._dim(dims[1], "rot90"):
            raise ShapeError(f"rot90 of {self.shape} takes two different dimensions, got {tuple(dims)}")
        first, second = dims
        x = self if k % 4 < 2 else self.flip(first, second)
        return x.flip(second).transpose(first, second) if k % 2 else x

    # Parts ------------------------------------------------------------------------------------------------------

    def shrink(self, arg: Sequence[tuple[int, int] | None]) -> Self:
        """The part from start to stop of each dimension; None keeps all of it."""
        if len(arg) != self.ndim:
            raise ShapeError(f"shrink of {self.shape} takes {self.ndim} (start, stop) pairs, got {len(arg)}")
        pairs = [(0, n) if pair is None else pair for n, pair in zip(self.shape, arg)]
        bounds = tuple([(index(start), index(stop)) for start, stop in pairs])
        if any(not 0 <= start <= stop <= n for n, (start, stop) in zip(self.shape, bounds)):
            raise ShapeError(f"shrink of {self.shape} to {bounds}: bounds must satisfy 0 <= start <= stop <= size")
        return self._view(graph.shrink(self._node, bounds), ("shrink", bounds))

    def _between(self, dim: int, start: int, stop: int) -> Self:
        """The part from start to stop of one dimension, counted from the front."""
        bounds = tuple([(start, stop) if i == dim else (0, n) for i, n in enumerate(self.shape)])
        return self._view(graph.shrink(self._node, bounds), ("shrink", bounds))

    @viewing
    def narrow(self, dim: int, start: int | Self, length: int) -> Self:
        """`length` elements of dimension dim from start on, a number or a tensor of one, which is computed.

        raises DTypeError, PlaceError, ShapeError
        """
        if isinstance(start, Core) and (start.shape or not start.dtype.is_int):
            raise DTypeError(f"narrow() starts at an integer, or a tensor of one, got {start.dtype} {start.shape}")
        dim, start, length = self._dim(dim, "narrow"), int(start), index(length)  # type: ignore[arg-type]
        n = self.shape[dim]
        if not -n <= start <= n:
            raise PlaceError(f"narrow of {self.shape} along dimension {dim}: start {start} is not in -{n} .. {n}")
        start += n if start < 0 else 0
        return self.shrink([(start, start + length) if i == dim else None for i in range(self.ndim)])

    @viewing
    def select(self, dim: int, index: int) -> Self:
        """The elements at one place of dimension dim, which goes."""
        dim = self._dim(dim, "select")
        n = self.shape[dim]
        if not -n <= index < n:
            raise PlaceError(f"select({dim}, {index}) of {self.shape}: index {index} is out of range")
        part = self._between(dim, index % n, index % n + 1)
        return part.reshape(self.shape[:dim] + self.shape[dim + 1 :])

    @viewing
    def unbind(self, dim: int = 0) -> tuple[Self, ...]:
        """The parts of size 1 of dimension dim, without it."""
        return tuple([self.select(dim, i) for i in range(self.shape[self._dim(dim, "unbind")])])

    @viewing
    def split(self, sizes: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Consecutive parts of dimension dim: of the given sizes, or all of one size with a smaller last one."""
        dim = self._dim(dim, "split")
        stops = list(accumulate(shapes.part_sizes(self.shape[dim], sizes)))
        return tuple([self._between(dim, start, stop) for start, stop in zip([0, *stops], stops)])

    @viewing
    def chunk(self, chunks: int, dim: int = 0) -> list[Self]:
        """At most `chunks` parts of dimension dim, of equal size but for the last."""
        chunks = index(chunks)
        if chunks <= 0:
            raise ShapeError(f"chunk() needs at least one chunk, got {chunks}")
        n = self.shape[self._dim(dim, "chunk")]
        return list(self.split(-(-n // chunks), dim)) if n else [self] * chunks

    @viewing
    def tensor_split(self, parts: int | Sequence[int] | Self, dim: int = 0) -> tuple[Self, ...]:
        """Exactly `parts` parts of dimension dim, the first ones longer by 1 if need be; or its parts between places.

        >>> [part.tolist() for part in Tensor.arange(5).tensor_split(3)]
        [[0, 1], [2, 3], [4]]
        """
        n = self.shape[self._dim(dim, "tensor_split")]
        if isinstance(parts, Core):
            return self.tensor_split(np.asarray(parts).tolist(), dim)
        if not shapes.is_several(parts):
            parts = index(parts)
            if parts < 1:
                raise ShapeError(f"tensor_split() needs at least one part, got {parts}")
            return self.split([n // parts + (i < n % parts) for i in range(parts)], dim)
        places = [0, *(slice(place).indices(n)[1] for place in parts), n]
        return tuple([self._between(dim % self.ndim, lo, max(lo, hi)) for lo, hi in pairwise(places)])

    def unfold(self, dim: int, size: int, step: int = 1) -> Self:
        """All windows of `size` elements, `step` apart, of dimension dim; a last dimension runs within a window.

        >>> Tensor.arange(5).unfold(0, 3, 2).tolist()
        [[0, 1, 2], [2, 3, 4]]
        """
        if not self.shape:
            return self.reshape(1).unfold(dim, size, step).select(0, 0)
        dim, size, step = self._dim(dim, "unfold"), index(size), index(step)
        if not size:
            return self._zero_padded(dim, 0, 1).unfold(dim, 1, step)._between(self.ndim, 0, 0)
        shapes.window_count(self.shape[dim], size, step, 1, "unfold")
        return self._window(dim, size, step).movedim(dim + 1, -1)

    def _window(self, dim: int, size: int, stride: int = 1, dilation: int = 1) -> Self:
        return self._derived(graph.window(self._node, dim, size, stride, dilation))

    def _zero_padded(self, dim: int, before: int, after: int) -> Self:
        pads = tuple([(before, after) if i == dim else (0, 0) for i in range(self.ndim)])
        return self._derived(graph.pad(self._node, pads))

    # Storage ----------------------------------------------------------------------------------------------------

    def contiguous(self) -> Self:
        """The same values, computed into memory of their own rather than inside their user's kernel."""
        return self._derived(graph.contiguous(self._node))

    def to(
        self,
        device: str | DType | Core | None = None,
        dtype: DType | str | bool | None = None,
        non_blocking: bool = False,
        copy: bool = False,
    ) -> Self:
        """The same values on another device, of another type, or both; those of a tensor given in place of a device.

        non_blocking   of no account: nothing waits before a value is needed
        copy           a tensor of its own even where nothing changes

        >>> Tensor([1, 2]).to(dtypes.float16).dtype
        dtypes.float16
        """
        if isinstance(dtype, bool):  # to(dtype, non_blocking, copy), and the same after a tensor
            dtype, copy = None, copy or non_blocking
        kind: DType | None
        if isinstance(device, DType):
            kind, device = device, None
        elif isinstance(device, Core):
            kind, device = device.dtype, device.device
        else:
            kind = None if dtype is None else as_dtype(dtype)
        x = self if kind is None else self.cast(kind)
        if copy and x is self:
            x = self._derived(graph.contiguous(self._node))
        place = self.device if device is None and kind is not None else Device.canonicalize(device)
        return x if place == self.device else x._derived(graph.copy(x._node, place))

    def to_(self, device: str | None) -> Self:
        """Itself, its values moved to another device."""
        self._rename(self.detach().to(device)._node)
        return self
