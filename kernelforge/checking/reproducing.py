"""A failing graph as a program that runs on its own.

Comes in: a sketch that fails.  Goes out: a folder with Python text that builds the graph, runs it and compares, and
with what it reads.  The text uses `Reproduction`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, from_storage
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.checking.judging import Unlike, unlike
from kernelforge.checking.sketch import Item, Sketch
from kernelforge.execution.running import compile_all, contents, launch, moved, prepared, service_of, spoil
from kernelforge.execution.tried import choice
from kernelforge.graph import Node
from kernelforge.planning.plan import make_plan
from kernelforge.planning.steps import Plan
from kernelforge.settings import Context
from kernelforge.structure import structure

UNSPELLED: Final = frozenset(("host", "loop"))  # their attributes are functions
BY_ATTR: Final = frozenset(("reshape", "permute", "expand", "pad", "shrink", "flip", "cast", "bitcast", "copy"))
STARRED: Final = frozenset(("window", "unwindow", "scatter", "tally", "scan"))
HEAD: Final = '''"""{told}

python {name}: builds the graph, runs it and compares; exit status 1 where it fails.
"""

from codegen.dtypes import dtypes
from kernelforge.graph import *
from kernelforge.graph import elementwise, stack
from kernelforge.checking.reproducing import Reproduction

here = Reproduction(__file__, {device!r}, {dying!r})
'''


class Reproduction:
    """A graph that was written down, with its arrays beside it."""

    def __init__(self, file: str, device: str, dying: bool) -> None:
        self.device, self.dying = device, dying
        self.arrays = np.load(Path(file).with_name("inputs.npz"))
        self.given: dict[Node, NDArray] = {}

    def leaf(self, name: str, dtype: DType) -> Node:
        """A node for an array."""
        values = self.arrays[name]
        node = graph.buffer(Buffer.from_numpy(values, dtype, self.device), values.shape, dtype)
        self.given[node] = values
        return node

    def judge(self, *roots: Node) -> None:
        """Runs and compares.

        raises SystemExit, whose status is 1 where a result is wrong
        """
        plan, wrong = outcome(roots, self.given, self.device, self.dying)
        print("kernels:", ", ".join(step.program.entry for step in plan.launches))
        print("all results are right" if wrong is None else f"wrong: {in_words(wrong)}")
        raise SystemExit(wrong is not None)


def in_words(wrong: Unlike) -> str:
    return (
        f"element {list(wrong.place)} is {wrong.found}, in exact arithmetic {wrong.expected}; "
        f"{wrong.wrong} of {wrong.seen} elements are wrong"
    )


def outcome(
    roots: Sequence[Node], given: Mapping[Node, NDArray], device: str, dying: bool = False
) -> tuple[Plan, Unlike | None]:
    """The plan made for roots, and the first wrong element of what it computes, on memory that held something else.

    dying   results may take the places of arrays
    """
    leaves = cast(list[Buffer], structure(roots).leaves)
    free = frozenset(range(len(leaves))) if dying else frozenset()
    with Context(VERIFY=0, DUMP="", TUNE=0):
        plan = make_plan(roots, leaves, device, free, choice(device))
        compile_all(plan)
        service = service_of(plan, leaves)
        memories, buffers = prepared(plan, leaves, service, moved(plan, leaves))
        spoil(plan, memories)
        launch(plan, memories, service.skipped)
        found = [from_storage(contents(b), x.dtype).reshape(x.shape) for b, x in zip(buffers, roots)]
    return plan, unlike(roots, given, found)


def written(sketch: Sketch, told: str, dying: bool) -> Path | None:
    """A new folder with a sketch as a program, and its arrays; None where it cannot be written."""
    if any(item.op in UNSPELLED for item in sketch.items):
        return None
    lines = [f"t{i} = {_spelled(i, item)}{_line(item)}" for i, item in enumerate(sketch.items)]
    lines.append(f"here.judge({', '.join(f't{i}' for i in sketch.roots)})")
    head = HEAD.format(told=told, name="graph.py", device=sketch.device, dying=dying)
    arrays: dict[str, Any] = {f"t{i}": x.values for i, x in enumerate(sketch.items) if x.values is not None}
    try:
        folder = Path(tempfile.mkdtemp(prefix="kernelforge-graph-"))
        (folder / "graph.py").write_text(head + "\n".join(lines) + "\n")
        np.savez(folder / "inputs.npz", **arrays)
    except OSError:
        return None
    return folder / "graph.py"


def _spelled(place: int, item: Item) -> str:
    """The call that makes an item."""
    src, attr = [f"t{i}" for i in item.src], item.attr
    if item.values is not None:
        return f'here.leaf("t{place}", dtypes.{item.dtype})'
    if item.op in ("const", "iota"):
        return f"{item.op}({_value(attr if item.op == 'const' else item.shape[0])}, dtypes.{item.dtype})"
    if item.op in BY_ATTR:
        return f"{item.op}({src[0]}, {f'dtypes.{attr}' if isinstance(attr, DType) else repr(attr)})"
    if item.op == "reduce":
        return f"reduce({attr[0]!r}, {src[0]}, {attr[1]})"
    if item.op == "scan":
        return f"scan({attr[0]!r}, {src[0]}, {attr[1]}, {attr[2]})"
    if item.op in STARRED:
        return f"{item.op}({', '.join([*src, *map(repr, attr)])})"
    if item.op == "stack":
        return f"stack([{', '.join(src)}], {attr})"
    if item.op in ("gather", "contiguous"):
        return f"{item.op}({', '.join([*src, repr(attr)])})"
    if item.op in ("detach", "surrogate"):
        return f"{item.op}({', '.join(src)})"
    return f"elementwise({', '.join([repr(item.op), *src])})"


def _value(value: object) -> str:
    """A number as Python text."""
    text = repr(value)
    return f'float("{text}")' if text.strip("-") in ("inf", "nan") else text


def _line(item: Item) -> str:
    return f"  # {Path(item.line[0]).name}:{item.line[1]}" if item.line else ""
