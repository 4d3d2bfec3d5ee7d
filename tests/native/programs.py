"""A program that says all that may be seen of nodes, tensors and what runs: told apart are C and Python by nothing.

python -m tests.native.programs
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from codegen.dtypes import dtypes
from kernelforge import Context, GlobalCounters, Tensor, graph, no_grad
from kernelforge.graph import Node
from kernelforge.interning import find, new_node, node_of
from kernelforge.native import compiled
from kernelforge.structure import structure
from kernelforge.tensor.registry import pending


class Odd:
    """Equal to all of its kind."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd)

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "odd"


def told(node: Node) -> str:
    """A graph in words, with lines and depths."""
    order = graph.toposort([node])
    return "; ".join(f"{x!r} {x.device} {x.depth} {x.line and x.line[1]} {x.realized is not None}" for x in order)


def nodes() -> Iterator[Any]:
    """Identity, marks and what is wrong."""
    x = Tensor(np.ones((2, 3), np.float32))._node
    yield node_of("reshape", (x,), (3, 2), (3, 2), x.dtype) is graph.reshape(x, (3, 2))
    yield node_of("odd", (x,), Odd(), (2, 3), x.dtype) is node_of("odd", (x,), Odd(), (2, 3), x.dtype)
    add = "".join(["ad", "d"])
    yield find(add, None, (x, x)), graph.binary("add", x, x) is graph.binary(add, x, x)
    yield new_node("input", (), 1, (2,), x.dtype, None) is new_node("input", (), 1, (2,), x.dtype, None)
    yield graph.buffer(x.attr, (3, 2)) is graph.buffer(x.attr, (3, 2)), graph.buffer(x.attr, (6,)) is x
    yield graph.const(0.0, dtypes.float32) is graph.const(-0.0, dtypes.float32)
    y = Tensor(np.ones((3, 2), np.float32), device="NUMPY")._node
    for call in (
        lambda: graph.binary("add", x, y),
        lambda: graph.binary("add", x, graph.reshape(y, (2, 3))),
        lambda: graph.binary("and", x, x),
        lambda: node_of("odd", (x,), [], (2, 3), x.dtype),
        lambda: Tensor([1.0]) + "a",
        lambda: Tensor([1, 2], dtype="int8") + 1000,
        lambda: Tensor([True]) - Tensor([False]),
        lambda: Tensor([1.0, 2.0]).softmax(3),
    ):
        try:
            yield call()
        except Exception as error:
            yield f"{type(error).__name__}: {error}"


def tensors() -> Iterator[Any]:
    """Operations with operands of all kinds, their lines, flags and graphs."""
    x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    half, whole, flag = x.cast("float16"), x.cast("int32"), x > 2
    others = [x, half, whole, flag, 2, 2.5, -0.0, 0.0, True, np.float32(2), np.ones(3, np.float32), x[0], 1 << 70, 1j]
    for left in (x, half, whole, flag):
        for other in others:
            for op in ("__add__", "__rsub__", "__mul__", "__truediv__"):
                try:
                    yield op, told(getattr(left, op)(other)._node)
                except Exception as error:
                    yield op, f"{type(error).__name__}: {error}"
    for left in (x, half, whole, flag, x.cast("complex64"), whole.cast("uint8"), x.cast("float64")):
        for name in ("neg", "abs", "floor", "round", "exp", "sqrt", "sin", "tanh"):
            try:
                y = getattr(left, name)()
                yield name, told(y._node), y._tracked, y is left
            except Exception as error:
                yield name, f"{type(error).__name__}: {error}"
        for other in (x, whole, half, flag, x[0], 2, 2.5):
            for name in ("lt", "ge", "eq", "ne"):
                try:
                    yield name, told(getattr(left, name)(other)._node), told(getattr(left + 0, name)(left + 0)._node)
                except Exception as error:
                    yield name, f"{type(error).__name__}: {error}"
    w = Tensor([1.0, 2.0], requires_grad=True)
    yield told(w.exp()._node), w.exp()._tracked, (w > w)._tracked, (-w)._tracked
    fixed = Tensor([1.0, 2.0], requires_grad=False)
    yield [y._tracked for y in (w + w, w * 2, fixed * 2, fixed + fixed, w.sum(), fixed.exp(), fixed + w)]
    with no_grad():
        yield told((w * 3)._node), (w * 3)._tracked, told(w.relu()._node)
    for y in (x.sum(), x.sum(0), x.sum(axis=-1, keepdim=True), x.softmax(-1), x.mean((0, 1)), x @ x.T):
        yield told(y._node), y._tracked, y._leaf
    with Context(EAGER=1):
        yield told((x + 1)._node)


def runs() -> Iterator[Any]:
    """What runs again and again: values, counters, and what changes between."""
    x = Tensor(np.arange(24, dtype=np.float32).reshape(4, 6)).realize()
    z = Tensor(np.ones((4, 6), np.float32)).realize()

    def chain(x: Tensor, y: Tensor) -> Tensor:
        for _ in range(3):
            x = ((x * 0.5 + y) @ y.T).relu() @ y
        return x

    for work in (
        lambda x, y: x + y,
        lambda x, y: x + x,
        lambda x, y: x.sum(),
        chain,
        lambda x, y: (x * 2).T,
        lambda x, y: x + Tensor.arange(6),
        lambda x, y: (x > y).where(x, 1.5),
        lambda x, y: x[:, 1] + 1,
    ):
        GlobalCounters.reset()
        for a, b in [(x, z)] * 8 + [(z, x), (x, x), (z, z)]:
            y = work(a, b).realize()
            yield y.tolist(), y._node.op, y._node.depth
        yield GlobalCounters.kernel_count, GlobalCounters.global_ops, GlobalCounters.global_mem
    for step in range(12):
        with Context(DEBUG=0) if step % 3 else contextlib.nullcontext():
            y = x + step
            y += 1
            kept = y * y
            x = (kept - y).realize()
            largest, last = y.max(1), y.argmax(1)
            largest.realize(last)
            yield x.tolist()[0][:3], y.tolist()[0][:3], largest.tolist(), last.tolist()
    with Context(NAN=1):
        try:
            (Tensor([0.0]) / 0.0).realize()
        except Exception as error:
            yield type(error).__name__


def changes() -> Iterator[Any]:
    """Tensors that change in place and are computed, alone and with others, and what is there already."""
    x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3)).realize()
    y, kept, other = x.clone().realize(), x * 2, Tensor(np.zeros(3, np.float32)).realize()
    for _step in range(12):
        y += x
        y.realize()
        yield y.tolist(), y._node.op, len(pending)
        y.mul_(0.5)
        other.add_(1)
        y.realize()  # the other still waits
        yield y.tolist(), len(pending)
        y.add_(x)
        other.realize(y)
        yield other.tolist(), y.tolist(), len(pending)
        row = y[0]
        row.sub_(1)
        y.realize()
        yield row.tolist(), y.tolist(), len(pending)
        same, known = x * 2, x.realize()
        same.realize()
        yield kept.realize().tolist(), kept._node.op, same._node.op, known is x
        w = Tensor([1.0, 2.0], requires_grad=True)
        history = (w * 3).realize()
        history.realize()
        yield history._tracked, history._node.op, w.realize().tolist(), len(pending)
        history.sum().backward()
        yield w.grad.tolist() if w.grad is not None else None


def faults() -> Iterator[Any]:
    """Places that come from data: in range, out of it, told for the line that asked, and in range again."""
    x = Tensor(np.arange(12, dtype=np.float32).reshape(4, 3)).realize()
    ones = Tensor(np.ones((2, 3), np.float32)).realize()
    good, bad = (Tensor(np.array(places)).realize() for places in ([1, 3], [9, 0]))

    def added(index: Tensor) -> Tensor:
        return x.index_add(0, index, ones)

    def looked_up(index: Tensor) -> Tensor:
        return (x[index] * 2 + 1).sum(1)

    for work in (added, looked_up, lambda index: x.index_select(0, index), lambda index: x[index] + added(index)[:2]):
        GlobalCounters.reset()
        for index in [good] * 9 + [bad, good, good, bad, bad, good]:
            y = work(index).realize()
            try:
                yield y.tolist()
            except IndexError as error:
                yield str(error)
        yield GlobalCounters.kernel_count, GlobalCounters.global_ops, GlobalCounters.global_mem
        results = [work(bad).realize(), work(bad).realize(), added(good).realize()]  # told once, for the first
        for y in results:
            try:
                yield y.shape, y.tolist() if y is results[2] else y.numpy().shape
            except IndexError as error:
                yield str(error)


def main() -> None:
    """Says it all."""
    assert (compiled is None) == (sys.argv[1:] == ["0"]), "the module is not as this was asked for"
    for part in (nodes, tensors, runs, changes, faults):
        for row in part():
            print(row)
        gc.collect()
        print(len(structure([Tensor([1.0]).exp()._node]).key))


if __name__ == "__main__":
    main()
