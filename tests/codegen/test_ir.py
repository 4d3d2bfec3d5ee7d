"""The kernel language: constructors infer and refuse, equal expressions are one object, walks do not recurse."""

import gc

import pytest

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, constant, dynamic
from codegen.ir import (
    Apply,
    Const,
    Coord,
    Expr,
    Kernel,
    Load,
    Param,
    Reduce,
    Store,
    Valid,
    apply,
    children,
    const,
    coord,
    load,
    reduce,
    valid,
    walk,
    with_axes,
)

ROW, COLUMN = Axis("i", 4), Axis("j", 6)
X = Param("x", dtypes.float32, 24)
PLACES = Param("places", dtypes.int32, 4)
HALF = Param("h", dtypes.float16, 4)
FLAT = ROW.index * 6 + COLUMN.index
VALUE = load(X, FLAT)


def test_axes_and_types_are_inferred() -> None:
    total = reduce("add", apply("mul", VALUE, load(X, COLUMN.index)), [COLUMN])
    assert isinstance(total, Reduce)
    assert total.axes == {ROW}
    assert total.arg.axes == {ROW, COLUMN}
    assert apply("lt", VALUE, VALUE).dtype is dtypes.bool
    assert apply("cast", VALUE, dtype=dtypes.int8).dtype is dtypes.int8
    assert coord(FLAT).dtype is dtypes.int32
    assert coord(FLAT, dtypes.int64).axes == {ROW, COLUMN}


def test_the_axes_of_a_guard_are_axes_of_the_value() -> None:
    guarded = load(X, COLUMN.index, [Guard(ROW.index, 0, 2)])
    assert guarded.axes == {ROW, COLUMN}
    assert valid([Guard(ROW.index, 0, 2)]).axes == {ROW}
    place = dynamic(load(PLACES, ROW.index), 6)
    assert load(X, place).axes == {ROW}


def test_equal_expressions_are_one_object() -> None:
    assert load(X, COLUMN.index + ROW.index * 6) is VALUE
    assert apply("exp", VALUE) is apply("exp", VALUE)
    assert reduce("add", VALUE, [COLUMN]) is reduce("add", VALUE, (COLUMN,))
    assert const(1, dtypes.float32) is const(True, dtypes.float32)
    assert const(1, dtypes.float32) is not const(1, dtypes.float64)
    assert const(0.0, dtypes.float32) is not const(-0.0, dtypes.float32)
    assert const(float("nan"), dtypes.float32) is const(float("nan"), dtypes.float32)


def test_expressions_nobody_holds_are_forgotten() -> None:
    number = apply("exp", load(Param("forgotten", dtypes.float32, 24), FLAT)).id
    gc.collect()
    assert apply("exp", load(Param("forgotten", dtypes.float32, 24), FLAT)).id > number


def test_constants_are_of_their_type() -> None:
    def value(number: float, dtype: object) -> object:
        e = const(number, dtype)  # type: ignore[arg-type]
        assert isinstance(e, Const)
        return e.value

    assert value(300, dtypes.uint8) == 44
    assert value(200, dtypes.int8) == -56
    assert value(2**31, dtypes.int32) == -(2**31)
    assert value(3, dtypes.bool) is True
    assert isinstance(value(3, dtypes.float32), float)
    assert const(1, dtypes.bfloat16).dtype is dtypes.float32


def test_what_is_known_is_a_constant() -> None:
    assert isinstance(coord(constant(3)), Const)
    assert valid([Guard(ROW.index, 0, 4)]) is const(True, dtypes.bool)
    assert valid([Guard(ROW.index, 7, 9), Guard(COLUMN.index, 1, 2)]) is const(False, dtypes.bool)
    assert isinstance(load(X, FLAT, [Guard(ROW.index, -3, 0)]), Const)
    free = load(X, FLAT, [Guard(ROW.index, 0, 4)])
    assert isinstance(free, Load)
    assert not free.guards


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: apply("add", VALUE, coord(FLAT)), "one dtype"),
        (lambda: apply("exp", coord(FLAT)), "exp is not defined for int32"),
        (lambda: apply("neg", load(HALF, ROW.index)), "16-bit floats are storage types, cast to float32 first"),
        (lambda: reduce("add", load(HALF, ROW.index), [ROW]), "reduce add on float16: cast to float32 first"),
        (lambda: reduce("add", apply("lt", VALUE, VALUE), [ROW]), "add is not defined for bool"),
        (lambda: apply("cast", VALUE), "cast needs the dtype to convert to"),
        (lambda: apply("bitcast", VALUE, dtype=dtypes.int64), "bitcast from float32 to int64 changes the width"),
        (lambda: coord(FLAT, dtypes.float32), "a coordinate is an integer, not float32"),
    ],
)
def test_ill_typed_expressions_cannot_be_built(make: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()  # type: ignore[operator]


def test_casts_to_the_same_type_vanish() -> None:
    assert apply("cast", VALUE, dtype=dtypes.float32) is VALUE
    assert apply("bitcast", VALUE, dtype=dtypes.float32) is VALUE


# ------------------------------------------------------------------------------------------------------ reduces


def _value(e: Expr) -> object:
    return e.args[1].value if isinstance(e, Apply) and isinstance(e.args[1], Const) else None


def test_an_axis_the_operand_lacks_repeats_its_value() -> None:
    column = load(X, COLUMN.index)
    total = reduce("add", column, [ROW, COLUMN])
    assert isinstance(total, Apply)
    assert isinstance(total.args[0], Reduce)
    assert _value(total) == 4
    for name in ("max", "min"):
        assert reduce(name, column, [ROW]) is column
    integers = load(PLACES, constant(0))
    assert reduce("and", integers, [ROW]) is integers
    assert isinstance(reduce("xor", integers, [ROW]), Const)
    odd = Axis("odd", 3)
    assert reduce("xor", integers, [odd]) is integers


def test_a_repeated_product_is_a_power() -> None:
    axis = Axis("r", 13)
    power = reduce("mul", const(2, dtypes.int32), [axis])
    assert len(walk([power])) <= 8


def test_no_axes_no_reduce() -> None:
    assert reduce("add", VALUE, []) is VALUE
    assert reduce("max", VALUE, [COLUMN, COLUMN]) is reduce("max", VALUE, [COLUMN])


# ----------------------------------------------------------------------------------------- kernels and rebuilding


def _softmax() -> Kernel:
    out = Param("out", dtypes.float32, 24)
    top = reduce("max", VALUE, [COLUMN])
    weight = apply("exp", apply("sub", VALUE, top))
    total = reduce("add", weight, [COLUMN])
    return Kernel("softmax", (out, X), (Store(out, FLAT, apply("div", weight, total), order=(COLUMN, ROW)),))


def test_parts_of_a_kernel() -> None:
    kernel = _softmax()
    assert kernel.axes == (COLUMN, ROW)
    assert [e.op.name for e in kernel.reduces] == ["max", "add"]
    assert kernel.loads == (VALUE,)
    assert kernel.written == {"out"}
    assert kernel.exprs[-1] is kernel.stores[0].value
    position = {e: n for n, e in enumerate(kernel.exprs)}
    assert all(position[child] < position[e] for e in kernel.exprs for child in children(e))


def test_axes_of_a_store() -> None:
    out = Param("out", dtypes.float32, 24)
    other = Axis("other", 3)
    assert Store(out, FLAT, VALUE, order=(COLUMN, ROW)).axes == (COLUMN, ROW)
    assert Store(out, FLAT, VALUE).axes == (ROW, COLUMN)
    assert Store(out, FLAT, VALUE, order=(other,)).axes == (ROW, COLUMN)
    assert Store(out, FLAT, VALUE, mode="add", order=(other,)).axes == (other, ROW, COLUMN)
    guarded = Store(out, COLUMN.index, const(1, dtypes.float32), frozenset([Guard(ROW.index, 0, 2)]))
    assert guarded.axes == (ROW, COLUMN)


def test_expressions_inside_indices_belong_to_the_kernel() -> None:
    place = load(PLACES, ROW.index)
    table = load(X, dynamic(place, 6) * 4, [Guard(dynamic(place, 6), 0, 6)])
    assert children(table) == (place,)
    out = Param("out", dtypes.float32, 24)
    kernel = Kernel("scatter", (out, PLACES), (Store(out, dynamic(place, 24), const(1, dtypes.float32)),))
    assert kernel.loads == (place,)


def test_one_node_is_rebuilt() -> None:
    place = load(PLACES, ROW.index)
    guard = Guard(ROW.index - 1, 0, 4)
    moved = with_axes(load(X, FLAT, [guard]), (), {ROW: COLUMN.index // 2}, {})
    assert moved is load(X, COLUMN.index // 2 * 6 + COLUMN.index, [Guard(COLUMN.index // 2 - 1, 0, 4)])
    assert with_axes(coord(FLAT), (), {ROW: constant(1)}, {}) is coord(COLUMN.index + 6)
    assert isinstance(with_axes(valid([guard]), (), {ROW: constant(0)}, {}), Const)
    assert isinstance(valid([guard]), Valid)
    assert isinstance(coord(FLAT), Coord)
    other = load(PLACES, ROW.index // 2)
    gathered = load(X, dynamic(place, 6))
    assert with_axes(gathered, (), {}, {place: other}) is load(X, dynamic(other, 6))
    assert with_axes(apply("exp", VALUE), (gathered,), {}, {}) is apply("exp", gathered)
    assert with_axes(reduce("add", VALUE, [COLUMN]), (VALUE,), {}, {}) is reduce("add", VALUE, [COLUMN])


def test_walks_do_not_recurse() -> None:
    e = VALUE
    for _ in range(20_000):
        e = apply("neg", e)
    assert len(walk([e])) == 20_001
