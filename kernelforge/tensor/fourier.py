"""The discrete Fourier transform along one dimension, and spectrograms.

Comes in: tensors of real or complex numbers.  Goes out: tensors.  A short transform is a product with the matrix of its
factors; a longer one is done in steps of short ones that are spelled out (`butterflies`), one kernel each, with tables
of factors.  A length with a prime factor too long for that is a table of p rows and q columns, transformed along one
and then the other, with a rotation of each element between them; a large prime is a convolution of a length
that is none.  Within, complex numbers are *pairs*: real tensors whose last dimension holds the two parts, as in memory.

source  J. Cooley, J. Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965
        T. Stockham, "High-speed convolution and correlation", 1966
        L. Bluestein, "A linear filtering approach to the computation of discrete Fourier transform", 1970
"""

from __future__ import annotations

import math
from math import prod
from operator import index
from typing import Any, Final, Self

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.checked import OVERLAPS
from kernelforge.errors import ArgumentError, AxisError, DTypeError, ShapeError
from kernelforge.graph import Node
from kernelforge.tensor.butterflies import MOST_DIRECT, round_length, steps, transformed
from kernelforge.tensor.composite import composite, spelled_out
from kernelforge.tensor.factors import Factors
from kernelforge.tensor.spent import either

MOST_PRIME: Final = 192
_LEAST_WEIGHT: Final = 1e-11  # of squared windows, where a signal is still told from them
NORMS: Final = {"backward": 0.0, "ortho": 0.5, "forward": 1.0}


def divided(n: int) -> int:
    """The rows of the table a transform of length n becomes: those of the squarest one, if rows and columns are up to
    MOST_DIRECT; else the largest divisor of n up to that, or the smallest above; n where the transform is one product,
    1 where n is a large prime.  Either product takes as many multiplications for a number as it has rows, or columns.

    >>> divided(60), divided(1000), divided(8192), divided(10007), divided(97 * 89)
    (60, 40, 64, 1, 89)
    """
    if n <= MOST_DIRECT:
        return n
    found = max(d for d in range(1, MOST_DIRECT + 1) if n % d == 0)
    if 1 < n // found <= MOST_DIRECT:
        return min((d for d in range(1, found + 1) if n % d == 0), key=lambda d: (d + n // d, -d))
    if found > 1:
        return found
    found = next((d for d in range(MOST_DIRECT + 1, math.isqrt(n) + 1) if n % d == 0), n)
    return found if found < n or n <= MOST_PRIME else 1


def scale_of(norm: str | None, n: int, forward: bool) -> float:
    """What a transform over n elements is multiplied by.

    raises ArgumentError for an unknown norm
    """
    if norm not in (None, *NORMS):
        raise ArgumentError(f"norm is None, 'backward', 'ortho' or 'forward', got {norm!r}")
    power = NORMS[norm or "backward"]
    return 1.0 / n ** (power if forward else 1 - power)


class Fourier(Factors):
    """Fourier transforms."""

    __slots__ = ()

    # One dimension ----------------------------------------------------------------------------------------------

    @composite
    def _fft(self, n: int | None, dim: int, norm: str | None, forward: bool) -> Self:
        """The transform of complex numbers, or back."""
        x, n, sign = *self._resized_along(dim, n, "fft"), -1 if forward else 1
        x = x.cast(x._floating().dtype.arithmetic.complex)
        place, scale = self._dim(dim, "fft"), scale_of(norm, n, forward)
        lengths = steps(n, width := prod(self.shape[place + 1 :]), x.size // (n * width)) if x.size else ()
        if not lengths:
            return x.view_as_real()._transformed(sign)._multiplied(scale)._numbers(dim)
        x = x.movedim(-1, place)
        pairs = x.view_as_real().reshape(-1, n, width, 2)._in_steps(lengths, sign, scale)
        return pairs.reshape(*x.shape, 2).view_as_complex()

    @composite
    def _rfft(self, n: int | None, dim: int, norm: str | None, forward: bool) -> Self:
        """The first half of the transform of real numbers; its conjugate if not forward."""
        if self.dtype.is_complex:
            raise DTypeError(f"rfft of a tensor of {self.dtype}: it takes real numbers; use fft")
        x, n = self._resized_along(dim, n, "rfft")
        x, sign = x._wide(), -1 if forward else 1
        if n % 2:
            pairs = x._paired_with(x.zeros_like())._transformed(sign)._part_of_pairs(0, n // 2 + 1)
        else:
            pairs = x.reshape(*x.shape[:-1], n // 2, 2)._transformed(sign)
            if not steps(n // 2, 1, x.size // n) and n // 2 <= MOST_DIRECT**2:  # products write as is asked
                pairs = pairs.contiguous()
            pairs = pairs._halves_joined(n, sign)
        return pairs._multiplied(scale_of(norm, n, forward))._numbers(dim)

    @composite
    def _irfft(self, n: int | None, dim: int, norm: str | None, forward: bool) -> Self:
        """The real numbers whose transform begins with these; of their conjugates if forward."""
        dim = self._dim(dim, "irfft")
        n = 2 * (self.shape[dim] - 1) if n is None else index(n)
        if n < 1:
            raise ArgumentError(f"irfft to {n} elements: n is at least 1; one frequency needs n=1")
        x, _ = self._resized_along(dim, n // 2 + 1, "irfft")
        pairs, sign = x.cast(x._floating().dtype.arithmetic.complex).view_as_real(), -1 if forward else 1
        edge = self._below(n // 2 + 1)
        real = edge.eq(0) | (edge * 2).eq(n)
        pairs = pairs[..., 0]._paired_with(real.where(0, pairs[..., 1]))
        if n % 2:
            rest = pairs._part_of_pairs(1, n // 2 + 1)._conjugated().flip(-2)
            found = pairs.cat(rest, dim=-2)._transformed(sign)[..., 0]
        else:
            found = pairs._halves_split(n, sign)._transformed(sign).reshape(*pairs.shape[:-2], n)
        return found._multiplied(scale_of(norm, n, forward)).movedim(-1, dim)

    def _resized_along(self, dim: int, n: int | None, what: str) -> tuple[Self, int]:
        """This tensor with dim last and cropped or filled with zeros to n elements; and n."""
        if not self.ndim:
            raise AxisError(f"{what} of a tensor without dimensions: it has none to transform along")
        place = self._dim(dim, what)
        n = self.shape[place] if n is None else index(n)
        if n < 1:
            raise ArgumentError(f"{what} of {n} elements along dimension {dim} of {self.shape}: n is at least 1")
        x = self.movedim(place, -1)
        return (x if x.shape[-1] == n else x.pad((0, n - x.shape[-1]))), n

    # Pairs ------------------------------------------------------------------------------------------------------

    def _paired_with(self, imag: Self) -> Self:
        """The pairs with these real parts and given imaginary ones."""
        tracked = either(self._tracked, imag._tracked)
        return self._wrap(graph.stack((self._node, imag._node), ((self.ndim, 2),)), tracked)

    def _numbers(self, dim: int) -> Self:
        """The complex numbers that pairs stand for, their last dimension in place dim."""
        return self[..., 0]._with_imaginary(self[..., 1]).movedim(-1, dim)

    def _multiplied(self, factor: float) -> Self:
        return self if factor == 1 else self * factor

    def _conjugated(self) -> Self:
        return self[..., 0]._paired_with(-self[..., 1])

    def _part_of_pairs(self, start: int, stop: int) -> Self:
        return self._between(self.ndim - 2, start, stop)

    def _times_pairs(self, turn: Self) -> Self:
        """The products of complex numbers."""
        a, b, c, s = self[..., 0], self[..., 1], turn[..., 0], turn[..., 1]
        return (a * c - b * s)._paired_with(a * s + b * c)

    def _below(self, n: int) -> Self:
        """The whole numbers below n, in a type that holds their squares."""
        return type(self).arange(n, dtype=dtypes.int32 if n * n < 1 << 31 else dtypes.int64)

    def _turn(self, n: int, sign: int, dtype: DType) -> Self:
        """exp(sign 2 pi i m / n) for whole numbers m from 0 to below n, as pairs."""
        angle = (self * 2 > n).where(self - n, self).cast(dtype) * (2 * math.pi / n)
        return angle.cos()._paired_with(angle.sin() * sign)

    # The transform of pairs -------------------------------------------------------------------------------------

    def _transformed(self, sign: int) -> Self:
        """sum_j x[.., j] exp(sign 2 pi i j k / n)."""
        n = self.shape[-2]
        if lengths := steps(n, 1, self.size // (2 * n)):
            return self.unsqueeze(-2)._in_steps(lengths, sign).squeeze(-2)
        p = divided(n)
        if n == 1:
            return self
        if p == n:
            return self._product_with_factors(sign)
        if p == 1:
            return self._as_convolution(sign)
        q, lead = n // p, self.shape[:-2]
        table = self.reshape(*lead, p, q, 2).transpose(-3, -2)._transformed(sign)
        places = self._below(n)._between(0, 0, q).unsqueeze(-1) * self._below(n)._between(0, 0, p)
        table = table._times_pairs(places._turn(n, sign, self.dtype)).transpose(-3, -2)._transformed(sign)
        return table.transpose(-3, -2).reshape(*lead, n, 2)

    def _in_steps(self, lengths: tuple[int, ...], sign: int, scale: float = 1.0) -> Self:
        """The same along the middle of [.., n, width, 2], by short transforms of these lengths, whose product is n.

        A step takes what lies n / length places apart, and puts it side by side; so in the end all lie in order.
        Between steps the real parts of all numbers come first.
        """
        left, width = self.shape[-3:-1]
        lead, parts = self.size // (2 * left * width), self.reshape(-1, left * width, 2).movedim(-1, 0)
        for radix in lengths[:-1]:
            left //= radix
            found = transformed(parts._apart(radix, (lead, left, width)), sign)
            turns = self._factors(left * radix, radix, sign)._apart(radix, (left, 1))
            found[1:] = [(a * c - b * s, a * s + b * c) for (a, b), (c, s) in zip(found[1:], turns[1:])]
            nodes = [part._node for half in zip(*found) for part in half]
            parts = self._derived(graph.stack(nodes, ((0, 2), (3, radix)))).reshape(parts.shape)
            width *= radix
        found = transformed(parts._apart(lengths[-1], (lead, width)), sign)
        nodes = [part._multiplied(scale)._node for z in found for part in z]
        whole = graph.reshape(graph.stack(nodes, ((1, lengths[-1]), (3, 2))), self.shape)
        return self._derived(graph.linear(whole, self._node, "fourier", lengths, sign, scale))

    def _apart(self, count: int, shape: tuple[int, ...]) -> list[tuple[Self, Self]]:
        """Real and imaginary parts [2, .., n] of numbers, n / count of them each, as tensors of a shape."""
        x = self.reshape(2, -1, count, self.shape[-1] // count)
        pieces = [x._between(2, k, k + 1) for k in range(count)]
        return [(z._between(0, 0, 1).reshape(shape), z._between(0, 1, 2).reshape(shape)) for z in pieces]

    def _factors(self, n: int, radix: int, sign: int) -> Self:
        """exp(sign 2 pi i j k / n) for j below radix, and for each all k below n / radix; real parts first."""
        places = self._below(n)._between(0, 0, radix).unsqueeze(-1) * self._below(n)._between(0, 0, n // radix)
        angle = (places * 2 > n).where(places - n, places).cast(dtypes.float64) * (2 * math.pi / n)
        parts = [part.cast(self.dtype)._node for part in (angle.cos(), angle.sin() * sign)]
        return self._wrap(graph.stack(parts, ((0, 2),)), None).contiguous().reshape(2, -1)

    def _product_with_factors(self, sign: int) -> Self:
        """The product with the real matrix that stands for the complex one of the transform's factors.

        Its element from part c of number j to part d of number k is cos(sign 2 pi jk / n + (c - d) pi / 2).
        """
        n = self.shape[-2]
        j, part = self._below(n), self._below(2)
        quarters = (part.reshape(2, 1, 1) - part) * n
        place = (j.reshape(n, 1, 1, 1) * j.unsqueeze(-1) % n * (4 * sign) + quarters) % (4 * n)
        angle = (place * 2 > 4 * n).where(place - 4 * n, place).cast(dtypes.float64) * (math.pi / (2 * n))
        matrix = angle.cos().cast(self.dtype).reshape(2 * n, 2 * n).contiguous()
        return self.reshape(*self.shape[:-2], 2 * n).dot(matrix).reshape(self.shape)

    def _as_convolution(self, sign: int) -> Self:
        """jk = (j^2 + k^2 - (k - j)^2) / 2 makes the transform a convolution with exp(-sign pi i t^2 / n)."""
        n = self.shape[-2]
        length = round_length(2 * n, self.size // (2 * n))
        t = self._below(n).cast(dtypes.int64)
        chirp = (t * t % (2 * n))._turn(2 * n, sign, dtypes.float64).cast(self.dtype).contiguous()
        back = chirp._conjugated()
        gap = type(self).zeros(length - 2 * n + 1, 2, dtype=self.dtype)
        kernel = back.cat(gap, back._part_of_pairs(1, n).flip(0), dim=0)._transformed(-1).contiguous()
        x = self._times_pairs(chirp).pad((0, 0, 0, length - n))
        found = x._transformed(-1)._times_pairs(kernel)._transformed(1) * (1 / length)
        return found._part_of_pairs(0, n)._times_pairs(chirp)

    # Real numbers, two of them as one pair ----------------------------------------------------------------------

    def _halves_joined(self, n: int, sign: int) -> Self:
        """The first half of the transform of n real numbers, from that of the pairs of neighbours among them."""
        first = self._part_of_pairs(0, 1)
        ahead, behind = self.cat(first, dim=-2), first.cat(self.flip(-2), dim=-2)
        turn = (self._below(n)._between(0, 0, n // 2 + 1)._turn(n, sign, self.dtype) * 0.5).contiguous()
        even, odd = ahead._parts_with_conjugate(behind, turn)
        return (even[0] * 0.5 + odd[1])._paired_with(even[1] * 0.5 - odd[0])

    def _halves_split(self, n: int, sign: int) -> Self:
        """The transform of pairs of neighbours among n real numbers, twice, from the first half of that of these."""
        half = n // 2
        ahead, behind = self._part_of_pairs(0, half), self.flip(-2)._part_of_pairs(0, half)
        turn = self._below(n)._between(0, 0, half)._turn(n, sign, self.dtype).contiguous()
        even, odd = ahead._parts_with_conjugate(behind, turn)
        return (even[0] - odd[1])._paired_with(even[1] + odd[0])

    def _parts_with_conjugate(self, behind: Self, turn: Self) -> tuple[tuple[Self, Self], tuple[Self, Self]]:
        """The parts of self + conj(behind) and of (self - conj(behind)) * turn, apart: nothing is stored between."""
        a, b, c, d = self[..., 0], self[..., 1], behind[..., 0], behind[..., 1]
        cos, sin = turn[..., 0], turn[..., 1]
        return (a + c, b - d), ((a - c) * cos - (b + d) * sin, (a - c) * sin + (b + d) * cos)

    # Spectrograms -----------------------------------------------------------------------------------------------

    def stft(
        self,
        n_fft: int,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: Any = None,
        center: bool = True,
        pad_mode: str = "reflect",
        normalized: bool = False,
        onesided: bool | None = None,
        return_complex: bool | None = True,
        align_to_window: bool | None = None,
    ) -> Self:
        """The transforms of overlapping pieces of a signal [.., time]: complex [.., frequency, piece].

        n_fft         elements of a piece
        hop_length    distance of pieces; n_fft // 4 when None
        window        factors of a piece's elements, win_length of them in its middle; ones when None
        center        pieces are around multiples of hop_length: the signal is continued by pad_mode at both ends
        normalized    divided by sqrt(n_fft)
        onesided      the frequencies up to half of n_fft; the default for real signals

        align_to_window   without center: the first piece's window begins with the signal, the last one's ends in it

        raises ArgumentError
        """
        if center and align_to_window is not None:
            raise ArgumentError("stft() takes align_to_window only with center=False: centred pieces are aligned")
        hop = n_fft // 4 if hop_length is None else hop_length
        x = self.unsqueeze(0) if self.ndim == 1 else self
        if center:
            x = x.unsqueeze(1).pad((n_fft // 2, n_fft // 2), mode=pad_mode).squeeze(1)
        elif align_to_window:
            beside = n_fft - (n_fft if win_length is None else win_length)
            x = x.pad((beside // 2, beside - beside // 2))
        if not 0 < n_fft <= x.shape[-1] or hop < 1:
            raise ArgumentError(f"stft of {self.shape}, n_fft={n_fft}, hop_length={hop}: 0 < n_fft <= length, 0 < hop")
        pieces = x.unfold(-1, n_fft, hop) * self._centred_window(window, win_length, n_fft)
        norm = "ortho" if normalized else None
        half = not pieces.dtype.is_complex if onesided is None else onesided
        found = (pieces._rfft(None, -1, norm, True) if half else pieces._fft(None, -1, norm, True)).transpose(-1, -2)
        found = found.squeeze(0) if self.ndim == 1 else found
        return found if return_complex else found.view_as_real()

    def _centred_window(self, window: Any, win_length: int | None, n_fft: int) -> Any:
        size = n_fft if win_length is None else win_length
        if window is None:
            window = type(self).ones(size, dtype=self.dtype.real if self.dtype.is_inexact else dtypes.default_float)
        if window.shape != (size,) or size > n_fft:
            raise ShapeError(f"a window of {window.shape} for pieces of {n_fft}: it has win_length={size} elements")
        left = (n_fft - size) // 2
        return window.pad((left, n_fft - size - left))

    def istft(
        self,
        n_fft: int,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: Any = None,
        center: bool = True,
        normalized: bool = False,
        onesided: bool | None = None,
        length: int | None = None,
        return_complex: bool = False,
    ) -> Self:
        """The signal [.., time] whose stft() is [.., frequency, piece]: overlapping pieces, by least squares.

        onesided   of no account: half of the frequencies are read, unless the result is complex

        raises DTypeError for a spectrum that is not complex; ValueError when the values are next synchronised, if
        windows leave a place of the signal out
        """
        if not self.dtype.is_complex:
            raise DTypeError(f"istft of {self.dtype} {self.shape}: a spectrum is complex, as stft(return_complex=True)")
        hop = n_fft // 4 if hop_length is None else hop_length
        x = (self.unsqueeze(0) if self.ndim == 2 else self).transpose(-1, -2)
        norm = "ortho" if normalized else None
        if return_complex:
            pieces = x._fft(None, -1, norm, False)
        else:  # of all frequencies, half of them say all of a real signal
            pieces = x._between(x.ndim - 1, 0, n_fft // 2 + 1)._irfft(n_fft, -1, norm, False)
        factors = self._centred_window(window, win_length, n_fft)
        signal = (pieces * factors)._overlapped(hop)
        weight = factors.square().expand(1, x.shape[-2], n_fft)._overlapped(hop)
        start = n_fft // 2 if center else 0
        stop = signal.shape[-1] - start if length is None else start + length
        if stop > signal.shape[-1]:
            fill = (0, stop - signal.shape[-1])
            signal, weight = signal.pad(fill), weight.pad(fill, value=1.0)
        weight = weight[..., start:stop]
        found = signal[..., start:stop] / weight._where_allowed(weight > _LEAST_WEIGHT, OVERLAPS)
        return found.squeeze(0) if self.ndim == 2 else found

    @composite
    def _overlapped(self, hop: int) -> Self:
        """The sum of pieces [.., piece, size] that begin hop apart."""
        pieces, size = self.shape[-2:]
        node = graph.unwindow(self._node, self.ndim - 2, (pieces - 1) * hop + size, hop)
        return self._derived(node).sum(-1)


def _fourier_adjoint(dy: Node, lengths: tuple[int, ...], sign: int, scale: float) -> Node:
    """The cotangent of what Fourier._in_steps() is given: the transform with the other sign."""
    with spelled_out():
        return Fourier._wrap(dy, None)._in_steps(lengths, -sign, scale)._node


graph.ADJOINTS["fourier"] = _fourier_adjoint
