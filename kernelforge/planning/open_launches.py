"""Launches of kernels whose sizes are arguments.

Comes in: what a launch is at a few choices of sizes.  Goes out: one for all; its grid and its arguments for given ones.
It knows no graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from codegen.assumed import FIXED
from codegen.fitting import Formula, Point, common_name, fitted, fitted_text
from codegen.ir import Kernel
from codegen.program import Program
from codegen.resized import resized
from codegen.target import Target
from kernelforge.errors import InternalError
from kernelforge.later import later
from kernelforge.planning.open_grids import tiles_of
from kernelforge.planning.steps import Launch
from kernelforge.settings import shows_kernels

if TYPE_CHECKING:
    from codegen import open_schedules, open_texts
    from codegen.open_sizes import Sizes
else:
    later(globals(), open_schedules="codegen.open_schedules", open_texts="codegen.open_texts")

DIVISOR: Final = 16
ANY: Final = 1 << 62


class Unfit(Exception):
    """Plans for several sizes differ in more than numbers."""


class Points(NamedTuple):
    """Choices of sizes that plans were made for, and which sizes are open in each; about what sizes are; the target."""

    points: Sequence[Point]
    sizes: Sequence[Sizes]
    typical: Point
    target: Target


@dataclass
class OpenLaunch:
    """A kernel whose sizes are arguments; for each dimension of its grid the size that is spread and the largest tile;
    the size its vectors run along; its algebra at the sizes it was made for, where programs hold that.

    assumed      what is not below 0 at any sizes its text serves
    shared       bytes of the arrays that have the same size at any sizes
    wanted       names of sizes whose multiples of DIVISOR have a kernel of their own, with wider accesses
    executables  by the names it relies on: the kernel for any sizes, and that one
    """

    program: Program
    spread: tuple[Formula, ...]
    bounds: tuple[int, ...]
    checks: tuple[Formula, ...]
    across: Formula
    assumed: tuple[Formula, ...] = ()
    shared: int = 0
    kernels: tuple[Kernel, ...] = ()
    wanted: tuple[str, ...] = ()
    executables: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def divisible(self, sizes: Point) -> tuple[str, ...]:
        """The names the kernel may rely on that serves some sizes best: all that matter, or none."""
        return self.wanted if all(sizes[name] % DIVISOR == 0 for name in self.wanted) else ()


def wanted_names(lengths: Sequence[Formula]) -> tuple[str, ...]:
    """The names that must be multiples of DIVISOR for some lengths to be, as far as they can be."""
    found: set[str] = set()
    for length in lengths:
        if all(factor % DIVISOR == 0 for factor, names in length.terms if not names):
            found.update(name for factor, names in length.terms if factor % DIVISOR for name in names)
    return tuple(sorted(found))


def joined(steps: Sequence[Launch], known: Points) -> OpenLaunch:
    """One launch for all sizes, made from those at some points, under a schedule that suits typical sizes.

    raises Unfit where they differ in more than numbers
    """
    if len({len(step.checks) for step in steps}) > 1:
        raise Unfit
    checks = tuple([formula_of([c.size for c in same], known.points) for same in zip(*(step.checks for step in steps))])
    programs = [step.program for step in steps]
    kernels = [program.kernel for program in programs if program.kernel is not None]
    suited = known.target.language == "opencl"
    ways = open_schedules.programs(kernels, known.points, known.sizes, known.typical, known.target) if suited else ()
    for found in chain(ways, [programs]):
        try:
            return _joined(found, checks, known.points)
        except Unfit:
            continue
    raise Unfit


def _joined(programs: Sequence[Program], checks: tuple[Formula, ...], points: Sequence[Point]) -> OpenLaunch:
    first = programs[0]
    alike = {(p.language, p.numbers, p.written, tuple((x.name, x.dtype) for x in p.params), len(p.grid), p.local,
              p.options, len(p.lengths), tuple(replace(s, size=0, tile=0 if s.name else s.tile) for s in p.spread))
             for p in programs}  # fmt: skip
    if len(alike) > 1:
        raise Unfit
    entry = common_name([p.entry for p in programs])
    texts = open_texts.comparable(programs, entry, list(points[0]))
    source = None if texts is None else fitted_text(texts, points)
    if source is None:
        raise Unfit
    spread = tuple([formula_of([p.spread[i].size for p in programs], points) for i in range(len(first.spread))])
    tiles = [{p.spread[i].tile for p in programs} for i in range(len(spread))]  # where they differ any will do
    bounds = tuple([max(found) if len(found) == 1 else ANY for found in tiles])
    numbers = (*points[0], *first.numbers)
    program = replace(first, source=source, entry=entry, numbers=numbers, kernel=None, origins=(), across=0, lengths=(),
                      assumed=frozenset())  # fmt: skip
    kernels = tuple([p.kernel for p in programs if p.kernel is not None]) if shows_kernels() else ()
    granted = assumptions([p.assumed for p in programs], points)
    across = formula_of([p.across for p in programs], points)
    lengths = [formula_of(same, points) for same in zip(*(p.lengths for p in programs))]
    shared = sum(same[0].nbytes for same in zip(*(p.params for p in programs)) if len({x.size for x in same}) == 1)
    return OpenLaunch(program, spread, bounds, checks, across, granted, shared, kernels, wanted_names(lengths))


def formula_of(values: Sequence[int], points: Sequence[Point]) -> Formula:
    """The formula of a number; raises Unfit where there is none."""
    found = fitted(values, points)
    if found is None:
        raise Unfit
    return found


def assumptions(noted: Sequence[Iterable[tuple[str, int]]], points: Sequence[Point]) -> tuple[Formula, ...]:
    """What must not be below 0 for what was taken for granted at all points to be so elsewhere.

    Numbers noted for one reason belong together in order of their size.

    raises Unfit where they do not follow from the sizes, or where one changes that must not
    """
    everywhere = frozenset.intersection(*map(frozenset, noted))
    changing = [sorted(frozenset(found) - everywhere) for found in noted]
    reasons = {tuple([reason for reason, _ in found]) for found in changing}
    if len(reasons) > 1 or any(FIXED in found for found in reasons):
        raise Unfit
    return tuple(dict.fromkeys(formula_of([n for _, n in same], points) for same in zip(*changing)))


def scaled(program: Program, nbytes: int) -> Program:
    """The program with about the operations it does on as many bytes."""
    before = max(1, sum(param.nbytes for param in program.params))
    return replace(program, flops=program.flops * nbytes // before, nbytes=program.nbytes * nbytes // before)


def meant(launch: OpenLaunch, program: Program, points: Sequence[Point], sizes: Point) -> Program:
    """The program with what its kernel means at some sizes, where that is known; points: those it was made for."""
    kernel = resized(launch.kernels, points, sizes) if launch.kernels else None
    return program if kernel is None else replace(program, kernel=kernel, params=kernel.params)


def grid_of(
    launch: OpenLaunch, program: Program, sizes: dict[str, int], cores: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The number of groups in each dimension, and the kernel's int arguments."""
    lengths = [formula(sizes) for formula in launch.spread]
    tiles = tiles_of(program, lengths, launch.bounds, launch.shared, cores)
    counts = [-(-size // tile) for size, tile in zip(lengths, tiles)]
    own: dict[str, int] = {}
    for spread, tile, count in zip(program.spread, tiles, counts):
        own |= {spread.name: tile, spread.tiles: count}
    if not all(counts):
        raise InternalError(f"{program.entry} has nothing to do")
    linear = program.language == "triton" or not 0 < len(counts) <= 3
    grid = (prod(counts),) if linear else tuple(counts)
    return grid, tuple([sizes[name] if name in sizes else own[name] for name in program.numbers])
