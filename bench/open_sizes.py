"""Open sizes as a page: kernels compiled over random sizes, what a new size costs, the speed beside own kernels.

    python -m bench.open_sizes                   measures every function and writes docs/benchmarks/sizes.md
    python -m bench.open_sizes --seed 7 rows     some functions, other sizes, nothing written
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from math import exp, log
from pathlib import Path
from statistics import median

import numpy as np

from bench.measure import environment, table
from kernelforge import Context, GlobalCounters, Tensor, met, nn
from kernelforge.func import scan
from kernelforge.realize import synchronize

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "sizes.md"
WIDTH, HEADS = 64, 4
BATCH, SEQUENCE = 64, 512
DRAWN, TIMED, ROUNDS, MOST = 120, 8, 80, 8192  # MOST: positions of the functions that do much with each
Function = Callable[[Tensor], Sequence[Tensor]]
COMPILED = ("compiled for the first", "the second", "all others")
HEAD = ("function", "sizes", *COMPILED, "a new size, ms", "beside own kernels", "worst")
TEXT = f"""# Sizes that change

Made by `python -m bench.open_sizes`: functions of an array of batch x sequence x {WIDTH}, with random batches of 1 to
{BATCH} and sequences of 1 to {SEQUENCE} (at most {MOST} positions in all for those that do much with each). *Compiled*
are the kernels of the first size, which is planned as it is, of the second, whose kernels are to serve all sizes, and
of those that come after. *A new size* is the median of what the first call of a size takes longer than the second.
*Beside own kernels* is the least time of a call beside that with kernels for its very sizes (`KF_OPEN=0`), one after
the other, in the geometric mean of {TIMED} sizes; *worst* is the largest of them. Plans for very sizes, which sizes
that return often get after a while, are off for that. Some sizes have kernels of their own: sequences of up to 3 in
loops, which are no loops, a single position in gradients of attention, and long sequences in sorting, which goes
another way there. First sizes of one batch or of one length take no more kernels, nor does a 1 in the first
(`tests/planning/test_open_plans.py`).

"""


def functions() -> dict[str, Function]:
    """Functions of [batch, sequence, width] that give what is to be computed."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> Tensor:
        return Tensor((rng.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)).realize()

    qkv = [weight(WIDTH, WIDTH) for _ in range(4)]
    up, down, scale, shift = weight(WIDTH, 4 * WIDTH), weight(4 * WIDTH, WIDTH), weight(WIDTH), weight(WIDTH)

    def norm(x: Tensor) -> Tensor:
        return x.layernorm() * scale + shift

    def attention(x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = ((x @ w).reshape(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2) for w in qkv[:3])
        mixed = q.scaled_dot_product_attention(k, v, is_causal=True)
        return mixed.transpose(1, 2).reshape(batch, length, WIDTH) @ qkv[3]

    def block(x: Tensor) -> Tensor:
        x = x + attention(norm(x))
        return x + (norm(x) @ up).gelu() @ down

    def step(x: Tensor) -> list[Tensor]:
        ws = [w.detach() for w in (up, down)]
        for w in ws:
            w.requires_grad = True
        loss = ((x @ ws[0]).relu() @ ws[1] - x).square().mean()
        return [loss, *((w - 0.1 * g).detach() for w, g in zip(ws, loss.gradient(*ws)))]

    found: dict[str, Function] = {
        "elementwise": lambda x: [(x * 2 + 1).tanh() * x],
        "rows": lambda x: [x.softmax(-1)],
        "columns": lambda x: [x.transpose(1, 2).softmax(-1)],
        "layer norm": lambda x: [norm(x)],
        "product": lambda x: [x @ up],
        "feed forward": lambda x: [(x @ up).gelu() @ down],
        "attention": lambda x: [attention(x)],
        "transformer block": lambda x: [block(x)],
        "training step": step,
    }
    return found | further(weight, attention) | walking(weight)


def further(weight: Callable[..., Tensor], attention: Callable[[Tensor], Tensor]) -> dict[str, Function]:
    """Functions that move values along the sequence, or sum over it."""
    taps, words, scale = weight(WIDTH, WIDTH, 3), weight(1000, WIDTH), weight(WIDTH)

    def gradient(function: Callable[[Tensor], Tensor]) -> Function:
        def given(x: Tensor) -> list[Tensor]:
            x = x.detach()
            x.requires_grad = True
            return function(x).square().mean().gradient(x)

        return given

    def masked(x: Tensor) -> Tensor:
        return (x @ x.transpose(1, 2)).tril().softmax(-1) @ x

    return {
        "convolution": lambda x: [x.transpose(1, 2).conv2d(taps, padding=1)],
        "embedding": lambda x: [words[(x[..., 0].abs() * 100).int() % 1000]],
        "cumulative sum": lambda x: [x.cumsum(1)],
        "joined": lambda x: [x.cat(x * 2, dim=1)],
        "turned": lambda x: [x.transpose(1, 2).contiguous()],
        "scores": lambda x: [x @ x.transpose(1, 2)],
        "sums of products": lambda x: [x.transpose(1, 2) @ x],
        "masked rows": lambda x: [masked(x)],
        "layer norm, gradient": gradient(lambda x: x.layernorm() * scale),
        "convolution, gradient": gradient(lambda x: x.transpose(1, 2).conv2d(taps, padding=1)),
        "attention, gradient": gradient(attention),
    }


def walking(weight: Callable[..., Tensor]) -> dict[str, Function]:
    """Functions that go along the sequence step by step, that put it in order, and a network on images."""
    lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
    cell, first, second, last = weight(WIDTH, WIDTH), weight(16, 1, 3, 3), weight(32, 16, 3, 3), weight(512, 10)
    Tensor.realize(*lstm.parameters())

    def images(x: Tensor) -> Tensor:
        image = x.mean(1).reshape(-1, 1, 8, 8)
        for taps in (first, second):
            image = image.conv2d(taps, padding=1).relu()
        return image.max_pool2d(2).flatten(1) @ last

    def scanned(x: Tensor) -> list[Tensor]:
        begin = Tensor.zeros(x.shape[0], WIDTH)
        return list(scan(lambda state, row: ((state @ cell + row).tanh(), state), begin, x, dim=1))

    def trained(x: Tensor) -> list[Tensor]:
        loss = lstm(x)[0].square().mean()
        return [loss, *loss.gradient(*lstm.parameters())]

    return {
        "LSTM": lambda x: [lstm(x)[0]],
        "LSTM, gradient": trained,
        "scan": scanned,
        "sort": lambda x: [x.sort(1)[0]],
        "images, changing batches": lambda x: [images(x)],
    }


FEW = ("feed forward", "attention", "transformer block", "training step", "convolution", "scores", "masked rows",
       "convolution, gradient", "attention, gradient", "sums of products",
       "LSTM", "LSTM, gradient", "scan", "sort")  # fmt: skip


def seconds(function: Function, x: Tensor) -> float:
    start = time.perf_counter()
    Tensor.realize(*function(x))
    synchronize()
    return time.perf_counter() - start


def row(name: str, seed: int) -> list[str]:
    """The cells of a function."""
    draw, rng, function = random.Random(seed), np.random.default_rng(seed), functions()[name]
    sizes = [(draw.randint(1, BATCH), draw.randint(1, SEQUENCE)) for _ in range(2 * DRAWN)]
    sizes = [size for size in sizes if name not in FEW or size[0] * size[1] <= MOST][:DRAWN]
    compiled, more = [0, 0, 0], list[float]()
    for number, size in enumerate(sizes):
        x, before = Tensor(rng.standard_normal((*size, WIDTH)).astype(np.float32)).realize(), GlobalCounters.compiled
        first = seconds(function, x)
        more.append(first - seconds(function, x))
        compiled[min(number, 2)] += GlobalCounters.compiled - before
    ratios = beside_own(function, sizes[2 : 2 + TIMED])
    mean = exp(sum(map(log, ratios)) / len(ratios))
    figures = median(more) * 1e3, mean, max(ratios)
    return [name, str(len(sizes)), *map(str, compiled), *(f"{figure:.2f}" for figure in figures)]


def beside_own(function: Function, sizes: Sequence[tuple[int, int]]) -> list[float]:
    """The least time of each size beside that with kernels of its own."""
    found, often = [], met.OFTEN
    met.OFTEN = 1 << 30
    for size in sizes:
        x = Tensor.randn(*size, WIDTH).realize()
        best = dict[int, float]()
        for is_open in (0, 1):  # one after the other: a graph is found in one call under one set of switches only
            with Context(OPEN=is_open):
                best[is_open] = min(seconds(function, x) for _ in range(ROUNDS))
        found.append(best[1] / best[0])
    met.OFTEN = often
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.open_sizes", description="what changing sizes cost")
    parser.add_argument("names", nargs="*", help="some functions; nothing is written then")
    parser.add_argument("--seed", type=int, default=0, help="other sizes")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.names or functions():
        rows.append(row(name, options.seed))
        print(" | ".join(rows[-1]), flush=True)
    if not options.names:
        head = "\n".join(f"- {name}: {value}" for name, value in environment().items())
        PAGE.write_text(f"{TEXT}{head}\n\n{table(HEAD, rows)}\n")


if __name__ == "__main__":
    main()
