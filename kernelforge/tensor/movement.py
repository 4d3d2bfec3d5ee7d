"""Movement: views of a tensor with another shape or order, and joining of tensors.

Comes in: tensors, shapes and dimensions.  Goes out: views, which move no data until something stores them, and sums or
selections of padded views where tensors are joined.  Negative dimensions count from the end everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate, pairwise
from math import prod
from typing import Any, Self

from codegen.dtypes import dtypes, promote
from kernelforge import graph
from kernelforge import shape as shapes
from kernelforge.errors import ShapeError
from kernelforge.kernels import Device
from kernelforge.tensor.activations import Activations
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import broadcast, expanded
from kernelforge.tensor.create import as_shape


def flat(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a method that takes either several items or one sequence of them."""
    return tuple(items[0]) if len(items) == 1 and isinstance(items[0], tuple | list) else items


class Movement(Activations):
    """Operations that only say which element stands where."""

    __slots__ = ()

    def _dim(self, dim: int, what: str, extra: int = 0) -> int:
        """dim counted from the front, for the operation called what on a tensor with `extra` dimensions more.

        raises ShapeError
        """
        return shapes.normal_axis(dim, len(self._node.shape) + extra, what)

    # Shape ------------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Self:
        """The elements in row-major order under another shape; one size may be -1, None keeps the old size there.

        >>> Tensor.arange(6).reshape(2, -1).tolist()
        [[0, 1, 2], [3, 4, 5]]
        """
        sizes = tuple([self.shape[i] if size is None else size for i, size in enumerate(flat(shape))])
        return self._derived(graph.reshape(self._node, shapes.reshaped(self.shape, sizes)))

    def view(self, *shape: Any) -> Self:
        """Another name of reshape()."""
        return self.reshape(*shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """The dimensions from start_dim to end_dim as one."""
        if not self.shape:
            return self.reshape(1)
        start, end = self._dim(start_dim, "flatten"), self._dim(end_dim, "flatten")
        if start > end:
            raise ShapeError(f"flatten({start_dim}, {end_dim}) of {self.shape}: start_dim must not come after end_dim")
        return self.reshape(*self.shape[:start], prod(self.shape[start : end + 1]), *self.shape[end + 1 :])

    def unflatten(self, dim: int, sizes: Sequence[int]) -> Self:
        """Dimension dim as several of the given sizes."""
        dim = self._dim(dim, "unflatten")
        inner = shapes.reshaped((self.shape[dim],), sizes, "unflatten")
        return self.reshape(*self.shape[:dim], *inner, *self.shape[dim + 1 :])

    def squeeze(self, dim: int | Sequence[int] | None = None) -> Self:
        """Without dimensions of size 1: all of them, or those among dim."""
        dims = shapes.normal_axes(dim, self.ndim, "squeeze")
        return self.reshape(tuple([size for i, size in enumerate(self.shape) if size != 1 or i not in dims]))

    def unsqueeze(self, dim: int) -> Self:
        """With a dimension of size 1 at dim."""
        dim = self._dim(dim, "unsqueeze", extra=1)
        return self.reshape((*self.shape[:dim], 1, *self.shape[dim:]))

    def expand(self, *shape: Any) -> Self:
        """Dimensions of size 1 repeated to fill shape; -1 or None keeps a size, new dimensions may come in front."""
        sizes = [-1 if size is None else size for size in flat(shape)]
        return self._derived(expanded(self._node, shapes.expanded(self.shape, sizes)))

    def expand_as(self, other: Self) -> Self:
        """Expanded to the shape of other."""
        return self.expand(other.shape)

    def _broadcasted(self, *others: Self) -> tuple[Self, ...]:
        tensors = (self, *others)
        nodes = broadcast(*[tensor._node for tensor in tensors])
        return tuple([tensor._derived(node) for tensor, node in zip(tensors, nodes)])

    # Order ------------------------------------------------------------------------------------------------------

    def permute(self, *order: Any) -> Self:
        """The dimensions in another order."""
        return self._derived(graph.permute(self._node, shapes.normal_order(flat(order), self.ndim, "permute")))

    def transpose(self, dim0: int = 1, dim1: int = 0) -> Self:
        """With two dimensions exchanged."""
        order = list(range(self.ndim))
        dim0, dim1 = self._dim(dim0, "transpose"), self._dim(dim1, "transpose")
        order[dim0], order[dim1] = dim1, dim0
        return self._derived(graph.permute(self._node, tuple(order)))

    @property
    def T(self) -> Self:
        """The transpose of a matrix; the dimensions of any tensor in reverse order."""
        return self._derived(graph.permute(self._node, tuple(range(self.ndim))[::-1]))

    @property
    def mT(self) -> Self:
        """The last two dimensions exchanged: each matrix of a batch transposed."""
        return self.transpose(-1, -2)

    def movedim(self, source: int, destination: int) -> Self:
        """Dimension source moved to place destination."""
        source, destination = self._dim(source, "movedim"), self._dim(destination, "movedim")
        order = [dim for dim in range(self.ndim) if dim != source]
        order.insert(destination, source)
        return self.permute(*order)

    def flip(self, *dims: Any) -> Self:
        """Reversed along the given dimensions."""
        return self._derived(graph.flip(self._node, shapes.normal_axes(flat(dims), self.ndim, "flip")))

    @composite
    def roll(self, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Self:
        """Shifted along dims; what leaves at the end comes in at the front. Without dims the flattened tensor rolls."""
        if dims is None:
            if not isinstance(shifts, int):
                raise ValueError("roll() without dims takes one shift; name the dimensions of several shifts")
            return self.flatten().roll(shifts, 0).reshape(self.shape)
        pairs = zip(_sequence(shifts), _sequence(dims), strict=True)
        return reduce(lambda x, pair: x._rolled(*pair), pairs, self)

    def _rolled(self, shift: int, dim: int) -> Self:
        dim = self._dim(dim, "roll")
        n = self.shape[dim]
        shift = shift % n if n else 0
        return self if not shift else self._between(dim, n - shift, n).cat(self._between(dim, 0, n - shift), dim=dim)

    # Parts ------------------------------------------------------------------------------------------------------

    def shrink(self, arg: Sequence[tuple[int, int] | None]) -> Self:
        """The part from start to stop of each dimension; None keeps all of it."""
        if len(arg) != self.ndim:
            raise ShapeError(f"shrink of {self.shape} takes {self.ndim} (start, stop) pairs, got {len(arg)}")
        bounds = tuple([(0, n) if pair is None else (pair[0], pair[1]) for n, pair in zip(self.shape, arg)])
        if any(not 0 <= start <= stop <= n for n, (start, stop) in zip(self.shape, bounds)):
            raise ShapeError(f"shrink of {self.shape} to {bounds}: bounds must satisfy 0 <= start <= stop <= size")
        return self._derived(graph.shrink(self._node, bounds))

    def _between(self, dim: int, start: int, stop: int) -> Self:
        """The part from start to stop of one dimension, counted from the front."""
        bounds = tuple([(start, stop) if i == dim else (0, n) for i, n in enumerate(self.shape)])
        return self._derived(graph.shrink(self._node, bounds))

    def narrow(self, dim: int, start: int, length: int) -> Self:
        """`length` elements of dimension dim from start on."""
        dim = self._dim(dim, "narrow")
        start += self.shape[dim] if start < 0 else 0
        return self.shrink([(start, start + length) if i == dim else None for i in range(self.ndim)])

    def split(self, sizes: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Consecutive parts of dimension dim: of the given sizes, or all of one size with a smaller last one."""
        dim = self._dim(dim, "split")
        stops = list(accumulate(shapes.part_sizes(self.shape[dim], sizes)))
        return tuple([self._between(dim, start, stop) for start, stop in zip([0, *stops], stops)])

    def chunk(self, chunks: int, dim: int = 0) -> list[Self]:
        """At most `chunks` parts of dimension dim, of equal size but for the last."""
        if chunks <= 0:
            raise ShapeError(f"chunk() needs at least one chunk, got {chunks}")
        n = self.shape[self._dim(dim, "chunk")]
        return list(self.split(-(-n // chunks), dim)) if n else [self] * chunks

    @composite
    def tensor_split(self, parts: int | Sequence[int], dim: int = 0) -> tuple[Self, ...]:
        """Exactly `parts` parts of dimension dim, the first ones longer by 1 if need be; or its parts between places.

        >>> [part.tolist() for part in Tensor.arange(5).tensor_split(3)]
        [[0, 1], [2, 3], [4]]
        """
        n = self.shape[self._dim(dim, "tensor_split")]
        if isinstance(parts, int):
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
        dim = self._dim(dim, "unfold")
        shapes.window_count(self.shape[dim], size, step, 1, "unfold")
        return self._window(dim, size, step).movedim(dim + 1, -1)

    def _window(self, dim: int, size: int, stride: int = 1, dilation: int = 1) -> Self:
        return self._derived(graph.window(self._node, dim, size, stride, dilation))

    @composite
    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Self:
        """The elements [i, i + offset] of dimensions dim1 and dim2, which one last dimension replaces."""
        dim1, dim2 = self._dim(dim1, "diagonal"), self._dim(dim2, "diagonal")
        rest = [dim for dim in range(self.ndim) if dim not in (dim1, dim2)]
        x = self.permute(*rest, dim1, dim2)
        rows, columns = x.shape[-2:]
        length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
        top, left = max(-offset, 0), max(offset, 0)
        square = x.narrow(-2, min(top, rows), length).narrow(-1, min(left, columns), length)
        lead = square.shape[:-2]
        if not length:
            return square.reshape(*lead, 0)
        padded = square.reshape(*lead, length * length)._zero_padded(x.ndim - 2, 0, length)
        return padded.reshape(*lead, length, length + 1)._between(x.ndim - 1, 0, 1).reshape(*lead, length)

    def diag(self) -> Self:
        """The matrix with a vector on its diagonal, or the diagonal of a matrix."""
        if self.ndim == 2:
            return self.diagonal()
        if self.ndim != 1:
            raise ShapeError(f"diag() takes a vector or a matrix, got {self.shape}; diagonal() takes any tensor")
        return type(self).eye(self.shape[0], dtype="bool").where(self.unsqueeze(-1), 0)

    # Padding, repeating and joining -----------------------------------------------------------------------------

    def _zero_padded(self, dim: int, before: int, after: int) -> Self:
        pads = tuple([(before, after) if i == dim else (0, 0) for i in range(self.ndim)])
        return self._derived(graph.pad(self._node, pads))

    @composite
    def pad(self, padding: Sequence[Any], mode: str = "constant", value: float = 0.0) -> Self:
        """Enlarged by elements around each dimension; negative amounts crop.

        padding   flat, as torch has it: (before, after) of the last dimension, then of the one before it, ...;
                  or a (before, after) pair or None for every dimension, the first one first
        mode      "constant" (value), "reflect", "replicate" or "circular"
        """
        pads = self._paddings(padding)
        if mode not in ("constant", "reflect", "replicate", "circular"):
            raise ValueError(f"pad mode is constant, reflect, replicate or circular, got {mode!r}")
        if mode != "constant":
            return reduce(lambda x, item: x._mode_padded(mode, *item), enumerate(pads), self)
        bounds = [(max(0, -lo), n - max(0, -hi)) for n, (lo, hi) in zip(self.shape, pads)]
        kept = tuple([(max(0, lo), max(0, hi)) for lo, hi in pads])
        x = self.shrink([(start, max(start, stop)) for start, stop in bounds])
        zeros = x._derived(graph.pad(x._node, kept))
        if value == 0 or zeros.shape == x.shape:
            return zeros
        inside = graph.pad(graph.full(x.shape, True, dtypes.bool), kept)
        return x._wrap(inside, None).where(zeros, value)

    def _paddings(self, padding: Sequence[Any]) -> tuple[tuple[int, int], ...]:
        """Both forms of a padding as one (before, after) pair for each dimension.

        raises ShapeError
        """
        if all(isinstance(item, int) for item in padding):
            if len(padding) % 2 or len(padding) > 2 * self.ndim:
                raise ShapeError(f"pad{tuple(padding)} of {self.shape}: give (before, after) for some last dimensions")
            pairs = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)][::-1]
            return ((0, 0),) * (self.ndim - len(pairs)) + tuple(pairs)
        return shapes.normal_pads([(0, 0) if pair is None else pair for pair in padding], self.shape)

    def _mode_padded(self, mode: str, dim: int, pads: tuple[int, int]) -> Self:
        """Padded along one dimension with elements of its own."""
        n, (before, after) = self.shape[dim], pads
        limit = n - 1 if mode == "reflect" else n
        if min(pads) < 0 or (mode != "replicate" and max(pads) > limit):
            raise ShapeError(f"pad {pads} of dimension {dim} of {self.shape}: mode {mode} allows 0 to {limit} elements")
        if not before and not after:
            return self
        if mode == "replicate":
            first, last = self._between(dim, 0, 1), self._between(dim, n - 1, n)
            front, back = (end.repeat_interleave(count, dim) for end, count in zip((first, last), pads))
        elif mode == "circular":
            front, back = self._between(dim, n - before, n), self._between(dim, 0, after)
        else:
            front, back = self._between(dim, 1, before + 1), self._between(dim, n - 1 - after, n - 1)
            front, back = front.flip(dim), back.flip(dim)
        return front.cat(self, back, dim=dim)

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

    @composite
    def repeat_interleave(self, repeats: int, dim: int | None = None) -> Self:
        """Each element along dim repeated in place; without dim, of the flattened tensor."""
        x, dim = (self.flatten(), 0) if dim is None else (self, self._dim(dim, "repeat_interleave"))
        shape = x.shape
        wide = x.unsqueeze(dim + 1).expand(*shape[: dim + 1], repeats, *shape[dim + 1 :])
        return wide.reshape(*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :])

    @composite
    def cat(self, *others: Self, dim: int = 0) -> Self:
        """This tensor and others joined along dim; Tensor.cat(a, b, c, dim=...) as well.

        raises ShapeError when another dimension differs
        """
        tensors = (self, *others)
        dim = self._dim(dim, "cat")
        shapes.joined_shape([x.shape for x in tensors], dim)
        return self._joined(tensors, dim)

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
            return tensors[0].cast(promote(*[x.dtype for x in tensors]))
        result = padded[-1]
        for x, stop in zip(padded[-2::-1], ends[-2::-1]):
            result = (position < stop).where(x, result)
        return result

    @composite
    def stack(self, *others: Self, dim: int = 0) -> Self:
        """This tensor and others, of one shape, along a new dimension; Tensor.stack(a, b, c, dim=...) as well."""
        tensors = [x.unsqueeze(dim) for x in (self, *others)]
        return tensors[0].cat(*tensors[1:], dim=self._dim(dim, "stack", extra=1))

    def meshgrid(self, *others: Self, indexing: str = "ij") -> tuple[Self, ...]:
        """Vectors expanded to the grid they span: result i varies along dimension i; "xy" exchanges the first two."""
        if indexing not in ("ij", "xy"):
            raise ValueError(f"indexing is 'ij' or 'xy', got {indexing!r}")
        vectors = [x.reshape(-1) for x in (self, *others)]
        order = list(range(len(vectors)))
        if indexing == "xy" and len(vectors) > 1:
            order[:2] = [1, 0]
        shape = [vectors[i].shape[0] for i in order]
        columns = [x.reshape([-1 if place == i else 1 for place in order]) for i, x in enumerate(vectors)]
        return tuple([x.expand(shape) for x in columns])

    def _triangle(self, diagonal: int, lower: bool) -> Self:
        if self.ndim < 2:
            raise ShapeError(f"tril() and triu() take a matrix or a batch of them, got {self.shape}")
        rows = self._wrap(graph.reshape(graph.iota(self.shape[-2]), (self.shape[-2], 1)), None)
        columns = self._wrap(graph.iota(self.shape[-1]), None)
        kept = columns <= rows + diagonal if lower else columns >= rows + diagonal
        return kept.where(self, self._constant(0))

    @composite
    def tril(self, diagonal: int = 0) -> Self:
        """Zero above the given diagonal."""
        return self._triangle(diagonal, lower=True)

    @composite
    def triu(self, diagonal: int = 0) -> Self:
        """Zero below the given diagonal."""
        return self._triangle(diagonal, lower=False)

    # Storage ----------------------------------------------------------------------------------------------------

    def contiguous(self) -> Self:
        """The same values, computed into memory of their own rather than inside their user's kernel."""
        return self._derived(graph.contiguous(self._node))

    def to(self, device: str | None) -> Self:
        """The same values on another device."""
        place = Device.canonicalize(device)
        return self if place == self.device else self._derived(graph.copy(self._node, place))

    def to_(self, device: str | None) -> Self:
        """Itself, its values moved to another device."""
        self._rename(self.detach().to(device)._node)
        return self


def _sequence(value: int | Sequence[int]) -> Sequence[int]:
    return (value,) if isinstance(value, int) else value
