"""Dimensions by name, parts by size, and what else tinygrad's tensors have."""

import gzip

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge.errors import DeviceError, ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_same

pytestmark = pytest.mark.usefixtures("numpy_device")
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("formula", "sizes", "expected"),
    [
        ("a b c -> c a b", {}, X.transpose(2, 0, 1)),
        ("a b c -> a (b c)", {}, X.reshape(2, 12)),
        ("a b (c d) -> (a c) b d", {"d": 2}, X.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3).reshape(4, 3, 2)),
        ("a ... -> ... a", {}, X.transpose(1, 2, 0)),
        ("... c -> (...) c", {}, X.reshape(6, 4)),
        ("a b c -> a 1 b () c", {}, X.reshape(2, 1, 3, 1, 4)),
    ],
)
def test_rearrange(formula: str, sizes: dict, expected: np.ndarray) -> None:
    assert_same(Tensor(X).rearrange(formula, **sizes), expected)


@pytest.mark.parametrize(
    "formula",
    ["a b c", "a b -> a b", "a b c -> a b", "a a b -> a a b", "a (b c -> a b c", "a b c) -> a b c",
     "a b (c d) -> a b c d", "a b + -> a b"],
)  # fmt: skip
def test_formulas_that_fit_nothing(formula: str) -> None:
    with pytest.raises(ShapeError, match="rearrange"):
        Tensor(X).rearrange(formula)


def test_parts_by_size() -> None:
    x = Tensor(X)
    assert_same(x.pad_to(None, 4, 4), np.pad(X, ((0, 0), (0, 1), (0, 0))))
    assert_same(x.pad_to((3, 3, 4), value=7), np.pad(X, ((0, 1), (0, 0), (0, 0)), constant_values=7))
    assert_same(x.shrink_to(1, None, 2), X[:1, :, :2])
    assert x.pad_to(2, 3, 4) is x and x.max_shape == (2, 3, 4) and x.max_numel() == 24
    for wrong in (lambda: x.pad_to(1, 3, 4), lambda: x.pad_to(3, 4), lambda: x.shrink_to(3, 3, 4)):
        with pytest.raises(ShapeError):
            wrong()


def test_many_operands() -> None:
    x = Tensor([1, 2])
    assert x.usum(x, 3).tolist() == [5, 7] and x.uprod((x, x)).tolist() == [1, 8]
    assert Tensor([True, False]).usum(Tensor([False, False])).tolist() == [True, False]
    assert x.ufix(2.5).dtype is dtypes.float32 and x.const_like(4).tolist() == [4, 4]
    assert x.alu("add", x).tolist() == [2, 4]


def test_one_device() -> None:
    x = Tensor([1.0])
    assert x.shard(("NUMPY",)).tolist() == x.shard_like(Tensor([2.0])).tolist() == [1.0]
    assert x.shard_(("NUMPY", "NUMPY"), axis=0) is x
    with pytest.raises(DeviceError, match="one device"):
        x.shard(("NUMPY", "CPU"))


def test_other_memory(tmp_path) -> None:
    array = np.arange(6, dtype=np.float32)
    assert Tensor.from_blob(array.ctypes.data, (2, 3)).tolist() == array.reshape(2, 3).tolist()
    path = tmp_path / "bytes"
    path.write_bytes(gzip.compress(b"abc"))
    assert bytes(Tensor.from_url(path.as_uri(), gunzip=True).tolist()) == b"abc"
    assert Tensor(path).dtype is dtypes.uint8 and Tensor(b"abc").tolist() == [97, 98, 99]
    assert Tensor(None).shape == (0,)


def test_newton_schulz_makes_singular_values_one() -> None:
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    for made in (Tensor(x), Tensor(x.T)):
        found = made.newton_schulz(steps=30, params=(2, -1.5, 0.5)).numpy()
        np.testing.assert_allclose(np.linalg.svd(found)[1], 1, atol=1e-4)
    with pytest.raises(ShapeError):
        Tensor([1.0]).newton_schulz(1, (1,))


def test_the_steps_of_a_computation() -> None:
    x = Tensor([1.0, 2.0]) * 2
    steps, sizes = x.linear_with_vars()
    assert len(steps) == len(x.schedule_linear()) == 1 and sizes == {}
    assert x.realize().schedule_linear() == []
