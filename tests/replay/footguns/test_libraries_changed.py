"""Functions and classes of libraries that others are put in the places of, after a call that used them was captured."""

from __future__ import annotations

import collections
import functools
import json
import statistics
import textwrap
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from kernelforge import JitError, Tensor, jit

Patches = list[tuple[Any, str, Any]]


class Counted(collections.Counter[str]):
    """Of a user, with methods of a library."""


def alike(function: Callable[[Tensor], Tensor], patches: Patches) -> None:
    """Calls a function and its captured form before, while and after others are in the places of what it uses."""
    captured, x = jit(function), Tensor([1.0, 2.0])
    with pytest.MonkeyPatch.context() as patch:
        for patches_now in ([], patches):
            for place in patches_now:
                patch.setattr(*place, raising=False)
            for _ in range(3):
                assert captured(x).tolist() == function(x).tolist()
    for _ in range(2):
        assert captured(x).tolist() == function(x).tolist()


STORIES: dict[str, tuple[Callable[[Tensor], Tensor], Patches]] = {
    "a method": (
        lambda x: x * collections.Counter("aab").total(), [(collections.Counter, "total", lambda self: 100)]),
    "an inherited method": (lambda x: x * Counted("aab").total(), [(collections.Counter, "total", lambda self: 100)]),
    "a method that was the builtin class's": (
        lambda x: x * len([*collections.Counter("aab").values()]),
        [(collections.Counter, "values", lambda self: [1, 2, 3, 4])]),
    "a method that another function calls": (
        lambda x: x * len(json.dumps([1, 2])), [(json.JSONEncoder, "encode", lambda self, value: "abc")]),
    "a method of an object made inside": (
        lambda x: x * len(textwrap.wrap("ab cd ef", 4)), [(textwrap.TextWrapper, "wrap", lambda self, text: [1] * 9)]),
    "a global": (lambda x: x * statistics.fmean([1, 2]), [(statistics, "fsum", lambda data: 42.0)]),
    "a builtin, hidden": (lambda x: x * len(textwrap.dedent(" a")), [(textwrap, "len", lambda text: 7)]),
    "a method of tensors that others call": (
        lambda x: x.softmax(0), [(Tensor, "exp", lambda self: self * 0 + 3)]),
    "a function of a function": (
        lambda x: x * float(statistics.mean([1, 2, 3])), [(statistics, "_sum", lambda data: (int, Fraction(99), 3))]),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_another_one_is_put_there(story: str) -> None:
    alike(*STORIES[story])


def test_methods_that_were_others_for_a_while_are_no_reason_to_capture_again() -> None:
    captured, x = jit(lambda x: x.softmax(0), captures=2), Tensor([1.0, 2.0])
    before = captured(x).tolist()
    for _ in range(4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Tensor, "cosh", lambda self: self)
        assert captured(x).tolist() == before
    assert "1 of at most" in captured.explain()


def test_names_that_nothing_uses_are_no_reason_to_capture_again() -> None:
    captured, x = jit(lambda x: x * collections.Counter("aab").total()), Tensor([1.0, 2.0])
    with pytest.MonkeyPatch.context() as patch:
        captured(x)
        patch.setattr(json.JSONEncoder, "encode", lambda self, value: "abc")
        patch.setattr(statistics, "fsum", lambda data: 42.0)
        captured(x)
    assert "1 of at most" in captured.explain()


def test_a_partial_function_is_given_another_state() -> None:
    scaled = functools.partial(lambda by, x: x * by, 3.0)
    captured, x = jit(lambda x: scaled(x) + 0), Tensor([1.0, 2.0])
    assert captured(x).tolist() == captured(x).tolist() == [3.0, 6.0]
    scaled.__setstate__((lambda by, x: x + by, (5.0,), {}, {}))  # type: ignore[attr-defined]
    assert captured(x).tolist() == [6.0, 7.0]


def test_a_partial_function_is_given_another_state_inside() -> None:
    scaled = functools.partial(lambda by, x: x * by, 3.0)

    def changes(x: Tensor) -> Tensor:
        scaled.__setstate__((lambda by, x: x + by, (5.0,), {}, {}))  # type: ignore[attr-defined]
        return scaled(x)

    with pytest.raises(JitError, match="partial"):
        jit(changes)(Tensor([1.0]))


class Named(Tensor):
    """A class of tensors of a user."""


class Labelled(Tensor):
    """One whose objects say something."""

    label: Any = None


def labelled(x: Tensor, label: Any) -> Tensor:
    x.label = label  # type: ignore[attr-defined]
    return x


def test_results_are_of_the_class_the_function_gives() -> None:
    function = jit(lambda x: (x * 2, x + 1, [x.sum()]))
    for values in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]):
        twice, more, (whole,) = function(Named(values))
        assert [type(one) for one in (twice, more, whole)] == [Named] * 3
        assert whole.tolist() == sum(values)


def test_what_results_have_as_objects_of_their_class() -> None:
    function = jit(lambda x: labelled(x * 2, "twice"))
    assert [function(Labelled([1.0])).label for _ in range(3)] == ["twice"] * 3
    with pytest.raises(JitError, match="label"):
        jit(lambda x: labelled(x * 2, [x]))(Labelled([1.0]))
