"""Graphs that are alike, and others, are told apart in C as they are in Python."""

import gc
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from kernelforge import Tensor
from kernelforge.native import compiled
from kernelforge.node import Node
from kernelforge.structure import known_structure, structure

pytestmark = pytest.mark.skipif(compiled is None, reason="the C module is not built, or not to be used")
X, Y = (Tensor(np.arange(6, dtype=np.float32).reshape(2, 3) + i).realize() for i in range(2))
Z = Tensor(np.ones((3, 2), np.float32)).realize()
W, V = (Tensor(np.ones((2, 3), np.float32), requires_grad=True).realize() for _ in range(2))


def computed(x: Tensor) -> Tensor:
    """A tensor with a history, whose values are in memory."""
    return (x * 2).exp().realize()


def chain(count: int) -> Tensor:
    x = X
    for i in range(count):
        x = x * Y if i % 2 else x + x
    return x


GRAPHS: dict[str, Callable[[], list[Tensor]]] = {
    "sum": lambda: [X + Y],
    "the other way": lambda: [Y + X],
    "itself": lambda: [X + X],
    "of others": lambda: [Y + Tensor(np.zeros((2, 3), np.float32)).realize()],
    "other shape": lambda: [Z + Z],
    "product": lambda: [X * Y],
    "constant": lambda: [X * 2],
    "another constant": lambda: [X * 3],
    "zero": lambda: [X * 0.0 + 0.0],
    "other zero": lambda: [X * 0.0 + -0.0],
    "two": lambda: [X + Y, X * Y],
    "two that share": lambda: [X + Y, (X + Y) * X],
    "the same twice": lambda: [X + Y, X + Y],
    "none": list,
    "stored": lambda: [X],
    "view": lambda: [X.T],
    "whole numbers": lambda: [X + Tensor.arange(3)],
    "more of them": lambda: [Z + Tensor.arange(2)],
    "alone": lambda: [Tensor.arange(5) * 2],
    "composite": lambda: [X.softmax(-1)],
    "along another": lambda: [X.softmax(0)],
    "reduced": lambda: [X.sum(1), Y.sum(0)],
    "gathered": lambda: [X[Tensor(np.array([1, 0])).realize()]],
    "history": lambda: [computed(W) * X],
    "another history": lambda: [computed(V) * X],
    "gradient": lambda: (W * W * X).sum().gradient(W),
    "of another": lambda: (V * V * Y).sum().gradient(V),
    "other gradient": lambda: (W * V * X).sum().gradient(W),
    "through what is computed": lambda: (computed(W) * X).sum().gradient(W),
    "through another": lambda: (computed(V) * X).sum().gradient(V),
    "both": lambda: (computed(V) * W).sum().gradient(V, W),
    "long": lambda: [chain(600)],
    "longer": lambda: [chain(601)],
}


def nodes(tensors: list[Tensor]) -> list[Node]:
    return [x._node for x in tensors]


@pytest.fixture(scope="module")
def graphs() -> list[list[Node]]:
    return [nodes(make()) for make in (*GRAPHS.values(), *GRAPHS.values())]


def test_buffers_and_nodes_come_in_the_same_order(graphs: list[list[Node]]) -> None:
    for roots in graphs:
        found, wanted = known_structure(roots), structure(roots)
        assert found is not None
        assert list(map(id, found.leaves)) == list(map(id, wanted.leaves))
        assert list(map(id, found.nodes)) == list(map(id, wanted.nodes))


def test_keys_are_equal_where_those_of_python_are(graphs: list[list[Node]]) -> None:
    found, wanted = [known_structure(roots) for roots in graphs], [structure(roots) for roots in graphs]
    alike = 0
    for (a, x), (b, y) in product(zip(found, wanted), repeat=2):
        assert a is not None and b is not None
        assert (a.key == b.key) is (x.key == y.key)
        assert (a.key != b.key) is not (a.key == b.key)
        assert a.key != b.key or hash(a.key) == hash(b.key)
        alike += a.key == b.key
    assert len(graphs) * 2 <= alike < len(graphs) ** 2 // 4


def test_what_is_no_graph_is_left_to_python_or_an_error() -> None:
    assert compiled.structure([X._node, 5]) is None and compiled.structure([Node.__new__(Node)]) is None
    with pytest.raises(TypeError):
        compiled.structure((X._node,))
    key = compiled.structure([X._node])[0]
    assert key != 5 and key is not None
    with pytest.raises(TypeError):
        key < key  # noqa: B015


class Computing:
    """What computes a tensor when it goes, as garbage."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.itself = tensor, self

    def __del__(self) -> None:
        self.tensor.realize()


def test_nodes_forget_what_they_were_computed_from_while_a_graph_is_told() -> None:
    """To compute a parameter, as garbage that goes may do, lets go of its history.  Numbers are those of no other test,
    which may have computed them, as an array, on another device."""
    limits = gc.get_threshold()
    try:
        for number in range(1, 12):
            gc.collect()
            w = (X * 2.0713 + number / 7.319).exp().sin()
            w.requires_grad = True
            y = ((w * 3.0171).exp() + w).sum()
            gc.disable()
            Computing(w)
            gc.set_threshold(gc.get_count()[0] + number)
            gc.enable()
            _, buffers, found = compiled.structure([y._node])
            gc.set_threshold(0)
            assert [type(x) for x in found] == [Node] * len(found) and len(found) > 8
            assert all(x.shape in ((), (2, 3)) and x.op for x in found) and buffers == [X._node.attr]
    finally:
        gc.set_threshold(*limits)
        gc.enable()
