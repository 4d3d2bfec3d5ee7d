"""Numbers read in C, several views in one call and arguments by name are the same as by Python's way to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge import Tensor, jit
from kernelforge.errors import ArgumentError, KindError, PlaceError, StateError

KINDS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "bfloat16",
         "float32", "float64", "complex64"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_element_of_each_type(kind: str) -> None:
    for value in (0, 1, 100, -7):
        x = Tensor([value, value]).cast(getattr(dtypes, kind))
        expected = x.numpy()[0].item()
        for one in (x[0], x[1:], x[0].realize(), (x + x)[1] * 0 + x[1] if kind != "bool" else x[0]):
            found = one.item()
            assert found == expected
            assert type(found) is type(expected)
            assert bool(one) is bool(expected)


def test_values_that_are_no_numbers_or_come_from_elsewhere() -> None:
    assert np.isnan((Tensor([1.0]).log() * float("nan")).item())
    assert np.signbit((Tensor([0.0]) * -1.0).item())
    assert Tensor.full((1, 1), 7).item() == 7
    assert Tensor(3.5, requires_grad=True).item() == 3.5
    for x in (Tensor([1, 2]), Tensor.zeros(0)):
        with pytest.raises(ArgumentError, match="one element"):
            x.item()
        with pytest.raises(StateError, match="ambiguous"):
            bool(x)


def test_an_index_out_of_range_is_an_error_each_time() -> None:
    x, far = Tensor([1.0, 2.0, 3.0]).realize(), Tensor([7]).realize()
    for _ in range(5):
        with pytest.raises(PlaceError, match="not in 0 <= index < 3"):
            x[far].item()


def test_what_changed_in_place_is_read() -> None:
    x = Tensor.zeros(1).realize()
    view = x.reshape(1, 1)
    for i in range(5):
        x += 1
        assert x.item() == view.item() == i + 1
    assert jit(lambda y: y * 2)(x).item() == 10


@pytest.mark.parametrize("seed", range(20))
def test_several_views_at_once_as_numpy_has_them(seed: int) -> None:
    rng = random.Random(seed)
    shape = tuple([rng.randint(1, 6) for _ in range(rng.randint(1, 3))])
    for _ in range(4):
        array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        x = Tensor(array).realize()
        if rng.random() < 0.5:
            x, array = x.permute(*range(len(shape))[::-1]), array.T.copy()
        dim = rng.randrange(len(shape))
        count = rng.randint(1, 4)
        n = array.shape[dim]
        for parts, expected in (
            (x.unbind(dim), [array.take(i, dim) for i in range(n)]),
            (x.chunk(count, dim), np.split(array, range(-(-n // count), n, -(-n // count)), dim)),
            (x.split(count, dim=dim), np.split(array, range(count, n, count), dim)),
            (x.tensor_split(count, dim), np.array_split(array, count, dim)),
        ):
            assert len(parts) == len(expected)
            for part, one in zip(parts, expected):
                np.testing.assert_array_equal(part.numpy(), one)
        pieces = x.split(count, dim)
        pieces[-1].fill_(-1)
        np.split(array, range(count, n, count), dim)[-1][...] = -1
        np.testing.assert_array_equal(x.numpy(), array)
        x += 1
        np.testing.assert_array_equal(pieces[0].numpy(), np.split(array + 1, range(count, n, count), dim)[0])


def test_several_views_have_gradients() -> None:
    for _ in range(3):
        x = Tensor(np.arange(6, dtype=np.float32), requires_grad=True)
        a, b, c = x.chunk(3)
        (a * 2 + b * c).sum().backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 4, 5, 2, 3])


@pytest.mark.parametrize(("ours", "theirs"), [
    (lambda x: x.sum(dim=1), lambda a: a.sum(1)),
    (lambda x: x.sum(axis=0, keepdim=True), lambda a: a.sum(0, keepdims=True)),
    (lambda x: x.sum(dim=0, keepdims=True), lambda a: a.sum(0, keepdims=True)),
    (lambda x: x.sum(keepdim=True, dim=-1), lambda a: a.sum(-1, keepdims=True)),
    (lambda x: x.clamp(max_=2.0), lambda a: a.clip(max=2)),
    (lambda x: x.clamp(min=2.0), lambda a: a.clip(min=2)),
    (lambda x: x.transpose(dim0=0, dim1=1), lambda a: a.T),
    (lambda x: x.unsqueeze(dim=1), lambda a: a[:, None]),
    (lambda x: x.sub(other=x, alpha=2), lambda a: a - 2 * a),
    (lambda x: x.clone().add_(other=x, alpha=2), lambda a: a + 2 * a),
])  # fmt: skip
def test_arguments_by_name(ours: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> None:
    for i in range(4):
        array = np.arange(6, dtype=np.float32).reshape(2, 3) + i
        np.testing.assert_array_equal(ours(Tensor(array).realize()).numpy(), theirs(array))


def test_zeros_of_both_signs_by_name_are_two_arguments() -> None:
    for _ in range(2):
        for low in (0.0, -0.0):
            found = Tensor([-1.0]).clamp(min_=low).numpy()
            assert np.signbit(found[0]) == np.signbit(low)


def test_one_argument_by_two_names_is_an_error() -> None:
    x = Tensor.ones(2, 3).realize()
    for _ in range(3):
        with pytest.raises(KindError, match="two names"):
            x.sum(dim=0, axis=0)
        with pytest.raises(TypeError):
            x.sum(0, nothing=1)
        with pytest.raises(TypeError):
            x.add_(1, nothing=1)
        assert x.sum(dim=0).tolist() == [2, 2, 2]
