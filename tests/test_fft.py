"""Fourier transforms, held against torch and NumPy: values, gradients, arguments, errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernelforge import Tensor, fft, func
from kernelforge.errors import KernelForgeError
from kernelforge.kernels import Device
from kernelforge.tensor.butterflies import steps, transformed
from kernelforge.tensor.fourier import divided

LENGTHS = [1, 2, 5, 12, 66, 67, 194, 197, 360]
pytestmark = pytest.mark.usefixtures("numpy_device")  # the interpreter need not compile each length


def numbers(*shape: int, seed: int = 0) -> NDArray:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(np.complex64)


def assert_close(found: Tensor, expected: Any) -> None:
    expected = expected.detach().resolve_conj().numpy() if isinstance(expected, torch.Tensor) else expected
    assert found.shape == expected.shape and str(found.dtype) == str(expected.dtype)
    size = max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(found.numpy() / size, expected / size, atol=3e-6)


@pytest.mark.parametrize("n", LENGTHS)
def test_lengths(n: int) -> None:
    z = numbers(2, n)
    assert_close(fft.fft(Tensor(z)), torch.fft.fft(torch.tensor(z)))
    assert_close(fft.rfft(Tensor(z.real)), torch.fft.rfft(torch.tensor(z.real)))
    assert_close(fft.irfft(Tensor(z), n), torch.fft.irfft(torch.tensor(z), n))


@pytest.fixture
def compiled() -> Iterator[None]:
    before, Device.DEFAULT = Device.DEFAULT, "CPU"
    try:
        yield
    finally:
        Device.DEFAULT = before


@pytest.mark.parametrize("n", [66, 60, 64, 100, 128, 256, 143, 1000])
def test_compiled(compiled: None, n: int) -> None:
    z = numbers(3, n)
    assert_close(fft.fft(Tensor(z)), torch.fft.fft(torch.tensor(z)))
    assert_close(fft.rfft(Tensor(z.real)), torch.fft.rfft(torch.tensor(z.real)))
    assert_close(fft.ifft(Tensor(z.T.copy()), dim=0), torch.fft.ifft(torch.tensor(z.T), dim=0))


@given(st.integers(1, 1200), st.integers(1, 3), st.sampled_from([1, 2, 5, 16, 33]), st.booleans())
@settings(max_examples=8, deadline=None)
def test_any_length_along_any_dimension(n: int, rows: int, width: int, forward: bool) -> None:
    n = max(1, n // (rows * width))
    name = "fft" if forward else "ifft"
    z = numbers(rows, n, width)
    assert_close(getattr(fft, name)(Tensor(z), dim=1), getattr(torch.fft, name)(torch.tensor(z), dim=1))


def test_short_transforms_and_what_longer_ones_are_made_of() -> None:
    for n in range(2, 17):
        z = numbers(n).astype(np.complex128)
        for sign in (-1, 1):
            parts = [(Tensor(x.real), Tensor(x.imag)) for x in z]
            found = [complex(a.item(), b.item()) for a, b in transformed(parts, sign)]
            np.testing.assert_allclose(found, np.fft.fft(z) if sign < 0 else np.fft.ifft(z) * n, atol=1e-12)
    for n in range(2, 1200):
        for width, rows in ((1, 1), (1, 1000), (7, 3), (64, 8)):
            lengths = steps(n, width, rows)
            assert not lengths or (math.prod(lengths) == n and max(lengths) <= 16)
            assert lengths or n <= 64 or any(n % p == 0 for p in range(17, n + 1) if is_prime(p))


def is_prime(n: int) -> bool:
    return all(n % d for d in range(2, math.isqrt(n) + 1))


def test_float64() -> None:
    for n in (60, 211, 1024):
        z = numbers(n).astype(np.complex128)
        np.testing.assert_allclose(fft.fft(Tensor(z)).numpy(), np.fft.fft(z), rtol=1e-11, atol=1e-11)


def test_how_lengths_are_divided() -> None:
    for n in range(1, 2000):
        p = divided(n)
        assert n % p == 0 and (p > 1 or n == 1 or all(n % d for d in range(2, 45)))


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
def test_arguments(name: str, norm: str | None) -> None:
    z = numbers(4, 6)
    x = z.real if name in ("rfft", "ihfft") else z
    for n, dim in ((None, -1), (5, 0), (9, 1)):
        ours, theirs = getattr(fft, name), getattr(torch.fft, name)
        assert_close(ours(Tensor(x), n, dim, norm), theirs(torch.tensor(x), n, dim, norm))


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("kind", ["2", "n"])
def test_several_dimensions(name: str, kind: str) -> None:
    z = numbers(3, 4, 6)
    x = z.real if name in ("rfft", "ihfft") else z
    ours, theirs = getattr(fft, name + kind), getattr(torch.fft, name + kind)
    for arguments in ({}, {"s": (5, 4)}, {"dim": (0, 2), "norm": "ortho"}):
        assert_close(ours(Tensor(x), **arguments), theirs(torch.tensor(x), **arguments))


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("fft", lambda f, x: f.fft(x, 7)),
        ("ifft", lambda f, x: f.ifft(x, dim=0)),
        ("rfft", lambda f, x: f.rfft(x.abs(), norm="ortho")),
        ("irfft", lambda f, x: f.irfft(x, 8)),
        ("irfft of an odd number", lambda f, x: f.irfft(x, 7)),
        ("hfft", lambda f, x: f.hfft(x)),
        ("fft of two dimensions", lambda f, x: f.fft2(x)),
        ("fft in steps", lambda f, x: f.fft(x, 120, norm="ortho")),
        ("ifft in steps", lambda f, x: f.ifft(x, 128, dim=0)),
        ("rfft in steps", lambda f, x: f.rfft(x.abs(), 256)),
        ("irfft in steps", lambda f, x: f.irfft(x, 200)),
    ],
)
def test_gradients(name: str, transform: Callable[[Any, Any], Any]) -> None:
    x, t = Tensor(numbers(3, 6), requires_grad=True), torch.tensor(numbers(3, 6), requires_grad=True)
    (transform(fft, x).abs() ** 3).sum().backward()
    (transform(torch.fft, t).abs() ** 3).sum().backward()
    assert x.grad is not None and t.grad is not None
    assert_close(x.grad, t.grad)


def test_derivatives_of_derivatives_batches_and_directions_in_steps() -> None:
    def energy(x: Tensor) -> Tensor:
        found = fft.fft(x, 96)
        return (found.real**3).sum() + (found.imag * found.real).sum()

    def their_energy(x: torch.Tensor) -> torch.Tensor:
        found = torch.fft.fft(x, 96)
        return (found.real**3).sum() + (found.imag * found.real).sum()

    values = numbers(3, 5).real.copy()
    x, t = Tensor(values), torch.tensor(values)
    for ours, theirs in (
        (func.grad(energy)(x[0]), torch.func.grad(their_energy)(t[0])),
        (func.vmap(func.grad(energy))(x), torch.func.vmap(torch.func.grad(their_energy))(t)),
        (func.jvp(energy, (x[0],), (x[1],))[1], torch.func.jvp(their_energy, (t[0],), (t[1],))[1]),
        (func.hessian(energy)(x[0]), torch.func.hessian(their_energy)(t[0])),
    ):
        assert_close(ours, theirs)


def test_frequencies_and_shifts() -> None:
    for n in (1, 2, 7, 8):
        assert_close(fft.fftfreq(n, 0.5), torch.fft.fftfreq(n, 0.5))
        assert_close(fft.rfftfreq(n, 0.5), torch.fft.rfftfreq(n, 0.5))
        x = numbers(n, 3).real
        assert_close(fft.fftshift(Tensor(x)), torch.fft.fftshift(torch.tensor(x)))
        assert_close(fft.ifftshift(Tensor(x), 0), torch.fft.ifftshift(torch.tensor(x), 0))


@pytest.mark.parametrize("center", [True, False])
def test_spectrograms(center: bool) -> None:
    x = numbers(2, 64).real
    window = np.hanning(10).astype(np.float32) + 0.1
    options: dict[str, Any] = {"n_fft": 12, "hop_length": 4, "win_length": 10, "center": center, "normalized": True}
    ours = Tensor(x).stft(window=Tensor(window), **options)
    theirs = torch.tensor(x).stft(window=torch.tensor(window), return_complex=True, **options)
    assert_close(ours, theirs)
    if center:
        back = ours.istft(window=Tensor(window), length=60, **options)
        assert_close(back, torch.istft(theirs, window=torch.tensor(window), length=60, **options))
        np.testing.assert_allclose(back.numpy(), x[:, :60], atol=1e-4)


def test_errors() -> None:
    x = Tensor(numbers(3, 4))
    for wrong in (
        lambda: fft.fft(x, 0), lambda: fft.fft(x, dim=2), lambda: fft.fft(x, norm="no"), lambda: fft.rfft(x),
        lambda: fft.fftn(x, s=(1, 2, 3)), lambda: fft.fftn(x, dim=(0, 0)), lambda: fft.irfft(x[:, :1]),
        lambda: fft.fft(Tensor(1.0)), lambda: fft.fftn(x, s=(2,), dim=(0, 1)), lambda: x[0].stft(9),
    ):  # fmt: skip
        with pytest.raises(KernelForgeError):
            wrong()


def test_windows_leave_nothing_out():
    spectrum = Tensor(np.ones((5, 4), np.complex64))
    window = Tensor(np.hanning(8).astype(np.float32))
    assert np.isfinite(spectrum.istft(8, 2, window=window).numpy()).all()
    with pytest.raises(ValueError, match="windows of all pieces are 0"):
        spectrum.istft(8, 2, window=window, center=False).numpy()


@pytest.mark.parametrize("n_fft, win_length, hop", [(16, 10, 4), (16, 9, 3), (8, None, 2)])
def test_windows_begin_with_the_signal(n_fft: int, win_length: int | None, hop: int) -> None:
    x, window = numbers(2, 50).real.copy(), np.hanning(win_length or n_fft).astype(np.float32)
    found = Tensor(x).stft(n_fft, hop, win_length, Tensor(window), center=False, align_to_window=True)
    options = {"center": False, "align_to_window": True, "return_complex": True}
    assert_close(found, torch.stft(torch.tensor(x), n_fft, hop, win_length, torch.tensor(window), **options))
    with pytest.raises(KernelForgeError, match="align_to_window"):
        Tensor(x).stft(n_fft, hop, align_to_window=True)
