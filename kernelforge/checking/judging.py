"""Whether results are what their graph means.

Comes in: the nodes of results, arrays for what they are computed from, and the arrays found.  Goes out: the first
wrong element, or nothing.  An element may be off by some roundings; where that is not enough, by as much as it moves
when each operation is disturbed by about a rounding, times a factor.  Where that decides between integers, nothing is
said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegen.checking import close, epsilon, tiny
from kernelforge.checking.reference import Disturbed, Exact, Own, evaluated
from kernelforge.graph import Node

FEW: Final = 4  # evaluations that are disturbed before something looks wrong
MANY: Final = 12  # before it is said to be
FACTOR: Final = 4  # how much further off a right result may be than any of those
ROUNDINGS: Final = 8  # that are nothing to look into


class Unlike(NamedTuple):
    """The first wrong element: of which result, where, what is there and what should be; how many of how many."""

    result: int
    place: tuple[int, ...]
    found: object
    expected: object
    wrong: int
    seen: int


def unlike(roots: Sequence[Node], given: Mapping[Node, NDArray], found: Sequence[NDArray]) -> Unlike | None:
    """The first wrong element of the arrays found for roots; None if all are right.

    raises  what `evaluated` raises
    """
    exact = evaluated(roots, given, Exact())
    off = [~close(f, e, _near(x, e)) for x, f, e in zip(roots, found, exact)]
    if any(wrong.any() for wrong in off) and any(_nonfinite(x).any() for x in given.values()):
        off = [wrong & ~(_nonfinite(e) & ~_nonfinite(f)) for wrong, f, e in zip(off, found, exact)]  # masks keep zeros
    others: list[list[NDArray]] = []
    for count in (FEW, MANY):
        if not any(wrong.any() for wrong in off):
            return None
        ways: list[Exact] = [Own()] if not others else []
        ways += [Disturbed(seed) for seed in range(len(others), count)]
        others += [evaluated(roots, given, way) for way in ways]
        off = [
            wrong & ~_explained(x, f, e, [other[i] for other in others])
            for i, (x, f, e, wrong) in enumerate(zip(roots, found, exact, off))
        ]
    return _first(off, found, exact)


def _first(off: Sequence[NDArray], found: Sequence[NDArray], exact: Sequence[NDArray]) -> Unlike | None:
    for i, wrong in enumerate(off):
        if wrong.any():
            place = tuple(int(n) for n in np.unravel_index(wrong.argmax(), wrong.shape))
            return Unlike(i, place, found[i][place].item(), exact[i][place].item(), int(wrong.sum()), wrong.size)
    return None


def _near(node: Node, exact: NDArray) -> NDArray | float:
    """How far off nobody looks."""
    if not node.dtype.is_float:
        return 0.0
    with np.errstate(all="ignore"):
        found: NDArray = ROUNDINGS * epsilon(node.dtype) * np.abs(exact) + tiny(node.dtype)
    return found


def _nonfinite(values: NDArray) -> NDArray:
    return ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)


def _explained(node: Node, found: NDArray, exact: NDArray, others: Sequence[NDArray]) -> NDArray:
    """Where rounding on the way explains what was found."""
    if not node.dtype.is_float:
        return np.any([other != exact for other in others], axis=0)
    with np.errstate(all="ignore"):
        moved = np.max([np.abs(other - exact) for other in others], axis=0)
        bound = FACTOR * moved + _near(node, exact)
        kinds = np.any([np.isfinite(other) != np.isfinite(exact) for other in others], axis=0)
        return kinds | (np.abs(found - exact) <= bound)
