"""Indexing: views by slices, elements by tensors of indices, masks, and assignment to each.

Comes in: the index expressions of Python, with NumPy's meaning.  Goes out: views where integers, slices, None and ...
are enough; gathers where tensors pick elements; for assignments, a tensor with the new elements in place.  An index out
of range raises IndexError at once when Python knows it, else when the values are next synchronised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, prod
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import ArgumentError, DTypeError, KindError, PlaceError, ShapeError
from kernelforge.graph import Node
from kernelforge.native import compiled
from kernelforge.recording import recorder, spelling
from kernelforge.shape import broadcast_shapes
from kernelforge.tensor.aliases import chains, numbers_of_ways, put, walked, way
from kernelforge.tensor.broadcasting import expanded
from kernelforge.tensor.composite import assigning, composite, viewing
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.scatter import Scatter, from_front
from kernelforge.tensor.selection import Part, Selection, View, kept, of_view
from kernelforge.tensor.spent import either
from kernelforge.tensor.storage import told

FEW_ELEMENTS: Final = 1 << 14  # that the host copies in some microseconds
MOST_LISTS, MOST_LISTED = 256, 64  # lists of indices that are kept, and their lengths
MOST_NUMBERS: Final = 1024  # that are kept as elements become them
_numbers: Final[dict[tuple[Any, ...], Node]] = {}
_lists: Final[dict[tuple[Any, ...], Any]] = {}


class Index(Scatter):
    """Indexing with NumPy's rules."""

    __slots__ = ()

    @viewing
    def __getitem__(self, index: Any) -> Self:
        if isinstance(index, Core) and self.ndim:
            if index.dtype.is_int:
                return self._slices(0, index)  # type: ignore[arg-type]
            if index.dtype is dtypes.bool and index.shape and index.shape == self.shape[: index.ndim]:
                return self._chosen_by(index)  # type: ignore[arg-type]
        if type(index) is tuple and 1 < len(index) <= self.ndim and are_places(index):
            return self._elements(*index)
        if type(index) is list and self.ndim and (places := self._listed(index)) is not None:
            return self._slices(0, places)
        selection = self._selection(index)
        viewed = self._viewed(selection)
        return viewed if not selection.picks else viewed._picked(selection)

    @composite
    def _with_part_replaced(self, parts: tuple[int, ...], shape: tuple[int, ...], value: Self) -> Self:
        """This tensor with the elements that `Selection.view` tells of replaced by value, broadcast to them.

        raises ShapeError
        """
        selection = of_view(parts, shape, self.shape)
        if broadcast_shapes(selection.shape, value.shape, what="assignment") != selection.shape:
            raise ShapeError(f"cannot assign {value.shape} to a part of shape {selection.shape}: it does not broadcast")
        placed, inside = selection.put_back(expanded(value._node, selection.shape)), selection.inside
        if graph.uniform(inside) is not None:
            return value._derived(placed) if prod(selection.shape) else self
        return self._wrap(inside, None).where(value._derived(placed), self)

    @composite
    def _with_view_replaced(self, number: int, value: Self) -> Self:
        """This tensor with the elements of a view, of which the way has a number, being those of value."""
        return self._derived(put(self._node, way(number), value._node))

    @assigning(_with_part_replaced, __getitem__, lambda tensor, index: tensor._part_named(index))
    def __setitem__(self, index: Any, value: Operand | Sequence[Any]) -> None:
        """Replace elements, also in the tensors this one is a view of and in its views; lists are arrays, as in NumPy.

        >>> x = Tensor.zeros(4)
        >>> x[1:3] = [5, 6]
        >>> x.tolist()
        [0.0, 5.0, 6.0, 0.0]
        """
        source = self._cast_source(value)
        if type(index) is list and self.ndim and (places := self._listed(index)) is not None:
            index = places
        mask = self._plain_mask(index, source)
        if mask is not None:
            result = mask.where(source if source.ndim <= self.ndim else source.reshape(()), self)
            if result.shape != self.shape:
                raise ShapeError(f"elements of {self.shape} chosen by a mask cannot become {source.shape}")
        elif isinstance(index, Core) and self.ndim and index.dtype.is_int:
            result = self._with_named("set", source, index)  # type: ignore[arg-type]
        elif type(index) is tuple and 1 < len(index) <= self.ndim and are_places(index):
            result = self._with_named("set", source, *index)
        else:
            selection = self._selection(index)
            if _is_part(source, self, selection):
                return  # x[i] += y: the part is what it shows already
            if selection.picks:
                source = self._viewed_apart(selection)._with_picked(selection, source)
            result = self._with_part_replaced(*selection.view, source)
        self._in_place(result)  # type: ignore[attr-defined]

    def _part_named(self, index: Any) -> View | None:
        """The part an index names, as numbers, where nothing is picked."""
        selection = self._selection(index)
        return None if selection.picks else selection.view

    def _cast_source(self, value: Operand | Sequence[Any]) -> Self:
        """What elements of this tensor are to become, as a tensor of its type; lists are arrays.

        raises DTypeError for complex numbers among real ones, but for those of a tensor, of which the real parts count
        """
        if value.__class__ is float or value.__class__ is int:
            key = value.__class__, value or str(value), self._node.dtype.name, dtypes.default_float, dtypes.default_int
            if (node := _numbers.get(key)) is None:
                if len(_numbers) >= MOST_NUMBERS:
                    _numbers.clear()
                node = _numbers[key] = self._of_its_kind(value)._node
            return self._wrap(node, None)
        if isinstance(value, Core):
            return value.cast(self.dtype)  # type: ignore[attr-defined]
        if isinstance(value, Sequence):
            kind = self.dtype if self.dtype.is_inexact else None
            value = type(self)(value, device=self._node.device, dtype=kind)
        return self._of_its_kind(value)

    def _of_its_kind(self, value: Operand) -> Self:
        """What elements of this tensor are to become, as a tensor of its type.

        raises DTypeError for complex numbers among real ones, for infinity and NaN among integers
        """
        if isinstance(value, complex | np.complexfloating) and not self.dtype.is_complex:
            return self._wrap(graph.const(value, self.dtype), None)  # type: ignore[arg-type]
        if isinstance(value, float | np.floating) and self.dtype.is_int and not isfinite(value):
            raise DTypeError(f"{value} cannot be put into a tensor of {self.dtype}; cast() the tensor")
        source = self._as_tensor(value)
        if source.dtype.is_complex and self.dtype.kind not in "bc":
            raise DTypeError(f"{source.dtype} cannot be put into a tensor of {self.dtype}: take its real part")
        return source.cast(self.dtype)

    def __iter__(self) -> Iterator[Self]:
        if not self.shape:
            raise KindError("a tensor without dimensions cannot be iterated over; item() gives its value")
        return (self[i] for i in range(self.shape[0]))

    # Views ------------------------------------------------------------------------------------------------------

    def _viewed(self, selection: Selection) -> Self:
        """The elements of the selection's parts, before any picking."""
        return self._view(walked(self._node, selection.steps), *selection.steps)

    def _viewed_apart(self, selection: Selection) -> Self:
        """What `_viewed` gives, that stays as it is when this tensor changes in place."""
        return self._derived(walked(self._node, selection.steps))

    # Picks ------------------------------------------------------------------------------------------------------

    @composite
    def _slices(self, dim: int, index: Self) -> Self:
        """The slices of a dimension that indices name."""
        selection = self._selection((*(slice(None),) * dim, index))
        return self._picked(selection)

    @composite
    def _with_named(self, mode: str, value: Self, *indices: Self) -> Self:
        """This tensor with what indices of the first dimensions name replaced by value, broadcast to it, or "add"ed to.

        raises ShapeError
        """
        selection = self._selection(indices)
        return self._with_part_replaced(
            *selection.view, self._viewed_apart(selection)._with_picked(selection, value, mode)
        )

    def _listed(self, index: list[Any]) -> Self | None:
        """A short list of indices of the first dimension as a tensor, which is made once; None for another list, and
        while a function is recorded.

        raises IndexError
        """
        if not 0 < len(index) <= MOST_LISTED or any(item.__class__ is not int for item in index):
            return None
        if recorder.get() is not None:  # what a capture makes is its own, and it finds no tensor that others made
            return None
        key = (tuple(index), self.shape[0], self.device, type(self))
        found: Self | None = _lists.get(key)
        if found is None:
            if len(_lists) >= MOST_LISTS:
                _lists.clear()
            node = self._index_array(np.asarray(index), 0)
            found = _lists[key] = self._wrap(node, None)
        return found

    def _chosen_by(self, given: Self) -> Self:
        """The elements where a mask of the first dimensions is true: rows of these dimensions as one."""
        if compiled is not None and not spelling.get() and (node := compiled.chosen(self, given)) is not None:
            return self._wrap(told(node, node.dtype.itemsize * prod(node.shape)), None)
        mask: NDArray[Any] = given.numpy()
        if self._is_at_hand():
            chosen = self.numpy()[mask]
            return type(self)(chosen, device=self._node.device, dtype=self.dtype)
        places = np.flatnonzero(mask).astype(np.int32 if mask.size < 1 << 31 else np.int64)
        rows = self._derived(graph.reshape(self._node, (mask.size, *self.shape[mask.ndim :])))
        return rows._slices(0, type(self)(places, device=self._node.device))

    def _is_at_hand(self) -> bool:
        """Whether there are few elements, which are computed and no more than values: the host takes less time to look
        at them than it takes to hand over what is done with them."""
        few = self.numel() <= FEW_ELEMENTS and self.dtype.shown == self.dtype.numpy
        return few and not self._tracked and self._stored is not None and recorder.get() is None and not spelling.get()

    @composite
    def _elements(self, *indices: Self) -> Self:
        """What indices of the first dimensions name together."""
        return self._picked(self._selection(indices))

    def _where_allowed(self, allowed: Self, rule: int) -> Self:
        """This tensor; to compute it is an error where it is not allowed.

        rule   the one it breaks, a key of `checked.RULES`
        """
        place = graph.cast(graph.elementwise("not", allowed.detach().flatten()._node), dtypes.int32)
        found = graph.gather(graph.full((1,), rule, dtypes.int32), place, 0)
        ones = graph.elementwise("eq", found, graph.full(found.shape, rule, dtypes.int32))
        return self * self._wrap(graph.reshape(graph.cast(ones, self.dtype), self.shape), None)

    def _merged(self, selection: Selection) -> tuple[tuple[int, ...], Self, int, Node]:
        """The picked dimensions of this view brought together as one.

        returns the order of dimensions that does so, the view in it, the merged dimension, and a flat index into it
        raises  IndexError when there is nothing to pick from
        """
        dims = sorted(selection.picks)
        adjacent = dims == list(range(dims[0], dims[-1] + 1))
        first = dims[0] if adjacent else 0
        rest = [dim for dim in range(self.ndim) if dim not in selection.picks]
        order = (*rest[:first], *dims, *rest[first:])
        sizes = [self.shape[dim] for dim in dims]
        x = self.permute(order)
        x = x.reshape(*x.shape[:first], prod(sizes), *x.shape[first + len(dims) :])
        shape = broadcast_shapes(*[node.shape for node in selection.picks.values()], what="indexing")
        if 0 in sizes and 0 not in shape:
            raise PlaceError(f"indexing a tensor of shape {self.shape}: dimensions {dims} have no elements to pick")
        picks = [self._wrap(expanded(selection.picks[dim], shape), None) for dim in dims]
        index = _flat_index(picks, sizes) if len(picks) > 1 else picks[0]
        return order, x, first, index._node

    def _picked(self, selection: Selection) -> Self:
        """The elements of this view at the selection's picks."""
        picks = [self._wrap(node, None) for node in selection.picks.values()]
        return self._at_places(tuple(selection.picks), selection.place, *picks)

    @composite
    def _at_places(self, dims: tuple[int, ...], place: int, *picks: Self) -> Self:
        """The elements at the indices of some dimensions, whose dimensions go to a place among the others."""
        selection = Selection((), self.shape, {dim: pick._node for dim, pick in zip(dims, picks)}, place, self.shape)
        _, x, dim, index = self._merged(selection)
        count = index.size
        aligned = graph.reshape(index, tuple([count if i == dim else 1 for i in range(x.ndim)]))
        shape = tuple([count if i == dim else n for i, n in enumerate(x.shape)])
        found = x._derived(graph.gather(x._node, graph.expand(aligned, shape), dim))
        found = found.reshape(*shape[:dim], *index.shape, *shape[dim + 1 :])
        return found._moved(dim, selection.place, len(index.shape))

    def _with_picked(self, selection: Selection, value: Self, mode: str = "set") -> Self:
        """This view with the elements at the selection's picks replaced by value, broadcast to them, or "add"ed to.

        raises ShapeError
        """
        picks = [self._wrap(node, None) for node in selection.picks.values()]
        return self._with_elements(tuple(selection.picks), selection.place, mode, value, *picks)

    @composite
    def _with_elements(self, dims: tuple[int, ...], place: int, mode: str, value: Self, *picks: Self) -> Self:
        """`_with_picked` of the indices of some dimensions, whose dimensions are at a place among value's others."""
        selection = Selection((), self.shape, {dim: pick._node for dim, pick in zip(dims, picks)}, place, self.shape)
        order, x, dim, index = self._merged(selection)
        rest = [n for i, n in enumerate(x.shape) if i != dim]
        count = index.size
        target = (*rest[:place], *index.shape, *rest[place:])
        if broadcast_shapes(target, value.shape, what="assignment") != target:
            raise ShapeError(f"cannot assign {value.shape} to picked elements of shape {target}")
        source = value._derived(expanded(value._node, target))._moved(place, dim, len(index.shape))
        shape = tuple([count if i == dim else n for i, n in enumerate(x.shape)])
        aligned = graph.reshape(index, tuple([count if i == dim else 1 for i in range(x.ndim)]))
        source = source.reshape(shape)
        node = graph.scatter(x._node, graph.expand(aligned, shape), source._node, dim, mode)
        result = self._wrap(node, either(self._tracked, value._tracked))
        inverse = tuple([order.index(i) for i in range(self.ndim)])
        return result.reshape([self.shape[i] for i in order]).permute(inverse)

    def _moved(self, source: int, destination: int, count: int) -> Self:
        """`count` neighbouring dimensions moved from one place to another."""
        if source == destination:
            return self
        rest = [i for i in range(self.ndim) if not source <= i < source + count]
        return self.permute(*rest[:destination], *range(source, source + count), *rest[destination:])

    # Taking an index expression apart ---------------------------------------------------------------------------

    def _selection(self, index: Any) -> Selection:
        """The meaning of an index expression for this tensor's shape.

        raises IndexError
        """
        return kept(self._node.shape, index, lambda: self._taken_apart(index))

    def _taken_apart(self, index: Any) -> Selection:
        items = self._filled(index)
        parts: list[Part] = []
        shape: list[int] = []
        picks: dict[int, Node] = {}
        advanced: list[tuple[int, int]] = []  # position in the expression, dimensions of the result before it
        for position, item in enumerate(items):
            dim = len(parts)
            if item is Ellipsis:
                continue
            if item is None:
                shape.append(1)
            elif isinstance(item, slice):
                parts.append(_part(item, self.shape[dim]))
                shape.append(parts[-1].count)
            elif isinstance(item, bool):  # a mask without dimensions: one element, or none, of a new dimension
                advanced.append((position, len(shape) - len(picks)))
                picks[len(shape)] = self._all_or_none(item)
                shape.append(1)
            elif isinstance(item, Node):
                advanced.append((position, len(shape) - len(picks)))
                picks[len(shape)] = item
                parts.append(Part(0, 1, self.shape[dim]))
                shape.append(self.shape[dim])
            else:
                advanced.append((position, len(shape) - len(picks)))
                parts.append(Part(_checked(item, dim, self.shape), 1, 1))
        together = not advanced or advanced[-1][0] - advanced[0][0] == len(advanced) - 1
        place = advanced[0][1] if advanced and together else 0
        return Selection(tuple(parts), tuple(shape), picks, place, self.shape)

    def _filled(self, index: Any) -> list[Any]:
        """An item for each dimension: integers, slices, and nodes of indices in normal form; between them None, ...
        and what masks without dimensions say.

        The ... stays, after the slices it stands for: even where it stands for none, it parts picks on its two sides.

        raises IndexError
        """
        several = isinstance(index, tuple) or (isinstance(index, list) and any(map(_parts_a_list, index)))
        items = [self._classified(item) for item in (index if several else (index,))]
        widths = [_width(item) for item in items]
        ellipses = sum(item is Ellipsis for item in items)
        missing = self.ndim - sum(widths)
        if missing < 0:
            raise PlaceError(f"too many indices: {sum(widths)} for {self.ndim} dimensions of a tensor of {self.shape}")
        if ellipses > 1:
            raise PlaceError("an index has at most a single ellipsis (...)")
        if not ellipses:
            items, widths = [*items, Ellipsis], [*widths, 0]
        result: list[Any] = []
        dim = 0
        for item, width in zip(items, widths):
            if item is Ellipsis:
                result += [slice(None)] * missing + [Ellipsis]
                dim += missing
            else:
                result += self._resolved(item, dim)
                dim += width
        return result

    def _classified(self, item: Any) -> Any:
        """One item of an index expression as None, Ellipsis, a slice, an int, an array or a tensor.

        raises IndexError
        """
        if item is None or item is Ellipsis or isinstance(item, slice | Core):
            return item
        if isinstance(item, list | tuple | range | np.ndarray):
            try:
                array = np.asarray(item)
            except ValueError as error:
                raise PlaceError(
                    f"a list used as an index holds integers or bool in equal rows: {item!r}"
                ) from error
            array = array.astype(np.int32) if not array.size and array.dtype.kind == "f" else array
            if array.dtype.kind not in "biu":
                raise PlaceError(f"arrays used as indices hold integers or bool, not {array.dtype}")
            return array
        if isinstance(item, bool | np.bool_):
            return np.asarray(item)
        if not hasattr(item, "__index__"):
            raise PlaceError(f"an index is an integer, slice, None, ..., or a tensor or list of them, not {item!r}")
        return item.__index__()

    def _resolved(self, item: Any, dim: int) -> list[Any]:
        """What an item means for dimension dim and, if it is a mask, for those after it.

        raises IndexError
        """
        if isinstance(item, Core):
            if item.dtype is dtypes.bool:
                return self._resolved(item.numpy(), dim)  # type: ignore[attr-defined]
            if not item.dtype.is_int:
                raise PlaceError(f"tensors used as indices hold integers or bool, not {item.dtype}; cast them")
            return [from_front(item, self.shape[dim])._node]
        if not isinstance(item, np.ndarray):
            return [item]
        if item.dtype != np.bool_:
            return [self._index_array(item, dim)]
        if not item.ndim:
            return [bool(item)]
        covered = self.shape[dim : dim + item.ndim]
        if item.ndim > len(covered) or not all(n in (size, 0) for n, size in zip(item.shape, covered)):
            raise PlaceError(f"a mask of {item.shape} does not fit dimensions {covered} of a tensor of {self.shape}")
        return [type(self)(places, device=self._node.device)._node for places in true_places(item)]

    def _all_or_none(self, chosen: bool) -> Node:
        """The indices of all elements of a dimension of one, or of none."""
        return type(self)(np.zeros(int(chosen), np.int32), device=self._node.device)._node

    def _index_array(self, array: np.ndarray, dim: int) -> Node:
        """An array of indices as a node.

        raises IndexError at once when one is out of range
        """
        n = self.shape[dim]
        if array.size and not -n <= int(array.min()) <= int(array.max()) < n:
            bad = array.min() if array.min() < -n else array.max()
            raise PlaceError(f"index {bad} is out of bounds for dimension {dim} of a tensor of shape {self.shape}")
        kind = dtypes.int32 if n < 1 << 31 else dtypes.int64
        return type(self)(np.where(array < 0, array + n, array), device=self._node.device, dtype=kind)._node

    def _plain_mask(self, index: Any, value: Self) -> Self | None:
        """The mask, aligned with this tensor, if index is one and value needs no counting of its true elements."""
        if isinstance(index, np.ndarray) and index.dtype == np.bool_:
            index = type(self)(index, device=self._node.device)
        if not isinstance(index, Index) or index.dtype is not dtypes.bool or index.shape != self.shape[: index.ndim]:
            return None
        trailing = self.ndim - index.ndim
        if value.ndim > trailing and value.numel() != 1:
            return None
        return index.reshape(*index.shape, *(1,) * trailing) if trailing else index  # type: ignore[return-value]


def true_places(mask: np.ndarray) -> np.ndarray:
    """The indices [ndim, count] of the true elements of a bool array, in order: int32 as long as these can tell.

    Taken apart from places in the flattened array, which are found ten times as fast.

    >>> true_places(np.array([[False, True], [True, True]])).tolist()
    [[0, 1, 1], [1, 0, 1]]
    """
    rest: NDArray[Any] = np.flatnonzero(mask).astype(np.int32 if mask.size < 1 << 31 else np.int64)
    found = np.empty((mask.ndim, rest.size), rest.dtype)
    for dim in reversed(range(1, mask.ndim)):
        size = mask.shape[dim] or 1
        whole = rest // size
        found[dim], rest = rest - whole * size, whole
    found[:1] = rest
    return found


def _is_part(value: Any, tensor: Any, selection: Selection) -> bool:
    """True when a tensor is the very view of another that a selection gives."""
    place, whole = getattr(value, "_place", None), getattr(tensor, "_place", None)
    if place is None or whole is None or selection.picks or place.family is not whole.family:
        return False
    return bool(place.steps == (*whole.steps, *selection.steps))


def _part(item: slice, n: int) -> Part:
    try:
        start, stop, step = item.indices(n)
    except TypeError:
        raise KindError(f"the bounds of a slice are integers or None, got {item}") from None
    except ValueError:
        raise ArgumentError(f"the step of a slice is not 0, got {item}") from None
    return Part(start, step, len(range(start, stop, step)))


def are_places(items: Sequence[object]) -> bool:
    """Whether indices are tensors of places."""
    return all(isinstance(item, Core) and item.dtype.is_int for item in items)


def _checked(index: int, dim: int, shape: tuple[int, ...]) -> int:
    n = shape[dim]
    if not -n <= index < n:
        raise PlaceError(f"index {index} is out of bounds for dimension {dim} of a tensor of shape {shape}")
    return index + n if index < 0 else index


def _parts_a_list(item: Any) -> bool:
    """True for what is no element of an array: a list with it lists the indices of dimensions, as in torch."""
    return item is None or item is Ellipsis or isinstance(item, slice)


def _width(item: Any) -> int:
    """The number of dimensions an item of an index expression covers."""
    if item is None or item is Ellipsis:
        return 0
    mask = item.dtype in (dtypes.bool, np.bool_) if isinstance(item, Core | np.ndarray) else False
    return item.ndim if mask else 1


def _flat_index(picks: list[Any], sizes: list[int]) -> Any:
    """One index into dimensions of the given sizes taken as one; out of its range where any index is out of its own."""
    total = prod(sizes)
    kind = dtypes.int64 if total >= 1 << 31 or any(pick.dtype is dtypes.int64 for pick in picks) else dtypes.int32
    flat = picks[0].cast(kind)
    inside = (picks[0] >= 0) & (picks[0] < sizes[0])
    for pick, n in zip(picks[1:], sizes[1:]):
        flat = flat * n + pick.cast(kind)
        inside = inside & (pick >= 0) & (pick < n)
    return inside.where(flat, total)


if compiled is not None:
    compiled.set_put_back(Index._with_view_replaced.recipes, numbers_of_ways, chains)  # type: ignore[attr-defined]
