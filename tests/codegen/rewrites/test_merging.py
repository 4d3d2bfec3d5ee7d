"""Splits and merges keep results, find reshapes, and leave apart what some index takes apart."""

from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index, dynamic
from codegen.ir import Expr, Kernel, Param, Store, apply, coord, load
from codegen.rewrites.merging import flattened, merge_axes, split_axes, without_unit_axes
from codegen.rewrites.rewrite import normalise, prepare
from codegen.rewrites.sharing import share
from tests.codegen import written_kernels as w
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import kernels


def _sizes(kernel: Kernel) -> list[int]:
    return sorted(axis.size for axis in kernel.axes)


@given(kernels(), st.integers(0, 1000))
def test_splitting_and_merging_change_no_result(kernel: Kernel, seed: int) -> None:
    assert_same_results(kernel, split_axes(kernel), seed)
    assert_same_results(kernel, merge_axes(kernel), seed)
    assert_same_results(kernel, without_unit_axes(kernel), seed)


def _copy(source: Index, size: int, axes: tuple[Axis, ...]) -> Kernel:
    x, out = Param("x", dtypes.float32, size), Param("out", dtypes.float32, size)
    return Kernel("copy", (out, x), (Store(out, flattened(axes), load(x, source), order=axes),))


def test_a_copy_has_one_axis() -> None:
    i, j, k = Axis("i", 4), Axis("j", 6), Axis("k", 5)
    kernel = merge_axes(_copy(flattened([i, j, k]), 120, (i, j, k)))
    assert _sizes(kernel) == [120]
    assert kernel.loads[0].index.is_single_axis


def test_a_transpose_keeps_both_axes() -> None:
    i, j = Axis("i", 4), Axis("j", 6)
    kernel = _copy(j.index * 4 + i.index, 24, (i, j))
    assert merge_axes(kernel) is kernel


def test_a_flattened_transpose_is_split() -> None:
    """f.T.reshape(24) of f (4, 6)"""
    j = Axis("j", 24)
    kernel = split_axes(_copy(j.index // 4 + j.index % 4 * 6, 24, (j,)))
    assert _sizes(kernel) == [4, 6]
    assert not list(kernel.loads[0].index.atoms())


def test_a_reshape_of_a_transpose_is_merged_and_split() -> None:
    """f.T.reshape(8, 3) of f (4, 6): only the merged axis is one that the index divides."""
    i, j = Axis("i", 8), Axis("j", 3)
    flat = flattened([i, j])
    kernel = prepare(_copy(flat // 4 + flat % 4 * 6, 24, (i, j)))
    assert _sizes(kernel) == [4, 6]
    assert not list(kernel.loads[0].index.atoms())


def test_divisors_that_do_not_divide_each_other_leave_an_axis_whole() -> None:
    j = Axis("j", 24)
    kernel = _copy(j.index // 4 + j.index % 6, 24, (j,))
    assert split_axes(kernel) is kernel


def test_three_digits_become_three_axes() -> None:
    j = Axis("j", 24)
    kernel = split_axes(_copy(j.index // 12 + j.index // 3 % 4 * 2 + j.index % 3 * 8, 24, (j,)))
    assert _sizes(kernel) == [2, 3, 4]


def _group_norm(x: w.Field, groups: int, channels: int, size: int) -> w.Field:
    """x (channels, size) centred in groups of channels; the mean reads the group flattened."""
    extent = channels // groups * size
    flat = w.tensor("x", groups, extent)

    def at(c: Index, k: Index) -> Expr:
        group = c // (channels // groups)
        return w.sub(x(c, k), w.mean(extent, lambda r: flat(group, r)))

    return at


def test_an_axis_is_split_to_match_another_load() -> None:
    """Group norm: the statistics' one axis faces two axes of the elementwise read."""
    kernel = w.kernel("group norm", (4, 9), _group_norm(w.tensor("x", 4, 9), 2, 4, 9))
    shared = share(split_axes(normalise(kernel)))
    assert _sizes(shared) == [2, 2, 9]
    assert len(shared.loads) == 1
    merged_again = prepare(kernel)
    assert _sizes(merged_again) == [2, 18]
    assert len(merged_again.loads) == 1
    assert_same_results(kernel, merged_again)


def test_a_split_nothing_shares_is_merged_again() -> None:
    """x[r] faces x[a*6 + b], but a and b are summed inside the sum over r: nothing shared, so nothing stays split."""
    x = w.tensor("x", 24)

    def body(r: Index) -> Expr:
        return w.exp(w.over("add", (4, 6), lambda a, b: w.exp(w.add(x(a * 6 + b), x(r)))))

    kernel = w.kernel("twice", (1,), lambda i: w.over("add", 24, body))
    assert _sizes(prepare(kernel)) == [24, 24]


def test_positions_keep_axes_apart() -> None:
    i, j = Axis("i", 4), Axis("j", 6)
    out = Param("out", dtypes.int32, 24)
    kernel = Kernel("rows", (out,), (Store(out, flattened([i, j]), coord(i.index)),))
    assert merge_axes(kernel) is kernel


def test_axes_with_different_roles_stay_apart() -> None:
    """j is summed in one place, i is not: i*6 + j is one index but never one axis."""
    kernel = w.kernel("rows", (4, 6), w.softmax(w.tensor("x", 4, 6), 6))
    assert _sizes(prepare(kernel)) == [4, 6]


def test_a_gather_lets_the_axes_of_its_index_merge() -> None:
    table, places = w.tensor("table", 10), w.tensor("places", 4, 6, dtype=dtypes.int32)

    def at(i: Index, j: Index) -> Expr:
        place = dynamic(places(i, j), 10)
        e = table(place)
        return load(e.param, e.index, [Guard(place, 0, 10)])  # type: ignore[attr-defined]

    assert _sizes(merge_axes(w.kernel("gather", (4, 6), at))) == [24]


def test_elementwise_over_many_dimensions_is_flat() -> None:
    x, y = (w.tensor(name, 2, 3, 4, 5) for name in ("x", "y"))
    kernel = prepare(w.kernel("product", (2, 3, 4, 5), lambda *p: apply("mul", x(*p), y(*p))))
    assert _sizes(kernel) == [120]


def test_a_broadcast_bias_leaves_two_axes() -> None:
    x, b = w.tensor("x", 2, 3, 4, 5), w.tensor("b", 4, 5)
    kernel = prepare(w.kernel("bias", (2, 3, 4, 5), lambda h, i, j, k: w.add(x(h, i, j, k), b(j, k))))
    assert _sizes(kernel) == [6, 20]
