"""Schedules of contractions that meet: each has a register tile, whatever the axes beside its rows; right results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from codegen.choose.cpu import worth_tiling
from codegen.choose.default import choose
from codegen.ir import Kernel
from codegen.rewrites.contract import contractions
from codegen.target import CPU
from kernelforge import Context, Tensor
from kernelforge.planning.plan import make_plan
from kernelforge.structure import structure_on

Sizes = tuple[int, int, int, int, int, int]  # batch, heads, heads of keys, queries, keys, width


def attention(sizes: Sizes, device: str, causal: bool = False) -> list[Tensor]:
    """Attention whose heads share keys, and its gradients by queries, keys and values."""
    batch, heads, shared, queries, keys, width = sizes
    r = np.random.default_rng(sizes)
    shapes = [(batch, heads, queries, width), *[(batch, shared, keys, width)] * 2]
    q, k, v = (Tensor(r.standard_normal(s).astype(np.float32), device).requires_grad_() for s in shapes)
    y = q.scaled_dot_product_attention(k, v, is_causal=causal, enable_gqa=True)
    g = Tensor(r.standard_normal(shapes[0]).astype(np.float32), device)
    return [y, *y.gradient(q, k, v, gradient=g)]


def talking_heads(device: str) -> list[Tensor]:
    """Attention whose scores are mixed among heads, and its gradients."""
    r = np.random.default_rng(3)
    q, k, v = (Tensor(r.standard_normal((2, 4, 40, 16)).astype(np.float32), device).requires_grad_() for _ in range(3))
    mix = Tensor(r.standard_normal((4, 4)).astype(np.float32), device).requires_grad_()
    scores = Tensor.einsum("bhqd,bhkd,hg->bgqk", q, k, mix)
    y = scores.softmax(-1) @ v
    return [y, *(y * y).sum().gradient(q, k, v, mix)]


def biased(sizes: Sizes, device: str) -> list[Tensor]:
    """Attention with a bias all of a batch share, and its gradients by everything."""
    batch, heads, _, queries, keys, width = sizes
    r = np.random.default_rng(sizes)
    shapes = [(batch, heads, queries, width), *[(batch, heads, keys, width)] * 2, (heads, queries, keys)]
    q, k, v, bias = (Tensor(r.standard_normal(s).astype(np.float32), device).requires_grad_() for s in shapes)
    y = q.scaled_dot_product_attention(k, v, bias)
    g = Tensor(r.standard_normal(shapes[0]).astype(np.float32), device)
    return [y, *y.gradient(q, k, v, bias, gradient=g)]


def kernels_of(results: list[Tensor]) -> list[Kernel]:
    nodes = [x._node for x in results]
    with Context(DUMP_LANGUAGE="opencl", TUNE_LOCK="none"):
        plan = make_plan(nodes, structure_on(nodes, "CPU").leaves, "CPU")
    return [step.program.kernel for step in plan.launches if step.program.kernel is not None]


LARGE: dict[str, Callable[[], list[Tensor]]] = {
    "shared keys": lambda: attention((4, 8, 2, 128, 128, 32), "CPU"),
    "shared keys, causal": lambda: attention((4, 8, 2, 128, 128, 32), "CPU", True),
    "one head of keys": lambda: attention((1, 6, 1, 200, 96, 64), "CPU"),
    "as many heads of keys": lambda: attention((2, 8, 8, 64, 64, 48), "CPU"),
    "a bias": lambda: biased((2, 4, 4, 128, 96, 32), "CPU"),
    "a bias in many small windows": lambda: biased((32, 3, 3, 49, 49, 32), "CPU"),
}


@pytest.mark.parametrize("form", LARGE)
def test_all_products_have_register_tiles(form: str) -> None:
    met = [(kernel, c) for kernel in kernels_of(LARGE[form]()) for c in contractions(kernel) if worth_tiling(c)]
    assert len(met) >= 6
    for kernel, c in met:
        schedule = choose(kernel, CPU)
        loops = schedule.inner[c.reduce].loops if c.reduce in schedule.inner else schedule.loops
        rows = [step.tile for step in loops if step.axis in (*c.m, *c.n) and step.tile < 16]
        assert max(rows, default=1) >= 4, f"{kernel.name}: {c.reduce}"


FORMS: dict[str, Callable[[str], list[Tensor]]] = {
    "heads that share keys": lambda device: attention((2, 4, 2, 24, 40, 16), device),
    "all heads share keys, causal": lambda device: attention((1, 6, 1, 70, 70, 20), device, True),
    "a bias": lambda device: biased((3, 2, 2, 37, 21, 16), device),
    "a bias, many small windows": lambda device: biased((5, 3, 3, 17, 17, 8), device),
    "mixed scores": talking_heads,
}


@pytest.mark.parametrize("form", FORMS)
def test_results(form: str) -> None:
    found, expected = (FORMS[form](device) for device in ("CPU", "NUMPY"))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("seed", range(6))
def test_results_of_random_sizes(seed: int) -> None:
    batch, times, shared, queries, keys, width = np.random.default_rng(seed).integers(1, (3, 5, 4, 38, 38, 21)).tolist()
    sizes, causal = (batch, times * shared, shared, queries, keys, width), bool(seed % 2)
    for a, b in zip(attention(sizes, "CPU", causal), attention(sizes, "NUMPY", causal), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-4, atol=2e-4)
