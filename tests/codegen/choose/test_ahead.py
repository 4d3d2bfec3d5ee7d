"""Places that are looked up are asked for a step ahead."""

import random
from dataclasses import replace

import numpy as np
import pytest

from codegen.choose.default import choose
from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index, dynamic
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load, reduce, scan
from codegen.legality import can_ask
from codegen.opencl.printer import render
from codegen.target import CPU
from tests.codegen.opencl_harness import difference, run_all

LARGE = CPU.l2 // 4 + 64  # elements that no cache near a core holds


def looked_up(rows: int, width: int, count: int, own: bool) -> Kernel:
    """out[i, j] = table[p[i], j], or table[i, p[i, j]] where each element looks up its own; guarded."""
    i, j = Axis("i", rows), Axis("j", width)
    p = Param("p", dtypes.int32, rows * width if own else rows)
    table, out = Param("table", dtypes.float32, max(LARGE, count * width)), Param("out", dtypes.float32, rows * width)
    place = dynamic(load(p, i.index * width + j.index if own else i.index), width if own else count)
    index = i.index * width + place if own else place * width + j.index
    value = load(table, index, frozenset((Guard(place, 0, width if own else count),)))
    return Kernel(f"looked_up_{own}", (out, p, table), (Store(out, i.index * width + j.index, value),))


@pytest.mark.parametrize("own", [False, True])
def test_looked_up_rows_and_windows_are_asked_for(own: bool) -> None:
    kernel = looked_up(70, 64, 50, own)
    ((e, axis),) = choose(kernel, CPU).ahead
    assert e.param.name == "table" and axis.name == "i"
    program = render(kernel, choose(kernel, CPU), CPU)
    (line,) = [line for line in program.source.splitlines() if "__builtin_prefetch" in line]
    assert ("table + i0 * 64 + j1 + 64" in line) is own
    rng = np.random.default_rng(1)
    given = {param.name: rng.standard_normal(param.size).astype(np.float32) for param in kernel.params}
    given["p"] = rng.integers(-2, 52 if not own else 66, kernel.params[1].size).astype(np.int32)
    (left,) = run_all([program], [given])
    interpret(kernel, given)
    assert difference(left["out"], given["out"], dtypes.float32) is None


def test_the_last_row_looks_nothing_up_beyond_its_axis() -> None:
    kernel = looked_up(70, 64, 50, False)
    source = render(kernel, choose(kernel, CPU), CPU).source
    assert "(i0 < 69) ? p[i0 + 1] : 0" in source


def test_long_rows_that_are_looked_up_are_not_asked_for() -> None:
    assert not choose(looked_up(70, 4096, 50, False), CPU).ahead


def test_small_tables_are_not_asked_for() -> None:
    i, j = Axis("i", 64), Axis("j", 64)
    p, table, out = (
        Param("p", dtypes.int32, 64),
        Param("table", dtypes.float32, 4096),
        Param("out", dtypes.float32, 4096),
    )
    place = dynamic(load(p, i.index), 64)
    value = load(table, place * 64 + j.index, frozenset((Guard(place, 0, 64),)))
    assert not choose(Kernel("small", (out, p, table), (Store(out, i.index * 64 + j.index, value),)), CPU).ahead


def test_what_a_reduce_looks_up_is_not_computed_twice() -> None:
    """table[max over r of p[i, r], j]: asking for the next row would need the next row's maximum."""
    i, j, r = Axis("i", 64), Axis("j", 64), Axis("r", 64)
    p, table, out = (
        Param("p", dtypes.int32, 4096),
        Param("table", dtypes.float32, LARGE),
        Param("out", dtypes.float32, 4096),
    )

    def of(e: Expr) -> Index:
        return dynamic(e, 50)

    place = of(reduce("max", load(p, i.index * 64 + r.index), (r,)))
    value = apply(
        "add", load(table, place * 64 + j.index, frozenset((Guard(place, 0, 50),))), const(1.0, dtypes.float32)
    )
    kernel = Kernel("greatest", (out, p, table), (Store(out, i.index * 64 + j.index, value),))
    assert can_ask(kernel.loads[-1], i)
    assert "table +" not in "".join(
        line for line in render(kernel, choose(kernel, CPU), CPU).source.splitlines() if "prefetch" in line
    )


@pytest.mark.parametrize(("width", "asks"), [(64, True), (4096, False)])
def test_short_pieces_of_rows_are_asked_for_ahead(width: int, asks: bool) -> None:
    rows, groups = 20, -(-LARGE // (20 * width))
    i, j, k = Axis("i", groups), Axis("j", rows), Axis("k", width)
    x, out = (Param(name, dtypes.float32, groups * rows * width) for name in ("x", "out"))
    value = load(x, j.index * (groups * width) + i.index * width + k.index)
    kernel = Kernel(f"pieces_{width}", (out, x), (Store(out, (i.index * rows + j.index) * width + k.index, value),))
    schedule = choose(kernel, CPU)
    assert bool(schedule.ahead) is asks
    given = {p.name: np.random.default_rng(2).standard_normal(p.size).astype(np.float32) for p in kernel.params}
    (left,) = run_all([render(kernel, schedule, CPU)], [given])
    interpret(kernel, given)
    assert difference(left["out"], given["out"], dtypes.float32) is None


@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_rows_and_columns_that_are_scanned_are_asked_for_ahead(along: int, seed: int) -> None:
    """Where results go around the caches."""
    rng = random.Random(f"{along} {seed}")
    rows, width = rng.randint(40, 60), rng.choice((1024, 1030, 1200))
    small = replace(CPU, l2=1 << (20 if along else 16), l3=1 << 12)
    i, j = Axis("i", rows), Axis("j", width)
    x, out = (Param(name, dtypes.float32, rows * width) for name in ("x", "out"))
    at = i.index * width + j.index
    kernel = Kernel("scanned", (out, x), (Store(out, at, scan("add", load(x, at), (i, j)[along]), order=(i, j)),))
    schedule = choose(kernel, small)
    assert [e.param.name for e, axis in schedule.ahead if axis is i] == ["x"]
    given = {p.name: np.random.default_rng(2).standard_normal(p.size).astype(np.float32) for p in kernel.params}
    (left,) = run_all([render(kernel, schedule, small)], [dict(given)])
    interpret(kernel, given)
    assert difference(left["out"], given["out"], dtypes.float32) is None


def test_long_rows_that_are_scanned_together_are_not_asked_for() -> None:
    i, j = Axis("i", 64), Axis("j", 32_000)
    x, out = (Param(name, dtypes.float32, 64 * 32_000) for name in ("x", "out"))
    at = i.index * 32_000 + j.index
    kernel = Kernel("scanned", (out, x), (Store(out, at, scan("add", load(x, at), j), order=(i, j)),))
    assert not choose(kernel, replace(CPU, l3=1 << 12)).ahead
