"""Single layers forward and backward beside torch eager, small: bound by the host, not by kernels.

    python -m bench.layers [LAYER ...] [--batches 1 8 32] [--rounds 5] [--below 0.8] [--forward]

Each call computes a layer, the sum of its result's squares, and the gradients of that with respect to the parameters
and, where it has one, the input; nothing is captured.  Prints torch's time over ours of each layer at each batch, with
our microseconds, and in the end the geometric mean and what is below the limit.
"""

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import kernelforge
from bench.measure import THREADS, ratio
from kernelforge import Device, Tensor, nn
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.realize import synchronize

WIDTH = 64
LENGTH = 16

Layer = tuple[Callable[[Any], Any], tuple[int, ...]]  # from a library's nn; the shape of an input beside the batch
LAYERS: dict[str, Layer] = {
    "Linear": (lambda nn: nn.Linear(WIDTH, WIDTH), (WIDTH,)),
    "MLP": (lambda nn: nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)), (WIDTH,)),
    "Conv2d": (lambda nn: nn.Conv2d(8, 16, 3, padding=1), (8, 8, 8)),
    "Conv1d": (lambda nn: nn.Conv1d(16, 16, 3, padding=1), (16, 16)),
    "LayerNorm": (lambda nn: nn.LayerNorm(WIDTH), (LENGTH, WIDTH)),
    "RMSNorm": (lambda nn: nn.RMSNorm(WIDTH), (LENGTH, WIDTH)),
    "BatchNorm": (lambda nn: nn.BatchNorm2d(8), (8, 8, 8)),
    "GroupNorm": (lambda nn: nn.GroupNorm(2, 8), (8, 8, 8)),
    "Embedding": (lambda nn: nn.Embedding(100, WIDTH), (LENGTH,)),
    "Attention": (lambda nn: Attention(nn.MultiheadAttention(WIDTH, 4, batch_first=True)), (LENGTH, WIDTH)),
    "Encoder": (
        lambda nn: nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True), (LENGTH, WIDTH)
    ),
    "LSTM": (lambda nn: First(nn.LSTM(WIDTH, WIDTH, batch_first=True)), (LENGTH, WIDTH)),
    "GRU": (lambda nn: First(nn.GRU(WIDTH, WIDTH, batch_first=True)), (LENGTH, WIDTH)),
    "GELU": (lambda nn: nn.GELU(), (WIDTH,)),
    "Softmax": (lambda nn: nn.Softmax(-1), (WIDTH,)),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(2), (8, 8, 8)),
}  # fmt: skip


class First:
    """A layer's first result alone."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.parameters = layer, layer.parameters

    def __call__(self, x: Any) -> Any:
        return self.layer(x)[0]


class Attention(First):
    """Attention of a sequence to itself."""

    def __call__(self, x: Any) -> Any:
        return self.layer(x, x, x, need_weights=False)[0]


def step(layer: Any, x: Any, only_forward: bool, finish: Callable[..., object]) -> Callable[[], object]:
    """A call of a layer forward and backward, or forward alone, computed."""
    parameters = list(layer.parameters()) if hasattr(layer, "parameters") else []
    inputs = [x, *parameters] if x.requires_grad else parameters

    def forward() -> None:
        finish([layer(x)])

    def both() -> None:
        for one in inputs:
            one.grad = None
        loss = (layer(x) ** 2).sum()
        loss.backward()
        finish([loss, *[one.grad for one in inputs]])

    return forward if only_forward else both


def realized(tensors: list[Tensor]) -> None:
    """Tensors, computed together and waited for."""
    tensors[0].realize(*tensors[1:])
    runtime = Device[Device.DEFAULT]
    if not (isinstance(runtime, OpenCLRuntime) and runtime.is_native):  # else kernels that were called are done
        synchronize()


def pair(make: Callable[[Any], Any], shape: tuple[int, ...], only_forward: bool) -> list[Callable[[], object]]:
    """A layer of both libraries, of the same weights."""
    import torch

    values = np.random.default_rng(0).standard_normal(shape, np.float32)
    theirs, ours = make(torch.nn), make(nn)
    for mine, other in zip(ours.parameters() if hasattr(ours, "parameters") else (), theirs.parameters()):
        mine.assign(Tensor(other.detach().numpy())).realize()
    if "Embedding" in type(theirs).__name__:
        places = np.abs(values * 30).astype(np.int64) % 100
        x, y = Tensor(places).realize(), torch.from_numpy(places)
    else:
        x, y = Tensor(values).realize().requires_grad_(), torch.from_numpy(values).requires_grad_()
    return [step(ours, x, only_forward, realized), step(theirs, y, only_forward, lambda tensors: None)]


def main() -> None:
    """Measure and print."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m bench.layers", description="small layers beside torch eager")
    parser.add_argument("layers", nargs="*", metavar="LAYER", help=f"of {', '.join(LAYERS)} (default all)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32], help="examples in a call")
    parser.add_argument("--rounds", type=int, default=5, help="timings of each side (default 5)")
    parser.add_argument("--below", type=float, default=0.8, help="what is listed in the end (default 0.8)")
    parser.add_argument("--forward", action="store_true", help="without gradients")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    if options.forward:
        torch.set_grad_enabled(False)
        kernelforge.set_grad_enabled(False)
    found: dict[tuple[str, int], float] = {}
    print(f"{'times as fast as torch, with our us':36}" + "".join(f"{f'batch {n}':>17}" for n in options.batches))
    with kernelforge.Context(TRAINING=1):
        for name in options.layers or LAYERS:
            make, shape = LAYERS[name]
            cells = []
            for batch in options.batches:
                times = ratio(*pair(make, (batch, *shape), options.forward), options.rounds)
                found[name, batch] = times.times
                cells.append(f"{times.times:.2f} {1e6 * times.ours:8.1f}")
            print(f"{name:36}" + "".join(f"{cell:>17}" for cell in cells), flush=True)
    mean = math.exp(sum(map(math.log, found.values())) / len(found))
    least = sorted((value, key) for key, value in found.items() if value < options.below)
    print(f"\ngeometric mean {mean:.2f}; below {options.below}: {len(least)} of {len(found)}")
    for value, (what, batch) in least:
        print(f"{value:.2f}  {what}, batch {batch}")


if __name__ == "__main__":
    main()
