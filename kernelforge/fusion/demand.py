"""The demand walk: which elements of which nodes a kernel needs, and over which axes.

Comes in: nodes to store, and the nodes that are read from memory instead of computed.  Goes out: `Demands`, a graph of
`Demand` records (a node at an index under guards), with an axis chosen for every dimension a reduction binds.  Views
vanish here: they only change the index.  No expression is built, so `fuse` can afford to ask about tentative groups.

The rule for axes: a reduction is only put on a list.  One whose body, tried with known axes, demands something already
demanded, comes first and takes these axes; when there is none the oldest gets fresh ones.  So softmax's maximum, its
sum and its result come out over one axis, whatever the order in which they are met.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Final

from codegen import ir
from codegen.dtypes import dtypes
from codegen.index import NO_GUARDS, Axis, Guard, Guards, Index, combination, constant, dynamic, guard_axes, needed
from kernelforge.fusion.axes import matches
from kernelforge.graph import VIEWS, Node, Shape
from kernelforge.views import source_index

Place = tuple[Index, ...]
Key = tuple[Node, Place, tuple[Guards, ...]]
PASSED: Final = VIEWS | {"detach", "contiguous", "copy"}
AXIS_NAMES: Final = "ijklmnopq"
MOST_LOOKED_AT: Final = 16  # reductions below a store that its axes are chosen by
ALL_LOOKED_AT: Final = 64  # those of all stores together, after which there is one for each store
OFTEN: Final = 2.5  # walks for each demand allowed: where many reductions follow each other, most are tried axes


class TooManyDemands(Exception):
    """A group demands more than the cap, or more look-ups of look-ups: it must be cut."""


@dataclass(slots=True, eq=False)
class Demand:
    """A node needed at an index.

    kind       "load" "const" "iota" "zero" "pad" "gather" "reduce" "scan" "apply"
    needs      the demands it is computed from, in operand order
    guards     under which it is needed, per dimension; index likewise
    flat       position in memory of a load
    condition  of a pad: its value is 0 where this fails
    bound      axes a reduction binds; empty until they are chosen.  Of a scan the axis it walks; empty when its places
               are needed in an order no walk gives
    backward   of a scan: it walks against the axis
    stand_in   of a gather's index: the expression that takes its place in indices until it is built
    axes       what its value depends on, once the walk is finished
    """

    node: Node
    index: Place
    guards: tuple[Guards, ...]
    kind: str
    needs: list[Demand] = field(default_factory=list)
    flat: Index | None = None
    condition: Guards = NO_GUARDS
    bound: tuple[Axis, ...] = ()
    backward: bool = False
    stand_in: ir.Expr | None = None
    axes: frozenset[Axis] = frozenset()

    @property
    def all_guards(self) -> Guards:
        """The guards of all dimensions together."""
        return frozenset().union(*self.guards) if any(self.guards) else NO_GUARDS

    @property
    def free(self) -> frozenset[Axis]:
        """Axes of the index and the guards."""
        return frozenset().union(*(i.axes for i in self.index), guard_axes(self.all_guards))

    def __repr__(self) -> str:
        return f"{self.node.op}{list(self.index)}"


class Demands:
    """All demands of one kernel.

    inputs  nodes to read from memory; buffers and realized nodes are read anyway
    cap     most demands allowed
    nested  most look-ups allowed, each at a place another finds
    cuts    leading dimensions of stores -> parts the last of them is walked in; see `alongside.cuts_among`
    """

    def __init__(
        self,
        inputs: Container[Node],
        cap: int = 4000,
        cuts: Mapping[Shape, int] = MappingProxyType({}),
        nested: int | None = None,
    ) -> None:
        self.inputs, self.cap, self.cuts, self.nested = inputs, cap, cuts, nested
        self.roots: list[Demand] = []
        self.stores: list[tuple[Axis, ...]] = []
        self._known: dict[Key, Demand] = {}
        self._waiting: list[Demand] = []
        self._places: dict[Node, list[Place]] = {}
        self._cut_axes: dict[Shape, tuple[tuple[Axis, ...], ...]] = {}
        self._attempts: dict[Demand, tuple[tuple[Axis, ...], dict[Key, Demand]]] = {}
        self._fresh = self._stand_ins = self._walked = 0
        self._looks = ALL_LOOKED_AT

    def add_store(self, nodes: Sequence[Node]) -> tuple[Axis, ...]:
        """Demands nodes of one shape everywhere; returns its axes, those of earlier stores where demands repeat.

        There is one for each dimension, but where a scan below walks a part of a dimension, or `cuts` tell: several,
        outer first.
        """
        axes, tried = self._store_axes(nodes)
        place, guards = self._place_of(axes, nodes[0].shape)
        roots = [self._walk(node, place, guards, tried) for node in nodes]
        if len(axes) == len(place) and (parts := _walked_parts(axes, tried.values())) is not None:
            place = tuple(combination(_mixed_radix(part)) for part in parts)
            axes, tried = tuple(axis for part in parts for axis in part), {}
            roots = [self._walk(node, place, guards, tried) for node in nodes]
        self.stores.append(axes)
        self._finish(roots, tried)
        return axes

    def add_roots(self, nodes: Sequence[Node], index: Place, guards: tuple[Guards, ...]) -> None:
        """Demands nodes at a given place."""
        new: dict[Key, Demand] = {}
        self._finish([self._walk(node, index, guards, new) for node in nodes], new)

    def _finish(self, roots: Sequence[Demand], new: dict[Key, Demand]) -> None:
        self.roots += roots
        self._commit(new)
        self._solve()

    def order(self) -> list[Demand]:
        """Every demand below the roots, needs before users; fills in their axes."""
        order: list[Demand] = []
        seen: set[int] = set()
        stack: list[tuple[Demand, bool]] = [(root, False) for root in reversed(self.roots)]
        while stack:
            demand, expanded = stack.pop()
            if expanded:
                demand.axes = _axes(demand)
                order.append(demand)
            elif id(demand) not in seen:
                seen.add(id(demand))
                stack.append((demand, True))
                stack.extend((need, False) for need in reversed(demand.needs) if id(need) not in seen)
        return order

    # ------------------------------------------------------------------------------------------- the walk

    def _walk(self, node: Node, index: Place, guards: tuple[Guards, ...], new: dict[Key, Demand]) -> Demand:
        """The demand for a node and all below it up to reductions; those not known yet are added to new."""
        todo: list[Demand] = []
        root = self._demand(node, index, guards, new, todo)
        while todo:
            self._expand(todo.pop(), new, todo)
            self._walked += 1
            if len(self._known) + len(new) > self.cap or self._walked > OFTEN * self.cap:
                raise TooManyDemands
        return root

    def _demand(
        self, node: Node, index: Place, guards: tuple[Guards, ...], new: dict[Key, Demand], todo: list[Demand]
    ) -> Demand:
        """The demand for one node, behind its views."""
        keys: list[Key] = []
        while True:
            key = (node, index, guards)
            found = self._known.get(key) or new.get(key)
            if found is not None:
                break
            keys.append(key)
            if not self._is_view(node):
                found = self._new(node, index, guards, todo)
                break
            source, source_guards, condition = _through(node, index, guards)
            if condition:
                found = Demand(node, index, guards, "pad", condition=condition)
                todo.append(found)
                break
            node, index, guards = node.src[0], source, source_guards
        new.update(dict.fromkeys(keys, found))
        return found

    def _is_view(self, node: Node) -> bool:
        return node.op in PASSED and node not in self.inputs and node.realized is None and 0 not in node.shape

    def _new(self, node: Node, index: Place, guards: tuple[Guards, ...], todo: list[Demand]) -> Demand:
        if 0 in node.shape:
            return Demand(node, index, guards, "zero")
        if node.op == "buffer" or node.realized is not None or node in self.inputs:
            return Demand(node, index, guards, "load", flat=flat_index(index, node.shape))
        if node.op in ("const", "iota"):
            return Demand(node, index, guards, node.op)
        if node.op == "reduce":
            return Demand(node, index, guards, "zero" if 0 in node.src[0].shape else "reduce")
        if node.op == "scan":
            walk, backward = _walk_of(node, index, guards)
            found = Demand(node, index, guards, "scan", bound=walk, backward=backward)
        else:
            found = Demand(node, index, guards, "gather" if node.op == "gather" else "apply")
        todo.append(found)
        return found

    def _expand(self, demand: Demand, new: dict[Key, Demand], todo: list[Demand]) -> None:
        """Adds what a demand needs."""
        node, index, guards = demand.node, demand.index, demand.guards
        if demand.kind == "pad":
            source, source_guards, _ = _through(node, index, guards)
            demand.needs = [self._demand(node.src[0], source, source_guards, new, todo)]
        elif demand.kind == "gather":
            position = self._demand(node.src[1], index, guards, new, todo)
            if position.stand_in is None:
                position.stand_in = self._stand_in(position)
            place, checked = _picked(node, position.stand_in, index, guards)
            if self.nested is not None and sum(x.index.is_dynamic for x in checked[node.attr]) > self.nested:
                raise TooManyDemands
            demand.needs = [position, self._demand(node.src[0], place, checked, new, todo)]
        else:
            demand.needs = [self._demand(source, index, guards, new, todo) for source in node.src]

    def _commit(self, new: dict[Key, Demand]) -> None:
        """Makes the demands of a walk known."""
        self._known.update(new)
        for demand in dict.fromkeys(new.values()):
            if demand.kind == "reduce":
                self._waiting.append(demand)
            if (place := _place(demand)) is not None:
                self._places.setdefault(demand.node, []).append(place)

    def _stand_in(self, position: Demand) -> ir.Expr:
        """An expression over the axes of a gather's index that equals no other."""
        self._stand_ins += 1
        total = constant(0)
        for axis in sorted(position.free, key=lambda a: a.id):
            total = total + axis.index
        return ir.load(ir.Param(f"?{self._stand_ins}", dtypes.int32, 1), total)

    # ---------------------------------------------------------------------------------------- choosing axes

    def _axis(self, size: int) -> Axis:
        self._fresh += 1
        return Axis(f"r{self._fresh}", size)

    def _solve(self) -> None:
        """Gives every waiting reduction its axes: repeated demands first, then the oldest."""
        while self._waiting:
            for demand in self._waiting:
                fresh, tried = self._attempt(demand)
                shared = self._repeated(tried.values(), fresh, demand.free)
                if shared:
                    break
            else:
                demand, shared = self._waiting[0], {}
                fresh, tried = self._attempt(demand)
            self._waiting.remove(demand)
            del self._attempts[demand]
            demand.bound = tuple(shared.get(axis, axis) for axis in fresh)
            new = {} if shared or not tried.keys().isdisjoint(self._known) else tried
            demand.needs = [self._walk(demand.node.src[0], *body(demand, demand.bound), new)]
            self._commit(new)

    def _attempt(self, demand: Demand) -> tuple[tuple[Axis, ...], dict[Key, Demand]]:
        """Fresh axes for a waiting reduction, and what its body demands over them; the same until it has its axes."""
        if demand not in self._attempts:
            fresh = bound_axes(demand, self._axis)
            tried: dict[Key, Demand] = {}
            self._walk(demand.node.src[0], *body(demand, fresh), tried)
            self._attempts[demand] = fresh, tried
        return self._attempts[demand]

    def _repeated(self, tried: Iterable[Demand], fresh: Sequence[Axis], excluded: frozenset[Axis]) -> dict[Axis, Axis]:
        """The renaming of fresh axes that repeats most known demands, the ones that settle most axes first."""
        found: list[dict[Axis, Axis]] = []
        for demand in dict.fromkeys(tried):
            place = _place(demand)
            if place is not None and demand.node in self._places:
                for known in self._places[demand.node]:
                    renaming = matches(place, known, frozenset(fresh))
                    if renaming and excluded.isdisjoint(renaming.values()) and renaming not in found:
                        found.append(renaming)
        chosen: dict[Axis, Axis] = {}
        for renaming in sorted(found, key=len, reverse=True):
            union = chosen | renaming
            if all(chosen.get(a, b) is b for a, b in renaming.items()) and len(set(union.values())) == len(union):
                chosen = union
        return chosen

    def _store_axes(self, nodes: Sequence[Node]) -> tuple[tuple[Axis, ...], dict[Key, Demand]]:
        """The axes of a store: those of repeated demands, else those of an earlier store of its shape, else new.

        The second result is what the store demands where that is known already: it need not be walked again.
        """
        shape = nodes[0].shape
        names = AXIS_NAMES if not self.stores else [f"{letter}{len(self.stores)}" for letter in AXIS_NAMES]
        given = [axis for part in self._cut(shape) for axis in part]
        new = [Axis(names[d] if d < len(names) else f"d{d}", size) for d, size in enumerate(shape)]
        fresh = (*given, *new[len(self._cut(shape)) :])
        if not self.stores:
            return fresh, {}
        tried: dict[Key, Demand] = {}
        for node in nodes:
            self._walk(node, *self._place_of(fresh, shape), tried)
        shared = self._repeated_by_stores(tried, fresh[len(given) :])
        sizes = [axis.size for axis in fresh]
        for axes in self.stores:
            alike = [a.size for a in axes] == sizes and axes[: len(given)] == tuple(given)
            if alike and all(shared.get(x, y) is y for x, y in zip(fresh, axes)):
                return axes, {}
        return tuple(shared.get(axis, axis) for axis in fresh), {} if shared else tried

    def _cut(self, shape: Shape) -> tuple[tuple[Axis, ...], ...]:
        """The axes, the same for all stores, of the leading dimensions of a shape that is cut; none for others."""
        for lead, parts in self.cuts.items():
            if shape[: len(lead)] == lead and parts < lead[-1]:
                if lead not in self._cut_axes:
                    *outer, n = lead
                    kept = tuple((Axis(f"o{d}", size),) for d, size in enumerate(outer))
                    self._cut_axes[lead] = (*kept, (Axis("part", parts), Axis("row", n // parts)))
                return self._cut_axes[lead]
        return ()

    def _place_of(self, axes: Sequence[Axis], shape: Shape) -> tuple[Place, tuple[Guards, ...]]:
        """The index and guards that cover a shape, by the axes of its leading dimensions, if cut, and of others."""
        cut = self._cut(shape)
        place, guards = everywhere(axes[sum(map(len, cut)) :])
        return (*(combination(_mixed_radix(part)) for part in cut), *place), (*(NO_GUARDS for _ in cut), *guards)

    def _repeated_by_stores(self, tried: dict[Key, Demand], fresh: tuple[Axis, ...]) -> dict[Axis, Axis]:
        """Known axes for the axes of a store, looking below its reductions, whose axes are free to follow."""
        axes = list(fresh)
        found = list(tried.values())
        waiting = [d for d in found if d.kind == "reduce" and not d.needs]
        left = min(MOST_LOOKED_AT, max(1, self._looks))
        while waiting and left:
            demand, left, self._looks = waiting.pop(0), left - 1, self._looks - 1
            bound, below = self._attempt(demand)
            axes += bound
            waiting += [d for d in below.values() if d.kind == "reduce" and not d.needs]
            found += below.values()
        shared = self._repeated(found, axes, frozenset())
        return {axis: shared[axis] for axis in fresh if axis in shared}


# ------------------------------------------------------------------------------------------------- helpers


def everywhere(axes: Sequence[Axis]) -> tuple[Place, tuple[Guards, ...]]:
    """The index and guards that cover a whole shape: one axis per dimension, 0 where its size is 1."""
    return tuple(axis.index if axis.size > 1 else constant(0) for axis in axes), (NO_GUARDS,) * len(axes)


def flattened(axis: Axis, shape: Sequence[int]) -> tuple[Place, tuple[Guards, ...]]:
    """The index and guards of a shape whose row-major positions an axis, perhaps longer, runs through."""
    guards = needed([Guard(axis.index, 0, prod(shape))])
    place, rest = [], axis.index
    for d in reversed(range(len(shape))):
        outermost = prod(shape[:d]) == 1
        place.append(constant(0) if shape[d] == 1 else rest if outermost else rest % shape[d])
        rest = rest // shape[d]
    return tuple(reversed(place)), tuple(guards if size > 1 else NO_GUARDS for size in shape)


def bound_axes(demand: Demand, new: object) -> tuple[Axis, ...]:
    """A new axis for every dimension of more than one element that a reduction drops."""
    shape, (_, dims) = demand.node.src[0].shape, demand.node.attr
    return tuple(new(shape[d]) for d in dims if shape[d] > 1)  # type: ignore[operator]


def body(demand: Demand, bound: Sequence[Axis]) -> tuple[Place, tuple[Guards, ...]]:
    """Index and guards of the operand of a reduction with the given bound axes."""
    shape, (_, dims) = demand.node.src[0].shape, demand.node.attr
    outer, axes = iter(zip(demand.index, demand.guards)), iter(bound)
    index, guards = [], []
    for d, size in enumerate(shape):
        if d in dims:
            index.append(next(axes).index if size > 1 else constant(0))
            guards.append(NO_GUARDS)
        else:
            place, guard = next(outer)
            index.append(place)
            guards.append(guard)
    return tuple(index), tuple(guards)


def _walk_of(node: Node, index: Place, guards: tuple[Guards, ...]) -> tuple[tuple[Axis, ...], bool]:
    """The axis that runs through a scan's places from its first one on, and whether the scan walks against it.

    No axis if there is none, or if other dimensions or guards move with it.
    """
    (_, dim, reverse), n = node.attr, node.shape[node.attr[1]]
    place = index[dim]
    from_first = place.hi == n - 1 if reverse else place.lo == 0
    rest = frozenset().union(*(i.axes for d, i in enumerate(index) if d != dim), *map(guard_axes, guards))
    for axis in place.axes - rest if from_first else ():
        if place == axis.index + place.const:
            return (axis,), reverse
        if place == axis.index * -1 + place.const:
            return (axis,), not reverse
    return (), False


def _walked_parts(axes: Sequence[Axis], demands: Iterable[Demand]) -> list[tuple[Axis, ...]] | None:
    """Axes to put in place of each, outer first, so that scans needed along quotients or remainders walk one of them.

    None if there is no such scan, or a divisor does not divide.
    """
    cuts: dict[Axis, set[int]] = {}
    for demand in demands:
        if demand.kind == "scan" and not demand.bound:
            for atom in (atom for index in demand.index for atom in index.atoms() if atom.kind != "dynamic"):
                for axis in atom.axes & frozenset(axes):
                    cuts.setdefault(axis, set()).add(atom.by)
    parts = []
    for axis in axes:
        sizes, rest = [], axis.size
        for by in sorted(cuts.get(axis, ()), reverse=True):
            if rest % by:
                return None
            sizes.append(rest // by)
            rest = by
        parts.append(tuple(Axis(f"{axis.name}{i}", n) for i, n in enumerate([*sizes, rest])) if sizes else (axis,))
    return parts if cuts else None


def _mixed_radix(axes: Sequence[Axis]) -> list[tuple[Index, int]]:
    """The terms of the row-major position over some axes."""
    return [(axis.index, prod(a.size for a in axes[i + 1 :])) for i, axis in enumerate(axes) if axis.size > 1]


def flat_index(index: Sequence[Index], shape: Sequence[int]) -> Index:
    """The position in row-major order."""
    parts, step = [], 1
    for place, size in zip(reversed(index), reversed(shape)):
        if size > 1:
            parts.append((place, step))
            step *= size
    return combination(parts)


def _through(node: Node, index: Place, guards: tuple[Guards, ...]) -> tuple[Place, tuple[Guards, ...], Guards]:
    if node.op in VIEWS:
        return source_index(node, index, guards)
    return index, guards, NO_GUARDS


def _picked(
    node: Node, position: ir.Expr, index: Place, guards: tuple[Guards, ...]
) -> tuple[Place, tuple[Guards, ...]]:
    """Where a gather reads its source: at the position along its dimension, if that is inside."""
    dim, size = node.attr, node.src[0].shape[node.attr]
    place = dynamic(position, size)
    inside = guards[dim] | {Guard(place, 0, size)}
    place = place if size > 1 else constant(0)
    return (*index[:dim], place, *index[dim + 1 :]), (*guards[:dim], inside, *guards[dim + 1 :])


def _place(demand: Demand) -> Place | None:
    """Where a load or a reduction is demanded, for comparison with others of the same node."""
    if demand.kind == "load":
        return (demand.flat,) if demand.flat is not None else None
    return demand.index if demand.kind == "reduce" else None


def _axes(demand: Demand) -> frozenset[Axis]:
    """What a demand's value depends on, from the axes of its needs."""
    if demand.kind == "load":
        assert demand.flat is not None
        return demand.flat.axes | guard_axes(demand.all_guards)
    if demand.kind == "iota":
        return demand.index[0].axes
    below = frozenset().union(*(need.axes for need in demand.needs)) if demand.needs else frozenset()
    if demand.kind == "reduce":
        return below - frozenset(demand.bound)
    if demand.kind == "scan":
        return below | frozenset(demand.bound)
    return below | guard_axes(demand.condition)
