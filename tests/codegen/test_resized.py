"""Kernels at other sizes are the kernels made at those sizes."""

from __future__ import annotations

import pytest

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, constant, dynamic
from codegen.ir import Kernel, Param, Store, apply, const, coord, load, reduce, scan, valid
from codegen.resized import resized
from codegen.show import show

POINTS = [{"m": 37, "n": 101}, {"m": 43, "n": 83}, {"m": 53, "n": 97}, {"m": 47, "n": 89}]


def rows(m: int, n: int) -> Kernel:
    """Sums of rows by way of padding, a division, a remainder, a look-up and a scan."""
    i, j = Axis("i", m), Axis("j", n)
    x, table = Param("x", dtypes.float32, m * n), Param("table", dtypes.int32, n)
    out, last = Param("out", dtypes.float32, m), Param("last", dtypes.float32, m * n)
    flat = i.index * n + j.index
    turned = (flat + m) // n * n + (flat + 5) % n
    inside = Guard(turned, 1, m * n)
    place = dynamic(load(table, j.index), m)
    looked = load(x, place * n + j.index, [Guard(place, 0, m)])
    value = apply("add", load(x, turned, [inside]), apply("mul", looked, const(0.5, dtypes.float32)))
    where = apply("where", valid([Guard(flat, 3, m * n - 2)]), value, const(0.0, dtypes.float32))
    counted = apply("add", where, apply("cast", coord(flat + m * n), dtype=dtypes.float32))
    total = reduce("add", counted, [j])
    running = scan("add", counted, j, True)
    return Kernel("rows", (out, last, x, table), (
        Store(out, i.index, total, order=(i,)),
        Store(last, flat, running, frozenset([Guard(flat, 0, m * n - 1)]), order=(i, j)),
    ))  # fmt: skip


@pytest.mark.parametrize(("m", "n"), [(2, 3), (1, 7), (64, 5), (300, 1000)])
def test_a_kernel_at_other_sizes_is_the_one_made_for_them(m: int, n: int) -> None:
    found = resized([rows(**point) for point in POINTS], POINTS, {"m": m, "n": n})
    assert found is not None and show(found) == show(rows(m, n))
    assert [p.size for p in found.params] == [m, m * n, m * n, n]


def test_kernels_that_differ_in_more_than_numbers_have_no_other_sizes() -> None:
    def either(m: int, op: str, start: int) -> Kernel:
        i, x, out = Axis("i", m), Param("x", dtypes.float32, 2 * m), Param("out", dtypes.float32, m)
        return Kernel("one", (x, out), (Store(out, i.index, apply(op, load(x, i.index + constant(start)))),))

    sizes = [point["m"] for point in POINTS]
    assert resized([either(m, "exp", 3) for m in sizes], POINTS, {"m": 7}) is not None
    assert resized([either(m, "exp" if m < 50 else "log", 3) for m in sizes], POINTS, {"m": 7}) is None
    assert resized([either(m, "exp", m % 5) for m in sizes], POINTS, {"m": 7}) is None


def test_no_kernel_at_sizes_where_an_axis_would_have_no_places() -> None:
    def shorter(m: int) -> Kernel:
        i, x, out = Axis("i", m - 7), Param("x", dtypes.float32, m), Param("out", dtypes.float32, m)
        return Kernel("one", (x, out), (Store(out, i.index, load(x, i.index)),))

    kernels = [shorter(point["m"]) for point in POINTS]
    assert resized(kernels, POINTS, {"m": 8}) is not None and resized(kernels, POINTS, {"m": 7}) is None
