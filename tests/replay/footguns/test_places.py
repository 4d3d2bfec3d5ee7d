# ruff: noqa: PLW0108  (a function that is called by name is not the function itself)
"""Places users keep numbers in, in libraries' modules, behind methods of C, in objects of the standard library.

Each gives a way to read a number, and ways to change what it reads; a captured function reads what the function reads.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import collections
import concurrent.futures
import contextlib
import copy
import ctypes
import dataclasses
import enum
import functools
import heapq
import io
import json
import logging
import math
import mmap
import operator
import os
import pickle
import queue
import string
import struct
import sys
import threading
import types
import unittest.mock
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace as Space
from typing import Any

import numpy as np
import pytest

import kernelforge
from tests.replay.footguns.twins import Wrap, tensor, told

pytestmark = pytest.mark.usefixtures("numpy_device")
Patch = pytest.MonkeyPatch
Place = tuple[Callable[[], Any], list[Callable[[], Any]]]
VARIABLE = "KERNELFORGE_TEST_PLACE"
names: Any = math  # a module users put things into


# ----------------------------------------------------------------------------------------------- modules of libraries


def a_dict(patch: Patch) -> Place:
    patch.setattr(names, "cfg", {"scale": 2.0}, raising=False)
    return lambda: names.cfg["scale"], [lambda: names.cfg.update(scale=3.0)]


def a_list_in_numpy(patch: Patch) -> Place:
    module: Any = np
    patch.setattr(module, "cfg", [2.0], raising=False)
    return lambda: module.cfg[0], [lambda: module.cfg.__setitem__(0, 3.0), lambda: module.cfg.insert(0, 7.0)]


def something_deep_in_os(patch: Patch) -> Place:
    module: Any = os
    patch.setattr(module, "cfg", {"a": [{"b": 2.0}]}, raising=False)
    return lambda: module.cfg["a"][0]["b"], [lambda: module.cfg["a"][0].update(b=5.0)]


def a_set(patch: Patch) -> Place:
    patch.setattr(names, "flags", {"a"}, raising=False)
    return lambda: 2.0 if "b" in names.flags else 3.0, [lambda: names.flags.add("b")]


def a_class(patch: Patch) -> Place:
    class Options:
        scale = 2.0

    patch.setattr(names, "Options", Options, raising=False)
    return lambda: names.Options.scale, [lambda: setattr(Options, "scale", 4.0)]


def an_object_of_a_library(patch: Patch) -> Place:
    patch.setattr(names, "options", argparse.Namespace(scale=2.0), raising=False)
    return lambda: names.options.scale, [lambda: setattr(names.options, "scale", 4.0)]


def a_tuple(patch: Patch) -> Place:
    patch.setattr(names, "pair", ({"a": 2.0}, [1]), raising=False)
    return lambda: names.pair[0]["a"], [lambda: names.pair[0].update(a=4.0)]


def a_partial_function(patch: Patch) -> Place:
    d = {"a": 2.0}
    patch.setattr(names, "part", functools.partial(lambda d: d["a"], d), raising=False)
    return lambda: names.part(), [lambda: d.update(a=4.0)]


def a_queue_of_two_ends(patch: Patch) -> Place:
    patch.setattr(names, "ends", collections.deque([2.0]), raising=False)
    return lambda: names.ends[0], [lambda: names.ends.appendleft(4.0)]


def this_library(patch: Patch) -> Place:
    module: Any = kernelforge
    patch.setattr(module, "options_of_a_user", {"scale": 2.0}, raising=False)
    return lambda: module.options_of_a_user["scale"], [lambda: module.options_of_a_user.update(scale=4.0)]


def arguments_of_the_program(patch: Patch) -> Place:
    patch.setattr(sys, "argv", ["a"])
    return lambda: len(sys.argv), [lambda: sys.argv.append("b"), lambda: sys.argv.pop()]


# ---------------------------------------------------------------------------------------------------- methods of C


def a_method_of_a_dict(patch: Patch) -> Place:
    d = {"a": 2.0}
    get = d.get
    return lambda: get("a"), [lambda: d.update(a=3.0), lambda: d.update(a=4.0)]


def a_method_of_a_list(patch: Patch) -> Place:
    found = [2.0]
    get = found.__getitem__
    return lambda: get(0), [lambda: found.__setitem__(0, 3.0)]


def a_method_of_a_set(patch: Patch) -> Place:
    found = {"a"}
    has = found.__contains__
    return lambda: 2.0 if has("b") else 3.0, [lambda: found.add("b")]


def a_length(patch: Patch) -> Place:
    found = [1, 2]
    length = found.__len__
    return lambda: length(), [lambda: found.append(3)]


def a_part_of_a_method(patch: Patch) -> Place:
    d = {"a": 2.0}
    get = functools.partial(d.get, "a")
    return lambda: get(), [lambda: d.update(a=3.0)]


def views_of_a_dict(patch: Patch) -> Place:
    d = {"a": 2.0}
    keys, values, items = d.keys(), d.values(), d.items()
    return lambda: (len(keys), sum(values), [v for _, v in items]), [lambda: d.update(a=3.0), lambda: d.update(b=3.0)]


def an_object_that_is_a_key(patch: Patch) -> Place:
    class Key:
        scale = 2.0

    d = {Key(): 1.0}
    known = weakref.ref(next(iter(d)))
    return lambda: sum(key.scale * v for key, v in d.items()), [lambda: setattr(known(), "scale", 5.0)]


def what_is_picked(patch: Patch) -> Place:
    d, pick = {"a": 2.0}, operator.itemgetter("a")
    return lambda: pick(d), [lambda: d.update(a=5.0)]


def what_is_sorted(patch: Patch) -> Place:
    found = [3.0, 1.0]
    return lambda: (heapq.nsmallest(1, found)[0], bisect.bisect(found, 2.0)), [lambda: heapq.heappush(found, 0.5)]


# ---------------------------------------------------------------------------------------------------------- memory


def memory_of_c(patch: Patch) -> Place:
    class Point(ctypes.Structure):
        _fields_ = (("a", ctypes.c_float),)

    one, several, point = ctypes.c_float(2.0), (ctypes.c_float * 2)(2.0, 3.0), Point(2.0)
    return lambda: (one.value, several[0], point.a), [
        lambda: setattr(one, "value", 5.0), lambda: several.__setitem__(0, 6.0), lambda: setattr(point, "a", 7.0)]


def mapped_memory(patch: Patch) -> Place:
    found = mmap.mmap(-1, 8)
    return lambda: found[0], [lambda: found.__setitem__(0, 5)]


def packed_bytes(patch: Patch) -> Place:
    found = bytearray(struct.pack("f", 2.0))
    return lambda: struct.unpack("f", found)[0], [lambda: struct.pack_into("f", found, 0, 5.0)]


def a_file_in_memory(patch: Patch) -> Place:
    text, raw = io.StringIO("2"), io.BytesIO(b"2")
    return lambda: (text.getvalue(), raw.getvalue()), [lambda: text.write("35"), lambda: raw.write(b"4")]


def a_part_of_an_array(patch: Patch) -> Place:
    whole = np.arange(6.0)
    part, single = whole[::2], np.array(2.0)
    return lambda: (float(part.sum()), float(single)), [lambda: whole.__setitem__(2, 50.0), lambda: single.fill(7.0)]


def a_polynomial(patch: Patch) -> Place:
    found = np.poly1d([2.0, 1.0])
    return lambda: float(found(1.0)), [lambda: found.coeffs.__setitem__(0, 5.0)]


# -------------------------------------------------------------------------------- objects of the standard library


def events(patch: Patch) -> Place:
    event, other = threading.Event(), asyncio.Event()
    return lambda: (event.is_set(), other.is_set()), [event.set, event.clear, other.set]


def what_waits_in_a_queue(patch: Patch) -> Place:
    waiting: queue.Queue[int] = queue.Queue()
    return lambda: waiting.qsize(), [lambda: waiting.put(2)]


def what_is_done(patch: Patch) -> Place:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    return lambda: future.done(), [lambda: future.set_result(1)]


def a_semaphore_and_a_condition(patch: Patch) -> Place:
    semaphore, condition = threading.Semaphore(3), threading.Condition()
    condition.tag = 2.0  # type: ignore[attr-defined]
    return lambda: (semaphore._value, condition.tag), [  # type: ignore[attr-defined]
        semaphore.acquire, lambda: setattr(condition, "tag", 5.0)]


def a_text_with_gaps(patch: Patch) -> Place:
    template = string.Template("2")
    return lambda: float(template.substitute()), [lambda: setattr(template, "template", "5")]


def a_context_that_does_nothing(patch: Patch) -> Place:
    context = contextlib.nullcontext(2.0)

    def read() -> float:
        with context as found:
            return found

    return read, [lambda: setattr(context, "enter_result", 5.0)]


def what_stands_for_an_object(patch: Patch) -> Place:
    stand_in = unittest.mock.Mock(scale=2.0)
    return lambda: stand_in.scale, [lambda: setattr(stand_in, "scale", 5.0)]


def from_which_level_on_a_logger_speaks(patch: Patch) -> Place:
    logger = logging.getLogger("kernelforge.tests.places")
    patch.setattr(logger, "level", logging.INFO)
    logger.setLevel(logging.INFO)
    return lambda: (logger.isEnabledFor(logging.DEBUG), logger.level), [
        lambda: logger.setLevel(logging.DEBUG), lambda: logger.setLevel(logging.ERROR)]


def an_environment_variable(patch: Patch) -> Place:
    patch.setenv(VARIABLE, "2")
    return lambda: (os.environb[VARIABLE.encode()], os.path.expandvars(f"${VARIABLE}")), [
        lambda: patch.setenv(VARIABLE, "5")]


def what_is_copied(patch: Patch) -> Place:
    config = Space(scale=2.0)
    return lambda: (copy.deepcopy(config).__dict__["scale"], json.dumps(vars(config)), pickle.dumps(config)), [
        lambda: setattr(config, "scale", 5.0), lambda: setattr(config, "other", 1)]


def names_of_attributes(patch: Patch) -> Place:
    config = Space(a=1)
    return lambda: len(dir(config)), [lambda: setattr(config, "b", 1)]


# ------------------------------------------------------------------------------------------------ classes and objects


def another_dataclass(patch: Patch) -> Place:
    @dataclasses.dataclass
    class Config:
        a: float = 2.0
        b: float = 3.0

    config, other = Config(), Config()
    return lambda: (dataclasses.replace(config, b=1.0).a, sum(dataclasses.asdict(config).values()), config == other,
                    Config().a), [
        lambda: setattr(config, "a", 7.0), lambda: setattr(other, "a", 7.0), lambda: setattr(config, "b", 5.0),
        lambda: setattr(Config, "a", 9.0)]


def members_of_an_enumeration(patch: Patch) -> Place:
    class Mode(enum.Enum):
        FAST = 2.0
        SLOW = 3.0

    class Flags(enum.Flag):
        A = 1
        B = 2

    state, member = Space(mode=Mode.FAST, flags=Flags.A), Mode.FAST
    member.scale = 2.0  # type: ignore[attr-defined]
    return lambda: (state.mode.value, Mode.FAST.scale, Flags.B in state.flags), [  # type: ignore[attr-defined]
        lambda: setattr(state, "mode", Mode.SLOW), lambda: setattr(member, "scale", 5.0),
        lambda: setattr(state, "flags", Flags.A | Flags.B)]


def attributes_that_are_made(patch: Patch) -> Place:
    class Config:
        def __init__(self) -> None:
            self.__dict__["_all"] = {"scale": 2.0}

        def __getattr__(self, name: str) -> Any:
            return self._all[name]

    config = Config()
    return lambda: config.scale, [lambda: config._all.update(scale=5.0)]


def a_descriptor(patch: Patch) -> Place:
    class Value:
        def __init__(self) -> None:
            self.values: Any = weakref.WeakKeyDictionary()

        def __get__(self, instance: Any, owner: Any) -> Any:
            return self.values.get(instance, 2.0)

        def __set__(self, instance: Any, value: Any) -> None:
            self.values[instance] = value

    class Config:
        scale = Value()

    config = Config()
    return lambda: config.scale, [lambda: setattr(config, "scale", 5.0), lambda: setattr(config, "scale", 6.0)]


def a_property_of_a_metaclass(patch: Patch) -> Place:
    class Meta(type):
        @property
        def scale(cls) -> float:
            return cls.held  # type: ignore[attr-defined, no-any-return]

    class Config(metaclass=Meta):
        held = 2.0

    class Derived(Config):
        pass

    return lambda: Derived.scale, [lambda: setattr(Config, "held", 5.0), lambda: setattr(Derived, "held", 7.0)]


def a_variable_two_functions_out(patch: Patch) -> Place:
    n = 2.0

    def more() -> None:
        nonlocal n
        n += 1

    def outer() -> float:
        def inner() -> float:
            return n

        return inner()

    return outer, [more, more]


def code_that_is_a_text(patch: Patch) -> Place:
    config = Space(k=2.0)

    def read() -> Any:
        found: dict[str, Any] = dict(vars(config))
        exec("r = k * 2", found)
        return found["r"], eval("config.k + 1", {"config": config})

    return read, [lambda: setattr(config, "k", 3.0)]


def a_module_that_is_read_again(patch: Patch) -> Place:
    module = types.ModuleType("options")
    source = "SCALE = {}\ndef scale(): return SCALE"
    exec(source.format(2.0), vars(module))
    return lambda: module.scale(), [lambda: exec(source.format(5.0), vars(module)), lambda: exec(source, vars(module))]


def objects_in_sets(patch: Patch) -> Place:
    class Key:
        scale = 2.0

    key = Key()
    fixed, members = frozenset([key]), {key}
    return lambda: sum(one.scale for some in (fixed, members) for one in some), [lambda: setattr(key, "scale", 5.0)]


PLACES = [
    a_dict, a_list_in_numpy, something_deep_in_os, a_set, a_class, an_object_of_a_library, a_tuple, a_partial_function,
    a_queue_of_two_ends, this_library, arguments_of_the_program, a_method_of_a_dict, a_method_of_a_list,
    a_method_of_a_set, a_length, a_part_of_a_method, views_of_a_dict, an_object_that_is_a_key, what_is_picked,
    what_is_sorted, memory_of_c, mapped_memory, packed_bytes, a_file_in_memory, a_part_of_an_array, a_polynomial,
    events, what_waits_in_a_queue, what_is_done, a_semaphore_and_a_condition, a_text_with_gaps,
    a_context_that_does_nothing, what_stands_for_an_object, from_which_level_on_a_logger_speaks,
    an_environment_variable, what_is_copied, names_of_attributes, another_dataclass, members_of_an_enumeration,
    attributes_that_are_made, a_descriptor, a_property_of_a_metaclass, a_variable_two_functions_out,
    code_that_is_a_text, a_module_that_is_read_again, objects_in_sets,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_place(place: Callable[[Patch], Place], monkeypatch: Patch) -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        with monkeypatch.context() as patch:
            read, changes = place(patch)
            function = wrap(lambda x: (x * 2, read()))
            for change in (lambda: None, *changes):
                change()
                yield function(tensor(1, 2))
                yield function(tensor(3, 4))

    (captured,) = told(story)
    assert captured._entries[0].replays, "nothing has changed since the last call"
