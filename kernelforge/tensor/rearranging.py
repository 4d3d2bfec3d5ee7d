"""Dimensions by names, and parts by sizes: the remaining movements of tinygrad.

Comes in: tensors with a formula or a shape.  Goes out: views, and tensors made of other libraries' memory.
"""

from __future__ import annotations

import ctypes
import operator
import re
from collections.abc import Sequence
from functools import reduce
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ArgumentError, DeviceError, ShapeError
from kernelforge.kernels import Device
from kernelforge.kinds import as_dtype
from kernelforge.later import later
from kernelforge.shape import numbers
from kernelforge.tensor.core import Operand
from kernelforge.tensor.margins import Margins

if TYPE_CHECKING:
    import gzip
else:
    later(globals(), gzip="gzip")

_REST: Final = ("...", "outside")  # "..." outside of brackets
_WORD: Final = re.compile(r"\(|\)|\.\.\.|…|[A-Za-z]\w*|1|\S")


def _items(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a method that takes either several operands or one list of them."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else given


class Rearranging(Margins):
    """Movements that say by name or by size what they do."""

    __slots__ = ()

    # By name ----------------------------------------------------------------------------------------------------

    def rearrange(self, formula: str, **sizes: int) -> Self:
        """The dimensions split, permuted and joined as a formula of einops says.

        >>> Tensor.arange(6).rearrange("(a b) -> b a", a=2).tolist()
        [[0, 3], [1, 4], [2, 5]]

        raises ShapeError for a formula that is none, or that does not fit the shape
        """
        sides = formula.split("->")
        if len(sides) != 2:
            raise ShapeError(f"rearrange({formula!r}): a formula has one '->', as in 'b h w -> b (h w)'")
        before, after = (_groups(side, formula) for side in sides)
        rank = self.ndim - len(before) + (_REST in before)
        before, after = (_with_ellipsis(groups, rank) for groups in (before, after))
        names = [name for group in before for name in group]
        wanted = [name for group in after for name in group]
        if sorted(names) != sorted(wanted) or len(set(names)) < len(names) or not sizes.keys() <= set(names):
            raise ShapeError(f"rearrange({formula!r}): each name stands once on either side, sizes have names of it")
        if len(before) != self.ndim:
            raise ShapeError(f"rearrange({formula!r}) of {self.shape}: the left side has {len(before)} dimensions")
        found = [size for n, group in zip(self.shape, before) for size in self._sizes_of(n, group, sizes, formula)]
        joined = [prod(found[names.index(name)] for name in group) for group in after]
        return self.reshape(found).permute([names.index(name) for name in wanted]).reshape(joined)

    def _sizes_of(self, n: int, group: Sequence[str], sizes: dict[str, int], formula: str) -> list[int]:
        """The sizes of the names a dimension of n elements is split into; one of them may be open."""
        known = [sizes.get(name, -1) for name in group]
        rest = prod(size for size in known if size >= 0)
        if known.count(-1) > 1 or (n != rest if -1 not in known else not rest or n % rest):
            given = ", ".join(f"{name}={size}" for name, size in sizes.items()) or "no sizes"
            raise ShapeError(f"rearrange({formula!r}) of {self.shape} with {given}: {n} is not split into {group}")
        return [n // rest if size < 0 else size for size in known]

    # By size ----------------------------------------------------------------------------------------------------

    def pad_to(self, *shape: Any, value: float = 0) -> Self:
        """Padded at the ends up to a shape; None keeps a size.

        >>> Tensor([1, 2]).pad_to(4).tolist()
        [1, 2, 0, 0]
        """
        sizes = self._up_to(numbers(shape), "pad_to")
        pads = [(0, size - n) for n, size in zip(self.shape, sizes)]
        if any(after < 0 for _, after in pads):
            raise ShapeError(f"pad_to{sizes} of {self.shape}: a dimension only gets longer; see shrink_to()")
        return self.pad(pads, value=value) if any(after for _, after in pads) else self

    def shrink_to(self, *shape: Any) -> Self:
        """The first elements of each dimension, down to a shape; None keeps a size."""
        return self.shrink([(0, size) for size in self._up_to(numbers(shape), "shrink_to")])

    def _up_to(self, sizes: Sequence[int | None], what: str) -> tuple[int, ...]:
        if len(sizes) != self.ndim:
            raise ShapeError(f"{what}{tuple(sizes)} of {self.shape}: it takes one size for each dimension")
        return tuple([n if size is None else size for n, size in zip(self.shape, sizes)])

    @property
    def max_shape(self) -> tuple[int, ...]:
        """The shape: there are no sizes that are known only later."""
        return self.shape

    def max_numel(self) -> int:
        """The number of elements."""
        return self.numel()

    # Many at once -----------------------------------------------------------------------------------------------

    def usum(self, *others: Operand) -> Self:
        """The sum of this tensor and others; logical or of bool."""
        return reduce(operator.or_ if self.dtype is dtypes.bool else operator.add, _items(others), self)

    def uprod(self, *others: Operand) -> Self:
        """The product of this tensor and others; logical and of bool."""
        return reduce(operator.and_ if self.dtype is dtypes.bool else operator.mul, _items(others), self)

    def ufix(self, x: Operand) -> Self:
        """x as a tensor; a number takes the type it has beside this tensor."""
        return self._as_tensor(x)

    def const_like(self, b: Operand, dtype: DType | str | None = None) -> Self:
        """A tensor of this one's shape with one value everywhere."""
        return self.full_like(b) if dtype is None else self.full_like(b, dtype=dtype)

    # Places -----------------------------------------------------------------------------------------------------

    def shard(self, devices: Sequence[str], axis: int | None = None) -> Self:
        """The tensor on the one device given.

        raises DeviceError for several: a tensor is on one device
        """
        places = list(dict.fromkeys(Device.canonicalize(name) for name in devices))
        if len(places) != 1:
            named = ", ".join(places)
            raise DeviceError(f"shard() of {self.shape} over {named}: a tensor is on one device; see chunk()")
        return self.to(places[0])

    def shard_(self, devices: Sequence[str], axis: int | None = None) -> Self:
        """Itself, moved to the one device given; see shard()."""
        return self.replace(self.shard(devices, axis))

    def shard_like(self, y: Self) -> Self:
        """The same values on the device of y."""
        return self.to(y.device)

    @classmethod
    def from_blob(
        cls, ptr: int, shape: Sequence[int], *, dtype: DType | str | None = None, device: str | None = None
    ) -> Self:
        """A tensor of the host's memory at an address, in place where the device can work in it.

        The memory must stay valid as long as the tensor, and what is computed from it, is in use.
        """
        kind = as_dtype(dtype or dtypes.default_float)
        memory = (ctypes.c_uint8 * (prod(shape) * kind.itemsize)).from_address(ptr)
        return cls._of_storage(np.ctypeslib.as_array(memory).view(kind.numpy).reshape(tuple(shape)), kind, device, None)

    @classmethod
    def from_file(
        cls,
        filename: str,
        shared: bool | None = None,
        size: int = 0,
        *,
        dtype: DType | str | None = None,
        device: str | None = None,
    ) -> Self:
        """The first `size` numbers of a type in a file, as a vector.

        shared   True is an error: changes of a tensor do not reach files

        raises ArgumentError, ShapeError for a file with fewer numbers
        """
        kind = as_dtype(dtype or dtypes.default_float)
        if shared:
            raise ArgumentError("from_file(shared=True): changes of a tensor do not reach files; leave shared out")
        found = np.fromfile(filename, kind.numpy, size)
        if len(found) < size:
            raise ShapeError(f"from_file({filename!r}) has {len(found)} numbers of {kind}, {size} are asked for")
        return cls._of_storage(found, kind, device, None)

    @classmethod
    def from_url(cls, url: str, gunzip: bool = False, **kwargs: Any) -> Self:
        """The bytes at a URL as a uint8 vector; gunzip: unpacked."""
        with import_module("urllib.request").urlopen(url) as answer:  # slow to import, rarely used
            content = answer.read()
        return cls(gzip.decompress(content) if gunzip else content, **kwargs)


def _groups(side: str, formula: str) -> list[tuple[str, ...]]:
    """The dimensions of one side of a formula, each a tuple of names; () is a dimension of size 1."""
    groups: list[tuple[str, ...]] = []
    inside: list[str] | None = None
    for word in _WORD.findall(side):
        name = "..." if word == "…" else word
        misplaced = word in "()" and (word == "(") is (inside is not None)
        if misplaced or not (word in "()1" or name == "..." or name.isidentifier()):
            raise ShapeError(f"rearrange({formula!r}): {word!r} is unexpected; dimensions are names, 1, ... or (names)")
        if word == "(":
            inside = []
        elif word == ")":
            groups.append(tuple(inside or ()))
            inside = None
        elif inside is None:
            groups.append(() if word == "1" else _REST if name == "..." else (name,))
        elif word != "1":
            inside.append(name)
    if inside is not None:
        raise ShapeError(f"rearrange({formula!r}): a bracket is not closed")
    return groups


def _with_ellipsis(groups: list[tuple[str, ...]], rank: int) -> list[tuple[str, ...]]:
    """The groups with names in the place of "...", which stands for `rank` dimensions."""
    names = [f"...{i}" for i in range(max(0, rank))]
    found: list[tuple[str, ...]] = []
    for group in groups:
        if group == _REST:
            found += [(name,) for name in names]
        else:
            found.append(tuple([part for name in group for part in (names if name == "..." else [name])]))
    return found
