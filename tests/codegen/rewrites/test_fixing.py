"""Sums over an axis that a guard fixes: the same results without the sum, and nothing else is touched."""

from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index, needed
from codegen.ir import Expr, Kernel, Load, Param, Store, Valid, apply, const, load, reduce, valid
from codegen.rewrites.fixing import fixed
from codegen.rewrites.rewrite import prepare
from codegen.verify import verify
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import kernels

F32 = dtypes.float32
sizes = st.integers(1, 6)


def kernel_of(value: Expr, *order: Axis) -> Kernel:
    index = sum((axis.index * 10**i for i, axis in enumerate(order)), order[0].index * 0)
    out = Param("out", value.dtype, 10 ** len(order))
    params = {e.param.name: e.param for e in Kernel("k", (), (Store(out, index, value, order=order),)).loads}
    return Kernel("fixed", (out, *params.values()), (Store(out, index, value, order=order),))


def table(name: str, *axes: Axis, guards: frozenset[Guard] = frozenset()) -> Expr:
    index, size = axes[0].index * 0, 1
    for axis in axes:
        index, size = index * axis.size + axis.index, size * axis.size
    return load(Param(name, F32, size), index, guards)


@given(
    sizes, sizes, sizes, st.integers(-3, 3), st.integers(-4, 4), st.integers(-8, 8), st.booleans(), st.data()
)
def test_one_place_of_a_sum(
    places: int, others: int, taps: int, slope: int, factor: int, shift: int, by_load: bool, data: st.DataObject
) -> None:
    """The guard is asked by a load or by a condition around the product."""
    seed, width = data.draw(st.integers(0, 99)), data.draw(st.integers(1, max(1, abs(factor))))
    h, i, t = Axis("h", places), Axis("i", others), Axis("t", taps)
    guards = needed([Guard(h.index * slope + t.index * factor + shift, 0, width)])
    product = apply("mul", table("x", h, t, guards=guards if by_load else frozenset()), table("w", i, t))
    term = product if by_load else apply("where", valid(guards), product, const(0, F32))
    kernel = kernel_of(reduce("add", term, [t]), h, i)
    found = fixed(kernel)
    verify(found)
    assert_same_results(kernel, found, seed)
    assert_same_results(kernel, prepare(kernel), seed)
    asked = {guard for e in kernel.exprs if isinstance(e, Load | Valid) for guard in e.guards}
    met_once = any(guard.hi - guard.lo <= abs(guard.index.coefficient(t)) for guard in asked)
    assert bool(found.reduces) == (not met_once)


@given(kernels("window"), st.integers(0, 99))
def test_random_sums_over_windows_stay_the_same(kernel: Kernel, seed: int) -> None:
    verify(fixed(kernel))
    assert_same_results(kernel, fixed(kernel), seed)


def refused(op: str, index: Index, value: Expr, bound: Axis, *order: Axis) -> None:
    term = apply("where", valid([Guard(index, 0, 1)]), value, const(0, F32))
    kernel = kernel_of(reduce(op, term, [bound]), *order)
    assert fixed(kernel) is kernel


def test_what_is_not_zero_elsewhere_stays() -> None:
    h, t = Axis("h", 4), Axis("t", 4)
    refused("max", h.index - t.index, table("x", h, t), t, h)
    guarded = apply("where", valid([Guard(h.index - t.index, 0, 1)]), table("x", h, t), const(1, F32))
    kernel = kernel_of(reduce("add", guarded, [t]), h)
    assert fixed(kernel) is kernel


def test_a_guard_that_several_places_meet_stays() -> None:
    h, t = Axis("h", 4), Axis("t", 4)
    refused("add", h.index - t.index // 2, table("x", h, t), t, h)


def test_an_axis_of_an_inner_sum_says_nothing_of_an_outer_one() -> None:
    h, r, t = Axis("h", 4), Axis("r", 4), Axis("t", 4)
    inner = apply("where", valid([Guard(r.index - t.index, 0, 1)]), table("x", h, r, t), const(0, F32))
    outer = reduce("add", apply("mul", reduce("max", inner, [r]), table("w", t)), [t])
    kernel = kernel_of(outer, h)
    assert fixed(kernel) is kernel
