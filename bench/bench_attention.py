"""Scaled dot product attention, forward and backward, with and without a mask."""

import numpy as np
import pytest
import torch

from kernelforge import Device, Tensor

SHAPES = [(1, 16, 512, 64), (2, 8, 1000, 64), (1, 8, 2048, 64)]
attention = torch.nn.functional.scaled_dot_product_attention


def inputs(shape):
    random = np.random.default_rng(0)
    return [random.standard_normal(shape, np.float32) for _ in range(3)]


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
def bench_attention(compare, shape, causal):
    arrays = inputs(shape)
    q, k, v = (Tensor(a).realize() for a in arrays)
    tq, tk, tv = map(torch.from_numpy, arrays)

    def ours():
        q.scaled_dot_product_attention(k, v, is_causal=causal).realize()
        Device[Device.DEFAULT].synchronize()

    b, h, t, d = shape
    compare(ours, lambda: attention(tq, tk, tv, is_causal=causal), flops=4 * b * h * t * t * d / (2 if causal else 1))


def bench_attention_masked(compare):
    shape = (1, 16, 512, 64)
    arrays = inputs(shape)
    mask = np.random.default_rng(1).standard_normal((512, 512), np.float32)
    q, k, v, m = (Tensor(a).realize() for a in (*arrays, mask))
    tq, tk, tv, tm = map(torch.from_numpy, (*arrays, mask))

    def ours():
        ((q @ k.transpose(-2, -1)) * 0.125 + m).softmax(-1).matmul(v).realize()
        Device[Device.DEFAULT].synchronize()

    compare(ours, lambda: attention(tq, tk, tv, attn_mask=tm), flops=4 * 16 * 512 * 512 * 64)


def bench_attention_backward(compare):
    shape = (1, 16, 512, 64)
    arrays = inputs(shape)
    q, k, v = (Tensor(a, requires_grad=True).realize() for a in arrays)
    tq, tk, tv = (torch.from_numpy(a).requires_grad_() for a in arrays)

    def ours():
        found = q.scaled_dot_product_attention(k, v).sum().gradient(q, k, v)
        found[0].realize(*found[1:])
        Device[Device.DEFAULT].synchronize()

    def theirs():
        return torch.autograd.grad(attention(tq, tk, tv).sum(), (tq, tk, tv))

    compare(ours, theirs, flops=14 * 16 * 512 * 512 * 64)
