"""Windows, as `torch.signal.windows` has them: what a stretch of a signal is multiplied by.

Comes in: a count M.  Goes out: a vector of M elements with 1 in the middle; n is the distance from its first place to
its last, M - 1, or M where sym is False: one element is then left out, so that it can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec

from codegen.dtypes import dtypes
from kernelforge.errors import ArgumentError
from kernelforge.kinds import as_dtype
from kernelforge.tensor import Tensor
from kernelforge.tensor.windowing import Kind

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall",
]  # fmt: skip

_NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
P = ParamSpec("P")


def _of_floats(window: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A window that raises ArgumentError unless its type is float32 or float64, as torch has it."""

    @wraps(window)
    def called(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        given: Any = kwargs.get("dtype")
        if given is not None and as_dtype(given) not in (dtypes.float32, dtypes.float64):
            raise ArgumentError(f"{window.__name__}() expects float32 or float64, got {as_dtype(given)}; cast() it")
        return window(*args, **kwargs)

    return called


@_of_floats
def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """1 - |2 i / n - 1|, a triangle."""
    return Tensor.bartlett_window(M, not sym, dtype=dtype, device=device, requires_grad=requires_grad)


@_of_floats
def blackman(
    M: int,
    *,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """0.42 - 0.5 cos(2 pi i / n) + 0.08 cos(4 pi i / n)."""
    return Tensor.blackman_window(M, not sym, dtype=dtype, device=device, requires_grad=requires_grad)


@_of_floats
def hamming(
    M: int,
    *,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """0.54 - 0.46 cos(2 pi i / n)."""
    return Tensor.hamming_window(M, not sym, dtype=dtype, device=device, requires_grad=requires_grad)


@_of_floats
def hann(
    M: int,
    *,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """0.5 - 0.5 cos(2 pi i / n)."""
    return Tensor.hann_window(M, not sym, dtype=dtype, device=device, requires_grad=requires_grad)


@_of_floats
def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """I0(beta sqrt(1 - (2 i / n - 1)^2)) / I0(beta); raises ArgumentError for a negative beta."""
    if beta < 0:
        raise ArgumentError(f"kaiser({M}, beta={beta}): beta must not be negative")
    return Tensor.kaiser_window(M, not sym, beta, dtype=dtype, device=device, requires_grad=requires_grad)


@_of_floats
def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """a[0] - a[1] cos(2 pi i / n) + a[2] cos(4 pi i / n) - ..."""
    factors = [-x if k % 2 else x for k, x in enumerate(a)]
    if not factors:
        raise ArgumentError("general_cosine() needs at least one factor in a")
    return Tensor._cosines(M, not sym, factors, dtype, device, requires_grad)


@_of_floats
def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi i / n)."""
    return general_cosine(M, a=(alpha, 1 - alpha), sym=sym, dtype=dtype, device=device, requires_grad=requires_grad)


@_of_floats
def nuttall(
    M: int,
    *,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """A sum of four cosines whose transform falls fast: Nuttall's window with a continuous derivative."""
    return general_cosine(M, a=_NUTTALL, sym=sym, dtype=dtype, device=device, requires_grad=requires_grad)


@_of_floats
def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """sin(pi (i + 1/2) / (n + 1))."""

    def shape(places: Tensor, last: int) -> Tensor:
        return ((places + 0.5) * (math.pi / (last + 1))).sin()

    return Tensor._tapered(M, not sym, shape, dtype, device, requires_grad)


@_of_floats
def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """exp(-|i - center| / tau), center being n / 2 unless it is given.

    raises ArgumentError for a center of a symmetric window, and unless tau > 0
    """
    if tau <= 0 or (sym and center is not None):
        raise ArgumentError(f"exponential() takes tau > 0, got {tau}, and a center only if sym=False, got {center}")

    def shape(places: Tensor, last: int) -> Tensor:
        return ((places - (last / 2 if center is None else center)).abs() * (-1 / tau)).exp()

    return Tensor._tapered(M, not sym, shape, dtype, device, requires_grad)


@_of_floats
def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Kind = None,
    device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """exp(-((i - n / 2) / std)^2 / 2).

    raises ArgumentError unless std > 0
    """
    if std <= 0:
        raise ArgumentError(f"gaussian() takes std > 0, got {std}")

    def shape(places: Tensor, last: int) -> Tensor:
        return (((places - last / 2) * (1 / std)).square() * -0.5).exp()

    return Tensor._tapered(M, not sym, shape, dtype, device, requires_grad)
