"""Arrays of other libraries: values, shared memory, types NumPy lacks, and what is refused."""

import copy
import gc
import pickle

import numpy as np
import pytest

from codegen.dtypes import ALL, dtypes
from kernelforge import DTypeError, Tensor, dlpack
from tests.tensor.checks import assert_same, values

SHAPES = [(), (0,), (3,), (2, 0, 3), (2, 3, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numpy_takes_tensors(shape, device):
    for dtype in ALL:
        x = Tensor(values(*shape, low=0, high=9), dtype=dtype)
        assert_same(x + 0 if dtype is not dtypes.bool else x, np.asarray(x))
        if dtype is not dtypes.bfloat16:
            found = np.from_dlpack(x)
            assert found.dtype == dtype.numpy and np.array_equal(found, x.numpy())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tensors_of_arrays(shape, device):
    for dtype in ALL:
        x = values(*shape, low=0, high=9).astype(dtype.compute)
        for make in (Tensor.from_dlpack, Tensor.from_numpy, Tensor):
            found = make(x)
            assert found.dtype.numpy == x.dtype and found.shape == shape
            assert np.array_equal(found.numpy(), x)
    turned = values(4, 6)[::-1, ::2].T
    assert_same(Tensor.from_dlpack(turned), turned)


def test_memory_is_shared(device):
    """Both ways, until nobody has it any more; and no result takes its place."""
    given = len(dlpack._given)
    x = Tensor(values(64)).realize()
    seen = np.from_dlpack(x)
    assert len(dlpack._given) == given + 1
    x += 1
    x.realize()
    assert_same(x, seen + 1)
    shown = Tensor(values(64)).realize()
    view = shown.__array__(copy=False)
    assert not view.flags.writeable and view.base is not None
    del seen, x
    gc.collect()
    assert len(dlpack._given) == given


def test_memory_of_arrays(numpy_device):
    array = values(64)
    x = Tensor.from_numpy(array, copy=False)
    array[3] = 7
    assert x[3].item() == 7
    x += 1
    x.realize()
    assert array[3] == 7 and x[3].item() == 8
    y = Tensor.from_numpy(array, copy=True)
    array[3] = 9
    assert y[3].item() == 7
    with pytest.raises(BufferError, match="must be copied"):
        Tensor.from_numpy(array[::2], copy=False)


def test_torch(device):
    torch = pytest.importorskip("torch")
    theirs = torch.arange(24, dtype=torch.bfloat16).reshape(2, 12)
    ours = Tensor.from_dlpack(theirs.T)
    assert ours.dtype is dtypes.bfloat16 and ours.shape == (12, 2)
    assert torch.equal(torch.from_dlpack(ours + 1), theirs.T + 1)
    assert_same(Tensor(theirs.double()), theirs.double().numpy())
    plain = torch.ones(1024)
    shared = Tensor.from_dlpack(plain, copy=False)
    plain[5] = 3
    assert shared.sum().item() == 1026
    del plain
    gc.collect()
    assert shared[5].item() == 3


def test_refused(numpy_device):
    with pytest.raises(BufferError, match="type"):
        Tensor.from_dlpack(np.zeros(2, np.longdouble))
    with pytest.raises(DTypeError, match="longdouble|float128"):
        Tensor.from_numpy(np.zeros(2, np.longdouble))
    with pytest.raises(BufferError, match="not on device"):
        Tensor([1.0]).__dlpack__(dl_device=(2, 0))
    with pytest.raises(ValueError, match="without a copy"):
        np.array(Tensor([1.0], dtype="bfloat16"), copy=False)
    capsule = Tensor([1.0]).__dlpack__()
    dlpack.taken(capsule)
    with pytest.raises(BufferError, match="taken once"):
        dlpack.taken(capsule)


def test_copies_and_pickles(device):
    for dtype in ALL:
        x = Tensor([[1, 0], [3, 4]], dtype=dtype)
        for found in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
            assert found.dtype is dtype
            assert_same(found, x.numpy())
    leaf = pickle.loads(pickle.dumps(Tensor([1.0], requires_grad=True)))
    assert leaf.requires_grad and leaf.is_leaf


def test_versions_of_the_protocol(numpy_device):
    x = Tensor([1.0, 2.0]).realize()
    assert '"dltensor"' in repr(x.__dlpack__()) and '"dltensor"' in repr(x.__dlpack__(max_version=(0, 8)))
    capsule = x.__dlpack__(max_version=(1, 1))
    assert '"dltensor_versioned"' in repr(capsule)
    found, dtype = dlpack.taken(capsule)
    assert found.tolist() == [1, 2] and dtype is dtypes.float32 and found.flags.writeable
    assert '"used_dltensor_versioned"' in repr(capsule)
    with pytest.raises(BufferError, match="taken once"):
        dlpack.taken(capsule)
    del found, capsule
    gc.collect()
    given = len(dlpack._given)
    x.__dlpack__(max_version=(1, 0))
    gc.collect()
    assert len(dlpack._given) == given, "a capsule nobody took gives its memory back"


def test_memory_that_must_not_change(numpy_device):
    """It is copied: nothing here writes into it."""
    fixed = np.arange(64.0, dtype=np.float32)
    fixed.flags.writeable = False
    for array in (fixed, np.broadcast_to(np.arange(3), (4, 3)), np.arange(12).reshape(3, 4)[::-1, ::-2]):
        x = Tensor.from_dlpack(array)
        assert_same(x, array)
        x += 1
        assert_same(x, array + 1)
    with pytest.raises(BufferError, match="must be copied"):
        Tensor.from_dlpack(fixed, copy=False)


def test_what_torch_only_notes_down(numpy_device):
    torch = pytest.importorskip("torch")
    turned = torch.tensor([1 + 2j, 3 - 1j]).conj()
    for theirs in (turned, turned.imag):
        assert_same(Tensor(theirs), theirs.resolve_conj().resolve_neg().numpy())
        assert_same(Tensor.from_dlpack(theirs), theirs.resolve_conj().resolve_neg().numpy())
    assert Tensor(torch.ones(2, requires_grad=True)).tolist() == [1, 1]


def test_data_become_tensors_without_copies_where_they_can(numpy_device):
    x, array = Tensor([1, 2]), np.arange(3.0)
    assert Tensor.as_tensor(x) is x and Tensor.asarray(x, "float64").dtype is dtypes.float64
    found = Tensor.as_tensor(array)
    array[0] = 7
    assert_same(found, [7.0, 1, 2])
    assert_same(Tensor.as_tensor([1.5]), np.array([1.5], np.float32))
    memory = bytearray(b"\1\0\2\0\3\0")
    found = Tensor.frombuffer(memory, dtype="int16", offset=2)
    memory[2] = 9
    assert_same(found, np.array([9, 3], np.int16))
    assert_same(Tensor.frombuffer(b"abc", dtype="uint8", count=2), np.array([97, 98], np.uint8))
    assert Tensor.scalar_tensor(3).dtype is dtypes.float32 and Tensor.scalar_tensor(3, dtype="int64").item() == 3
