"""Launches of kernels whose sizes are arguments.

Comes in: a kernel for open sizes, and sizes.  Goes out: its grid and its arguments for these.  It knows no graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Final

from codegen.fitting import Formula, Point
from codegen.ir import Kernel
from codegen.program import Program
from codegen.resized import resized
from kernelforge.errors import InternalError

GROUP_BYTES: Final = 1 << 17  # bytes or operations that are worth a group, at least
GROUP_FLOPS: Final = 1 << 22
GROUPS_PER_CORE: Final = 4
DIVISOR: Final = 16


@dataclass
class OpenLaunch:
    """A kernel whose sizes are arguments; for each dimension of its grid the size that is spread and the largest tile;
    the size its vectors run along; its algebra at the sizes it was made for, where programs hold that.

    wanted       names of sizes whose multiples of DIVISOR have a kernel of their own, with wider accesses
    executables  by the names it relies on: the kernel for any sizes, and that one
    """

    program: Program
    spread: tuple[Formula, ...]
    bounds: tuple[int, ...]
    checks: tuple[Formula, ...]
    across: Formula
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
    """The number of groups in each dimension, and the kernel's int arguments: enough groups for the cores to share,
    of tiles as large as they may be."""
    counts: list[int] = []
    own: dict[str, int] = {}
    wanted = max(1, min(cores * GROUPS_PER_CORE, max(program.nbytes // GROUP_BYTES, program.flops // GROUP_FLOPS)))
    wanted //= max(1, prod(formula(sizes) // s.tile for s, formula in zip(program.spread, launch.spread) if not s.name))
    for spread, formula, bound in zip(program.spread, launch.spread, launch.bounds):
        size, tile = formula(sizes), spread.tile
        if spread.name:
            count = max(1, wanted, -(-size // bound))
            tile = -(-size // (count * spread.unit)) * spread.unit
            wanted //= count
        counts.append(-(-size // tile))
        own |= {spread.name: tile, spread.tiles: counts[-1]}
    if not all(counts):
        raise InternalError(f"{program.entry} has nothing to do")
    linear = program.language == "triton" or not 0 < len(counts) <= 3
    grid = (prod(counts),) if linear else tuple(counts)
    return grid, tuple([sizes[name] if name in sizes else own[name] for name in program.numbers])

