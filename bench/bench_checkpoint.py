"""What activation checkpointing saves: memory and time of a deep model's training step, with it and without.

    python -m bench.bench_checkpoint [--blocks 16] [--rows 2048]

Each row is a process of its own; memory is the most it ever held, less what it held before the first step.
"""

import argparse
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

from bench.measure import THREADS
from kernelforge import Tensor, nn, optim
from kernelforge.func import checkpoint

WIDTH, STEPS = 256, 6


def ours(blocks: int, rows: int, saves: bool) -> Any:
    """A training step of a deep model of ours."""
    layers = [
        nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH),
                      nn.Dropout(0.1)).train() for _ in range(blocks)
    ]  # fmt: skip
    optimizer = optim.SGD([x for layer in layers for x in layer.parameters()], 1e-2)
    x = Tensor(np.random.default_rng(0).normal(size=(rows, WIDTH)).astype(np.float32)).realize()

    def step() -> float:
        optimizer.zero_grad()
        y = x
        for layer in layers:
            y = y + (checkpoint(layer, y) if saves else layer(y))
        loss = y.square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def theirs(blocks: int, rows: int, saves: bool) -> Any:
    """The same in torch."""
    import torch
    from torch.utils.checkpoint import checkpoint as again

    torch.set_num_threads(THREADS)
    part = torch.nn
    layers = [
        part.Sequential(part.LayerNorm(WIDTH), part.Linear(WIDTH, 4 * WIDTH), part.GELU(),
                        part.Linear(4 * WIDTH, WIDTH), part.Dropout(0.1)) for _ in range(blocks)
    ]  # fmt: skip
    optimizer = torch.optim.SGD([x for layer in layers for x in layer.parameters()], 1e-2)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(rows, WIDTH)).astype(np.float32))

    def step() -> float:
        optimizer.zero_grad()
        y = x
        for layer in layers:
            y = y + (again(layer, y, use_reentrant=False) if saves else layer(y))
        loss = y.square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measured(options: argparse.Namespace) -> None:
    """Print memory in MiB and the best time of a step in ms."""
    step = {"kernelforge": ours, "torch": theirs}[options.library](options.blocks, options.rows, options.saves)
    before, best = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, np.inf
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{(after - before) / 1024:.0f} {best * 1e3:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What activation checkpointing saves.")
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--library", help=argparse.SUPPRESS)
    parser.add_argument("--saves", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.library:
        measured(options)
        return
    print(f"{options.blocks} blocks, {options.rows} rows of {WIDTH}\n{'':30}{'MiB':>8}{'ms':>10}")
    for library in ("kernelforge", "torch"):
        for saves in ((), ("--saves",)):
            command = [sys.executable, "-m", "bench.bench_checkpoint", "--library", library, *saves]
            command += ["--blocks", str(options.blocks), "--rows", str(options.rows)]
            memory, seconds = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            print(f"{library + (', checkpointed' if saves else ''):30}{memory:>8}{seconds:>10}")


if __name__ == "__main__":
    main()
