"""Values a captured function comes to in roundabout ways: when they change, it gives what the function itself gives."""

from __future__ import annotations

import argparse
import array
import collections
import configparser
import contextlib
import dataclasses
import enum
import functools
import gc
import inspect
import operator
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit

pytestmark = pytest.mark.usefixtures("numpy_device")
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
Read = Callable[[], Any]
Change = Callable[[], Any]

SCALE = 2.0


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def get_scale() -> float:
    return SCALE


def set_scale(value: float = 7.0) -> None:
    globals()["SCALE"] = value


# ------------------------------------------------- each gives a way to read a number, and ways to change what it reads


def keys_of_a_dict() -> tuple[Read, list[Change]]:
    d: dict[Any, float] = {"a": 2.0, "b": 3.0}
    changes = [lambda: d.update(c=d.pop("b")), lambda: d.update(a=d.pop("a"))]
    return lambda: next(iter(d.values())) * (5 if "c" in d else 7), changes


def types_of_keys() -> tuple[Read, list[Change]]:
    d: dict[Any, float] = {1: 2.0}
    return lambda: 2 if type(next(iter(d))) is int else 3, [lambda: d.update({True: d.pop(1)})]


def types_of_members() -> tuple[Read, list[Change]]:
    s: set[Any] = {1}
    return lambda: 2 if type(next(iter(s))) is int else 3, [lambda: (s.clear(), s.add(1.0))]


def keywords_of_a_partial_function() -> tuple[Read, list[Change]]:
    p = functools.partial(lambda scale: scale, scale=2.0)
    return lambda: p() * 2, [lambda: p.keywords.update(scale=5.0)]


def a_base_class() -> tuple[Read, list[Change]]:
    class Base:
        scale = 2.0

    class Config(Base):
        pass

    class Other:
        scale = 9.0

    changes = [lambda: setattr(Base, "scale", 5.0), lambda: setattr(Config, "__bases__", (Other, Base))]
    return lambda: Config.scale, changes


def a_metaclass() -> tuple[Read, list[Change]]:
    class Meta(type):
        scale = 2.0

    class Config(metaclass=Meta):
        pass

    return lambda: Config.scale, [lambda: setattr(Meta, "scale", 5.0)]


def special_methods() -> tuple[Read, list[Change]]:
    class Sized:
        def __len__(self) -> int:
            return 2

        def __call__(self) -> int:
            return 3

    sized, three = Sized(), lambda self: 30
    changes = [lambda: setattr(Sized, "__len__", three), lambda: setattr(Sized, "__call__", three)]
    return lambda: sized() * len(sized), changes


def a_method_of_an_enumeration() -> tuple[Read, list[Change]]:
    class Mode(enum.Enum):
        FAST = 1

        def factor(self) -> float:
            return SCALE

    return lambda: Mode.FAST.factor() * 2, [set_scale]


def methods_of_plain_values() -> tuple[Read, list[Change]]:
    class Pair(NamedTuple):
        a: float

        def factor(self) -> float:
            return SCALE * self.a

    class Number(float):
        def factor(self) -> float:
            return SCALE + self

    class Table(dict[str, float]):
        @property
        def factor(self) -> float:
            return SCALE

    pair, number, table = Pair(3.0), Number(1), Table()
    return lambda: pair.factor() * number.factor() * table.factor, [set_scale]


def attributes_of_plain_values() -> tuple[Read, list[Change]]:
    class Text(str):
        scale = 2.0

    text = Text("a")
    return lambda: text.scale, [lambda: setattr(text, "scale", 5.0)]


def a_module_that_is_imported_inside() -> tuple[Read, list[Change]]:
    module: Any = types.ModuleType("options_of_a_test")
    module.scale = 2.0
    sys.modules["options_of_a_test"] = module

    def read() -> Any:
        import options_of_a_test  # type: ignore[import-not-found]
        from options_of_a_test import scale

        return options_of_a_test.scale * scale * sys.modules["options_of_a_test"].scale

    return read, [lambda: setattr(module, "scale", 5.0)]


def attributes_by_name() -> tuple[Read, list[Change]]:
    config, get, alias = types.SimpleNamespace(scale=2.0), operator.attrgetter("scale"), getattr
    text = "{.scale}"
    ways = [lambda: get(config), lambda: operator.attrgetter("scale")(config), lambda: alias(config, "sc" + "ale"),
            lambda: config.__getattribute__("sc" + "ale"), lambda: float(text.format(config)),
            lambda: len(repr(config))]  # fmt: skip
    return lambda: sum(way() for way in ways), [lambda: setattr(config, "scale", 5.25)]


def patterns() -> tuple[Read, list[Change]]:
    @dataclasses.dataclass
    class Config:
        scale: float = 2.0

    config = Config()

    def read() -> Any:
        match config:
            case Config(2.0):
                return 2
            case Config(scale=5.0):
                return 5
            case _:
                return 7

    return read, [lambda: setattr(config, "scale", 5.0), lambda: setattr(config, "scale", 6.0)]


def names_that_come_and_go() -> tuple[Read, list[Change]]:
    module: Any = types.ModuleType("options")
    names = globals()

    def read() -> Any:
        try:
            found = APPEARS  # type: ignore[name-defined]
        except NameError:
            found = 2.0
        return found * getattr(module, "scale", 3.0) * globals().get("ALSO_" + "APPEARS", 5.0)

    return read, [
        lambda: names.update(APPEARS=5.0), lambda: setattr(module, "scale", 7.0),
        lambda: names.update(ALSO_APPEARS=9.0), lambda: names.update(ALSO_APPEARS=11.0),
        lambda: delattr(module, "scale"), lambda: (names.pop("APPEARS"), names.pop("ALSO_APPEARS")),
    ]  # fmt: skip


def a_computed_name_of_a_module() -> tuple[Read, list[Change]]:
    module: Any = types.ModuleType("options")
    module.scale, key = 2.0, "sc" + "ale"
    return lambda: getattr(module, key), [lambda: setattr(module, "scale", 5.0)]


def attributes_of_a_function() -> tuple[Read, list[Change]]:
    def read() -> Any:
        return getattr(read, "scale", 2.0)

    return read, [lambda: setattr(read, "scale", 5.0), lambda: setattr(read, "scale", 6.0)]


def slots_and_other_attributes() -> tuple[Read, list[Change]]:
    class Slots:
        __slots__ = ("scale",)

    class Config:
        pass

    slots, config = Slots(), Config()
    config.scale = 2.0  # type: ignore[attr-defined]
    changes = [lambda: setattr(slots, "scale", 5.0), lambda: setattr(config, "__dict__", {"scale": 9.0})]
    return lambda: getattr(slots, "scale", 3.0) * config.scale, changes  # type: ignore[attr-defined]


def the_standard_library() -> tuple[Read, list[Change]]:
    space, parser, options = argparse.Namespace(scale=2.0), configparser.ConfigParser(), {"scale": 2.0}
    parser["m"] = {"scale": "2.0"}
    own, several = collections.UserDict(scale=2.0), collections.ChainMap({}, options)
    proxy, items = types.MappingProxyType(options), collections.UserList([2.0])
    mappings = own, several, proxy
    return lambda: (space.scale, float(parser["m"]["scale"]), items[0], *[one["scale"] for one in mappings]), [
        lambda: setattr(space, "scale", 3.0), lambda: parser["m"].update(scale="4.0"), lambda: own.update(scale=5.0),
        lambda: options.update(scale=6.0), lambda: items.__setitem__(0, 7.0)]  # fmt: skip


def buffers() -> tuple[Read, list[Change]]:
    one, two = bytearray([2, 3]), array.array("f", [2.0])
    view, things = memoryview(one), np.array([types.SimpleNamespace(scale=2.0)], dtype=object)
    fields = np.zeros(1, dtype=[("a", "f4"), ("b", "f4")])
    fields["b"] = 3
    return lambda: (one[0], view[1], two[0], things[0].scale, float(fields["a"][0])), [
        lambda: one.__setitem__(0, 7), lambda: one.__setitem__(1, 9), lambda: two.__setitem__(0, 5.0),
        lambda: setattr(things[0], "scale", 8.0), lambda: setattr(fields.dtype, "names", ("b", "a"))]  # fmt: skip


def variables_of_contexts_and_threads() -> tuple[Read, list[Change]]:
    current, local = ContextVar("current", default=2.0), threading.local()
    local.scale = 3.0
    return lambda: (current.get(), local.scale), [lambda: current.set(5.0), lambda: setattr(local, "scale", 7.0)]


def weakly_held() -> tuple[Read, list[Change]]:
    class Key:
        scale = 2.0

    key = Key()
    table, proxy = weakref.WeakKeyDictionary({key: 2.0}), weakref.proxy(key)
    return lambda: (table[key], proxy.scale), [lambda: table.update({key: 3.0}), lambda: setattr(key, "scale", 5.0)]


def weakly_held_that_go() -> tuple[Read, list[Change]]:
    class Key:
        scale = 2.0

    held = {name: Key() for name in "abcd"}
    one, members = weakref.ref(held["a"]), weakref.WeakSet([held["b"]])
    table, keys = weakref.WeakValueDictionary(c=held["c"]), weakref.WeakKeyDictionary({held["d"]: 1})
    reads = lambda: (one() is None, len(members), "c" in table, len(keys))  # noqa: E731
    return reads, [lambda name=name: (held.pop(name), gc.collect()) for name in "abcd"]  # type: ignore[misc]


def objects_of_c_that_are_compared() -> tuple[Read, list[Change]]:
    one, two = types.SimpleNamespace(scale=2.0), types.SimpleNamespace(scale=2.0)
    several = [types.SimpleNamespace(scale=2.0)]
    ways = [lambda: one == two, lambda: one in several, lambda: several.index(one) if several[0] == two else 3,
            lambda: operator.eq(one, two)]  # fmt: skip
    return lambda: [way() for way in ways], [
        lambda: setattr(two, "scale", 5.0), lambda: setattr(several[0], "scale", 7.0), lambda: setattr(one, "k", 1)]


def texts_of_objects() -> tuple[Read, list[Change]]:
    config, texts = types.SimpleNamespace(scale=2.0), {"attribute": "{.scale}", "whole": "{}", "by name": "{c.scale}"}
    into = "{.scale}".format
    ways = [lambda: texts["attribute"].format(config), lambda: texts["whole"].format(config), lambda: into(config),
            lambda: texts["by name"].format_map({"c": config}), lambda: f"{config}", lambda: str(config),
            lambda: "%s" % config]  # noqa: UP031
    return lambda: [way() for way in ways], [lambda: setattr(config, "scale", 5.25)]


def functions_that_remember() -> tuple[Read, list[Change]]:
    config = types.SimpleNamespace(scale=2.0)

    @functools.lru_cache
    def remembered() -> float:
        return config.scale

    class Config:
        @functools.cached_property
        def scale(self) -> float:
            return SCALE

        def times(self, k: float) -> float:
            return k * SCALE

        twice = functools.partialmethod(times, 2)

    held = Config()
    return lambda: (remembered(), held.scale, held.twice()), [
        lambda: setattr(config, "scale", 5.0), remembered.cache_clear, set_scale,
        lambda: delattr(held, "scale")]  # fmt: skip


def functions_by_type() -> tuple[Read, list[Change]]:
    @functools.singledispatch
    def of(value: object) -> float:
        return 1.0

    @of.register
    def _(value: int) -> float:
        return SCALE

    return lambda: of(3), [set_scale, lambda: of.register(int, lambda value: 11.0)]


def managed_by_a_generator() -> tuple[Read, list[Change]]:
    @contextlib.contextmanager
    def scale() -> Iterator[float]:
        yield get_scale()

    def read() -> float:
        with scale() as found:
            return found

    return read, [set_scale]


class Shy:
    """Tells nothing of itself but what it was given."""

    def __init__(self, error: type[Exception], **given: float) -> None:
        object.__setattr__(self, "error", error)
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            raise object.__getattribute__(self, "error")(name)
        return object.__getattribute__(self, name)


def objects_that_tell_nothing_of_themselves() -> tuple[Read, list[Change]]:
    kinds = [Shy(error, scale=2.0) for error in (AttributeError, RuntimeError)]

    def change(one: Shy, **to: float) -> Change:
        return lambda: [object.__setattr__(one, name, value) for name, value in to.items()]

    return lambda: [one.scale for one in kinds], [change(one, scale=n) for n, one in enumerate(kinds)]


WAYS = [
    keys_of_a_dict, types_of_keys, types_of_members, keywords_of_a_partial_function, a_base_class, a_metaclass,
    special_methods, a_method_of_an_enumeration, methods_of_plain_values, attributes_of_plain_values,
    a_module_that_is_imported_inside, attributes_by_name, patterns, names_that_come_and_go, a_computed_name_of_a_module,
    attributes_of_a_function, slots_and_other_attributes, the_standard_library, buffers,
    variables_of_contexts_and_threads, weakly_held, weakly_held_that_go, objects_of_c_that_are_compared,
    texts_of_objects, functions_that_remember, functions_by_type, managed_by_a_generator,
    objects_that_tell_nothing_of_themselves,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_seen(way: Callable[[], tuple[Read, list[Change]]], monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[Any]] = []
    for wrap in (lambda function: function, jit):
        monkeypatch.setitem(globals(), "SCALE", 2.0)
        read, changes = way()
        function, results = wrap(lambda x, read=read: (x * 2, read())), []
        for change in (lambda: None, *changes, lambda: None, lambda: None):
            change()
            results.append(function(tensor(1))[1])
        found.append(results)
        if isinstance(function, type(jit(read))):
            assert function._entries[0].replays, "nothing has changed since the last call"
    assert found[0] == found[1]


@pytest.mark.parametrize("way", [objects_of_c_that_are_compared, texts_of_objects])
def test_each_way_on_its_own(way: Callable[[], tuple[Read, list[Change]]]) -> None:
    """One way to look at an object is no help to another."""
    count = len(inspect.getclosurevars(way()[0]).nonlocals["ways"])
    for number in range(count):
        found = []
        for wrap in (lambda function: function, jit):
            read, changes = way()
            one = inspect.getclosurevars(read).nonlocals["ways"][number]
            function, results = wrap(lambda x, one=one: (x * 2, one())), []
            for change in (lambda: None, *changes):
                change()
                results.append(function(tensor(1))[1])
            found.append(results)
        assert found[0] == found[1]


def test_a_tensor_seen_weakly_alone_is_refused() -> None:
    weight = tensor(2)
    seen = weakref.ref(weight)
    with pytest.raises(JitError, match="through a weak reference alone"):
        jit(lambda x: x * seen())(tensor(1))
    assert jit(lambda x: x * seen() * weight)(tensor(1)).item() == 4


def test_what_no_code_compares_or_prints_may_change() -> None:
    """A count that a loop keeps beside what the function reads is no miss."""
    state = types.SimpleNamespace(scale=2.0, calls=0)
    captured = jit(lambda x, n: x * state.scale if n == 3 else x)
    for _ in range(20):
        state.calls += 1
        assert captured(tensor(1), 3).item() == 2
    assert len(captured._entries) == 1 and captured._entries[0].replays == 19


def refuses(*names: str) -> Callable[[object, str], Any]:
    def found(self: object, name: str) -> Any:
        if name in names or (not names and name.startswith("__")):
            raise RuntimeError(f"nobody asks for {name}")
        return object.__getattribute__(self, name)

    return found


@pytest.mark.parametrize("names", [(), ("__wrapped__",), ("__qualname__", "__repr__"), ("__class__", "__dict__")])
def test_objects_that_refuse_to_be_asked_are_captured(names: tuple[str, ...]) -> None:
    class Refusing:
        __getattribute__ = refuses(*names)

        def __init__(self) -> None:
            self.scale = 2.0

        def __call__(self, x: Tensor) -> Tensor:
            return x * self.scale

        def __repr__(self) -> str:
            raise RuntimeError("nobody asks what it is called")

    called = Refusing()
    for step in (jit(called), jit(lambda x: called(x) * 1)):
        for called.scale in (2.0, 2.0, 3.0):
            assert step(tensor(1, 2)).tolist() == [called.scale, 2 * called.scale]
    assert isinstance(jit(called).explain(), str)


def test_a_class_that_refuses_to_be_looked_into_is_named() -> None:
    class Closed(type):
        def __getattribute__(cls, name: str) -> Any:
            if name.startswith("__"):
                raise RuntimeError(f"nobody asks for {name}")
            return super().__getattribute__(name)

    class Refusing(metaclass=Closed):
        def __call__(self, x: Tensor) -> Tensor:
            return x * 2

    held = Refusing()
    for step in (jit(held), jit(lambda x: held(x) * 1)):
        with pytest.raises(JitError, match=r"class .*Refusing does not let itself be looked into .*nobody asks"):
            step(tensor(1))


@pytest.mark.parametrize("wrap", [functools.partial, functools.lru_cache, lambda f: f])
def test_functions_that_make_steps_are_refused_in_whatever_they_are_wrapped(wrap: Wrap) -> None:
    def steps() -> Iterator[int]:
        yield 1

    async def later() -> int:
        return 1

    for function in (steps, later):
        with pytest.raises(JitError, match="is a generator or coroutine"):
            jit(wrap(function))
