"""Fourier transforms, as `torch.fft` has them.

Comes in: tensors.  Goes out: tensors; of float64 and complex128 in these, of all others in float32 and complex64.
Transforms along several dimensions are transforms along one after the other.

    n, s   the elements to transform along each dimension: the tensor is cropped, or filled with zeros at the end
    norm   "backward": the transform back is divided by the number of elements; "forward": the transform is;
           "ortho": both are, by its square root; None is "backward"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.shape import sequence
from kernelforge.tensor import Tensor

Dims = int | Sequence[int] | None
Sizes = Sequence[int] | None

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

# ------------------------------------------------------------------------------------------------- one dimension


def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """sum_j x[j] exp(-2 pi i j k / n) for each k from 0 to below n."""
    return input._fft(n, dim, norm, True)


def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """fft() undone."""
    return input._fft(n, dim, norm, False)


def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """fft() of real numbers for k up to n / 2; the others are conjugates of these."""
    return input._rfft(n, dim, norm, True)


def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """rfft() undone, to n elements: 2 (m - 1) of m when None."""
    return input._irfft(n, dim, norm, False)


def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """fft() of numbers the second half of which, left out, are conjugates of the first: real ones."""
    return input._irfft(n, dim, norm, True)


def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """hfft() undone."""
    return input._rfft(n, dim, norm, False)


# --------------------------------------------------------------------------------------------- several dimensions


def _chosen(x: Tensor, s: Sizes, dim: Dims, what: str) -> list[tuple[int | None, int]]:
    """The number of elements, if given, and the dimension, for each dimension to transform along.

    raises ShapeError, ArgumentError
    """
    if dim is None:
        count = x.ndim if s is None else len(s)
        if count > x.ndim:
            raise ShapeError(f"{what} of {x.shape} with s={s}: more sizes than dimensions")
        dims = list(range(x.ndim - count, x.ndim))
    else:
        dims = list(sequence(dim))
    if s is not None and len(s) != len(dims):
        raise ArgumentError(f"{what} with s={s} along dimensions {dims}: one size for each is needed")
    if len({d % x.ndim if x.ndim else d for d in dims}) < len(dims):
        raise ArgumentError(f"{what} along dimensions {dims}: each can be given once")
    sizes = [None] * len(dims) if s is None else [None if n == -1 else n for n in s]
    return list(zip(sizes, dims))


def fftn(input: Tensor, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """fft() along several dimensions, all when None."""
    for n, d in _chosen(input, s, dim, "fftn"):
        input = fft(input, n, d, norm)
    return input


def ifftn(input: Tensor, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """fftn() undone."""
    for n, d in _chosen(input, s, dim, "ifftn"):
        input = ifft(input, n, d, norm)
    return input


def rfftn(input: Tensor, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """rfft() along the last of several dimensions, fft() along the others."""
    *others, (n, d) = _last_of(_chosen(input, s, dim, "rfftn"), "rfftn")
    return _along(fft, rfft(input, n, d, norm), others, norm)


def irfftn(input: Tensor, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """rfftn() undone."""
    *others, (n, d) = _last_of(_chosen(input, s, dim, "irfftn"), "irfftn")
    return irfft(_along(ifft, input, others, norm), n, d, norm)


def hfftn(input: Tensor, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """hfft() along the last of several dimensions, fft() along the others."""
    *others, (n, d) = _last_of(_chosen(input, s, dim, "hfftn"), "hfftn")
    return hfft(_along(fft, input, others, norm), n, d, norm)


def ihfftn(input: Tensor, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """hfftn() undone."""
    *others, (n, d) = _last_of(_chosen(input, s, dim, "ihfftn"), "ihfftn")
    return _along(ifft, ihfft(input, n, d, norm), others, norm)


def _last_of(chosen: list[tuple[int | None, int]], what: str) -> list[tuple[int | None, int]]:
    if not chosen:
        raise ArgumentError(f"{what} along no dimension: at least one is needed")
    return chosen


def _along(
    transform: Callable[..., Tensor], x: Tensor, chosen: Sequence[tuple[int | None, int]], norm: str | None
) -> Tensor:
    for n, d in chosen:
        x = transform(x, n, d, norm)
    return x


def _plane(name: str, transform: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def found(input: Tensor, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
        return transform(input, s, dim, norm)

    found.__name__ = found.__qualname__ = name
    found.__doc__ = f"{transform.__name__}() along the last two dimensions."
    return found


fft2 = _plane("fft2", fftn)
ifft2 = _plane("ifft2", ifftn)
rfft2 = _plane("rfft2", rfftn)
irfft2 = _plane("irfft2", irfftn)
hfft2 = _plane("hfft2", hfftn)
ihfft2 = _plane("ihfft2", ihfftn)

# --------------------------------------------------------------------------------------------------- frequencies


def fftfreq(
    n: int, d: float = 1.0, *, dtype: DType | str | None = None, device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:  # fmt: skip
    """The frequencies of the results of fft() of n elements that are d apart: those from n / 2 on are negative."""
    place = Tensor.arange(n, device=device)
    found = (place < (n + 1) // 2).where(place, place - n).cast(dtype or dtypes.default_float) * (1 / (n * d))
    return found if requires_grad is None else found.requires_grad_(requires_grad)


def rfftfreq(
    n: int, d: float = 1.0, *, dtype: DType | str | None = None, device: str | None = None,
    requires_grad: bool | None = None,
) -> Tensor:  # fmt: skip
    """The frequencies of the results of rfft() of n elements that are d apart."""
    found = Tensor.arange(n // 2 + 1, device=device).cast(dtype or dtypes.default_float) * (1 / (n * d))
    return found if requires_grad is None else found.requires_grad_(requires_grad)


def fftshift(input: Tensor, dim: Dims = None) -> Tensor:
    """The elements moved so that frequency 0 is in the middle."""
    return _shifted(input, dim, lambda n: n // 2)


def ifftshift(input: Tensor, dim: Dims = None) -> Tensor:
    """fftshift() undone."""
    return _shifted(input, dim, lambda n: -(n // 2))


def _shifted(x: Tensor, dim: Dims, amount: Callable[[int], int]) -> Tensor:
    dims = tuple(range(x.ndim)) if dim is None else sequence(dim)
    return x.roll(tuple([amount(x.shape[d]) for d in dims]), dims) if dims else x
