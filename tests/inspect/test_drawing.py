"""Drawings show every operation once, with an edge for each operand."""

import re

from hypothesis import given
from hypothesis import strategies as st

from kernelforge.inspect import drawing
from kernelforge.tensor import Tensor


@given(st.integers(1, 8))
def test_a_chain_has_an_edge_for_each_operand(length: int) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x
    for _ in range(length):
        y = y * x
    text = drawing({"x": x, "y": y})
    assert text.count('label="mul') == length and text.count(" -> ") == 2 * length + 1
    shown = set(re.findall(r"(n\d+) \[", text))
    assert all(a in shown and b in shown for a, b in re.findall(r"(n\d+) -> (n\d+)", text))


def test_what_is_computed_is_a_box_unless_its_history_is_asked_for() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x.exp().realize()
    assert "exp" in drawing({"y": y}) and "exp" not in drawing({"y": y}, history=False)


def test_a_deep_graph_and_names_with_quotes() -> None:
    x = Tensor([1.0])
    y = x
    for _ in range(3000):
        y = y + x
    assert drawing({'a "y"': y}).count('label="add') == 3000
    assert "\"a 'y'\"" in drawing({'a "y"': y})
