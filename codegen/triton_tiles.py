"""Positions in Triton: the text of coordinates, indices and masks of the tiles at one place of a nest.

Comes in: a place, indices, guards.  Goes out: text.  A tile is a block with one dimension per axis of more than one
element, each a power of two; an axis of one element is a scalar.  What a block has beyond its axis' size is masked.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, cast

from codegen.index import Atom, Axis, Guard, Index, Term, in_order
from codegen.ir import Const, Expr, Param
from codegen.nodes import Place

Axes = tuple[Axis, ...]
Rank = Mapping[Axis, int]

_INDENT: Final = "    "
_WIDE: Final = 1 << 31


def block_size(extent: int) -> int:
    """The power of two a tile of some extent is held in.

    >>> [block_size(n) for n in (1, 2, 37, 64)]
    [1, 2, 64, 64]
    """
    return 1 << (extent - 1).bit_length()


class Value(NamedTuple):
    """A printed value.

    text   an expression; `tight` when it needs no parentheses as an operand
    axes   the axes of its block's dimensions, in order
    const  set for a constant, whose text has no type of its own
    """

    text: str
    axes: Axes = ()
    tight: bool = True
    const: Const | None = None

    @property
    def operand(self) -> str:
        return self.text if self.tight else f"({self.text})"

    def over(self, want: Axes) -> str:
        """The text as a block that broadcasts over the axes `want`; a scalar stays one."""
        return self.operand if self.axes == want or not self.axes else self.alone(want)

    def alone(self, want: Axes) -> str:
        """The same where no operator follows: without outer parentheses."""
        if self.axes == want or not self.axes:
            return self.text
        text, axes = self.operand, self.axes
        present = tuple(a for a in want if a in axes)
        if present != axes:
            turned = tuple(map(axes.index, present))
            text = f"tl.trans({text})" if turned == (1, 0) else f"tl.permute({text}, {turned})"
        if present == want:
            return text
        return f"{text}[{', '.join(':' if a in present else 'None' for a in want)}]"


class Names:
    """Hands out identifiers that are used nowhere else in the source."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = {*taken, *keyword.kwlist, "tl", "triton", "libdevice", "range", "float"}
        self.counts: dict[str, int] = {}
        self.vectors: dict[str, str] = {}

    def numbered(self, stem: str) -> str:
        """stem with the next free number: t1, t2, ..."""
        while True:
            self.counts[stem] = number = self.counts.get(stem, 0) + 1
            if (name := f"{stem}{number}") not in self.taken:
                self.taken.add(name)
                return name

    def positions(self, name: str) -> str:
        """The name of the positions of a tile: the same one whenever it is asked for."""
        if name not in self.vectors:
            self.vectors[name] = self.own(name)
        return self.vectors[name]

    def own(self, name: str) -> str:
        """The name itself, or with underscores added until it is free."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


class Scope:
    """The lines of one loop body, and the values that already have a name there.

    A body sees the names of the bodies around it; its own end with it.  `parts` are lines and the bodies inside.
    """

    def __init__(self, names: Names, outer: Scope | None = None) -> None:
        self.names, self.outer = names, outer
        self.parts: list[str | Scope] = []
        self.known: dict[Hashable, Value] = dict(outer.known) if outer else {}
        self.starts: set[str] = {"0"} if outer is None else set()

    def inner(self, header: str) -> Scope:
        """The body of a loop that begins with the header."""
        body = Scope(self.names, self)
        self.parts += [header, body]
        return body

    def line(self, text: str) -> None:
        self.parts.append(text)

    def name(self, key: Hashable, stem: str, text: str, axes: Axes) -> Value:
        """A new name for the value of a text, remembered under key."""
        name = self.names.numbered(stem)
        self.line(f"{name} = {text}")
        self.known[key] = value = Value(name, axes)
        return value

    def define(self, start: str, text: str) -> None:
        """Give a tile's start its value; coordinates counted from it belong to this body."""
        self.line(f"{start} = {text}")
        self.starts.add(start)

    def coordinate(self, start: str, name: str, text: str, value: Value) -> Value:
        """Name the positions of a tile, in the body its start belongs to: before the loop that is being written there."""
        scope, key = self, ("coordinate", name)
        inside: list[Scope] = [self]
        while start not in scope.starts and scope.outer is not None:
            scope = scope.outer
            inside.append(scope)
        if key not in self.known:
            line = f"{name} = {text}"
            if scope is self:
                self.line(line)
            else:
                scope.parts.insert(len(scope.parts) - 2, line)
            for each in inside:
                each.known[key] = value
        return self.known[key]

    def text(self, depth: int = 1) -> list[str]:
        """The lines with their indentation."""
        lines: list[str] = []
        for part in self.parts:
            lines += [_INDENT * depth + part] if isinstance(part, str) else part.text(depth + 1)
        return lines


class Tiles:
    """Coordinates, indices and masks at one place.

    rank     the kernel's axes in canonical order, the order of every block's dimensions unless another is asked for
    shared   indices used more than once, which get a name
    dynamic  the printed value of an expression inside an index
    """

    def __init__(
        self,
        rank: Rank,
        place: Place,
        scope: Scope,
        variables: Mapping[str, str],
        shared: Collection[Index],
        dynamic: Callable[[Expr, Rank], Value],
    ) -> None:
        self.rank, self.place, self.scope = rank, place, scope
        self.variables, self.shared, self.dynamic = variables, shared, dynamic

    def block(self, axis: Axis) -> int:
        """The length of a block along axis: 1 means a scalar."""
        return block_size(self.place.tile(axis))

    def order(self, axes: Iterable[Axis], rank: Rank | None = None) -> Axes:
        """The axes that are dimensions of a block, in the order of rank."""
        return tuple(sorted((a for a in axes if self.block(a) > 1), key=(rank or self.rank).__getitem__))

    def shape(self, axes: Axes) -> list[int]:
        return [self.block(a) for a in axes]

    def start(self, axis: Axis) -> str:
        """Where the current tile of axis starts: a scalar, "0" when no loop over axis was entered."""
        var = self.place.var(axis)
        return "0" if var is None else self.variables[var]

    def variables_of(self, axes: Iterable[Axis]) -> tuple[str, ...]:
        """What tells apart values of one expression at different places of one body."""
        return tuple(self.start(a) for a in sorted(axes, key=self.rank.__getitem__))

    def overhangs(self, axis: Axis) -> bool:
        """True when some tile of axis has elements beyond the axis' size."""
        steps = [step.tile for step in self.place.taken if step.axis is axis]
        first = steps[0] if steps else self.block(axis)
        return -(-axis.size // first) * first > axis.size

    # ------------------------------------------------------------------------------------------------ indices

    def coordinate(self, axis: Axis) -> Value:
        """The position along axis: a vector, or a scalar when the tile is one element."""
        start = self.start(axis)
        if self.block(axis) == 1:
            return Value(start)
        base = "" if start == "0" else f"{start} + "
        text = f"{base}tl.arange(0, {self.block(axis)})"
        name = self.scope.names.positions(self.place.names[axis] if start == "0" else f"{start}s")
        return self.scope.coordinate(start, name, text, Value(name, (axis,)))

    def offset(self, param: Param, index: Index, rank: Rank, want: Axes) -> str:
        """The text of param + index, as a pointer or a block of them over all axes of `want`."""
        wide = param.size > _WIDE or _is_wide(index)
        value = self.index(index, rank, wide)
        if value.axes != want:
            filled = f"tl.full({self.shape(want)}, {value.text}, tl.int{64 if wide else 32})"
            value = Value(f"tl.broadcast_to({value.over(want)}, {self.shape(want)})" if value.axes else filled, want)
        return f"{param.name} + {value.text}" if value.text != "0" else param.name

    def index(self, index: Index, rank: Rank, wide: bool = False) -> Value:
        """The value of an index over its own axes."""
        axes = self.order(index.axes, rank)
        key = (index, axes, wide, self.variables_of(index.axes))
        if (known := self.scope.known.get(key)) is not None:
            return known
        value = self._sum(index, rank, wide, axes)
        if index in self.shared and not value.tight:
            return self.scope.name(key, "at", value.text, axes)
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
        atom, k = term
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
        key = (atom, axes, wide, self.variables_of(atom.axes))
        if (known := self.scope.known.get(key)) is not None:
            return known
        up = max(0, -(atom.inner.lo // atom.by))
        inner = self.index(atom.inner + up * atom.by, rank, wide or _is_wide(atom.inner))
        text = f"{inner.operand} {'//' if atom.kind == 'div' else '%'} {atom.by}"
        if up and atom.kind == "div":
            text += f" - {up}"
        return self.scope.name(key, "t", text, axes)

    # ------------------------------------------------------------------------------------------------ masks

    def mask(self, axes: Iterable[Axis], indices: Iterable[Index], guards: Iterable[Guard], rank: Rank) -> Value | None:
        """Where the axes are within their sizes, all guards hold and the values inside the indices are in range.

        None when that is everywhere.
        """
        guards = in_order(frozenset(guards))
        parts = self._bounds(axes)
        for index in (*indices, *(guard.index for guard in guards)):
            for atom in index.atoms():
                if atom.kind == "dynamic":
                    value = self.dynamic(cast(Expr, atom.of), rank)
                    parts += [Value(f"{value.text} {limit}", value.axes, False) for limit in (">= 0", f"< {atom.by}")]
        for guard in guards:
            parts += self._sides(guard, rank)
        return self.all_of(list(dict.fromkeys(parts)), rank)

    def inside(self, axes: Iterable[Axis], rank: Rank) -> Value | None:
        """Where the axes are within their sizes; None when no block of theirs overhangs."""
        return self.all_of(self._bounds(axes), rank)

    def all_of(self, parts: Sequence[Value], rank: Rank) -> Value | None:
        """Where all conditions hold; more than one get a name together."""
        if len(parts) < 2:
            return parts[0] if parts else None
        axes = self.order({a for part in parts for a in part.axes}, rank)
        text = " & ".join(part.over(axes) for part in parts)
        key = ("mask", text)
        return self.scope.known.get(key) or self.scope.name(key, "mask", text, axes)

    def _bounds(self, axes: Iterable[Axis]) -> list[Value]:
        parts = []
        for axis in sorted(axes, key=self.rank.__getitem__):
            if self.overhangs(axis):
                position = self.coordinate(axis)
                parts.append(Value(f"{position.text} < {axis.size}", position.axes, False))
        return parts

    def _sides(self, guard: Guard, rank: Rank) -> list[Value]:
        value = self.index(guard.index, rank, _is_wide(guard.index))
        limits = [f">= {guard.lo}"] * (guard.index.lo < guard.lo) + [f"< {guard.hi}"] * (guard.index.hi >= guard.hi)
        return [Value(f"{value.text} {limit}", value.axes, False) for limit in limits]


def _is_wide(index: Index) -> bool:
    """True when the index, or something it is made of, needs 64 bits."""
    reach = max(abs(index.lo), abs(index.hi)) + sum(abs(k) for _, k in index.terms) * 1024
    return reach >= _WIDE or any(_is_wide(atom.inner) for atom in index.atoms() if atom.kind != "dynamic")
