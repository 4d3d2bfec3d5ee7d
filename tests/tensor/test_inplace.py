"""Methods that change their tensor, second names, and arguments known by two names."""

import inspect

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.inplace import InPlace
from kernelforge.tensor.names import Names
from tests.tensor.checks import assert_same


def test_every_change_is_what_the_method_it_is_named_after_gives(numpy_device):
    names = [name for name in vars(InPlace) if name.endswith("_") and not name.endswith("__")]
    tried = 0
    for name in names:
        method = getattr(Tensor, {"zero_": "zeros_like", "fill_": "full_like"}.get(name, name[:-1]), None)
        if name == "bernoulli_":  # as in torch its chances are an argument, not the elements
            continue
        if method is None or len(inspect.signature(method).parameters) > 1:
            continue
        before = Tensor([[1, 2], [3, 4]] if name == "bitwise_not_" else [[0.25, 0.5], [0.75, 1.0]])
        expected, x = method(before).cast(before.dtype).numpy(), before + 0
        for again in (x, before + 0):  # the second one by a recipe that is kept
            assert getattr(Tensor, name)(again) is again
            assert_same(again, expected)
        tried += 1
    assert tried > 15


@pytest.mark.parametrize("name", ["atan2_", "clamp_", "hypot_", "igamma_", "lerp_", "xlogy_"])
def test_a_change_that_was_made_before_is_made_again(name, numpy_device):
    others = [Tensor([1.5, 2.5])] * (2 if name in ("clamp_", "lerp_") else 1)
    expected = getattr(Tensor([0.5, 3.0]), name[:-1])(*others).numpy()
    for _ in range(3):
        x = Tensor([0.5, 3.0])
        getattr(x, name)(*others)
        assert_same(x, expected)


def test_changes_with_arguments(numpy_device):
    x = Tensor([1.0, -2.0, 3.0])
    assert_same(x.add_(Tensor([1.0, 1.0, 1.0]), alpha=2).mul_(2).clamp_(min=0), [6, 0, 10])
    assert_same(x.copy_(Tensor([4, 5, 6])), [4, 5, 6])
    assert_same(x.index_fill_(0, Tensor([1]), -1.0).masked_fill_(Tensor([True, False, False]), 0.5), [0.5, -1, 6])
    assert_same(x.fill_(2).sub_(1), [1, 1, 1])
    assert x.dtype is dtypes.float32


def test_a_change_keeps_the_type_and_the_shape(numpy_device):
    x = Tensor([1, 2])
    assert x.mul_(Tensor([2, 2], dtype="int64")).dtype is dtypes.int32
    with pytest.raises(TypeError):
        x.add_(0.5)
    with pytest.raises(ValueError):
        x.add_(Tensor([[1, 2], [3, 4]]))


def test_leaves_change_only_without_gradients(numpy_device):
    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError):
        x.add_(1)
    with no_grad():
        x.add_(1)
    assert_same(x, [2.0])
    assert x.is_leaf


def test_gradients_flow_through_changes(numpy_device):
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y.mul_(x).add_(x, alpha=3)
    assert_same(y.sum().gradient(x)[0], [5.0, 7.0])


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (lambda x: x.sum(axis=1), lambda x: x.sum(dim=1)),
        (lambda x: x.softmax(axis=0), lambda x: x.softmax(dim=0)),
        (lambda x: x.cat(x, dim=1), lambda x: x.cat(x, axis=1)),
        (lambda x: x.clamp(1.5, 3.5), lambda x: x.clamp(min=1.5, max=3.5)),
        (lambda x: x.max(1, keepdim=True), lambda x: x.max(dim=1, keepdims=True)),
        (lambda x: (-x).leaky_relu(0.5), lambda x: (-x).leaky_relu(negative_slope=0.5)),
    ],
)
def test_two_names_of_an_argument(ours, theirs, numpy_device):
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert_same(theirs(x), ours(x).numpy())


def test_one_argument_by_both_its_names(numpy_device):
    with pytest.raises(TypeError, match="sum.*two names"):
        Tensor([1.0]).sum(dim=0, axis=0)
    with pytest.raises(TypeError):
        Tensor([1.0]).sum(dimension=0)


def test_second_names(numpy_device):
    x = Tensor([[-1.5, 2.0, 3.0]])
    assert (x.dim(), x.ndimension(), x.nelement(), x.itemsize, x.size(1)) == (2, 2, 3, 4, 3)
    assert_same(x.absolute(), np.abs(x.numpy()))
    assert_same(x.floor_divide(2), [[-1, 1, 1]])
    assert_same(x.rsub(1, alpha=2), [[4, -3, -5]])
    assert_same(x.fliplr(), [[3, 2, -1.5]])
    assert all(inspect.getdoc(getattr(Names, name)) for name in vars(Names) if not name.startswith("_"))


def test_every_method_in_place_of_torchs_is_there():
    torch = pytest.importorskip("torch")
    names = {name for name in dir(torch.Tensor) if name[-1] == "_" != name[0] and "sparse" not in name}
    assert {name for name in names if not hasattr(Tensor, name)} == {"set_", "share_memory_"}


def test_a_tensor_takes_another_shape_in_place_and_stays_a_view(numpy_device):
    x = Tensor(np.arange(6).reshape(2, 3))
    row = x[0]
    assert x.t_() is x
    x[2, 0] = 9
    row[1] = 7
    assert_same(x, [[0, 3], [7, 4], [9, 5]])
    assert_same(row, [0, 7, 9])
    assert x.unsqueeze_(0).transpose_(0, 1).squeeze_().shape == (3, 2)


def test_gradients_flow_through_other_shapes_in_place(numpy_device):
    w = Tensor(np.ones((2, 3)), requires_grad=True)
    x = w * 2
    x.t_()
    x[0] = 5
    x.sum().backward()
    assert_same(w.grad, [[0, 2, 2], [0, 2, 2]])
    with pytest.raises(RuntimeError, match="leaf"):
        w.t_()
    assert not (w * 2).detach_().requires_grad and not w.detach_().requires_grad


def test_other_sizes_in_place(numpy_device):
    assert_same(Tensor([1.0, 2, 3]).resize_(2, 2), [[1, 2], [3, 0]])
    assert_same(Tensor([[1, 2], [3, 4]]).resize_as_(Tensor([0, 0, 0])), [1, 2, 3])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "float16", "bfloat16", "float32", "float64"])
def test_random_integers(dtype, numpy_device):
    most = {"bool": 1, "uint8": 255, "int8": 127, "int64": 2**63 - 1, "float16": 2**11, "bfloat16": 256,
            "float32": 2**24, "float64": 2**53}[dtype]  # fmt: skip
    Tensor.manual_seed(0)
    found = Tensor.zeros(2000, dtype=dtype).random_().tolist()
    assert min(found) >= 0 and max(found) <= most and max(found) > most * 0.9
    if dtype != "bool":
        assert set(Tensor.zeros(99, dtype=dtype).random_(3).tolist()) == {0, 1, 2}
        assert set(Tensor.zeros(99, dtype=dtype).random_(3, 5).tolist()) == {3, 4}
        assert set(Tensor.zeros(99, dtype=dtype).randint_like(3, 5).tolist()) == {3, 4}


def test_functions_of_python_on_each_element(numpy_device):
    x = Tensor([1.0, 2.0])
    assert_same(x.apply_(lambda v: v + 1).map_(Tensor([3, 4]), lambda a, b: a * b), [6, 12])
    assert_same(x.map2_(Tensor([1, 1]), Tensor([2, 3]), lambda a, b, c: a + b * c), [8, 15])
