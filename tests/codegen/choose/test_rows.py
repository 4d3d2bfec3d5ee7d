"""Lanes of reductions that are no products, and what they leave, against the interpreter."""

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.choose.default import placed
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.opencl.printer import render_nest
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen.opencl_harness import assert_right


def distances(m: int, n: int, d: int) -> Kernel:
    """out[i, j] = sum over l of g[i, l] * (x[i, j] - y[l, j])."""
    i, j, r = Axis("i", m), Axis("j", d), Axis("r", n)
    sizes = {"out": m * d, "g": m * n, "x": m * d, "y": n * d}
    out, g, x, y = (Param(name, dtypes.float32, size) for name, size in sizes.items())
    moved = apply("sub", load(x, i.index * d + j.index), load(y, r.index * d + j.index))
    value = reduce("add", apply("mul", load(g, i.index * n + r.index), moved), (r,))
    store = Store(out, i.index * d + j.index, value, order=(i, j))
    return prepare(Kernel(f"distances_{m}_{n}_{d}", (out, g, x, y), (store,)))


def test_what_is_read_again_and_again_is_read_along_the_lanes() -> None:
    (lane,) = placed(distances(300, 400, 64), CPU).schedule.vector
    assert lane.size == 64


@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_any_sizes(m: int, n: int, d: int) -> None:
    assert_right([render_nest(placed(distances(m, n, d), CPU))])
