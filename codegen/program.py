"""What code generation delivers: source text with all a runtime needs to launch it.

Comes in: printers fill it.  Goes out: to the runtimes, which compile and launch it without looking into the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from codegen.ir import Expr, Kernel, Param


@dataclass(frozen=True)
class Spread:
    """How an axis is spread over groups: `size` points in tiles of at most `tile`, a multiple of `unit`.

    name    the int argument that is the tile; "" where the tile is as it stands
    tiles   the int argument that is the number of tiles; "" where the text does not ask
    """

    size: int
    tile: int
    unit: int
    name: str = ""
    tiles: str = ""


@dataclass(frozen=True)
class Program:
    """One kernel's source.

    language  "opencl" | "triton" | "interpreted" (the interpreter runs `kernel`; source is its readable form)
    entry     the function's name in the source
    grid      number of work-groups or programs per dimension, 1 to 3 of them, fastest first
    params    in argument order
    written   names of the parameters the kernel writes
    kernel    the algebra it was made from; None where only the text is needed
    flops     arithmetic operations of one launch; nbytes: bytes it must at least move
    origins   what each line of the source computes, as far as a line computes one expression; empty where not asked
    local     work-items per group; () means one
    options   launch options of the language (Triton: num_warps, num_stages)
    spread    of a program for open sizes, how each dimension of the grid is made; see `Spread`
    numbers   names of the int arguments that follow the arrays
    across    the open size vectors run along; 0 where there is none
    lengths   open sizes and strides that wide accesses want to be multiples of 16
    divisible names of int arguments that are known to be such
    assumed   what its text takes for granted; see `assumed.py`
    """

    language: str
    source: str
    entry: str
    grid: tuple[int, ...]
    params: tuple[Param, ...]
    written: frozenset[str]
    kernel: Kernel | None = field(default=None, compare=False, repr=False)
    flops: int = 0
    nbytes: int = 0
    local: tuple[int, ...] = ()
    options: tuple[tuple[str, int], ...] = ()
    origins: tuple[Expr | None, ...] = field(default=(), compare=False, repr=False)
    spread: tuple[Spread, ...] = ()
    numbers: tuple[str, ...] = ()
    across: int = 0
    lengths: tuple[int, ...] = ()
    divisible: tuple[str, ...] = ()
    assumed: frozenset[tuple[str, int]] = field(default=frozenset(), compare=False, repr=False)

    @property
    def local_size(self) -> tuple[int, ...]:
        """Work-items of a group, per dimension of the grid."""
        return self.local or (1,) * len(self.grid)

    @property
    def global_size(self) -> tuple[int, ...]:
        """Work-items in all, per dimension of the grid."""
        return tuple(groups * items for groups, items in zip(self.grid, self.local_size, strict=True))
