"""Making tensors: from data, constants and ranges; what a tensor says of itself; assignment."""

import copy
import gc
import pickle
from pathlib import Path

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.settings import Context
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.registry import leaves
from tests.tensor.checks import assert_all_same, assert_same, values


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (3, "int32", ()),
        (2.5, "float32", ()),
        (True, "bool", ()),
        ([1, 2], "int32", (2,)),
        ([1, 2.5], "float32", (2,)),
        ([[True], [False]], "bool", (2, 1)),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        (np.ones((2, 3)), "float64", (2, 3)),
        (np.float16(2), "float16", ()),
        (np.arange(3, dtype=np.uint8), "uint8", (3,)),
        ([1 << 40], "int64", (1,)),
        ((1, (2)), "int32", (2,)),
        (range(3), "int32", (3,)),
    ],
    ids=str,
)
def test_from_data(data, dtype, shape):
    tensor = Tensor(data)
    assert (str(tensor.dtype), tensor.shape, tensor.ndim) == (dtype, shape, len(shape))
    assert_same(tensor, np.asarray(data))


def test_from_data_copies_and_converts():
    array = np.zeros(3, np.float32)
    tensor, narrow = Tensor(array), Tensor([1.7, 300], dtype="uint8")
    array[:] = 1
    assert tensor.tolist() == [0, 0, 0]
    assert narrow.tolist() == [1, 44]
    assert Tensor([Tensor([1, 2]), Tensor([3, 4])]).tolist() == [[1, 2], [3, 4]]
    assert Tensor(Tensor([1, 2]), dtype=dtypes.float16).dtype is dtypes.float16
    assert Tensor(np.asfortranarray([[1, 2], [3, 4]])).tolist() == [[1, 2], [3, 4]]
    assert Tensor([1.0, 2.0], dtype="bfloat16").numpy().dtype == np.float32


@pytest.mark.parametrize("data", ["text", object(), [1, "a"], np.array(["a"]), {"a": 1}])
def test_data_that_is_no_number(data):
    with pytest.raises(DTypeError):
        Tensor(data)


def test_ragged_lists():
    with pytest.raises(ShapeError, match="rectangular"):
        Tensor([[1, 2], [3]])


def test_constants_and_ranges(device):
    found = [
        Tensor.zeros(2, 3),
        Tensor.ones((2, 3)),
        Tensor.full((2,), 7),
        Tensor.full((2,), 1.5),
        Tensor.full(3, True),
        Tensor.arange(5),
        Tensor.arange(2, 9, 3),
        Tensor.arange(5, 0, -2),
        Tensor.arange(0.0, 1.0, 0.25),
        Tensor.arange(0),
        Tensor.linspace(-1, 1, 5),
        Tensor.linspace(3, 4, 1),
        Tensor.eye(3),
        Tensor.eye(2, 4),
        Tensor.eye(4, 2, dtype="int32"),
        Tensor.zeros(0, 3),
        Tensor.zeros(()),
        Tensor.full((2, 2), Tensor(3.0)),
        Tensor.arange(3, dtype="float16"),
    ]
    expected = [
        np.zeros((2, 3)),
        np.ones((2, 3)),
        np.full(2, 7),
        np.full(2, 1.5),
        np.full(3, True),
        np.arange(5),
        np.arange(2, 9, 3),
        np.arange(5, 0, -2),
        np.arange(0, 1, 0.25),
        np.arange(0),
        np.linspace(-1, 1, 5),
        np.linspace(3, 4, 1),
        np.eye(3),
        np.eye(2, 4),
        np.eye(4, 2),
        np.zeros((0, 3)),
        np.zeros(()),
        np.full((2, 2), 3.0),
        np.arange(3),
    ]
    assert_all_same(found, expected)
    types = ["float32", "float32", "int32", "float32", "bool", "int32", "int32", "int32", "float32", "int32"]
    assert [str(x.dtype) for x in found[:10]] == types


def test_likenesses(numpy_device):
    x = Tensor.zeros(2, 3, dtype="float16")
    for made in (x.zeros_like(), x.ones_like(), x.full_like(3), x.empty_like(), x.rand_like(), x.randn_like()):
        assert (made.shape, made.dtype) == (x.shape, x.dtype)
    assert x.full_like(2.5, dtype="float32").tolist() == [[2.5] * 3] * 2


def test_bad_shapes():
    with pytest.raises(ShapeError, match="negative"):
        Tensor.zeros(-1, 2)
    with pytest.raises(ShapeError, match="integers"):
        Tensor.ones(1.5)
    with pytest.raises(ValueError, match="step 0"):
        Tensor.arange(0, 3, 0)


def test_what_a_tensor_says(numpy_device):
    x = Tensor(np.zeros((2, 3), np.float32))
    assert (len(x), x.numel(), x.nbytes(), x.element_size(), x.size(), x.size(1)) == (2, 6, 24, 4, (2, 3), 3)
    assert x.is_floating_point() and not x.int().is_floating_point()
    assert repr(x) == "Tensor([[0., 0., 0.],\n        [0., 0., 0.]])"
    with Context(EAGER=0):
        assert repr(x + 1) == "<Tensor [2, 3] float32 on NUMPY, lazy>"
    assert {x: 1}[x] == 1
    with pytest.raises(TypeError, match="len"):
        len(Tensor(1))


def test_leaving(numpy_device):
    assert Tensor(2.5).item() == 2.5
    assert float(Tensor([2.5])) == 2.5 and int(Tensor(3)) == 3 and [1, 2, 3][Tensor(1)] == 2
    assert f"{Tensor(2.5):.2f}" == "2.50"
    assert bool(Tensor([1])) and not Tensor(0.0)
    assert np.asarray(Tensor([1, 2])).tolist() == [1, 2]
    assert Tensor([[1, 2]]).data().tolist() == [[1, 2]]
    assert [row.tolist() for row in Tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(Tensor([1, 2]))
    with pytest.raises(ValueError, match="one element"):
        Tensor([1, 2]).item()
    with pytest.raises(TypeError, match="iterated"):
        iter(Tensor(1))
    with pytest.raises(TypeError, match="index"):
        [1, 2][Tensor(1.0)]


def test_realize_forgets_history_unless_gradients_need_it(numpy_device):
    x = Tensor([1.0, 2.0], requires_grad=True)
    tracked, plain = (x * 2 + 1).realize(), (x.detach() * 2 + 1).realize()
    assert plain._node.op == "buffer" and tracked._node.op == "add"
    tracked.sum().backward()
    assert x.grad.tolist() == [2, 2]
    assert Tensor.ones(3).realize()._node.op == "buffer"
    assert graph.full((3,), 1.0, dtypes.float32).realized is None


def test_realize_computes_others_too(numpy_device):
    x = Tensor([1.0])
    first, second = x + 1, x + 2
    assert first.realize(second) is first
    assert "lazy" not in repr(first) + repr(second)


def test_assignment_renames_and_views_follow(numpy_device):
    x = Tensor([1.0, 2.0])
    view, y = x.reshape(2, 1), x
    x += 1
    assert y is x and x.tolist() == [2, 3] and view.tolist() == [[2], [3]]
    x.assign(Tensor([5.0, 6.0]))
    assert x.tolist() == [5, 6]
    x.assign(0.0)
    assert x.tolist() == [0, 0]
    for name, operand, expected in (
        ("isub", 1.0, [-1, -1]),
        ("imul", 3, [-3, -3]),
        ("itruediv", 2, [-1.5, -1.5]),
        ("ifloordiv", 1, [-2, -2]),
        ("ipow", 2, [4, 4]),
        ("imod", 3, [1, 1]),
    ):
        assert getattr(x, f"__{name}__")(operand) is x
        assert x.tolist() == expected
    i = Tensor([6, 3])
    i &= 3
    i |= 4
    i ^= 1
    i <<= 2
    i >>= 1
    assert i.tolist() == [14, 12]
    m = Tensor([[2.0, 0.0], [0.0, 2.0]])
    m @= m
    assert m.tolist() == [[4, 0], [0, 4]]


def test_assignment_errors():
    x = Tensor([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        x.assign(Tensor([1.0, 2.0, 3.0]))
    with pytest.raises(DTypeError, match="int32"):
        x.assign(Tensor([1, 2]))
    with pytest.raises(DTypeError):
        i = Tensor([1])
        i += 1.5
    with pytest.raises(ShapeError):
        x += Tensor([[1.0], [2.0]])
    leaf = Tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="no_grad"):
        leaf += 1
    with no_grad():
        leaf += 1
    assert leaf.tolist() == [2] and leaf.requires_grad


def test_copies_and_pickles(numpy_device):
    x = Tensor(values(2, 3), requires_grad=True)
    twin, loaded = copy.deepcopy(x), pickle.loads(pickle.dumps(x))
    for other in (twin, loaded):
        assert_same(other, x.numpy())
        assert other.requires_grad and other.dtype is x.dtype
    (x.sum() + (twin * 2).sum()).backward()
    assert x.grad.numpy()[0, 0] == 1 and twin.grad.numpy()[0, 0] == 2
    assert_same(x.clone(), x.numpy())


def test_leaves_are_forgotten():
    gc.collect()
    before = len(leaves)
    x = Tensor([1.0], requires_grad=True)
    assert len(leaves) == before + 1
    del x
    gc.collect()
    assert len(leaves) == before


def test_nodes_know_the_users_line():
    result = (Tensor([1.0, 2.0]) * 3).softmax()  # this line
    file, number = result._node.line
    assert file == __file__
    assert "this line" in Path(file).read_text().splitlines()[number - 1]


def _filled(x):
    y = x * 1
    y[:] = 2.0
    return y


STAYING = {
    "a power that is 1": lambda x: x**0,
    "assigned everywhere": _filled,
    "a gradient of ones": lambda x: x.sum().gradient(x)[0],
    "a gradient of zeros": lambda x: (x * 0).sum().gradient(Tensor([1.0], device="NUMPY"), materialize_grads=True)[0],
    "zeros alike": Tensor.zeros_like,
    "random alike": Tensor.rand_like,
}


@pytest.mark.parametrize("name", STAYING)
def test_results_that_read_nothing_stay_on_their_device(name, device):
    """Also once computed, so that they combine with tensors there, whichever device is the default."""
    x = Tensor([1.0, 2.0], device="NUMPY", requires_grad=True)
    y = STAYING[name](x).realize()
    assert y.device == "NUMPY"
    assert (x + y).numpy().shape == (2,)


def test_new_tensors_like_another():
    x = Tensor([1, 2], dtype="int16")
    made = [x.new_zeros(2, 3), x.new_ones((2, 3)), x.new_full((2, 3), 7), x.new_empty(2, 3)]
    made.append(x.new_tensor([[4, 4, 4], [4, 4, 4]]))
    assert all(tensor.shape == (2, 3) and tensor.dtype is dtypes.int16 for tensor in made)
    assert [made[i].numpy()[1, 2] for i in (0, 1, 2, 4)] == [0, 1, 7, 4]
    assert x.new_full(3, 0.5, dtype="float32").tolist() == [0.5] * 3
    assert x.new_zeros((2,), dtype=None, device=None).dtype is x.new_tensor([1.5], dtype=None).dtype is dtypes.int16


def test_to_another_type_or_that_of_a_tensor():
    x = Tensor([1, 2])
    assert x.to(dtypes.float16).dtype is x.to(x.half()).dtype is x.to(dtype="float16").dtype is dtypes.float16
    assert x.to(None, dtypes.float64).device == x.device
    assert x.type_as(x.byte()).dtype is dtypes.uint8


def test_comparisons_of_whole_tensors():
    x = Tensor([1.0, float("nan")])
    assert x[:1].equal(Tensor([1.0])) and not x.equal(x) and not x.equal(x[:1])
    assert x.allclose(x + 1e-7, equal_nan=True) and not x.allclose(x)
    assert Tensor([2]).is_nonzero() and not Tensor([0.0]).is_nonzero()


TYPES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64",
    "complex128",
]  # fmt: skip


def test_types_that_go_together_are_torchs():
    torch = pytest.importorskip("torch")
    for first in TYPES:
        a = getattr(torch, first)
        for second in TYPES:
            b = getattr(torch, second)
            assert Tensor.can_cast(first, second) == torch.can_cast(a, b)
            assert str(Tensor.promote_types(first, second)) == str(torch.promote_types(a, b))[6:]
        for number in (True, 1, 1.5, 2j):
            expected = str(torch.result_type(torch.zeros(2, dtype=a), number))[6:].replace("complex32", "complex64")
            expected = "int32" if first == "bool" and number == 1 and number is not True else expected
            assert str(Tensor.result_type(Tensor.zeros(2, dtype=first), number)) == expected
            assert str(Tensor.result_type(number, Tensor.zeros(2, dtype=first))) == expected
    assert Tensor.result_type(1, 2.0).name == "float32"
    assert Tensor.broadcast_shapes((4, 1), 3, ()) == (4, 3) and Tensor.broadcast_shapes() == ()


def test_bytes_are_uint8_alone_and_in_lists():
    assert Tensor(b"abc").tolist() == [97, 98, 99] and Tensor(b"abc").dtype is dtypes.uint8
    rows = Tensor([b"abc", bytearray(b"def")], dtype=dtypes.uint8)
    assert rows.tolist() == [[97, 98, 99], [100, 101, 102]] and rows.dtype is dtypes.uint8
