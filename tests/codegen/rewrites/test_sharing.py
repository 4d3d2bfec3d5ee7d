"""Which axes become one: the rule is sound for any renaming it allows, and finds what a reader would share."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index
from codegen.ir import Expr, Kernel, Param, Store, apply, coord, load, reduce, valid
from codegen.rewrites.rebuild import rename
from codegen.rewrites.rewrite import normalise, prepare
from codegen.rewrites.sharing import clashes, share
from codegen.show import show
from tests.codegen import written_kernels as w
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import kernels, random_kernel
from tests.effort import effort

N = 6  # all sizes equal: the worst case for sharing what must stay apart
X, Y, DY = (w.tensor(name, N, N) for name in ("x", "y", "dy"))
Q, K, V, DO = (w.tensor(name, N, N) for name in ("q", "k", "v", "do"))
WEIGHT, BIAS = w.tensor("w", N), w.tensor("b", N)


def _counts(kernel: Kernel) -> tuple[int, int, int]:
    return len(kernel.axes), len(kernel.loads), len(kernel.reduces)


# The table of the design: axes, loads and reduces after sharing.
SHARED = {
    "softmax": ([w.softmax(X, N)], (2, 1, 2)),
    "softmax gradient": ([w.softmax_gradient(X, DY, N)], (2, 2, 3)),
    "log sum exp rows": ([lambda i, j: w.sub(X(i, j), w.log_sum_exp(X, N)(i))], (2, 1, 2)),
    "layer norm": ([w.layer_norm(X, WEIGHT, BIAS, N)], (2, 3, 2)),
    "layer norm gradient": ([w.layer_norm_gradient(X, WEIGHT, DY, N)], (2, 3, 5)),
    "rms norm": ([w.rms_norm(X, WEIGHT, N)], (2, 2, 1)),
    "attention": ([w.attention(Q, K, V, N, N)], (4, 3, 4)),
    "softmax @ y": ([w.matmul(w.softmax(X, N), Y, N)], (3, 2, 3)),
    "softmax of a product": ([w.softmax(w.matmul(X, Y, N), N)], (3, 2, 3)),
    "sum x, y, x*y": (
        [lambda i, j: w.add(w.over("add", N, lambda r: X(i, r)),
                            w.add(w.over("add", N, lambda r: Y(i, r)),
                                  w.over("add", N, lambda r: w.mul(X(i, r), Y(i, r)))))],
        (3, 2, 3),
    ),
    "attention's gradients": (w.attention_gradients(Q, K, V, DO, N, N, N), (4, 4, 8)),
}  # fmt: skip

APART = {
    "x @ x.T": ([w.matmul(X, w.transposed(X), N)], (3, 2, 1)),
    "x @ x": ([w.matmul(X, X, N)], (3, 2, 1)),
    "x.T + x.sum(0)": ([lambda i, j: w.add(X(j, i), w.over("add", N, lambda r: X(r, j)))], (3, 2, 1)),
    "x - mean(0) - mean(1)": (
        [lambda i, j: w.sub(w.sub(X(i, j), w.over("add", N, lambda r: X(r, j))), w.over("add", N, lambda r: X(i, r)))],
        (2, 1, 2),
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_what_can_be_shared_is(name: str) -> None:
    fields, counts = SHARED[name]
    kernel = w.kernel(name, (N, N), *fields)
    shared = share(normalise(kernel))
    assert _counts(shared) == counts
    assert_same_results(kernel, shared)


@pytest.mark.parametrize("name", APART)
def test_what_must_stay_apart_does(name: str) -> None:
    fields, counts = APART[name]
    kernel = w.kernel(name, (N, N), *fields)
    shared = share(normalise(kernel))
    assert _counts(shared) == counts
    assert_same_results(kernel, shared)


def test_one_read_of_a_row_serves_all_its_statistics() -> None:
    shared = prepare(w.kernel("softmax", (4, N), w.softmax(w.tensor("x", 4, N), N)))
    assert show(shared) == """\
kernel   softmax: i 4, j 6
params   out0 float32[24] written, x float32[24]
         t0 = max over j (x[i*6+j])     {i}
         t1 = exp(x[i*6+j] - t0)        {i j}
         t2 = add over j (t1)           {i}
         out0[i*6+j] = t1 / t2          {i j}"""


def _mergeable(kernel: Kernel, clashing: bool) -> list[tuple[Axis, Axis]]:
    """Pairs of axes of equal size that clash, or that do not."""
    apart = clashes(kernel)
    pairs = [pair for pair in itertools.combinations(kernel.axes, 2) if pair[0].size == pair[1].size]
    return [pair for pair in pairs if (pair in apart) == clashing]


@given(kernels(sizes=(3,)), st.randoms(use_true_random=False))
def test_any_axes_that_do_not_clash_may_become_one(kernel: Kernel, rng: random.Random) -> None:
    renamed = kernel
    for _ in range(5):
        pairs = _mergeable(renamed, clashing=False)
        if pairs:
            renamed = rename(renamed, dict([rng.choice(pairs)]))
    assert_same_results(kernel, renamed)


def test_axes_that_clash_may_not() -> None:
    """Uniting them changes most results, so `clashes` does not forbid much in vain."""
    changed = tried = 0
    for seed in range(200):
        kernel = random_kernel(seed, "reduction", "softmax", sizes=(3,))
        pairs = _mergeable(kernel, clashing=True)
        if pairs:
            tried += 1
            try:
                assert_same_results(kernel, rename(kernel, dict([random.Random(seed).choice(pairs)])))
            except AssertionError:
                changed += 1
    assert tried > 100
    assert changed > 0.6 * tried


@given(kernels(sizes=(2, 3)))
def test_sharing_changes_no_result(kernel: Kernel) -> None:
    shared = share(kernel)
    assert len(shared.axes) <= len(kernel.axes)
    assert len(shared.loads) <= len(kernel.loads)
    assert_same_results(kernel, shared)


def test_an_axis_of_a_guard_counts_as_used() -> None:
    """t[i] = sum_r h[r | 0 <= i < 1]: were i taken for r, every row would be h[0]."""
    i, r = Axis("i", 3), Axis("r", 3)
    h, out = Param("h", dtypes.float32, 3), Param("out", dtypes.float32, 3)
    total = reduce("add", load(h, r.index, [Guard(i.index, 0, 1)]), [r])
    kernel = Kernel("guarded", (out, h), (Store(out, i.index, apply("add", total, load(h, i.index))),))
    assert (i, r) in clashes(kernel)
    assert_same_results(kernel, share(kernel))


def test_two_axes_of_a_load_are_renamed_together_or_not_at_all() -> None:
    """x[a, b] and x[b, a] would become equal by exchanging a and b, which clash."""
    kernel = w.kernel("sum with transposed", (N, N), lambda i, j: w.add(X(i, j), X(j, i)))
    assert share(kernel) is kernel


def _two_reads(one: w.Field, other: w.Field) -> Kernel:
    """Two sums over axes of their own, of two reads of one buffer."""
    return w.kernel("two", (N,), lambda i: w.add(w.over("add", N, lambda r: w.exp(one(i, r))),
                                                 w.over("add", N, lambda s: apply("sin", other(i, s)))))  # fmt: skip


def _read(*guards: Guard, index: Index) -> Expr:
    return load(Param("x", dtypes.float32, 4 * N * N), index, guards)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda i, r: _read(index=i * 6 + r // 2), lambda i, r: _read(index=i * 6 + r // 2)),
        (lambda i, r: _read(index=(i + r) // 5 % 2), lambda i, r: _read(index=(i + r) // 5 % 2)),
        (
            lambda i, r: _read(Guard(r - 1, 0, 4), Guard(i, 0, 4), index=i * 6 + r),
            lambda i, r: _read(Guard(i, 0, 4), Guard(r - 1, 0, 4), index=i * 6 + r),
        ),
        (lambda i, r: coord_of(i * 2 + r), lambda i, r: coord_of(i * 2 + r)),
        (lambda i, r: condition_of(Guard(r - i, 0, 2)), lambda i, r: condition_of(Guard(r - i, 0, 2))),
    ],
    ids=["quotients", "nested", "guards", "positions", "conditions"],
)
def test_equal_forms_are_united(one: w.Field, other: w.Field) -> None:
    kernel = _two_reads(one, other)
    assert len(share(kernel).axes) == 2
    assert_same_results(kernel, share(kernel))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda i, r: _read(index=i * 6 + r // 2), lambda i, r: _read(index=i * 6 + r // 3)),
        (lambda i, r: _read(index=(i + r) // 5 % 2), lambda i, r: _read(index=(i + r + 1) // 5 % 2)),
        (
            lambda i, r: _read(Guard(r, 0, 4), index=i * 6 + r),
            lambda i, r: _read(Guard(i, 0, 4), index=i * 6 + r),
        ),
        (lambda i, r: _read(Guard(r, 0, 4), index=i * 6 + r), lambda i, r: _read(Guard(r, 0, 3), index=i * 6 + r)),
        (lambda i, r: coord_of(i * 2 + r), lambda i, r: coord_of(i * 2 + r + 1)),
        (lambda i, r: _read(index=i * 6 + r), lambda i, r: _read(index=r * 6 + i)),
    ],
    ids=["quotients", "nested", "which axis is guarded", "how far", "positions", "transposed"],
)
def test_different_forms_are_not(one: w.Field, other: w.Field) -> None:
    assert len(share(_two_reads(one, other)).axes) == 3


def coord_of(index: Index) -> Expr:
    return apply("cast", coord(index), dtype=dtypes.float32)


def condition_of(*guards: Guard) -> Expr:
    return apply("cast", valid(guards), dtype=dtypes.float32)


def test_sharing_is_linear_in_loads_of_different_buffers() -> None:
    def chain(count: int) -> Kernel:
        def total(i: Index, j: Index) -> Expr:
            value = w.number(0)
            for number in range(count):
                value = w.add(value, w.tensor(f"x{number}", N, N)(i, j))
            return value

        return w.kernel("many", (N, N), total)

    few, many = chain(100), chain(1000)
    assert effort(lambda: share(many)) < 15 * effort(lambda: share(few))


def test_a_chain_of_ten_thousand_operations_does_not_overflow() -> None:
    def chain(i: Index, j: Index) -> Expr:
        value = X(i, j)
        for _ in range(10_000):
            value = apply("sin", value)
        return w.sub(value, w.over("max", N, lambda r: X(i, r)))

    assert _counts(prepare(w.kernel("chain", (N, N), chain))) == (2, 1, 1)
