"""What captured functions ask Python: how decimal numbers are computed, which class is which, which tensor is which."""

from __future__ import annotations

import abc
import collections.abc
import decimal
import functools
import numbers
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.replay.footguns.twins import Story, Wrap, tensor, told

pytestmark = pytest.mark.usefixtures("numpy_device")


# ------------------------------------------------------------------------------------------------------------ decimal


def _with_precisions(function: Callable[..., Any], *given: Any) -> Story:
    def story(wrap: Wrap) -> Iterator[Any]:
        captured = wrap(function)
        for precision in (28, 3, 3, 28):
            with decimal.localcontext() as context:
                context.prec = precision
                yield captured(tensor(1e6), *given)

    return story


A_THIRD = Decimal(1) / 3


def _imported(x: Any) -> Any:
    import decimal as found

    return x * float(found.Decimal(1) / 3)


def _held(wrap: Wrap) -> Iterator[Any]:
    context = decimal.Context(prec=5)
    function = wrap(lambda x: x * float(context.divide(Decimal(1), Decimal(3))))
    for context.prec in (5, 3, 3, 5):
        yield function(tensor(1e6))


def _rounded(wrap: Wrap) -> Iterator[Any]:
    half = Decimal("2.5")
    function = wrap(lambda x: x * float(half.quantize(Decimal(1))))
    for rounding in (decimal.ROUND_UP, decimal.ROUND_DOWN, decimal.ROUND_DOWN, decimal.ROUND_UP):
        with decimal.localcontext() as context:
            context.rounding = rounding
            yield function(tensor(1))


def _trapped(wrap: Wrap) -> Iterator[Any]:
    def divided(x: Any) -> Any:
        try:
            return x * float(Decimal(1) / 0)
        except decimal.DivisionByZero:
            return x * 7

    function = wrap(divided)
    for trapped in (True, False, False, True):
        with decimal.localcontext() as context:
            context.traps[decimal.DivisionByZero] = trapped
            yield function(tensor(1))


def _set_inside(wrap: Wrap) -> Iterator[Any]:
    def of_four_digits(x: Any) -> Any:
        decimal.getcontext().prec = 4
        return x * float(Decimal(1) / 3)

    function = wrap(of_four_digits)
    for precision in (5, 4, 5, 4):
        with decimal.localcontext() as context:
            context.prec = precision
            yield function(tensor(1e6)), context.prec


def _flagged(wrap: Wrap) -> Iterator[Any]:
    looked = wrap(lambda x: (x * float(Decimal(1) / 3), decimal.getcontext().flags[decimal.Inexact]))
    plain = wrap(lambda x: x * float(Decimal(1) / 3))
    with decimal.localcontext() as context:
        for function in (looked, looked, plain, plain):
            context.clear_flags()
            yield function(tensor(1)), function(tensor(1)), context.flags[decimal.Inexact]


DECIMALS: dict[str, Story] = {
    "made": _with_precisions(lambda x: x * float(Decimal(1) / Decimal(3))),
    "a global": _with_precisions(lambda x: x * float(+A_THIRD)),
    "given": _with_precisions(lambda x, a: x * float(+a), A_THIRD),
    "imported late": _with_precisions(_imported),
    "a context that is held": _held,
    "rounding": _rounded,
    "traps": _trapped,
    "set inside": _set_inside,
    "flags": _flagged,
}


@pytest.mark.parametrize("name", DECIMALS)
def test_decimal_numbers(name: str) -> None:
    assert all(any(entry.replays for entry in captured._entries) for captured in told(DECIMALS[name]))


# ------------------------------------------------------------------------------------------------------------ classes


class Kind(abc.ABC):  # noqa: B024  (others are registered with it)
    pass


def _registering(make: Callable[[type, Any], Callable[[Any], Any]]) -> Story:
    """A function of an abstract class and an object; the object's class is registered later."""

    def story(wrap: Wrap) -> Iterator[Any]:
        class Abstract(abc.ABC):  # noqa: B024
            pass

        class Other:
            pass

        function = wrap(make(Abstract, Other()))
        unrelated = type("Unrelated", (), {})
        for change in (lambda: None, lambda: Kind.register(unrelated), lambda: Abstract.register(Other)):
            change()
            yield function(tensor(1))
            yield function(tensor(1))

    return story


def _matched(kind: type, one: Any) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        match one:
            case kind():
                return x * 2
            case _:
                return x * 3

    return function


def _dispatched(kind: type, one: Any) -> Callable[[Any], Any]:
    @functools.singledispatch
    def scaled(one: Any, x: Any) -> Any:
        return x * 2

    scaled.register(kind, lambda one, x: x * 3)
    scaled(one, 1)
    return lambda x: scaled(one, x)


CLASSES: dict[str, Story] = {
    "isinstance": _registering(lambda kind, one: lambda x: x * (2 if isinstance(one, kind) else 3)),
    "issubclass": _registering(lambda kind, one: lambda x: x * (2 if issubclass(type(one), (int, kind)) else 3)),
    "match": _registering(_matched),
    "singledispatch": _registering(_dispatched),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_is_registered(name: str) -> None:
    (captured,) = told(CLASSES[name])
    assert len(captured._entries) == 2 and captured._entries[0].replays, "unrelated classes are no reason to capture"


@pytest.mark.parametrize("kind", [collections.abc.Sequence, numbers.Number])
def test_a_class_that_is_registered_with_one_of_a_library(kind: Any) -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        one = type("One", (), {})()
        function = wrap(lambda x: x * (2 if isinstance(one, kind) else 3))
        yield function(tensor(1))
        kind.register(type(one))
        yield function(tensor(1))

    told(story)


def _counted(cls: type) -> int:
    return 1 + sum(map(_counted, cls.__subclasses__()))


def _inherited(ask: Callable[[type], Any]) -> Story:
    def story(wrap: Wrap) -> Iterator[Any]:
        base = type("Base", (), {"scale": 1.0})
        one = type("One", (base,), {"scale": 2.0})
        function = wrap(lambda x: (x * 2, ask(base)))
        kept = []
        for change in (
            lambda: None,
            lambda: kept.append(type("Two", (one,), {})),
            lambda: kept.append(type("Three", (base,), {})),
            lambda: setattr(one, "scale", 5.0),
            lambda: setattr(kept[1], "scale", 7.0),
        ):
            change()
            yield function(tensor(1))
            yield function(tensor(1))

    return story


INHERITED: dict[str, Story] = {
    "attributes": _inherited(lambda base: [one.scale for one in base.__subclasses__()]),
    "all": _inherited(_counted),
    "of type": _inherited(lambda base: sum(one.scale for one in type.__subclasses__(base))),
    "through map": _inherited(lambda base: [len(found) for found in map(type.__subclasses__, [base])]),
}


@pytest.mark.parametrize("name", INHERITED)
def test_classes_that_inherit(name: str) -> None:
    (captured,) = told(INHERITED[name])
    assert captured._entries[0].replays


# --------------------------------------------------------------------------------------------------------- identities


def _known(take: Callable[[dict[int, float], list[Any]], Any]) -> Story:
    """What is taken by the identities, or the hashes, of two tensors."""

    def story(wrap: Wrap) -> Iterator[Any]:
        a, b = tensor(1), tensor(10)
        table = {number: factor for x, factor in ((a, 2.0), (b, 3.0)) for number in (id(x), hash(x))}
        function = wrap(lambda xs: (xs[0] + xs[1], take(table, xs)))
        for xs in ([a, b], [b, a], [a, b], [b, a]):
            yield function(xs)

    return story


def _known_attribute(wrap: Wrap) -> Iterator[Any]:
    a, b = tensor(1), tensor(10)
    space, table = SimpleNamespace(w=a), {id(a): 2.0, id(b): 3.0}
    function = wrap(lambda x: x * space.w * table[id(space.w)])
    for space.w in (a, b, a, b):
        yield function(tensor(1))


KEY = id
IDENTITIES: dict[str, Story] = {
    "elements": _known(lambda table, xs: table[id(xs[0])]),
    "through map": _known(lambda table, xs: [table[key] for key in map(id, xs)]),
    "hashes": _known(lambda table, xs: table[hash(xs[0])]),
    "hashes through map": _known(lambda table, xs: [table[key] for key in map(hash, xs)]),
    "by another name": _known(lambda table, xs: table[KEY(xs[0])]),
    "by another name through map": _known(lambda table, xs: [table[key] for key in map(KEY, xs)]),
    "attributes": _known_attribute,
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities(name: str) -> None:
    (captured,) = told(IDENTITIES[name])
    assert sum(entry.replays for entry in captured._entries) == 2


def test_identities_of_what_is_seen_alone() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        parameters = [tensor(1), tensor(2)]
        function = wrap(lambda x: x * len(set(map(id, parameters))))
        for i in range(4):
            yield function(tensor(i))

    (captured,) = told(story)
    assert captured._entries[0].replays == 3
