"""What goes into captured functions and comes out: containers, numbers of all types, copies of functions."""

from __future__ import annotations

import collections
import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit

pytestmark = pytest.mark.usefixtures("numpy_device")


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


@dataclasses.dataclass
class Batch:
    x: Any
    n: Any = 2

    def __post_init__(self) -> None:
        self.twice = self.x * 2


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any
    n: Any = 2


class Pair(collections.namedtuple("Pair", "x n")):
    __slots__ = ()

    def __new__(cls, x: Any) -> Pair:
        return super().__new__(cls, x, 2)


class Table(dict[str, Any]):
    pass


@jit
def doubled(x: Tensor) -> Tensor:
    return x * 2


# ------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("kind", [Batch, Frozen, Pair])
def test_containers_made_anew_for_each_call_are_captured_once(kind: Callable[[Any], Any]) -> None:
    captured = jit(lambda batch: batch.x * batch.n, captures=3)
    assert [captured(kind(tensor(i))).item() for i in range(6)] == [2 * i for i in range(6)]
    assert len(captured._entries) == 1


def test_an_object_that_is_changed_is_looked_at_itself() -> None:
    def step(batch: Batch) -> Tensor:
        batch.x = batch.x + 1
        return batch.x * batch.n

    for function in (step, jit(step)):
        first, second = Batch(tensor(1)), Batch(tensor(5))
        assert [function(batch).item() for batch in (first, first, second, first, second)] == [4, 6, 12, 8, 14]
        assert (first.x.item(), second.x.item()) == (4, 7)


def test_a_container_that_holds_itself_is_refused() -> None:
    values: list[Any] = [tensor(1)]
    values.append(values)
    with pytest.raises(JitError, match="holds itself"):
        jit(lambda values: values[0] * 2)(values)


NUMBERS = [
    (np.float32(0.0), np.float32(-0.0)), (0j, complex(0, -0.0)), (range(0, 3, 2), range(0, 4, 2)),
    (slice(1, None), slice(True, None)), (frozenset([1]), frozenset([1.0])), (np.int32(1), np.int64(1)), (1, True, 1.0),
]  # fmt: skip


@pytest.mark.parametrize("values", NUMBERS)
def test_values_that_are_equal_and_not_the_same(values: tuple[Any, ...]) -> None:
    captured = jit(lambda x, n: (x * 2, repr(n)))
    for _ in range(2):
        assert [captured(tensor(1), value)[1] for value in values] == list(map(repr, values))
    assert len(captured._entries) == len(values)


@pytest.mark.parametrize("value", [float("nan"), np.float32("nan"), np.float64("nan"), complex("nan")])
def test_nan_is_itself(value: Any) -> None:
    captured = jit(lambda x, n: x * (n != n), captures=2)
    assert [captured(tensor(i), type(value)(value)).item() for i in range(4)] == [0, 1, 2, 3]
    assert len(captured._entries) == 1


def test_a_tensor_that_begins_and_ends_to_require_gradients() -> None:
    weight = tensor(2).requires_grad_()
    captured = jit(lambda x: x * weight)
    for required in (True, False, True, False, False, True):
        weight.requires_grad_(required)
        assert bool(captured(tensor(3)).requires_grad) is required


# --------------------------------------------------------------------------------------------------------- results


def test_containers_in_several_places_are_one() -> None:
    state: dict[str, Any] = {}

    def step(x: Tensor) -> Any:
        state["last"] = found = [x + 1]
        return found, {"again": found}

    captured = jit(step)
    for i in range(3):
        first, second = captured(tensor(i))
        assert first is second["again"] is state["last"]
        assert first[0].item() == i + 1


def test_containers_that_are_given_are_themselves() -> None:
    captured = jit(lambda values, batch: (values, [batch], values[0] * 2))
    for i in range(3):
        values, batch = [tensor(i)], Frozen(tensor(2))
        found = captured(values, batch)
        assert found[0] is values and found[1][0] is batch and found[2].item() == 2 * i


def test_containers_of_kinds_of_their_own() -> None:
    captured = jit(lambda x: (Table(a=x + 1), Batch(x + 2), Pair(x + 3), collections.defaultdict(list, a=x)))
    for i in range(3):
        table, batch, pair, default = captured(tensor(i))
        assert (type(table), type(batch), type(pair)) == (Table, Batch, Pair)
        found = table["a"], batch.x, batch.twice, pair.x, default["a"]
        assert [one.item() for one in found] == [i + 1, i + 2, 2 * i + 4, i + 3, i]
        assert default["b"] == []


def test_results_that_cannot_be_made_again_are_refused() -> None:
    def itself(x: Tensor) -> Any:
        found: list[Any] = [x]
        found.append(found)
        return found

    def objects(x: Tensor) -> Any:
        found = np.empty(1, object)
        found[0] = x * 2
        return found

    with pytest.raises(JitError, match="holds itself"):
        jit(itself)(tensor(1))
    with pytest.raises(JitError, match="returns an object of ndarray"):
        jit(objects)(tensor(1))


def test_a_dict_whose_order_changes() -> None:
    def make() -> tuple[dict[str, Any], Callable[..., Any]]:
        found: dict[str, Any] = {"a": tensor(1), "b": tensor(2)}

        def turn(x: Tensor) -> Tensor:
            name = next(iter(found))
            found[name] = found.pop(name) + x
            return found[name] * 1

        return found, turn

    (plain, function), (captured, inner) = make(), make()
    twin = jit(inner)
    for i in range(8):
        assert twin(tensor(i)).item() == function(tensor(i)).item()
        assert list(captured) == list(plain)
        assert [x.item() for x in captured.values()] == [x.item() for x in plain.values()]


# ------------------------------------------------------------------------------------------------------- functions


def test_equal_objects_have_methods_of_their_own() -> None:
    @dataclasses.dataclass(frozen=True)
    class Model:
        name: str
        weight: Any = dataclasses.field(compare=False)

        @jit
        def __call__(self, x: Tensor) -> Tensor:
            return x * self.weight

    first, second = Model("a", tensor(2)), Model("a", tensor(3))
    assert first == second
    for _ in range(3):
        assert (first(tensor(1)).item(), second(tensor(1)).item()) == (2, 3)


class Model:
    def __init__(self) -> None:
        self.weight = tensor(2)
        self.step = jit(self.forward)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_of_objects_have_captures_of_their_own(copied: Callable[[Any], Any]) -> None:
    model = Model()
    assert [model.step(tensor(i)).item() for i in range(3)] == [0, 2, 4]
    other = copied(model)
    other.weight = tensor(3)
    assert [(model.step(tensor(i)).item(), other.step(tensor(i)).item()) for i in range(3)] == [(0, 0), (2, 3), (4, 6)]


def test_a_captured_function_of_a_module_is_pickled_by_name() -> None:
    doubled(tensor(1))
    assert pickle.loads(pickle.dumps(doubled)) is copy.deepcopy(doubled) is doubled


def test_random_numbers_of_torch_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(JitError, match="random state"):
        jit(lambda x: x * float(torch.rand(1)))(tensor(1))


def test_an_array_of_another_library() -> None:
    torch = pytest.importorskip("torch")
    other = torch.ones(2, dtype=torch.bfloat16).requires_grad_()
    captured = jit(lambda x: x * float(other[1].detach()))
    assert captured(tensor(1)).item() == 1
    with torch.no_grad():
        other.mul_(3)
    assert captured(tensor(1)).item() == captured(tensor(1)).item() == 3
