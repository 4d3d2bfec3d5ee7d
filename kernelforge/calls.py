"""Calls: several operations as one node of the graph.

Comes in: a function of nodes, to be recorded; or a graph with calls and gradients in it.  Goes out: a `Recipe`; or the
graph with each of them replaced by the operations it stands for.  Only a plan needs those operations, so a graph of a
structure met before costs one node per call: no softmax is spelled out and nothing is differentiated a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from codegen.dtypes import DType
from kernelforge.grad import gradient
from kernelforge.graph import Node, Shape, full, node_of, rebuild, toposort, user_line
from kernelforge.node import new_node

Signature = tuple[Shape, DType, str | None]
DEFERRED: Final = frozenset(("call", "gradient"))


class Recipe:
    """What a function of nodes does, recorded by applying it to placeholders of given shapes, dtypes and devices.

    name       the function's, for people
    constants  nodes it uses that depend on no input
    steps      (op, places of the sources, attr, shape, dtype); places count inputs, constants, then earlier steps
    result     the place of the result
    """

    __slots__ = ("constants", "dtype", "name", "result", "shape", "steps")

    def __init__(self, name: str, inputs: Sequence[Node], result: Node) -> None:
        self.name, self.shape, self.dtype = name, result.shape, result.dtype
        open_nodes: dict[Node, None] = dict.fromkeys(inputs)
        for node in toposort([result]):
            if any(x in open_nodes for x in node.src):
                open_nodes[node] = None
        computed = [node for node in open_nodes if node.src]
        self.constants = tuple(dict.fromkeys(x for node in computed for x in node.src if x not in open_nodes))
        place = {node: i for i, node in enumerate((*inputs, *self.constants, *computed))}
        self.steps = tuple(
            (node.op, tuple([place[x] for x in node.src]), node.attr, node.shape, node.dtype) for node in computed
        )
        self.result = place.get(result, -1)

    def __repr__(self) -> str:
        return self.name

    @property
    def is_sound(self) -> bool:
        """True when the same steps are right for all inputs alike: nothing outside was read, nothing moved."""
        outside = any(x.op == "buffer" or x.realized is not None for x in toposort(self.constants))
        return self.result >= 0 and not outside and all(step[0] != "copy" for step in self.steps)

    def replayed(self, src: Sequence[Node]) -> Node:
        """The result for other inputs."""
        values = [*src, *self.constants]
        for op, places, attr, shape, dtype in self.steps:
            values.append(node_of(op, tuple([values[i] for i in places]), attr, shape, dtype))
        return values[self.result]


def call(recipe: Recipe, src: Sequence[Node]) -> Node:
    """The node that stands for a recipe applied to src."""
    return node_of("call", tuple(src), recipe, recipe.shape, recipe.dtype)


def derivative(output: Node, cotangent: Node, target: Node, cuts: tuple[Node, ...] = ()) -> Node:
    """The node that stands for the derivative of sum(output * cotangent) with respect to target.

    cuts  nodes no gradient goes on from
    """
    return node_of("gradient", (output, cotangent, target, *cuts), None, target.shape, target.dtype)


def placeholders(signatures: Iterable[Signature]) -> list[Node]:
    """Nodes of given shapes, dtypes and devices to record a function with."""
    return [new_node("input", (), i, *signature) for i, signature in enumerate(signatures)]


def expanded(roots: Sequence[Node], history: bool = False) -> list[Node]:
    """The roots, with the operations that calls and gradients stand for in the places of these.

    A computed node stays computed: its counterpart gets its buffer.

    history  True: also in what realized nodes were computed from, which gradients go through
    """
    order = toposort(roots, into_realized=history)
    if not any(node.op in DEFERRED for node in order):
        return list(roots)
    if not history and any(node.op == "gradient" for node in order):
        return expanded(roots, True)
    targets: dict[tuple[Node, ...], list[Node]] = {}
    for node in order:
        if node.op == "gradient":
            targets.setdefault(_group(node), []).append(node)
    done: dict[Node, Node] = {}
    for node in order:
        if node in done:
            continue
        with user_line(node.line):
            if node.op == "gradient":
                _differentiate(targets[_group(node)], done)
            else:
                src = [done[x] for x in node.src if x in done]
                keeps = len(src) < len(node.src) or not src
                done[node] = node if keeps else node.attr.replayed(src) if node.op == "call" else rebuild(node, src)
        if done[node].realized is None:
            done[node].realized = node.realized
    return [done[node] for node in roots]


def _group(node: Node) -> tuple[Node, ...]:
    """What gradients that are found by one walk have in common: output, cotangent and cuts."""
    return (*node.src[:2], *node.src[3:])


def _differentiate(together: Sequence[Node], done: dict[Node, Node]) -> None:
    """Expands the gradients of one output that ask for different targets."""
    output, cotangent, *cuts = (done[x] for x in _group(together[0]))
    found = gradient(output, cotangent, [done[node.src[2]] for node in together], cuts)
    for node, part in zip(together, found):
        done[node] = full(node.shape, 0, node.dtype) if part is None else part


def depends(output: Node, cotangent: Node, targets: Sequence[Node], cuts: Sequence[Node] = ()) -> list[bool]:
    """For each target, whether the output depends on it through operations that have a gradient, and not by cuts."""
    here, dy, *places = expanded([output, cotangent, *targets, *cuts], history=True)
    return [part is not None for part in gradient(here, dy, places[: len(targets)], places[len(targets) :])]
