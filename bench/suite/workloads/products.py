"""Matrix products: squares in every transposition, odd, skinny, tall and batched ones, of narrow numbers, and a linear
layer."""

import numpy as np
from numpy.typing import NDArray

from bench.suite.workload import Random, Workload, floats


def product(m: int, n: int, k: int, form: str = "NN", batch: tuple[int, ...] = (), stored: str = "") -> Workload:
    """[.., m, k] @ [.., k, n]; T in the form says that the operand lies transposed in memory.

    Operations on narrow numbers are not counted: what the processor can do at most is known for float32.
    """
    left, right = (k, m) if form[0] == "T" else (m, k), (n, k) if form[1] == "T" else (k, n)
    axes = (*range(len(batch)), len(batch) + 1, len(batch))
    count = 1
    for size in batch:
        count *= size

    def work(f, a, b):
        return (f.transpose(a, axes) if form[0] == "T" else a) @ (f.transpose(b, axes) if form[1] == "T" else b)

    return Workload(
        "x".join(map(str, (*batch, m, n, k))) + " " + form + (f" {stored}" if stored else ""),
        "matrix products",
        floats((*batch, *left), (*batch, *right)),
        work,
        flops=0 if stored else 2 * count * m * n * k,
        read=(2 if stored else 4) * count * k * (m + n),
        write=(2 if stored else 4) * count * m * n,
        tolerance=2e-2 if stored else 1e-3,
        stored=stored,
    )


def byte_product(m: int, n: int, k: int) -> Workload:
    """[m, k] @ [k, n] of signed bytes, summed in int32."""

    def draw(random: Random) -> list[NDArray]:
        return [random.integers(-128, 128, shape, np.int8) for shape in ((m, k), (k, n))]

    return Workload(
        f"{m}x{n}x{k} NN int8",
        "matrix products",
        draw,
        lambda f, a, b: f.byte_product(a, b),
        read=k * (m + n),
        write=4 * m * n,
        tolerance=0,
    )


def linear_gelu(m: int, n: int, k: int) -> Workload:
    return Workload(
        f"linear + gelu {m}x{n}x{k}",
        "matrix products",
        floats((m, k), (k, n), (n,)),
        lambda f, x, w, b: f.gelu(x @ w + b),
        flops=2 * m * n * k,
    )


def linear_gradient(m: int, n: int, k: int) -> Workload:
    return Workload(
        f"linear forward + backward {m}x{n}x{k}",
        "matrix products",
        floats((m, k), (k, n), (n,), (m, n)),
        lambda f, x, w, b: x @ w + b,
        wrt=(0, 1, 2),
        flops=6 * m * n * k,
    )


WORKLOADS = [
    *(product(n, n, n, form) for n in (256, 512, 1024, 2048) for form in ("NN", "NT", "TN")),
    product(4096, 4096, 4096),
    *(product(127, 129, 131, form) for form in ("NN", "NT", "TN")),
    product(1000, 999, 1001),
    *(product(m, 4096, 4096, form) for m in (1, 4, 8, 16, 32) for form in ("NN", "NT")),
    product(8192, 64, 512),
    product(64, 64, 65536),
    product(64, 64, 64, batch=(64,)),
    product(32, 32, 32, batch=(512,)),
    product(128, 128, 128, "NT", batch=(8, 16)),
    *(product(n, n, n, form, stored="bfloat16") for n in (512, 1024, 2048) for form in ("NN", "NT", "TN")),
    *(product(m, 4096, 4096, form, stored="bfloat16") for m in (1, 8, 32) for form in ("NN", "NT")),
    product(127, 129, 131, stored="bfloat16"),
    *(product(n, n, n, stored="float16") for n in (512, 1024)),
    *(product(m, 4096, 4096, stored="float16") for m in (1, 8, 32)),
    *(byte_product(n, n, n) for n in (512, 1024, 2048)),
    *(byte_product(m, 4096, 4096) for m in (8, 32)),
    linear_gelu(1024, 1024, 1024),
    linear_gelu(1024, 4096, 1024),
    linear_gradient(1024, 1024, 1024),
]
