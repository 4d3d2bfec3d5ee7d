"""Values that a gradient is going to read, computed with what is read before it.

Comes in: the nodes of graphs with gradients, then graphs about to be computed.  Goes out: the places of nodes that had
better be computed with them.  Where a program reads a loss before its gradient,

    loss = model(x).cross_entropy(y); print(loss.item()); loss.backward()

the first graph is the loss alone, and the second goes through how it was computed once more.  The first time, that is
what is done.  From then on graphs like the first also give the values that are dear to compute again: results of
products, of loops and of the host.  They belong to the nodes of the loss's past, and go with it, or once an optimiser
has made its step, or a later loss has gradients.  Where no gradient follows what is read, nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Final
from weakref import ref

from kernelforge import calls
from kernelforge.exclusive import lock
from kernelforge.graph import Node
from kernelforge.native import compiled
from kernelforge.recording import recorder
from kernelforge.rewrites.virtual import VIRTUAL
from kernelforge.seen import BIJECTIVE, REPEATING, contraction_operands, through
from kernelforge.structure import structure_on

MOST: Final = 1024  # structures
MOST_NODES: Final = 1 << 14  # of a graph that is looked at
MOST_READ: Final = 64  # losses whose backward() has not been called
MOST_LOOKED_AT: Final = 64  # values read before of one graph
MOST_GROWN: Final = 4  # elements of a product for each of its factors', or sums of
LONG: Final = 256  # so many terms
_DEAR: Final = frozenset(("host", "loop"))  # beside products
_LEFT: Final = frozenset(("copy", "while"))  # what is done otherwise than in kernels of its own

_places: Final[dict[tuple[str, ...], tuple[int, ...]]] = {}  # of what is read later, by kinds of graphs
_learned: Final = [0]
_given: Final[list[tuple[ref[Node], ...]]] = []  # what was computed with losses that were read,
_used: Final[list[tuple[ref[Node], ...]]] = []  # those whose gradients were asked for,
_past: Final[list[tuple[ref[Node], ...]]] = []  # and those of which that was before others were read


def learned() -> int:
    """How often something was learned: a graph that was looked at since needs no further look."""
    return _learned[0]


def follows(nodes: Sequence[Node], device: str) -> None:
    """Takes down which values a graph with gradients computes again that were read before, and how those came to be."""
    if recorder.get() is not None or len(nodes) > MOST_NODES or not any(x.op == "gradient" for x in nodes):
        return
    for node in [x for x in nodes if _was_read(x)][:MOST_LOOKED_AT]:
        buffer, node.realized = node.realized, None  # as it was before it was read
        try:
            found = structure_on([node], device)
            kind = _kind(found.nodes)
            places = () if kind in _places else _dear(node, found.nodes)
        finally:
            node.realized = buffer
        if places:
            _learn(kind, places)


def _was_read(node: Node) -> bool:
    """Whether a node is computed, a gradient may go through it, and what that needs is not all there."""
    is_one = node.realized is not None and node.dtype.is_inexact and node.op != "detach"
    return is_one and any(x.realized is None and x.src for x in node.src)


def _kind(nodes: Sequence[Node]) -> tuple[str, ...]:
    """What graphs have in common that are alike but for their sizes and numbers.  Such as are not alike all the same
    only give values that nobody reads."""
    return tuple([x.attr.name if x.op == "call" else x.op for x in nodes])


def _learn(kind: tuple[str, ...], places: tuple[int, ...]) -> None:
    if len(_places) >= MOST:
        del _places[next(iter(_places))]
    _places[kind] = places
    _learned[0] += 1
    if compiled is not None:
        compiled.forget_known()  # graphs with this one in it have more to give from now on


def read_later(wanted: Sequence[Node], nodes: Sequence[Node], device: str) -> list[Node]:
    """What is to be computed with some nodes, and first; nodes: all of their graph."""
    if not _places or recorder.get() is not None or any(x.op == "gradient" for x in nodes):
        return []
    found: dict[Node, None] = {}
    for node in wanted:
        graph = structure_on([node], device).nodes
        found |= dict.fromkeys([graph[place] for place in _places.get(_kind(graph), ())])
    apart = set(wanted)
    return [x for x in found if x not in apart and x.realized is None and x.src and x.device == device]


def given(nodes: Iterable[Node]) -> None:
    """Takes down what is about to be computed for a gradient; those asked for before the last such have had all."""
    _let_go(_past)
    _past.extend(_used)
    _used.clear()
    _given[:] = [some for some in _given[1 - MOST_READ :] if any(x() is not None for x in some)]
    _given.append(tuple(map(ref, nodes)))


def used(places: Container[object]) -> None:
    """Takes down that gradients are asked for that go through some nodes."""
    if _given:
        found = [some for some in _given if any(x() in places for x in some)]
        _given[:] = [some for some in _given if some not in found]
        _used.extend(found)


def is_wanted() -> bool:
    """Whether there is something that gradients were to read, and may not have read yet."""
    return bool(_used or _past)


def over() -> None:
    """Lets go of what gradients have read: it is computed again where somebody asks for it after all."""
    if recorder.get() is None:
        _let_go(_used)
        _let_go(_past)


def _let_go(given_then: list[tuple[ref[Node], ...]]) -> None:
    if given_then:
        with lock:  # while others plan, nodes stay as they are
            for node in [x() for some in given_then for x in some]:
                if node is not None and node.op != "buffer":
                    node.realized = None
            given_then.clear()


def _dear(root: Node, nodes: Sequence[Node]) -> tuple[int, ...]:
    """The places among the nodes of a root's graph of those that are dear to compute, and that both the root and its
    gradient are computed from."""
    if any(x.op == "gradient" for x in nodes):
        return ()
    both = _reached(root, of_gradient=False) & _reached(root, of_gradient=True) - {root}
    places = [i for i, x in enumerate(nodes) if x in both and x.op not in _LEFT and x.dtype not in VIRTUAL]
    spelled = calls.expanded([nodes[i] for i in places])
    ends = {x for x in spelled if x.src}
    return tuple([i for i, x in zip(places, spelled) if _is_dear(x, ends)])


def _reached(root: Node, of_gradient: bool) -> set[Node]:
    """What a value is computed from and has to be computed, or what its gradient goes through or ends at."""
    found: set[Node] = set()
    stack = [root]
    while stack:
        x = stack.pop()
        if x in found or x.realized is not None or not x.src or x.device is None:
            continue
        found.add(x)
        if x.op == "surrogate":
            stack += x.src[1:] if of_gradient else x.src[:1]
        elif not of_gradient or (x.op != "detach" and x.dtype.is_inexact):
            stack += x.src
    return found


def _is_dear(node: Node, ends: set[Node]) -> bool:
    """Whether to compute a node from the nearest ends, itself not counted, takes an operation that is dear."""
    stack, seen = [node], {node}
    while stack:
        x = stack.pop()
        if x.op in _DEAR or _is_dear_product(x):
            return True
        new = [y for y in x.src if y not in seen and y not in ends and y.realized is None]
        seen.update(new)
        stack += new
    return False


def _is_dear_product(node: Node) -> bool:
    """Whether a node is sums of products that are better stored than computed again: not those of short rows by each
    other that are far more than their factors, as scores of attention, which are cheap by the byte."""
    if not contraction_operands(node):
        return False
    product = through(node.src[0], BIJECTIVE | {"cast"})
    factors = sum(through(x, REPEATING | {"cast"}).size for x in product.src)
    return node.size <= MOST_GROWN * factors or product.size >= LONG * node.size


if compiled is not None:
    compiled.heed_early(given)
