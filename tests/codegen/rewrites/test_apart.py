"""Bound axes told apart from stored ones: the meaning stays, the sharing goes."""

from hypothesis import given

from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.rewrites.apart import bound_apart
from codegen.rewrites.rewrite import prepare
from codegen.verify import verify
from tests.codegen import written_kernels as written
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import kernels
from tests.codegen.written_kernels import tensor


def shared_axes(kernel: Kernel) -> set[Axis]:
    """Axes that a store covers and a reduce binds."""
    stored = {axis for store in kernel.stores for axis in store.axes}
    return {axis for r in kernel.reduces for axis in r.bound} & stored


@given(kernels("reduction", "contraction", "softmax"))
def test_meaning_stays(kernel: Kernel) -> None:
    kernel = prepare(kernel)
    apart = bound_apart(kernel)
    assert not shared_axes(apart)
    assert_same_results(kernel, apart)


def test_kernel_without_shared_axes_is_returned() -> None:
    kernel = prepare(written.kernel("product", (5, 6), written.matmul(tensor("a", 5, 7), tensor("b", 7, 6), 7)))
    assert bound_apart(kernel) is kernel


def test_softmax_is_taken_apart_once() -> None:
    """The max and the sum keep one axis between them."""
    kernel = prepare(written.kernel("softmax", (5, 6), written.softmax(tensor("x", 5, 6), 6)))
    assert shared_axes(kernel)
    apart = bound_apart(kernel)
    assert len({r.bound for r in apart.reduces}) == 1
    assert_same_results(kernel, apart)


def test_a_share_of_the_sum() -> None:
    i = Axis("i", 6)
    x, out = Param("x", dtypes.float32, 6), Param("out", dtypes.float32, 6)
    total = reduce("add", load(x, i.index), [i])
    kernel = Kernel("share", (x, out), (Store(out, i.index, apply("div", load(x, i.index), total)),))
    apart = bound_apart(kernel)
    assert apart.reduces[0].bound[0] is not i
    assert apart.stores[0].axes == (i,)
    assert_same_results(kernel, apart)


@given(kernels("reduction", "softmax"))
def test_no_law_is_broken(kernel: Kernel) -> None:
    verify(bound_apart(prepare(kernel)))
