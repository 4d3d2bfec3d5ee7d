"""Loops in segments: between two places where a condition on the lane axis changes, the condition is known.

    for j: out[j] = where(j < 160, x[j], y[j - 160])  ->  for j < 160: out[j] = x[j]; then: out[j] = y[j - 160]

Comes in: a loop of a nest.  Goes out: its segments, in order, the tiles that a change goes through among them, and what
follows from knowing in which segment a tile is.  It knows no text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from codegen.assumed import assumed
from codegen.index import Axis, Guard, Guards, Index
from codegen.ir import Apply, Expr, Load, Valid, children
from codegen.nodes import Keep, Loop, Nest, Out, Update, leaf_roots
from codegen.rewrites.masked import necessary

MOST_TEXT: Final = 256  # expressions that all segments together may spell
LEAST_TILES: Final = 1  # per segment on average: below that changes go through nearly all tiles

Ranges = Mapping[Axis, tuple[int, int]]
"""Per axis the positions lo <= position < hi that all points of a tile have."""


class Segment(NamedTuple):
    """The tiles whose points are first <= position < end, of which the last may be cut at the axis' end."""

    first: int
    end: int


def segments(loop: Loop, nest: Nest) -> list[Segment]:
    """The segments of an innermost loop along lanes; none where the loop is as well left in one piece.

    Left in one piece are loops with anything but values to compute in their bodies, or without whole tiles.
    """
    axis, tile = loop.axis, loop.tile
    if loop.grid or loop.within or axis not in nest.schedule.vector or axis in loop.place.loose:
        return []
    values = _values(loop)
    edges = sorted({edge for e in values for edge in _edges(e, axis)}) if values else []
    pieces = len(edges) + 1
    if not edges or (2 * pieces) * len(values) > MOST_TEXT or axis.size // tile < LEAST_TILES * pieces:
        return []
    found: list[Segment] = []
    end = 0
    for low, high in pairwise((0, *edges, axis.size)):
        first, last = -(-low // tile) * tile, high // tile * tile
        if first < last:
            found += [Segment(end, first)] if end < first else []
            found.append(Segment(first, last))
            end = last
    whole = axis.size // tile * tile
    found += [Segment(end, whole)] if end < whole else []
    return found + ([Segment(whole, axis.size)] if whole < axis.size else [])


def decided(condition: Expr, known: Ranges) -> bool | None:
    """The truth of a condition on positions; None where it is not known."""
    for truth in (True, False) if known else ():
        if any(never(guard, known) for guard in necessary(condition, truth)):
            return not truth
    return None


def never(guard: Guard, known: Ranges) -> bool:
    """True when a guard fails at all points for certain."""
    low, high = reach(guard.index, known)
    if high < guard.lo:
        return assumed("never", guard.lo - 1 - high)
    return low >= guard.hi and assumed("never", low - guard.hi)


def reach(index: Index, known: Ranges) -> tuple[int, int]:
    """The least and the greatest value an index may have."""
    if index.is_dynamic or known.keys().isdisjoint(index.axes) or not all(isinstance(a, Axis) for a, _ in index.terms):
        return index.lo, index.hi
    low = high = index.const
    for axis, k in index.terms:
        assert isinstance(axis, Axis)
        first, end = known.get(axis, (0, axis.size))
        low, high = low + min(k * first, k * (end - 1)), high + max(k * first, k * (end - 1))
    return low, high


def _values(loop: Loop) -> list[Expr]:
    """Every expression a loop's body computes; none if it does anything else."""
    stack: list[tuple[Expr, Mapping[Expr, object]]] = []
    for node in loop.body:
        if not isinstance(node, Out | Update | Keep):
            return []
        stack += [(root, node.env) for root in leaf_roots(node)]
    found: dict[Expr, None] = {}
    while stack:
        e, env = stack.pop()
        if e not in env and e not in found:
            found[e] = None
            stack += [(child, env) for child in children(e)]
    return list(found)


def _edges(e: Expr, axis: Axis) -> Iterator[int]:
    """Where along an axis conditions of an expression on it alone change."""
    guards: Guards = frozenset()
    if isinstance(e, Load | Valid):
        guards = e.guards
    elif isinstance(e, Apply) and e.op.name == "where":
        guards = necessary(e.args[0], True) | necessary(e.args[0], False)
    for index, lo, hi in guards:
        if len(index.terms) == 1 and index.coefficient(axis) == 1:
            yield from (edge for edge in (lo - index.const, hi - index.const) if 0 < edge < axis.size)
