"""`jit`: a function whose calls are captured once for each way they can go, and replayed.

Comes in: a function of tensors.  Goes out: the same function; a call that a capture is right for costs its kernels and
a look at what might have changed.  A capture is used only while everything the call could see is as it was.
"""

from __future__ import annotations

import functools
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from types import MethodType
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast, overload
from weakref import WeakSet, ref

from kernelforge.errors import JitError
from kernelforge.later import at_fork
from kernelforge.planning.memory import total
from kernelforge.planning.steps import Plan
from kernelforge.recording import recorder
from kernelforge.replay.capture import Capture, Other
from kernelforge.replay.capturing import Capturing
from kernelforge.replay.entry import Arguments, Entry, Family, kind_of, pattern_of
from kernelforge.replay.gathering import gathered
from kernelforge.replay.guards import Guard, guards_of, is_same, numbers_in, shown
from kernelforge.replay.kinds import is_a
from kernelforge.replay.modes import MODES, lasting, mode_of
from kernelforge.replay.naming import makes_steps, name_after, named
from kernelforge.replay.state import Snapshot
from kernelforge.replay.structures import tensors_in
from kernelforge.replay.trace import host_numbers, recorded
from kernelforge.settings import Context
from kernelforge.tensor import Tensor
from kernelforge.tensor.aliases import kinship
from kernelforge.tensor.convert import realize_tensors
from kernelforge.tensor.frames import calling_line

MOST_CAPTURES: Final = 16
MOST_SIZES: Final = 64  # captures that differ in sizes alone, which share kernels: those used longest ago go
_capturing: Final = threading.RLock()  # tensors stand for others while a call is captured

P = ParamSpec("P")
T = TypeVar("T")


class Jit(Generic[P, T]):
    """A captured function: see `jit`."""

    unguarded = frozenset(("_apart", "_entries", "_misses", "_of_instances", "_unmade", "captures", "memory_budget"))

    def __init__(
        self, function: Callable[P, T], captures: int = MOST_CAPTURES, memory_budget: int | None = None
    ) -> None:
        if makes_steps(function):
            raise JitError(f"{named(function)} is a generator or coroutine: capture the function that makes one step")
        self._function, self.captures, self.memory_budget = function, captures, memory_budget
        self._entries: list[Entry] = []
        self._misses: list[str] = []
        self._of_instances: dict[int, tuple[ref[Any], Jit[..., T]]] = {}
        self._apart: set[type] = set()
        self._unmade = WeakSet[Any]()
        name_after(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        mode = mode_of()
        if recorder.get() is not None or not mode[-1][-1]:  # type: ignore[index]
            return self._function(*args, **kwargs)
        if (entries := self._entries) and not kwargs:
            entry = entries[0]
            if entry.fits_quickly(mode, args):
                entry.nodes = []  # what is counted in `taking` are the references of others
                try:
                    tensors = cast(Sequence[Tensor], args)
                    result = entry.capture.replay([*entry.seen, *tensors] if entry.seen else tensors)
                except Other:
                    pass  # another capture may fit, or this one be made for other arguments
                else:
                    entry.replays += 1
                    entry.note()
                    return result
        given = Arguments(args, kwargs, self._apart)
        _compute(given.tensors)
        known = self._entries
        done, result, why = self._again(given, mode)
        if done:
            return result
        with _capturing:
            if self._entries is not known:  # another thread has captured meanwhile
                done, result, why = self._again(given, mode)
                if done:
                    return result
            with self._budget():
                return self._anew(args, kwargs, given, mode, why)

    def _again(self, given: Arguments, mode: tuple[object, ...]) -> tuple[bool, Any, str | None]:
        """Whether a capture was right for a call; its result, or why the first one was not."""
        kinds, why = list(map(kind_of, given.tensors)), None
        for number, entry in enumerate(self._entries):
            if number and entry.given_kinds != kinds:
                continue
            reason = entry.reason(mode, given)
            if reason is None:
                entry.forget_gradients(before=not entry.capture.reads)
                tensors, entry.nodes = entry.tensors(given), []
                _compute(tensors)
                try:
                    result = entry.capture.replay(tensors, given.containers)
                except Other as other:
                    reason = _described(other)
                else:
                    entry.replays += 1
                    entry.note()
                    if number:
                        self._bring_forward(entry)
                    return True, result, None
            entry.forget_gradients()
            why = why or reason
        return False, None, why

    def _bring_forward(self, entry: Entry) -> None:
        """Has a capture looked at first, unless another thread captures just now."""
        if _capturing.acquire(blocking=False):
            try:
                others = [one for one in self._entries if one is not entry]
                if len(others) < len(self._entries):
                    self._entries = [entry, *others]
            finally:
                _capturing.release()

    def _budget(self) -> AbstractContextManager[object]:
        """A context in which plans keep to the memory they may have."""
        return nullcontext() if self.memory_budget is None else Context(MEMORY_BUDGET=self.memory_budget)

    def _anew(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: Arguments,
        mode: tuple[object, ...],
        why: str | None,
    ) -> T:
        """A call no capture is right for, captured or, one of several sizes that are met too seldom for that, not."""
        like, sizes = None, None
        for like in self._entries:
            if (sizes := like.sizes(mode, given)) is not None:
                break
        family = like.family if like is not None and sizes is not None else Family()
        if like is not None and sizes is not None and not family.pays(sizes, self.captures):
            family.uncaptured += 1
            if family.uncaptured == 1:
                _warn(
                    f"{named(self._function)} runs uncaptured: {why}. There are {family.captures} captures that "
                    "differ in sizes or integers alone; calls of others run as they are until met often enough. "
                    "Pad to a few sizes, or pass integers that change as tensors"
                )
            result = self._function(*args, **kwargs)
            _compute([*tensors_in([result]), *given.tensors, *like.seen, *like.visible])
            return result
        if why is not None:
            self._misses.append(why)
        if kinds := {kind for entry in self._entries for kind in entry.replaced(given)}:
            self._apart |= kinds
            self._entries = [entry for entry in self._entries if not entry.objects & kinds]
            given = Arguments(args, kwargs, self._apart)
            _compute(given.tensors)
        alike = [entry for entry in self._entries if entry.family is family]
        if len(alike) >= MOST_SIZES:
            self._entries = [entry for entry in self._entries if entry is not alike[-1]]
        if len(self._entries) - len(alike) >= self.captures:
            raise JitError(
                f"{named(self._function)} was captured {self.captures} times and this call fits none of them: "
                f"{why}. Pass what changes as a tensor, or raise captures="
            )
        result = self._capture(args, kwargs, given, mode, family)
        family.captures = len(alike) + 1
        return result

    def _capture(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: Arguments,
        mode: tuple[object, ...],
        family: Family,
    ) -> T:
        start, inside = perf_counter(), mode_of()
        roots = [("", self._function), *given.objects]
        snapshot = Snapshot.of(roots)
        if not self._unmade.issuperset(snapshot.unmade):
            return self._making(args, kwargs, given, snapshot)
        seen = snapshot.tensors
        fresh = [i for i, place in enumerate(pattern_of(seen, given.tensors)) if place == len(seen) + i]
        tensors = seen + [given.tensors[i] for i in fresh]
        _compute(tensors)
        kinds = [kind_of(tensor) for tensor in tensors]
        given_kinds = [kind_of(tensor) for tensor in given.tensors]
        generators = numbers_in(snapshot)
        numbers = host_numbers(generators)
        before = Arguments(args, kwargs, self._apart, gradients=False).plain
        work = Capturing(tensors, len(seen), snapshot, given.containers)
        try:
            with recorded(work.trace):
                result = self._function(*args, **kwargs)
            self._check(args, kwargs, before, generators, numbers)
            self._check_mode(inside)
            entry = Entry(Capture(), mode, given.plain, given_kinds, fresh, [], [], [], family)
            names, snapshot.whole = None if snapshot.by_name else work.trace.names, work.trace.whole
            found = guards_of(snapshot, [value for _, value in roots], names, entry.rebind)
            guards = [guard for guard in found if isinstance(guard, Guard)]
            entry.uses.update(id(x) for guard in guards for x in guard.contents.values() if is_a(x, Tensor))
            entry.uses.update(snapshot.fixed)
            entry.capture, chosen = work.finish(result, lambda tensor: id(tensor) in entry.uses)
        finally:
            work.give_back()
        entry.seen = [tensors[i] for i in chosen if i < len(seen)]
        entry.seen_kinds = [kinds[i] for i in chosen if i < len(seen)]
        changed = set(map(id, work.trace.changed))
        entry.changing = {i for i, x in enumerate((*entry.seen, *given.tensors)) if id(x) in changed}
        entry.kin = kinship([*entry.seen, *given.tensors], entry.changing)
        entry.guards = [*found, *gathered(snapshot, [value for _, value in roots], work.trace, guards)]
        entry.relate(given, work.trace.identified)
        plain = all(value is Tensor for _, value in given.plain[1:]) and not kwargs and len(args) == len(given.tensors)
        entry.quick = plain and not entry.kin and not entry.known and entry.fresh == list(range(len(args)))
        entry.find_gradients()
        entry.forget_gradients()
        entry.seconds = perf_counter() - start
        if not work.remembers_tensors():
            self._entries = [entry, *self._entries]
        self._unmade.clear()
        return result

    def _making(self, args: tuple[Any, ...], kwargs: dict[str, Any], given: Arguments, snapshot: Snapshot) -> T:
        """A call that may make layers, which no replay would, as it is; those it leaves are left by the next, too."""
        result = self._function(*args, **kwargs)
        self._unmade.update(snapshot.unmade)
        _compute([*tensors_in([result]), *given.tensors, *snapshot.tensors])
        return result

    def _check(self, args: Any, kwargs: Any, before: Any, generators: list[Any], numbers: bytes) -> None:
        """raises JitError for what a replay would not do"""
        after = Arguments(args, kwargs, self._apart, gradients=False).plain
        if len(after) != len(before) or not all(is_same(old, new) for (_, old), (_, new) in zip(before, after)):
            what = "changes a list, dict or dataclass it is given"
            raise JitError(f"{named(self._function)} {what}: return a new one instead")
        if host_numbers(generators) != numbers:
            raise JitError(
                f"{named(self._function)} draws numbers from a random generator of the host, which every replay would "
                "repeat: use Tensor.rand and its like, or pass the numbers as an argument"
            )

    def _check_mode(self, mode: tuple[object, ...]) -> None:
        """raises JitError for a mode the function has changed: no replay would"""
        changed = [name for name, old, new in zip(MODES, lasting(mode), lasting(mode_of())) if old != new]
        if changed:
            raise JitError(f"{named(self._function)} changes {changed[0]}, which no replay would do: do it outside")

    def __get__(self, instance: Any, owner: type | None = None) -> Jit[..., T]:
        """The method of an instance, with captures of its own."""
        if instance is None:
            return self
        known = self._of_instances.get(id(instance))
        if known is not None and known[0]() is instance:
            return known[1]
        try:
            reference = ref(instance)
        except TypeError:
            message = f"{named(self._function)} of an object that cannot be weakly referenced"
            raise JitError(message) from None
        found: Jit[..., T] = Jit(MethodType(self._function, instance), self.captures, self.memory_budget)
        self._of_instances[id(instance)] = reference, found
        return found

    def __reduce__(self) -> str | tuple[Any, ...]:
        """A copy has the function, a copy of it where it is a method, and no captures."""
        name, module = getattr(self, "__qualname__", ""), getattr(self, "__module__", None)
        found: Any = sys.modules.get(module or "")
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (Jit, (self._function, self.captures, self.memory_budget))

    def reset(self) -> None:
        """Forgets all captures."""
        self._entries = []
        self._misses.clear()
        self._of_instances.clear()
        self._unmade.clear()

    @property
    def captured(self) -> bool:
        """True once there is a capture."""
        return bool(self._entries)

    def explain(self) -> str:
        """The captures, what they cost and are used for, and why others had to be made, as text."""
        lines = [f"{named(self._function)}: {len(self._entries)} of at most {self.captures} captures"]
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
        for family in dict.fromkeys(entry.family for entry in self._entries):
            if family.uncaptured:
                lines.append(
                    f"  {family.uncaptured} calls ran uncaptured: sizes or integers were not those of "
                    f"{family.captures} captures, and not met often enough to be captured as well"
                )
        return "\n".join([*lines, *(f"  missed: {reason}" for reason in self._misses)])


def _cost(plan: Plan) -> tuple[int, int]:
    return plan.kernels, total(plan.blocks)


@overload
def jit(function: Callable[P, T], *, captures: int = ..., memory_budget: int | None = ...) -> Jit[P, T]: ...


@overload
def jit(
    function: None = None, *, captures: int = ..., memory_budget: int | None = ...
) -> Callable[[Callable[P, T]], Jit[P, T]]: ...


def jit(
    function: Callable[P, T] | None = None, *, captures: int = MOST_CAPTURES, memory_budget: int | None = None
) -> Any:
    """A function whose calls are captured, each way it can go once, and replayed.

    The function runs as it is when a call cannot be told to be like an earlier one: by the shapes, types and devices of
    tensors, the values of all other arguments, of the globals, closure variables and attributes it looks at, by modes,
    and by values of tensors it has asked for.  Otherwise its kernels run again.  Either way tensors and places it
    changes change, random numbers go on, and results are the same.  What cannot be repeated is an error.

    captures   how many are kept; a call that fits none when there are as many is an error that says what differs.
               One that differs in sizes or integers alone is none: it runs as it is, as do calls of other sizes that
               are met too seldom to be captured; the first time a RuntimeWarning says what differs
    memory_budget   bytes a plan may take beside what it is given: values are computed a second time rather than kept
               for long, with the same bits, until it fits. Where that is not enough a warning tells the least found

    >>> @jit
    ... def step(x, scale):
    ...     return x * scale + 1
    >>> [step(Tensor([2.0]), 3).item(), step(Tensor([4.0]), 3).item(), step(Tensor([4.0]), 5).item()]
    [7.0, 13.0, 21.0]

    raises JitError
    """
    if function is None:
        return functools.partial(Jit, captures=captures, memory_budget=memory_budget)
    return Jit(function, captures, memory_budget)


def TinyJit(
    fxn: Callable[P, T] | None = None,
    captured: None = None,
    prune: bool = False,
    optimize: bool = False,
    **options: Any,
) -> Any:
    """jit() by tinygrad's name, with the names of its arguments.

    captured  None: what was captured elsewhere cannot be given
    prune     of no account: what does not depend on the arguments is computed once at any rate
    optimize  of no account: kernels are scheduled together at any rate
    options   those of jit()

    raises JitError
    """
    if captured is not None:
        raise JitError("TinyJit() captures functions itself: it takes no captured=")
    return jit(fxn, **options)


def _warn(message: str) -> None:
    """A warning at the user's line."""
    file, number = calling_line() or ("", 0)
    warnings.warn_explicit(message, RuntimeWarning, file, number)


def _compute(tensors: Sequence[Tensor]) -> None:
    """Computes those tensors that are not."""
    missing = [tensor for tensor in tensors if tensor._stored is None]
    if missing:
        realize_tensors(tuple(missing))


at_fork(_capturing)  # children find their tensors as they are; taken before what a thread that captures waits for


def _described(other: Other) -> str:
    place = f"{other.line[0]}, line {other.line[1]}" if other.line is not None else "the function"
    old, new = ["an error" if value is None else shown(value.tolist()) for value in (other.old, other.new)]
    return f"a value read in {place} was {old}, now it is {new}"
