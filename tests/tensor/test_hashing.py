"""Hashes are those of hashlib, random words those of the generator."""

import hashlib

import numpy as np
import pytest

from codegen import threefry
from codegen.dtypes import dtypes
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.tensor import Tensor

pytestmark = pytest.mark.usefixtures("numpy_device")


@pytest.mark.parametrize("length", [1, 135, 136, 150])
def test_sha3(length: int) -> None:
    data = bytes(i * 7 % 256 for i in range(length))
    assert bytes(Tensor(data).keccak().tolist()) == hashlib.sha3_256(data).digest()


def test_other_hashes_of_several_messages() -> None:
    words = np.arange(20, dtype=np.int32).reshape(2, 2, 5)
    for name, expected in (("sha3_224", hashlib.sha3_224), ("shake_128", hashlib.shake_128)):
        found = Tensor(words).keccak(name).numpy()
        for i, j in np.ndindex(2, 2):
            made = expected(words[i, j].tobytes())
            assert bytes(found[i, j]) == (made.digest(16) if name == "shake_128" else made.digest())
    with pytest.raises(ShapeError, match="sha3_224"):
        Tensor([1]).keccak("md5")


def test_threefry_is_the_generators() -> None:
    counter, key = np.array([1, 2**40 + 3], np.uint64), np.uint64(2**63 + 7)
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    x, y = threefry.words(counter & low, counter >> high, key & low, key >> high)
    expected = (y.astype(np.uint64) << high) | x
    assert Tensor(counter).threefry(Tensor([int(key)], dtype=dtypes.uint64)).tolist() == expected.tolist()
    with pytest.raises(DTypeError, match="uint64"):
        Tensor([1]).threefry(Tensor([1]))


def test_random_bits_begin_alike() -> None:
    key, counter = (Tensor(words, dtype=dtypes.uint32) for words in ([1, 2], [3, 4]))
    found = Tensor.random_bits(key, counter, 5)
    assert found.dtype is dtypes.uint32 and len(set(found.tolist())) == 5
    assert Tensor.random_bits(key, counter, 6).tolist()[:3] == found.tolist()[:3]
