"""Nodes, each one object as long as it lives.

Comes in: an operation, its sources and what follows from them.  Goes out: nodes; equal ones are the same object.  It
knows no operation and checks nothing: that is what `graph` is for.  Every operation of a user's program comes by here,
so it is written for speed: in C (`native/nodes.c`) where that is built, and below in Python, to the same effect.

A node is told from others of its operation and its sources by a `mark`, mostly its attr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from codegen.dtypes import DType
from kernelforge.blame import current_line
from kernelforge.buffer import Buffer
from kernelforge.errors import DeviceError
from kernelforge.exclusive import lock
from kernelforge.native import compiled
from kernelforge.node import Node, Shape

SWEPT_FROM: Final = 8192  # entries of the table from which those of dead nodes are looked for
MOST_STEPS: Final = 64  # of one view


def common_device(op: str, src: tuple[Node, ...]) -> str | None:
    """The one device sources live on."""
    device = None
    for node in src:
        if node.device is not None and node.device != device:
            if device is not None:
                raise DeviceError(
                    f"{op} of tensors on different devices, {device} and {node.device}: "
                    f"move one of them, for instance with .to({device!r})"
                )
            device = node.device
    return device


if TYPE_CHECKING or compiled is None:
    # The table holds nodes weakly, under keys that hold nothing: sources are in it by their identity.  As long as the
    # node of an entry lives its sources do, so no other object can have their identity.  An entry whose node is dead
    # counts for nothing; now and then they are taken out, all at once, which is cheaper than to hear of every death.

    _new: Final = object.__new__
    _table: Final[dict[tuple[Any, ...], ref[Node]]] = {}
    _room: Final = [SWEPT_FROM]
    _last_found: Final = [0]  # the identity of the node that was found rather than made, if one was last

    def find(op: str, mark: Any, src: tuple[Node, ...]) -> Node | None:
        """The living node of an operation, a mark and sources."""
        found = _table.get((op, mark, *map(id, src)))
        node = None if found is None else found()
        _last_found[0] = id(node)
        return node

    def interned(
        op: str, mark: Any, src: tuple[Node, ...], attr: Any, shape: Shape, dtype: DType, device: str | None
    ) -> Node:
        """The node of these; a new one if there is none."""
        key = (op, mark, *map(id, src))
        found = _table.get(key)
        if found is not None and (node := found()) is not None:
            _last_found[0] = id(node)
            return node
        return _made(key, op, src, attr, shape, dtype, device)

    def _made(
        key: tuple[Any, ...], op: str, src: tuple[Node, ...], attr: Any, shape: Shape, dtype: DType, device: str | None
    ) -> Node:
        """A new node.  No method of the class, and no function on top of another: that would take twice as long."""
        node = _new(Node)
        node.op = op
        node.src = src
        node.attr = attr
        node.shape = shape
        node.dtype = dtype
        node.device = device
        node.place = current_line.get()
        node.realized = None
        node.apart = False
        depth = 0
        for x in src:
            if x.depth >= depth:
                depth = x.depth + 1
        node.depth = depth
        _table[key] = ref(node)
        _last_found[0] = 0
        if len(_table) > _room[0]:
            _sweep()
        return node

    def node_of(op: str, src: tuple[Node, ...], attr: Any, shape: Shape, dtype: DType) -> Node:
        """The node of an operation whose shape and dtype are known to follow from op, src and attr."""
        first, count = src[0], len(src)
        key = (op, attr, id(first)) if count == 1 else (op, attr, *map(id, src))
        found = _table.get(key)
        if found is not None and (node := found()) is not None:
            _last_found[0] = id(node)
            return node
        device = first.device
        if count > 2 or src[-1].device is not device:
            device = common_device(op, src)
        return _made(key, op, src, attr, shape, dtype, device)

    def leaf(buf: Buffer, shape: Shape, dtype: DType | None) -> Node:
        """The node of a buffer's elements, of its own type or another."""
        if dtype is None or dtype is buf.dtype:
            key: tuple[Any, ...] = ("buffer", shape, id(buf))
        else:
            key = ("buffer", (shape, dtype), id(buf))
        found = _table.get(key)
        if found is not None and (node := found()) is not None:
            _last_found[0] = id(node)
            return node
        node = _new(Node)
        node.op, node.src, node.attr, node.shape = "buffer", (), buf, shape
        node.dtype, node.device, node.place, node.realized = dtype or buf.dtype, buf.device, None, None
        node.depth = 0
        node.apart = False
        _table[key] = ref(node)
        _last_found[0] = 0
        if len(_table) > _room[0]:
            _sweep()
        return node

    def _forget_source(node: Node) -> None:
        """Takes a node out of the table: what it was computed from is about to go, and others may get its identity."""
        _table.pop((node.op, node.attr, *map(id, node.src)), None)

    def set_apart(node: Node) -> None:
        """Has a node be found no more: an equal one that is made from now on is another."""
        _forget_source(node)
        node.apart = True
        _table["apart", id(node)] = ref(node)

    def own_node(node: Node, of: Node | None) -> Node:
        """What a tensor that gradients flow through takes for a node, which is nobody else's.

        Who was found rather than made is another's, or a part of what another computes: a sibling of the same sources
        takes its place.  So do siblings of what leads to it from the node of the tensor it is computed of, which may be
        what others took.  That node itself gets an alias, whose gradient goes on to it.
        """
        is_found, _last_found[0] = _last_found[0] == id(node) and bool(node.src), 0
        if node is of:
            return _apart(node, "reshape", (node,), node.shape)
        way = _way(node, of)
        if not is_found and len(way) < 2:
            return node
        src = way[-1].src
        for step in reversed(way):
            made = _apart(step, step.op, src, step.attr)
            if step.realized is not None:
                made.realized, made.depth = step.realized, 0
            src = (made,)
        return src[0]

    def _way(node: Node, of: Node | None) -> list[Node]:
        """What leads to a node from another, each the only source of the one before; the node alone if nothing does."""
        way = [node]
        while of is not None and len(way) <= MOST_STEPS and len(way[-1].src) == 1:
            if way[-1].src[0] is of:
                return way
            way.append(way[-1].src[0])
        return [node]

    def _apart(like: Node, op: str, src: tuple[Node, ...], attr: Any) -> Node:
        """A node nobody finds, of the shape, type and line of another."""
        made = _made(("apart", object()), op, src, attr, like.shape, like.dtype, like.device)
        made.place, made.apart = like.place, True
        return made

    def alive() -> list[Node]:
        """Every node there is."""
        return [node for reference in list(_table.values()) if (node := reference()) is not None]

    def entries() -> int:
        """How many entries the table of nodes has."""
        return len(_table)

    def _sweep() -> None:
        for key, reference in list(_table.items()):
            if reference() is None:
                _table.pop(key, None)
        _room[0] = max(SWEPT_FROM, 2 * len(_table))

else:
    compiled.set_nodes(Node, current_line.get, common_device)
    find, interned, node_of, leaf = compiled.find, compiled.interned, compiled.node_of, compiled.leaf
    alive, entries, set_apart, own_node = compiled.alive, compiled.entries, compiled.set_apart, compiled.own_node

    def _forget_source(node: Node) -> None:
        """Nothing: the table looks at the sources a node has now."""


class _Unlike:
    """A mark that equals no other; graphs of nodes with such marks are alike all the same.

    The module in C tells by hashes what graphs are like, so these are equal there; its table finds places by more.
    """

    __slots__ = ()

    if compiled is not None:

        def __hash__(self) -> int:
            return 1


def new_node(op: str, src: tuple[Node, ...], attr: Any, shape: Shape, dtype: DType, device: str | None) -> Node:
    """A node that nobody will find: equal ones are others."""
    return interned(op, _Unlike() if src else object(), src, attr, shape, dtype, device)


def let_go_of_sources(node: Node, *sources: Node) -> None:
    """Has a computed node be one of other sources, which hold the same elements, so that its own can go."""
    with lock:  # while others plan, nodes stay as they are
        if node.realized is not None:
            _forget_source(node)
            node.src = sources


def let_go(node: Node) -> None:
    """Makes a computed node that of its buffer, so that what it was computed from can go.

    It holds when no gradient is going to ask how it was computed.  Whatever uses the node sees the same elements.
    """
    with lock:  # while others plan, nodes stay as they are
        if node.realized is not None and node.op != "buffer":
            _forget_source(node)
            node.op, node.src, node.attr, node.realized = "buffer", (), node.realized, None
