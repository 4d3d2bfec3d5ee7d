"""Arguments of captured functions: other lengths, types, numbers, structures, the same tensor twice."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit
from tests.replay.footguns.twins import agrees, tensor

pytestmark = pytest.mark.usefixtures("numpy_device")


def test_another_length() -> None:
    calls = [(tensor(*range(n)),) for n in (3, 5, 3, 1, 5)]
    agrees(lambda: lambda x: (x * 2).sum(), calls, captures=3)


def test_another_dtype() -> None:
    agrees(lambda: lambda x: x / 2, [(tensor(1, 2),), (Tensor([1, 2]),), (tensor(3, 4),)], captures=2)


def test_scalar_arguments() -> None:
    calls = [(tensor(1, 2), n) for n in (2, 3, 2.0, 2, True, 0.0, -0.0)]
    agrees(lambda: lambda x, n: x * n, calls, captures=6)


def test_equal_scalars_of_other_types() -> None:
    agrees(lambda: lambda x, n: x * n, [(Tensor([1, 2]), n) for n in (1, 1.0, True)], captures=3)


def test_containers() -> None:
    def make() -> Callable[..., Any]:
        return lambda state: {"sum": state["a"] + state["b"][0] * state["k"], "same": state["a"]}

    calls = [({"a": tensor(1), "b": [tensor(i)], "k": k},) for i, k in ((1, 2), (5, 2), (1, 3))]
    agrees(make, calls, captures=2)


def test_keyword_arguments() -> None:
    captured = jit(lambda x, scale=1, shift=0: x * scale + shift)
    x = tensor(2)
    assert captured(x, scale=3).item() == 6
    assert captured(x, shift=3).item() == 5
    assert captured(x, shift=3, scale=2).item() == captured(x, scale=2, shift=3).item() == 7


def test_arrays_as_arguments() -> None:
    array = np.array([1.0, 2.0], np.float32)
    captured = jit(lambda a: Tensor(a) * 2)
    assert captured(array).tolist() == [2, 4]
    array[0] = 5
    assert captured(array).tolist() == [10, 4]


def test_the_same_tensor_twice() -> None:
    def make() -> Callable[..., Any]:
        def add(x: Tensor, y: Tensor) -> Tensor:
            x += 1
            return x * 10 + y

        return add

    captured, plain = jit(make()), make()
    for same in (False, True, False, True):
        found = []
        for function in (captured, plain):
            x = tensor(1)
            found.append([function(x, x if same else tensor(1)).tolist(), x.tolist()])
        assert found[0] == found[1]


def test_a_lazy_argument() -> None:
    a = tensor(1, 2)
    agrees(lambda: lambda x: x + 1, [(a * n,) for n in (1, 2, 3)], captures=1)


def test_a_constant_argument() -> None:
    agrees(lambda: lambda x: x + 1, [(Tensor.zeros(2),), (Tensor.ones(2),), (tensor(4, 5),)], captures=1)


def test_an_iterator_is_refused() -> None:
    batches = iter([tensor(1), tensor(2)])
    with pytest.raises(JitError, match="batches, an iterator"):
        jit(lambda: next(batches) * 2)()
    with pytest.raises(JitError, match="an iterator"):
        jit(lambda source: next(source) * 2)(tensor(i) for i in range(3))


def test_a_generator_of_batches() -> None:
    captured = jit(lambda x: (x * x).sum())
    batches = (tensor(*range(n)) for n in (2, 3, 2, 3))
    assert [captured(batch).item() for batch in batches] == [1, 5, 1, 5]


def test_a_list_that_is_changed_is_refused() -> None:
    with pytest.raises(JitError, match="changes a list"):
        jit(lambda xs: xs.append(xs[0] * 2))([tensor(1)])


def test_a_generator_function_is_refused() -> None:
    with pytest.raises(JitError, match="generator"):

        @jit
        def steps(x: Tensor) -> Iterator[Tensor]:
            yield x
