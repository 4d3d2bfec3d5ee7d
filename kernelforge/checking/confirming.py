"""Every plan's results held against the graph they were asked for: KF_VERIFY, for all that lies above kernels.

Comes in: nodes about to be computed, and a function that does.  Goes out: what that gives, or a WrongResultError that
names the kernel, the operation, the first wrong element and the user's line, and the smallest program that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import from_storage
from kernelforge.blame import current_line
from kernelforge.buffer import Buffer
from kernelforge.calls import memory_forms
from kernelforge.checking.judging import Unlike, unlike
from kernelforge.checking.reference import knows, work
from kernelforge.checking.reproducing import in_words, outcome, written
from kernelforge.checking.shrinking import Shrinking
from kernelforge.checking.sketch import Sketch
from kernelforge.counters import GlobalCounters
from kernelforge.errors import LinAlgError, WrongResultError
from kernelforge.execution.running import contents
from kernelforge.graph import Node, toposort
from kernelforge.planning.steps import Plan
from kernelforge.settings import VERIFY

BUDGET: Final = 1 << 24  # values computed for a graph, unless everything is asked for


def confirmed(nodes: Sequence[Node], plan: Plan, device: str, run: Callable[[], list[Buffer]]) -> list[Buffer]:
    """What run gives, the buffers of nodes, whose elements are then checked.

    raises WrongResultError
    """
    roots = memory_forms(nodes)
    order = toposort(roots, into_realized=False)
    if not all(knows(x) or x.realized is not None for x in order):
        return run()
    if VERIFY.value != 2 and work(order, roots) > BUDGET:
        return run()
    given = {x: _values(x) for x in order if x.op == "buffer" or x.realized is not None}
    try:
        buffers = run()
    except WrongResultError as error:
        error.args = (f"{error.args[0]}{_smallest(roots, given, device, plan)[1]}",)
        raise
    found = [from_storage(contents(b), x.dtype).reshape(x.shape) for b, x in zip(buffers, roots)]
    try:
        wrong = unlike(roots, given, found)
    except (IndexError, LinAlgError):  # the program is told when it reads the result
        return buffers
    GlobalCounters.confirmed += 1
    if wrong is not None:
        _blame(roots, given, device, plan, wrong)
    return buffers


def _values(node: Node) -> NDArray:
    buffer = cast(Buffer, node.attr if node.op == "buffer" else node.realized)
    return np.array(from_storage(contents(buffer), node.dtype)).reshape(node.shape)


def _blame(
    roots: Sequence[Node], given: Mapping[Node, NDArray], device: str, plan: Plan, wrong: Unlike
) -> None:
    """raises WrongResultError"""
    root, slot = roots[wrong.result], plan.results[wrong.result]
    kernel = next((step.program.entry for step in reversed(plan.launches) if slot in step.writes), "no kernel")
    smallest, told = _smallest(roots, given, device, plan)
    line = root.line if smallest is None else smallest.items[smallest.roots[0]].line
    text = f"kernel {kernel} on {device} gives {root.dtype} {list(root.shape)}, of which {in_words(wrong)}"
    token = current_line.set(line or root.line)
    try:
        raise WrongResultError(f"{text}{told}\n  this is a fault of kernelforge: please report it")
    finally:
        current_line.reset(token)


def _smallest(
    roots: Sequence[Node], given: Mapping[Node, NDArray], device: str, plan: Plan
) -> tuple[Sketch | None, str]:
    """The smallest part of a graph that fails, and what to say of it."""
    for dying in (False, True):
        found = Shrinking(lambda x, dying=dying: _fails(x, dying)).run(roots, given, device)  # type: ignore[misc]
        if found is not None:
            break
    else:
        serves = "; the plan that does serves other sizes, too (KF_OPEN=0 makes none such)" if plan.sizes else ""
        return None, f"\n  planned again on its own, the graph does not fail{serves}"
    nodes, arrays = found.nodes()
    plan, wrong = outcome(nodes, arrays, device, dying)
    item = found.items[found.roots[0]]
    what = f"{item.attr[0]} over {item.attr[1]}" if item.op == "reduce" else item.op
    line = f" at {item.line[0]}:{item.line[1]}" if item.line else ""
    kernels = ", ".join(dict.fromkeys(step.program.entry for step in plan.launches)) or "no kernel"
    told = f"the first that fails is {what} of {item.dtype} {list(item.shape)}{line}, by {kernels}"
    if wrong is not None:
        told += f": {in_words(wrong)}"
    path = written(found, told, dying)
    where = f"\n  {found.operations} operations on small arrays that fail: {path}" if path is not None else ""
    return found, f"\n  {told}{where}"


def _fails(candidate: Sketch, dying: bool) -> bool:
    nodes, given = candidate.nodes()
    try:
        return outcome(nodes, given, candidate.device, dying)[1] is not None
    except (IndexError, LinAlgError):
        return False
