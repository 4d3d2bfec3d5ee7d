"""A capture with what it is right for, and the arguments of a call taken apart.

Comes in: a call.  Goes out: whether a capture is right for it, in words why not, and whether it is one of other sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, is_dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple, cast
from weakref import ref

from kernelforge.buffer import Buffer
from kernelforge.errors import JitError
from kernelforge.graph import Node, buffer
from kernelforge.replay.capture import Capture
from kernelforge.replay.gathering import Looking
from kernelforge.replay.guards import Guard, is_same, shown
from kernelforge.replay.holders import Gradient
from kernelforge.replay.identities import asks_itself
from kernelforge.replay.kinds import is_a
from kernelforge.replay.modes import MODES
from kernelforge.replay.others import check_not_iterator
from kernelforge.replay.state import is_simple
from kernelforge.replay.structures import attributes_of, children
from kernelforge.tensor import Tensor
from kernelforge.tensor.aliases import kinship
from kernelforge.variable import Bound

MOST_MET: Final = 4096  # sizes that are counted
MOST_NESTED: Final = 10_000  # letters of a path
FEW: Final = 4  # captures of other sizes that are made at once
_NODE: Final = attrgetter("_node", "_tracked", "_leaf")


class Arguments:
    """The arguments of a call, taken apart: tensors, and all else by path.

    containers   those that were taken apart: lists, tuples, dicts, and dataclasses that are frozen or among `apart`
    """

    __slots__ = ("containers", "objects", "plain", "tensors")

    def __init__(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], apart: Collection[type] = (), gradients: bool = True
    ) -> None:
        self.tensors: list[Tensor] = []
        self.containers: list[Any] = []
        self.plain: list[tuple[str, Any]] = []
        self.objects: list[tuple[str, Any]] = []
        stack: list[tuple[str, Any]] = [(f"argument {key}", kwargs[key]) for key in reversed(kwargs)]
        stack += [(f"argument {i}", args[i]) for i in reversed(range(len(args)))]
        self.plain.append(("the number of arguments", (len(args), *kwargs)))
        while stack:
            path, value = stack.pop()
            if is_a(value, Tensor):
                self.tensors.append(value)
                self.plain.append((path, type(value)))
                if gradients and value.grad is not None:
                    stack.append((f"{path}.grad", value.grad))
            elif is_simple(value):
                self.plain.append((path, value))
            elif (keys := _keys(value, apart)) is not None:
                if len(path) > MOST_NESTED:
                    raise JitError(f"a captured function is given {path[:20]}..., a container that holds itself")
                inside = children(value)
                assert inside is not None
                self.containers.append(value)
                self.plain.append((path, (type(value), keys)))
                stack += [(f"{path}[{key!r}]", item) for key, item in reversed(list(zip(keys, inside[0])))]
            else:
                check_not_iterator(value, f"be given {path}")
                self.plain.append((path, value))
                self.objects.append((path, value))


def _keys(value: Any, apart: Collection[type]) -> tuple[Any, ...] | None:
    """The keys of a container that is taken apart, None for what is not."""
    kind = type(value)
    if kind in (list, tuple) or (is_a(value, tuple) and hasattr(value, "_fields")):
        return tuple(range(len(value)))
    if kind is dict:
        return tuple(value)
    if is_dataclass(kind) and (kind in apart or _is_frozen(kind)):
        return tuple(attributes_of(value))
    return None


def _is_frozen(kind: type) -> bool:
    return bool(kind.__dataclass_params__.frozen)  # type: ignore[attr-defined]


def kind_of(tensor: Tensor) -> tuple[object, ...]:
    """What a capture depends on of a tensor but for its values."""
    node = tensor._node
    return node.shape, node.dtype, tensor.device, tensor._tracked, tensor._leaf


_KIND: Final = ("shape", "dtype", "device", "requires_grad", "being a leaf")


class OtherSizes(NamedTuple):
    """The sizes of a call, as far as they tell it from others.

    counted  it is another one than a capture's by an integer that is no variable's
    """

    shapes: tuple[object, ...]
    numbers: tuple[int, ...]
    counted: bool


class Family:
    """Captures that differ in sizes alone, and what was met of these.

    To capture a call takes longer than to run it, so sizes must return before it is done, and the oftener the more
    captures there are: a cache that grows by one each time is captured a few times and then runs as it is.

    captures   how many there are
    uncaptured calls that ran as they are
    """

    __slots__ = ("_met", "captures", "uncaptured")

    def __init__(self) -> None:
        self.captures, self.uncaptured = 1, 0
        self._met: Counter[tuple[object, ...]] = Counter()

    def pays(self, sizes: OtherSizes, most: int) -> bool:
        """True when a call of these sizes is to be captured; most: captures of calls that differ in numbers."""
        if sizes.counted and self.captures >= most:
            return False
        if len(self._met) >= MOST_MET:
            self._met.clear()
        self._met[sizes[:2]] += 1
        return self._met[sizes[:2]] > self.captures // FEW


@dataclass
class Entry:
    """A capture and what it is right for.

    given      the arguments it was made with, and their kinds
    fresh      which tensor arguments it has to be given: those that are neither seen nor given before
    quick      whether the arguments are tensors without gradients, all of them different and none of them seen
    family     of the captures that differ in sizes alone
    nodes, ids   what the seen tensors were when they were looked at last, and their identities
    pattern    for each tensor argument the first place in which it is among all tensors
    known      for tensor arguments whose identity the call has asked for: which tensors they were
    owners     the identities of lists and dicts the function sees
    together   which of those given are the same, or one of these
    changing   which of all tensors change in place, and which are views of those
    seen       the tensors it sees, and their kinds
    gradients  the places of gradients that the call replaces without having read them, and which seen tensors they are
    """

    capture: Capture
    mode: tuple[object, ...]
    plain: list[tuple[str, Any]]
    given_kinds: list[tuple[object, ...]]
    fresh: list[int]
    pattern: list[int]
    seen: list[Tensor]
    seen_kinds: list[tuple[object, ...]]
    family: Family = field(default_factory=Family)
    guards: list[Looking] = field(default_factory=list)
    uses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    replays: int = 0
    quick: bool = False
    known: dict[int, ref[Tensor]] = field(default_factory=dict)
    owners: list[int] = field(default_factory=list)
    together: list[int] = field(default_factory=list)
    changing: set[int] = field(default_factory=set)
    kin: list[Any] = field(default_factory=list)
    nodes: list[tuple[Node, bool | None, bool]] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)
    gradients: list[tuple[Guard, int]] = field(default_factory=list)

    def find_gradients(self) -> None:
        """Finds the gradients a replay need not be given; of these themselves nothing matters, for others take their
        places."""
        number = {id(tensor): i for i, tensor in enumerate(self.seen)}
        effects = [x for x in self.capture.effects if is_a(x.holder, Gradient) and x.key == "grad"]
        replaced = {id(effect.holder.owner) for effect in effects}
        for guard in self.guards:
            if is_a(guard, Guard) and is_a(guard.holder, Gradient) and id(guard.holder.owner) in replaced:
                old = guard.contents.get("grad")
                if number.get(id(old), -1) in self.capture.unread and self.uses[id(old)] == 1:
                    self.gradients.append((guard, number[id(old)]))
        gone = {id(guard.contents["grad"]) for guard, _ in self.gradients}
        self.guards = [x for x in self.guards if not (is_a(x, Guard) and id(x.holder.owner) in gone)]

    def forget_gradients(self, before: bool = False) -> None:
        """Has tensors without elements stand for gradients that replays replace, and whose memory guards would keep.

        before   such a replay is about to begin: nobody else needs the gradients either, but who asked for them before
        """
        for guard, i in self.gradients:
            old = guard.contents["grad"]
            if old is self.seen[i] and self.uses[id(old)] == 1 and (buffer := old._stored) is not None and buffer.size:
                if before and guard.holder.owner.grad is old:
                    guard.holder.put("grad", None)
                new = _without_elements(old)
                guard.put("grad", new)
                del self.uses[id(old)]
                self.seen[i], self.uses[id(new)] = new, 1

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
                break
        del self.uses[id(old)]
        self.uses[id(new)] = 1
        return True

    def reason(self, mode: tuple[object, ...], given: Arguments) -> str | None:
        """Why this capture is not right for a call; None if it is."""
        if self.mode != mode:
            return next(f"{MODES[i]} changed" for i in range(len(mode)) if self.mode[i] != mode[i])
        if len(given.plain) != len(self.plain):
            return "the structure of the arguments"
        for (path, old), (_, new) in zip(self.plain, given.plain):
            if not is_same(old, new):
                return f"{path} was {shown(old)}, now it is {shown(new)}"
        for kind, tensor, i in zip(self.given_kinds, given.tensors, range(len(given.tensors))):
            if kind != (now := kind_of(tensor)):
                return _difference(f"tensor argument {i}", kind, now)
        for guard in self.guards:
            if not guard.holds() and (why := guard.reason()) is not None:
                return why
        for kind, tensor in zip(self.seen_kinds, self.seen):
            if kind != (now := kind_of(tensor)):
                return _difference("a tensor the function sees", kind, now)
        return self._relation(given)

    def sizes(self, mode: tuple[object, ...], given: Arguments) -> OtherSizes | None:
        """The sizes of a call that differs from this capture in nothing else; None for any other call.

        Sizes are the shapes of tensors, as long as their ranks are the same, the values of variables, and integers.
        """
        if self.mode != mode or len(self.plain) != len(given.plain):
            return None
        bound, numbers = list[tuple[int, int]](), list[tuple[int, int]]()
        for (_, old), (_, new) in zip(self.plain, given.plain):
            if type(old) is int and type(new) is int:
                numbers.append((old, new))
            elif is_a(old, Bound) and is_a(new, Bound) and old.variable is new.variable:
                bound.append((int(old), int(new)))
            elif not is_same(old, new):
                return None
        for guard in self.guards:
            found = [] if guard.holds() else guard.numbers() if is_a(guard, Guard) else None
            if found is None:
                return None
            numbers += found
        now = list(map(kind_of, given.tensors)), list(map(kind_of, self.seen))
        kinds = list(zip((self.given_kinds, self.seen_kinds), now))
        if any(list(map(_with_rank, old)) != list(map(_with_rank, new)) for old, new in kinds):
            return None
        counted = any(old != new for old, new in numbers)
        if not counted and all(old == new for old, new in kinds) and all(old == new for old, new in bound):
            return None
        if self._relation(given) is not None:
            return None
        shapes = tuple(kind[0] for found in now for kind in found)
        return OtherSizes(shapes, tuple(new for _, new in (*bound, *numbers)), counted)

    def replaced(self, given: Arguments) -> set[type]:
        """The dataclasses of which a call is given other instances, where the captured call changed none of its own."""
        pairs = zip(self.plain, given.plain) if len(self.plain) == len(given.plain) else ()
        found = {type(new) for (_, old), (_, new) in pairs
                 if old is not new and is_dataclass(type(new)) and type(old) is type(new)}
        return found - {type(effect.holder.owner) for effect in self.capture.effects}

    @property
    def objects(self) -> set[type]:
        """The types of the arguments that are looked at themselves."""
        return {type(value) for _, value in self.plain if not is_a(value, type)}

    @property
    def visible(self) -> list[Tensor]:
        """The tensors that are in the guarded places now."""
        guards = [guard for guard in self.guards if is_a(guard, Guard) and not guard.holds()]
        return [value for guard in guards for value in guard.now().values() if is_a(value, Tensor)]

    def relate(self, given: Arguments, identified: Collection[int] | None) -> None:
        """Notes how the arguments of the captured call are related; identified: of which it asked id(); None: all."""
        guards = [guard for guard in self.guards if is_a(guard, Guard)]
        if any(asks_itself(value) for guard in guards for value in guard.contents.values()):
            identified = None  # whoever is handed that asks unseen
        self.pattern = pattern_of(self.seen, given.tensors)
        self.known = {
            i: ref(tensor) for i, tensor in enumerate(given.tensors) if identified is None or id(tensor) in identified
        }
        asked = [key for key in self.uses if identified is None or key in identified]
        self.uses.update(asked)  # so that no other tensor stands for it
        owners = [guard.holder.owner for guard in guards]
        self.owners = [id(owner) for owner in owners if is_a(owner, list | dict)]
        self.together = self._together(given)

    def _relation(self, given: Arguments) -> str | None:
        """What is different in how arguments are related."""
        if pattern_of(self.seen, given.tensors) != self.pattern:
            return "which tensor arguments are the same tensor, or one the function sees"
        if self.changing and kinship([*self.seen, *given.tensors], self.changing) != self.kin:
            return "which tensors are views of each other"
        if any(known() is not given.tensors[i] for i, known in self.known.items()):
            return "which tensors the arguments are that the function asks id() of"
        if given.containers and self._together(given) != self.together:
            return "which lists and dicts are the same, or one the function sees"
        return None

    def _together(self, given: Arguments) -> list[int]:
        """For each list or dict given the first place in which it is; -1 for one the function sees."""
        place = dict.fromkeys(self.owners, -1)
        found = [value for value in given.containers if is_a(value, list | dict)]
        return [place.setdefault(id(value), i) for i, value in enumerate(found)]

    def note(self) -> None:
        """Notes what the seen tensors are now."""
        if self.seen:
            self.nodes, self.ids = list(map(_NODE, self.seen)), set(map(id, self.seen))

    def tensors(self, given: Arguments) -> list[Tensor]:
        """What the capture has to be given."""
        return self.seen + [given.tensors[i] for i in self.fresh]


def _without_elements(tensor: Tensor) -> Tensor:
    """A tensor of the same kind in no memory."""
    node = tensor._node
    made = Tensor._wrap(buffer(Buffer(node.size, node.dtype, tensor.device), node.shape, node.dtype), tensor._tracked)
    made._leaf = tensor._leaf
    return made


def _with_rank(kind: tuple[object, ...]) -> tuple[object, ...]:
    """A kind of tensor, with the rank instead of the shape."""
    return len(cast(tuple[int, ...], kind[0])), *kind[1:]


def _difference(what: str, kind: tuple[object, ...], now: tuple[object, ...]) -> str:
    which = next(i for i in range(len(kind)) if now[i] != kind[i])
    return f"{_KIND[which]} of {what} was {kind[which]}, now it is {now[which]}"


def pattern_of(seen: Sequence[Tensor], given: Sequence[Tensor]) -> list[int]:
    """For each tensor given, the first place in which it is, those seen first."""
    place: dict[int, int] = {}
    for i, tensor in enumerate((*seen, *given)):
        place.setdefault(id(tensor), i)
    return [place[id(tensor)] for tensor in given]
