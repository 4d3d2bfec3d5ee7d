"""Words that stand for tensors: Keccak hashes, and the random words of a counter under a key.

Comes in: tensors, whose bits are hashed; or counters and keys.  Goes out: tensors of bytes and words, by operations on
integers alone.

source  G. Bertoni et al., "The Keccak reference", 2011; FIPS 202
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final, Self

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.shape import sequence
from kernelforge.tensor.broadcasting import broadcast
from kernelforge.tensor.composite import composite
from kernelforge.tensor.rearranging import Rearranging

_RATES: Final = {"sha3_224": (144, 6), "sha3_256": (136, 6), "shake_128": (168, 31)}
_STATE: Final = 200  # bytes
_PART: Final = 4096  # bytes hashed side by side
_BLOCK: Final = 1 << 20


def _round_constants() -> list[int]:
    """What each of the 24 rounds adds: bits of a linear shift register."""
    found, register = [], 1
    for _ in range(24):
        word = 0
        for j in range(7):
            word |= (register & 1) << ((1 << j) - 1)
            register = register << 1 ^ (0x171 if register >> 7 else 0)
        found.append(word)
    return found


def _rotations() -> tuple[list[int], list[int]]:
    """For each lane x + 5 y of the state after a round's permutation: where it comes from, and turned by how much."""
    source, turn = [0] * 25, [0] * 25
    x, y, offset = 1, 0, 0
    for t in range(24):
        offset += t + 1
        to = y + 5 * ((2 * x + 3 * y) % 5)
        source[to], turn[to] = x + 5 * y, offset % 64
        x, y = y, (2 * x + 3 * y) % 5
    return source, turn


_SOURCES, _TURNS = _rotations()


class Hashing(Rearranging):
    """Hashes and random words."""

    __slots__ = ()

    def hash_tensor(self, dim: int | Sequence[int] = (), *, keepdim: bool = False, mode: int = 0) -> Self:
        """The bits of all elements, or of those along some dimensions, combined by exclusive or, as uint64.

        Integers are taken with 64 bits, floats as float64.

        >>> Tensor([1, 2, 3, 8]).hash_tensor().item()
        8

        raises ArgumentError for a mode other than 0, ShapeError without elements
        """
        if mode:
            raise ArgumentError(f"hash_tensor() knows mode 0 alone, exclusive or, got {mode}")
        axes = [self._dim(d, "hash_tensor") for d in sequence(dim) or range(self.ndim)]
        if not self.numel() and len(axes) == self.ndim:
            raise ShapeError(f"hash_tensor() of {self.shape}: there are no elements to combine; give dim")
        words = self.cast(dtypes.float64).bitcast(dtypes.uint64) if self.dtype.is_float else self.cast(dtypes.uint64)
        kept = [n for d, n in enumerate(self.shape) if d not in axes]
        order = [d for d in range(self.ndim) if d not in axes] + axes
        words = words.permute(*order).reshape(*kept, prod(self.shape[d] for d in axes))
        while words.shape[-1] > 1:
            half = (words.shape[-1] + 1) // 2
            words = words[..., :half] ^ words[..., half:].pad((0, 2 * half - words.shape[-1]))
        shape = [1 if d in axes else n for d, n in enumerate(self.shape)] if keepdim else kept
        return words.reshape(shape) if prod(self.shape[d] for d in axes) else words.new_zeros(*shape)

    def _bytes(self) -> Self:
        """The bytes of each element along a new last dimension, the lowest first."""
        if self.dtype is dtypes.bool:
            return self.cast(dtypes.uint8).unsqueeze(-1)
        word = _unsigned(self.dtype)
        shifts = type(self).arange(0, word.bits, 8, dtype=word)
        return (self.bitcast(word).unsqueeze(-1) >> shifts).cast(dtypes.uint8)

    def _rotated(self, places: Self) -> Self:
        """64-bit words turned to the left."""
        return (self << places) | (self >> (64 - places))

    @composite
    def _keccak_round(self, constant: Self, sources: Self, turns: Self) -> Self:
        """One round of Keccak-f[1600] on states [n, 25]."""
        rows = self.reshape(-1, 5, 5)
        parity = rows[:, 0] ^ rows[:, 1] ^ rows[:, 2] ^ rows[:, 3] ^ rows[:, 4]
        one = parity._constant(1)
        mixed = parity.roll(1, -1) ^ parity.roll(-1, -1)._rotated(one)
        state = (rows ^ mixed.unsqueeze(1)).reshape(-1, 25)
        state = state[:, sources]._rotated(turns).reshape(-1, 5, 5)
        return (state ^ (~state.roll(-1, -1) & state.roll(-2, -1))).reshape(-1, 25) ^ constant

    def keccak(self, cfg: str | tuple[int, int] = "sha3_256") -> Self:
        """The Keccak hashes of the bytes along the last dimension, as uint8.

        cfg   "sha3_224", "sha3_256", "shake_128" (16 bytes), or rate in bytes and the byte that ends a message

        >>> bytes(Tensor(b"abc").keccak().tolist()).hex()[:16]
        '3a985da74fe225b2'
        """
        if not self.ndim or (isinstance(cfg, str) and cfg not in _RATES):
            known = ", ".join(_RATES)
            raise ShapeError(f"keccak({cfg!r}) of {self.shape}: it takes a dimension to hash, and one of {known}")
        rate, ending = _RATES[cfg] if isinstance(cfg, str) else cfg
        data = self._bytes().reshape(*self.shape[:-1], -1)
        lead, length = data.shape[:-1], data.shape[-1]
        data = data.reshape(-1, length)
        total = (length // rate + 1) * rate
        mark = [0] * total
        mark[length] ^= ending
        mark[-1] ^= 0x80
        blocks = data.pad_to(None, total) ^ type(self)(mark, dtype=dtypes.uint8)
        words = blocks.reshape(data.shape[0], -1, rate // 8, 8).cast(dtypes.uint64)
        words = (words << type(self).arange(0, 64, 8, dtype=dtypes.uint64)).sum(-1, dtype=dtypes.uint64)
        state = type(self).zeros(data.shape[0], 25, dtype=dtypes.uint64)
        sources, turns = type(self)(_SOURCES), type(self)(_TURNS, dtype=dtypes.uint64)
        constants = [type(self)([value] + [0] * 24, dtype=dtypes.uint64) for value in _round_constants()]
        for i in range(words.shape[1]):
            state = state ^ words[:, i].pad_to(None, 25)
            for constant in constants:
                state = state._keccak_round(constant, sources, turns).contiguous()
        return state._bytes().reshape(*lead, _STATE)[..., : (_STATE - rate) // 2]

    def hash(self) -> Self:
        """16 bytes that stand for the elements: SHAKE-128 of the SHAKE-128 hashes of 4096 bytes each, in a tree."""
        data = self._bytes().flatten()
        chunks = -(-data.numel() // _BLOCK)
        while chunks > 1:
            data = data.pad_to(chunks * _BLOCK)._hashed_blocks()
            chunks = -(-data.numel() // _BLOCK)
        return data.pad_to(_BLOCK)._hashed_blocks()[:16]

    def _hashed_blocks(self) -> Self:
        """The hashes of each MiB, one after the other."""
        parts = self.reshape(-1, _PART).keccak("shake_128")
        return parts.reshape(self.numel() // _BLOCK, -1).keccak("shake_128").flatten()

    # Random words -----------------------------------------------------------------------------------------------

    def threefry(self, seed: Self) -> Self:
        """64 random bits for each counter (this tensor) under a key, both uint64: Threefry-2x32 of 20 rounds."""
        if self.dtype is not dtypes.uint64 or seed.dtype is not dtypes.uint64:
            raise DTypeError(f"threefry() of {self.dtype} under {seed.dtype}: counter and key are uint64; cast() them")
        counter, key = (self._wrap(node, None) for node in broadcast(self._node, seed._node))
        words = [part._node for x in (counter, key) for part in (x.cast(dtypes.uint32), (x >> 32).cast(dtypes.uint32))]
        first, second = (self._wrap(graph.elementwise(op, *words), None) for op in ("random", "random2"))
        return (second.cast(dtypes.uint64) << 32) | first.cast(dtypes.uint64)

    @classmethod
    def random_bits(cls, key: Self, counter: Self, num: int) -> Self:
        """num random uint32 words under a key of two words, for a counter of two words."""
        under = cls._word_pairs(key, counter[0:1], counter[1:2])
        half = -(-num // 2)
        places = cls.arange(half, dtype=dtypes.uint32)
        return cls._word_pairs(under, places, places + half)[:num]

    @classmethod
    def _word_pairs(cls, key: Self, low: Self, high: Self) -> Self:
        """The low words, then the high words, of threefry() of counters given by halves."""
        whole = (high.cast(dtypes.uint64) << 32) | low.cast(dtypes.uint64)
        words = whole.threefry((key[1].cast(dtypes.uint64) << 32) | key[0].cast(dtypes.uint64))
        return words.cast(dtypes.uint32).cat((words >> 32).cast(dtypes.uint32))


def _unsigned(dtype: DType) -> DType:
    """The type of bare bits as wide as dtype."""
    return {8: dtypes.uint8, 16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}[dtype.bits]
