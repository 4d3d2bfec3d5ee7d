"""The verifier accepts every kernel the generator makes and refuses each kind of broken one."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import DType, dtypes
from codegen.index import Axis, Guard, Index, constant, dynamic
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load
from codegen.rewrites.merging import flattened
from codegen.rewrites.rewrite import prepare
from codegen.verify import VerifyError, verify
from tests.codegen import written_kernels as w
from tests.codegen.random_kernels import kernels, random_arrays, run

ROW, COLUMN = Axis("i", 4), Axis("j", 6)
FLAT = flattened([ROW, COLUMN])
X = Param("x", dtypes.float32, 24)
ONE = const(1, dtypes.float32)


def _stored(index: Index, value: Expr = ONE, size: int = 24, dtype: DType = dtypes.float32, **extra: object) -> Kernel:
    out = Param("out", dtype, size)
    store = Store(out, index, value, order=(ROW, COLUMN), **extra)  # type: ignore[arg-type]
    loads = Kernel("loads", (), (store,)).loads
    return Kernel("stored", (out, *dict.fromkeys(e.param for e in loads)), (store,))


def _law(kernel: Kernel) -> str:
    with pytest.raises(VerifyError) as broken:
        verify(kernel)
    assert "kernel   " in str(broken.value)
    return broken.value.law


@given(kernels())
def test_random_kernels_obey_the_laws(kernel: Kernel) -> None:
    verify(kernel)
    verify(prepare(kernel))


@given(kernels("elementwise", "reduction"), st.data())
def test_what_is_accepted_runs(kernel: Kernel, data: st.DataObject) -> None:
    """Shrink one parameter: either the verifier refuses, or the interpreter stays inside."""
    loads = [e for e in kernel.loads if e.param.size > 1]
    if not loads:
        return
    param = data.draw(st.sampled_from(sorted({e.param.name for e in loads})))
    smaller = _resized(kernel, param)
    try:
        verify(smaller)
    except VerifyError:
        return
    run(smaller, random_arrays(smaller))


def _resized(kernel: Kernel, name: str) -> Kernel:
    """The kernel whose named parameter has one element less."""
    by_name = {p.name: p for p in kernel.params}
    old = by_name[name]
    new = Param(name, old.dtype, old.size - 1)
    from_old = {e: load(new, e.index, e.guards) for e in kernel.loads if e.param == old}
    stores = tuple(dataclasses.replace(s, value=w.swapped(s.value, from_old)) for s in kernel.stores)
    return Kernel(kernel.name, tuple(new if p == old else p for p in kernel.params), stores)


@pytest.mark.parametrize(
    "index",
    [
        ROW.index * 6 + COLUMN.index,
        COLUMN.index * 4 + ROW.index,
        ROW.index * -6 + COLUMN.index + 18,
        ROW.index * 6 + 5 - COLUMN.index,
        FLAT // 8 + FLAT % 8 * 3,
        COLUMN.index // 3 + COLUMN.index % 3 * 2 + ROW.index * 6,
    ],
)
def test_one_to_one_stores(index: Index) -> None:
    verify(_stored(index))


@pytest.mark.parametrize(
    "index",
    [
        ROW.index + COLUMN.index,
        ROW.index * 5 + COLUMN.index,
        COLUMN.index // 2 + ROW.index * 6,
        ROW.index * 6,
    ],
)
def test_a_place_written_twice(index: Index) -> None:
    value = load(X, FLAT)
    assert "writes a place more than once" in _law(_stored(index, value))
    verify(_stored(index, value, mode="add"))


def test_a_guard_can_make_a_store_one_to_one() -> None:
    index = ROW.index * 5 + COLUMN.index
    assert "more than once" in _law(_stored(index))
    verify(_stored(index, guards=frozenset([Guard(COLUMN.index, 0, 5)])))


def test_places_that_depend_on_data_are_the_programs_affair() -> None:
    place = dynamic(load(Param("p", dtypes.int32, 24), FLAT), 24)
    verify(_stored(place, guards=frozenset([Guard(place, 0, 24)])))
    verify(_stored(constant(0), guards=frozenset([Guard(place, 0, 1)])))


@pytest.mark.parametrize(
    ("read", "span"),
    [
        (load(X, FLAT + 1), "x[i*6+j+1] spans 1 .. 24"),
        (load(X, FLAT - 1), "x[i*6+j-1] spans -1 .. 22"),
        (load(X, FLAT - 1, [Guard(COLUMN.index, 0, 3)]), "x[i*6+j-1 | 0<=j<3] spans -1 .. 19"),
    ],
)
def test_reads_outside(read: Expr, span: str) -> None:
    assert _law(_stored(FLAT, read)) == f"{span}, outside its 24 elements"


def test_reads_a_guard_keeps_inside() -> None:
    verify(_stored(FLAT, load(X, FLAT - 6, [Guard(ROW.index - 1, 0, 4)])))
    verify(_stored(FLAT, load(X, FLAT - 1, [Guard(FLAT - 1, 0, 24)])))


def test_a_gather_needs_its_guard() -> None:
    place = dynamic(load(Param("p", dtypes.int32, 4), ROW.index), 24)
    assert "spans -2147483648 .. 2147483647" in _law(_stored(FLAT, load(X, place)))
    verify(_stored(FLAT, load(X, place, [Guard(place, 0, 24)])))


def test_a_store_outside() -> None:
    assert "out[i*6+j+1] spans 1 .. 24, outside its 24 elements" in _law(_stored(FLAT + 1))


def test_values_inside_indices_are_signed_integers() -> None:
    place = dynamic(load(Param("p", dtypes.uint8, 4), ROW.index), 24)
    law = _law(_stored(FLAT, load(X, place, [Guard(place, 0, 24)])))
    assert law == "a value inside an index must be int32 or int64, not uint8"


def test_stored_types() -> None:
    place = FLAT
    verify(_stored(place, dtype=dtypes.bfloat16))
    assert "a float32 value is stored to out, which is int32" in _law(_stored(place, dtype=dtypes.int32))
    truth = apply("lt", load(X, place), ONE)
    verify(_stored(constant(0), truth, dtype=dtypes.int32, mode="flag"))
    assert "a flag store writes a bool to an int32" in _law(_stored(constant(0), dtype=dtypes.int32, mode="flag"))
    assert "unknown store mode 'sub'" in _law(_stored(place, mode="sub"))
    assert "store mode add" in _law(_stored(place, truth, dtype=dtypes.bool, mode="add"))


def test_names() -> None:
    other = Axis("i", 6)
    out = Param("out", dtypes.float32, 24)
    twice = Kernel("twice", (out,), (Store(out, ROW.index * 6 + other.index, ONE),))
    assert _law(twice) == "axes must have distinct names, but i occurs twice"
    assert "x is used but not declared" in _law(Kernel("u", (out,), (Store(out, ROW.index, load(X, ROW.index)),)))
    clash = Param("out", dtypes.float32, 4)
    assert "parameters must have distinct names" in _law(Kernel("c", (out, clash), (Store(out, ROW.index, ONE),)))
