"""Large reductions to few results, and scans of few long lines, become two: partial results in parallel first.

Comes in: a graph.  Goes out: the same graph with these replaced, before -> after

    reduce(x, n)  ->  reduce(contiguous(reduce(x as (parts, n / parts), n / parts)), parts)
    scan(x, n)    ->  scan(x as (parts, n / parts), n / parts) combined with the totals of the parts before

so that all processors take part.  The number of parts follows from the sizes alone: results are the same in every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from codegen.choose.rounds import MIDDLE, WORTH, effort
from codegen.open_sizes import STATIC, Sizes
from codegen.ops import REDUCE_OPS
from codegen.target import Target
from kernelforge import graph
from kernelforge.graph import Node, rebuilt, toposort
from kernelforge.seen import BIJECTIVE, SEE_THROUGH, contraction_operands, through

CHUNK = 4096
COLUMN_CHUNK = 256  # rows of a GPU's part of a sum down columns: enough parts to keep memory busy
FEWEST_COLUMN_PARTS = 4  # fewer are no sooner done than another launch begins
CHUNK_CONTRACTION = 1024
LEAST = 1 << 19  # products of a part: less is done before another launch is
TILE = 4096  # results of a contraction that one program computes at the least
MANY_ROUNDS = 8  # tiles of each processor of a GPU from which on it matters little that some have one less
BALANCE = 70  # products and sums in the time of a byte from memory, 16-bit operands; a sixth for 32 bits
LAUNCH = 5e6  # of one processor in the time another launch takes
CHUNK_SCAN = 1 << 15  # least elements of a part of a scan: another launch costs as much as some 2^14
FEW = 4  # processors that are too few to split a scan
OPEN_PART = 16  # the least length of a part of an open size, near the size's bound
LEAST_PARTS = 4
SHARES = 32  # parts of each processor that reads memory: one of them that is held up leaves what it has not begun
CASTS = SEE_THROUGH | {"cast"}
COLUMNS = 64  # lines across memory one program walks together


@dataclass(frozen=True)
class Part:
    """How to split a reduction or a scan: the dimension of its operand, and the number of parts."""

    dim: int
    parts: int


def split(outputs: Sequence[Node], target: Target, sizes: Sizes = STATIC) -> list[Node]:
    """The outputs with large reductions to few results and long scans split; the same nodes where there is none."""
    order = toposort(outputs, into_realized=False)
    rules = {"reduce": partition, "scan": scan_partition}
    parts = {node: part for node in order if node.op in rules and (part := rules[node.op](node, target)) is not None}
    if not parts:
        return list(outputs)
    users = _users(order)

    def change(node: Node, new: Node) -> Node:
        if node not in parts:
            return new
        part = parts[node]
        if node.op != "reduce":
            return _split_scan(new, part)
        is_contraction = bool(contraction_operands(node))
        if sizes.open and target.language == "triton" and not is_contraction:
            part = _open_part(new, part)
        if not (sizes.open and sizes.has(new.src[0].shape[part.dim])):
            return _split(new, part, _order_of_use(node, users), target.language == "triton" and is_contraction)
        # the guards of the last part would cost a contraction more than other processors gain
        return new if is_contraction else _split_open(new, part, sizes)

    return rebuilt(order, outputs, change)


def partition(node: Node, target: Target) -> Part | None:
    """How to split a reduction, or None if it is better left alone."""
    if node.realized is not None or not node.size or not node.src[0].size:
        return None
    shape, (_, dims) = node.src[0].shape, node.attr
    length = prod(shape[d] for d in dims)
    gpu = target.language == "triton"
    if factors := contraction_operands(node):
        if gpu:
            return _contraction_parts(node, length, target)
        batch = prod(x.size for x in factors) // (node.size * length**2)
        programs, chunk, shares = max(batch, node.size // TILE), max(CHUNK_CONTRACTION, -(-LEAST // node.size)), 4
    else:
        rows = dims[-1] == len(shape) - 1
        programs, chunk = node.size // (1 if rows else 64 if gpu else 16), max(CHUNK, (1 << 17) // target.cores)
        chunk, shares = COLUMN_CHUNK if gpu and not rows else chunk, 4 if gpu else SHARES
    if programs >= target.cores:
        return None
    wanted = min(shares * target.cores // max(1, programs), length // chunk)
    if wanted < (FEWEST_COLUMN_PARTS if chunk == COLUMN_CHUNK else 2):
        return None
    wanted = 1 << (wanted.bit_length() - 1) if gpu else wanted  # parts that need no masks
    dim = _dim_of(shape, dims, wanted) if gpu else next(d for d in dims if shape[d] > 1)
    return Part(dim, min(wanted, shape[dim]) if gpu else _parts(shape[dim], min(wanted, shape[dim])))


def _parts(size: int, most: int) -> int:
    """The parts of a dimension, half as many as may be at the least, that leave a rest no longer than each of them.

    >>> _parts(127, 64), _parts(1_000_003, 64)
    (63, 64)
    """
    return min(range(most, most // 2, -1), key=lambda parts: max(0, size % parts - size // parts))


def _contraction_parts(node: Node, length: int, target: Target) -> Part | None:
    """How to split a contraction on a GPU: so that all processors end at about the same time.

    Powers of two, which are parts that need no masks, are compared by the effort of the processor that has most tiles,
    to which the time comes in which partial results are written and read.
    """
    shape, (_, dims) = node.src[0].shape, node.attr
    dim = _dim_of(shape, dims, length // CHUNK_CONTRACTION)
    most = min(length // CHUNK_CONTRACTION, shape[dim])
    if node.size >= MANY_ROUNDS * MIDDLE * target.cores or most < 2:
        return None
    memory = 8 * node.size * BALANCE / (1 if is_narrow(node) else 6) / target.cores

    def taken(parts: int) -> float:
        areas = (MIDDLE, MIDDLE // 2, min(MIDDLE // 4, node.size))
        least = min(effort(area, -(-node.size // area) * parts, target.cores) for area in areas)
        return least * length / parts + (memory * parts + LAUNCH if parts > 1 else 0)

    parts = min((1 << power for power in range(most.bit_length())), key=taken)
    return Part(dim, parts) if taken(parts) < WORTH * taken(1) else None


def is_narrow(contraction: Node) -> bool:
    """True when an operand has at most 16 bits somewhere on its way: both reach the matrix unit so."""
    for operand in through(contraction.src[0], BIJECTIVE | {"cast"}).src:
        node = operand
        while node.op in CASTS and node.realized is None and node.dtype.itemsize > 2:
            node = node.src[0]
        if node.dtype.itemsize <= 2:
            return True
    return False


def _dim_of(shape: Sequence[int], dims: Sequence[int], parts: int) -> int:
    """The first dimension summed over that has so many places, or else the first that has several."""
    return next((d for d in dims if shape[d] >= max(2, parts)), next(d for d in dims if shape[d] > 1))


def _users(order: Sequence[Node]) -> dict[Node, list[Node]]:
    """Who uses each node."""
    users: dict[Node, list[Node]] = {}
    for node in order:
        for source in dict.fromkeys(node.src):
            users.setdefault(source, []).append(node)
    return users


def _order_of_use(node: Node, users: Mapping[Node, Sequence[Node]]) -> tuple[int, ...]:
    """A node's dimensions in the order in which the only ones that use it see them, through conversions and views."""
    seen = [d for d, size in enumerate(node.shape) if size > 1]
    after, at = node, list(range(len(node.shape)))  # of each dimension there the one it was; -1 for new ones of size 1
    while len(users.get(after, ())) == 1:
        (after,) = users[after]
        if after.op == "permute":
            at = [at[d] for d in after.attr]
        elif after.op == "reshape":
            left = [d for d in at if d in seen]
            if [size for size in after.shape if size > 1] != [node.shape[d] for d in left]:
                break
            at = [left.pop(0) if size > 1 else -1 for size in after.shape]
        elif after.op != "cast":
            break
    found = [d for d in at if d in seen]
    return (*found, *(d for d in range(len(node.shape)) if d not in seen))


def _split(node: Node, part: Part, order: Sequence[int], outside: bool) -> Node:
    """The reduction in two steps; elements that do not fill the parts evenly are a part of their own.

    order    of the dimensions of the results, in which the parts' lie in memory
    outside  True where each part's results are to lie together: whoever computes a part's writes whole lines of memory
    """
    (x,), (op, dims) = node.src, node.attr
    wide = graph.cast(x, x.dtype.arithmetic)
    size = x.shape[part.dim]
    each = size // part.parts
    even = _between(wide, part.dim, 0, each * part.parts)
    shape = (*x.shape[: part.dim], part.parts, each, *x.shape[part.dim + 1 :])
    inner = tuple(d + (d >= part.dim) for d in dims)
    place = part.dim - sum(d < part.dim for d in dims)
    partial = graph.reduce(op, graph.reshape(even, shape), inner)
    if list(order) == sorted(order) and not (outside and place):
        result = graph.reduce(op, graph.contiguous(partial), (place,))
    else:
        turned = graph.permute(partial, (place, *(d + (d >= place) for d in order)))
        result = graph.permute(graph.reduce(op, graph.contiguous(turned), (0,)), _inverse(order))
    if each * part.parts < size:
        rest = graph.reduce(op, _between(wide, part.dim, each * part.parts, size), dims)
        result = graph.elementwise(op, result, rest)
    return graph.cast(result, node.dtype)


def _inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The order that turns a permutation back."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def _open_part(node: Node, part: Part) -> Part:
    """Where a GPU cuts, if sizes are open: the longest dimension, into parts that may be much shorter and still some.

    At least four parts: no size that an open plan is made for can be cut so without a rest, so all of them have one.
    """
    (x,), (_, dims) = node.src, node.attr
    dim = max(dims, key=lambda d: x.shape[d])
    most = max(LEAST_PARTS, x.shape[dim] // OPEN_PART)
    return Part(dim, max(LEAST_PARTS, min(part.parts, 1 << (most.bit_length() - 1))))


def _split_open(node: Node, part: Part, sizes: Sizes) -> Node:
    """The reduction in two steps where the size cut is open: the last part is filled up with what changes nothing."""
    (x,), (op, dims) = node.src, node.attr
    wide = graph.cast(x, x.dtype.arithmetic)
    size, identity = x.shape[part.dim], REDUCE_OPS[op].identity(wide.dtype)
    each = sizes.cut(size, part.parts)
    pads = tuple((0, each * part.parts - size if d == part.dim else 0) for d in range(len(x.shape)))
    shape = (*x.shape[: part.dim], part.parts, each, *x.shape[part.dim + 1 :])
    whole = graph.pad(wide, pads)
    if identity:
        line = tuple(whole.shape[d] if d == part.dim else 1 for d in range(len(x.shape)))
        place = graph.reshape(graph.iota(line[part.dim]), line)
        inside = graph.elementwise("lt", place, graph.full(line, size, place.dtype))
        other = graph.full(whole.shape, identity, wide.dtype)
        whole = graph.elementwise("where", graph.expand(inside, whole.shape), whole, other)
    inner = tuple(d + (d >= part.dim) for d in dims)
    partial = graph.contiguous(graph.reduce(op, graph.reshape(whole, shape), inner))
    return graph.cast(graph.reduce(op, partial, (part.dim - sum(d < part.dim for d in dims),)), node.dtype)


def scan_partition(node: Node, target: Target) -> Part | None:
    """How to split a scan, or None if its lines keep the processors busy, are short or cannot be cut evenly.

    Lines that lie across memory are walked many at a time.  Parts read everything once more, which few processors do
    not make up for: one alone copies almost as fast as memory allows.
    """
    dim = node.attr[1]
    if node.realized is not None or not node.size or target.cores < FEW:
        return None
    n, last = node.shape[dim], dim == len(node.shape) - 1
    programs = node.size // n // (1 if last else COLUMNS)
    if programs >= target.cores:
        return None
    least = -(-target.cores // max(1, programs))
    most = min(2 * least, n // (CHUNK if target.language == "triton" else CHUNK_SCAN))
    parts = next((parts for parts in range(most, least - 1, -1) if n % parts == 0), None)
    return None if parts is None else Part(dim, parts)


def _split_scan(node: Node, part: Part) -> Node:
    """The scan in two steps: the totals of all parts, then every part combined with the totals before it."""
    (x,), (op, dim, reverse) = node.src, node.attr
    wide = graph.cast(x, x.dtype.arithmetic)
    shape = (*x.shape[:dim], part.parts, x.shape[dim] // part.parts, *x.shape[dim + 1 :])
    blocks = graph.reshape(wide, shape)
    before = _before(graph.contiguous(graph.reduce(op, blocks, (dim + 1,))), op, dim, reverse)
    line = tuple(1 if d == dim + 1 else size for d, size in enumerate(shape))
    before = graph.expand(graph.reshape(before, line), shape)
    result = graph.elementwise(op, before, graph.scan(op, blocks, dim + 1, reverse))
    return graph.cast(graph.reshape(result, x.shape), node.dtype)


def _before(totals: Node, op: str, dim: int, reverse: bool) -> Node:
    """For every part along dim the combination of the totals of those before it, after it when reverse."""
    parts = totals.shape[dim]
    square = (*totals.shape[:dim], parts, *totals.shape[dim:])

    def places(along: int) -> Node:
        line = tuple(parts if d == along else 1 for d in range(len(square)))
        return graph.expand(graph.reshape(graph.iota(parts), line), square)

    own, other = places(dim), places(dim + 1)
    counts = graph.elementwise("lt", own, other) if reverse else graph.elementwise("lt", other, own)
    each = graph.expand(graph.reshape(totals, (*totals.shape[:dim], 1, *totals.shape[dim:])), square)
    identity = graph.full(square, REDUCE_OPS[op].identity(totals.dtype), totals.dtype)
    return graph.reduce(op, graph.elementwise("where", counts, each, identity), (dim + 1,))


def _between(x: Node, dim: int, start: int, stop: int) -> Node:
    return graph.shrink(x, tuple((start, stop) if d == dim else (0, n) for d, n in enumerate(x.shape)))
