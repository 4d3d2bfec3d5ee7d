"""Programs that users run, in small sizes, on a device that runs Triton: each kernel and each result is right.

The device holds each kernel that runs as Triton against its meaning; the results are held against those of the
interpreter, whose kernels are others.
"""

from importlib.util import find_spec

import numpy as np
import pytest

from bench.gpu.catalogue import CATALOGUE, Entry
from kernelforge import Context, Tensor, dtypes
from kernelforge.kernels import device
from tests.triton_device import TritonDevice

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")


class Drawn:
    """Makes inputs, the same each time."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def __call__(self, *shape: int, dtype: str = "bfloat16", high: int = 0) -> Tensor:
        if high:
            kind = np.int8 if dtype == "int8" else np.int32
            return Tensor(self.random.integers(0, high, shape).astype(kind))
        return Tensor(self.random.standard_normal(shape).astype(np.float32)).cast(dtype).contiguous().realize()


def values(entry: Entry) -> list[np.ndarray]:
    Tensor.manual_seed(0)
    with Context(TRAINING=1):
        results = entry.results(Drawn(), small=True)
        Tensor.realize(*results)
    return [x.cast(dtypes.float64).numpy() for x in results]


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_program_of_the_catalogue(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = TritonDevice()
    monkeypatch.setitem(device._OPENERS, "TRITON", lambda: opened)
    with Context(DEVICE="TRITON"):
        found = values(entry)
    device._opened.pop("TRITON", None)
    assert opened.launched > 0
    with Context(DEVICE="NUMPY"):
        expected = values(entry)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-2 * (1 + np.abs(wanted).max(initial=0)))
