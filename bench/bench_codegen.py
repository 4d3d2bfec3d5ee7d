"""What compiling costs on the Python side: graph to source, long chains, large graphs, tracing a step again."""

from statistics import median
from time import perf_counter

import numpy as np
import pytest

from codegen.generate import generate
from kernelforge import GlobalCounters, Tensor
from kernelforge.fusion.fuse import groups
from kernelforge.fusion.lower import lower
from kernelforge.graph import toposort
from kernelforge.kernels import Device
from kernelforge.rewrites.simplify import simplify

EXPRESSIONS = {
    "chain": lambda x, w: x * 2 + w,
    "softmax": lambda x, w: x.softmax(),
    "layer_norm": lambda x, w: x.layernorm() * w,
    "linear_gelu": lambda x, w: (x @ w).gelu(),
    "cross_entropy": lambda x, w: x.sparse_categorical_crossentropy(Tensor.zeros(256, dtype="int32")),
    "attention": lambda x, w: x.reshape(4, 64, 256).scaled_dot_product_attention(*[w.reshape(4, 64, 256)] * 2),
    "convolution": lambda x, w: x.reshape(4, 16, 32, 32).conv2d(w[:9].reshape(16, 16, 3, 3), padding=1),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def bench_kernel(benchmark, name):
    target = Device[Device.DEFAULT].target
    x, w = (Tensor(np.ones((256, 256), np.float32)).realize() for _ in range(2))
    nodes = simplify([EXPRESSIONS[name](x, w)._node])

    def codegen() -> int:
        found = groups(nodes, target)
        for group in found:
            generate(lower(group).kernel, target)
        return len(found)

    benchmark.extra_info["kernels"] = benchmark.pedantic(codegen, rounds=10, warmup_rounds=1)


@pytest.mark.parametrize("operations", [1_000, 10_000])
def bench_long_chain(benchmark, operations):
    x = Tensor(np.ones(64, np.float32)).realize()

    def run() -> None:
        y = x
        for step in range(operations):
            y = y + x if step % 2 else y * x
        y.realize()

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)


def bench_large_graph(benchmark):
    """20,000 nodes, of which every hundredth is reduced."""
    x = Tensor(np.ones((32, 32), np.float32)).realize()
    target = Device[Device.DEFAULT].target

    def graph():
        y = x
        for step in range(8_000):
            y = (y * x + x) * 0.5 if step % 100 else y - y.sum(1, keepdim=True)
        return [y._node]

    nodes = graph()
    benchmark.extra_info["nodes"] = len(toposort(nodes))
    benchmark.extra_info["kernels"] = len(benchmark.pedantic(groups, (simplify(nodes), target), rounds=2))


def bench_tracing_again(benchmark):
    """The second time a graph of the same structure is made nothing is planned and nothing compiled."""
    x, w = (Tensor(np.ones((64, 64), np.float32), requires_grad=True).realize() for _ in range(2))

    def step() -> None:
        loss = ((x @ w).gelu() @ w).softmax().square().mean()
        found = loss.gradient(x, w)
        found[0].realize(*found[1:])

    step()
    GlobalCounters.reset()
    benchmark.pedantic(step, rounds=50)
    assert GlobalCounters.plans == 0


def bench_median_kernel(benchmark):
    """Milliseconds from graph to source, the median over the expressions above."""
    target = Device[Device.DEFAULT].target
    x, w = (Tensor(np.ones((256, 256), np.float32)).realize() for _ in range(2))

    def once(name: str) -> float:
        nodes = simplify([EXPRESSIONS[name](x, w)._node])
        start = perf_counter()
        found = groups(nodes, target)
        for group in found:
            generate(lower(group).kernel, target)
        return (perf_counter() - start) / len(found)

    times = [once(name) for name in EXPRESSIONS for _ in range(5)]
    benchmark.extra_info["median_ms"] = median(times) * 1e3
    benchmark.pedantic(once, ("softmax",), rounds=5)
