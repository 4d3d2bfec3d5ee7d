"""Convolutions with few multiplications: sums over windows computed in blocks, by the matrices of `toom`.

Comes in: a graph, gradients spelled out, and a target.  Goes out: the same graph with some sums replaced, before ->
after

    sum over c, t of image[.., y + t, .., c] weight[t.., c, o]
    ->  blocks of m results: after' (sum over c of (before' image block) * (taps' weight)), in every dimension

or, where places are few and taps many, as in a gradient with respect to a weight, blocks of taps.  `blocks` spells both
out.  Only float32 sums for which an estimate of cycles promises a gain are replaced, and the setting WINOGRAD turns all
of it off.

The largest error, relative to the largest result, is about 3e-6 for blocks of 4 and windows of 3 in two dimensions
(5e-7 for blocks of 2) over the 64 to 512 channels of a residual network; a plain sum has 3e-7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import ceil, prod
from typing import NamedTuple

from codegen.dtypes import dtypes
from codegen.target import Target
from kernelforge.graph import VIEWS, Node, current_line, rebuild, toposort, user_line
from kernelforge.seen import contraction_operands, through, uses_once
from kernelforge.settings import WINOGRAD
from kernelforge.windows.blocks import in_blocks, in_blocks_of_taps
from kernelforge.windows.toom import POINTS
from kernelforge.windows.windowed import Windowed, windowed


class Way(NamedTuple):
    """A way to compute a sum over windows: in blocks of results, of taps ("results", "taps"), or "plain"."""

    what: str = "plain"
    blocks: tuple[int, ...] = ()


Choice = Callable[[Node, Windowed, Target, bool], Way]
"""From a sum, the same as a sum over windows, a target, and whether its weight is kept: the way to compute it."""


def with_winograd(
    outputs: Sequence[Node], target: Target, repeated: bool = False, choice: Choice | None = None
) -> list[Node]:
    """The outputs with the sums that gain replaced; the same nodes where there is none.

    repeated  weights in memory will be used again as they are: the time to transform them does not count
    choice    tells the way to compute a sum; without one it is estimated
    """
    order = toposort(outputs, into_realized=False)
    sums = _sums(order, frozenset(outputs)) if WINOGRAD and target.name == "cpu" else {}
    if not sums:
        return list(outputs)
    made: dict[Node, Node] = {}
    done: set[Node] = set()
    with user_line(None):
        for node in order:
            current_line.set(node.line)
            made[node] = node if node.realized is not None else rebuild(node, [made[x] for x in node.src])
            contraction = sums.get(node)
            if contraction is not None and contraction not in done:
                window = windowed(made[node], contraction_operands(made[contraction]))
                if window is None:
                    continue
                kept = repeated and is_stored(window.weight)
                way = (choice or estimated)(made[node], window, target, kept)
                if way.blocks:
                    made[node] = computed(window, way, kept)
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
        elif uses_once(node) or (node.op == "reduce" and node.attr[0] == "add"):
            (x,) = node.src
            if x in below and x not in outputs and len(users[x]) == 1:
                below[node] = below[x]
    cut = {x for node in below if node.op == "shrink" for x in node.src}
    return {node: c for node, c in below.items() if node.op in ("reduce", "shrink") and node not in cut}


def is_stored(x: Node) -> bool:
    """True when a node shows what is in memory."""
    x = through(x, VIEWS)
    return x.op == "buffer" or x.realized is not None


# ------------------------------------------------------------------------------------------------------ the choice

PLAIN = 0.85  # of its peak rate a plain sum over windows reaches; a batched product of matrices PRODUCTS
PRODUCTS = 0.9
IMAGE, VALUES, SUMS, RESULTS = 2.5, 1.2, 0.8, 1.5  # cycles to make, or use, an element of these arrays
MANY, SCATTERED = 100, 3.0  # points of a block from which on these take so many times longer
COPIED, WEIGHTS = 1.7, 0.8  # cycles to copy an element of the weight; to make one of the transformed weight
READ, STREAMED = 0.6, 1.1  # cycles to read one of these in the product; where half the cache does not hold them all
KEPT = 0.5  # of which remains where the weight is kept, and so lies as is best
GAIN = 0.9  # of the plain sum's cycles that blocks may take: they are less exact, and the estimate is one
HELD = 3.4  # the price of an element kept, so that a MiB must save about 0.15 ms
LAUNCHED = 1e5  # cycles that the additional kernels take to start


def computed(window: Windowed, way: Way, kept: bool) -> Node:
    """The sum in the blocks of a way."""
    return in_blocks(window, way.blocks, kept) if way.what == "results" else in_blocks_of_taps(window, way.blocks)


def estimated(node: Node, window: Windowed, target: Target, kept: bool) -> Way:
    """The way that the estimates prefer; plain where it is as good."""
    blocks = best_blocks(window, target, kept)
    if blocks is not None:
        return Way("results", blocks)
    blocks = best_blocks_of_taps(window, target)
    return Way() if blocks is None else Way("taps", blocks)


def ways(window: Windowed, target: Target, kept: bool) -> list[Way]:
    """All ways in blocks, those with the least cycles first."""
    costs = {Way("results", blocks): cycles for blocks, cycles in _block_costs(window, target, kept).items()}
    costs |= {Way("taps", blocks): cycles for blocks, cycles in _tap_costs(window, target).items()}
    return sorted(costs, key=costs.__getitem__)


def _block_costs(window: Windowed, target: Target, kept: bool) -> dict[tuple[int, ...], float]:
    sizes = [[n - r + 1 for n in POINTS if n > r] for r in window.taps]
    return {blocks: block_cycles(window, blocks, target, kept) for blocks in product(*sizes)}


def _tap_costs(window: Windowed, target: Target) -> dict[tuple[int, ...], float]:
    """Nothing where the form does not fit."""
    if len(window.batch) != 1 or any(window.turned):
        return {}
    sizes = [[n - m + 1 for n in POINTS if 1 < n - m + 1 <= r] for m, r in zip(window.places, window.taps)]
    return {blocks: tap_cycles(window, blocks, target) for blocks in product(*sizes)}


def best_blocks(window: Windowed, target: Target, kept: bool = False) -> tuple[int, ...] | None:
    """The blocks with the least cycles; None when no blocks are faster than the plain sum.

    kept  the transformed weight is known
    """
    costs = _block_costs(window, target, kept)
    best = min(costs, key=costs.__getitem__, default=())
    return best if best and costs[best] < GAIN * plain_cycles(window, target) else None


def best_blocks_of_taps(window: Windowed, target: Target) -> tuple[int, ...] | None:
    """The blocks of taps with the least cycles; None when none are faster, or the form does not fit."""
    costs = _tap_costs(window, target)
    best = min(costs, key=costs.__getitem__, default=())
    return best if best and costs[best] < GAIN * plain_cycles(window, target) else None


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
    read = (READ if 4 * points * factors <= target.l3 // 2 else STREAMED) * (KEPT if kept else 1)
    prepared = points * HELD if kept else prod(window.taps) * COPIED + points * WEIGHTS
    slower = SCATTERED if points > MANY else 1.0
    return (
        points * tiles * window.channels * outputs / (2 * target.lanes) / PRODUCTS
        + factors * (prepared + points * read)
        + channels * (image * IMAGE + points * tiles * VALUES) * slower
        + outputs * tiles * (points * SUMS + prod(blocks) * RESULTS) * slower
        + LAUNCHED
    )


def tap_cycles(window: Windowed, blocks: Sequence[int], target: Target) -> float:
    """The same for the sum in blocks of taps."""
    rows, outputs = (ceil(n / target.lanes) * target.lanes for n in (window.batch[0], window.outputs))
    points = prod(m + q - 1 for m, q in zip(window.places, blocks))
    counts = [ceil(r / q) for r, q in zip(window.taps, blocks)]
    terms = prod(counts) * window.channels
    elements = prod(q * n for q, n in zip(blocks, counts)) * window.channels
    slower = SCATTERED if points > MANY else 1.0
    return (
        points * terms * window.batch[0] * window.outputs / (2 * target.lanes) / PRODUCTS
        + (rows + outputs) * (elements * IMAGE + points * terms * VALUES) * slower
        + rows * outputs * (points * SUMS + prod(window.places) * RESULTS) * slower
        + LAUNCHED
    )
