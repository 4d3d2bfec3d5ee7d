"""Changes that hardly anybody looks for: a captured function sees them as the function itself does, or says so."""

from __future__ import annotations

import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit, nn
from kernelforge.replay import state

pytestmark = pytest.mark.usefixtures("numpy_device")
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def defaults(wrap: Wrap) -> Iterator[Tensor]:
    def scaled(x: Tensor, factor: float = 2.0, *, shift: float = 1.0) -> Tensor:
        return x * factor + shift

    function = wrap(scaled)
    yield function(tensor(1))
    scaled.__defaults__ = (7.0,)
    yield function(tensor(1))
    scaled.__kwdefaults__["shift"] = 3.0
    yield function(tensor(1))
    scaled.__kwdefaults__ = {"shift": 5.0}
    yield function(tensor(1))


def code_of_a_helper(wrap: Wrap) -> Iterator[Tensor]:
    def helper(x: Tensor) -> Tensor:
        return x * 2

    def other(x: Tensor) -> Tensor:
        return x * 3

    function = wrap(lambda x: helper(x) + 1)
    yield function(tensor(1))
    helper.__code__ = other.__code__
    yield function(tensor(1))


def attributes_that_hide_others(wrap: Wrap) -> Iterator[Tensor]:
    class Base:
        factor = 2.0

    class Derived(Base):
        pass

    held = Derived()
    function = wrap(lambda x: x * held.factor)
    yield function(tensor(1))
    for owner, factor in ((Base, 3.0), (Derived, 5.0), (held, 7.0)):
        owner.factor = factor  # type: ignore[attr-defined]
        yield function(tensor(1))
    del held.factor, Derived.factor
    yield function(tensor(1))


def methods_and_classes(wrap: Wrap) -> Iterator[Tensor]:
    class One:
        def of(self, x: Tensor) -> Tensor:
            return x * 2

    class Other:
        def of(self, x: Tensor) -> Tensor:
            return x * 3

    held = One()

    def applied(x: Tensor) -> Tensor:
        return held.of(x)

    function = wrap(applied)
    yield function(tensor(1))
    One.of = lambda self, x: x * 5  # type: ignore[method-assign]
    yield function(tensor(1))
    held.__class__ = Other  # type: ignore[assignment]
    yield function(tensor(1))


def members_of_a_set(wrap: Wrap) -> Iterator[Tensor]:
    chosen: set[str] = set()
    function = wrap(lambda x: x * (2 if "twice" in chosen else 3))
    yield function(tensor(1))
    chosen.add("twice")
    yield function(tensor(1))
    chosen.clear()
    yield function(tensor(1))


def a_module_without_a_file(wrap: Wrap) -> Iterator[Tensor]:
    module: Any = types.ModuleType("options")
    module.factor = 2.0
    function = wrap(lambda x: x * module.factor)
    yield function(tensor(1))
    module.factor = 3.0
    yield function(tensor(1))


def behind_a_weak_reference(wrap: Wrap) -> Iterator[Tensor]:
    class Options:
        factor = 2.0

    held = Options()
    found = weakref.ref(held)
    function = wrap(lambda x: x * found().factor)  # type: ignore[union-attr]
    yield function(tensor(1))
    held.factor = 3.0
    yield function(tensor(1))


def the_order_of_keywords(wrap: Wrap) -> Iterator[Tensor]:
    function = wrap(lambda **given: sum([x * i for i, x in enumerate(given.values(), 2)], tensor(0)))
    yield function(a=tensor(1), b=tensor(10))
    yield function(b=tensor(10), a=tensor(1))
    yield function(a=tensor(2), b=tensor(10))


def subclasses_of_tensors(wrap: Wrap) -> Iterator[Tensor]:
    class Named(Tensor):
        pass

    function = wrap(lambda x: x * (2 if type(x) is Tensor else 3))
    for kind in (Tensor, Named, Tensor):
        yield function(kind(np.ones(1, np.float32)))


def hooks_of_modules(wrap: Wrap) -> Iterator[Tensor]:
    layer = nn.Linear(1, 1)
    layer.load_state_dict({"weight": tensor(2).reshape(1, 1), "bias": tensor(1)})
    function = wrap(layer)
    yield function(tensor(1))
    first = layer.register_forward_hook(lambda module, given, output: output * 10)
    yield function(tensor(1))
    layer.register_forward_pre_hook(lambda module, given: (given[0] + 5,))
    yield function(tensor(1))
    first.remove()
    yield function(tensor(1))


def hooks_of_tensors(wrap: Wrap) -> Iterator[Tensor]:
    weight, factor = tensor(3).requires_grad_(), [2.0]

    def step(x: Tensor) -> Tensor:
        weight.grad = None
        (weight * x).sum().backward()
        found: Tensor = weight.grad * 1
        return found

    function = wrap(step)
    yield function(tensor(1))
    handle = weight.register_hook(lambda slope: slope * factor[0])
    yield function(tensor(1))
    factor[0] = 5.0
    yield function(tensor(1))
    handle.remove()
    yield function(tensor(1))


CHANGES = [
    defaults, code_of_a_helper, attributes_that_hide_others, methods_and_classes, members_of_a_set,
    a_module_without_a_file, behind_a_weak_reference, the_order_of_keywords, subclasses_of_tensors, hooks_of_modules,
    hooks_of_tensors,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_seen(change: Callable[[Wrap], Iterator[Tensor]]) -> None:
    assert [x.tolist() for x in change(jit)] == [x.tolist() for x in change(lambda function: function)]


@pytest.mark.parametrize("change", [members_of_a_set, hooks_of_modules])
def test_what_stays_is_captured_once(change: Callable[[Wrap], Iterator[Tensor]]) -> None:
    made: list[Any] = []
    next(change(lambda function: made.append(jit(function)) or made[0]))
    for _ in range(3):
        made[0](tensor(1))
    assert len(made[0]._entries) == 1


def test_warnings_are_given_again() -> None:
    def doubled(x: Tensor) -> Tensor:
        warnings.warn("as it is", stacklevel=1)
        return x * 2

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        captured = jit(doubled)
        for value in (1, 2, 3):
            assert captured(tensor(value)).item() == 2 * value
    assert [(str(one.message), one.filename, one.category) for one in seen] == [("as it is", __file__, UserWarning)] * 3


def test_what_a_hook_counts_is_named() -> None:
    weight, seen = tensor(1).requires_grad_(), []
    weight.register_hook(lambda slope: seen.append(1))

    def step() -> None:
        weight.grad = None
        weight.sum().backward()

    captured = jit(step, captures=3)
    with pytest.raises(JitError, match="seen"):
        for _ in range(5):
            captured()
    assert len(seen) == 3


waiting = iter([1, 2])  # no function below reads this global


def test_a_global_that_an_attribute_is_called_like_does_not_count() -> None:
    class Layer:
        waiting = 2.0

        def __call__(self, x: Tensor) -> Tensor:
            return x * self.waiting

    layer = Layer()
    captured = jit(lambda x: layer(x) + 0)
    for value in (1.0, 2.0, 3.0):
        assert captured(Tensor([value])).item() == 2 * value
    layer.waiting = 5.0
    assert captured(Tensor([1.0])).item() == 5.0


def test_a_function_that_asserts_does_not_reach_the_test_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest writes assertions anew, with names through which all of its session could be reached."""

    def checked(x: Tensor) -> Tensor:
        assert x.shape == (1,), f"{x.shape}"
        return x + 1

    monkeypatch.setattr(state, "MOST_HOLDERS", 10_000)
    assert jit(checked)(tensor(1)).item() == 2
