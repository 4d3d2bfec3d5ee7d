"""Functions beside the tensor: what `kernelforge.name` is."""

import pkgutil
import subprocess
import sys
from operator import attrgetter
from types import ModuleType

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor, dtypes, functions
from kernelforge.errors import ArgumentError, KindError


def test_every_name_is_there_and_seen() -> None:
    """dir() lists what can be asked for."""
    seen = dir(kernelforge)
    for name in functions.names():
        assert name in seen and getattr(kernelforge, name) is getattr(kernelforge, name), name


def test_no_other_name_is_there() -> None:
    for name in ("no_such_function", "default_float", "_node", "shape", "grad_fn"):
        with pytest.raises(AttributeError, match="kernelforge"):
            getattr(kernelforge, f"{name}_of_nothing" if name == "shape" else name)


def test_rooms_come_before_methods() -> None:
    """Whatever was imported before: `data` is a method of tensors, too."""
    code = "import kernelforge, types; assert isinstance(kernelforge.data, types.ModuleType), kernelforge.data"
    subprocess.run([sys.executable, "-c", code], check=True)
    rooms = [room.name for room in pkgutil.iter_modules(kernelforge.__path__)]
    assert all(isinstance(getattr(kernelforge, room), ModuleType) for room in rooms if room not in ("dump", "__main__"))


def test_types_come_before_methods() -> None:
    assert kernelforge.float is dtypes.float32 and kernelforge.bool is dtypes.bool
    assert kernelforge.long is dtypes.int64


def test_methods_are_functions() -> None:
    x = kernelforge.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert kernelforge.sum(x, dim=0).tolist() == [4.0, 6.0] == kernelforge.sum(input=x, dim=0).tolist()
    assert kernelforge.cat([x, x], dim=1).shape == (2, 4)
    assert kernelforge.zeros(2, 3).shape == (2, 3)


def test_integers_of_both_spellings() -> None:
    for x in (
        kernelforge.randint(3, (500,)), kernelforge.randint(3, size=(500,)), kernelforge.randint(0, 3, (500,)),
        kernelforge.randint(high=3, size=(500,)), kernelforge.randint(low=0, high=3, size=[500]),
    ):  # fmt: skip
        assert x.dtype is dtypes.int64 and sorted(set(x.tolist())) == [0, 1, 2]
    for arguments in ((3,), (1, 2), (1, 2, 3, 4), (1.0, 2, (3,))):
        with pytest.raises((ArgumentError, TypeError)):
            kernelforge.randint(*arguments)


def test_normal_numbers_of_tensors_and_of_sizes() -> None:
    kernelforge.manual_seed(0)
    assert kernelforge.normal(0, 1, (2, 3)).shape == (2, 3)
    x = kernelforge.normal(Tensor([0.0, 100.0]).expand(1000, 2), Tensor([1.0, 2.0]))
    assert abs(x.mean(0)[1].item() - 100) < 0.5 and abs(x.std(0)[1].item() - 2) < 0.2
    with pytest.raises(ArgumentError, match="size"):
        kernelforge.normal(0.0, 1.0)


def test_normal_numbers_have_the_type_of_their_means() -> None:
    mean = Tensor([1.0, 2.0], dtype="float16")
    assert kernelforge.normal(mean, 0.5).dtype is kernelforge.normal(0.0, mean).dtype is dtypes.float16


def test_the_first_argument_is_a_tensor() -> None:
    with pytest.raises(KindError, match=r"sin\(\) takes a Tensor first, got float"):
        kernelforge.sin(1.0)
    with pytest.raises(KindError, match="got nothing"):
        kernelforge.sin()


def test_an_error_names_the_function() -> None:
    with pytest.raises(ValueError, match=r"in cat\(self=\[float32 \[2\], float32 \[1, 1\]\]") as caught:
        kernelforge.cat([Tensor([1.0, 2.0]), Tensor([[1.0]])])
    assert "test_functions.py" in str(caught.value)


def test_names_of_devices() -> None:
    assert kernelforge.device("cpu") == "CPU" == Tensor([1.0]).to(kernelforge.device("cpu:0")).device
    with pytest.raises(kernelforge.DeviceError, match="there is no device 'abacus:1'"):
        kernelforge.device("abacus", 1)


@pytest.mark.parametrize("make", ["zeros", "ones", "empty", "rand", "randn"])
def test_sizes_by_name(make):
    assert getattr(kernelforge, make)(size=(2, 3)).shape == (2, 3)
    like = getattr(Tensor([1.0]), f"new_{make}", None)
    assert like is None or like(size=(2, 3)).shape == (2, 3)


def test_full_takes_its_size_by_name():
    assert kernelforge.full(size=(2,), fill_value=3).tolist() == [3, 3]
    assert Tensor([1.0]).new_full(size=(2,), fill_value=3).tolist() == [3, 3]


def test_first_arguments_have_the_names_torch_gives_them():
    x = Tensor([1.0, 2.0, 3.0])
    assert kernelforge.segment_reduce(data=x, reduce="sum", lengths=Tensor([2, 1])).tolist() == [3, 3]
    found = kernelforge.isin(elements=x, test_elements=Tensor([1.0]), assume_unique=True)
    assert found.tolist() == [True, False, False]
    assert kernelforge.cat(tensors=[x, x]).shape == kernelforge.stack(tensors=[x, x]).flatten().shape == (6,)
    assert kernelforge.searchsorted(sorted_sequence=x, input=Tensor([2.5])).tolist() == [2]


def test_numbers_stand_first():
    x = Tensor([4, 2], dtype="int8")
    assert kernelforge.add(1, x).tolist() == [5, 3]
    assert kernelforge.sub(1, x).dtype.name == "int8"
    assert kernelforge.div(1.0, x.half()).dtype.name == "float16"
    assert kernelforge.add(-5, -5).item() == -10
    with pytest.raises(KindError, match="takes a Tensor first"):
        kernelforge.sum(3)


@pytest.mark.parametrize("name", ["pow", "remainder", "bitwise_and", "copysign", "fmod", "xlogy", "special.zeta"])
def test_two_numbers_are_no_tensor(name):
    with pytest.raises(KindError, match="two numbers"):
        attrgetter(name)(kernelforge)(2, 3)


def test_numbers_stand_first_in_special_functions():
    x = Tensor([2.0, 3.0], dtype="float16")
    assert kernelforge.special.xlogy(2, x).dtype.name == "float16"
    np.testing.assert_allclose(kernelforge.special.zeta(2, x).numpy(), [0.6449, 0.3949], 1e-3)


def test_several_tensors_have_at_least_so_many_dimensions():
    x = Tensor([1.0, 2.0])
    for least in (kernelforge.atleast_1d, kernelforge.atleast_2d, kernelforge.atleast_3d):
        one = least(x)
        assert [y.shape for y in least(x, Tensor(1.0))] == [one.shape, (1,) * (one.ndim)]
        assert least([x])[0].shape == one.shape
