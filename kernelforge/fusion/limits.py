"""The numbers that the rules of fusion compare with.

Comes in: a target.  Goes out: `Limits`.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.target import Target
from kernelforge.rewrites.alongside import PARTS_PER_CORE


@dataclass(frozen=True)
class Limits:
    """Numbers the fusion rules compare with.

    operations  most operations of one kernel
    params      most arrays of one kernel
    nested      most look-ups of one kernel each of which takes the place another finds
    tile        longest axis that fits whole in one tile
    width       the same in attention of 16-bit values, whose results are as wide
    repeats     most values of a tile a reduction may be repeated over; again: the same for contractions
    cheap       cost per element up to which a value is computed again rather than stored
    cheap_near  the same where the value stays in a cache until it is read
    near        bytes of such a value
    cheap_small the same where everything the value is computed from is much smaller than the value
    small       elements a value, with all it is computed from, may have to be cheap even if it stays in a cache
    cached      elements that stay in the last cache while several kernels read them
    prologue    the same for an operand of a contraction, which is computed again for every tile
    cores       processors to keep busy
    program     elements one program may work through alone when there are too few programs
    updates     independent elementwise results share kernels; elsewhere their kernels share launches
    deep        terms of a contraction from which on what several kernels compute from its results is none of its kernel
    parts       programs for each processor that a kernel of rows with sums down their columns has at least
    narrow      conversions cost nothing and bytes do: what is widened is stored as it was before, and the matrix unit
                takes 16-bit operands from memory only as they lie there
    """

    operations: int = 200
    params: int = 96
    nested: int = 4
    tile: int = 128
    width: int = 128
    repeats: int = 256
    again: int = 256
    cheap: int = 32
    cheap_near: int = 8
    near: int = 0
    cheap_small: int = 64
    small: int = 4096
    cached: int = 1 << 22
    prologue: int = 2
    cores: int = 2
    program: int = 1 << 16
    updates: bool = False
    deep: int = 0
    parts: int = 16
    narrow: bool = False

    @staticmethod
    def of(target: Target) -> Limits:
        """The limits for a machine."""
        program = max(1 << 14, (1 << 17) // max(1, target.cores))
        is_gpu = target.language == "triton"
        again = 1 if is_gpu else Limits.again
        deep = 2048 if is_gpu else 0
        parts = PARTS_PER_CORE.get(target.language, Limits.parts)
        width = 256 if target.has_warpgroups else Limits.width
        near = 0 if is_gpu else target.l3 // 4
        return Limits(
            width=width, again=again, cores=target.cores, program=program, updates=is_gpu, deep=deep, parts=parts,
            narrow=is_gpu, near=near,
        )  # fmt: skip
