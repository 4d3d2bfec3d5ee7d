"""Operands the copy engine brings, programs that stay for several tiles: the same results in Triton's interpreter."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from codegen.choose.triton import recipes
from codegen.dtypes import dtypes
from codegen.generate import generate
from codegen.ir import Expr, Kernel, apply
from codegen.rewrites.rewrite import prepare
from codegen.schedule import Schedule, Step
from codegen.target import SM80, SM90
from tests.codegen import written_kernels as written
from tests.codegen.random_kernels import random_arrays
from tests.codegen.triton_harness import check
from tests.codegen.written_kernels import Field, div, exp, mul, over, tensor

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")

TMA = {"tma": 1, "num_warps": 4, "num_stages": 3}


def half(name: str, *shape: int) -> Field:
    """A tensor of bfloat16, as float32 values."""
    raw = tensor(name, *shape, dtype=dtypes.bfloat16)
    return lambda *place: apply("cast", raw(*place), dtype=dtypes.float32)


def product(batch: int, m: int, n: int, k: int) -> Kernel:
    """A product of each of a batch of matrices."""
    a, b = half("a", batch, m, k), half("b", batch, k, n)

    def field(z, i, j) -> Expr:
        return over("add", k, lambda r: mul(a(z, i, r), b(z, r, j)))

    return prepare(written.kernel("product", (batch, m, n), field, dtype=dtypes.bfloat16))


def tiled(kernel: Kernel, options: dict) -> Schedule:
    """Tiles of 32 by 32 with a loop of 16 over what is summed."""
    z, i, j, r = kernel.axes  # the stored ones, then what is summed
    return Schedule((Step(z, 1), Step(i, 32), Step(j, 32), Step(r, 16)), 3, options=options)


@pytest.mark.parametrize("options", [TMA, {**TMA, "programs": 3}, {"programs": 5, "group": 2}], ids=str)
@pytest.mark.parametrize("m, n, k", [(64, 64, 32), (70, 80, 40), (33, 72, 56)])
def test_batched_products(m: int, n: int, k: int, options: dict) -> None:
    kernel = product(2, m, n, k)
    program = generate(kernel, SM90, tiled(kernel, options))
    assert program.source.count("make_tensor_descriptor(") == (2 if "tma" in options else 0)
    assert program.grid[0] == options.get("programs", 2 * -(-m // 32) * -(-n // 32))
    check(program, random_arrays(kernel, 0))


def test_rows_that_are_not_aligned_are_loaded_by_the_threads() -> None:
    kernel = product(2, 64, 64, 36)
    program = generate(kernel, SM90, tiled(kernel, TMA))
    assert program.source.count("make_tensor_descriptor(") == 1  # rows of 36 elements are no multiple of 16 bytes
    check(program, random_arrays(kernel, 0))


def test_attention_by_the_copy_engine() -> None:
    length, depth = 80, 32
    q, k, v = (half(name, length, depth) for name in "qkv")
    field = written.attention(q, k, v, length, depth, written.causal(length))
    kernel = prepare(written.kernel("attention", (length, depth), field, dtype=dtypes.bfloat16))
    schedule = next(iter(recipes(kernel, SM90)))
    program = generate(kernel, SM90, replace(schedule, options={**schedule.options, "tma": 1}))
    assert program.source.count("make_tensor_descriptor(") == 3
    check(program, random_arrays(kernel, 0))


def test_the_copy_engine_is_preferred_for_many_large_tiles_only() -> None:
    def options(size: int, target) -> dict:
        return dict(next(iter(recipes(product(1, size, size, size), target))).options)

    assert options(8192, SM90).items() >= {"tma": 1, "programs": SM90.cores}.items()
    assert "tma" not in options(1024, SM90) and "tma" not in options(8192, SM80)
    assert "tma" not in options(8192, replace(SM90, copies=False))


def test_a_quotient_is_divided_on_the_side_that_is_computed_anyway() -> None:
    """P[m, k] (x[k, n] / s[k]) keeps x as it is in memory, so both sides are of 16 bits."""
    size = 64
    w, x, s = half("w", size, size), half("x", size, size), tensor("s", size)
    kernel = prepare(
        written.kernel(
            "weighted", (size, size), lambda i, j: over("add", size, lambda r: mul(div(x(r, j), s(r)), exp(w(i, r)))),
            dtype=dtypes.bfloat16,
        )
    )  # fmt: skip
    program = generate(kernel, SM90)
    assert "tf32" not in program.source and "kf_dot_split" not in program.source
    arrays = random_arrays(kernel, 0)
    arrays["s"] = np.abs(arrays["s"]) + np.float32(0.5)
    check(program, arrays)
