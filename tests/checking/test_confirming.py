"""KF_VERIFY above kernels: planted faults of rewrites, fusion, lowering and plans are found, located and made small."""

from __future__ import annotations

import inspect
import re
import runpy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.dtypes import dtypes
from codegen.index import NO_GUARDS
from kernelforge import Context, Device, GlobalCounters, Tensor, graph, met, views
from kernelforge.buffer import Buffer
from kernelforge.checking import confirming
from kernelforge.checking.judging import unlike
from kernelforge.errors import WrongResultError
from kernelforge.fusion import demand, fuse, lower
from kernelforge.graph import Node
from kernelforge.planning import memory, open_plans, plan, templates
from kernelforge.rewrites import simplify, split
from kernelforge.windows import winograd

pytestmark = pytest.mark.skipif(Device.DEFAULT != "CPU", reason="some faults are in choices made for CPUs")
Patch = Callable[[pytest.MonkeyPatch], None]
PROGRAMS: dict[str, Callable[..., Any]] = {
    "negated": lambda a, b: (-a).exp(),
    "larger": lambda a, b: a.maximum(0.25) * 2,
    "chosen": lambda a, b: Tensor.where(a > 0, a, a * 3),
    "part": lambda a, b: a[3:20, 1:].exp(),
    "turned": lambda a, b: a.T.contiguous(),
    "mirrored": lambda a, b: a.flip(0).exp(),
    "padded": lambda a, b: a.pad(((1, 2), (3, 4))).exp(),
    "spread": lambda a, b: a * a.sum(0, keepdim=True),
    "softmax": lambda a, b: a.softmax(-1),
    "columns": lambda a, b: a.sum(0).exp(),
    "product": lambda a, b: (a @ b).exp(),
    "chain": lambda a, b: (((a @ b).softmax(-1) @ b.T).exp().cumsum(0) @ b).softmax(0),
    "long": lambda a, b: b.reshape(-1).repeat(300).sum() * 2,
    "windows": lambda a, b: a.reshape(1, 1, 37, 50).conv2d(b[:9, 0].reshape(1, 1, 3, 3)),
    "blocks": lambda a, b: Tensor.randn(1, 8, 18, 18).realize().conv2d(Tensor.randn(8, 8, 3, 3).realize()),
    "rows": lambda a, b: b[Tensor([3, 1, 49])].exp(),
    "scattered": lambda a, b: a.scatter_add(0, Tensor([[1] * 50, [2] * 50]), a[:2]).exp(),
    "reduced": lambda a, b: (a - 9).max(1),
}


def rule(op: str, wrong: Callable[[Node], Node | None]) -> Patch:
    """A rule of simplification that does not hold."""
    return lambda patch: patch.setitem(simplify.RULES, op, [wrong, *simplify.RULES.get(op, ())])


def instead(module: Any, name: str, change: Callable[[Any], Callable[..., Any]]) -> Patch:
    """A function replaced by what `change` makes of it."""
    return lambda patch: patch.setattr(module, name, change(getattr(module, name)))


def both(first: Patch, second: Patch) -> Patch:
    return lambda patch: (first(patch), second(patch))[1]


def view(op: str, change: Callable[..., Any]) -> Patch:
    return lambda patch: patch.setitem(views._RULES, op, change(views._RULES[op]))


def _one_early(node: Node) -> Node | None:
    if all(low == 0 for low, _ in node.attr):
        return None
    return graph.shrink(node.src[0], tuple((low - (low > 0), high - (low > 0)) for low, high in node.attr))


def _lost_part(right: Any) -> Any:
    def split_off(node: Node, part: Any, *others: Any) -> Node:
        (x,), (op, dims) = node.src, node.attr
        rest = split._between(x, part.dim, 0, x.shape[part.dim] // 2)
        return graph.reduce(op, rest, dims)

    return split_off


FAULTS: list[tuple[str, str, Patch]] = [
    ("a sign is dropped", "negated", rule("neg", lambda x: x.src[0])),
    ("a maximum is its operand", "larger", rule("max", lambda x: x.src[0])),
    ("a choice is made for good", "chosen", rule("where", lambda x: x.src[1])),
    ("a part begins one early", "part", rule("shrink", _one_early)),
    ("a mirror is taken away", "mirrored", rule("flip", lambda x: x.src[0])),
    ("a sum is a maximum", "columns", rule("reduce", lambda x: graph.reduce("max", x.src[0], x.attr[1])
                                           if x.attr[0] == "add" else None)),
    ("a flip is off by one", "mirrored", view("flip", lambda right: lambda v, index, guards: views.Source(
        tuple((i * -1 + (2 * v.shape[d] - 2)) % v.shape[d] if d in v.attr else i for d, i in enumerate(index)),
        guards, NO_GUARDS))),
    ("a part is read at its beginning", "part", view("shrink", lambda right: lambda v, index, guards: views.Source(
        index, guards, NO_GUARDS))),
    ("a permutation is none", "turned", view("permute", lambda right: lambda v, index, guards: right(
        v, index, guards)._replace(indices=tuple(i % n for i, n in zip(index, v.src[0].shape))))),
    ("what is around a padded array is not 0", "padded", view("pad", lambda right: lambda v, index, guards: right(
        v, index, guards)._replace(guards=guards, condition=NO_GUARDS, indices=tuple(
            i % n for i, n in zip(index, v.src[0].shape))))),
    ("windows start apart", "windows", view("window", lambda right: lambda v, index, guards: right(
        v, (*index[: v.attr[0]], index[v.attr[0]], index[v.attr[0] + 1] * 0, *index[v.attr[0] + 2 :]), guards))),
    ("rows and columns change places", "spread", instead(lower, "flat_index", lambda right: lambda index, shape: right(
        index[::-1], shape[::-1]))),
    ("kernels run before what they read", "chain", instead(fuse, "_in_order", lambda right: lambda parts: right(
        parts)[::-1])),
    ("a kernel is left out", "chain", instead(fuse, "_in_order", lambda right: lambda parts: right(parts)[1:])),
    ("a split sum loses a part", "long", both(
        instead(split, "partition", lambda right: lambda node, target: right(node, replace(target, cores=2))),
        instead(split, "_split", _lost_part))),
    ("results share memory while they live", "chain", instead(memory, "_is_free", lambda right: lambda *_: True)),
    ("launches are joined that wait for each other", "chain", instead(plan, "joint", lambda right: lambda s, *a: (
        s[::-1], {i: len(s) - 1 - i for i in range(len(s))}))),
    ("a sum in blocks is another", "blocks", both(
        instead(winograd, "best_blocks", lambda right: lambda *_: (2, 2)),
        instead(winograd, "in_blocks", lambda right: lambda *a: graph.elementwise(
            "add", x := right(*a), graph.full(x.shape, 0.5, x.dtype))))),
    ("a gather picks its neighbour", "rows", instead(demand, "_picked", lambda right: lambda n, position, i, g: (
        (*i[: n.attr], demand.constant(1), *i[n.attr + 1 :]), g))),
    ("a base is forgotten", "scattered", rule("scatter", lambda x: graph.scatter(
        graph.full(x.shape, 0, x.dtype), x.src[1], x.src[2], *x.attr) if x.src[0].op != "expand" else None)),
    ("a reduction reads one axis twice", "product", instead(demand, "bound_axes", lambda right: lambda d, new: tuple(
        demand.Axis(a.name, max(1, a.size - 1)) for a in right(d, new)))),
    ("memory's order is taken for the graph's", "turned", instead(plan, "storage", lambda right: lambda x: right(
        x.src[0].src[0]) if x.op == "contiguous" and x.src[0].op == "permute" else right(x))),
]  # fmt: skip


@pytest.fixture
def operands() -> Iterator[tuple[Tensor, Tensor]]:
    """Two arrays; and no plan from before or for afterwards."""

    def forget() -> None:
        templates._templates.clear()
        met.forget()
        open_plans.forget()
        views._regrouped.cache_clear()

    Tensor.manual_seed(0)
    forget()
    yield Tensor.randn(37, 50).realize(), Tensor.randn(50, 29).realize()
    forget()


@pytest.mark.parametrize("name", PROGRAMS)
def test_right_results_pass(name, operands) -> None:
    GlobalCounters.reset()
    with Context(VERIFY=1):
        PROGRAMS[name](*operands).realize()
    assert GlobalCounters.confirmed


@pytest.mark.parametrize(("what", "name", "plant"), FAULTS, ids=[what for what, *_ in FAULTS])
def test_planted_faults_are_found(what, name, plant, operands, monkeypatch) -> None:
    plant(monkeypatch)
    with Context(VERIFY=1), pytest.raises(WrongResultError) as caught:
        PROGRAMS[name](*operands).realize()
    told, line = str(caught.value), inspect.getsourcelines(PROGRAMS[name])[1]
    assert f"{__file__}:{line}" in told and "element [" in told and "kernel" in told


def test_the_smallest_program_fails_on_its_own(operands, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(simplify.RULES, "flip", [lambda x: x.src[0]])
    with Context(VERIFY=1), pytest.raises(WrongResultError, match="the first that fails is flip") as caught:
        a, b = operands
        ((a @ b).exp().flip(0).softmax(-1) @ b.T).realize()
    path = re.search(r"(\S+graph\.py)", str(caught.value)).group(1)
    text = Path(path).read_text()
    assert text.count("\nt") <= 3 and "test_confirming.py" in text
    with pytest.raises(SystemExit, match="True"):
        runpy.run_path(path)
    monkeypatch.undo()
    templates._templates.clear()
    with pytest.raises(SystemExit, match="False"):
        runpy.run_path(path)


def test_a_graph_that_is_too_large_is_left_to_the_checks_of_kernels(operands, monkeypatch) -> None:
    monkeypatch.setattr(confirming, "BUDGET", 100)
    GlobalCounters.reset()
    with Context(VERIFY=1):
        PROGRAMS["softmax"](*operands).realize()
    assert GlobalCounters.verified and not GlobalCounters.confirmed


def test_what_is_stored_is_rounded_where_another_use_of_it_is_not() -> None:
    values = np.full(4, 0.3671875, np.float32)
    x = graph.buffer(Buffer.from_numpy(values, dtypes.bfloat16, "NUMPY"), (4,), dtypes.bfloat16)
    y = graph.elementwise("asinh", x)
    left = graph.elementwise("sub", graph.contiguous(y, None), y)
    assert unlike([left], {x: values}, [np.full(4, 1e-3)]) is None
    assert unlike([left], {x: values}, [np.full(4, 0.1)]) is not None
