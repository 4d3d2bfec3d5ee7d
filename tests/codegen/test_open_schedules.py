"""Programs for open sizes: all under one schedule, which suits the typical sizes."""

from __future__ import annotations

import re

import pytest

from codegen.dtypes import dtypes
from codegen.fitting import fitted_text
from codegen.generate import generate
from codegen.index import Axis, Guard
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.open_schedules import programs
from codegen.open_sizes import Sizes
from codegen.opencl.sources import without_comment
from codegen.program import Program
from codegen.target import CPU

SIZES = (1009, 1013, 1018, 1021)
POINTS = [{"n": n} for n in SIZES]
F32 = dtypes.float32


def product(n: int) -> Kernel:
    """x [n, 40] times y [40, 48]."""
    i, j, k = Axis("i", n), Axis("j", 48), Axis("k", 40)
    x, y, out = Param("x", F32, n * 40), Param("y", F32, 40 * 48), Param("out", F32, n * 48)
    value = apply("mul", load(x, i.index * 40 + k.index), load(y, k.index * 48 + j.index))
    return Kernel("product", (out, x, y), (Store(out, i.index * 48 + j.index, reduce("add", value, [k])),))


def gradient(n: int) -> Kernel:
    """The gradient of 3x3 taps of 24 by 32 channels, over planes of n by n."""
    m, c, r, s, h, w = (Axis(a, size) for a, size in zip("mcrshw", (24, 32, 3, 3, n, n)))
    dy, x, out = Param("dy", F32, 24 * n * n), Param("x", F32, 32 * n * n), Param("out", F32, 24 * 32 * 9)
    row, column = h.index + r.index - 1, w.index + s.index - 1
    read = load(x, c.index * n * n + row * n + column, [Guard(row, 0, n), Guard(column, 0, n)])
    value = apply("mul", load(dy, m.index * n * n + h.index * n + w.index), read)
    place = m.index * 288 + c.index * 9 + r.index * 3 + s.index
    return Kernel("gradient", (out, dy, x), (Store(out, place, reduce("add", value, [h, w])),))


def scaled(n: int) -> Kernel:
    """Planes of n by 64, all in one group where they are small."""
    i, j = Axis("i", n), Axis("j", 64)
    x, out, place = Param("x", F32, n * 64), Param("out", F32, n * 64), i.index * 64 + j.index
    return Kernel("scaled", (out, x), (Store(out, place, apply("exp", load(x, place))),))


MADE = {"product": product, "gradient": gradient, "scaled": scaled}


def first(name: str, typical: int) -> list[Program]:
    """The first programs that differ in numbers alone."""
    kernels = [MADE[name](n) for n in SIZES]
    sizes = [Sizes(frozenset([n])) for n in SIZES]
    for found in programs(kernels, POINTS, sizes, {"n": typical}, CPU):
        texts = [without_comment(p.source, p.entry, name, "const int n") for p in found]
        if fitted_text(texts, POINTS) is not None:
            return found
    raise AssertionError(f"no schedule of {name} serves all sizes")


@pytest.mark.parametrize("typical", [3, 9, 26, 200])
@pytest.mark.parametrize("name", MADE)
def test_arrays_do_not_grow_with_sizes(name: str, typical: int) -> None:
    lengths = [re.findall(r"\[(\d+)\] __attribute__", p.source) for p in first(name, typical)]
    assert all(found == lengths[0] for found in lengths)


@pytest.mark.parametrize("name", ["scaled", "product"])
def test_groups_share_an_open_axis_out_where_typical_sizes_are_few_points(name: str) -> None:
    for p in first(name, 3):
        assert any(spread.name or spread.tile < spread.size for spread in p.spread)


def test_tiles_suit_typical_sizes() -> None:
    """A group does about as many rows as there are."""
    assert all(p.spread[-1].tile <= 8 for p in first("product", 5))
    assert all(p.spread[-1].tile >= 32 for p in first("product", 200))


def lines(n: int) -> Kernel:
    """Six lines of n."""
    i, j = Axis("i", 6), Axis("j", n)
    x, out, place = Param("x", F32, 6 * n), Param("out", F32, 6 * n), i.index * n + j.index
    return Kernel("lines", (out, x), (Store(out, place, apply("exp", load(x, place))),))


def sums(n: int) -> Kernel:
    """The sums of six lines of n."""
    i, j = Axis("i", 6), Axis("j", n)
    x, out = Param("x", F32, 6 * n), Param("out", F32, 6)
    return Kernel("sums", (out, x), (Store(out, i.index, reduce("add", load(x, i.index * n + j.index), [j])),))


def test_the_last_vector_of_an_open_line_is_moved_back_where_it_may_be_done_twice() -> None:
    for made, moved in (lines, True), (sums, False):
        source = generate(made(1009), CPU, sizes=Sizes(frozenset([1009]))).source
        assert ("= 1009 - 16;" in source) is moved
