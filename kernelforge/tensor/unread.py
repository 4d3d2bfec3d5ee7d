"""Values nobody reads: computed once they keep more memory than they take.

Comes in: that memory has grown (`growth`).  Goes out: nothing; what has waited since the last look and holds memory
that nothing else needs is computed, and forgets how.  A loop that never asks,

    average = 0.99 * average + 0.01 * weight        losses.append(model(batch).mean())

so holds a bounded part of its past, as one that computes each operation at once does.  Results are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence, Set
from contextlib import suppress
from typing import Final
from weakref import WeakSet

from kernelforge.buffer import Buffer
from kernelforge.carried import kind_of
from kernelforge.graph import VIEWS, Node, toposort, uniform
from kernelforge.growth import ROOM, due
from kernelforge.interning import alive
from kernelforge.recording import recorder, spelling
from kernelforge.settings import EAGER, PENDING
from kernelforge.tensor.forgetting import forget, held
from kernelforge.tensor.settling import computed
from kernelforge.tensor.stops import under_way

WORTHWHILE: Final = ROOM // 2  # bytes that go when something is computed

_waited: Final[WeakSet[Node]] = WeakSet()  # at the last look
_kept: Final[WeakSet[Node]] = WeakSet()  # computed, and gradients may still ask how
_busy: Final = [False]


def look() -> None:
    """Computes what has waited since the last look and keeps much memory."""
    if _busy[0] or under_way or recorder.get() is not None or spelling.get():
        return
    due.clear()
    if not PENDING.value:
        return
    _busy[0] = True
    try:
        _look(alive())
    finally:
        due.clear()
        _busy[0] = False


def _look(nodes: list[Node]) -> None:
    """A look at all nodes there are."""
    named = held(nodes)  # first, for it counts references
    if EAGER.value:
        _forget_past(nodes, named)
        return
    waiting = [x for x in nodes if _waits(x)]
    old = dict.fromkeys([x for x in waiting if x in _waited])
    _waited.clear()
    _waited.update(waiting)
    if not old:
        return
    used_later = {x for node in waiting if node not in old for x in node.src}
    found = sorted([x for x in old if x in named or x in used_later], key=_in_order)
    ends = dict.fromkeys([_smallest(x) for x in found])
    gains = [(part, _gain(part, named)) for part in _parts([x for x in ends if _waits(x)], old)]
    gain = sum(more for _, more in gains if more > 0)
    if gain < WORTHWHILE:
        return
    for part, more in gains:
        if more > 0:
            with suppress(Exception):  # who asks for it is told
                for round_ in _rounds(part, old):
                    _compute(round_, named)
    forget(list(_kept), named)


def _forget_past(nodes: Sequence[Node], named: Set[Node]) -> None:
    """Lets the past go of what had been computed at the last look, where each operation runs as it is made."""
    done = [x for x in toposort(nodes) if x.realized is not None and x.op != "buffer" and not _is_constant(x)]
    forget([x for x in done if x in _kept], named)
    _kept.update([x for x in done if x.op != "buffer"])


def _in_order(node: Node) -> tuple[object, ...]:
    """What values are sorted by, so that graphs alike are planned once."""
    return node.line or ("", 0), node.op, node.shape, node.depth


def _compute(nodes: Sequence[Node], named: Set[Node]) -> None:
    for device in dict.fromkeys([x.device for x in nodes]):
        computed([x for x in nodes if x.device == device])
    forget(nodes, named)
    _kept.update([x for x in nodes if x.op != "buffer"])


def _rounds(ends: Sequence[Node], old: Container[Node]) -> Iterable[list[Node]]:
    """The ends, and before them what the same lines of the user's made in earlier rounds of a loop, one round after the
    other: these are graphs alike, for which one plan is enough."""
    kinds, level = {kind_of(x) for x in ends}, dict[Node, int]()
    rounds: dict[int, list[Node]] = {}
    for x in toposort(ends, into_realized=False):
        is_end = x in old and kind_of(x) in kinds
        level[x] = max([level[source] for source in x.src if source in level], default=0) + is_end
        if is_end:
            rounds.setdefault(level[x], []).append(x)
    return [rounds[number] for number in sorted(rounds)]


def _waits(node: Node) -> bool:
    """True for what is computed from memory, and is not computed yet."""
    return node.realized is None and node.op != "buffer" and not _is_constant(node)


def _is_constant(node: Node) -> bool:
    """True for what is computed from no memory; plans of others may come to it as well."""
    return node.device is None or uniform(node) is not None


def _smallest(node: Node) -> Node:
    """A node or, where it is a view of no more elements than it shows, what it is a view of."""
    found = node
    while found.op in VIEWS and _waits(found.src[0]):
        found = found.src[0]
        if found.size <= node.size:
            node = found
    return node


def _parts(ends: Iterable[Node], within: Collection[Node]) -> Collection[list[Node]]:
    """The ends by what they share: work, that is nodes of a set."""
    owner: dict[Node, Node] = {}  # the end by which a node was found
    joined: dict[Node, Node] = {}

    def first(end: Node) -> Node:
        while joined[end] is not end:
            end = joined[end]
        return end

    for end in ends:
        joined[end] = end
        stack = [end]
        while stack:
            x = stack.pop()
            if x in owner:
                joined[first(owner[x])] = first(end)
            elif x in within:
                owner[x] = end
                stack += x.src
    parts: dict[Node, list[Node]] = {}
    for end in joined:
        parts.setdefault(first(end), []).append(end)
    return parts.values()


def _gain(part: Sequence[Node], named: Container[Node]) -> int:
    """How many bytes fewer there are once nodes are computed: those of memory that only graphs hold, less their own.

    0 for what stands for other values.
    """
    held: dict[Buffer, int] = {}
    for x in toposort(part, into_realized=False):
        if x.op in ("input", "while"):
            return 0
        buffer = x.attr if x.op == "buffer" else x.realized
        if buffer is not None and x not in named:
            held[buffer] = buffer.nbytes
    return sum(held.values()) - sum(x.size * x.dtype.itemsize for x in part)
