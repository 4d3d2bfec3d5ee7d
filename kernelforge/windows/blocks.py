"""The two forms of a sum over windows in blocks, spelled out as graphs.

Comes in: a `Windowed` sum, and the size of the blocks.  Goes out: a node with its value.  Channels are innermost in
every array, so that each step is made of whole vectors, and what one step writes lies together.  Whether a form pays is
not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import ceil, prod

from kernelforge import graph
from kernelforge.graph import Node, elementwise, full
from kernelforge.windows.toom import Matrix, Toom, toom
from kernelforge.windows.windowed import Windowed

Pieces = dict[tuple[int, ...], Node]


# ------------------------------------------------------------------------------------------------- blocks of results


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
    image = graph.contiguous(image, "image")
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


# ---------------------------------------------------------------------------------------------------- blocks of taps


def in_blocks_of_taps(window: Windowed, blocks: Sequence[int]) -> Node:
    """The value of a sum over few places and many taps, which are walked in blocks of so many along each dimension.

    All blocks are summed before the last matrix: with one batch dimension and unturned taps, as a convolution's
    gradient with respect to its weight has it, the product of matrices sums over channels and blocks.
    """
    matrices = [toom(m, q) for m, q in zip(window.places, blocks)]
    counts = tuple(ceil(r / q) for r, q in zip(window.taps, blocks))
    points = tuple(len(t.before) for t in matrices)
    terms, count = prod((window.channels, *counts)), prod(points)
    rank, rows = len(blocks), window.batch[0]
    image = graph.permute(window.image, (rank + 1, *range(1, rank + 1), 0))
    for i, (m, q, blocks_here, lead) in enumerate(zip(window.places, blocks, counts, window.leads)):
        image = _between(image, 1 + i, -lead, q * blocks_here + m - 1 - lead)
    image = graph.contiguous(image, "terms")
    for i, (q, t) in enumerate(zip(blocks, matrices)):
        image = graph.window(image, 1 + 2 * i, len(t.before), q)
    values = _transformed(_pieces(image, points), [t.before for t in matrices])
    weight = graph.permute(window.weight, (rank + 1, *range(1, rank + 1), 0)) if window.crossed else window.weight
    for i, (q, blocks_here) in enumerate(zip(blocks, counts)):
        weight = _between(weight, 1 + i, 0, q * blocks_here)
    split = (window.channels, *(n for pair in zip(counts, blocks) for n in pair), window.outputs)
    factors = _transformed(
        _pieces(graph.reshape(graph.contiguous(weight, "terms"), split), blocks), [t.taps for t in matrices]
    )
    left, right = (
        graph.reshape(_side_by_side(list(pieces.values()), 1 + rank, points), (terms, count, *ends))
        for pieces, ends in ((values, (rows, 1)), (factors, (1, window.outputs)))
    )
    shape = (terms, count, rows, window.outputs)
    sums = graph.reduce("add", elementwise("mul", graph.expand(left, shape), graph.expand(right, shape)), (0,))
    sums = graph.reshape(sums, (*points, rows, window.outputs))
    results = _transformed({p: _element(sums, range(rank), p) for p in _all(points)}, [t.after for t in matrices])
    stacked = _side_by_side(list(results.values()), 1, window.places)
    return graph.reshape(graph.permute(stacked, window.order), window.shape)


def _pieces(x: Node, sizes: Sequence[int]) -> Pieces:
    """The elements of x, [first, (blocks, size).., last], at each place in the blocks."""
    return {p: _element(x, range(2, 2 + 2 * len(sizes), 2), p) for p in _all(sizes)}


# ------------------------------------------------------------------------------------------------------------ parts


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
