"""Convolutions, forward and both gradients."""

import numpy as np
import pytest
import torch

from kernelforge import Device, Tensor

# images, channels in, channels out, plane, taps, stride
CASES = [
    (64, 32, 64, 8, 3, 1),
    (16, 64, 64, 56, 3, 1),
    (16, 256, 256, 14, 3, 1),
    (16, 64, 256, 56, 1, 1),
    (8, 3, 64, 224, 7, 2),
]


def name(case):
    return "n{} {}to{} {}^2 {}x{} s{}".format(*case[:5], *case[4:])


@pytest.mark.parametrize("case", CASES, ids=name)
def bench_conv2d(compare, case):
    images, channels, outputs, plane, taps, stride = case
    random = np.random.default_rng(0)
    a = random.standard_normal((images, channels, plane, plane), np.float32)
    f = random.standard_normal((outputs, channels, taps, taps), np.float32)
    x, w = Tensor(a).realize(), Tensor(f).realize()
    tx, tw = torch.from_numpy(a), torch.from_numpy(f)
    padding = taps // 2

    def ours():
        x.conv2d(w, stride=stride, padding=padding).realize()
        Device[Device.DEFAULT].synchronize()

    result = torch.conv2d(tx, tw, stride=stride, padding=padding)
    flops = 2 * result.numel() * channels * taps * taps
    compare(ours, lambda: torch.conv2d(tx, tw, stride=stride, padding=padding), flops=flops)


@pytest.mark.parametrize("case", CASES[:3], ids=name)
def bench_conv2d_backward(compare, case):
    images, channels, outputs, plane, taps, stride = case
    random = np.random.default_rng(0)
    a = random.standard_normal((images, channels, plane, plane), np.float32)
    f = random.standard_normal((outputs, channels, taps, taps), np.float32)
    x, w = Tensor(a, requires_grad=True).realize(), Tensor(f, requires_grad=True).realize()
    tx, tw = torch.from_numpy(a).requires_grad_(), torch.from_numpy(f).requires_grad_()

    def ours():
        found = x.conv2d(w, stride=stride, padding=taps // 2).square().sum().gradient(x, w)
        found[0].realize(*found[1:])
        Device[Device.DEFAULT].synchronize()

    def theirs():
        return torch.autograd.grad(torch.conv2d(tx, tw, stride=stride, padding=taps // 2).square().sum(), (tx, tw))

    compare(ours, theirs, flops=6 * images * outputs * plane * plane * channels * taps * taps / stride**2)
