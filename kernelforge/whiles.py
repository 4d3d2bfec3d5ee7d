"""Loops whose number of rounds nobody knows: a condition and a body, recorded once, driven by the host.

Comes in: the condition and what the body makes of the states, as nodes over placeholders, and what the states begin
with.  Goes out: one "while" node for each state, all with the same loop and sources; the same for many examples.  A
plan has one step for them: kernels of a round, planned once and run until the condition, read after each, is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from codegen.dtypes import DType
from kernelforge import graph
from kernelforge.calls import Recipe, placeholders, reached
from kernelforge.errors import ArgumentError
from kernelforge.graph import LEAVES, Node, elementwise, toposort, uniform
from kernelforge.members import members
from kernelforge.node import waiting
from kernelforge.rewrites.lifted import lifted
from kernelforge.structure import structure

MOST_RECORDED: Final = 1024

_recorded: Final[dict[tuple[object, ...], tuple[Recipe, ...]]] = {}


class While(NamedTuple):
    """A loop over states, given with what stays the same.

        while condition(*states, *same): states = [part(*states, *same) for part in body]
    """

    condition: Recipe
    body: tuple[Recipe, ...]


class Carried(NamedTuple):
    """The attr of a while node: one of a loop's states.  Its sources are what all begin with, and what stays the same.
    """

    loop: While
    place: int

    @property
    def dtype(self) -> DType:
        return self.loop.body[self.place].dtype

    def gradient(self, node: Node, dy: Node) -> NoReturn:
        """raises ArgumentError"""
        raise ArgumentError(
            "a gradient through while_loop(): what its rounds computed is not kept, nor their number known. Give it "
            "maximum_trips=, use scan(), or go forward with jvp()"
        )

    def lifted(self, src: Sequence[Node], size: int) -> Node:
        """The state for many examples, given sources with the examples' dimension in front.

        Where the condition depends on the example, all go on until it is false everywhere, and states of examples for
        which it is stay as they are.
        """
        alike = [_of_all(x) for x in src]
        inputs = placeholders([(x.shape[1:], x.dtype, x.device) for x in src])
        condition, *body = [recipe.replayed(inputs) for recipe in (self.loop.condition, *self.loop.body)]
        apart = {x for x, same in zip(inputs, alike) if same is None}
        while True:
            found = reached([condition, *body], apart)
            more = {x for x, after in zip(inputs, body) if after in found or condition in found} - apart
            if not more:
                break
            apart |= more
        wide = placeholders([(x.shape, x.dtype, x.device) for x in src])
        holders = [x if one in apart else one for one, x in zip(inputs, wide)]
        many = lifted([condition, *body], {one: x for one, x in zip(inputs, holders) if one in apart}, size)
        after = [x if one in apart else alone for one, x, alone in zip(inputs, many[1:], body)]
        if condition in found:
            after = [_chosen(many[0], new, old) for new, old in zip(after, holders)]
            condition = graph.reduce("or", many[0], (0,))
        begin = [x if one in apart or same is None else same for one, x, same in zip(inputs, src, alike)]
        state = looped(condition, after, holders, begin)[self.place]
        return state if inputs[self.place] in apart else _for_all(state, size)


def looped(
    condition: Node, body: Sequence[Node], inputs: Sequence[Node], begin: Sequence[Node]
) -> list[Node]:
    """The states after a loop that starts with begin, given its condition and body over inputs.

    Inputs beyond the states, and whatever else both use, stay the same.
    """
    roots = [condition, *body]
    outside = outside_of(roots, inputs)
    holders = placeholders([(x.shape, x.dtype, x.device) for x in outside])
    roots = replaced(roots, dict(zip(outside, holders)))
    condition_of, *body_of = recipes("while", roots, [*inputs, *holders])
    src = graph.storable((*begin, *outside))
    loop = While(condition_of, tuple(body_of))
    found = [
        first if after is x or not x.size else graph.carried(Carried(loop, i), src, x.shape)
        for i, (x, after, first) in enumerate(zip(inputs, roots[1:], begin))
    ]
    carried = [x for x in found if x.op == "while"]
    if len(carried) > 1:
        waiting.update(carried)
    return found


def together(nodes: Sequence[Node]) -> list[Node]:
    """Nodes, and the other states, still to be computed, of the loops they depend on."""
    loops = {(x.attr.loop, x.src) for x in toposort(nodes, into_realized=False) if x.op == "while"}
    known = set(nodes)
    others = [x for x in members(waiting) if x.realized is None and x not in known and (x.attr.loop, x.src) in loops]
    return [*nodes, *sorted(others, key=lambda x: x.attr.place)] if loops else list(nodes)


def recipes(name: str, roots: Sequence[Node], inputs: Sequence[Node]) -> tuple[Recipe, ...]:
    """The roots as recipes; those of equal graphs are the same, so plans are found again."""
    found = structure(roots, frozenset(inputs))
    number = {x: i for i, x in enumerate(inputs)}
    kinds = tuple((x.shape, x.dtype, x.device) for x in inputs)
    key = (found.key, tuple(number[x] for x in found.leaves if isinstance(x, Node)), kinds, name)
    if key not in _recorded:
        if len(_recorded) >= MOST_RECORDED:
            del _recorded[next(iter(_recorded))]
        _recorded[key] = tuple([Recipe(name, inputs, root) for root in roots])
    return _recorded[key]


def outside_of(roots: Sequence[Node], inputs: Sequence[Node]) -> list[Node]:
    """What roots use that depends on no input, numbers and counts apart; views of it are no larger than it is."""
    inside = reached(roots, set(inputs))
    used = [x for node in toposort(roots) if node in inside for x in node.src if x not in inside and not _is_plain(x)]
    return list(dict.fromkeys([*map(graph.behind_views, used), *(root for root in roots if root not in inside)]))


def _is_plain(x: Node) -> bool:
    return uniform(x) is not None or x.op in LEAVES - {"buffer"}


def replaced(roots: Sequence[Node], by: dict[Node, Node]) -> list[Node]:
    """The roots with other nodes in the places of some."""
    done = dict(by)
    for node in toposort(roots, leaves=by):
        if node not in done:
            src = [done[x] for x in node.src]
            done[node] = graph.rebuild(node, src) if node.src else node
    return [done[node] for node in roots]


def _of_all(x: Node) -> Node | None:
    """What is the same for all examples; None where examples differ."""
    if x.op != "expand" or x.src[0].shape[0] != 1 or x.src[0].shape[1:] != x.shape[1:]:
        return None
    return graph.reshape(x.src[0], x.shape[1:])


def _for_all(x: Node, size: int) -> Node:
    return graph.expand(graph.reshape(x, (1, *x.shape)), (size, *x.shape))


def _chosen(which: Node, new: Node, old: Node) -> Node:
    """The new values of examples for which a condition holds, the old ones of others."""
    rest = (1,) * (len(new.shape) - 1)
    return elementwise("where", graph.expand(graph.reshape(which, (which.size, *rest)), new.shape), new, old)
