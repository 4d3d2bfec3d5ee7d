"""Reduces of reduces over another axis: early results are kept by blocks, and every operand is read along its lanes."""

import pytest

from codegen.choose.default import choose
from codegen.choose.nested import form_of
from codegen.index import Index
from codegen.ir import Apply, Kernel
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen import written_kernels as written
from tests.codegen.choose.test_default import check


def heads(count: int, keys: int, depth: int, turned: bool = False) -> Kernel:
    """Attention of one query in each of several heads; keys may be stored transposed."""
    q, v = written.tensor("q", count, depth), written.tensor("v", count, keys, depth)
    k = written.tensor("k", *((count, depth, keys) if turned else (count, keys, depth)))

    def at(h: Index, j: Index):
        query, key = (lambda _, c: q(h, c)), (lambda r, c: k(h, c, r) if turned else k(h, r, c))
        return written.attention(query, key, lambda r, c: v(h, r, c), keys, depth)(h, j)

    return prepare(written.kernel("heads", (count, depth), at))


def log_sums(rows: int, keys: int, depth: int) -> Kernel:
    """The logarithm of a sum of exponentials of products: late reduces read nothing but early results."""
    q, k = written.tensor("q", rows, depth), written.tensor("k", rows, keys, depth)

    def score(i: Index, r: Index):
        return written.over("add", depth, lambda c: written.mul(q(i, c), k(i, r, c)))

    return prepare(written.kernel("log_sums", (rows,), written.log_sum_exp(score, keys)))


def test_lanes_lie_along_each_operand():
    kernel = heads(16, 4096, 64)
    form, schedule = form_of(kernel), choose(kernel, CPU)
    assert form is not None and form.walk.size == 4096
    (early,) = form.early
    assert schedule.vector == (*early.bound, form.walk, kernel.stores[0].axes[1])
    assert len(schedule.streams) == 1


def test_what_has_one_value_for_a_place_is_computed_along_the_walk_and_kept():
    kernel = heads(16, 4096, 64)
    form, schedule = form_of(kernel), choose(kernel, CPU)
    assert form is not None
    scores, exponentials = (stage.value for stage in schedule.stages)
    assert (scores,) == form.early
    assert isinstance(exponentials, Apply) and exponentials.op.name == "exp"
    alone = [r for r in form.late if kernel.stores[0].axes[1] not in r.arg.axes]  # the maximum and the sum
    assert len(alone) == 2
    for value in (exponentials, *alone):
        assert [step.axis for step in schedule.inner[value].loops] == [form.walk]


def test_values_too_large_for_the_cache_are_asked_for_a_block_ahead():
    large, small = choose(heads(16, 4096, 64), CPU), choose(heads(16, 64, 64), CPU)
    assert [load.param.name for load, _ in large.ahead] == ["v"]
    assert not small.ahead


def test_keys_stored_transposed_are_walked_along_the_lanes():
    kernel = heads(16, 4096, 64, turned=True)
    form = form_of(kernel)
    assert form is not None and choose(kernel, CPU).vector[0] is form.walk


@pytest.mark.parametrize("turned", [False, True])
def test_attention_of_one_query(turned):
    sizes = [(3, 128, 64), (2, 300, 16), (5, 37, 20), (1, 5, 3), (2, 130, 80), (40, 1, 16)]
    check(*(heads(*size, turned=turned) for size in sizes))


def test_sums_of_exponentials_of_products():
    check(*(log_sums(*size) for size in [(3, 128, 64), (7, 37, 20), (1, 200, 5)]))


def test_gradients_of_one_query():
    q, do = (written.tensor(name, 1, 24) for name in ("q", "do"))
    k, v = (written.tensor(name, 150, 24) for name in ("k", "v"))
    field = written.attention_gradients(q, k, v, do, 1, 150, 24)[0]
    check(prepare(written.kernel("gradient", (1, 24), field)))


def test_other_kernels_have_no_such_form():
    x = written.tensor("x", 64, 256)
    assert form_of(prepare(written.kernel("softmax", (64, 256), written.softmax(x, 256)))) is None
