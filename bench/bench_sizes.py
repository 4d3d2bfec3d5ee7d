"""Open sizes: kernels compiled over random sizes, what a new size costs, and the speed beside kernels for one size.

    pytest bench/bench_sizes.py -s
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from math import exp, log, prod

import numpy as np

from kernelforge import Context, GlobalCounters, Tensor, met
from kernelforge.realize import synchronize

WIDTH, HEADS = 64, 4
TRIES, LEAST, MOST = 40, 1e6, 3e7  # sizes drawn for a function; the products of its sums
LAYERS, SIZES_EACH = 6, 4
Function = Callable[[Tensor], Tensor]


def functions() -> dict[str, Function]:
    """Functions of [batch, sequence, width]."""
    rng = np.random.default_rng(0)
    wide = Tensor(rng.standard_normal((WIDTH, 4 * WIDTH)).astype(np.float32)).realize()
    back = Tensor(rng.standard_normal((4 * WIDTH, WIDTH)).astype(np.float32)).realize()

    def attention(x: Tensor) -> Tensor:
        q = x.reshape(*x.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)
        return q.scaled_dot_product_attention(q, q, is_causal=True)

    return {
        "elementwise": lambda x: (x * 2 + 1).tanh(),
        "rows": lambda x: x.softmax(-1),
        "feed forward": lambda x: (x @ wide).gelu() @ back,
        "attention": attention,
    }


def measure(function: Function, sizes: list[tuple[int, int]]) -> tuple[int, float, float]:
    """Kernels compiled over all sizes, milliseconds of the last new size, time beside kernels for that size alone."""
    rng, before, fresh = np.random.default_rng(1), GlobalCounters.compiled, 0.0
    for size in sizes:
        x = Tensor(rng.standard_normal((*size, WIDTH)).astype(np.float32)).realize()
        start = time.perf_counter()
        function(x).realize()
        synchronize()
        fresh = time.perf_counter() - start
    compiled = GlobalCounters.compiled - before
    return compiled, fresh * 1e3, beside_own(function, x, 30, time.perf_counter)


def beside_own(function: Function, x: Tensor, repeats: int, clock: Callable[[], float]) -> float:
    """The least time of kernels for open sizes beside that of a size's own kernels."""
    best = {0: float("inf"), 1: float("inf")}
    for _ in range(repeats):
        for is_open in best:
            with Context(OPEN=is_open):
                start = clock()
                function(x).realize()
                synchronize()
                best[is_open] = min(best[is_open], clock() - start)
    return best[1] / best[0]


def convolutions(draw: random.Random) -> tuple[str, Function, list[tuple[int, ...]]]:
    """A convolution over a batch and planes of any size, or one of its gradients, and some sizes."""
    rank, groups = draw.choice((1, 2, 2, 2, 3)), draw.choice((1, 1, 1, 2, 4))
    channels, outputs = (groups * round(2 ** draw.uniform(1, 6)) for _ in range(2))
    taps, stride, dilation = draw.choice((1, 2, 3, 3, 5)), draw.choice((1, 1, 2, 3)), draw.choice((1, 1, 2))
    what, turned = draw.choice(("forward", "input", "weight")), draw.random() < 0.2
    longest = {1: 1000, 2: 60, 3: 18}[rank]
    sizes = [(round(2 ** draw.uniform(0, 4)), *[draw.randint(longest // 4, longest)] * rank) for _ in range(TRIES)]
    made = getattr(Tensor, f"conv_transpose{rank}d" if turned else f"conv{rank}d")
    shape = (channels, outputs // groups) if turned else (outputs, channels // groups)
    weight = Tensor.randn(*shape, *[taps] * rank).realize()
    weight.requires_grad = what != "forward"

    def function(x: Tensor) -> Tensor:
        x = x.detach()
        x.requires_grad = what != "forward"
        y = made(x, weight, stride=stride, dilation=dilation, groups=groups, padding=dilation * (taps // 2))
        return y if what == "forward" else y.square().sum().gradient(x if what == "input" else weight)[0]

    name = f"{what} {rank}d {channels} to {outputs} k{taps} s{stride} d{dilation} g{groups}{' turned' * turned}"
    work = channels * outputs // groups * taps**rank
    return name, function, [(b, channels, *p) for b, *p in sizes if LEAST < b * prod(p) * work < MOST]


def products(draw: random.Random) -> tuple[str, Function, list[tuple[int, ...]]]:
    """A product in one of four transpositions, with one open size or two, and some sizes."""
    left, right, columns, depth = draw.random() < 0.5, draw.random() < 0.5, draw.randint(8, 900), draw.randint(8, 900)
    other = Tensor.randn(*((columns, depth) if right else (depth, columns))).realize()
    sizes = [round(2 ** draw.uniform(2, 10)) for _ in range(TRIES)]

    def function(x: Tensor) -> Tensor:
        return (x.T if left else x) @ (other.T if right else other)

    fit = [(depth, m) if left else (m, depth) for m in sizes if LEAST < m * columns * depth < MOST]
    return f"product {'NT'[left]}{'NT'[right]} n {columns} k {depth}", function, fit


def ratios(function: Function, sizes: list[tuple[int, ...]]) -> list[float]:
    """The time of each size from the third on beside that of its own kernels."""
    xs = [Tensor.randn(*size).realize() for size in sizes]
    for x in xs[:2]:
        function(x).realize()
    return [beside_own(function, x, 5, time.process_time) for x in xs[2:]]


def bench_windows_and_products() -> None:
    """One thread: KF_THREADS=1; no size may have kernels of its own meanwhile."""
    draw, before = random.Random(1), (met.OFTEN, met.SOON)
    print()
    met.OFTEN = met.SOON = 1 << 30
    for made in convolutions, products:
        found: list[tuple[float, str]] = []
        for _ in range(LAYERS):
            name, function, sizes = made(draw)
            sizes = sizes[:SIZES_EACH]
            found += [(ratio, f"{name} at {size}") for ratio, size in zip(ratios(function, sizes), sizes[2:])]
        mean = exp(sum(log(ratio) for ratio, _ in found) / len(found))
        print(f"{made.__name__:14} {len(found)} sizes: {mean:4.2f} of the time of own kernels in the geometric mean")
        print("".join(f"    {ratio:4.2f} {name}\n" for ratio, name in sorted(found, reverse=True)[:3]), end="")
    met.OFTEN, met.SOON = before


def bench_sizes() -> None:
    print()
    rng = np.random.default_rng(2)
    sizes = [(int(rng.integers(2, 65)), int(rng.integers(2, 513))) for _ in range(20)]
    for name, function in functions().items():
        compiled, fresh, ratio = measure(function, sizes)
        print(f"{name:14} {len(sizes)} sizes: {compiled:2} kernels compiled, "
              f"a new size {fresh:6.2f} ms, {ratio:4.2f} of the time of its own kernels")  # fmt: skip

