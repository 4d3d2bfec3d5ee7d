"""A graph that waits to be computed, as a picture.

Comes in: a node.  Goes out: SVG text: a box for each operation, with its shape and the line it was asked for in, placed
to the right of what it reads.  Calls stay one box.  Of large graphs the operations nearest to the node are shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from kernelforge.graph import LEAVES, Node, uniform
from kernelforge.later import later

if TYPE_CHECKING:
    import html
else:
    later(globals(), html="html")

MOST: Final = 40  # boxes
WIDTH: Final = 150  # of a box
HEIGHT: Final = 44
GAPS: Final = (34, 12)  # between boxes, across and down
REDUCTIONS: Final = {"add": "sum", "mul": "prod", "or": "any", "and": "all"}  # as methods, where these differ
STYLE: Final = "font:11px ui-monospace,monospace;max-width:100%;height:auto"


def picture(root: Node) -> str:
    """The graph behind a node as SVG, and how many operations it leaves out."""
    nodes, left = _nearest(root)
    column: dict[Node, int] = {}
    for node in nodes:
        column[node] = 1 + max((column[x] for x in node.src if x in column), default=-1)
    rows: dict[int, int] = {}
    place = {}
    for node in nodes:
        row = rows[column[node]] = rows.get(column[node], -1) + 1
        place[node] = column[node] * (WIDTH + GAPS[0]) + 1, row * (HEIGHT + GAPS[1]) + 1
    width = (1 + max(rows)) * (WIDTH + GAPS[0]) - GAPS[0] + 2
    height = (1 + max(rows.values())) * (HEIGHT + GAPS[1]) - GAPS[1] + 2
    parts = [_edge(place[x], place[node]) for node in nodes for x in node.src if x in place]
    parts += [_box(node, *place[node]) for node in nodes]
    note = f"<div>{left} more operations before these</div>" if left else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" style="{STYLE}">'
        f"{''.join(parts)}</svg>{note}"
    )


def _nearest(root: Node) -> tuple[list[Node], int]:
    """The nodes to show, sources first, and how many there are no boxes for; a constant is one box."""
    found = {root: None}
    queue = [root]
    for node in queue:
        for x in () if node.realized is not None or uniform(node) is not None else node.src:
            if x not in found:
                found[x] = None
                queue.append(x)
    shown = set(queue[:MOST])
    order: dict[Node, None] = {}
    stack = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order[node] = None
        elif node in shown and node not in order:
            stack.append((node, True))
            stack += [(x, False) for x in reversed(node.src) if x in found and x not in order]
    return list(order), len(queue) - len(shown)


def _edge(source: tuple[int, int], target: tuple[int, int]) -> str:
    x, y, u, v = source[0] + WIDTH, source[1] + HEIGHT // 2, target[0], target[1] + HEIGHT // 2
    return f'<path d="M{x} {y}C{x + 20} {y} {u - 20} {v} {u} {v}" fill="none" stroke="#888"/>'


def _box(node: Node, x: int, y: int) -> str:
    known = node.realized is not None or node.op in LEAVES
    value = uniform(node)
    name = f"{value.attr:g}" if value is not None and not isinstance(value.attr, complex) else _name(node)
    line = f"{Path(node.line[0]).name}:{node.line[1]}" if node.line else ""
    texts = [name, f"{node.dtype} {list(node.shape)}", line]
    drawn = "".join(
        f'<text x="{x + 6}" y="{y + 13 + 13 * i}" fill="currentColor">{html.escape(text[:22])}</text>'
        for i, text in enumerate(texts)
    )
    dashes = "" if known else ' stroke-dasharray="4 2"'
    told = html.escape(" ".join(texts))
    return (
        f'<g><title>{told}</title><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4" fill="none" '
        f'stroke="currentColor"{dashes}/>{drawn}</g>'
    )


def _name(node: Node) -> str:
    if node.op == "reduce":
        return REDUCTIONS.get(node.attr[0], node.attr[0])
    return repr(node.attr) if node.op == "call" else "in memory" if node.op == "buffer" else node.op
