"""Where tiles overhang and guards fail: conditions on points and on lanes.

Comes in: guards, axes and a point of a tile.  Goes out: `Conditions`, text by text, and their combinations.  What is
known to hold is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from codegen.assumed import assumed
from codegen.index import Axis, Guard, Guards, Index, in_order
from codegen.opencl.index import Coords, Indices
from codegen.opencl.lines import Lines
from codegen.opencl.segments import Ranges, never, reach


@dataclass
class Conditions:
    """When a point, or each lane of a vector, is inside: everything must hold."""

    ranges: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    scalars: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    never: bool = False

    def bound(self, text: str, lo: int | None, hi: int | None) -> None:
        """Add lo <= text < hi; of several bounds of one text the tightest counts, the others would only confuse
        compilers."""
        first, last = self.ranges.get(text, (None, None))
        lows = [x for x in (lo, first) if x is not None]
        highs = [x for x in (hi, last) if x is not None]
        self.ranges[text] = (max(lows, default=None), min(highs, default=None))

    def spell(self) -> None:
        """Turn the ranges into conditions."""
        for text, (lo, hi) in self.ranges.items():
            self.scalars += [f"{text} >= {lo}"] if lo is not None else []
            self.scalars += [f"{text} < {hi}"] if hi is not None else []
        self.ranges.clear()

    @property
    def by_lane(self) -> bool:
        return bool(self.first or self.last or self.masks)


class Masks:
    """Spells conditions at points of the place `indices` is at.

    clear   axes whose current tile is known not to overhang
    rest    axes whose current tile is known to be the last, with the number of its points that are inside; of an open
            axis no more than so many are
    known   axes of whose current tile more is known: the positions all its points are between
    beyond  axes whose points may lie past the end although the tile does not say so, or before 0 when they are loose
    open    axes of whose size nothing may be derived: any tile of more than a point may overhang
    """

    def __init__(self, indices: Indices, lines: Lines) -> None:
        self.indices, self.lines = indices, lines
        self.lanes = indices.lanes
        self.clear: frozenset[Axis] = frozenset()
        self.rest: Mapping[Axis, int] = {}
        self.known: Ranges = {}
        self.beyond: frozenset[Axis] = frozenset()
        self.open: frozenset[Axis] = frozenset()

    def inside(self, axis: Axis, offset: int, width: int) -> bool:
        """True when `width` points from an offset on are surely before the axis' end, in every tile.

        Tiles start at multiples of their extent, so all but the last are whole and the last has size % extent points.
        """
        if axis in self.clear:
            return True
        if axis in self.beyond:
            return False
        if axis in self.open:
            return self.indices.place.tile(axis) == 1
        rest = self.rest.get(axis, axis.size % self.indices.place.tile(axis))
        return rest == 0 or offset + width <= rest

    def left(self, axis: Axis, offset: int, width: int) -> int:
        """How many of `width` points from an offset on are inside, the same in every tile; 0 where that differs."""
        if self.inside(axis, offset, width):
            return width
        if axis in self.beyond | self.open or (axis not in self.rest and self.indices.place.var(axis) is not None):
            return 0
        return max(0, self._end(axis) - offset)

    def outside(self, coords: Coords, axes: Iterable[Axis]) -> bool:
        """True when a point is past the end of an axis for certain."""
        return any(coords.get(a, 0) >= self._end(a) for a in axes)

    def _end(self, axis: Axis) -> int:
        """Offsets from here on are past the end of an axis for certain."""
        if self.indices.place.var(axis) is None:
            return axis.size
        return self.rest.get(axis, self.indices.place.tile(axis))

    def conditions(self, guards: Guards, axes: Iterable[Axis], coords: Coords, lane: Axis | None) -> Conditions:
        """What must hold for guards, and for the axes not to overhang."""
        found = Conditions()
        for axis in sorted(axes, key=lambda a: a.id):
            self._overhang(found, axis, coords, lane)
        for guard in in_order(guards):
            self._guard(found, guard.index, guard.lo, guard.hi, coords, lane)
        found.spell()
        return found

    def _overhang(self, found: Conditions, axis: Axis, coords: Coords, lane: Axis | None) -> None:
        offset = coords.get(axis, 0)
        if self.inside(axis, offset, self.lanes if axis is lane else 1):
            return
        loose = axis in self.indices.place.loose
        if axis in self.rest and axis not in self.beyond | self.open:
            left = self.rest[axis] - offset
            if axis is lane and left > 0:
                found.last.append(str(left))
            else:
                found.never = True
                found.scalars.append("0")
        elif axis is lane:
            at = self.indices.constant(axis.index, coords)
            if at is not None and not loose:
                found.last.append(str(axis.size - at))
                return
            text = _operand(self.indices.scalar(axis.index, coords))
            found.first += [self._count(f"-{text}")] if loose else []
            found.last.append(self._count(f"{axis.size} - {text}"))
        else:
            self._scalar_guard(found, axis.index, 0 if loose else None, axis.size, coords)

    def _guard(self, found: Conditions, index: Index, lo: int, hi: int, coords: Coords, lane: Axis | None) -> None:
        low, high = reach(index, self.known)
        lower, upper = low < lo or index.is_dynamic, high >= hi or index.is_dynamic
        if never(Guard(index, lo, hi), self.known):
            found.never = True
            found.scalars.append("0")
            return
        assumed("always", *([] if lower else [low - lo]), *([] if upper else [hi - 1 - high]))
        if not (lower or upper):
            return
        step = 0 if lane is None or lane not in index.axes else self.indices.stride(index, coords, lane)
        if step == 0:
            self._scalar_guard(found, index, lo if lower else None, hi if upper else None, coords)
        elif step in (1, -1):
            start = _operand(self.indices.scalar(index, coords))
            if step == 1:
                found.first += [self._count(f"{lo} - {start}")] if lower else []
                found.last += [self._count(f"{hi} - {start}")] if upper else []
            else:
                found.first += [self._count(f"{start} - {hi - 1}")] if upper else []
                found.last += [self._count(f"{start} - {lo - 1}")] if lower else []
        else:
            assert lane is not None
            name, wide = self.lines.fresh("at"), self.indices.prelude.wide
            self.lines.add(
                f"const {self.indices.base}{wide} {name} = {self.indices.vector(index, coords, lane)};"
            )
            tests = ([f"({name} >= {lo})"] if lower else []) + ([f"({name} < {hi})"] if upper else [])
            text = " & ".join(tests)
            found.masks.append(text if self.indices.base == "int" else f"convert_int{wide}({text})")

    def _scalar_guard(self, found: Conditions, index: Index, lo: int | None, hi: int | None, coords: Coords) -> None:
        known = self.indices.constant(index, coords)
        if known is not None:
            if (lo is not None and known < lo) or (hi is not None and known >= hi):
                assumed("never", lo - 1 - known if lo is not None and known < lo else known - (hi or 0))
                found.never = True
                found.scalars.append("0")
            else:
                assumed("always", *([] if lo is None else [known - lo]), *([] if hi is None else [hi - 1 - known]))
            return
        text, const = self.indices.compared(index, coords)
        found.bound(text, None if lo is None else lo - const, None if hi is None else hi - const)

    def _count(self, text: str) -> str:
        """A number of lanes as int; with long indices it is limited before it is narrowed."""
        if self.indices.base == "int":
            return text
        return f"(int)clamp((long)({text}), -1L, {self.lanes}L)"

    def bounds(self, found: Conditions) -> tuple[str, str]:
        """First and last lane of the conditions that are ranges."""
        return _extreme("max", found.first, "0"), _extreme("min", found.last, str(self.lanes))

    def mask(self, found: Conditions) -> str:
        """All conditions on lanes as a vector of 0 and -1."""
        parts = [f"({x})" for x in found.masks]
        ramp = self.indices.prelude.lanes_constant("int")
        parts += [f"({ramp} >= {_extreme('max', found.first, '0')})"] if found.first else []
        parts += [f"({ramp} < {_extreme('min', found.last, '0')})"] if found.last else []
        return " & ".join(parts)


def _operand(text: str) -> str:
    """Text that may follow a minus sign."""
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _extreme(function: str, texts: list[str], otherwise: str) -> str:
    """max or min of the texts."""
    result = texts[0] if texts else otherwise
    for text in texts[1:]:
        result = f"{function}({result}, {text})"
    return result
