"""The array API's Fourier transforms.

Comes in: tensors.  Goes out: tensors.
"""

from __future__ import annotations

from codegen.dtypes import DType, dtypes
from kernelforge.tensor import Tensor

Axes = int | tuple[int, ...] | None


def fftfreq(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """The frequencies of the results of fft()."""
    place = Tensor.arange(n, device=device)
    kind = dtype or dtypes.default_float
    return (place < (n + 1) // 2).where(place, place - n).cast(kind) * (1 / (n * d))


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """The frequencies of the results of rfft()."""
    return Tensor.arange(n // 2 + 1, device=device).cast(dtype or dtypes.default_float) * (1 / (n * d))


def fftshift(x: Tensor, /, *, axes: Axes = None) -> Tensor:
    """The elements moved so that frequency 0 is in the middle."""
    chosen = tuple(range(x.ndim)) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
    return x.roll(tuple([x.shape[axis] // 2 for axis in chosen]), chosen)


def ifftshift(x: Tensor, /, *, axes: Axes = None) -> Tensor:
    """fftshift() undone."""
    chosen = tuple(range(x.ndim)) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
    return x.roll(tuple([-(x.shape[axis] // 2) for axis in chosen]), chosen)
