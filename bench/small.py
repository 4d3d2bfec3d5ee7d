"""Single small operations beside torch eager, each computed and waited for: bound by the host, not by kernels.

    python -m bench.small [CLASS ...] [--sides 1 8 32 64 256] [--rounds 5] [--below 0.8] [--write FILE]

Arrays are squares of the given sides.  The classes are those of CLASSES below.  Prints torch's time over ours of each
operation at each size, with our microseconds, and in the end the geometric means and what is below the limit.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import kernelforge
from bench.measure import THREADS, Ratio, environment, ratio, table
from kernelforge import Device, Tensor
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.nn import functional
from kernelforge.realize import synchronize

Operation = Callable[[Any, Any, Any], Any]  # of a library, its nn.functional and its inputs

# a, b, v: floats, v one row; p: floats in 0 < p < 1; i, labels, order: whole numbers below the side; m, n: bools
ELEMENTWISE: dict[str, Operation] = {
    "a + b": lambda k, f, x: x.a + x.b,
    "a * 2": lambda k, f, x: x.a * 2,
    "1 - a": lambda k, f, x: 1 - x.a,
    "a / v": lambda k, f, x: x.a / x.v,
    "a ** 2": lambda k, f, x: x.a**2,
    "p ** 0.3": lambda k, f, x: x.p**0.3,
    "-a": lambda k, f, x: -x.a,
    "abs": lambda k, f, x: x.a.abs(),
    "exp": lambda k, f, x: x.a.exp(),
    "log": lambda k, f, x: x.p.log(),
    "sqrt": lambda k, f, x: x.p.sqrt(),
    "sin": lambda k, f, x: x.a.sin(),
    "tanh": lambda k, f, x: x.a.tanh(),
    "sigmoid": lambda k, f, x: x.a.sigmoid(),
    "relu": lambda k, f, x: x.a.relu(),
    "gelu": lambda k, f, x: f.gelu(x.a),
    "silu": lambda k, f, x: f.silu(x.a),
    "erf": lambda k, f, x: x.a.erf(),
    "floor": lambda k, f, x: x.a.floor(),
    "clamp": lambda k, f, x: x.a.clamp(-1, 1),
    "maximum": lambda k, f, x: k.maximum(x.a, x.b),
    "atan2": lambda k, f, x: k.atan2(x.a, x.b),
    "a > b": lambda k, f, x: x.a > x.b,
    "a == 0": lambda k, f, x: x.a == 0,
    "isnan": lambda k, f, x: k.isnan(x.a),
    "m & n": lambda k, f, x: x.m & x.n,
    "where": lambda k, f, x: k.where(x.m, x.a, x.b),
    "masked_fill": lambda k, f, x: x.a.masked_fill(x.m, 0.0),
    "lerp": lambda k, f, x: k.lerp(x.a, x.b, 0.3),
    "i + 1": lambda k, f, x: x.i + 1,
    "i // 3": lambda k, f, x: x.i // 3,
    "i % 3": lambda k, f, x: x.i % 3,
}
CASTS: dict[str, Operation] = {
    "to half": lambda k, f, x: x.a.half(),
    "to int": lambda k, f, x: x.a.int(),
    "to bool": lambda k, f, x: x.a.bool(),
    "to double": lambda k, f, x: x.a.double(),
    "i to float": lambda k, f, x: x.i.float(),
    "clone": lambda k, f, x: x.a.clone(),
}
REDUCTIONS: dict[str, Operation] = {
    "sum": lambda k, f, x: x.a.sum(),
    "sum rows": lambda k, f, x: x.a.sum(1),
    "sum columns": lambda k, f, x: x.a.sum(0),
    "mean": lambda k, f, x: x.a.mean(),
    "max": lambda k, f, x: x.a.max(),
    "max rows": lambda k, f, x: x.a.max(1),
    "amax": lambda k, f, x: x.a.amax(1),
    "min": lambda k, f, x: x.a.min(),
    "prod": lambda k, f, x: x.p.prod(),
    "var": lambda k, f, x: x.a.var(),
    "std rows": lambda k, f, x: x.a.std(1),
    "norm": lambda k, f, x: x.a.norm(),
    "argmax": lambda k, f, x: x.a.argmax(),
    "argmax rows": lambda k, f, x: x.a.argmax(1),
    "any": lambda k, f, x: x.m.any(),
    "all rows": lambda k, f, x: x.m.all(1),
    "logsumexp": lambda k, f, x: x.a.logsumexp(1),
    "cumsum": lambda k, f, x: x.a.cumsum(1),
    "cumsum down": lambda k, f, x: x.a.cumsum(0),
    "cumprod": lambda k, f, x: x.p.cumprod(1),
    "count_nonzero": lambda k, f, x: k.count_nonzero(x.m),
}
ROWS: dict[str, Operation] = {
    "softmax": lambda k, f, x: f.softmax(x.a, -1),
    "log_softmax": lambda k, f, x: f.log_softmax(x.a, -1),
    "layer_norm": lambda k, f, x: f.layer_norm(x.a, (x.a.shape[-1],), x.v, x.v),
    "rms_norm": lambda k, f, x: f.rms_norm(x.a, (x.a.shape[-1],), x.v),
    "batch_norm": lambda k, f, x: f.batch_norm(x.a, x.v, x.pv, x.v, x.v),
    "normalize": lambda k, f, x: f.normalize(x.a),
    "cross_entropy": lambda k, f, x: f.cross_entropy(x.a, x.labels),
    "mse_loss": lambda k, f, x: f.mse_loss(x.a, x.b),
    "l1_loss": lambda k, f, x: f.l1_loss(x.a, x.b),
    "bce with logits": lambda k, f, x: f.binary_cross_entropy_with_logits(x.a, x.p),
    "nll_loss": lambda k, f, x: f.nll_loss(x.a, x.labels),
    "cosine_similarity": lambda k, f, x: f.cosine_similarity(x.a, x.b),
}
PLACES: dict[str, Operation] = {
    "gather": lambda k, f, x: x.a.gather(1, x.i),
    "a[labels]": lambda k, f, x: x.a[x.labels],
    "a[range, labels]": lambda k, f, x: x.a[x.order, x.labels],
    "index_select": lambda k, f, x: x.a.index_select(0, x.labels),
    "embedding": lambda k, f, x: f.embedding(x.labels, x.a),
    "take_along_dim": lambda k, f, x: k.take_along_dim(x.a, x.i, 1),
    "index_add": lambda k, f, x: x.a.index_add(0, x.labels, x.b),
    "scatter": lambda k, f, x: x.a.scatter(1, x.i, x.b),
    "scatter_add": lambda k, f, x: x.a.scatter_add(1, x.i, x.b),
    "one_hot": lambda k, f, x: f.one_hot(x.labels, x.a.shape[0]),
    "bincount": lambda k, f, x: k.bincount(x.labels, minlength=x.a.shape[0]),
    "sort": lambda k, f, x: x.a.sort(1),
    "argsort": lambda k, f, x: x.a.argsort(1),
    "topk": lambda k, f, x: x.a.topk(min(5, x.a.shape[1]), 1),
    "median": lambda k, f, x: x.a.median(),
    "median rows": lambda k, f, x: x.a.median(1),
    "searchsorted": lambda k, f, x: k.searchsorted(x.sorted, x.v),
}
MOVES: dict[str, Operation] = {
    "cat": lambda k, f, x: k.cat((x.a, x.b)),
    "cat columns": lambda k, f, x: k.cat((x.a, x.b), 1),
    "stack": lambda k, f, x: k.stack((x.a, x.b)),
    "pad": lambda k, f, x: f.pad(x.a, (1, 1, 1, 1)),
    "transposed copy": lambda k, f, x: x.a.T.contiguous(),
    "slice copy": lambda k, f, x: x.a[:, : (x.a.shape[1] + 1) // 2].contiguous(),
    "flip": lambda k, f, x: x.a.flip(0),
    "roll": lambda k, f, x: x.a.roll(1, 0),
    "repeat": lambda k, f, x: x.a.repeat(2, 2),
    "repeat_interleave": lambda k, f, x: x.a.repeat_interleave(2, 0),
    "tril": lambda k, f, x: x.a.tril(),
    "diag": lambda k, f, x: k.diag(x.v),
    "broadcast copy": lambda k, f, x: x.v.expand(x.a.shape[0], x.v.shape[0]).contiguous(),
    "meshgrid sum": lambda k, f, x: x.v[:, None] + x.v[None],
}
PRODUCTS: dict[str, Operation] = {
    "a @ b": lambda k, f, x: x.a @ x.b,
    "a @ b.T": lambda k, f, x: x.a @ x.b.T,
    "a.T @ b": lambda k, f, x: x.a.T @ x.b,
    "a @ v": lambda k, f, x: x.a @ x.v,
    "v @ v": lambda k, f, x: x.v @ x.v,
    "outer": lambda k, f, x: k.outer(x.v, x.v),
    "linear": lambda k, f, x: f.linear(x.a, x.b, x.v),
    "bmm": lambda k, f, x: k.bmm(x.batch, x.batch),
    "einsum ij,kj->ik": lambda k, f, x: k.einsum("ij,kj->ik", x.a, x.b),
    "addmm": lambda k, f, x: k.addmm(x.v, x.a, x.b),
    "conv2d": lambda k, f, x: f.conv2d(x.image, x.kernel, padding=1),
    "conv1d": lambda k, f, x: f.conv1d(x.line, x.kernel[:, :, 0], padding=1),
    "max_pool2d": lambda k, f, x: f.max_pool2d(x.image, 2),
    "avg_pool2d": lambda k, f, x: f.avg_pool2d(x.image, 2),
    "attention": lambda k, f, x: f.scaled_dot_product_attention(x.heads, x.heads, x.heads),
}
MADE: dict[str, Operation] = {
    "zeros": lambda k, f, x: k.zeros(x.a.shape),
    "full": lambda k, f, x: k.full(x.a.shape, 1.5),
    "arange": lambda k, f, x: k.arange(x.a.numel()),
    "linspace": lambda k, f, x: k.linspace(0, 1, x.a.numel()),
    "eye": lambda k, f, x: k.eye(x.a.shape[0]),
    "rand": lambda k, f, x: k.rand(*x.a.shape),
    "randn": lambda k, f, x: k.randn(*x.a.shape),
    "randint": lambda k, f, x: k.randint(0, 10, x.a.shape),
    "randperm": lambda k, f, x: k.randperm(x.a.shape[0]),
    "bernoulli": lambda k, f, x: k.bernoulli(x.p),
    "dropout": lambda k, f, x: f.dropout(x.a, 0.5, True),
    "ones_like": lambda k, f, x: k.ones_like(x.a),
}


def changed(x: Any, change: Callable[[Any], Any]) -> Any:
    """A tensor after a change in place."""
    change(x.w)
    return x.w


CHANGES: dict[str, Operation] = {
    "w += b": lambda k, f, x: changed(x, lambda w: w.add_(x.b, alpha=1e-9)),
    "w *= 1": lambda k, f, x: changed(x, lambda w: w.mul_(1.0)),
    "w.zero_()": lambda k, f, x: changed(x, lambda w: w.zero_()),
    "w.copy_(b)": lambda k, f, x: changed(x, lambda w: w.copy_(x.b)),
    "w[0] = v": lambda k, f, x: changed(x, lambda w: w.__setitem__(0, x.v)),
    "w[:, 0] = 1": lambda k, f, x: changed(x, lambda w: w.__setitem__((slice(None), 0), 1.0)),
    "w[m] = 0": lambda k, f, x: changed(x, lambda w: w.__setitem__(x.m, 0.0)),
    "w[labels] = b": lambda k, f, x: changed(x, lambda w: w.__setitem__(x.order, x.b)),
    "w.index_add_": lambda k, f, x: changed(x, lambda w: w.index_add_(0, x.labels, x.zero)),
    "w.clamp_": lambda k, f, x: changed(x, lambda w: w.clamp_(-3, 3)),
    "w.normal_()": lambda k, f, x: changed(x, lambda w: w.normal_()),
}
READ: dict[str, Operation] = {
    "a.sum().item()": lambda k, f, x: x.a.sum().item(),
    "(a > 0).any()": lambda k, f, x: bool((x.a > 0).any()),
    "nonzero": lambda k, f, x: x.m.nonzero(),
    "a[m]": lambda k, f, x: x.a[x.m],
    "unique": lambda k, f, x: k.unique(x.labels),
    "tolist": lambda k, f, x: (x.v + 1).tolist(),
    "numpy": lambda k, f, x: (x.a + 1).numpy(),
    "from numpy": lambda k, f, x: k.tensor(x.array) + 1,
}
CHAINS: dict[str, Operation] = {
    "a * b + v": lambda k, f, x: x.a * x.b + x.v,
    "(a - mean) / std": lambda k, f, x: (x.a - x.a.mean(0)) / x.a.std(0),
    "relu(a @ b + v)": lambda k, f, x: (x.a @ x.b + x.v).relu(),
    "a[labels] + v": lambda k, f, x: x.a[x.labels] + x.v,
    "softmax, sum": lambda k, f, x: (f.softmax(x.a, -1) * x.b).sum(-1),
    "embedding, norm": lambda k, f, x: f.layer_norm(f.embedding(x.labels, x.a), (x.a.shape[-1],)),
    "clamp, sqrt, where": lambda k, f, x: k.where(x.m, x.a.clamp(0).sqrt(), x.b),
    "cat, sum": lambda k, f, x: k.cat((x.a, x.b)).sum(0),
}
CLASSES: dict[str, dict[str, Operation]] = {
    "elementwise": ELEMENTWISE,
    "casts": CASTS,
    "reductions": REDUCTIONS,
    "rows": ROWS,
    "places": PLACES,
    "moves": MOVES,
    "products": PRODUCTS,
    "made": MADE,
    "changes": CHANGES,
    "read": READ,
    "chains": CHAINS,
}


def inputs(make: Callable[[Any], Any], side: int) -> SimpleNamespace:
    """What operations work on, as tensors of a library."""
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, side, side), np.float32)
    part, channels = max(2, side // 4), max(1, min(16, side // 4))
    arrays = {
        "a": a, "b": b, "w": b, "zero": 0 * b, "v": a[0], "p": random.random((side, side), np.float32) * 0.98 + 0.01,
        "i": random.integers(0, side, (side, side)), "labels": random.integers(0, side, side),
        "order": random.permutation(side), "m": a > 0, "n": b > 0, "sorted": np.sort(a[0]), "pv": np.abs(a[0]) + 0.1,
        "batch": random.standard_normal((4, part, part), np.float32),
        "image": random.standard_normal((1, channels, part, part), np.float32),
        "kernel": random.standard_normal((channels, channels, 3, 3), np.float32),
        "line": random.standard_normal((1, channels, side), np.float32),
        "heads": random.standard_normal((1, 2, side, 16), np.float32),
    }  # fmt: skip
    return SimpleNamespace(array=a, **{name: make(array.copy()) for name, array in arrays.items()})


def finishing(value: Any) -> Callable[[Any], object]:
    """How results such as this one are computed and waited for, with nothing beside it that a user would not do."""
    runtime = Device[Device.DEFAULT]
    waits = not (isinstance(runtime, OpenCLRuntime) and runtime.is_native)  # else kernels that were called are done
    if isinstance(value, Tensor):
        return (lambda x: (x.realize(), synchronize())) if waits else Tensor.realize
    if isinstance(value, tuple) and all(isinstance(part, Tensor) for part in value):
        return (lambda x: (x[0].realize(*x[1:]), synchronize())) if waits else (lambda x: x[0].realize(*x[1:]))
    return lambda x: None


def pair(work: Operation, x: Any, y: Any) -> tuple[Callable[[], object], Callable[[], object]]:
    """An operation of both libraries, computed and waited for."""
    import torch

    finish = finishing(work(kernelforge, functional, x))
    return lambda: finish(work(kernelforge, functional, x)), lambda: work(torch, torch.nn.functional, y)


def page(found: dict[tuple[str, int], Ratio], below: float) -> str:
    """What was found as a page: all cells by operation and side, and what they come to."""
    sides = sorted({side for _, side in found})
    cells = {name: [found.get((name, side)) for side in sides] for name in dict.fromkeys(name for name, _ in found)}
    rows = [[name, *[f"{x.times:.2f} ({1e6 * x.ours:.1f})" if x else "" for x in row]] for name, row in cells.items()]
    fast = sum(x.times >= below for x in found.values())
    return "\n".join([
        "# Single small operations", "",
        "Made by `python -m bench.small --write docs/benchmarks/small.md`: each operation made, computed, waited for,",
        "on square arrays of these sides; times as fast as torch eager in the same process, and our microseconds.", "",
        *[f"- {name}: {value}" for name, value in environment().items()], "",
        f"{fast} of {len(found)} at least {below} times as fast; geometric mean {mean_of(found):.2f}.", "",
        table(["operation", *[f"{side} x {side}" for side in sides]], rows), "",
    ])  # fmt: skip


def mean_of(found: dict[tuple[str, int], Ratio]) -> float:
    """The geometric mean of the ratios."""
    return math.exp(sum(math.log(x.times) for x in found.values()) / len(found))


def main() -> None:
    """Measure and print."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m bench.small", description="small operations beside torch eager")
    parser.add_argument("classes", nargs="*", metavar="CLASS", help=f"of {', '.join(CLASSES)} (default all)")
    parser.add_argument("--sides", type=int, nargs="+", default=[1, 8, 32, 64, 256], help="of the square arrays")
    parser.add_argument("--rounds", type=int, default=5, help="timings of each side (default 5)")
    parser.add_argument("--only", default="", help="operations whose name has this in it")
    parser.add_argument("--below", type=float, default=0.8, help="what is listed in the end (default 0.8)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a page of the results")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    sizes = options.sides
    ours = [inputs(lambda array: Tensor(array).realize(), side) for side in sizes]
    theirs = [inputs(torch.from_numpy, side) for side in sizes]
    found: dict[tuple[str, int], Ratio] = {}
    print(f"{'times as fast as torch, with our us':36}" + "".join(f"{f'{n} x {n}':>17}" for n in sizes))
    for name in options.classes or CLASSES:
        for what, work in CLASSES[name].items():
            if options.only not in what:
                continue
            cells = []
            for side, x, y in zip(sizes, ours, theirs):
                try:
                    times = ratio(*pair(work, x, y), options.rounds)
                except Exception as error:
                    cells.append(type(error).__name__[:16])
                    print(f"{what}: {error}"[:300])
                    continue
                found[f"{name}: {what}", side] = times
                cells.append(f"{times.times:.2f} {1e6 * times.ours:8.1f}")
            print(f"{what:36}" + "".join(f"{cell:>17}" for cell in cells), flush=True)
    if found:
        least = sorted((value.times, key) for key, value in found.items() if value.times < options.below)
        print(f"\ngeometric mean {mean_of(found):.2f}; below {options.below}: {len(least)} of {len(found)}")
        for value, (what, side) in least:
            print(f"{value:.2f}  {what}, {side} x {side}")
        if options.write:
            options.write.write_text(page(found, options.below))


if __name__ == "__main__":
    main()
