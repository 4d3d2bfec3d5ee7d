"""Streams of elements: chains, functions, sums, copies, scans, look-ups and random numbers."""

import numpy as np

from bench.suite.workload import Random, Workload, floats

LARGE = 4096  # a square of it is 64 MiB of float32, more than caches hold
KEY = np.array([1, 2], np.uint32)


def chain(size: int) -> Workload:
    """Ten operations in a row."""

    def work(f, x, y):
        for step in range(5):
            x = x * y + (0.5 + step)
        return x

    inputs = floats((size,), (size,))
    return Workload(f"chain of 10 on {size}", "elementwise", inputs, work, read=8 * size, write=4 * size)


def elementwise(name: str, size: int) -> Workload:
    return Workload(
        f"{name} of {size}",
        "elementwise",
        floats((size,)),
        lambda f, x: getattr(f, name)(x),
        read=4 * size,
        write=4 * size,
    )


def reduction(title: str, work, written: int, shape: tuple[int, int] = (LARGE, LARGE)) -> Workload:
    return Workload(
        title, "reductions and copies", floats(shape), work, read=4 * shape[0] * shape[1], write=written, tolerance=1e-4
    )


def indices(high: int, *shape: int, more: tuple[tuple[int, ...], ...] = ()):
    """Inputs: int32 indices below high, then float32 arrays of other shapes."""

    def draw(random: Random):
        return [random.integers(0, high, shape).astype(np.int32), *floats(*more)(random)]

    return draw


def embedding(count: int, rows: int, width: int) -> list[Workload]:
    nbytes = 4 * count * width
    return [
        Workload(
            f"embedding {count} of {rows}x{width}",
            "look-ups",
            indices(rows, count, more=((rows, width),)),
            lambda f, index, table: f.take(table, index),
            read=nbytes,
            write=nbytes,
        ),
        Workload(
            f"embedding {count} of {rows}x{width} gradient",
            "look-ups",
            indices(rows, count, more=((rows, width), (count, width))),
            lambda f, index, table: f.take(table, index),
            wrt=(1,),
            read=2 * nbytes,
            write=nbytes + 4 * rows * width,
        ),
    ]


WORKLOADS = [
    Workload("add 64x64", "small", floats((64, 64), (64, 64)), lambda f, x, y: x + y),
    Workload("softmax 64x64", "small", floats((64, 64)), lambda f, x: f.softmax(x)),
    Workload("matmul 64x64x64", "small", floats((64, 64), (64, 64)), lambda f, x, y: x @ y),
    Workload("sum 64x64", "small", floats((64, 64)), lambda f, x: f.sum(x)),
    Workload(
        "five layers 32x64",
        "small",
        floats((32, 64), *[(64, 64)] * 5),
        lambda f, x, *weights: _layers(f, x, weights),
    ),
    *map(chain, (1 << 16, 1 << 20, 1 << 24)),
    *(elementwise(name, size) for name in ("exp", "tanh", "gelu") for size in (1 << 16, 1 << 24)),
    reduction("sum of all 4096x4096", lambda f, x: f.sum(x), 0),
    reduction("sum of rows 4096x4096", lambda f, x: f.sum(x, 1), 4 * LARGE),
    reduction("sum of columns 4096x4096", lambda f, x: f.sum(x, 0), 4 * LARGE),
    reduction("max of rows 4096x4096", lambda f, x: f.max(x, 1), 4 * LARGE),
    reduction("argmax of rows 4096x4096", lambda f, x: f.argmax(x, 1), 4 * LARGE),
    reduction("argmax of columns 4096x4096", lambda f, x: f.argmax(x, 0), 4 * LARGE),
    reduction("transposed copy 4096x4096", lambda f, x: f.copy(f.transpose(x, (1, 0))), 4 * LARGE**2),
    reduction("transposed copy 1000x3001", lambda f, x: f.copy(f.transpose(x, (1, 0))), 4 * 3001000, (1000, 3001)),
    reduction("cumsum of rows 4096x4096", lambda f, x: f.cumsum(x, 1), 4 * LARGE**2),
    reduction("cumsum of columns 4096x4096", lambda f, x: f.cumsum(x, 0), 4 * LARGE**2),
    reduction("cumsum of 16777216", lambda f, x: f.cumsum(x.reshape(-1), 0), 4 * LARGE**2),
    reduction("logcumsumexp of rows 4096x1024", lambda f, x: f.logcumsumexp(x, 1), 16 * LARGE * 256, (LARGE, 1024)),
    *embedding(8192, 50_000, 512),
    Workload(
        "gather 4096x4096 along rows",
        "look-ups",
        indices(LARGE, LARGE, LARGE, more=((LARGE, LARGE),)),
        lambda f, index, x: f.take_along(x, index),
        read=8 * LARGE**2,
        write=4 * LARGE**2,
    ),
    Workload(
        "randn 16777216",
        "random",
        lambda random: [KEY],
        lambda f, seed: f.randn(seed, (LARGE, LARGE)),
        write=4 * LARGE**2,
        tolerance=None,
    ),
    Workload(
        "dropout 4096x4096",
        "random",
        lambda random: [KEY, *floats((LARGE, LARGE))(random)],
        lambda f, seed, x: f.dropout(seed, x, 0.25),
        read=4 * LARGE**2,
        write=4 * LARGE**2,
        tolerance=None,
    ),
]


def _layers(f, x, weights):
    for weight in weights:
        x = f.relu(x @ weight)
    return x
