"""Double sums use inner sums the kernel has; values stay the same."""

from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Param, Store, load, reduce
from codegen.rewrites.reordering import reorder
from codegen.rewrites.rewrite import prepare
from tests.codegen.compare import assert_same_results
from tests.codegen.written_kernels import attention, attention_gradients, kernel, mul, tensor

ROWS, COLUMNS = Axis("i", 5), Axis("j", 3)


def double_sum(terms: int, depth: int, with_other: bool = True, squared: bool = False) -> Kernel:
    """sum over r of p[i,r] * (sum over l of g[i,l] * v[r,l]), perhaps beside sum over r of p[i,r] * v[r,l]."""
    r, inner = Axis("r", terms), Axis("l", depth)

    def at(name: str, first: Axis, second: Axis) -> Expr:
        return load(Param(name, dtypes.float32, first.size * second.size), first.index * second.size + second.index)

    p, g, v = at("p", ROWS, r), at("g", ROWS, inner), at("v", r, inner)
    product = reduce("add", mul(g, v), [inner])
    total = reduce("add", mul(p, mul(product, product) if squared else product), [r])
    stores = [Store(Param("o", dtypes.float32, 5), ROWS.index, total)]
    if with_other:
        value = reduce("add", mul(p, v), [r])
        stores.append(Store(Param("w", dtypes.float32, 5 * depth), ROWS.index * depth + inner.index, value))
    params = [*(store.param for store in stores), p.param, g.param, v.param]  # type: ignore[attr-defined]
    return Kernel("k", tuple(params), tuple(stores))


@given(st.integers(1, 9), st.integers(1, 9))
def test_values_stay(terms: int, depth: int) -> None:
    before = double_sum(terms, depth)
    after = reorder(before)
    assert_same_results(before, after)
    assert (after is not before) == (depth < terms)


def test_only_where_the_other_sum_is_there() -> None:
    before = double_sum(9, 4, with_other=False)
    assert reorder(before) is before


def test_a_square_is_no_double_sum() -> None:
    before = double_sum(9, 4, squared=True)
    assert reorder(before) is before


def test_the_gradient_of_attention_needs_the_result_and_no_further_product() -> None:
    q, k, v, do = (tensor(name, 24, 6) for name in ("q", "k", "v", "do"))
    gradient = attention_gradients(q, k, v, do, 24, 24, 6)[0]
    before = kernel("gradient", (24, 6), gradient, attention(q, k, v, 24, 6))
    after = prepare(before)
    assert_same_results(before, after)
    rows = [r for r in after.reduces if len(r.axes) == 1]
    assert sorted(max(a.size for a in r.bound) for r in rows) == [6, 24, 24], "the double sum is over the depth"
