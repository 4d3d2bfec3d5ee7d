"""The array API's Fourier transforms.

Comes in: tensors.  Goes out: tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from codegen.dtypes import DType
from kernelforge import fft as transforms
from kernelforge.errors import DTypeError
from kernelforge.tensor import Tensor

Axes = int | tuple[int, ...] | None
Norm = Literal["backward", "ortho", "forward"]


def _line(name: str) -> Callable[..., Tensor]:
    """A transform along one axis."""
    transform = getattr(transforms, name)

    def found(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
        return _checked(transform(x, n, axis, norm), x)

    found.__name__, found.__doc__ = name, transform.__doc__
    return found


def _space(name: str) -> Callable[..., Tensor]:
    """A transform along several axes."""
    transform = getattr(transforms, name)

    def found(
        x: Tensor, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: Norm = "backward"
    ) -> Tensor:
        return _checked(transform(x, s, axes, norm), x)

    found.__name__, found.__doc__ = name, transform.__doc__
    return found


def _checked(found: Tensor, x: Tensor) -> Tensor:
    if not x.dtype.is_inexact:
        raise DTypeError(f"a Fourier transform of {x.dtype}: it takes floats or complex numbers; cast it first")
    return found


fft, ifft, rfft, irfft, hfft, ihfft = map(_line, ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"))
fftn, ifftn, rfftn, irfftn = map(_space, ("fftn", "ifftn", "rfftn", "irfftn"))


def fftfreq(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """The frequencies of the results of fft()."""
    return transforms.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """The frequencies of the results of rfft()."""
    return transforms.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x: Tensor, /, *, axes: Axes = None) -> Tensor:
    """The elements moved so that frequency 0 is in the middle."""
    return transforms.fftshift(x, axes)


def ifftshift(x: Tensor, /, *, axes: Axes = None) -> Tensor:
    """fftshift() undone."""
    return transforms.ifftshift(x, axes)
