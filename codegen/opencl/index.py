"""Indices as OpenCL C text, at a point of a tile and along its lanes.

Comes in: an index and where it is asked for: a place of the nest, constant offsets from where its tiles start, the lane
axis.  Goes out: text of the index type.  Values of expressions inside an index come from a function given by the
       caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import gcd
from typing import Final

from codegen.assumed import assumed
from codegen.dtypes import dtypes
from codegen.index import Atom, Axis, Index
from codegen.ir import Expr
from codegen.nodes import Place
from codegen.opencl.prelude import Prelude

Coords = Mapping[Axis, int]


SHIFT: Final = 16
MOST: Final = 64  # a divisor by which products divide: larger ones are sizes, which kernels may leave open


class Indices:
    """Spells indices; `base` is the index type, int or long."""

    def __init__(self, prelude: Prelude, base: str) -> None:
        self.prelude, self.base, self.lanes = prelude, base, prelude.lanes
        self.place: Place
        self.value: Callable[[Expr, Coords, Axis | None], tuple[str, int]]

    def position(self, axis: Axis, coords: Coords) -> tuple[str | None, int]:
        """Where a point is along an axis: a loop variable, if any, and a constant."""
        return self.place.var(axis), coords.get(axis, 0)

    # ---------------------------------------------------------------------------------------------- scalars

    def constant(self, index: Index, coords: Coords) -> int | None:
        """The value of an index no loop variable enters, or None."""
        if any(atom.kind == "dynamic" for atom in index.atoms()):
            return None
        total = index.const
        for atom, k in index.terms:
            if isinstance(atom, Axis):
                text, const = self.position(atom, coords)
                value = None if text is not None else const
            else:
                inner = self.constant(atom.inner, coords)
                value = None if inner is None else inner // atom.by if atom.kind == "div" else inner % atom.by
            if value is None:
                return None
            total += k * value
        return total

    def scalar(self, index: Index, coords: Coords, shift: int = 0) -> str:
        """The value at a point, plus shift; along a lane that of the first lane."""
        text, const = self.split(index, coords)
        return _sum([text] if text else [], const + shift)

    def split(self, index: Index, coords: Coords) -> tuple[str, int]:
        """The value at a point as text, empty if there is none, plus a constant."""
        const, parts = index.const, []
        for atom, k in index.terms:
            if isinstance(atom, Axis):
                text, offset = self.position(atom, coords)
                const += k * offset
            else:
                text, offset = self.atom(atom, coords)
                const += k * offset
            if text is not None:
                parts.append(_times(text, k))
        return (_sum(parts, 0) if parts else ""), const

    def compared(self, index: Index, coords: Coords) -> tuple[str, int]:
        """split() of an index that is held against bounds: a wide integer as it is, for what is left of it where it is
        narrowed may be inside, and a fault that is looked for in the same number is found by the same comparison."""
        if self.base == "int" and len(index.terms) == 1:
            ((atom, k),) = index.terms
            if k == 1 and isinstance(atom, Atom) and isinstance(atom.of, Expr) and atom.of.dtype is dtypes.int64:
                return self.value(atom.of, coords, None)[0], index.const
        return self.split(index, coords)

    def atom(self, atom: Atom, coords: Coords) -> tuple[str | None, int]:
        """A division, remainder or expression at a point: text, if any, and a constant."""
        if atom.kind == "dynamic":
            assert isinstance(atom.of, Expr)
            text, _ = self.value(atom.of, coords, None)
            return (text if self.base == "int" and atom.of.dtype.bits <= 32 else f"({self.base}){text}"), 0
        known = self.constant(atom.inner, coords)
        if known is not None:
            return None, known // atom.by if atom.kind == "div" else known % atom.by
        return self.floored(atom, lambda shift: self.scalar(atom.inner, coords, shift))

    def floored(self, atom: Atom, inner: Callable[[int], str]) -> tuple[str, int]:
        """C's / and % truncate: operands that may be negative are first raised by a multiple of the divisor."""
        raised = _raised(atom)
        text = _enclosed(inner(raised * atom.by))
        if atom.kind == "div":
            return f"{text} / {atom.by}", -raised
        return f"({text} % {atom.by})", 0

    # ---------------------------------------------------------------------------------------------- lanes

    def alignment(self, index: Index, coords: Coords) -> int:
        """A number the value at the first lane is certainly a multiple of; 0 when it is 0."""
        found, loose = abs(index.const), self.place.loose
        for atom, k in index.terms:
            if isinstance(atom, Axis):
                text, const = self.position(atom, coords)
                step = gcd(self.place.tile(atom) if text is not None else 0, const) if atom not in loose else 1
            else:
                known = None if atom.kind == "dynamic" else self.constant(atom.inner, coords)
                step = 1 if known is None else known // atom.by if atom.kind == "div" else known % atom.by
            found = gcd(found, k * step)
        return found

    def stride(self, index: Index, coords: Coords, lane: Axis) -> int | None:
        """The change from one lane of a vector to the next, or None when it is not constant."""
        total = 0
        for atom, k in index.terms:
            if isinstance(atom, Axis):
                total += k if atom is lane else 0
            elif lane in atom.axes:
                step = self._atom_stride(atom, coords, lane)
                if step is None:
                    return None
                total += k * step
        return total

    def _atom_stride(self, atom: Atom, coords: Coords, lane: Axis) -> int | None:
        """A vector that begins at a multiple of the lanes and does not cross a multiple of the divisor has one
        quotient."""
        if atom.kind == "dynamic":
            return None
        inner = self.stride(atom.inner, coords, lane)
        if inner == 0:
            return 0
        if inner is None or inner < 0 or atom.by % (inner * self.lanes):
            return None
        if self.alignment(atom.inner, coords) % (inner * self.lanes):
            return None
        return 0 if atom.kind == "div" else inner

    def vector(self, index: Index, coords: Coords, lane: Axis, shift: int = 0) -> str:
        """The values of all lanes, as a vector of the index type."""
        step = self.stride(index, coords, lane)
        if step is not None:
            start = self.scalar(index, coords, shift)
            if step == 0:
                return f"({self.base}{self.prelude.wide})({start})"
            return _sum([start, _times(self.prelude.lanes_constant(self.base), step)], 0)
        const, parts = index.const + shift, []
        for atom, k in index.terms:
            if lane not in atom.axes:
                text, offset = self.position(atom, coords) if isinstance(atom, Axis) else self.atom(atom, coords)
            elif isinstance(atom, Axis):
                start_text, offset = self.position(atom, coords)
                ramp = self.prelude.lanes_constant(self.base)
                text = ramp if start_text is None else f"({start_text} + {ramp})"
            else:
                text, offset = self._vector_atom(atom, coords, lane)
            const += k * offset
            if text is not None:
                parts.append(_times(text, k))
        return _sum(parts, const)

    def _vector_atom(self, atom: Atom, coords: Coords, lane: Axis) -> tuple[str, int]:
        if atom.kind == "dynamic":
            assert isinstance(atom.of, Expr)
            text, _ = self.value(atom.of, coords, lane)
            same = self.base == ("int" if atom.of.dtype.name == "int32" else "long")
            return (text if same else f"convert_{self.base}{self.prelude.wide}({text})"), 0
        step = self.stride(atom.inner, coords, lane)
        if step is not None and step > 0 and (factor := _factor(atom.by, step * (self.lanes - 1))) is not None:
            return self._in_step(atom, coords, step, factor)
        return self.floored(atom, lambda shift: self.vector(atom.inner, coords, lane, shift))

    def _in_step(self, atom: Atom, coords: Coords, step: int, factor: int) -> tuple[str, int]:
        """Quotients or remainders of lanes a step apart: the first one's by division, the rest by a product."""
        raised = _raised(atom)
        first = self.scalar(atom.inner, coords, raised * atom.by)
        vector, is_div = f"{self.base}{self.prelude.wide}", atom.kind == "div"
        name = f"kf_{'quotients' if is_div else 'remainders'}_{self.base}"
        result = f"first / by + (x * factor >> {SHIFT})" if is_div else f"x - (x * factor >> {SHIFT}) * by"
        body = f"const {vector} x = first % by + steps; return {result};"
        self.prelude.define(name, vector, f"{self.base} first, {vector} steps, int by, int factor", body)
        steps = _times(self.prelude.lanes_constant(self.base), step)
        return f"{name}({first}, {steps}, {atom.by}, {factor})", -raised if is_div else 0


def _raised(atom: Atom) -> int:
    """The multiple of a divisor that makes what it divides at least 0."""
    raised = -(-max(0, -atom.inner.lo) // atom.by)
    assumed("raised", atom.inner.lo + raised * atom.by)
    return raised


def _factor(by: int, spread: int) -> int | None:
    """What x // by is x * factor >> SHIFT with, for x below by + spread; None where there is no such number."""
    factor, most = (1 << SHIFT) // by + 1, by + spread
    return (
        factor if by <= MOST and most * (factor * by - (1 << SHIFT)) < 1 << SHIFT and most * factor < 1 << 31 else None
    )


def _times(text: str, factor: int) -> str:
    return text if factor == 1 else f"-{_enclosed(text)}" if factor == -1 else f"{_enclosed(text)} * {factor}"


def _enclosed(text: str) -> str:
    """Text that is safe beside * and /."""
    return text if text.isidentifier() or text.isdigit() or _is_group(text) else f"({text})"


def _is_group(text: str) -> bool:
    if not text.startswith("(") or not text.endswith(")"):
        return False
    depth = 0
    for position, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and position < len(text) - 1:
            return False
    return True


def _sum(parts: list[str], const: int) -> str:
    text = " + ".join(parts) if parts else ""
    if not text:
        return str(const)
    if const:
        text = f"{text} + {const}" if const > 0 else f"{text} - {-const}"
    return text.replace("+ -", "- ")
