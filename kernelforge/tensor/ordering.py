"""Where elements go when they are sorted: the machinery below sort(), topk() and their like.

Comes in: tensors.  Goes out: int32 indices along the last dimension.  Elements become unsigned keys of the same order.
Short rows count for each element the keys below it; longer ones are sorted by their digits, the lowest first: each
block of a row counts its digits and numbers equal ones, a running sum over digits and blocks says where each run of
equal digits begins, and every element moves to its place.  Both are stable: equal elements keep their order.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Final, Self, TypeVar

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.kernels import Device
from kernelforge.tensor.composite import composite
from kernelforge.tensor.replacing import Replacing

_SHORT: Final = 256  # elements of a row that are compared each with each where programs run in no order
_SHORT_ALONE: Final = 1024  # the same where rows are so few that launches count more
_SHORT_OF_BITS: Final = (72, 4)  # elements of a row, and more for each bit of the keys, that are on processors
_SHORT_WIDE: Final = (16, 128)  # the same for a few rows, and for more, of keys that leave no room for their places
_COMPARED: Final = 512  # elements of a row, or blocks' least, that many passes may look at
_ALONE: Final = 4  # rows that are so few
_FIRST: Final = 64  # elements wanted of such a row at most for keys and places to be compared as one
_ONE_BY_ONE: Final = 16  # elements wanted of a row at most for each to be looked for in a pass of its own
_PASSES: Final = 1 << 18  # elements those passes may look at in all where they save launches alone
_PASSED: Final = 300  # elements of a row whose passes, but for two and a half, cost what finding one in blocks does
_SOON_RANKED: Final = 128  # elements of a row whose ranks are known sooner than one among them is found bit by bit
_FEW: Final = 8  # times as many elements as wanted that are worth looking for instead of sorting all
_DIGIT: Final = 8  # bits of a digit
WIDE_DIGIT: Final = 11  # the same for blocks of at least _LONG elements
_LONG: Final = 1 << 14
_BLOCK: Final = 1 << 12  # elements a block should have before a row is cut into several
_UNORDERED_BLOCK: Final = 256  # elements of a block where programs run in no order and compare each with each
_UNSIGNED: Final = {8: dtypes.uint8, 16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}
_SIGNED: Final = {8: dtypes.int8, 16: dtypes.int16, 32: dtypes.int32, 64: dtypes.int64}

T = TypeVar("T", bound="Ordering")


class Ordering(Replacing):
    """Ranks and orders along the last dimension."""

    __slots__ = ()

    @composite
    def _order(self, descending: bool = False) -> Self:
        """The int32 indices that sort the last dimension; equal elements keep their order, NaN counts as largest."""
        shape, n = self.shape, self.shape[-1]
        if not self.numel() or n == 1:
            return self._integers(self.shape)
        keys = self.detach().reshape(prod(shape[:-1]), n)._keys(descending)
        return keys._order_of_keys(self._key_bits).reshape(shape)

    @composite
    def _first_in_order(self, k: int, descending: bool) -> Self:
        """The first k of the int32 indices that sort the last dimension."""
        shape, n = self.shape, self.shape[-1]
        if not self.numel() or not k:
            return self._integers((*shape[:-1], k))
        one_by_one = self._one_by_one(k)
        if not one_by_one and k * _FEW > n:
            return self._order(descending)._between(self.ndim - 1, 0, k)
        keys, bits = self.detach().reshape(prod(shape[:-1]), n)._keys(descending), self._key_bits
        width = (n - 1).bit_length()
        if bits + width > 64:
            found = keys._first_one_by_one(k) if one_by_one else keys._first_keys(k, bits)
        elif one_by_one:
            packed = keys._with_places(self._integers((n,)), width, bits)
            found = packed._smallest_one_by_one(k)._places_with(width)
        elif k > _FIRST or keys.shape[0] > _ALONE:
            found = keys._first_keys(k, bits)
        else:
            found = keys._first_of_few(k, bits)
        return found.reshape(*shape[:-1], k)

    @composite
    def _places_of_kth(self, dim: int, k: int) -> Self:
        """Where the k-th smallest element along dim is, equal ones in their order; dim stays, of size 1.

        k counts from 1.  In short rows it is the one with k - 1 before it.  Else the largest key with fewer than k
        below it is found bit by bit, then its place: each bit is a pass that counts.
        """
        n = self.shape[dim]
        width = (n - 1).bit_length()
        if n <= _SOON_RANKED and self._key_bits + width <= 64:
            places = self._integers((n,))
            packed = self.detach().movedim(dim, -1)._keys()._with_places(places, width, self._key_bits).contiguous()
            found = packed._ranks().eq(k - 1).where(places, 0).max(-1, keepdim=True)
            return found.movedim(-1, dim)
        if n <= _SOON_RANKED or self.movedim(dim, -1)._one_by_one(k):
            return self.movedim(dim, -1)._first_in_order(k, False)._between(self.ndim - 1, k - 1, k).movedim(-1, dim)
        keys = self.detach()._keys().contiguous()

        def count(found: Self) -> Self:
            return found.sum(dim, keepdim=True, dtype=dtypes.int32)

        shape = (*self.shape[:dim], 1, *self.shape[dim + 1 :])
        zeros = [self._wrap(graph.full(shape, 0, dtype), None) for dtype in (keys.dtype, dtypes.int32)]
        key = _largest(self._key_bits, zeros[0], lambda x: count(keys < x) < k)
        left, equal = k - count(keys < key), keys.eq(key)
        places = self._integers((n,)).reshape(n, *[1] * (self.ndim - 1 - dim))
        return _largest((n - 1).bit_length(), zeros[1], lambda x: count(equal & (places < x)) < left)

    def _with_places(self, places: Self, width: int, bits: int) -> Self:
        """Keys of the given bits and places of a given width as one integer, in the order of both."""
        kind = dtypes.uint64 if bits + width > 32 else dtypes.uint32
        return (self.cast(kind) << width) | places.cast(kind)

    def _places_with(self, width: int) -> Self:
        """The places in what _with_places() made."""
        return (self & ((1 << width) - 1)).cast(dtypes.int32)

    def _one_by_one(self, k: int) -> bool:
        """Whether the first k of each row are best looked for in a pass each: they are few, and no more than a part."""
        n = self.shape[-1]
        if k > _ONE_BY_ONE or (k > 1 and 5 * k > n):
            return False
        return n * (2 * k - 5) <= 2 * _PASSED * k or k * self.numel() <= _PASSES

    def _first_one_by_one(self, k: int) -> Self:
        """The places of the k smallest keys of each row, in order."""
        n = self.shape[-1]
        places, most = self._integers(self.shape), self.dtype.max
        least = self.min(-1, keepdim=True)
        found = [self.eq(least).where(places, n).min(-1, keepdim=True)]
        while len(found) < k:
            later = (self > least) | (self.eq(least) & (places > found[-1]))
            least = later.where(self, most).min(-1, keepdim=True)
            found.append((later & self.eq(least)).where(places, n).min(-1, keepdim=True))
        return found[0].cat(*found[1:], dim=-1) if k > 1 else found[0]

    def _smallest_one_by_one(self, k: int) -> Self:
        """The k smallest of each row of integers, in order; no two of these are equal."""
        found = [self.min(-1, keepdim=True)]
        while len(found) < k:
            found.append((self > found[-1]).where(self, self.dtype.max).min(-1, keepdim=True))
        return found[0].cat(*found[1:], dim=-1)

    def _first_of_few(self, k: int, bits: int) -> Self:
        """The places of the k smallest of each of a few rows of keys that have no more than the given bits, in order.

        They lie in the k blocks with the smallest least keys, the first of equal ones, and of these blocks' blocks
        again in such k.
        """
        rows, n = self.shape
        sizes = _block_sizes(n, k)
        count = -(-n // sizes[0])
        width = (count * sizes[0] - 1).bit_length()
        line = self.pad((0, count * sizes[0] - n), value=(1 << bits) - 1)
        blocks, least = self._integers((rows, count)), line.reshape(rows, count, sizes[0]).min(2)
        for larger, size in zip((0, *sizes), sizes):
            if larger:
                parts = larger // size
                blocks = (blocks.unsqueeze(-1) * parts + self._integers((parts,))).reshape(rows, -1)
                least = line.reshape(rows, -1, size)._blocks_at(blocks).min(2)
            packed = least._with_places(blocks, width, bits).contiguous()
            found = packed._smallest_one_by_one(k) if k <= _ONE_BY_ONE else packed._smallest_by_ranks(k)
            blocks = found._places_with(width)
        return blocks

    def _blocks_at(self, places: Self) -> Self:
        """The blocks [rows, k, size] at places [rows, k] among blocks [rows, .., size]; each is read as it lies."""
        return self._picked_along(1, places.unsqueeze(-1).expand(*places.shape, self.shape[2]))

    def _smallest_by_ranks(self, k: int) -> Self:
        """The k smallest of each row of integers, in order; no two of these are equal."""
        return self._placed(self._ranks())._between(1, 0, k)

    def _ranks(self) -> Self:
        """For each element of a row the number of smaller ones, stored before who moves elements keeps them inside."""
        return (self.unsqueeze(-2) < self.unsqueeze(-1)).sum(-1, dtype=dtypes.int32).contiguous()

    def _first_keys(self, k: int, bits: int) -> Self:
        """The indices of the k smallest of each row of keys of the given bits, in order.

        They lie in the k blocks with the smallest least keys, which are found in the same way.
        """
        rows, n = self.shape
        if k * _FEW > n:
            return self._order_of_keys(bits)._between(1, 0, k)
        size = 1 << ((n // k).bit_length() // 2)
        count = -(-n // size)
        blocks = self.pad((0, count * size - n), value=(1 << bits) - 1).reshape(rows, count, size)
        chosen = blocks.min(2)._first_keys(k, bits)
        chosen = chosen._fetched(chosen.cast(dtypes.uint32)._order_of_keys(count.bit_length()))
        places = (chosen.unsqueeze(-1) * size + self._integers((size,))).reshape(rows, k * size)
        candidates = blocks._blocks_at(chosen).reshape(rows, k * size).contiguous()
        return places._fetched(candidates._first_keys(k, bits))

    def _integers(self, shape: tuple[int, ...], dtype: DType = dtypes.int32) -> Self:
        """0, 1, 2, ... along the last dimension."""
        return self._wrap(graph.iota(shape[-1], dtype), None).expand(shape)

    def _keys(self, descending: bool = False) -> Self:
        """Unsigned integers in the order of the elements: uint64 for 64-bit types, else uint32.

        Of floats, zeros of either sign are equal and NaNs largest and equal.
        """
        bits = self.dtype.bits
        wide = dtypes.uint64 if bits == 64 else dtypes.uint32
        if self.dtype.kind in "bu":
            keys, top = self.cast(wide), (1 << self._key_bits) - 1
        else:
            x = self.eq(0).where(0, self) if self.dtype.is_float else self
            image = x.bitcast(_SIGNED[bits])
            keys, top = image.bitcast(_UNSIGNED[bits]).cast(wide) ^ (1 << (bits - 1)), (1 << bits) - 1
            if self.dtype.is_float:
                keys = (image < 0).where(keys ^ (top >> 1), keys)
                keys = self.isnan().where(top, keys)
        return keys ^ top if descending else keys

    @property
    def _key_bits(self) -> int:
        """The bits the keys of this type of elements have at most."""
        return 1 if self.dtype is dtypes.bool else self.dtype.bits

    def _order_of_keys(self, bits: int) -> Self:
        """The order of rows [rows, n] of keys that have no more than the given bits."""
        rows, n = self.shape
        if Device[self.device].target.language == "triton":
            short = _SHORT_ALONE if rows <= _ALONE else _SHORT
        elif bits + (n - 1).bit_length() > 64:
            short = _SHORT_WIDE[rows > _ALONE]
        else:
            short = _SHORT_OF_BITS[0] + _SHORT_OF_BITS[1] * bits
        return self._order_by_ranks(bits) if n <= short else self._order_by_digits(bits)

    def _order_by_ranks(self, bits: int) -> Self:
        """The order of rows of keys that have no more than the given bits: an element's rank is the number of elements
        before it.

        Keys that leave room for their places are made different by these: one comparison tells.
        """
        n = self.shape[-1]
        width = (n - 1).bit_length()
        if bits + width <= 64:
            kind = dtypes.uint64 if bits + width > 32 else dtypes.uint32
            width = kind.bits - bits  # the same for all lengths: they have a kernel in common
            packed = ((self.cast(kind) << width) | self._integers((n,), kind)).contiguous()
            return self._integers(self.shape)._placed(packed._ranks())
        mine, other = self.unsqueeze(-1), self.unsqueeze(-2)
        places = self._integers((n,))
        earlier = places.unsqueeze(0) < places.unsqueeze(1)
        ranks = ((other < mine) | (other.eq(mine) & earlier)).sum(-1, dtype=dtypes.int32)
        return places.expand(self.shape)._placed(ranks)

    def _order_by_digits(self, bits: int) -> Self:
        """The order of rows [rows, n] of keys that have no more than the given bits.

        Keys move together with their places, packed into one integer; of wide keys as many bits at a time as fit.
        """
        rows, n = self.shape
        blocks, size = self._blocks(rows, n)
        width = (blocks * size - 1).bit_length()
        digit = WIDE_DIGIT if size >= _LONG and Device[self.device].target.language != "triton" else _DIGIT
        x = self.pad((0, blocks * size - n), value=(1 << bits) - 1)
        kind = dtypes.uint64 if bits + width > 32 else dtypes.uint32
        most = bits if bits + width <= 64 else (64 - width) // digit * digit
        width = kind.bits - min(bits, most)  # the same for most lengths: they have kernels in common
        order = x._integers(x.shape, kind)
        for first in range(0, bits, most):
            some = min(most, bits - first)
            keys = ((x._fetched(order.cast(dtypes.int32)) if first else x) >> first) & ((1 << some) - 1)
            packed = (keys.cast(kind) << width) | order
            for low in range(0, some, digit):
                packed = packed._moved_by_digit(width + low, min(digit, some - low), blocks)
            order = packed & ((1 << width) - 1)
        return order._between(1, 0, n).cast(dtypes.int32)

    def _blocks(self, rows: int, n: int) -> tuple[int, int]:
        """How many blocks a row of n is cut into, and their size."""
        target = Device[self.device].target
        if target.language == "triton":
            return -(-n // _UNORDERED_BLOCK), _UNORDERED_BLOCK
        blocks = max(1, min(-(-4 * target.cores // rows), n // _BLOCK))
        return blocks, -(-n // blocks)

    def _moved_by_digit(self, low: int, bits: int, blocks: int) -> Self:
        """Rows stably sorted by their bits from `low` on."""
        (rows, n), count = self.shape, 1 << bits
        digits = ((self >> low) & (count - 1)).cast(dtypes.int32).reshape(rows, blocks, n // blocks)
        zeros = graph.full((rows, blocks, count), 0, dtypes.int32)
        ones = graph.full(digits.shape, 1, dtypes.int32)
        tally = self._wrap(graph.tally(zeros, digits._node, ones, 2), None)
        counts = tally._between(2, 0, count).permute(0, 2, 1).reshape(rows, count * blocks)
        starts = (counts.cumsum(1).cast(dtypes.int32) - counts).reshape(rows, count, blocks).permute(0, 2, 1)
        places = starts._fetched(digits) + tally._between(2, count, count + n // blocks)
        return self._placed(places.reshape(rows, n))

    def _placed(self, places: Self) -> Self:
        """The elements moved along the last dimension, each to a place of its own."""
        places = places._kept_inside(self.shape[-1])
        return self._derived(graph.scatter(self._node, places._node, self._node, self.ndim - 1, "place"))

    @composite
    def _picked_along(self, dim: int, places: Self) -> Self:
        """gather() for places that are known to be inside."""
        dim = self._dim(dim, "gather")
        return self._derived(graph.gather(self._node, places._kept_inside(self.shape[dim])._node, dim))

    def _kept_inside(self, n: int) -> Self:
        """The same places, that are known to be in 0 <= place < n, in words that tell: nothing has to look whether."""
        return self.maximum(0).minimum(n - 1) if n else self

    def _fetched(self, places: Self) -> Self:
        """The same along the last dimension."""
        return self._picked_along(-1, places)


def _largest(bits: int, zero: T, holds: Callable[[T], T]) -> T:
    """The largest integer of the given bits for which a condition holds that holds for 0, and up to some number."""
    found = zero
    for bit in reversed(range(bits)):
        found = found + holds(found + (1 << bit)).cast(zero.dtype) * (1 << bit)
    return found


def _block_sizes(n: int, k: int) -> list[int]:
    """The sizes of blocks in which the k smallest of n elements are looked for, each a part of the one before; 1 ends
    them."""
    most = max(2, 1 << (_COMPARED // k).bit_length() - 1)
    sizes = [1]
    while n > sizes[0] * _COMPARED:
        parts = next((p for p in (4, 8, 16, 32, 64, 128) if n <= k * p * p * sizes[0]), most)
        sizes.insert(0, sizes[0] * min(parts, most))
    return sizes
