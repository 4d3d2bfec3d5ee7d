"""Operands that begin where they are read: the same results from parts of the arrays."""

from hypothesis import assume, given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard
from codegen.ir import Kernel, Param, Store, apply, load
from codegen.rewrites.beginning import begun
from codegen.rewrites.rebuild import with_params
from codegen.rewrites.rewrite import prepare
from codegen.show import show
from codegen.verify import verify
from tests.codegen.compare import assert_close
from tests.codegen.random_kernels import kernels, random_arrays, run


def further(kernel: Kernel, places: int) -> Kernel:
    """The kernel that reads so many elements further on in each operand it only reads."""
    params = {p: p if p.name in kernel.written else Param(p.name, p.dtype, p.size + places) for p in kernel.params}
    begins = {p: -places for p in params if p.name not in kernel.written}
    return Kernel(kernel.name, tuple(params.values()), with_params(kernel, params, begins))


@given(kernels(), st.integers(0, 40), st.sampled_from([1, 4, 64]))
def test_parts_give_what_whole_operands_give(kernel: Kernel, places: int, unit: int) -> None:
    whole = further(prepare(kernel), places)
    found, begins = begun(whole, unit)
    verify(found)
    arrays = random_arrays(whole)
    bytes_of = {param.name: param.dtype.itemsize for param in whole.params}
    assert all(begin and begin % max(unit, bytes_of[name]) == 0 for name, begin in begins.items())
    first = {name: begins.get(name, 0) // nbytes for name, nbytes in bytes_of.items()}
    parts = {p.name: arrays[p.name][first[p.name] : first[p.name] + p.size] for p in found.params}
    results, expected = run(found, parts), run(whole, arrays)
    assert results.keys() == expected.keys()
    for param in whole.params:
        if param.name in expected:
            assert_close(results[param.name], expected[param.name], param.dtype)


@given(kernels("elementwise", "reduction", "contraction", "softmax"), st.integers(1, 5), st.integers(1, 5))
def test_steps_become_one_kernel(kernel: Kernel, one: int, other: int) -> None:
    kernel = prepare(kernel)
    assume(not any(e.index.is_dynamic for e in kernel.loads))  # they may begin anywhere
    first, second = (begun(further(kernel, 64 * step), 64)[0] for step in (one, other))
    assert show(first) == show(second)


def test_what_padding_asks_for_is_no_beginning() -> None:
    """The first place that is read counts, not the first that is named."""
    i, x = Axis("i", 8), Param("x", dtypes.float32, 40)
    guarded = load(x, i.index + 14, [Guard(i.index, 4, 8)])
    out = Param("out", dtypes.float32, 8)
    kernel = Kernel("late", (out, x), (Store(out, i.index, guarded),))
    found, begins = begun(kernel, 4)
    assert begins == {"x": 18 * 4} and found.params[1].size == 4
    assert begun(kernel, 64)[1] == {"x": 64}


def test_results_stay_where_they_are() -> None:
    i, x = Axis("i", 8), Param("x", dtypes.float32, 16)
    kernel = Kernel("own", (x,), (Store(x, i.index, apply("neg", load(x, i.index + 8))),))
    assert begun(kernel, 4) == (kernel, {})
