"""Scans that run backward are turned round by mirroring their axis; scanned axes are neither split nor merged."""

from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Param, Store, apply, load, scan, with_axes
from codegen.rewrites.merging import flattened
from codegen.rewrites.rebuild import with_exprs
from codegen.rewrites.rewrite import prepare
from codegen.rewrites.scanning import forward
from codegen.rewrites.sharing import clashes
from codegen.show import show
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import kernels

ROW, COLUMN = Axis("i", 4), Axis("j", 6)
PLACE = flattened([ROW, COLUMN])
X, OUT = Param("x", dtypes.float32, 24), Param("out", dtypes.float32, 24)


def kernel_of(value: Expr) -> Kernel:
    return Kernel("scan", (OUT, X), (Store(OUT, PLACE, value, order=(ROW, COLUMN)),))


def backward(kernel: Kernel) -> Kernel:
    """The kernel with all its scans the other way."""
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        made[e] = with_axes(e, tuple(made[x] for x in e.args), {}, made)
        if e in kernel.scans:
            made[e] = scan(e.op, made[e.arg], e.axis, not e.reverse)
    return with_exprs(kernel, made)


@given(kernels("scan"), st.integers(0, 1000))
def test_turning_scans_changes_no_result(kernel: Kernel, seed: int) -> None:
    turned = backward(kernel)
    assert_same_results(turned, forward(turned), seed)
    assert not any(e.reverse for e in forward(turned).scans)


@given(kernels("scan"), st.integers(0, 1000))
def test_canonical_form_has_the_same_results(kernel: Kernel, seed: int) -> None:
    assert_same_results(backward(kernel), prepare(backward(kernel)), seed)


def test_a_backward_scan_mirrors_loads_and_stores() -> None:
    text = show(prepare(kernel_of(scan("add", load(X, PLACE), COLUMN, reverse=True))))
    assert "t0 = add along j (x[i*6+j*-1+5])" in text and "out[i*6+j*-1+5] = t0" in text


def test_an_axis_scanned_both_ways_stays() -> None:
    both = [scan("add", load(X, PLACE), COLUMN, reverse) for reverse in (False, True)]
    kernel = kernel_of(apply("mul", *both))
    assert forward(kernel) is kernel
    assert "t1 = add back along j (x[i*6+j])" in show(kernel)


def test_a_scanned_axis_clashes_with_the_others_and_merges_with_none() -> None:
    kernel = kernel_of(scan("max", load(X, PLACE), COLUMN))
    assert clashes(kernel) >= {(ROW, COLUMN), (COLUMN, ROW)}
    assert sorted(axis.size for axis in prepare(kernel).axes) == [4, 6]


def test_what_needs_no_scan_is_none() -> None:
    value, one = load(X, ROW.index), Axis("k", 1)
    assert scan("max", value, COLUMN) is value and scan("add", value, one) is value
    assert scan("add", value, COLUMN).axes == {ROW, COLUMN}
