"""Rows that a program walks and combines at the end: done together, and asked for while results are written."""

import random
from dataclasses import replace

import numpy as np
import pytest

from codegen.choose.default import choose
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, apply, const, load, reduce
from codegen.opencl.printer import render
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen.opencl_harness import difference, run_all

SMALL = replace(CPU, l1=1 << 8, l3=1 << 12)  # even short rows are done together, and written around the caches


def centred(parts: int, rows: int, width: int) -> Kernel:
    """y[p, r, j] = (x less the row's mean) * w[j] + g, and the sums over r of that times g."""
    p, r, j = Axis("p", parts), Axis("r", rows), Axis("j", width)
    x, w = Param("x", dtypes.float32, parts * rows * width), Param("w", dtypes.float32, width)
    g = Param("g", dtypes.float32, x.size)
    y, s = Param("y", dtypes.float32, x.size), Param("s", dtypes.float32, parts * width)
    at = p.index * (rows * width) + r.index * width + j.index
    mean = apply("mul", reduce("add", load(x, at), (j,)), const(1 / width, dtypes.float32))
    scaled = apply("mul", apply("sub", load(x, at), mean), load(w, j.index))
    rest = apply("add", scaled, load(g, at))
    total = reduce("add", apply("mul", rest, load(g, at)), (r,))
    stores = (Store(y, at, rest, order=(p, r, j)), Store(s, p.index * width + j.index, total, order=(p, j)))
    return prepare(Kernel("centred", (y, s, x, w, g), stores))


def check(kernel: Kernel, sources: list[str]) -> None:
    """What the sources leave is what the interpreter leaves."""
    rng = np.random.default_rng(3)
    given = {p.name: rng.standard_normal(p.size).astype(np.float32) for p in kernel.params}
    programs = [render(kernel, choose(kernel, target), target) for target in (CPU, SMALL)]
    sources += [program.source for program in programs]
    left = [values for program in programs for values in run_all([program], [dict(given)])]
    interpret(kernel, given)
    for values in left:
        for name in kernel.written:
            assert difference(values[name], given[name], dtypes.float32) is None


@pytest.mark.parametrize(("rows", "together"), [(24, 4), (25, 5), (21, 3), (14, 2), (23, 1), (3, 3)])
def test_walked_rows_are_done_together_where_their_number_allows(rows: int, together: int) -> None:
    """Where the nearest cache does not hold what a row needs."""
    assert [step.tile for step in choose(centred(8, rows, 128), CPU).loops if step.axis.size == rows] == [1]
    kernel = centred(8, rows, 1 << 12)
    schedule = choose(kernel, CPU)
    assert [step.tile for step in schedule.loops if step.axis.size == rows] == [together]
    check(kernel, [])


def test_rows_too_long_for_the_cache_are_walked_one_by_one() -> None:
    schedule = choose(centred(8, 24, 1 << 16), CPU)
    assert [step.tile for step in schedule.loops if step.axis.size == 24] == [1]


@pytest.mark.parametrize("seed", range(8))
def test_walked_rows_of_any_size(seed: int) -> None:
    """The nearest cache counts as small, so rows are done together."""
    rng = random.Random(seed)
    check(centred(rng.randint(8, 20), rng.randint(1, 40), rng.choice((64, 96, 100, 128, 129, 200, 331))), [])


@pytest.mark.parametrize(("width", "beside"), [(128, True), (104, False)])
def test_rows_are_asked_for_by_the_pass_that_writes_around_the_caches(width: int, beside: bool) -> None:
    """Where rows begin with lines of the cache; the others are asked for by the first pass."""
    sources: list[str] = []
    check(centred(8, 24, width), sources)
    near, around = (source.splitlines() for source in sources)
    asks = [number for number, line in enumerate(around) if "__builtin_prefetch" in line]
    stores = [number for number, line in enumerate(around) if "kf_bypass_float32(" in line and "inline" not in line]
    assert asks and (min(asks) > min(stores) - 8) is beside
    assert any("__builtin_prefetch" in line for line in near)
