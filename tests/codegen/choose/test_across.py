"""Lanes across short rows of which nothing but a combination is left, against the interpreter."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from codegen.choose.across import across
from codegen.choose.default import choose, placed
from codegen.choose.picks import first
from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load, reduce
from codegen.nest import build
from codegen.opencl.printer import render_nest
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen.opencl_harness import assert_right


def loss(rows: int, length: int, along: int = 1, dtype: DType = dtypes.float32, *, function: bool = True) -> Kernel:
    """out = sum over rows of log(sum of exp(x - max x)) + max x, every row made of `along` pieces of a length."""
    i, size = Axis("i", rows), rows * along * length
    x, out = Param("x", dtype, size), Param("out", dtypes.float32, 1)

    def over(op: str, body: Expr | None = None) -> Expr:
        p, r = Axis("p", along), Axis("r", length)
        value = apply("cast", load(x, (i.index * along + p.index) * length + r.index), dtype=dtypes.float32)
        return reduce(op, value if body is None else apply("exp", apply("sub", value, body)), (p, r))

    most = over("max")
    total = over("add", most)
    ends = apply("log", total) if function else apply("mul", total, const(0.5, dtypes.float32))
    value = reduce("add", apply("add", ends, most), (i,))
    store = Store(out, i.index * 0, value, order=())
    return prepare(Kernel(f"loss_{rows}_{along}_{length}_{dtype}", (out, x), (store,)))


def test_lanes_lie_across_short_rows_of_which_functions_are_taken() -> None:
    def lane(kernel: Kernel) -> int:
        return choose(kernel, CPU).vector[0].size

    assert [lane(loss(300, n)) for n in (5, 24, 60, 100)] == [300, 300, 300, 100]
    assert lane(loss(300, 24, function=False)) == 24
    assert lane(loss(20, 24)) == 24  # too few rows


@given(
    st.integers(1, 150),
    st.one_of(st.sampled_from((1, 7, 16, 17, 24, 37, 63)), st.integers(1, 63)),
    st.integers(1, 3),
    st.sampled_from((dtypes.float32, dtypes.float16, dtypes.float64)),
)
@example(131, 24, 1, dtypes.float32)
@example(32, 1, 1, dtypes.float32)
@example(1009, 31, 1, dtypes.float32)
@settings(max_examples=15, deadline=None)
def test_any_sizes(rows: int, length: int, along: int, dtype: DType) -> None:
    kernel = loss(rows, length, along, dtype)
    nests = [build(kernel, schedule, CPU) for schedule in across(kernel, CPU, first)] or [placed(kernel, CPU)]
    assert_right([render_nest(nest) for nest in nests])
