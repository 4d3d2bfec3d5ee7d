"""Sums down columns beside sums along rows: where they are cut, one kernel for both, and that no value changes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.target import CPU, SM90
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.fusion.fuse import groups
from kernelforge.graph import Node
from kernelforge.kernels.interpreted import TARGET
from kernelforge.rewrites.alongside import Cut, alongside, cut_of, cuts_among
from kernelforge.rewrites.simplify import simplify
from kernelforge.tensor import Tensor
from tests.evaluate import evaluate
from tests.fused import interpreted


def leaf(shape: tuple[int, ...], seed: int = 1) -> Node:
    values = np.random.default_rng(seed).integers(-3, 4, math.prod(shape)).astype(np.float32)
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtypes.float32, "NUMPY")), shape)


def by_rows(x: Node) -> Node:
    """x times the greatest of its row."""
    lead = (*x.shape[:-1], 1)
    greatest = graph.reshape(graph.reduce("max", x, (len(x.shape) - 1,)), lead)
    return graph.elementwise("mul", x, graph.expand(greatest, x.shape))


def columns(op: str, x: Node) -> Node:
    return graph.reduce(op, x, tuple(range(len(x.shape) - 1)))


@pytest.mark.parametrize(
    ("shape", "cut"),
    [
        ((4096, 64), Cut(0, 32)),
        ((1000, 1000), Cut(0, 40)),
        ((8, 128, 64), Cut(1, 4)),
        ((64, 100, 64), Cut(0, 32)),
        ((32, 100, 64), Cut(0, 32)),
        ((4093, 64), None),
        ((128, 1024), None),
        ((128, 64), None),
        ((4096, 8), None),
        ((64, 1 << 15), None),
        ((1 << 20,), None),
    ],
)
def test_where_rows_are_cut(shape: tuple[int, ...], cut: Cut | None) -> None:
    node = columns("add", graph.full(shape, 1.0, dtypes.float32)) if len(shape) > 1 else leaf(shape)
    assert cut_of(node, CPU) == cut
    assert cut_of(node, TARGET) is None


@pytest.mark.parametrize(
    ("shape", "cut"),
    [((16_384, 768), Cut(0, 512)), ((16, 1024, 768), Cut(1, 32)), ((2048, 8192), None), ((16_384, 16_384), None)],
)
def test_where_rows_are_cut_on_a_gpu(shape: tuple[int, ...], cut: Cut | None) -> None:
    assert cut_of(columns("add", graph.full(shape, 1.0, dtypes.float32)), SM90) == cut


def test_sums_without_rows_beside_them_stay() -> None:
    x = leaf((4096, 64))
    assert alongside([columns("add", x)], CPU) == [columns("add", x)]
    assert alongside([columns("add", graph.elementwise("exp", x))], CPU)[0].src[0].op == "exp"


@settings(max_examples=12)
@given(
    st.sampled_from(["add", "max"]),
    st.sampled_from([(1000, 80), (4096, 16), (16, 64, 70), (64, 64, 17), (33, 8, 300)]),
    st.booleans(),
)
def test_values_stay_and_one_kernel_reads_the_rows(op: str, shape: tuple[int, ...], other: bool) -> None:
    x = leaf(shape)
    rows = by_rows(x)
    outputs = [rows, columns(op, rows), *([columns(op, x)] if other else [])]
    new = alongside(outputs, CPU)
    assert new[1] is not outputs[1] and (not other or new[2] is not outputs[2])
    for before, after in zip(outputs, new):
        np.testing.assert_allclose(evaluate(after), evaluate(before), rtol=1e-5, atol=1e-3)
    simple = simplify(new)
    plan = groups(simple, CPU)
    for before, found in zip(outputs, interpreted(plan, simple)):
        np.testing.assert_allclose(found, evaluate(before), rtol=1e-5, atol=1e-3)
    large = [group for group in plan if any(node in (x, x.src[0]) for node in group.inputs)]
    assert len(large) == 1 and len(plan) == 2 + other


def test_partial_sums_tell_how_rows_are_cut() -> None:
    (total,) = alongside([columns("add", by_rows(leaf((8, 128, 64))))], CPU)
    partial = total.src[0]
    assert partial.op == "contiguous" and partial.shape == (8, 4, 64)
    assert cuts_among([partial]) == {(8, 128): 4}
    assert cuts_among([total]) == {}
    (total,) = alongside([columns("add", by_rows(leaf((33, 8, 300))))], CPU)
    assert cuts_among([total.src[0]]) == {(33,): 33}


def test_a_norm_and_all_its_gradients() -> None:
    """Against float64, with every result of the one kernel stored."""
    rng = np.random.default_rng(3)
    x, dy = (rng.standard_normal((640, 128)).astype(np.float32) for _ in range(2))
    w, b = (rng.standard_normal(128).astype(np.float32) for _ in range(2))
    tensors = [Tensor(a, requires_grad=True) for a in (x, w, b)]
    y = tensors[0].layernorm() * tensors[1] + tensors[2]
    found = [t.numpy() for t in y.gradient(*tensors, gradient=Tensor(dy))]
    hat, wide = x.astype(np.float64), dy.astype(np.float64)
    hat = (hat - hat.mean(1, keepdims=True)) / np.sqrt(hat.var(1, keepdims=True) + 1e-5)
    g = wide * w
    slope = (g * hat).mean(1, keepdims=True)
    spread = np.sqrt(x.astype(np.float64).var(1, keepdims=True) + 1e-5)
    expected = [(g - g.mean(1, keepdims=True) - hat * slope) / spread, (wide * hat).sum(0), wide.sum(0)]
    for a, e in zip(found, expected):
        np.testing.assert_allclose(a, e, rtol=1e-3, atol=1e-3)
