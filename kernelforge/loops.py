"""Loops in the graph: one step recorded, walked over sequences, with the states after all steps as the result.

Comes in: a recipe for a step, what the state begins with, sequences, and values that stay the same.  Goes out: one
"loop" node, its gradient, and the same for many examples.  A plan plans one step and repeats it, so neither planning
nor compiling depends on the number of steps.

The gradient is a loop too, against the direction, of nothing but the state's cotangent.  What of a step is costly and
depends on no cotangent is stored by the loop itself: a node with its sources that holds a value of each step instead of
the states; one plan's rounds make all that is wanted of a loop.  Where the states were computed before, it is computed
for all steps at once, and so are, afterwards, the cotangents of the sequences and of what stays the same: a weight's is
one product, however many steps there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from codegen.ops import SCALAR_OPS
from kernelforge import graph
from kernelforge.calls import Recipe, Signature, placeholders
from kernelforge.grad import gradient
from kernelforge.grad.table import add, summed
from kernelforge.graph import Node, Shape, full, rebuild, toposort
from kernelforge.rewrites.lifted import lifted
from kernelforge.rewrites.tiling import tiled

LEAST: Final = 4  # steps that are worth a loop
COSTLY: Final = frozenset(("reduce", "scan", "gather", "scatter", "tally", "stack", "host", "loop", "while"))
REARRANGING: Final = frozenset(("reshape", "permute", "flip", "contiguous", "detach"))


class Loop(NamedTuple):
    """The attr of a loop node; its sources are what the state begins with, the sequences, and what stays the same.

        state[i] = step(state[i - 1], *(x[i] for x in sequences), *same)

    sequences  how many there are
    reverse    from their ends to their beginnings; states keep their places
    value      what the node holds instead of the states: a value each step has computed on its way
    apart      the shapes of the sequences' elements, where these and the states lie flat in memory that can be divided
               between them; see `planning.spaced`
    """

    step: Recipe
    sequences: int
    reverse: bool
    value: Recipe | None = None
    apart: tuple[Shape, ...] = ()

    @property
    def states(self) -> Loop:
        """The loop whose node is the states."""
        return self._replace(value=None)

    def gradient(self, node: Node, dy: Node) -> Sequence[Node | None]:
        """The cotangents of the sources."""
        if self.value is not None:
            return self._value_gradient(node.src, dy)
        taken = _Step(self, node.src)
        reach = taken.reach(dy)
        whole = dy if reach is None else add(dy, _shifted(reach, None, not self.reverse))
        first = None if reach is None else _element(reach, node.shape[0] - 1 if self.reverse else 0)
        return [first, *taken.others(whole)]

    def _value_gradient(self, src: Sequence[Node], dy: Node) -> Sequence[Node | None]:
        """The cotangents of the sources of values; of placeholders, for a source may be computed from another."""
        assert self.value is not None
        *inputs, cotangent = placeholders([*map(_kind, src), _kind(dy)])
        parts = gradient(_Step(self, inputs).at_once(self.value), cotangent, inputs)
        made = iter(_replaced([x for x in parts if x is not None], dict(zip([*inputs, cotangent], [*src, dy]))))
        return [None if part is None else next(made) for part in parts]

    def lifted(self, src: Sequence[Node], size: int) -> Node:
        """The loop of many examples at a time, given sources with the examples' dimension in front."""
        if self.value is not None:
            return self._values_lifted(src, size)
        init, *rest = src
        moved = [_swapped(x) for x in rest[: self.sequences]]
        inputs = placeholders((_kind(init), *map(_one, moved), *map(_kind, rest[self.sequences :])))
        single = placeholders([(x.shape[1:], x.dtype, x.device) for x in inputs])
        (result,) = lifted([self.step.replayed(single)], dict(zip(single, inputs)), size)
        return _swapped(
            walked(Recipe(self.step.name, inputs, result), init, moved, rest[self.sequences :], self.reverse)
        )

    def _values_lifted(self, src: Sequence[Node], size: int) -> Node:
        """The values of steps, of many examples at a time."""
        assert self.value is not None
        single = placeholders([(x.shape[1:], x.dtype, x.device) for x in src])
        (found,) = lifted([_Step(self, single).at_once(self.value)], dict(zip(single, src)), size)
        return found


def walked(step: Recipe, init: Node, sequences: Sequence[Node], same: Sequence[Node], reverse: bool = False) -> Node:
    """The states after all steps, in the places of the sequences' elements: [steps, *init.shape]."""
    steps = sequences[0].shape[0]
    values = (init, *sequences, *same)
    if steps < LEAST or not all(x.size for x in values) or not _computes(step):
        return _spelled_out(step, init, sequences, same, reverse)
    return graph.loop(Loop(step, len(sequences), reverse), values, (steps, *init.shape))


def _spelled_out(step: Recipe, init: Node, sequences: Sequence[Node], same: Sequence[Node], reverse: bool) -> Node:
    """The same, step by step in the graph."""
    state, states, steps = init, [], sequences[0].shape[0]
    for i in reversed(range(steps)) if reverse else range(steps):
        state = step.replayed([state, *(_element(x, i) for x in sequences), *same])
        states.append(state)
    return graph.stack(states[::-1] if reverse else states, ((0, steps),))


def _computes(step: Recipe) -> bool:
    """True for a step that does more than to rearrange."""
    return any(op not in graph.VIEWS and op not in REARRANGING for op, *_ in step.steps)


class _Step:
    """A step spelled out on placeholders, to be differentiated.

    node    the states after all steps
    inputs  of the step, and result: what it gives
    seen    for the inputs that differ from step to step, and values computed with them: all of them
    known   for inputs that stay the same: these
    """

    def __init__(self, loop: Loop, src: Sequence[Node]) -> None:
        init, *rest = src
        elements, same = rest[: loop.sequences], rest[loop.sequences :]
        self.loop, self.steps = loop, elements[0].shape[0]
        self.node = graph.loop(loop.states, src, (self.steps, *init.shape))
        self.inputs = placeholders((_kind(init), *map(_one, elements), *map(_kind, same)))
        self.result = loop.step.replayed(self.inputs)
        self.seen = dict(zip(self.inputs, (_shifted(self.node, init, loop.reverse), *elements)))
        self.known = dict(zip(self.inputs[1 + loop.sequences :], same))
        self.seen.setdefault(self.result, self.node)
        (self.carried, self.own) = placeholders([_kind(self.result)] * 2)
        self.cotangent = add(self.own, self.carried)

    def at_once(self, value: Recipe) -> Node:
        """A value of all steps, computed from the states."""
        (found,) = self._at_once([value.replayed(self.inputs)], self.seen)
        return found

    def reach(self, dy: Node) -> Node | None:
        """What of the states' cotangents reaches the state before each step; None where nothing does.

        What of the other cotangents it computes on its way is `seen` from then on.
        """
        part, *others = gradient(self.result, self.cotangent, self.inputs)
        if part is None:
            return None
        (part,) = tiled([part])
        ahead = _ahead(part, {self.own, self.carried}, self.result)
        if self.node.realized is None:
            self._see(self.node, self.inputs, self.result, ahead)
        held = dict(zip(ahead, placeholders([_kind(x) for x in ahead])))
        (changed,) = _replaced([part], held)
        used = set(toposort([changed]))
        sequences = {x: all_of for x, all_of in self.seen.items() if x in used}
        made = zip(held.values(), self._at_once(ahead, self.seen))
        sequences |= {x: all_of for x, all_of in made if x in used}
        same = {x: value for x, value in self.known.items() if x in used}
        inputs = [self.carried, self.own, *sequences, *same]
        step = Recipe(f"{self.loop.step.name}_gradient", inputs, changed)
        begin = full(self.carried.shape, 0, self.carried.dtype)
        found = walked(step, begin, [dy, *sequences.values()], list(same.values()), not self.loop.reverse)
        states = graph.behind_views(found)
        if states.op == "loop":
            shared = _shared(part, tiled([x for x in others if x is not None]), self.cotangent)
            self._see(states, inputs, changed, shared, held)
        return found

    def others(self, dy: Node) -> list[Node | None]:
        """The cotangents of the sequences and of what stays the same, given those of the states."""
        parts = gradient(self.result, self.cotangent, self.inputs[1:])
        made = iter(self._at_once(tiled([x for x in parts if x is not None]), {self.cotangent: dy, **self.seen}))
        found = [None if part is None else next(made) for part in parts]
        count = self.loop.sequences
        return [*found[:count], *(None if x is None else _over_steps(x) for x in found[count:])]

    def _see(
        self,
        states: Node,
        inputs: Sequence[Node],
        result: Node,
        values: Sequence[Node],
        held: Mapping[Node, Node] | None = None,
    ) -> None:
        """Notes the values a loop, given by its states, computes on its way to its result.

        inputs  of its step
        held    what stands for some of what the values are computed from, in the loop's step
        """
        loop, there = states.attr, set(toposort([result]))
        for value, spelled in zip(values, _replaced(values, held or {})):
            if spelled not in there or spelled is result or value.dtype is not states.dtype:
                continue
            recipe = Recipe(f"{loop.step.name}_value", inputs, spelled)
            shape = self.steps, *value.shape
            self.seen[value] = graph.loop(loop._replace(value=recipe), states.src, shape)

    def _at_once(self, roots: Sequence[Node], seen: Mapping[Node, Node]) -> list[Node]:
        """The values of nodes in all steps."""
        stands = dict(zip(seen, placeholders([_kind(x) for x in seen])))
        made = lifted(_replaced(roots, {**self.known, **stands}), {stands[x]: seen[x] for x in seen}, self.steps)
        return [seen.get(x, here) for x, here in zip(roots, made)]


def _shared(part: Node, others: Sequence[Node], cotangent: Node) -> list[Node]:
    """What costly values other cotangents need are computed for one."""
    here, order = set(toposort([part])), toposort(others)
    wait = {cotangent}
    for node in order:
        if not wait.isdisjoint(node.src):
            wait.add(node)
    own = [x for node in order if node not in here for x in node.src] + list(others)
    found = dict.fromkeys(graph.behind_views(x) for x in own if x in here and x in wait)
    return [x for x in found if x.op in COSTLY]


def _ahead(part: Node, cotangents: set[Node], result: Node) -> list[Node]:
    """What a step's gradient is to find computed: its result, and costly values, or what they lead to alone, that need
    no cotangent."""
    order = toposort([part])
    waits: set[Node] = set(cotangents)
    costly: set[Node] = set()
    for node in order:
        if not waits.isdisjoint(node.src):
            waits.add(node)
        elif node.op in COSTLY or not costly.isdisjoint(node.src):
            costly.add(node)
    needed: dict[Node, None] = {part: None}
    users: dict[Node, list[Node]] = {}
    found: dict[Node, None] = {}
    for node in reversed(order):
        if node is result or (node in needed and node in costly and node.op in COSTLY):
            found[node] = None
        elif node not in needed:
            continue
        elif node in waits or node in costly:
            needed |= dict.fromkeys(node.src)
            for x in node.src:
                users.setdefault(x, []).append(node)
    return list(dict.fromkeys(_led_to(node, users, waits) for node in found))


def _led_to(node: Node, users: Mapping[Node, Sequence[Node]], waits: set[Node]) -> Node:
    """The last of the elementwise values of a node's size that it leads to alone."""
    while len(users.get(node, ())) == 1:
        (user,) = users[node]
        if user in waits or user.size != node.size or not (user.op in SCALAR_OPS or user.op in REARRANGING):
            break
        node = user
    return node


def _replaced(roots: Sequence[Node], by: Mapping[Node, Node]) -> list[Node]:
    """The roots with other nodes in the places of some."""
    done = dict(by)
    for node in toposort(roots):
        if node not in done:
            src = [done[x] for x in node.src]
            done[node] = rebuild(node, src) if node.src else node
    return [done[node] for node in roots]


def _over_steps(x: Node) -> Node:
    """The sum of [steps, ..] over steps: where it is one of products, the same sum."""
    views: list[Node] = []
    while x.op in ("permute", "reshape") and x.src[0].shape[:1] == x.shape[:1] and (x.op == "reshape" or not x.attr[0]):
        views.append(x)
        x = x.src[0]
    if x.op == "reduce" and x.attr[0] == "add":
        found = graph.reduce("add", x.src[0], (0, *x.attr[1]))
    else:
        found = summed(x, (0,))
    for view in reversed(views):
        found = (
            graph.reshape(found, view.shape[1:])
            if view.op == "reshape"
            else graph.permute(found, tuple(d - 1 for d in view.attr[1:]))
        )
    return found


def _kind(x: Node) -> Signature:
    return x.shape, x.dtype, x.device


def _one(x: Node) -> Signature:
    """The signature of a sequence's elements."""
    return x.shape[1:], x.dtype, x.device


def _element(x: Node, i: int) -> Node:
    return graph.reshape(graph.shrink(x, ((i, i + 1), *((0, n) for n in x.shape[1:]))), x.shape[1:])


def _swapped(x: Node) -> Node:
    """x with its first two dimensions exchanged."""
    return graph.permute(x, (1, 0, *range(2, len(x.shape))))


def _shifted(x: Node, first: Node | None, reverse: bool) -> Node:
    """first, or zeros, and all elements of x but the last; when reverse all but the first, and then that."""
    steps, rest = x.shape[0], [(0, n) for n in x.shape[1:]]
    none = [(0, 0)] * len(rest)
    kept, pads = ((1, steps), (0, 1)) if reverse else ((0, steps - 1), (1, 0))
    moved = graph.pad(graph.shrink(x, (kept, *rest)), (pads, *none))
    if first is None:
        return moved
    end = (steps - 1, 0) if reverse else (0, steps - 1)
    return add(moved, graph.pad(graph.reshape(first, (1, *first.shape)), (end, *none)))
