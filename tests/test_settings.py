"""Switches: where their values come from, how long they hold, and what is refused."""

import os
import subprocess
import sys
import threading

import pytest

from kernelforge import settings
from kernelforge.errors import SettingError
from kernelforge.settings import CACHE, DEBUG, DEVICE, SETTINGS, Context, Setting, forget, remembered


def test_the_environment_sets_the_initial_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KF_SOME_NUMBER", "3")
    monkeypatch.setenv("KF_SOME_FLAG", "0")
    monkeypatch.setenv("KF_SOME_TEXT", "intel")
    monkeypatch.setenv("KF_EMPTY", "")
    made = [Setting("SOME_NUMBER", 1, ""), Setting("SOME_FLAG", True, ""), Setting("SOME_TEXT", "", "")]
    assert [setting.value for setting in made] == [3, False, "intel"]
    assert Setting("EMPTY", 7, "").value == Setting("NOT_SET", 7, "").value == 7


@pytest.mark.parametrize(("default", "text"), [(1, "many"), (True, "2"), (False, "yes")])
def test_a_value_that_means_nothing_is_refused_by_name(monkeypatch, default, text) -> None:
    monkeypatch.setenv("KF_BROKEN", text)
    with pytest.raises(SettingError, match="KF_BROKEN.*must be"):
        Setting("BROKEN", default, "")


def test_context_holds_for_its_body_and_nests() -> None:
    before = DEBUG.value
    with Context(DEBUG=before + 1):
        with Context(DEBUG=before + 2, CACHE=0):
            assert (DEBUG.value, CACHE.value) == (before + 2, False)
        assert DEBUG.value == before + 1
    assert DEBUG.value == before


def test_context_is_left_by_an_error_and_entered_again() -> None:
    before, context = DEBUG.value, Context(DEBUG=9)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), context:
            assert DEBUG.value == 9
            raise ZeroDivisionError
        assert DEBUG.value == before


def test_context_decorates_a_function_that_calls_itself() -> None:
    @Context(DEBUG=5)
    def depth(n: int) -> list[int]:
        return [DEBUG.value, *(depth(n - 1) if n else [])]

    before = DEBUG.value
    assert depth(2) == [5, 5, 5]
    assert DEBUG.value == before


def test_context_holds_in_its_own_thread_and_set_in_all() -> None:
    seen: list[tuple[int, str]] = []

    def look() -> None:
        thread = threading.Thread(target=lambda: seen.append((DEBUG.value, DEVICE.value)))
        thread.start()
        thread.join()

    debug, device = DEBUG.value, DEVICE.value
    try:
        DEVICE.set("NUMPY")
        with Context(DEBUG=debug + 1, DEVICE="CL:7"):
            look()
            assert DEVICE.value == "CL:7"
    finally:
        DEVICE.set(device)
    assert seen == [(debug, "NUMPY")]


def test_a_remembered_function_is_called_again_when_a_switch_may_have_changed() -> None:
    calls: list[int] = []

    @remembered
    def twice() -> int:
        calls.append(1)
        return 2 * DEBUG.value

    before, level = twice(), DEBUG.value
    assert twice() == before and len(calls) == 1
    with Context(DEBUG=level + 1):
        assert twice() == twice() == before + 2 and len(calls) == 2
        with Context(DEBUG=level + 3):
            assert twice() == before + 6
    assert twice() == before
    try:
        DEBUG.set(level + 5)
        assert twice() == before + 10
    finally:
        DEBUG.set(level)
    assert twice() == before
    called = len(calls)
    forget()
    assert twice() == before and len(calls) == called + 1


def test_a_remembered_function_tells_threads_apart() -> None:
    level = remembered(lambda: DEBUG.value)
    wrong: list[int] = []

    def look(number: int) -> None:
        with Context(DEBUG=number):
            wrong.extend(number for _ in range(2000) if level() != number)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(10, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_unknown_switches_are_refused_with_a_list() -> None:
    with pytest.raises(SettingError, match="no switch DEBUGG; there are DEBUG"):
        Context(DEBUGG=1)


def test_the_table_shows_every_switch() -> None:
    lines = settings.describe().splitlines()
    assert [line.split()[0] for line in lines] == [f"KF_{name}" for name in SETTINGS]


def test_a_process_started_with_a_switch_sees_it() -> None:
    code = "from kernelforge.settings import DEBUG, CACHE; print(DEBUG.value, CACHE.value)"
    environment = os.environ | {"KF_DEBUG": "0", "KF_CACHE": "0"}
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=environment).split() == ["0", "False"]
