"""Rewrites keep every result, reach a fixed point, and give the same text for the same kernel."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index
from codegen.ir import Apply, Const, Expr, Kernel, Load, Param, Store, apply, const, load, reduce, valid
from codegen.rewrites.contract import contraction
from codegen.rewrites.rewrite import normalise, prepare
from codegen.show import show
from codegen.verify import verify
from tests.codegen import written_kernels as w
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import kernels, random_arrays, random_kernel, run
from tests.effort import effort

N = 6
X, Y = w.tensor("x", N, N), w.tensor("y", N, N)


def _row_kernel(*fields: w.Field) -> Kernel:
    return normalise(w.kernel("rows", (N,), *fields))


@given(kernels(), st.integers(0, 1000))
def test_normalising_changes_no_result(kernel: Kernel, seed: int) -> None:
    simpler = normalise(kernel)
    assert normalise(simpler) is simpler
    assert_same_results(kernel, simpler, seed)


@given(kernels(), st.integers(0, 1000))
def test_preparing_changes_no_result(kernel: Kernel, seed: int) -> None:
    prepared = prepare(kernel)
    verify(prepared)
    assert_same_results(kernel, prepared, seed)


@given(kernels())
@example(random_kernel(4))
@example(random_kernel(15357222))  # a guard both operands of a product ask for, seen once a merged axis is split
@example(random_kernel(765169343))  # the same, seen once sums are put together
@example(random_kernel(1575274964))  # a choice that is none where an axis has one place
@example(random_kernel(4065343912))  # a guard that tells less of an index than its axis does
def test_preparing_is_idempotent(kernel: Kernel) -> None:
    once = prepare(kernel)
    assert show(prepare(once)) == show(once)


def test_text_does_not_depend_on_what_was_built_before() -> None:
    texts = [show(prepare(random_kernel(seed))) for seed in range(60)]
    gc.collect()
    kept = [random_kernel(seed) for seed in range(60, 120)]
    again = [show(prepare(random_kernel(seed))) for seed in reversed(range(60))][::-1]
    assert texts == again
    assert len(kept) == 60


def test_text_does_not_depend_on_the_process() -> None:
    """Addresses, and with them the order of sets, differ between processes."""
    program = (
        "from tests.codegen.random_kernels import random_kernel; from codegen.rewrites.rewrite import prepare; "
        "from codegen.show import show; print(*(show(prepare(random_kernel(s))) for s in range(40)), sep='\\n')"
    )
    outputs = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        command = [sys.executable, "-c", program]
        outputs.add(subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout)
    assert len(outputs) == 1


def test_axes_of_size_one_disappear() -> None:
    def body(i: Index, j: Index, k: Index) -> Expr:
        return w.over("add", (1, 1), lambda r, s: X(i + r, j + k + s))

    kernel = prepare(w.kernel("unit", (1, N, 1), body))
    assert [axis.size for axis in kernel.axes] == [N]
    assert kernel.reduces == ()


# -------------------------------------------------------------------------------------------------------- sums


def test_a_sum_of_sums_is_one_sum() -> None:
    def body(i: Index, r: Index) -> Expr:
        return w.over("add", N, lambda s: w.exp(w.add(X(i, r), Y(r, s))))

    kernel = _row_kernel(lambda i: w.over("add", N, lambda r: body(i, r)))
    (total,) = kernel.reduces
    assert len(total.bound) == 2


def test_a_factor_leaves_the_inner_of_two_sums_first() -> None:
    kernel = _row_kernel(lambda i: w.over("add", N, lambda r: w.over("add", N, lambda s: w.mul(X(i, r), Y(r, s)))))
    inner, outer = kernel.reduces
    assert isinstance(inner.arg, Load)
    assert inner in outer.arg.args


def test_the_sum_of_a_product_of_matrices_stays_one() -> None:
    kernel = _row_kernel(lambda j: w.over("add", N, lambda i: w.matmul(X, Y, N)(i, j)))
    inner, _ = kernel.reduces
    assert contraction(inner) is not None


def test_a_sum_over_axes_of_both_operands_joins_the_contraction() -> None:
    a, b = w.tensor("a", 3, N, N), w.tensor("b", 3, N, N)

    def body(i: Index, j: Index) -> Expr:
        return w.over("add", 3, lambda h: w.over("add", N, lambda r: w.mul(a(h, i, r), b(h, r, j))))

    (total,) = normalise(w.kernel("joined", (N, N), body)).reduces
    assert len(total.bound) == 2
    assert contraction(total) is not None


def test_a_max_of_sums_stays() -> None:
    kernel = _row_kernel(lambda i: w.over("max", N, lambda r: w.over("add", N, lambda s: w.add(X(i, r), Y(r, s)))))
    assert [e.op.name for e in kernel.reduces] == ["add", "max"]


def test_an_inner_sum_that_is_stored_too_is_kept() -> None:
    row, column = Axis("i", N), Axis("r", N)
    total = reduce("add", X(row.index, column.index), [column])
    rows, whole = Param("rows", dtypes.float32, N), Param("whole", dtypes.float32, 1)
    stores = (Store(rows, row.index, total), Store(whole, row.index * 0, reduce("add", total, [row])))
    kernel = normalise(Kernel("both", (rows, whole, *dict.fromkeys([total.arg.param])), stores))  # type: ignore[attr-defined]
    assert kernel.stores[0].value in kernel.reduces
    assert kernel.reduces[1].arg is kernel.reduces[0]


def test_factors_without_the_summed_axis_leave() -> None:
    def body(i: Index, r: Index) -> Expr:
        return w.div(w.mul(w.mul(w.number(0.1), X(i, r)), apply("neg", Y(i, i))), apply("exp", X(i, i)))

    kernel = _row_kernel(lambda i: w.over("add", N, lambda r: body(i, r)))
    (total,) = kernel.reduces
    assert isinstance(total.arg, Load)
    assert_same_results(w.kernel("rows", (N,), lambda i: w.over("add", N, lambda r: body(i, r))), kernel)


def test_a_sum_is_not_split_over_its_addends() -> None:
    """As E[x*x] - mean*mean the variance of large numbers would have no correct digit."""

    def variance(i: Index) -> Expr:
        def centred(r: Index) -> Expr:
            return w.sub(X(i, r), w.mean(N, lambda s: X(i, s)))

        return w.mean(N, lambda r: w.mul(centred(r), centred(r)))

    kernel = prepare(w.kernel("variance", (N,), variance))
    arrays = random_arrays(kernel)
    arrays["x"] += 10_000
    exact = arrays["x"].reshape(N, N).astype(np.float64).var(axis=1)
    np.testing.assert_allclose(run(kernel, arrays)["out0"], exact, rtol=1e-2)


# ------------------------------------------------------------------------------------------------------ guards


def _guarded(value: Expr, *guards: Guard) -> Expr:
    return apply("where", valid(guards), value, const(0, value.dtype))


def test_a_padded_load_is_a_guarded_load() -> None:
    def padded(i: Index) -> Expr:
        e = X(i, i - 1)
        assert isinstance(e, Load)
        guard = Guard(i - 1, 0, N)
        return _guarded(load(e.param, e.index, [guard]), guard)

    (store,) = _row_kernel(padded).stores
    assert isinstance(store.value, Load)


def test_a_guard_moves_under_a_sum_that_has_its_axes() -> None:
    kernel = _row_kernel(lambda i: _guarded(w.over("add", N, lambda r: w.mul(X(i, r), Y(r, r))), Guard(i, 1, N)))
    (total,) = kernel.reduces
    assert kernel.stores[0].value is total
    left, right = total.arg.args
    assert isinstance(left, Load)
    assert isinstance(right, Load)
    assert left.guards
    assert not right.guards


def test_a_guard_stops_at_an_operand_that_is_no_load() -> None:
    """exp of a guarded load is 1 where the guard fails, so the condition stays around it."""

    def body(i: Index) -> Expr:
        total = w.over("add", N, lambda r: w.mul(w.exp(X(i, r)), Y(r, r)))
        return _guarded(apply("neg", total), Guard(i, 1, N))

    kernel = _row_kernel(body)
    (total,) = kernel.reduces
    assert isinstance(total.arg, Apply)
    assert total.arg.args[0].args[0] is valid([Guard(kernel.axes[0].index, 1, N)])
    assert_same_results(w.kernel("rows", (N,), body), kernel)


def test_a_guard_stays_around_other_operations() -> None:
    kernel = _row_kernel(lambda i: _guarded(w.exp(X(i, i)), Guard(i, 0, 2)))
    assert kernel.stores[0].value.args[0] is valid([Guard(kernel.axes[0].index, 0, 2)])


def test_a_guard_passes_a_finite_constant_and_a_cast() -> None:
    def body(i: Index) -> Expr:
        e = X(i, i)
        wide = apply("cast", w.mul(w.number(2), e), dtype=dtypes.float64)
        return apply("cast", _guarded(wide, Guard(i, 0, 2)), dtype=dtypes.float32)

    (read,) = _row_kernel(body).loads
    assert len(read.guards) == 1


def test_a_guard_stays_outside_a_sum_that_lacks_its_axes() -> None:
    """Else one scalar sum would become one per row."""
    def total() -> Expr:
        return w.over("add", (N, N), lambda r, s: w.mul(X(r, s), Y(r, s)))

    kernel = _row_kernel(lambda i: _guarded(total(), Guard(i, 0, 1)))
    assert kernel.stores[0].value not in kernel.reduces
    assert kernel.reduces[0].axes == frozenset()


def test_a_guard_stays_outside_a_sum_others_use() -> None:
    def both(i: Index) -> Expr:
        total = w.over("add", N, lambda r: X(i, r))
        return w.add(total, _guarded(total, Guard(i, 0, 2)))

    assert len(_row_kernel(both).reduces) == 1


def test_a_product_outside_sums_keeps_its_guard() -> None:
    """Where the guard fails the result is 0 even if the other factor is infinite."""
    kernel = _row_kernel(lambda i: _guarded(w.mul(X(i, i), Y(i, i)), Guard(i, 0, 2)))
    arrays = random_arrays(kernel)
    arrays["y"][:] = np.inf
    assert run(kernel, arrays)["out0"][2:].tolist() == [0] * (N - 2)


def test_the_gradient_of_a_convolution_is_a_contraction() -> None:
    dy, f = w.tensor("dy", 2, 4, N, N), w.tensor("f", 4, 3, 3, 3)
    raw = w.kernel("dx", (2, 3, N, N), w.convolution_input_gradient(dy, f, 4, 3, 1, (N, N)))
    kernel = prepare(raw)
    (total,) = kernel.reduces
    assert len(total.bound) == 3
    assert {len(e.guards) for e in kernel.loads} == {0, 2}
    assert_same_results(raw, kernel)


# ------------------------------------------------------------------------------------------------ names and time


def test_names_avoid_parameters_and_tell_roles() -> None:
    a, b = w.tensor("m", N, 4), w.tensor("b", 4, 5)
    kernel = prepare(w.kernel("product", (N, 5), w.matmul(a, b, 4)))
    assert [axis.name for axis in kernel.axes] == ["m1", "n", "k"]
    assert [param.name for param in kernel.params] == ["out0", "m", "b"]


def test_unused_parameters_are_dropped() -> None:
    def unchanged(i: Index) -> Expr:
        return apply("where", const(True, dtypes.bool), X(i, i), Y(i, i))

    assert [param.name for param in prepare(w.kernel("rows", (N,), unchanged)).params] == ["out0", "x"]


def test_a_constant_result_needs_no_load() -> None:
    kernel = prepare(w.kernel("constant", (N,), lambda i: w.add(w.mul(w.number(2), w.number(3)), w.number(1))))
    assert isinstance(kernel.stores[0].value, Const)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ([w.softmax(X, N)], 8_000),
        (w.attention_gradients(X, Y, w.tensor("v", N, N), w.tensor("do", N, N), N, N, N), 200_000),
    ],
    ids=["softmax", "attention's gradients"],
)
def test_preparing_is_quick(fields: list[w.Field], limit: int) -> None:
    """A bound of several times the usual work, to notice what is quadratic."""

    prepare(w.kernel("quick", (N, N), *fields))
    kernel = w.kernel("quick", (N, N), *fields)
    assert effort(lambda: prepare(kernel)) < limit


@pytest.mark.parametrize("how", ["div", "pow"])
def test_a_guard_does_not_leave_a_factor_that_its_zeros_make_infinite(how: str) -> None:
    """where(valid, x * (1 / y), 0) with guarded loads is not where(valid, x, 0) * (1 / y), which is 0 / 0 outside."""
    i, r = Axis("i", 6), Axis("r", 3)
    place = i.index + r.index - 1
    guards = [Guard(place, 0, 6)]
    x, y = (load(Param(name, dtypes.float32, 6), place, guards) for name in "xy")
    exponent = const(-0.5, dtypes.float32)
    other = apply("div", const(1, dtypes.float32), y) if how == "div" else apply("pow", y, exponent)
    value = apply("where", valid(guards), apply("mul", x, other), const(0, dtypes.float32))
    store = Store(Param("o", dtypes.float32, 6), i.index, reduce("add", value, [r]), order=(i,))
    kernel = Kernel("k", (store.param, x.param, y.param), (store,))
    arrays = {"x": np.ones(6, np.float32), "y": np.full(6, 4, np.float32), "o": np.zeros(6, np.float32)}
    expected, found = (run(k, arrays)["o"] for k in (kernel, normalise(kernel)))
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
