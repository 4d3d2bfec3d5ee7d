"""The main job's training step, and the same network and step in torch; memory and kernels of a step."""

import numpy as np
import torch
from torch import nn as torch_nn

from examples.digits import BATCH_SIZE, Network
from kernelforge import GlobalCounters, Tensor
from kernelforge.nn import optim


class TorchNetwork(torch_nn.Module):
    """The network of examples/digits.py."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = torch_nn.Conv2d(1, 32, 3, padding=1, bias=False), torch_nn.BatchNorm2d(32)
        self.conv2, self.norm2 = torch_nn.Conv2d(32, 64, 3, padding=1, bias=False), torch_nn.BatchNorm2d(64)
        self.out = torch_nn.Linear(64 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.conv1(x)).relu()
        x = torch.max_pool2d(self.norm2(self.conv2(x)).relu(), 2)
        return self.out(x.flatten(1))


def bench_step(benchmark, compare):
    random = np.random.default_rng(0)
    images = random.random((BATCH_SIZE, 1, 8, 8), np.float32)
    labels = random.integers(0, 10, BATCH_SIZE)
    model, theirs = Network(), TorchNetwork()
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    torch_optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3)

    def step() -> float:
        with Tensor.train():
            optimizer.zero_grad()
            loss = model(Tensor(images)).cross_entropy(Tensor(labels))
            loss.backward()
            optimizer.step()
            return loss.item()

    def torch_step() -> float:
        torch_optimizer.zero_grad()
        loss = torch_nn.functional.cross_entropy(theirs(torch.from_numpy(images)), torch.from_numpy(labels))
        loss.backward()
        torch_optimizer.step()
        return loss.item()

    step()
    GlobalCounters.reset()
    step()
    assert GlobalCounters.plans == GlobalCounters.compiled == 0, "the second step planned or compiled"
    benchmark.extra_info["kernels"] = GlobalCounters.kernel_count
    benchmark.extra_info["memory"] = GlobalCounters.mem_used
    compare(step, torch_step, flops=3 * 2 * BATCH_SIZE * 64 * 9 * (32 + 32 * 64))
