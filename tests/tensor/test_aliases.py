"""Views show what their tensor shows: random programs of views and changes in place do what they do in NumPy."""

import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernelforge import Context, Tensor, no_grad
from kernelforge.tensor.aliases import viewed


def view(rng: random.Random, shape: tuple[int, ...]) -> tuple[str, object]:
    """A random way to look at an array of a shape, as a method of both libraries."""
    turned = tuple(range(len(shape)))[::-1]
    slices = (slice(None), slice(None, None, -1), slice(0, None, 2), slice(1, None))
    parts = [rng.choice(slices), *(rng.choice((*slices, 0)) for _ in shape[1:])]
    return rng.choice(
        [("reshape", shape[::-1]), ("reshape", (-1,)), ("transpose", turned), ("__getitem__", tuple(parts))]
    )


def seen(x: object, way: tuple[str, object]) -> object:
    name, how = way
    if name == "__getitem__":
        return x[how]  # type: ignore[index]
    if name == "transpose":
        return x.permute(*how) if isinstance(x, Tensor) else x.transpose(how)  # type: ignore[misc, attr-defined]
    return x.reshape(how)  # type: ignore[attr-defined]


@given(st.integers(0, 1 << 32))
@example(4802)
@example(76)
def test_random_programs_as_in_numpy(seed: int) -> None:
    rng = random.Random(seed)
    start = np.arange(24, dtype=np.float32).reshape(rng.choice([(2, 3, 4), (4, 6), (24,)]))
    with Context(DEVICE="NUMPY"):
        ours: list[Tensor] = [Tensor(start)]
        theirs: list[NDArray] = [start.copy()]
        for _ in range(rng.randint(2, 12)):
            i = rng.randrange(len(ours))
            kind = rng.random()
            if kind < 0.5 and theirs[i].ndim and theirs[i].size:
                way = view(rng, theirs[i].shape)
                ours.append(seen(ours[i], way))  # type: ignore[arg-type]
                theirs.append(seen(theirs[i], way))  # type: ignore[arg-type]
            elif kind < 0.9:
                value = float(rng.randint(-9, 9))
                ours[i] += value
                theirs[i][...] += value
            elif len(ours) > 1:
                del ours[i], theirs[i]
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x.numpy(), y)


@pytest.mark.parametrize(
    ("shape", "strides", "wanted"),
    [
        ((6, 4), (1, 6), (24,)),
        ((4, 6), (6, 1), (2, 2, 6)),
        ((2, 3), (6, 1), (6,)),
        ((1, 5, 1), (0, 2, 9), (5, 1)),
        ((), (), (1, 1)),
    ],
)
def test_which_reshapes_are_views_is_numpys_rule(
    shape: tuple[int, ...], strides: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    array = np.lib.stride_tricks.as_strided(np.zeros(64, np.int8), shape, strides)
    copied = not np.shares_memory(array.reshape(wanted), array)
    assert (viewed(shape, strides, wanted) is None) == copied


def test_each_reshape_that_copies_has_a_memory_of_its_own(device) -> None:
    turned = Tensor([[1.0, 2.0], [3.0, 4.0]]).T
    one, other = turned.reshape(4), turned.reshape(4)
    pair = other.reshape(2, 2)
    one += 1
    assert (one.tolist(), other.tolist(), turned.tolist()) == ([2, 4, 3, 5], [1, 3, 2, 4], [[1, 3], [2, 4]])
    other[0] = 9
    assert pair.tolist() == [[9, 3], [2, 4]] and one.tolist() == [2, 4, 3, 5] and turned.tolist() == [[1, 3], [2, 4]]


def test_parts_of_parts(device) -> None:
    x = Tensor.zeros(3, 3)
    x[1][2] = 5
    x.T[0].fill_(7)
    x.detach()[2, 2] = 1
    rows = list(x)
    rows[0] += 1
    assert x.tolist() == [[8, 1, 1], [7, 0, 5], [7, 0, 1]] and rows[0].tolist() == [8, 1, 1]


def test_the_same_bits_as_another_type_are_a_view(device) -> None:
    x = Tensor([1.0, 2.0, 3.0, 4.0])
    bits, first = x.view("int32"), x[:2].bitcast("uint32").bitcast("int32")
    bits[1] = 0
    assert x.tolist() == [1, 0, 3, 4] and first.tolist() == [0x3F800000, 0]
    first.assign(Tensor([0x40800000, 0x40400000], dtype="int32"))
    assert x.tolist() == [4, 3, 3, 4]
    x[3] = 1.0
    assert bits.tolist() == [0x40800000, 0x40400000, 0x40400000, 0x3F800000]
    del x
    bits[:2].fill_(0)
    assert first.tolist() == [0, 0]


def test_what_was_computed_keeps_its_value(device) -> None:
    x = Tensor([1.0, 2.0, 3.0])
    doubled, copied, flipped = x * 2, x.clone(), x.flip(0)
    x[0] = 9
    assert (doubled.tolist(), copied.tolist(), flipped.tolist()) == ([2, 4, 6], [1, 2, 3], [3, 2, 1])


def test_gradients_flow_through_changed_views(device) -> None:
    x, w = Tensor([1.0, 2.0, 3.0], requires_grad=True), Tensor([5.0], requires_grad=True)
    y = x * 2
    y[1:2] *= w
    y.reshape(3)[0] = 0
    y.sum().backward()
    assert x.grad.tolist() == [0, 10, 2] and w.grad.tolist() == [4]


def test_views_of_leaves(device) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="view of a leaf"):
        x[:1] += 1
    with no_grad():
        x[:1] += 1
        x.detach().mul_(2)
    assert x.tolist() == [4, 4] and x.requires_grad and x.is_leaf


def test_an_expanded_tensor_that_changes_is_one_of_its_own(device) -> None:
    x = Tensor([[1.0], [2.0]])
    wide = x.expand(2, 3)
    x += 1
    assert wide.tolist() == [[2, 2, 2], [3, 3, 3]]
    wide += 1
    assert x.tolist() == [[2], [3]] and wide.tolist() == [[3, 3, 3], [4, 4, 4]]
