"""Windows are torch's, and those of torch.signal.windows."""

import numpy as np
import pytest

from kernelforge import DTypeError, Tensor
from kernelforge.errors import ArgumentError
from kernelforge.signal import windows

torch = pytest.importorskip("torch")

MORE = {
    "general_cosine": [{"a": [0.3, 0.2, 0.1]}], "kaiser": [{}, {"beta": 0.0}, {"beta": 3.0}],
    "gaussian": [{}, {"std": 2.5}], "exponential": [{}, {"tau": 3.0}], "general_hamming": [{}, {"alpha": 0.6}],
}  # fmt: skip


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", windows.__all__)
def test_signal_windows(name, symmetric, numpy_device):
    for count in (0, 1, 2, 3, 8, 33):
        for more in MORE.get(name, [{}]):
            found = getattr(windows, name)(count, sym=symmetric, dtype="float64", **more)
            expected = getattr(torch.signal.windows, name)(count, sym=symmetric, dtype=torch.float64, **more)
            np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-12, 1e-13)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
def test_windows_by_name(name, device):
    for count in (0, 1, 2, 9):
        for periodic in (True, False):
            found = getattr(Tensor, f"{name}_window")(count, periodic)
            expected = getattr(torch, f"{name}_window")(count, periodic)
            np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-5, 1e-6)


def test_a_steep_kaiser_window_is_finite(numpy_device):
    steep = Tensor.kaiser_window(5, False, 1e4, dtype="float64").tolist()
    assert steep[2] == pytest.approx(1) and steep[0] == 0 and 0 <= steep[1] < 1e-100


def test_what_is_no_window():
    with pytest.raises(DTypeError, match="int32"):
        Tensor.hann_window(4, dtype="int32")
    with pytest.raises(ArgumentError, match="sym=False"):
        windows.exponential(4, center=1.0)
    with pytest.raises(ArgumentError, match="beta"):
        windows.kaiser(4, beta=-1)
    with pytest.raises(ArgumentError, match="std"):
        windows.gaussian(4, std=0)
