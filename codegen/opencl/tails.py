"""How the last tile of a loop is printed when the axis' size is no multiple of it.

Comes in: a loop of a nest.  Goes out: one of three ways.  The tile may be moved back over the previous one, when doing
points again changes nothing; its body may be printed a second time for the points it holds; or one body serves all
tiles and guards what it stores.  It knows no text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codegen.dots import dot_of
from codegen.index import Axis, Index
from codegen.ir import Coord, Expr, Kernel, Load, Reduce, Valid, children
from codegen.nodes import (
    Advance,
    Box,
    Declare,
    Environment,
    Finish,
    Keep,
    Loop,
    Nest,
    Node,
    Out,
    Pack,
    Scale,
    Settle,
    Shift,
    Update,
    WriteBack,
    leaf_roots,
    nodes,
)

FEW = 4  # vectors
ROWS = (4, 3, 2)  # of a last tile along an open axis that are done together
WASTE = 16  # the last tile may do one in so many of an axis' points for nothing
_IDEMPOTENT = frozenset(("max", "min", "and", "or"))


def overlaps(loop: Loop, nest: Nest) -> bool:
    """True when the last tile of an innermost loop over its axis may begin at size - tile, a little of it being done
    twice.

    Stores must not accumulate nor replace what is read, and all that the body adds to must be made inside it; indices
    and layouts must not rely on tiles that begin at multiples of their size.
    """
    axis, size = loop.axis, loop.axis.size
    extent, inner = loop.place.tile(axis), list(nodes(loop.body))
    if loop.place.var(axis) is not None and size % extent < loop.tile and not _keeps_to_itself(inner):
        return False
    if size < loop.tile or _is_wasteful(loop, nest) or _is_walked(axis, inner):
        return False
    return _is_repeatable(inner) and _is_even(axis, inner) and _is_free(axis, inner, nest.kernel)


def wants_twin(loop: Loop, nest: Nest) -> bool:
    """True when masks would cost: the body loads along the axis, or reduces over it, or stores with it as the lane, or
    accumulates many vectors that the last tile does not need."""
    axis, inner, vector = loop.axis, list(nodes(loop.body)), nest.schedule.vector
    if _is_walked(axis, inner):
        return False
    plain = not any(isinstance(n, Loop) for n in inner)
    fewer = axis in vector and _is_wasteful(loop, nest)
    for n in inner:
        if isinstance(n, (Update, Keep, Advance, Settle, Out, Pack)) and _touches(leaf_roots(n), axis, n.env):
            return True
        if isinstance(n, Update) and (axis in n.reduce.bound or (fewer and axis in n.reduce.axes)):
            return True
        if plain and isinstance(n, Out) and axis in vector and axis in n.store.axes:
            return True
    return False


def shorter_steps(loop: Loop, nest: Nest) -> tuple[int, ...]:
    """Steps of fewer vectors than a tile has, in which the last tile along an open axis is walked: masking what is not
    there would cost as much as computing it.  None where a box is laid out for whole tiles: in panels, of which a
    shorter step may begin in the middle, or inside the loop."""
    lanes, inner = nest.target.lanes, list(nodes(loop.body))
    if loop.axis not in nest.schedule.vector or any(isinstance(n, Pack) for n in inner):
        return ()
    if not _is_even(loop.axis, inner):
        return ()
    return tuple(step for step in (FEW * lanes, lanes) if step < loop.tile and loop.tile % step == 0)


def fewer_rows(loop: Loop, nest: Nest) -> int:
    """The rows that are done together of a last tile along an open axis, where there may be few in it: a tile that sums
    are accumulated for in registers, a row of vectors for each of its points.  0 where it stays whole: where rows would
    go beyond the tile, and where sums go back to a wider box, of which registers hold a slice as long as a tile."""
    axis, inner = loop.axis, list(nodes(loop.body))
    rows = next((n for n in ROWS if loop.tile >= 2 * n and loop.tile % n == 0), 0)
    if not rows or axis in nest.schedule.vector or loop.grid or _is_walked(axis, inner):
        return 0
    if any(isinstance(n, WriteBack) and axis in n.inner.tile for n in inner):
        return 0
    if any(isinstance(n, Pack | Advance) for n in inner) or any(_has_panels(box, axis) for box in _outer(inner)):
        return 0
    sums = any(isinstance(n, Update) and not n.box.array and axis in n.box.tile for n in inner)
    return rows if sums and any(isinstance(n, Loop) for n in inner) else 0


def _has_panels(box: Box, axis: Axis) -> bool:
    """True for a packed box that is laid out in panels along an axis, or along one of its image that sums it."""
    along = {axis}
    if box.image is not None:
        along.update(new for new, index in box.image.at.items() if axis in index.axes)
    return any(sum(a is one for a, _ in box.layout or ()) > 1 for one in along)


def moves_back(loop: Loop, nest: Nest) -> int:
    """The step that may end with an open axis, a little of it being done twice; 0 where none may."""
    inner, lanes = list(nodes(loop.body)), nest.target.lanes
    steps = shorter_steps(loop, nest)
    step = steps[-1] if steps else loop.tile
    if loop.axis not in nest.schedule.vector or step != lanes or any(isinstance(n, Pack) for n in inner):
        return 0
    if not _is_even(loop.axis, inner) or (loop.place.var(loop.axis) is not None and not _keeps_to_itself(inner)):
        return 0
    repeats = not _is_walked(loop.axis, inner) and _is_repeatable(inner)
    return step if repeats and _is_free(loop.axis, inner, nest.kernel) else 0


def takes_groups(loop: Loop, nest: Nest) -> bool:
    """True for an innermost loop that adds products by groups: where a group may overhang it is taken apart."""
    return any(
        isinstance(n, Update) and loop.axis in n.reduce.bound and dot_of(n.reduce, nest.target) for n in loop.body
    )


def _is_wasteful(loop: Loop, nest: Nest) -> bool:
    """True when computing the last tile as a whole does much for nothing: lanes come in whole vectors anyway."""
    rest = loop.axis.size % loop.tile
    unit = nest.target.lanes if loop.axis in nest.schedule.vector else 1
    return (loop.tile - -(-rest // unit) * unit) * WASTE > loop.axis.size


def _is_walked(axis: Axis, inner: Sequence[Node]) -> bool:
    return any(isinstance(n, Loop) and n.axis is axis for n in inner)


def _is_repeatable(inner: Sequence[Node]) -> bool:
    """True when running the nodes twice at some points leaves what running them once does."""
    own = {n.box for n in inner if isinstance(n, Declare)}
    for n in inner:
        if isinstance(n, Out) and n.store.mode not in ("set", "flag"):
            return False
        if isinstance(n, Update) and n.box not in own and n.reduce.op.name not in _IDEMPOTENT:
            return False
        if not own.issuperset(_changed(n)):
            return False
    return True


def _changed(node: Node) -> Sequence[Box]:
    """The boxes a node changes, but for those `Update` adds to and those that only take a value."""
    if isinstance(node, WriteBack):
        return (node.outer,)
    if isinstance(node, Advance):
        return (node.carry,)
    if isinstance(node, Finish):
        return (node.to,)
    if isinstance(node, Scale):
        return (node.box,)
    if isinstance(node, Shift):
        return (node.running, node.chunk, node.center, *(box for _, box in node.factors))
    return [box for _, box in node.factors] if isinstance(node, Settle) else ()


def _is_even(axis: Axis, inner: Sequence[Node]) -> bool:
    """True when no packed box from outside has panels along the axis, which begin at multiples of their width, or sums
    it with others."""
    for box in _outer(inner):
        summed = box.image is not None and any(axis in index.axes for index in box.image.at.values())
        if summed or sum(a is axis for a, _ in box.layout or ()) > 1:
            return False
    return True


def _keeps_to_itself(inner: Sequence[Node]) -> bool:
    """True when the nodes use no box made outside of them: such boxes begin where the enclosing tile does."""
    own = {n.box for n in inner if isinstance(n, Declare)}
    filled = {n.box for n in inner if isinstance(n, (Update, Keep, Advance))}
    return not _outer(inner) and own.issuperset(filled)


def _outer(inner: Sequence[Node]) -> set[Box]:
    """The boxes nodes read that are made outside of them."""
    own = {n.box for n in inner if isinstance(n, Declare)}
    used = {box for n in inner if isinstance(n, (Update, Keep, Advance, Settle, Out, Pack)) for box in n.env.values()}
    return used - own


def _is_free(axis: Axis, inner: Sequence[Node], kernel: Kernel) -> bool:
    """True when the nodes replace nothing that is read, which is read where it is stored, and no index divides the
    axis."""
    read = {e.param for e in kernel.loads}
    adds = any(store.mode not in ("set", "flag") and store.param in read for store in kernel.stores)
    if adds or any(isinstance(n, Out) and n.store.param in read for n in inner):
        return False
    divided = (atom for index in _indices(kernel) for atom in index.atoms() if atom.kind != "dynamic")
    return not any(axis in atom.axes for atom in divided)


def _indices(kernel: Kernel) -> Iterator[Index]:
    """Every index and every guarded index of a kernel."""
    for e in kernel.exprs:
        if isinstance(e, (Load, Coord)):
            yield e.index
        if isinstance(e, (Load, Valid)):
            yield from (guard.index for guard in e.guards)
    for store in kernel.stores:
        yield store.index
        yield from (guard.index for guard in store.guards)


def _touches(roots: Sequence[Expr], axis: Axis, env: Environment) -> bool:
    """True when evaluating the roots loads along the axis or reduces over it."""
    stack, seen = list(roots), set[Expr]()
    while stack:
        e = stack.pop()
        if e in seen or e in env:
            continue
        seen.add(e)
        if (isinstance(e, Load) and axis in e.axes) or (isinstance(e, Reduce) and axis in e.bound):
            return True
        stack.extend(children(e))
    return False
