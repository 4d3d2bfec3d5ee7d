"""Calls: several operations as one node of the graph.

Comes in: a function of nodes, to be recorded; or a graph with calls and gradients in it.  Goes out: a `Recipe`; or the
graph with each of them replaced by the operations it stands for.  Only a plan needs those operations, so a graph of a
structure met before costs one node per call: no softmax is spelled out and nothing is differentiated a second time.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from codegen.dtypes import FLOAT8, DType
from kernelforge.graph import Node, Shape, buffer, cast, full, node_of, rebuild, remade, toposort, uniform, user_line
from kernelforge.interning import new_node
from kernelforge.later import later
from kernelforge.node import is_stored
from kernelforge.rewrites.virtual import (
    VIRTUAL,
    Images,
    images_as_parts,
    images_of,
    kept,
    leaf_images,
    stored,
    sum_of_products,
    whole,
)

if TYPE_CHECKING:
    from kernelforge import grad
else:
    later(globals(), grad="kernelforge.grad")

Signature = tuple[Shape, DType, str | None]
DEFERRED: Final = frozenset(("call", "gradient"))
gradients: Final[WeakSet[Node]] = WeakSet()  # all that were asked for


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
        if not differentiates(toposort([result])):
            (result,) = _together([result])
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
        """True when the same steps are right for all inputs alike: nothing outside was read, nothing moved.

        What is on no device is made of nothing, whether somebody has computed it or not.
        """
        order = toposort(self.constants)
        outside = any(x.op == "buffer" or (x.realized is not None and x.device is not None) for x in order)
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
    node = node_of("gradient", (output, cotangent, target, *cuts), None, target.shape, target.dtype)
    gradients.add(node)
    return node


def placeholders(signatures: Iterable[Signature]) -> list[Node]:
    """Nodes of given shapes, dtypes and devices to record a function with."""
    return [new_node("input", (), i, *signature) for i, signature in enumerate(signatures)]


def expanded(roots: Sequence[Node], history: bool = False, inside: Container[Node] | None = None) -> list[Node]:
    """The roots, with the operations that calls and gradients stand for in the places of these.

    Nodes of types kernels do not know are spelled in those they know; a root of such a type is made of these.
    A computed node stays computed: its counterpart gets its buffer.

    history  True: also in what realized nodes were computed from, which gradients go through
    inside   the only nodes to look into: others stay what they are, to later gradients too; None: all
    """
    order = toposort(roots, into_realized=history)
    fixed = frozenset[Node]() if inside is None else frozenset(node for node in order if node not in inside)
    if not _has_to_be_spelled(toposort(roots, into_realized=history, leaves=fixed) if fixed else order):
        return list(roots)
    spelled = _spelled(roots, history, fixed)
    return [whole(root.dtype, found) if root.dtype in VIRTUAL else found[0] for root, found in spelled]


def reached(roots: Sequence[Node], inputs: Iterable[Node]) -> set[Node]:
    """The inputs, and what of the roots' graph depends on them."""
    found = set(inputs)
    for node in toposort(roots):
        if not found.isdisjoint(node.src):
            found.add(node)
    return found


def depending(roots: Sequence[Node], inputs: Iterable[Node]) -> set[Node]:
    """The nodes of a function's results that depend on its inputs, and those that gradients among these go through.

    All else belongs to others, who may differentiate by it.
    """
    found, known = set(inputs), set[Node]()
    while True:
        found = reached(roots, found)
        gradients = {node for node in found if node.op == "gradient"} - known
        if not gradients:
            return found
        known |= gradients
        targets = dict[Node, set[Node]]()
        for node in gradients:
            targets.setdefault(node.src[0], set()).add(node.src[2])
        for output, ends_of in targets.items():
            found |= reached([output], ends_of) - ends_of


def _has_to_be_spelled(order: Iterable[Node]) -> bool:
    return any(node.op in DEFERRED or node.dtype in VIRTUAL for node in order)


def memory_forms(roots: Sequence[Node], known: Container[int] | None = None) -> list[Node]:
    """The nodes whose elements memory is to hold for roots, with nothing in them that has to be spelled out.

    Unless gradients look into them, realized nodes are buffers in it: a node that is realized all the same is one that
    operations arrived at which happen to be those of a realized one.

    known   the buffers that may be read, by id; None: all of them
    """
    roots = _on_buffers(roots, known)
    if _has_to_be_spelled(toposort(roots, into_realized=False)):
        roots = [stored(root.dtype, found) for root, found in _spelled(roots, False)]
    return _together(roots)


def _together(roots: Sequence[Node]) -> list[Node]:
    """Roots in which equal operations that were kept apart for the sake of gradients are one.

    Holds where no gradients are left: f(x), f(x) kept apart -> f(x).
    """
    order = toposort(roots, into_realized=False)
    if not any(node.apart for node in order):
        return list(roots)
    done: dict[Node, Node] = {}
    for node in order:
        src = tuple([done[x] for x in node.src if x in done])
        if is_stored(node) or len(src) < len(node.src) or not src:
            done[node] = node
            continue
        with user_line(node.line):
            done[node] = remade(node, src) if node.apart else rebuild(node, src)
    return [done[root] for root in roots]


def _on_buffers(roots: Sequence[Node], known: Container[int] | None) -> Sequence[Node]:
    """Roots with buffers in the places of realized nodes, unless gradients ask how these were computed."""
    order = toposort(roots, into_realized=False)
    if all(x.realized is None or x.op == "buffer" for x in order) or differentiates(order):
        return roots
    read, done = _read(roots), dict[Node, Node]()
    for node in order:
        realized = node.realized
        if node not in read:
            done[node] = node
        elif realized is not None and node.op != "buffer":
            is_known = known is None or id(realized) in known
            done[node] = buffer(realized, node.shape, node.dtype) if is_known else node
        else:
            with user_line(node.line):
                done[node] = rebuild(node, [done[x] for x in node.src])
    return [done[root] for root in roots]


def _read(roots: Sequence[Node]) -> set[Node]:
    """What a graph's structure tells of: not what constants are made of, which may be realized for others."""
    found: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            if node.realized is None and (node.device is not None or uniform(node) is None):
                stack += node.src
    return found


def differentiates(nodes: Iterable[Node]) -> bool:
    """True when there is a gradient among nodes."""
    return any(node.op == "gradient" for node in nodes)


def is_stray(node: Node, known: Container[int], repeated: bool) -> bool:
    """True for a node in a spelled graph that is realized, but not where the graph's structure says so.

    A constant's value is part of that, also where others of it are realized.

    known     the leaves' buffers, by id
    repeated  no gradient looks into realized nodes, so those the structure knows of are buffers here
    """
    realized = node.realized
    if realized is None or node.op == "buffer":
        return realized is not None and id(realized) not in known
    return repeated or id(realized) not in known or uniform(node) is not None


def _spelled(
    roots: Sequence[Node], history: bool, fixed: frozenset[Node] = frozenset()
) -> list[tuple[Node, Images]]:
    """Each root with its images; the fixed nodes are not looked into."""
    order = toposort(roots, into_realized=history, leaves=fixed)
    if not history and differentiates(order):
        return _spelled(roots, True, fixed)
    plain, order = _replayed(roots, order, fixed, _asked_for(order, fixed))
    done = _images(order, fixed=fixed)
    return [(root, done[node]) for root, node in zip(roots, plain)]


def _asked_for(order: Iterable[Node], fixed: frozenset[Node] = frozenset()) -> set[Node]:
    """The computed nodes that gradients are taken by, or end at.

    What is spelled out around them may arrive at the same operations, whose gradients are none of theirs.
    """
    found = {x for node in order if node.op == "gradient" and node not in fixed for x in node.src[2:]}
    return {node for node in found if is_computed(node)}


def is_computed(node: Node) -> bool:
    """True for what others, too, can be computed like, or parts of which others are."""
    return node.dtype in VIRTUAL or (bool(node.src) and node.op not in ("detach", "surrogate"))


def _own(node: Node, number: int) -> Node:
    """A node of the same elements that nothing else arrives at, as long as the number is its own."""
    found = node_of("surrogate", (node, node), ("own", number), node.shape, node.dtype)
    found.realized = found.realized or node.realized
    return found


def _replayed(
    roots: Sequence[Node], order: list[Node], fixed: frozenset[Node] = frozenset(), own: Container[Node] = frozenset()
) -> tuple[Sequence[Node], list[Node]]:
    """The roots, with the operations that calls stand for in the places of these; and all their nodes, in order.

    Such an operation may happen to be computed already; it is looked into in any case.

    own   nodes whose counterparts are to be nobody else's
    """
    if all(node.op != "call" or node in fixed for node in order):
        return roots, order
    leaves = set()
    done: dict[Node, Node] = {}
    for node in order:
        src = [done[x] for x in node.src if x in done]
        if len(src) < len(node.src) or not src or node in fixed:
            done[node] = node
            leaves.add(node)
            continue
        with user_line(node.line):
            done[node] = node.attr.replayed(src) if node.op == "call" else rebuild(node, src)
        if done[node].realized is None:
            done[node].realized = node.realized
        if node in own:
            done[node] = _own(done[node], len(done))
    plain = [done[node] for node in roots]
    return plain, toposort(plain, leaves=leaves)


def _images(
    order: Sequence[Node], own: Iterable[Node] = (), fixed: frozenset[Node] = frozenset()
) -> dict[Node, Images]:
    """The images of nodes without calls, sources before users.

    own    nodes a gradient must tell from others of the same values, beside those the graph asks for
    fixed  nodes whose images are made of themselves
    """
    targets: dict[tuple[Node, ...], list[Node]] = {}
    own = set(own)
    for node in order:
        if node.op == "gradient" and node not in fixed:
            targets.setdefault(_group(node), []).append(node)
    own |= _asked_for(order, fixed)
    done: dict[Node, Images] = {}
    for node in order:
        if node in done:
            continue
        with user_line(node.line):
            if node in fixed:
                done[node] = leaf_images(node) if node.op == "const" else images_as_parts(node)
            elif node.op == "gradient":
                _differentiate(targets[_group(node)], done)
            else:
                done[node] = _image(node, done)
            if node in own:
                done[node] = tuple([_own(x, len(done)) for x in done[node]])
    return done


def _image(node: Node, done: dict[Node, Images]) -> Images:
    """The images of a node, in its buffer if it is computed.

    That of the sum of a product of complex numbers is made of sums of products.
    """
    follows = bool(node.src) and all(x in done for x in node.src)
    if not follows:
        return leaf_images(node, node.realized is not None)
    src = [done[x] for x in node.src]
    if node.dtype not in VIRTUAL and all(x.dtype not in VIRTUAL for x in node.src):
        return _held(node, (rebuild(node, [x for (x,) in src]),))
    product = node.src[0]
    if node.op == "reduce" and node.attr[0] == "add" and product.op == "mul" and product.dtype.is_complex:
        images = sum_of_products(node, *[done[x] for x in product.src])
    else:
        images = images_of(node, src)
    return _held(node, images)


def _held(node: Node, images: Images) -> Images:
    """Images of a node, in its buffer if it is computed."""

    def computed(x: Node) -> Node:
        x.realized = x.realized or node.realized
        return x

    if node.realized is None:
        return images
    return kept(node, images, computed) if node.dtype in VIRTUAL else (computed(images[0]),)


def _group(node: Node) -> tuple[Node, ...]:
    """What gradients that are found by one walk have in common: output, cotangent and cuts."""
    return (*node.src[:2], *node.src[3:])


def _differentiate(together: Sequence[Node], done: dict[Node, Images]) -> None:
    """Expands the gradients of one output that ask for different targets."""
    output, cotangent, *cuts = _group(together[0])
    here, dy = (_single(x, done) for x in (output, cotangent))
    places = [x for node in together for x in done[node.src[2]]]
    parts = grad.gradient(here, dy, places, [x for node in cuts for x in done[node]])
    found = iter(_in_known_types(parts) if any(node.dtype in VIRTUAL for node in done) else parts)
    for node in together:
        images = tuple([next(found) or full(node.shape, 0, x.dtype) for x in done[node.src[2]]])
        images = images if node.dtype not in FLOAT8 else images_of(cast(images[0], node.dtype), [images])
        done[node] = _held(node, images)


def _in_known_types(parts: Sequence[Node | None]) -> list[Node | None]:
    """Derivatives some of which were taken by rules for complex numbers."""
    done = _images(toposort([part for part in parts if part is not None]))
    return [None if part is None else done[part][0] for part in parts]


def _single(node: Node, done: dict[Node, Images]) -> Node:
    """A node's only image, or its two side by side."""
    return stored(node.dtype, done[node]) if node.dtype.is_complex else done[node][0]


def depends(output: Node, cotangent: Node, targets: Sequence[Node], cuts: Sequence[Node] = ()) -> list[bool]:
    """For each target, whether the output depends on it through operations that have a gradient, and not by cuts."""
    roots = [output, cotangent, *targets, *cuts]
    ends_at = set(filter(is_computed, roots[2:]))
    plain, order = _replayed(roots, toposort(roots), own=ends_at)
    done = _images(order, filter(is_computed, plain[2:]))
    here, dy = (_single(node, done) for node in plain[:2])
    places = [done[node] for node in plain[2:]]
    ends = [x for images in places[len(targets) :] for x in images]
    found = iter(grad.gradient(here, dy, [x for images in places[: len(targets)] for x in images], ends))
    reached = [[next(found) is not None for _ in images] for images in places[: len(targets)]]
    return [any(parts) for parts in reached]
