"""Captured mode: with KF_TEST_MODE=captured the bodies of tests run through `jit`.

A test that passes is run twice more by replaying what it did, and everything it reads must have the same bits.  What
`jit` refuses with a named error runs as it is; so do tests marked `lazy_only`, those of fixtures that are more than
values, and those outside of PLACES, which have nothing to capture.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import pytest
from hypothesis.strategies import DataObject, SearchStrategy

from kernelforge import JitError, jit
from kernelforge.settings import EAGER, TRAINING, VERIFY, Setting, forget
from kernelforge.tensor.generators import default
from tests.lazily import LAZY_ONLY
from tests.unchecked import UNCHECKED

CAPTURED: Final = os.environ.get("KF_TEST_MODE", "") == "captured"
PLACES: Final = (
    "tests/tensor/", "tests/nn/", "tests/optim/", "tests/autograd/", "tests/func/", "tests/array_api/", "tests/parity/",
    "tests/counterparts/", "tests/windows/", "tests/test_amp", "tests/test_fft", "tests/test_functions",
    "tests/test_grad_rules", "tests/test_variable", "tests/test_views",
)  # fmt: skip
VALUES: Final = frozenset(("device", "numpy_device"))  # fixtures whose values are plain
TIMES: Final = 3

if CAPTURED and find_spec("torch") is not None:
    import_module("torch")  # every call is watched while a test is captured, and this one makes millions


class Drawn:
    """Stands for what draws examples while a test runs: draws each once, and gives the same ones in each later run."""

    unguarded = ("_data", "_place")

    def __init__(self, data: DataObject) -> None:
        self._data, self._values, self._place = data, list[Any](), 0

    def draw(self, strategy: SearchStrategy[Any], label: object = None) -> Any:
        if self._place == len(self._values):
            self._values.append(self._data.draw(strategy, label))
        self._place += 1
        return self._values[self._place - 1]

    def begin(self) -> None:
        """Begin again with the first one."""
        self._place = 0


def through_jit(test: Callable[..., None], say: Callable[[str], None]) -> Callable[..., None]:
    """A test that is captured, then replayed; says what came of it."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        captured, place = jit(test), default.get_state()
        args, kwargs = tuple(map(_drawn, args)), {name: _drawn(value) for name, value in kwargs.items()}
        drawn = [value for value in (*args, *kwargs.values()) if isinstance(value, Drawn)]

        def begin() -> None:
            default.set_state(place)
            TRAINING.asked = False
            forget()
            for one in drawn:
                one.begin()

        if drawn:
            test(*args, **kwargs)
        for time in range(TIMES):
            begin()
            try:
                captured(*args, **kwargs)
            except JitError as error:
                if time:
                    raise
                say(f"refused: {error}".partition("\n")[0])
                begin()
                test(*args, **kwargs)
                return
            assert captured._entries[0].replays == time, captured.explain()
        say("replayed")

    return run


def _drawn(value: Any) -> Any:
    return Drawn(value) if isinstance(value, DataObject) else value


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks tests that have nothing to look at but in lazy mode."""
    file, name = _places(item)
    if (reason := LAZY_ONLY.get(file, LAZY_ONLY.get(name))) is not None:
        item.add_marker(pytest.mark.lazy_only(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Runs tests for lazy graphs only, with their fixtures and processes, lazily in eager mode as well, and those that
    nobody may check without checks."""
    off: list[Setting[Any]] = [EAGER] if EAGER.value and item.get_closest_marker("lazy_only") else []
    off += [VERIFY] if VERIFY.value and not UNCHECKED.keys().isdisjoint(_places(item)) else []
    before = [(setting, setting.value, os.environ.pop(setting.variable, None)) for setting in off]
    for setting in off:
        setting.set(0)
    try:
        return (yield)
    finally:
        for setting, value, asked in before:
            setting.set(value)
            if asked is not None:
                os.environ[setting.variable] = asked


def _places(item: pytest.Item) -> tuple[str, str]:
    """A test's file, and its name without parameters."""
    return item.nodeid.partition("::")[0], item.nodeid.partition("[")[0]


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test in captured mode."""
    if not CAPTURED or not pyfuncitem.nodeid.startswith(PLACES):
        return None

    def say(what: str) -> None:
        pyfuncitem.user_properties.append(("captured", what))

    test, options = pyfuncitem.obj, getattr(pyfuncitem, "callspec", None)
    plain = {*VALUES, *(options.params if options is not None else ())}
    names = list(inspect.signature(test).parameters)
    if pyfuncitem.get_closest_marker("lazy_only"):
        say("lazy only")
    elif (given := getattr(test, "hypothesis", None)) is not None:
        whole = given.inner_test
        given.inner_test = through_jit(whole, say)
        pyfuncitem.addfinalizer(lambda: setattr(given, "inner_test", whole))
    elif not plain.issuperset(names):
        say(f"fixtures: {', '.join(sorted(set(names) - plain))}")
    else:
        through_jit(test, say)(**{name: pyfuncitem.funcargs[name] for name in names})
        return True
    return None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Counts what came of captured tests."""
    reports = [report for category in ("passed", "failed") for report in terminalreporter.stats.get(category, ())]
    found = [{what for key, what in report.user_properties if key == "captured"} for report in reports]
    for what, times in Counter(what for some in found for what in some).most_common():
        terminalreporter.write_line(f"{times:6d} {what}")
