"""The readable form of nests: loops and what they do, one line each.

Comes in: a kernel placed by a schedule.  Goes out: text, in which values are called as `show` calls them.

    grid m0: m by 258
      loop k2: k by 384
        make acc0[258, 256] for t0
        add t0's operand to acc0
    write out[m*3072+n]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codegen.nodes import (
    Advance,
    Box,
    Declare,
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
)
from codegen.show import Text


def show_nest(nest: Nest) -> str:
    """The nest as indented text."""
    text = Text(nest.kernel)
    return "\n".join(_lines(nest.body, text, 0))


def _lines(body: Sequence[Node], text: Text, depth: int) -> Iterator[str]:
    for node in body:
        if isinstance(node, Loop):
            kind = "grid" if node.grid else "loop"
            extent = node.place.tile(node.axis)
            yield f"{'  ' * depth}{kind} {node.var}: {node.axis.name} by {node.tile} of {extent}"
            yield from _lines(node.body, text, depth + 1)
        else:
            yield "  " * depth + _written(node, text)


def _written(node: Node, text: Text) -> str:
    """One node that is no loop."""
    if isinstance(node, Declare):
        return f"make {_box(node.box)} for {text.name(node.box.of)}"
    if isinstance(node, Update):
        return f"{node.reduce.op.name} the operand of {text.name(node.reduce)} into {node.box.name}"
    if isinstance(node, Keep):
        return f"keep {text.name(node.box.of)} in {node.box.name}"
    if isinstance(node, Pack):
        return f"pack {text.name(node.value)} into {_box(node.box)}"
    if isinstance(node, Advance):
        return f"scan {text.name(node.scan)} into {node.box.name}, carrying {node.carry.name}"
    if isinstance(node, Out):
        return f"write {node.store.param.name} from {text.name(node.store.value)}"
    return _moved(node)


def _moved(node: Node) -> str:
    """A node that moves values between boxes."""
    if isinstance(node, WriteBack):
        return f"write {node.inner.name} back into {node.outer.name}"
    if isinstance(node, Finish):
        return f"fold {node.box.name} into {node.to.name}"
    if isinstance(node, Scale):
        return f"scale {node.box.name} by {node.factor.name}"
    if isinstance(node, Shift):
        return f"move {node.running.name} to the maximum with {node.chunk.name}"
    assert isinstance(node, Settle)
    return f"settle {', '.join(box.name for _, box in node.factors)} at {node.center.name}"


def _box(box: Box) -> str:
    """A box with its extents."""
    extents = ", ".join(f"{axis.name} {size}" for axis, size in box.tile.items())
    return f"{box.name}[{extents}]{'' if box.array else ' in registers'}"
