"""`jit`: a function whose calls are captured once for each way they can go, and replayed.

Comes in: a function of tensors.  Goes out: the same function; a call that a capture is right for costs its kernels and
a look at what might have changed.  A capture is used only while everything the call could see is as it was.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from time import perf_counter
from types import MethodType
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast, overload
from weakref import WeakKeyDictionary

from codegen.dtypes import dtypes
from kernelforge.errors import JitError
from kernelforge.graph import Node
from kernelforge.kernels import Device
from kernelforge.memory import total
from kernelforge.realize import circumstances
from kernelforge.recording import recorder
from kernelforge.replay.capture import Capture, Capturing, Other
from kernelforge.replay.guards import (
    Absent,
    Guard,
    absent_in,
    check_not_iterator,
    guards_of,
    is_same,
    numbers_in,
    shown,
)
from kernelforge.replay.state import SIMPLE, Snapshot
from kernelforge.replay.structures import children
from kernelforge.replay.trace import host_numbers, recorded
from kernelforge.settings import JIT, NAN, TRAINING, remembered
from kernelforge.steps import Plan
from kernelforge.tensor import Tensor
from kernelforge.tensor.aliases import kinship
from kernelforge.tensor.convert import realize_tensors
from kernelforge.tensor.core import grad_enabled
from kernelforge.variable import Bound

MOST_CAPTURES: Final = 16
MOST_SIZES: Final = 64  # captures that differ in sizes alone, which share kernels: those used longest ago go
_NODE: Final = attrgetter("_node")
_capturing: Final = threading.RLock()  # tensors stand for others while a call is captured

P = ParamSpec("P")
T = TypeVar("T")


@remembered
def _switches() -> tuple[object, ...]:
    return circumstances(), (TRAINING.value, TRAINING.asked), Device.DEFAULT, JIT.value and not NAN.value


def _mode() -> tuple[object, ...]:
    """What results depend on beside values: switches and modes."""
    return grad_enabled.get(), dtypes.default_float, dtypes.default_int, _switches()


_MODES: Final = ("no_grad", "the default float type", "the default integer type", "the switches or Tensor.training")


class Arguments:
    """The arguments of a call, taken apart: tensors, and all else by path."""

    __slots__ = ("objects", "plain", "tensors")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], gradients: bool = True) -> None:
        self.tensors: list[Tensor] = []
        self.plain: list[tuple[str, Any]] = []
        self.objects: list[tuple[str, Any]] = []
        stack: list[tuple[str, Any]] = [(f"argument {key}", kwargs[key]) for key in sorted(kwargs, reverse=True)]
        stack += [(f"argument {i}", args[i]) for i in reversed(range(len(args)))]
        self.plain.append(("the number of arguments", (len(args), *sorted(kwargs))))
        while stack:
            path, value = stack.pop()
            if isinstance(value, Tensor):
                self.tensors.append(value)
                self.plain.append((path, Tensor))
                if gradients and value.grad is not None:
                    stack.append((f"{path}.grad", value.grad))
            elif isinstance(value, SIMPLE):
                self.plain.append((path, value))
            elif type(value) in (list, tuple, dict):
                inside = children(value)
                assert inside is not None
                keys = tuple(value) if type(value) is dict else range(len(value))
                self.plain.append((path, (type(value), tuple(keys))))
                stack += [(f"{path}[{key!r}]", item) for key, item in reversed(list(zip(keys, inside[0])))]
            else:
                check_not_iterator(value, f"be given {path}")
                self.plain.append((path, value))
                self.objects.append((path, value))


def _kind(tensor: Tensor) -> tuple[object, ...]:
    """What a capture depends on of a tensor but for its values."""
    node = tensor._node
    return node.shape, node.dtype, tensor.device, tensor._tracked, tensor._leaf


_KIND: Final = ("shape", "dtype", "device", "requires_grad", "being a leaf")


@dataclass
class Entry:
    """A capture and what it is right for.

    given      the arguments it was made with, and their kinds
    fresh      which tensor arguments it has to be given: those that are neither seen nor given before
    quick      whether the arguments are tensors without gradients, all of them different and none of them seen
    nodes, ids   what the seen tensors were when they were looked at last, and their identities
    pattern    for each tensor argument the first place in which it is among all tensors
    changing   which of all tensors change in place, and which are views of those
    seen       the tensors it sees, and their kinds
    """

    capture: Capture
    mode: tuple[object, ...]
    plain: list[tuple[str, Any]]
    given_kinds: list[tuple[object, ...]]
    fresh: list[int]
    pattern: list[int]
    seen: list[Tensor]
    seen_kinds: list[tuple[object, ...]]
    guards: list[Guard | Absent] = field(default_factory=list)
    uses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    replays: int = 0
    quick: bool = False
    changing: set[int] = field(default_factory=set)
    kin: list[Any] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)

    def fits_quickly(self, mode: tuple[object, ...], args: tuple[Any, ...]) -> bool:
        """True when this capture is right for a call and hardly anything had to be looked at; False: look closer."""
        if not self.quick or len(args) != len(self.given_kinds) or self.mode != mode:
            return False
        for tensor, (shape, dtype, device, tracked, leaf) in zip(args, self.given_kinds):
            if tensor.__class__ is not Tensor or tensor.grad is not None:
                return False
            node = tensor._node
            if node.op != "buffer" or node.shape != shape or node.dtype is not dtype or node.device != device:
                return False
            if tensor._tracked is not tracked or tensor._leaf is not leaf:
                return False
        if self.guards and not all(guard.holds() for guard in self.guards):
            return False
        if self.seen and (list(map(_NODE, self.seen)) != self.nodes or not self.ids.isdisjoint(map(id, args))):
            return False
        if self.changing and kinship([*self.seen, *args], self.changing):
            return False
        return len(args) < 2 or len(set(map(id, args))) == len(args)

    def rebind(self, old: Tensor, new: Tensor) -> bool:
        """True when new may stand for old, a tensor in a place the function sees, from now on."""
        if self.uses[id(old)] != 1 or self.uses[id(new)]:
            return False
        for i, tensor in enumerate(self.seen):
            if tensor is old:
                self.seen[i] = new
        del self.uses[id(old)]
        self.uses[id(new)] = 1
        return True

    def reason(self, mode: tuple[object, ...], given: Arguments) -> str | None:
        """Why this capture is not right for a call; None if it is."""
        if self.mode != mode:
            return next(f"{_MODES[i]} changed" for i in range(len(mode)) if self.mode[i] != mode[i])
        if len(given.plain) != len(self.plain):
            return "the structure of the arguments"
        for (path, old), (_, new) in zip(self.plain, given.plain):
            if not is_same(old, new):
                return f"{path} was {shown(old)}, now it is {shown(new)}"
        for kind, tensor, i in zip(self.given_kinds, given.tensors, range(len(given.tensors))):
            if kind != (now := _kind(tensor)):
                return _difference(f"tensor argument {i}", kind, now)
        for guard in self.guards:
            if not guard.holds() and (why := guard.reason()) is not None:
                return why
        for kind, tensor in zip(self.seen_kinds, self.seen):
            if kind != (now := _kind(tensor)):
                return _difference("a tensor the function sees", kind, now)
        return self._relation(given.tensors)

    def is_other_size(self, mode: tuple[object, ...], given: Arguments) -> bool:
        """True when a call is one of another size: tensors have other shapes or variables other values, of the same
        ranks and names."""
        if self.mode != mode or len(self.plain) != len(given.plain):
            return False
        if not all(_is_alike(old, new) for (_, old), (_, new) in zip(self.plain, given.plain)):
            return False
        kinds = list(map(_kind, given.tensors))
        if [(x.ndim, *kind[1:]) for x, kind in zip(given.tensors, kinds)] != self._ranks:
            return False
        changed = kinds != self.given_kinds or any(not is_same(x, y) for (_, x), (_, y) in zip(self.plain, given.plain))
        return changed and self._relation(given.tensors) is None

    @property
    def _ranks(self) -> list[tuple[object, ...]]:
        """The kinds of the arguments, with ranks instead of shapes."""
        return [(len(cast(tuple[int, ...], kind[0])), *kind[1:]) for kind in self.given_kinds]

    def _relation(self, given: Sequence[Tensor]) -> str | None:
        """What is different in how tensors are related."""
        if _pattern(self.seen, given) != self.pattern:
            return "which tensor arguments are the same tensor, or one the function sees"
        if self.changing and kinship([*self.seen, *given], self.changing) != self.kin:
            return "which tensors are views of each other"
        return None

    def note(self) -> None:
        """Notes what the seen tensors are now."""
        if self.seen:
            self.nodes, self.ids = list(map(_NODE, self.seen)), set(map(id, self.seen))

    def tensors(self, given: Arguments) -> list[Tensor]:
        """What the capture has to be given."""
        return self.seen + [given.tensors[i] for i in self.fresh]


def _is_alike(old: object, new: object) -> bool:
    """True for equal arguments, and for values of one variable."""
    if isinstance(old, Bound) and isinstance(new, Bound):
        return old.variable is new.variable
    return is_same(old, new)


def _difference(what: str, kind: tuple[object, ...], now: tuple[object, ...]) -> str:
    which = next(i for i in range(len(kind)) if now[i] != kind[i])
    return f"{_KIND[which]} of {what} was {kind[which]}, now it is {now[which]}"


def _pattern(seen: Sequence[Tensor], given: Sequence[Tensor]) -> list[int]:
    """For each tensor given, the first place in which it is, those seen first."""
    place: dict[int, int] = {}
    for i, tensor in enumerate((*seen, *given)):
        place.setdefault(id(tensor), i)
    return [place[id(tensor)] for tensor in given]


class Jit(Generic[P, T]):
    """A captured function: see `jit`."""

    unguarded = frozenset(("_entries", "_misses", "_of_instances", "captures"))

    def __init__(self, function: Callable[P, T], captures: int = MOST_CAPTURES) -> None:
        plain = inspect.unwrap(function) if not isinstance(function, functools.partial) else function.func
        if inspect.isgeneratorfunction(plain) or inspect.iscoroutinefunction(plain):
            raise JitError(f"{_named(function)} is a generator or coroutine: capture the function that makes one step")
        self._function, self.captures = function, captures
        self._entries: list[Entry] = []
        self._misses: list[str] = []
        self._of_instances: WeakKeyDictionary[Any, Jit[..., T]] = WeakKeyDictionary()
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        mode = _mode()
        if recorder.get() is not None or not mode[-1][-1]:  # type: ignore[index]
            return self._function(*args, **kwargs)
        if self._entries and not kwargs:
            entry = self._entries[0]
            if entry.fits_quickly(mode, args):
                entry.nodes = []  # what is counted in `taking` are the references of others
                try:
                    result = entry.capture.replay([*entry.seen, *cast(Sequence[Tensor], args)])
                except Other:
                    pass  # another capture may fit, or this one be made for other arguments
                else:
                    entry.replays += 1
                    entry.note()
                    return result
        given = Arguments(args, kwargs)
        _compute(given.tensors)
        reasons = []
        for number, entry in enumerate(self._entries):
            reason = entry.reason(mode, given)
            if reason is None:
                tensors, entry.nodes = entry.tensors(given), []
                _compute(tensors)
                try:
                    result = entry.capture.replay(tensors)
                except Other as other:
                    reason = _described(other)
                else:
                    entry.replays += 1
                    entry.note()
                    if number:
                        self._entries.insert(0, self._entries.pop(number))
                    return result
            reasons.append(reason)
        with _capturing:
            return self._capture(args, kwargs, given, mode, reasons)

    def _capture(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: Arguments,
        mode: tuple[object, ...],
        reasons: list[str],
    ) -> T:
        if reasons:
            self._misses.append(reasons[0])
        others = [entry for entry in self._entries if entry.is_other_size(mode, given)]
        if len(others) >= MOST_SIZES:
            self._entries.remove(others[-1])
        if len(self._entries) - len(others) >= self.captures:
            raise JitError(
                f"{_named(self._function)} was captured {self.captures} times and this call fits none of them: "
                f"{reasons[0]}. Pass what changes as a tensor, or raise captures="
            )
        start = perf_counter()
        roots = [("", self._function), *given.objects]
        snapshot = Snapshot.of(roots)
        seen = snapshot.tensors
        fresh = [i for i, place in enumerate(_pattern(seen, given.tensors)) if place == len(seen) + i]
        tensors = seen + [given.tensors[i] for i in fresh]
        _compute(tensors)
        kinds = [_kind(tensor) for tensor in tensors]
        given_kinds = [_kind(tensor) for tensor in given.tensors]
        generators = numbers_in(snapshot)
        numbers = host_numbers(generators)
        before = Arguments(args, kwargs, gradients=False).plain
        work = Capturing(tensors, len(seen), snapshot)
        try:
            with recorded(work.trace):
                result = self._function(*args, **kwargs)
            self._check(args, kwargs, before, generators, numbers)
            entry = Entry(Capture(), mode, given.plain, given_kinds, fresh, [], [], [])
            names = work.trace.names
            found = guards_of(snapshot, [value for _, value in roots], names, entry.rebind)
            entry.uses.update(id(x) for guard in found for x in guard.contents.values() if isinstance(x, Tensor))
            entry.capture, chosen = work.finish(result, lambda tensor: id(tensor) in entry.uses)
        finally:
            work.give_back()
        entry.seen = [tensors[i] for i in chosen if i < len(seen)]
        entry.seen_kinds = [kinds[i] for i in chosen if i < len(seen)]
        entry.pattern = _pattern(entry.seen, given.tensors)
        changed = set(map(id, work.trace.changed))
        entry.changing = {i for i, x in enumerate((*entry.seen, *given.tensors)) if id(x) in changed}
        entry.kin = kinship([*entry.seen, *given.tensors], entry.changing)
        entry.guards = [*found, *absent_in(work.trace.codes)]
        plain = all(value is Tensor for _, value in given.plain[1:]) and not kwargs and len(args) == len(given.tensors)
        entry.quick = plain and not entry.kin and entry.fresh == list(range(len(args)))
        entry.seconds = perf_counter() - start
        self._entries.insert(0, entry)
        return result

    def _check(self, args: Any, kwargs: Any, before: Any, generators: list[Any], numbers: bytes) -> None:
        """raises JitError for what a replay would not do"""
        after = Arguments(args, kwargs, gradients=False).plain
        if len(after) != len(before) or not all(is_same(old, new) for (_, old), (_, new) in zip(before, after)):
            raise JitError(f"{_named(self._function)} changes a list or dict it is given: return a new one instead")
        if host_numbers(generators) != numbers:
            raise JitError(
                f"{_named(self._function)} draws numbers from a random generator of the host, which every replay would "
                "repeat: use Tensor.rand and its like, or pass the numbers as an argument"
            )

    def __get__(self, instance: Any, owner: type | None = None) -> Jit[..., T]:
        """The method of an instance, with captures of its own."""
        if instance is None:
            return self
        try:
            found = self._of_instances.get(instance)
            if found is None:
                found = Jit(MethodType(self._function, instance), self.captures)
                self._of_instances[instance] = found
        except TypeError:
            message = f"{_named(self._function)} of an object that cannot be hashed or weakly referenced"
            raise JitError(message) from None
        return found

    def reset(self) -> None:
        """Forgets all captures."""
        self._entries.clear()
        self._misses.clear()
        self._of_instances.clear()

    @property
    def captured(self) -> bool:
        """True once there is a capture."""
        return bool(self._entries)

    def explain(self) -> str:
        """The captures, what they cost and are used for, and why others had to be made, as text."""
        lines = [f"{_named(self._function)}: {len(self._entries)} of at most {self.captures} captures"]
        for number, entry in enumerate(self._entries):
            plans = entry.capture.plans
            kernels, scratch = (sum(values) for values in zip(*[_cost(plan) for plan in plans])) if plans else (0, 0)
            lines.append(
                f"  {number}: {kernels} kernels in {len(plans)} plans, {scratch:,} bytes of scratch, "
                f"{len(entry.capture.changes)} tensors changed, captured in {entry.seconds:.3f} s, "
                f"replayed {entry.replays} times"
            )
            lines += [f"     {path}: {shown(value)}" for path, value in entry.plain if value is not Tensor]
            lines += [f"     tensor argument {i}: {kind[0]} {kind[1]} on {kind[2]}"
                      for i, kind in enumerate(entry.given_kinds)]  # fmt: skip
            lines.append(f"     {len(entry.guards)} places and {len(entry.seen)} tensors are looked at")
        return "\n".join([*lines, *(f"  missed: {reason}" for reason in self._misses)])


def _cost(plan: Plan) -> tuple[int, int]:
    return plan.kernels, total(plan.blocks)


@overload
def jit(function: Callable[P, T], *, captures: int = ...) -> Jit[P, T]: ...


@overload
def jit(function: None = None, *, captures: int = ...) -> Callable[[Callable[P, T]], Jit[P, T]]: ...


def jit(function: Callable[P, T] | None = None, *, captures: int = MOST_CAPTURES) -> Any:
    """A function whose calls are captured, each way it can go once, and replayed.

    The function runs as it is when a call cannot be told to be like an earlier one: by the shapes, types and devices of
    tensors, the values of all other arguments, of the globals, closure variables and attributes it looks at, by modes,
    and by values of tensors it has asked for.  Otherwise its kernels run again.  Either way tensors and places it
    changes change, random numbers go on, and results are the same.  What cannot be repeated is an error.

    captures   how many are kept; a call that fits none when there are as many is an error that says what differs

    >>> @jit
    ... def step(x, scale):
    ...     return x * scale + 1
    >>> [step(Tensor([2.0]), 3).item(), step(Tensor([4.0]), 3).item(), step(Tensor([4.0]), 5).item()]
    [7.0, 13.0, 21.0]

    raises JitError
    """
    return functools.partial(Jit, captures=captures) if function is None else Jit(function, captures)


TinyJit = jit


def _compute(tensors: Sequence[Tensor]) -> None:
    """Computes those tensors that are not."""
    missing = [tensor for tensor in tensors if tensor._stored is None]
    if missing:
        realize_tensors(tuple(missing))


def _named(function: Any) -> str:
    return f"{getattr(function, '__qualname__', repr(function))}()"


def _described(other: Other) -> str:
    place = f"{other.line[0]}, line {other.line[1]}" if other.line is not None else "the function"
    return f"a value read in {place} was {shown(other.old.tolist())}, now it is {shown(other.new.tolist())}"
