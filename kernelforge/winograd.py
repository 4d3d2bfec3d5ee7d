"""Convolutions with few multiplications: sums over windows computed in blocks, by the matrices of `toom`.

Comes in: a graph, gradients spelled out, and a target.  Goes out: the same graph with some sums replaced, before ->
after

    sum over c, t of image[.., y + t, .., c] weight[t.., c, o]
    ->  blocks of m results: after' (sum over c of (before' image block) * (taps' weight)), in every dimension

The blocks' values, the weight and the products lie in arrays of their own whose innermost dimension is the channels, so
that every step is made of whole vectors; in between is one batched matrix product.  Only float32 sums for which an
estimate of cycles promises a gain are replaced, and the setting WINOGRAD turns all of it off.

The largest error, relative to the largest result, is about 3e-6 for blocks of 4 and windows of 3 in two dimensions
(5e-7 for blocks of 2) over the 64 to 512 channels of a residual network; a plain sum has 3e-7.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import ceil, prod

from codegen.dtypes import dtypes
from codegen.target import Target
from kernelforge import graph
from kernelforge.cuts import USING_ONCE, contraction_operands, through
from kernelforge.graph import VIEWS, Node, elementwise, full, rebuild, toposort
from kernelforge.settings import WINOGRAD
from kernelforge.toom import POINTS, Matrix, Toom, toom
from kernelforge.windowed import Windowed, windowed

Pieces = dict[tuple[int, ...], Node]


def with_winograd(outputs: Sequence[Node], target: Target, repeated: bool = False) -> list[Node]:
    """The outputs with the sums that gain replaced; the same nodes where there is none.

    repeated  weights in memory will be used again as they are: the time to transform them does not count
    """
    order = toposort(outputs, into_realized=False)
    sums = _sums(order, frozenset(outputs)) if WINOGRAD and target.name == "cpu" else {}
    if not sums:
        return list(outputs)
    made: dict[Node, Node] = {}
    done: set[Node] = set()
    for node in order:
        made[node] = node if node.realized is not None else rebuild(node, [made[x] for x in node.src])
        contraction = sums.get(node)
        if contraction is not None and contraction not in done:
            window = windowed(made[node], contraction_operands(made[contraction]))
            kept = window is not None and repeated and is_stored(window.weight)
            blocks = None if window is None else best_blocks(window, target, kept)
            if window is not None and blocks is not None:
                made[node] = in_blocks(window, blocks, kept)
                done.add(contraction)
    return [made[node] for node in outputs]


def _sums(order: Sequence[Node], outputs: frozenset[Node]) -> dict[Node, Node]:
    """The float32 contractions, further sums that they alone lead to, and parts of these: each with its contraction.

    A sum only a part of which is used is not among them, but the part is.
    """
    users: dict[Node, list[Node]] = {}
    for node in order:
        for x in node.src if node.realized is None else ():
            users.setdefault(x, []).append(node)
    below: dict[Node, Node] = {}
    for node in order:
        if node.realized is not None or node.dtype is not dtypes.float32:
            continue
        if contraction_operands(node):
            below[node] = node
        elif node.op in USING_ONCE or (node.op == "reduce" and node.attr[0] == "add"):
            (x,) = node.src
            if x in below and x not in outputs and len(users[x]) == 1:
                below[node] = below[x]
    cut = {x for node in below if node.op == "shrink" for x in node.src}
    return {node: c for node, c in below.items() if node.op in ("reduce", "shrink") and node not in cut}


def is_stored(x: Node) -> bool:
    """True when a node shows what is in memory."""
    x = through(x, VIEWS)
    return x.op == "buffer" or x.realized is not None


# ------------------------------------------------------------------------------------------------------ the form


def in_blocks(window: Windowed, blocks: Sequence[int], kept: bool = False) -> Node:
    """The value of a sum over windows, computed in blocks of so many results along each dimension of the plane.

    kept  the weight is transformed once for many uses: it lies as is best for these, the points outermost
    """
    matrices = [toom(m, r) for m, r in zip(blocks, window.taps)]
    counts = tuple(ceil(n / m) for n, m in zip(window.places, blocks))
    points = tuple(len(t.before) for t in matrices)
    tiles = (*window.batch, *counts)
    values = _side_by_side(_image_blocks(window, blocks, counts, matrices), len(tiles), points)
    factors = _weights(window, matrices)
    (rows, columns), count = factors[0].shape, prod(points)
    if kept:
        weights = graph.reshape(_side_by_side(factors, 0, points), (count, rows, columns))
    else:
        weights = graph.reshape(_side_by_side(factors, 1, points), (rows, count, columns))
        weights = graph.permute(weights, (1, 0, 2))
    flat = graph.reshape(values, (prod(tiles), count, window.channels))
    sums = _products(flat, weights, window.crossed)
    sums = graph.reshape(sums, (*tiles, *points, window.outputs))
    pieces = {p: _element(sums, range(len(tiles), len(tiles) + len(points)), p) for p in _all(points)}
    results = _transformed(pieces, [t.after for t in matrices])
    first = len(window.batch)
    stacked = graph.stack(list(results.values()), tuple((first + 2 * i + 1, m) for i, m in enumerate(blocks)))
    whole = (*window.batch, *(n * m for n, m in zip(counts, blocks)), window.outputs)
    needed = graph.shrink(
        graph.reshape(stacked, whole), tuple((0, n) for n in (*window.batch, *window.places, window.outputs))
    )
    return graph.reshape(graph.permute(needed, window.order), window.shape)


def _image_blocks(
    window: Windowed, blocks: Sequence[int], counts: Sequence[int], matrices: Sequence[Toom]
) -> list[Node]:
    """The image's blocks, which overlap, times `before` along each dimension: one piece [batch.., counts.., channels]
    for each point."""
    first = len(window.batch)
    image = window.image
    for i, (m, count, r, lead) in enumerate(zip(blocks, counts, window.taps, window.leads)):
        image = _between(image, first + i, -lead, m * count + r - 1 - lead)
    image = graph.contiguous(image)
    for i, (m, t) in enumerate(zip(blocks, matrices)):
        image = graph.window(image, first + 2 * i, len(t.before), m)
    dims = range(first + 1, first + 2 * len(blocks), 2)
    pieces = {p: _element(image, dims, p) for p in _all([len(t.before) for t in matrices])}
    return list(_transformed(pieces, [t.before for t in matrices]).values())


def _weights(window: Windowed, matrices: Sequence[Toom]) -> list[Node]:
    """The weight times `taps` along each dimension: one piece of its first and last dimension for each point."""
    weight = graph.contiguous(window.weight, "weight")
    dims = range(1, 1 + len(matrices))
    pieces = {}
    for place in _all(window.taps):
        turned = tuple(r - 1 - k if turn else k for k, r, turn in zip(place, window.taps, window.turned))
        pieces[place] = _element(weight, dims, turned)
    return list(_transformed(pieces, [t.taps for t in matrices]).values())


def _side_by_side(pieces: Sequence[Node], first: int, sizes: Sequence[int]) -> Node:
    """Pieces stacked along new dimensions from `first` on: what one step writes lies together in memory."""
    return graph.stack(pieces, tuple((first + i, n) for i, n in enumerate(sizes)))


def _products(values: Node, weights: Node, crossed: bool) -> Node:
    """values [t, p, c] times weights [p, c, o], or crossed [p, o, c], summed over c: [t, p, o]."""
    tiles, points, channels = values.shape
    outputs = weights.shape[1 if crossed else 2]
    if crossed:
        left = graph.reshape(values, (tiles, points, 1, channels))
        right = graph.reshape(weights, (1, points, outputs, channels))
        shape, summed = (tiles, points, outputs, channels), 3
    else:
        left = graph.reshape(values, (tiles, points, channels, 1))
        right = graph.reshape(weights, (1, points, channels, outputs))
        shape, summed = (tiles, points, channels, outputs), 2
    return graph.reduce("add", elementwise("mul", graph.expand(left, shape), graph.expand(right, shape)), (summed,))


def _between(x: Node, dim: int, start: int, stop: int) -> Node:
    """The places start .. stop-1 of x along a dimension, zeros where it has none."""
    size = x.shape[dim]
    low, high = max(0, start), max(0, start, min(size, stop))
    kept = graph.shrink(x, tuple((low, high) if d == dim else (0, n) for d, n in enumerate(x.shape)))
    around = (low - start, stop - high)
    return graph.pad(kept, tuple(around if d == dim else (0, 0) for d in range(len(x.shape))))


def _element(x: Node, dims: Sequence[int], place: Sequence[int]) -> Node:
    """x at one place of the given dimensions, which vanish."""
    at = dict(zip(dims, place))
    part = graph.shrink(x, tuple((at[d], at[d] + 1) if d in at else (0, n) for d, n in enumerate(x.shape)))
    return graph.reshape(part, tuple(n for d, n in enumerate(x.shape) if d not in at))


def _all(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    return list(product(*map(range, sizes)))


# ---------------------------------------------------------------------------------------------- products of matrices


def _transformed(pieces: Pieces, matrices: Sequence[Matrix]) -> Pieces:
    """Pieces numbered along several dimensions, times a matrix along each, in order of the numbers."""
    for dim, matrix in enumerate(matrices):
        lines: dict[tuple[int, ...], dict[int, Node]] = {}
        for place, piece in pieces.items():
            lines.setdefault((*place[:dim], *place[dim + 1 :]), {})[place[dim]] = piece
        pieces = {
            (*rest[:dim], i, *rest[dim:]): value
            for rest, line in lines.items()
            for i, value in enumerate(_times(matrix, [line[k] for k in sorted(line)]))
        }
    return {place: pieces[place] for place in sorted(pieces)}


def _times(matrix: Matrix, values: Sequence[Node]) -> list[Node]:
    """The matrix times values, with the work shared by columns, then rows, that differ in signs alone."""
    rows = [list(row) for row in matrix]
    shared = list(values)
    for i, j in _alike(list(zip(*matrix))):
        shared[i] = elementwise("add", values[i], values[j])
        shared[j] = elementwise("sub", values[i], values[j])
        for row in rows:
            same = row[i] == row[j]
            row[i], row[j] = (row[i] if same else Fraction(0)), (Fraction(0) if same else row[i])
    found: dict[int, Node] = {}
    for i, j in _alike(rows):
        even = _sum([a if a == b else Fraction(0) for a, b in zip(rows[i], rows[j])], shared)
        odd = _sum([a if a != b else Fraction(0) for a, b in zip(rows[i], rows[j])], shared)
        found[i], found[j] = elementwise("add", even, odd), elementwise("sub", even, odd)
    return [found[i] if i in found else _sum(row, shared) for i, row in enumerate(rows)]


def _alike(lines: Sequence[Sequence[Fraction]]) -> list[tuple[int, int]]:
    """Neighbours equal but for signs, some of which are the same and some not."""
    found: list[tuple[int, int]] = []
    for i in range(len(lines) - 1):
        pairs = [(a, b) for a, b in zip(lines[i], lines[i + 1]) if a or b]
        mixed = any(a == b for a, b in pairs) and any(a != b for a, b in pairs)
        if mixed and all(abs(a) == abs(b) for a, b in pairs) and not (found and found[-1][1] == i):
            found.append((i, i + 1))
    return found


def _sum(factors: Sequence[Fraction], values: Sequence[Node]) -> Node:
    """The sum of values times factors, those that are not 0; at least one is not."""
    total: Node | None = None
    for factor, x in sorted(zip(factors, values), key=lambda pair: pair[0] != 1):
        if not factor:
            continue
        size = abs(factor)
        term = x if size == 1 else elementwise("mul", x, full(x.shape, float(size), x.dtype))
        if total is None:
            total = term if factor > 0 else elementwise("neg", term)
        else:
            total = elementwise("add" if factor > 0 else "sub", total, term)
    assert total is not None
    return total


# ------------------------------------------------------------------------------------------------------ the choice

PLAIN = 0.85  # of its peak rate a plain sum over windows reaches; a batched product of matrices PRODUCTS
PRODUCTS = 0.8
IMAGE, VALUES, SUMS, RESULTS = 2.5, 1.2, 0.8, 1.5  # cycles to make, or use, an element of these arrays
COPIED, WEIGHTS = 1.7, 0.8  # cycles to copy an element of the weight; to make one of the transformed weight
READ, STREAMED = 0.6, 1.1  # cycles to read one of these in the product; where half the cache does not hold them all
LAUNCHED = 1e5  # cycles that the additional kernels take to start


def best_blocks(window: Windowed, target: Target, kept: bool = False) -> tuple[int, ...] | None:
    """The blocks with the least cycles; None when no blocks are faster than the plain sum.

    kept  the transformed weight is known
    """
    sizes = [[n - r + 1 for n in POINTS if n > r] for r in window.taps]
    costs = {blocks: block_cycles(window, blocks, target, kept) for blocks in product(*sizes)}
    best = min(costs, key=costs.__getitem__, default=())
    return best if best and costs[best] < plain_cycles(window, target) else None


def plain_cycles(window: Windowed, target: Target) -> float:
    """An estimate of the time of the plain sum, all cores' cycles together."""
    places = prod((*window.batch, *window.places))
    return prod(window.taps) * window.channels * window.outputs * places / (2 * target.lanes) / PLAIN


def block_cycles(window: Windowed, blocks: Sequence[int], target: Target, kept: bool = False) -> float:
    """The same for the sum in blocks; partly filled vectors take as long as full ones."""
    channels, outputs = (ceil(n / target.lanes) * target.lanes for n in (window.channels, window.outputs))
    points = prod(m + r - 1 for m, r in zip(blocks, window.taps))
    counts = [ceil(n / m) for n, m in zip(window.places, blocks)]
    tiles = prod(counts) * prod(window.batch)
    image = prod(m * n + r - 1 for m, n, r in zip(blocks, counts, window.taps)) * prod(window.batch)
    factors = channels * outputs
    read = READ if 4 * points * factors <= target.l3 // 2 else STREAMED
    prepared = 0 if kept else prod(window.taps) * COPIED + points * WEIGHTS
    return (
        points * tiles * window.channels * outputs / (2 * target.lanes) / PRODUCTS
        + factors * (prepared + points * read)
        + channels * (image * IMAGE + points * tiles * VALUES)
        + outputs * tiles * (points * SUMS + prod(blocks) * RESULTS)
        + LAUNCHED
    )
