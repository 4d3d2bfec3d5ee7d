"""Values kept from one run of a plan to the next: weights in the form that a faster product wants them in.

Comes in: which steps of a plan prepare a weight, and at each run the buffers it reads.  Goes out: the memory of values
prepared before from the same buffers, so that their steps need not run.  A buffer never changes while it exists: a new
value is a new buffer, so values are valid as long as the buffers they were computed from.  They are kept from the
second run on that meets the same buffers, and go with them; those used longest ago go when KF_KEEP says it is too much.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakValueDictionary, ref

from kernelforge.buffer import Buffer
from kernelforge.settings import KEEP

Key = tuple[object, ...]


class Step(Protocol):
    """A step of a plan: the slots it names, and those of them it writes."""

    @property
    def arguments(self) -> tuple[int, ...]: ...

    @property
    def writes(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Preparation:
    """Steps that compute values from leaves alone.

    steps    their positions in the plan
    leaves   the slots of the buffers they read
    outputs  the slots of the values that other steps read
    sizes    the bytes of these
    what     the same object for preparations that do the same, in whatever plans
    """

    steps: tuple[int, ...]
    leaves: tuple[int, ...]
    outputs: tuple[int, ...]
    sizes: tuple[int, ...]
    what: Kind


class Kind:
    """What a preparation does: one object for equal keys, in the process that reads it from disk as well."""

    __slots__ = ("__weakref__", "key")

    def __init__(self, key: Key) -> None:
        self.key = key

    def __reduce__(self) -> tuple[Callable[[Key], Kind], tuple[Key]]:
        return kind_of, (self.key,)


def kind_of(key: Key) -> Kind:
    """The kind of a key."""
    return _kinds.setdefault(key, Kind(key))


class _Entry:
    """What is known of one preparation of given buffers: that it was met, later also the values."""

    __slots__ = ("buffers", "memories", "nbytes")

    def __init__(self, buffers: list[ref[Buffer]]) -> None:
        self.buffers = buffers
        self.memories: tuple[Any, ...] = ()
        self.nbytes = 0


S = TypeVar("S", bound=Step)

_entries: Final[OrderedDict[Key, _Entry]] = OrderedDict()
_kinds: Final[WeakValueDictionary[Key, Kind]] = WeakValueDictionary()


# ------------------------------------------------------------------------------------------------------ in a plan


def preparations(
    steps: Sequence[S], asked: Sequence[int], leaves: int, nbytes: Callable[[int], int], kind: Callable[[S], object]
) -> list[Preparation]:
    """The preparations of a plan.

    asked   positions of the steps known to prepare a weight; steps that lead to them or use nothing else are part of it
    leaves  slots below this number are the plan's leaves
    nbytes  the size of a slot; 0 for one that must be written in every run
    kind    what a step does, apart from its arguments
    """
    writers: dict[int, list[int]] = {}
    for position, step in enumerate(steps):
        for slot in step.writes:
            writers.setdefault(slot, []).append(position)
    reads = [[slot for slot in step.arguments if slot not in step.writes] for step in steps]
    found: list[Preparation] = []
    taken: set[int] = set()
    alike = _from_nothing(steps, reads, writers, leaves, nbytes)
    for start in asked:
        chain = alike.get(start) or _chain(start, steps, reads, writers, leaves, nbytes) if start not in taken else None
        if chain is not None and taken.isdisjoint(chain):
            taken.update(chain)
            found.append(_preparation(chain, steps, reads, leaves, nbytes, kind))
    return found


def _from_nothing(
    steps: Sequence[Step],
    reads: Sequence[Sequence[int]],
    writers: dict[int, list[int]],
    leaves: int,
    nbytes: Callable[[int], int],
) -> dict[int, list[int]]:
    """For each step that is computed from no leaf, all such steps that it shares values with, by way of others too."""
    found: dict[int, list[int]] = {}
    group: dict[int, list[int]] = {}  # of a slot's writer
    for number, step in enumerate(steps):
        fits = all(len(writers[slot]) == 1 and nbytes(slot) for slot in step.writes)
        if not fits or any(slot < leaves or slot not in group for slot in reads[number]):
            continue
        members = [number]
        for other in {id(group[slot]): group[slot] for slot in reads[number]}.values():
            members += other
        for member in members:
            found[member] = members
            group.update((slot, members) for slot in steps[member].writes)
    return {number: sorted(members) for number, members in found.items()}


def _chain(
    start: int,
    steps: Sequence[Step],
    reads: Sequence[Sequence[int]],
    writers: dict[int, list[int]],
    leaves: int,
    nbytes: Callable[[int], int],
) -> list[int] | None:
    """The steps a step needs, itself, and those that need nothing else; None when that is more than leaves."""
    chain, pending = {start}, [start]
    while pending:
        step = pending.pop()
        if any(len(writers[slot]) > 1 or not nbytes(slot) for slot in steps[step].writes):
            return None
        for slot in reads[step]:
            if slot >= leaves:
                new = set(writers.get(slot, ())) - chain
                if not new and slot not in writers:
                    return None
                chain |= new
                pending += new
    made = {slot for step in chain for slot in steps[step].writes}
    for step in range(start + 1, len(steps)):
        fits = all(len(writers[slot]) == 1 and nbytes(slot) for slot in steps[step].writes)
        if step not in chain and fits and reads[step] and made.issuperset(reads[step]):
            chain.add(step)
            made.update(steps[step].writes)
    return sorted(chain)


def _preparation(
    chain: Sequence[int],
    steps: Sequence[S],
    reads: Sequence[Sequence[int]],
    leaves: int,
    nbytes: Callable[[int], int],
    kind: Callable[[S], object],
) -> Preparation:
    own = set(chain)
    made = [slot for step in chain for slot in steps[step].writes]
    used = {slot for step, slots in enumerate(reads) if step not in own for slot in slots}
    outputs = tuple(slot for slot in made if slot in used)
    sources = tuple(dict.fromkeys(slot for step in chain for slot in reads[step] if slot < leaves))
    number = {slot: i for i, slot in enumerate((*sources, *made))}
    shape = tuple((kind(steps[step]), *(number[slot] for slot in steps[step].arguments)) for step in chain)
    what = kind_of((*shape, *(number[slot] for slot in outputs)))
    return Preparation(tuple(chain), sources, outputs, tuple(map(nbytes, outputs)), what)


# ------------------------------------------------------------------------------------------------------ in a run


class Service:
    """The preparations of one run.

    memories  of the slots whose values are kept: known before the run, or to be computed in it
    skipped   positions of the steps that need not run
    serves_all  True when none of the preparations needs to run
    """

    __slots__ = ("_new", "memories", "serves_all", "skipped")

    def __init__(
        self, wanted: Sequence[Preparation], leaves: Sequence[Buffer], allocate: Callable[[int, int], Any]
    ) -> None:
        """allocate(slot, nbytes) is memory for the values of a slot."""
        self.memories: dict[int, Any] = {}
        self.skipped: set[int] = set()
        self.serves_all = True
        self._new: list[tuple[_Entry, tuple[Any, ...], int]] = []
        for p in wanted:
            entry = _entry(p, [leaves[slot] for slot in p.leaves])
            if entry is not None and entry.memories:
                self.skipped.update(p.steps)
                self.memories.update(zip(p.outputs, entry.memories))
                continue
            self.serves_all = False
            if entry is not None and sum(p.sizes) <= KEEP.value << 20:
                made = tuple(allocate(slot, size) for slot, size in zip(p.outputs, p.sizes))
                self._new.append((entry, made, sum(p.sizes)))
                self.memories.update(zip(p.outputs, made))

    def done(self) -> None:
        """Keeps what the run has computed."""
        for entry, memories, nbytes in self._new:
            entry.memories, entry.nbytes = memories, nbytes
        if self._new:
            _trim(KEEP.value << 20)


NO_SERVICE: Final = Service((), (), lambda slot, nbytes: None)


def _entry(p: Preparation, buffers: Sequence[Buffer]) -> _Entry | None:
    """What is known of a preparation of given buffers; None when they are met for the first time, or may change."""
    if any(buffer.shared for buffer in buffers):
        return None
    key = (p.what, *map(id, buffers))
    found = _entries.get(key)
    if found is not None and all(r() is buffer for r, buffer in zip(found.buffers, buffers)):
        _entries.move_to_end(key)
        return found
    _entries[key] = _Entry([ref(buffer, partial(_forget, key)) for buffer in buffers])
    return None


def _forget(key: Key, _: object) -> None:
    _entries.pop(key, None)


def _trim(limit: int) -> None:
    """Lets go of the values used longest ago until the others are no more than limit bytes."""
    total = kept_bytes()
    for entry in list(_entries.values()):
        if total <= limit:
            break
        total -= entry.nbytes
        entry.memories, entry.nbytes = (), 0


def kept_bytes() -> int:
    """Bytes of the values kept at the moment."""
    return sum(entry.nbytes for entry in list(_entries.values()))


def clear() -> None:
    """Lets go of all kept values."""
    _entries.clear()
