"""Window functions: what a stretch of a signal is multiplied by before its Fourier transform.

Comes in: counts.  Goes out: vectors with 1 in the middle, falling to both sides.  A periodic one is one element shorter
than a symmetric one, so that it can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Self

import numpy as np

from codegen.dtypes import DType, dtypes
from kernelforge.errors import DTypeError
from kernelforge.kinds import as_dtype
from kernelforge.tensor.create import as_shape
from kernelforge.tensor.grids import Grids

Kind = DType | str | type | None


class Windowing(Grids):
    """Windows by name."""

    __slots__ = ()

    @classmethod
    def _tapered(
        cls,
        count: int,
        periodic: bool,
        shape: Callable[[Self, int], Self],
        dtype: Kind,
        device: str | None,
        requires_grad: bool | None,
    ) -> Self:
        """shape(i, n) of the places i from 0 to below count, n being the distance from the first place to the last.

        raises DTypeError for a type that is none of floats
        """
        kind = as_dtype(dtype or dtypes.default_float)
        if not kind.is_float:
            raise DTypeError(f"a window of {kind}: its values are floats between 0 and 1")
        (size,) = as_shape((count,))
        last = max(1, size - (not periodic)) if size > 1 else 0
        places = cls.arange(size, device=device).cast(kind.arithmetic)
        values = shape(places, last) if last else places * 0 + 1
        return cls._made(values.cast(kind)._node, device, requires_grad)

    @classmethod
    def _cosines(
        cls,
        count: int,
        periodic: bool,
        factors: Sequence[float],
        dtype: Kind,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """The sum of factors[k] * cos(2 pi k i / n)."""

        def shape(places: Self, last: int) -> Self:
            angle = places * (2 * math.pi / last)
            parts = [(angle * k).cos() * factor if k else factor for k, factor in enumerate(factors)]
            return reduce(lambda a, b: b + a, parts, angle * 0)

        return cls._tapered(count, periodic, shape, dtype, device, requires_grad)

    @classmethod
    def hann_window(
        cls,
        window_length: int,
        periodic: bool = True,
        *,
        dtype: Kind = None,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """0.5 - 0.5 cos(2 pi i / n)."""
        return cls._cosines(window_length, periodic, (0.5, -0.5), dtype, device, requires_grad)

    @classmethod
    def hamming_window(
        cls,
        window_length: int,
        periodic: bool = True,
        alpha: float = 0.54,
        beta: float = 0.46,
        *,
        dtype: Kind = None,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """alpha - beta cos(2 pi i / n)."""
        return cls._cosines(window_length, periodic, (alpha, -beta), dtype, device, requires_grad)

    @classmethod
    def blackman_window(
        cls,
        window_length: int,
        periodic: bool = True,
        *,
        dtype: Kind = None,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """0.42 - 0.5 cos(2 pi i / n) + 0.08 cos(4 pi i / n)."""
        return cls._cosines(window_length, periodic, (0.42, -0.5, 0.08), dtype, device, requires_grad)

    @classmethod
    def bartlett_window(
        cls,
        window_length: int,
        periodic: bool = True,
        *,
        dtype: Kind = None,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """1 - |2 i / n - 1|, a triangle.

        >>> Tensor.bartlett_window(4).tolist()
        [0.0, 0.5, 1.0, 0.5]
        """

        def shape(places: Self, last: int) -> Self:
            return 1 - (places * (2 / last) - 1).abs()

        return cls._tapered(window_length, periodic, shape, dtype, device, requires_grad)

    @classmethod
    def kaiser_window(
        cls,
        window_length: int,
        periodic: bool = True,
        beta: float = 12.0,
        *,
        dtype: Kind = None,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """I0(beta sqrt(1 - (2 i / n - 1)^2)) / I0(beta), I0 being the modified Bessel function i0().

        >>> round(Tensor.kaiser_window(4, beta=3.0)[1].item(), 4)
        0.7269
        """
        steep = abs(beta)

        def shape(places: Self, last: int) -> Self:
            width = (1 - (places * (2 / last) - 1).square()).clamp(0).sqrt() * steep
            return width.i0e() * (width - steep).exp() / _scaled_i0(steep)

        return cls._tapered(window_length, periodic, shape, dtype, device, requires_grad)


def _scaled_i0(x: float) -> float:
    """exp(-x) I0(x) for x >= 0: the mean of exp(x (cos t - 1)) over a turn, by the trapezoidal rule."""
    count = 64 + 8 * math.ceil(math.sqrt(x))
    turn = np.arange(count) * (2 * math.pi / count)
    return float(np.exp(x * (np.cos(turn) - 1)).mean())
