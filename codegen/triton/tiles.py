"""Positions in Triton: the text of coordinates, indices and masks of the tiles at one place of a nest.

Comes in: a place, indices, guards.  Goes out: text.  A tile is a block with one dimension per axis of more than one
element, each a power of two; an axis of one element is a scalar.  What a block has beyond its axis' size is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, cast

from codegen.assumed import assumed
from codegen.index import Atom, Axis, Guard, Index, Term, in_order
from codegen.ir import Expr, Param
from codegen.nodes import Place
from codegen.triton.scope import Axes, Scope, Value

Rank = Mapping[Axis, int]

WIDE: Final = 1 << 31


def block_size(extent: int) -> int:
    """The power of two a tile of some extent is held in.

    >>> [block_size(n) for n in (1, 2, 37, 64)]
    [1, 2, 64, 64]
    """
    return 1 << (extent - 1).bit_length()


class Blocks:
    """How long the blocks at one place are.  `rank` has the kernel's axes in canonical order."""

    def __init__(self, rank: Rank, place: Place) -> None:
        self.rank, self.place = rank, place

    def block(self, axis: Axis) -> int:
        """The length of a block along axis: 1 means a scalar."""
        return block_size(self.place.tile(axis))

    def order(self, axes: Iterable[Axis], rank: Rank | None = None) -> Axes:
        """The axes that are dimensions of a block, in the order of rank, or else in canonical order."""
        return tuple(sorted((a for a in axes if self.block(a) > 1), key=(rank or self.rank).__getitem__))

    def shape(self, axes: Iterable[Axis]) -> list[int]:
        return [self.block(a) for a in axes]

    def overhangs(self, axis: Axis) -> bool:
        """True when some tile of axis has elements beyond the axis' size."""
        return self.beyond(axis) > 0

    def beyond(self, axis: Axis) -> int:
        """How many elements the tiles of axis have beyond the axis' size."""
        first = self.first(axis)
        return -(-axis.size // first) * first - axis.size

    def first(self, axis: Axis) -> int:
        """How long the outermost tiles of axis are."""
        steps = [step.tile for step in self.place.taken if step.axis is axis]
        return steps[0] if steps else self.block(axis)

    def is_wide(self, index: Index) -> bool:
        """True when the index at some element of the tiles, or something it is made of, needs 64 bits."""
        most = max((self.beyond(axis) for axis in index.axes), default=0)
        further = sum(abs(k) * (self.beyond(a) if isinstance(a, Axis) else most) for a, k in index.terms)
        if max(abs(index.lo), abs(index.hi)) + further >= WIDE:
            return True
        return any(self.is_wide(atom.inner) for atom in index.atoms() if atom.kind != "dynamic")


class Tiles(Blocks):
    """Coordinates, indices and masks at one place.

    shared   indices used more than once, which get a name
    dynamic  the printed value of an expression inside an index
    open     axes whose size is not to be relied upon
    """

    def __init__(
        self,
        rank: Rank,
        place: Place,
        scope: Scope,
        variables: Mapping[str, str],
        shared: Collection[Index],
        dynamic: Callable[[Expr, Rank], Value],
        open: Collection[Axis] = (),
    ) -> None:
        super().__init__(rank, place)
        self.open = open
        self.scope, self.variables, self.shared, self.dynamic = scope, variables, shared, dynamic

    def start(self, axis: Axis) -> str:
        """Where the current tile of axis starts: a scalar, "0" when no loop over axis was entered."""
        var = self.place.var(axis)
        return "0" if var is None else self.variables[var]

    def spans(self, axes: Iterable[Axis]) -> tuple[tuple[str, int], ...]:
        """Where the tiles of the axes start and how long they are: what tells apart one expression's values."""
        return tuple((self.start(a), self.block(a)) for a in sorted(axes, key=self.rank.__getitem__))

    def home(self, axes: Iterable[Axis], indices: Iterable[Index]) -> Scope:
        """The outermost body a value over some axes can be computed in; here, if its indices hold expressions."""
        if any(index.is_dynamic for index in indices):
            return self.scope
        return self.scope.home(map(self.start, axes))

    def overhangs(self, axis: Axis) -> bool:
        may = self.first(axis) > 1 if axis in self.open else super().overhangs(axis)
        return may and axis not in self.scope.whole

    # ------------------------------------------------------------------------------------------------ indices

    def coordinate(self, axis: Axis) -> Value:
        """The position along axis: a vector, or a scalar when the tile is one element."""
        start = self.start(axis)
        if self.block(axis) == 1:
            return Value(start)
        base = "" if start == "0" else f"{start} + "
        stem = self.place.names[axis] if start == "0" else f"{start}s"
        name = self.scope.names.positions(stem, self.block(axis))
        if (known := self.scope.known.get(name)) is not None:
            return known
        return self.scope.home((start,)).remember(name, name, f"{base}tl.arange(0, {self.block(axis)})", (axis,))

    def offset(self, param: Param, index: Index, rank: Rank, want: Axes) -> str:
        """The text of param + index, as a pointer or a block of them over all axes of `want`."""
        wide = param.size > WIDE or self.is_wide(index)
        value = self.index(index, rank, wide)
        if value.axes != want:
            filled = f"tl.full({self.shape(want)}, {value.text}, tl.int{64 if wide else 32})"
            value = Value(f"tl.broadcast_to({value.over(want)}, {self.shape(want)})" if value.axes else filled, want)
        return f"{param.name} + {value.text}" if value.text != "0" else param.name

    def index(self, index: Index, rank: Rank, wide: bool = False) -> Value:
        """The value of an index over its own axes."""
        axes = self.order(index.axes, rank)
        key = (index, axes, wide, self.spans(index.axes))
        if (known := self.scope.known.get(key)) is not None:
            return known
        value = self._sum(index, rank, wide, axes)
        if index in self.shared and not value.tight:
            return self.home(index.axes, [index]).name(key, "at", value.text, axes)
        return value

    def _sum(self, index: Index, rank: Rank, wide: bool, axes: Axes) -> Value:
        text = ""
        for atom, k in sorted(index.terms, key=self._term_key):
            value = self._atom(atom, rank, wide)
            if value.text == "0":
                continue
            term = value.over(axes)
            term = term if abs(k) == 1 else f"{term} * {abs(k)}"
            sign = "-" if k < 0 else "+" if text else ""
            text += f" {sign} {term}" if text else f"{sign}{term}"
        if index.const or not text:
            const = abs(index.const) if text else index.const
            text += f" {'-' if index.const < 0 else '+'} {const}" if text else str(const)
        return Value(text, axes, tight=" " not in text and text[0] != "-")

    def _term_key(self, term: tuple[Term, int]) -> tuple[object, ...]:
        atom = term[0]
        return (1, atom.id) if isinstance(atom, Atom) else (0, self.rank[atom])

    def _atom(self, atom: Term, rank: Rank, wide: bool) -> Value:
        if isinstance(atom, Axis):
            value = self.coordinate(atom)
        elif atom.kind == "dynamic":
            value = self.dynamic(cast(Expr, atom.of), rank)
        else:
            return self._quotient(atom, rank, wide)
        return Value(f"tl.cast({value.text}, tl.int64)", value.axes) if wide and value.text != "0" else value

    def _quotient(self, atom: Atom, rank: Rank, wide: bool) -> Value:
        """inner // by or inner % by; Triton truncates, so an inner index that can be negative is moved up first."""
        axes = self.order(atom.axes, rank)
        key = (atom, axes, wide, self.spans(atom.axes))
        if (known := self.scope.known.get(key)) is not None:
            return known
        up = max(0, -(atom.inner.lo // atom.by))
        assumed("raised", atom.inner.lo + up * atom.by)
        inner = self.index(atom.inner + up * atom.by, rank, wide or self.is_wide(atom.inner))
        text = f"{inner.operand} {'//' if atom.kind == 'div' else '%'} {atom.by}"
        if up and atom.kind == "div":
            text += f" - {up}"
        return self.home(atom.axes, [atom.inner]).name(key, "t", text, axes)

    # ------------------------------------------------------------------------------------------------ masks

    def mask(self, axes: Iterable[Axis], indices: Iterable[Index], guards: Iterable[Guard], rank: Rank) -> Value | None:
        """Where the axes are within their sizes, all guards hold and the values inside the indices are in range.

        None when that is everywhere.  It is computed in the outermost body that has all it depends on.
        """
        guards = in_order(frozenset(guards))
        inner = [*indices, *(guard.index for guard in guards)]
        parts = [*self._bounds(axes), *(part for index in inner for part in self._ranges(index, rank))]
        for guard in guards:
            parts += self._sides(guard, rank)
        used = {a for a in axes if self.overhangs(a)}.union(*(guard.index.axes for guard in guards))
        return self.all_of(list(dict.fromkeys(parts)), rank, self.home(used, inner))

    def inside(self, axes: Iterable[Axis], rank: Rank) -> Value | None:
        """Where the axes are within their sizes; None when no block of theirs overhangs."""
        used = [a for a in axes if self.overhangs(a)]
        return self.all_of(self._bounds(used), rank, self.home(used, ()))

    def all_of(self, parts: Sequence[Value], rank: Rank, home: Scope | None = None) -> Value | None:
        """Where all conditions hold; more than one get a name together, in the body `home` or else here."""
        if len(parts) < 2:
            return parts[0] if parts else None
        axes = self.order({a for part in parts for a in part.axes}, rank)
        text = " & ".join(part.over(axes) for part in parts)
        key = ("mask", text)
        return self.scope.known.get(key) or (home or self.scope).name(key, "mask", text, axes)

    def _bounds(self, axes: Iterable[Axis]) -> list[Value]:
        parts = []
        for axis in sorted(axes, key=self.rank.__getitem__):
            if self.overhangs(axis):
                position = self.coordinate(axis)
                parts.append(Value(f"{position.text} < {axis.size}", position.axes, False))
        return parts

    def _ranges(self, index: Index, rank: Rank) -> Iterator[Value]:
        """Where the values inside an index are what its parameter allows."""
        for atom in index.atoms():
            if atom.kind == "dynamic":
                value = self.dynamic(cast(Expr, atom.of), rank)
                for limit in (">= 0", f"< {atom.by}"):
                    yield Value(f"{value.operand} {limit}", value.axes, False)

    def _sides(self, guard: Guard, rank: Rank) -> list[Value]:
        value = self.index(guard.index, rank, self.is_wide(guard.index))
        lower, upper = guard.index.lo < guard.lo, guard.index.hi >= guard.hi
        assumed("always", *([] if lower else [guard.index.lo - guard.lo]))
        assumed("always", *([] if upper else [guard.hi - 1 - guard.index.hi]))
        limits = [f">= {guard.lo}"] * lower + [f"< {guard.hi}"] * upper
        return [Value(f"{value.text} {limit}", value.axes, False) for limit in limits]
