
"""What is around captured functions: settings of NumPy, modules that come and go, what only the caller or C knows."""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import hashlib
import inspect
import pathlib
import random
import sqlite3
import sys
import threading
import types
import unittest.mock
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit
from tests.replay.footguns.twins import Wrap, tensor, told

pytestmark = pytest.mark.usefixtures("numpy_device")

VALUES: list[Callable[[], Any]] = [
    lambda: decimal.Decimal("0.5"), lambda: fractions.Fraction(1, 2), lambda: datetime.date(2020, 1, 2),
    lambda: datetime.datetime(2020, 1, 2, 3), lambda: datetime.timedelta(seconds=3), lambda: pathlib.PurePath("a/b"),
    lambda: pathlib.Path("a/b"), lambda: uuid.UUID(int=5),
]  # fmt: skip


@pytest.mark.parametrize("make", VALUES)
def test_equal_values_are_one_capture(make: Callable[[], Any]) -> None:
    captured = jit(lambda x, one: x * len(str(one)))
    found = [captured(tensor(1), make()).item() for _ in range(3)]
    assert found == [len(str(make()))] * 3
    assert len(captured._entries) == 1


def test_values_that_print_differently_are_others() -> None:
    captured = jit(lambda x, one: x * len(str(one)))
    found = [captured(tensor(1), decimal.Decimal(text)).item() for text in ("1.0", "1.00", "1")]
    assert found == [3, 4, 1]


def test_what_numpy_does_about_errors() -> None:
    zero = np.array([0.0])

    def divided(x: Tensor) -> Tensor:
        try:
            return x * float((1 / zero)[0] > 1)
        except FloatingPointError:
            return x * 50

    def story(wrap: Wrap) -> Iterator[Any]:
        function = wrap(divided)
        for what in ("ignore", "raise", "raise", "ignore"):
            with np.errstate(divide=what):
                yield function(tensor(1))

    told(story)


def test_how_numpy_prints() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        array = np.array([1.23456789])
        function = wrap(lambda x: x * len(str(array)))
        for digits in (8, 2, 2, 8):
            with np.printoptions(precision=digits):
                yield function(tensor(1))

    told(story)


def test_a_module_that_is_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(x: Tensor) -> Tensor:
        try:
            import kernelforge_test_module

            return x * kernelforge_test_module.scale
        except ImportError:
            return x * 3

    def story(wrap: Wrap) -> Iterator[Any]:
        function = wrap(scaled)
        searched = wrap(lambda x: x * (2 if "kernelforge_test_module" in sys.modules else 3))
        module: Any = types.ModuleType("kernelforge_test_module")
        module.scale = 5.0
        yield function(tensor(1)), searched(tensor(1))
        monkeypatch.setitem(sys.modules, "kernelforge_test_module", module)
        yield function(tensor(1)), searched(tensor(1))
        module.scale = 7.0
        yield function(tensor(1)), searched(tensor(1))
        monkeypatch.delitem(sys.modules, "kernelforge_test_module")
        yield function(tensor(1)), searched(tensor(1))

    told(story)


def test_a_module_that_makes_names() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        module: Any = types.ModuleType("lazy")
        exec("table = {'scale': 2.0}\ndef __getattr__(name): return table[name]", vars(module))
        function = wrap(lambda x: x * module.scale)
        for module.table["scale"] in (2.0, 3.0, 3.0):
            yield function(tensor(1))
        module.scale = 9.0
        yield function(tensor(1))

    told(story)


def test_what_an_exception_says() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        error, cause = ValueError(2.0), KeyError(3.0)
        function = wrap(lambda x: x * error.args[0] + (0 if error.__cause__ is None else error.__cause__.args[0]))
        for error.args in ((2.0,), (3.0,), (3.0,)):
            yield function(tensor(1))
        error.__cause__ = cause
        yield function(tensor(1))
        cause.args = (7.0,)
        yield function(tensor(1))

    told(story)


def test_a_cell_of_a_closure() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        cell = types.CellType(2.0)
        function = wrap(lambda x: x * cell.cell_contents)
        for cell.cell_contents in (2.0, 5.0, 5.0):
            yield function(tensor(1))

    told(story)


def test_a_digest() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        found = hashlib.sha256(b"a")
        function = wrap(lambda x: x * found.digest()[0])
        yield function(tensor(1))
        found.update(b"b")
        yield function(tensor(1))

    told(story)


def test_an_exception_that_is_handled_outside() -> None:
    captured = jit(lambda x: x * (2 if sys.exc_info()[0] is None else 3))
    assert captured(tensor(1)).item() == 2
    try:
        raise KeyError
    except KeyError:
        with pytest.raises(JitError, match="which exception is handled outside"):
            captured(tensor(1))
    assert captured(tensor(1)).item() == 2


def test_an_exception_of_its_own_may_be_asked_for() -> None:
    def caught(x: Tensor) -> Tensor:
        try:
            raise ValueError(3.0)
        except ValueError:
            error = sys.exc_info()[1]
            assert error is not None
            return x * error.args[0] * len(sys._getframe().f_code.co_name)

    captured = jit(caught)
    assert [captured(tensor(i)).item() for i in range(3)] == [0, 18, 36]
    assert len(captured._entries) == 1


def _remembering() -> Callable[[Tensor], Tensor]:
    remembered = functools.lru_cache(lambda n: n)
    return lambda x: x * remembered(2) * remembered.cache_info().hits


def _hashing() -> Callable[[Tensor], Tensor]:
    found = hashlib.sha256()
    return lambda x: x * (found.update(b"a") or 1)


def _compressing() -> Callable[[Tensor], Tensor]:
    stream = zlib.compressobj()
    return lambda x: x * len(stream.compress(b"a"))


def _in_a_database() -> Callable[[Tensor], Tensor]:
    found = sqlite3.connect(":memory:")
    return lambda x: x * len(found.execute("select 1").fetchone())


def _seeding(x: Tensor) -> Tensor:
    random.seed(3)
    return x


LOCK = threading.Lock()
REFUSED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "the caller": (lambda x: x * len(sys._getframe(1).f_code.co_name), "looks at who calls it"),
    "the caller's variables": (lambda x: x * inspect.currentframe().f_back.f_locals["k"],  # type: ignore[union-attr]
                               "looks at who calls it"),
    "all callers": (lambda x: x * len(inspect.stack()), "looks at who calls it"),
    "the number of the thread": (lambda x: x * threading.get_ident(), "in which thread it runs"),
    "how many threads": (lambda x: x * threading.active_count(), "which threads run"),
    "a lock": (lambda x: x * LOCK.locked(), "whether a lock is taken"),
    "what is remembered": (_remembering(), "has counted"),
    "a hash": (_hashing(), "adds to"),
    "a stream": (_compressing(), "whose state cannot be guarded"),
    "a database": (_in_a_database(), "whose state cannot be guarded"),
    "a database it opens": (lambda x: x * len(sqlite3.connect(":memory:").execute("select 1").fetchone()), "database"),
    "a seed of Python": (_seeding, "seeds the host's random numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    function, what = REFUSED[name]
    with pytest.raises(JitError, match=what):
        jit(function)(tensor(1))


def test_a_stand_in_for_a_function() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        function = wrap(lambda x: x * np.hypot(3.0, 4.0))
        yield function(tensor(1))
        with unittest.mock.patch("numpy.hypot", lambda a, b: 9.0):
            yield function(tensor(1))
        yield function(tensor(1))

    told(story)
