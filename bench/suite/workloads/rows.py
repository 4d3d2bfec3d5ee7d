"""Rows: softmax, norms and cross-entropy, forward and with gradients."""

import numpy as np

from bench.suite.workload import Random, Workload, floats

GROUP = "rows"
SHAPES = [(4096, 4096), (32768, 512), (4096, 1024), (1000, 1000)]


def both(name: str, shape: tuple[int, int], work, weights: int = 0) -> list[Workload]:
    """A function of a matrix and `weights` vectors, forward and with gradients; each matrix is read or written once."""
    size = 4 * shape[0] * shape[1]
    title, vectors = f"{name} {shape[0]}x{shape[1]}", [shape[1:]] * weights
    return [
        Workload(title, GROUP, floats(shape, *vectors), work, read=size, write=size),
        Workload(
            f"{title} forward + backward",
            GROUP,
            floats(shape, *vectors, shape),
            work,
            wrt=tuple(range(1 + weights)),
            read=2 * size,
            write=2 * size,
        ),
    ]


def cross_entropy(rows: int, classes: int) -> list[Workload]:
    size = 4 * rows * classes

    def draw(random: Random):
        return [*floats((rows, classes))(random), random.integers(0, classes, rows).astype(np.int32)]

    def work(f, x, labels):
        return f.cross_entropy(x, labels)

    return [
        Workload(f"cross entropy {rows}x{classes}", GROUP, draw, work, read=size),
        Workload(
            f"cross entropy {rows}x{classes} forward + backward",
            GROUP,
            lambda random: [*draw(random), np.ones((), np.float32)],
            work,
            wrt=(0,),
            read=size,
            write=size,
        ),
    ]


WORKLOADS = [
    *(row for shape in SHAPES for row in both("softmax", shape, lambda f, x: f.softmax(x))),
    *both("log softmax", SHAPES[0], lambda f, x: f.log_softmax(x)),
    *(row for shape in SHAPES for row in both("layer norm", shape, lambda f, x, w, b: f.layer_norm(x, w, b), 2)),
    *both("rms norm", SHAPES[0], lambda f, x, w: f.rms_norm(x, w), 1),
    *cross_entropy(512, 32000),
    *cross_entropy(16384, 1000),
]
