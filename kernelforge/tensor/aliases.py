"""Which tensors show the same elements: a tensor, its views and the views of these are a family.

Comes in: views, as they are made, with the steps that lead to them.  Goes out: when one of a family changes in place,
the nodes the others stand for from then on.  Nodes never change, so nothing that was computed before is affected, and
a graph holds no tensor; a family holds its tensors weakly.

Steps are ("reshape", shape), ("permute", order), ("shrink", bounds), ("flip", axes), ("expand", shape), ("detach",
None), ("stride", (axis, step)), which takes every step-th place of an axis, and of complex numbers ("part", "real" or
"imag"), ("parts", None), which adds a dimension for both, and ("numbers", None), which is that undone; ("bits", (type,
type before)) reads the same bits as another type.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ref

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.graph import Node, Shape
from kernelforge.native import NO_MORE, compiled, record
from kernelforge.recording import spelling

if TYPE_CHECKING:
    _Fields = object
else:
    _Fields = record("Family", "_members", "_room", "shape")

Step = tuple[str, Any]
Strides = tuple[int, ...]
FEW: Final = 8  # members a family has before it looks for those that are gone


class Family(_Fields):
    """Tensors that may show the same elements.

    shape  of the first, from which the steps of all others begin
    """

    shape: Shape
    _members: list[ref[Any]]
    _room: int

    __slots__ = NO_MORE

    def __init__(self, shape: Shape) -> None:
        self.shape, self._members, self._room = shape, [], FEW

    def add(self, tensor: Any) -> None:
        """Take a tensor in, and now and then forget those that are gone."""
        if len(self._members) >= self._room:
            self._members = [member for member in self._members if member() is not None]
            self._room = max(FEW, 2 * len(self._members))
        self._members.append(ref(tensor))

    def places(self) -> list[tuple[Any, tuple[Step, ...]]]:
        """The tensors that are still there and belong to it, with their steps."""
        alive = [tensor for member in self._members if (tensor := member()) is not None]
        found = [(tensor, getattr(tensor, "_place", None)) for tensor in alive]
        return [(tensor, place.steps) for tensor, place in found if place is not None and place.family is self]


class Place(NamedTuple):
    """A tensor's place in its family: the steps that lead to it."""

    family: Family
    steps: tuple[Step, ...]


def join(parent: Any, view: Any, steps: tuple[Step, ...]) -> None:
    """Make a tensor the view of another that steps lead to.

    Nothing where they have to copy, by torch's and NumPy's rule: a transposed matrix has no flat view, and each copy is
    a memory of its own.
    """
    place: Place | None = getattr(parent, "_place", None)
    if place is None:
        family = Family(parent._node.shape)
        parent._place = _placed(Place, (family, ()))
        family._members += (ref(parent), ref(view))
    else:
        family, before = place
        if steps[0][0] in _COPYING and before and _copies(family.shape, before, steps[0]):
            return
        steps = (*before, *steps)
        family.add(view)
    view._place = _placed(Place, (family, steps))


_COPYING: Final = ("reshape", "numbers")
_placed: Final = tuple.__new__  # a call of the class takes three times as long


def join_again(parent: Any, view: Any, steps: tuple[Step, ...]) -> None:
    """Make a tensor the view of another that steps, made one by one, lead to; nothing where one of them has to copy."""
    place: Place = getattr(parent, "_place", None) or Place(Family(parent._node.shape), ())
    family, way = place
    for step in steps:
        if step[0] in _COPYING and way and _copies(family.shape, way, step):
            return
        way = (*way, step)
    if not hasattr(parent, "_place"):
        parent._place = place
        family.add(parent)
    family.add(view)
    view._place = Place(family, way)


def join_each_other(shape: Shape, views: Sequence[tuple[Any, tuple[Step, ...]]]) -> None:
    """Make tensors the views that steps lead to of one of a shape, which is gone."""
    family = Family(shape)
    for view, steps in views:
        family.add(view)
        view._place = Place(family, steps)


class Kin(NamedTuple):
    """Whom a change of a tensor concerns.

    eldest  the tensor all the others are views of, may be the changing one itself; None if it is gone
    way     the steps from it to the changing tensor
    others  every other tensor that shows some of the same elements, and the steps from the eldest to it
    shape   of the eldest
    """

    eldest: Any
    way: tuple[Step, ...]
    others: list[tuple[Any, tuple[Step, ...]]]
    shape: Shape

    def whole(self, node: Node) -> Node:
        """The eldest's elements as far as they are to be seen, those of the changing tensor from a node."""
        if self.eldest is not None:
            return put(self.eldest._node, self.way, node)
        found = graph.full(self.shape, 0, _before(node.dtype, self.way))
        for other, steps in self.others:
            found = put(found, steps, other._node)
        return put(found, self.way, node)


def relatives(tensor: Any) -> Kin | None:
    """Whom a change of a tensor concerns.

    None where the tensor shows some element twice, so that a change would be ambiguous.
    """
    family, steps = tensor._place
    kin = family.places()
    eldest, path = min(kin, key=lambda pair: len(pair[1]))
    if any(its[: len(path)] != path for _, its in kin):
        eldest, path = None, ()
    shape = family.shape
    for step in path:
        shape = _shape(shape, step)
    way = steps[len(path) :]
    others = [(x, its[len(path) :]) for x, its in kin if x is not eldest and x is not tensor]
    return Kin(eldest, way, others, shape) if _is_writable(shape, way) else None


def kinship(tensors: Sequence[Any], changing: AbstractSet[int]) -> list[tuple[int, int, tuple[Step, ...]]]:
    """For each tensor that has relatives among the others: its number, that of the first of them, the steps to it.

    changing   only those count that are relatives of tensors with these numbers
    """
    places: list[Place | None] = [getattr(tensor, "_place", None) for tensor in tensors]
    numbers: dict[int, list[int]] = {}
    for number, place in enumerate(places):
        if place is not None:
            numbers.setdefault(id(place.family), []).append(number)
    groups = [group for group in numbers.values() if len(group) > 1 and not changing.isdisjoint(group)]
    related = sorted((n, group[0]) for group in groups for n in group)
    return [(n, first, place.steps) for n, first in related if (place := places[n]) is not None]


@lru_cache(maxsize=4096)
def _copies(shape: Shape, steps: tuple[Step, ...], reshape: Step) -> bool:
    """True when a reshape has to copy what steps that copy nothing lead to from a contiguous array of a shape."""
    strides = contiguous(shape)
    for step in (*steps, reshape):
        walk = _strided(shape, strides, step)
        if walk is None:
            return True
        shape, strides = _shape(shape, step), walk
    return False


def contiguous(shape: Shape) -> Strides:
    """The strides of elements in row-major order.

    >>> contiguous((2, 3, 4))
    (12, 4, 1)
    """
    return tuple([prod(shape[i + 1 :]) for i in range(len(shape))])


def _is_writable(shape: Shape, steps: Sequence[Step]) -> bool:
    """True when no two elements of a view are the same one of the tensor it is a view of."""
    for step in steps:
        if step[0] == "expand" and prod(step[1]) != prod(shape):
            return False
        shape = _shape(shape, step)
    return True


def walked(node: Node, steps: Sequence[Step]) -> Node:
    """The view that steps lead to from a node."""
    for step in steps:
        node = _FORWARD[step[0]](node, step[1])
    return node


def put(node: Node, steps: Sequence[Step], value: Node) -> Node:
    """The node with the elements of the view that steps lead to replaced."""
    nodes = [node]
    for step in steps:
        nodes.append(_FORWARD[step[0]](nodes[-1], step[1]))
    for before, step in zip(nodes[-2::-1], reversed(steps)):
        value = _BACKWARD[step[0]](before, step[1], value)
    return value


def numbered(shape: Shape, steps: tuple[Step, ...]) -> int | None:
    """The number of a way from a tensor of a shape to a view of it; None where that shows some element twice."""
    key = shape, steps
    if (number := numbers_of_ways.get(key, -1)) == -1:
        if len(numbers_of_ways) >= MOST_WAYS:
            numbers_of_ways.clear()
            _ways.clear()
        number = numbers_of_ways[key] = next(_next_way) if _is_writable(shape, steps) else None
        if number is not None:
            _ways[number] = steps
    return number


def way(number: int) -> tuple[Step, ...]:
    """The steps that `numbered` gave a number to just now."""
    return _ways[number]


def noted(view: Node, node: Node, steps: tuple[Step, ...]) -> Node:
    """The view of a node that steps lead to; which nodes lie between them is kept."""
    key = node.shape, node.dtype, steps
    if key not in chains:
        if len(chains) >= MOST_WAYS:
            chains.clear()
        between: list[Any] = []
        current = view
        while current is not node and len(current.src) == 1 and len(between) < MOST_BETWEEN:
            between[:0] = current.op, current.attr, current.shape, current.dtype
            current = current.src[0]
        if current is node:
            chains[key] = tuple(between)
    return view


MOST_BETWEEN: Final = 64
MOST_WAYS: Final = 4096
chains: Final[dict[tuple[Shape, DType, tuple[Step, ...]], tuple[Any, ...]]] = {}
numbers_of_ways: Final[dict[tuple[Shape, tuple[Step, ...]], int | None]] = {}
_ways: Final[dict[int, tuple[Step, ...]]] = {}
_next_way: Final = itertools.count()


# ----------------------------------------------------------------------------------------------------- strides


def viewed(shape: Shape, strides: Strides, wanted: Shape) -> Strides | None:
    """The strides under which elements that lie by `strides` have another shape; None where they must be copied.

    >>> viewed((4, 6), (6, 1), (2, 2, 6)), viewed((6, 4), (1, 6), (24,))
    ((12, 6, 1), None)
    """
    if 0 in shape:
        return contiguous(wanted)
    old = [(n, s) for n, s in zip(shape, strides) if n != 1]
    axes, found = list(wanted), []
    while axes:
        left, right = [old.pop() if old else (1, 1)], [axes.pop()]
        while (missing := prod(right) - prod(n for n, _ in left)) != 0:
            if missing > 0:
                left.append(old.pop())
            else:
                right.append(axes.pop())
        if any(outer != inner * n for (n, inner), (_, outer) in itertools.pairwise(left)):
            return None
        found += [left[0][1] * prod(right[:i]) for i in range(len(right))]
    return tuple(found[::-1])


def _strided(shape: Shape, strides: Strides, step: Step) -> Strides | None:
    """The strides after a step."""
    kind, how = step
    if kind == "reshape":
        return viewed(shape, strides, how)
    if kind == "permute":
        return tuple([strides[i] for i in how])
    if kind == "flip":
        return tuple([-s if i in how else s for i, s in enumerate(strides)])
    if kind == "stride":
        return tuple([s * how[1] if i == how[0] else s for i, s in enumerate(strides)])
    if kind == "expand":
        new = len(how) - len(shape)
        kept = [s if n == m else 0 for s, n, m in zip(strides, shape, how[new:])]
        return (0,) * new + tuple(kept)
    if kind in ("part", "parts"):  # counted in parts from here on
        return tuple([2 * s for s in strides]) + (1,) * (kind == "parts")
    if kind == "numbers":
        beside = strides[-1] == 1 and not any(s % 2 for s in strides[:-1])
        return tuple([s // 2 for s in strides[:-1]]) if beside else None
    return strides


def _before(dtype: DType, steps: tuple[Step, ...]) -> DType:
    """The type that steps which lead to a type begin with."""
    for kind, how in reversed(steps):
        dtype = how[1] if kind == "bits" else dtype
        dtype = dtype.complex if kind in ("part", "parts") else dtype.real if kind == "numbers" else dtype
    return dtype


def _shape(shape: Shape, step: Step) -> Shape:
    """The shape after a step."""
    kind, how = step
    if kind in ("reshape", "expand"):
        return tuple(how)
    if kind == "permute":
        return tuple([shape[i] for i in how])
    if kind == "shrink":
        return tuple([stop - start for start, stop in how])
    if kind == "stride":
        return tuple([-(-n // how[1]) if i == how[0] else n for i, n in enumerate(shape)])
    return (*shape, 2) if kind == "parts" else shape[:-1] if kind == "numbers" else shape


# ------------------------------------------------------------------------------------------------ steps on nodes


def _every(node: Node, how: tuple[int, int]) -> Node:
    dim, step = how
    shape = _shape(node.shape, ("stride", how))
    return graph.reshape(graph.window(node, dim, 1, step), shape)


def _expanded(node: Node, shape: Shape) -> Node:
    filled = (1,) * (len(shape) - len(node.shape)) + node.shape
    return graph.expand(graph.reshape(node, filled), shape)


def _first_of_equals(node: Node, shape: Shape, value: Node) -> Node:
    filled = (1,) * (len(shape) - len(node.shape)) + node.shape
    bounds = tuple([(0, 1 if before != after else after) for before, after in zip(filled, shape)])
    return graph.reshape(graph.shrink(value, bounds), node.shape)


def _back_into_part(node: Node, bounds: tuple[tuple[int, int], ...], value: Node) -> Node:
    pads = tuple([(start, n - stop) for (start, stop), n in zip(bounds, node.shape)])
    return _chosen(graph.pad(graph.full(value.shape, True, dtypes.bool), pads), graph.pad(value, pads), node)


def _back_among_others(node: Node, how: tuple[int, int], value: Node) -> Node:
    def spread(x: Node) -> Node:
        (dim, step), shape = how, x.shape
        wide = graph.reshape(x, (*shape[: dim + 1], 1, *shape[dim + 1 :]))
        return graph.reshape(graph.unwindow(wide, dim, node.shape[dim], step), node.shape)

    return _chosen(spread(graph.full(value.shape, True, dtypes.bool)), spread(value), node)


def _chosen(inside: Node, value: Node, other: Node) -> Node:
    if (known := graph.uniform(inside)) is not None:
        return value if known.attr else other
    return graph.elementwise("where", inside, value, other)


def numbers(node: Node) -> Node:
    """Complex numbers of the parts in the last dimension, whose size is 2."""
    whole, shape = [(0, n) for n in node.shape[:-1]], node.shape[:-1]
    found = [graph.reshape(graph.shrink(node, (*whole, (i, i + 1))), shape) for i in (0, 1)]
    return graph.complex_of(*found)


def parts(node: Node) -> Node:
    """Real and imaginary parts side by side in a last dimension."""
    return graph.stack([graph.part(node, which) for which in ("real", "imag")], ((len(node.shape), 2),))


def _back_into_number(node: Node, which: str, value: Node) -> Node:
    other = graph.part(node, "imag" if which == "real" else "real")
    return graph.complex_of(value, other) if which == "real" else graph.complex_of(other, value)


_FORWARD: Final[dict[str, Callable[[Node, Any], Node]]] = {
    "reshape": graph.reshape,
    "permute": graph.permute,
    "shrink": graph.shrink,
    "flip": graph.flip,
    "expand": _expanded,
    "stride": _every,
    "detach": lambda node, _: graph.detach(node),
    "part": graph.part,
    "parts": lambda node, _: parts(node),
    "numbers": lambda node, _: numbers(node),
    "bits": lambda node, how: graph.bitcast(node, how[0]),
}
_BACKWARD: Final[dict[str, Callable[[Node, Any, Node], Node]]] = {
    "reshape": lambda node, _, value: graph.reshape(value, node.shape),
    "permute": lambda node, order, value: graph.permute(value, tuple([order.index(i) for i in range(len(order))])),
    "shrink": _back_into_part,
    "flip": lambda node, dims, value: graph.flip(value, dims),
    "expand": _first_of_equals,
    "stride": _back_among_others,
    "detach": lambda node, _, value: value,
    "part": _back_into_number,
    "parts": lambda node, _, value: numbers(value),
    "numbers": lambda node, _, value: parts(value),
    "bits": lambda node, how, value: graph.bitcast(value, how[1]),
}


if compiled is not None:
    compiled.set_views(Family, spelling.get, _placed, Place, FEW)
