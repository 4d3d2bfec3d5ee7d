"""How much work a tensor may put off: what is never asked for must not fill the memory.

Comes in: a node that waits for a long chain of others.  Goes out: whether it had better
be computed now.  To compute it changes no result; a loop that adds up a loss for ever holds a bounded part of its past
that way.  What decides is in the graph alone, so a program that is run again is cut in the same places and finds the
same plans.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from kernelforge.carried import kind_of
from kernelforge.graph import Node, toposort, uniform
from kernelforge.kernels import Device
from kernelforge.settings import PENDING

PATIENCE: Final = 256  # operations one after the other before all that a node waits for are counted
LONG: Final = 32  # such operations after which what changed in place is computed with whatever is, though nobody asks
SHARE: Final = 8  # of a device's memory, what one node may keep from being freed
UNKNOWN: Final = 8 << 30  # bytes of a device that does not tell


def waits_for_much(node: Node) -> bool:
    """True when a node waits for more operations than KF_PENDING, or holds much memory it was computed from.

    When it does not, it is asked again only after as many further operations.
    """
    most = PENDING.value
    if not most:
        return False
    bound = most_held(node.device)
    held: dict[object, int] = {}
    seen: set[Node] = set()
    stack = [node]
    while stack:
        x = stack.pop()
        if x in seen:
            continue
        seen.add(x)
        buffer = x.attr if x.op == "buffer" else x.realized
        if x.op == "input":
            return False  # it only stands for others
        if buffer is not None:
            held[buffer] = buffer.nbytes
        elif len(seen) - len(held) > most:
            return True
        else:
            stack += x.src
    if sum(held.values()) > bound:
        return True
    node.depth = 0
    return False


def most_held(device: str | None) -> int:
    """The bytes that one node may keep from being freed."""
    return (Device[device or Device.DEFAULT].facts.memory or UNKNOWN) // SHARE


def of_past_rounds(nodes: Sequence[Node]) -> list[Node]:
    """What nodes are still to be computed from and was there before the last round of a loop: had better be computed
    first, together.  That a loop's rounds are put off shows in parameters that no one asked for:

        w = (w - w.grad).detach().requires_grad_()      twice in a row

    The first of these is what a gradient was taken with respect to, and waits for another gradient itself.  What it is
    computed from and others are as well (a momentum), belongs to past rounds, too; what no gradient is part of (data)
    does where the same line of the user's has made another one since (a rate that falls).
    """
    waiting = [node for node in nodes if node.op != "buffer" and node.realized is None]
    if not waiting:
        return []
    order = toposort(waiting, into_realized=False)
    behind: set[Node] = set()  # a gradient
    for node in order:
        if node.realized is None and (node.op == "gradient" or not behind.isdisjoint(node.src)):
            behind.add(node)
    targets = {node.src[2] for node in order if node.op == "gradient" and node.realized is None}
    past = [node for node in order if node in targets and node in behind and node.op == "detach"]
    if not past:
        return []
    within = set(toposort(past, into_realized=False))
    current = [node for node in order if node not in within and node.realized is None]
    used = {x for node in current for x in node.src}.union(past)
    made = {kind_of(node) for node in current if node.src}
    return [x for x in order if x in within and x in used and (x in behind or _is_of_round(x, made))]


def _is_of_round(node: Node, made: Container[object]) -> bool:
    """True for a value that is to be computed, no constant, of which there is another one by now."""
    waits = bool(node.src) and node.realized is None and (node.device is not None or uniform(node) is None)
    return waits and kind_of(node) in made
