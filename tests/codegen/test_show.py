"""The readable form: exact text for small kernels, one text per kernel, no text that grows with sharing."""

from math import isfinite

from hypothesis import given

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, constant, dynamic
from codegen.ir import Const, Expr, Kernel, Param, Store, apply, const, coord, load, reduce, valid
from codegen.rewrites.rewrite import prepare
from codegen.schedule import Inner, Schedule, Stage, Step
from codegen.show import show
from codegen.show_schedule import show_schedule
from codegen.streaming import find_streams
from tests.codegen import written_kernels as w
from tests.codegen.random_kernels import kernels


def _line(e: Expr) -> str:
    """How one expression over i is written."""
    axis = Axis("i", 4)
    out = Param("out", e.dtype, 4)
    loads = Kernel("", (), (Store(out, axis.index, e),)).loads
    kernel = Kernel("one", (out, *dict.fromkeys(x.param for x in loads)), (Store(out, axis.index, e),))
    line = show(kernel).splitlines()[-1]
    return line.split(" = ", 1)[1].rsplit("{", 1)[0].strip()


A = Axis("i", 4)
X, Y = (load(Param(name, dtypes.float32, 4), A.index) for name in "xy")
P, Q = (load(Param(name, dtypes.int32, 4), A.index) for name in "pq")


def test_operations_have_the_brackets_they_need() -> None:
    assert _line(w.mul(w.add(X, Y), w.sub(X, Y))) == "(x[i] + y[i]) * (x[i] - y[i])"
    assert _line(w.sub(X, w.sub(Y, X))) == "x[i] - (y[i] - x[i])"
    assert _line(w.sub(w.sub(X, Y), X)) == "x[i] - y[i] - x[i]"
    assert _line(apply("neg", w.mul(X, Y))) == "-(x[i] * y[i])"
    assert _line(apply("where", apply("lt", X, Y), X, w.exp(Y))) == "where(x[i] < y[i], x[i], exp(y[i]))"
    assert _line(apply("and", apply("shl", P, Q), apply("not", P))) == "p[i] << q[i] & ~p[i]"


def test_leaves() -> None:
    assert _line(const(0.1, dtypes.float32)) == "0.1"
    assert _line(const(True, dtypes.bool)) == "true"
    assert _line(const(float("-inf"), dtypes.float32)) == "-inf"
    assert _line(coord(A.index * 2 + 1)) == "int32(i*2+1)"
    assert _line(valid([Guard(A.index, 1, 3)])) == "{1<=i<3}"
    assert _line(load(Param("x", dtypes.float32, 4), A.index - 1, [Guard(A.index - 1, 0, 4)])) == "x[i-1 | 0<=i-1<4]"
    assert _line(apply("cast", X, dtype=dtypes.int8)) == "int8(x[i])"
    assert _line(apply("bitcast", X, dtype=dtypes.uint32)) == "bits.uint32(x[i])"


def test_gathers() -> None:
    place = dynamic(P, 9)
    table = Param("table", dtypes.float32, 27)
    assert _line(load(table, place * 3 + 1, [Guard(place, 0, 9)])) == "table[[p[i]]*3+1 | 0<=[p[i]]<9]"
    assert _line(load(table, (place + A.index) // 2)) == "table[((i+[p[i]])//2)]"


def test_store_modes() -> None:
    out = Param("out", dtypes.float32, 4)
    for mode, sign in (("set", "="), ("add", "+="), ("mul", "*="), ("max", "max=")):
        kernel = Kernel("modes", (out,), (Store(out, A.index, const(2, dtypes.float32), mode=mode),))
        assert show(kernel).splitlines()[-1].split("{")[0].strip() == f"out[i] {sign} 2.0"
    guarded = Store(out, A.index, const(2, dtypes.float32), frozenset([Guard(A.index, 1, 3)]))
    assert "out[i | 1<=i<3] = 2.0" in show(Kernel("guarded", (out,), (guarded,)))


def test_a_whole_kernel() -> None:
    kernel = prepare(w.kernel("product", (64, 32), w.matmul(w.tensor("x", 64, 16), w.tensor("y", 16, 32), 16)))
    assert show(kernel) == """\
kernel   product: m 64, n 32, k 16
params   out0 float32[2048] written, x float32[1024], y float32[512]
         t0 = add over k (x[m*16+k] * y[n+k*32])     {m n}
         out0[m*32+n] = t0                           {m n}"""


def test_names_avoid_parameters() -> None:
    kernel = w.kernel("sum", (4,), lambda i: w.over("add", 3, lambda r: w.tensor("t0", 4, 3)(i, r)))
    assert "t1 = add over r (t0[i*3+r])" in show(kernel)


def test_text_is_linear_in_shared_values() -> None:
    """x + x doubled a hundred times is a hundred lines, not 2**100 terms; a long chain is cut."""
    e: Expr = X
    for _ in range(100):
        e = w.add(e, e)
    out = Param("out", dtypes.float32, 4)
    assert len(show(Kernel("double", (out, Param("x", dtypes.float32, 4)), (Store(out, A.index, e),)))) < 10_000
    for _ in range(10_000):
        e = apply("sin", e)
    text = show(Kernel("chain", (out, Param("x", dtypes.float32, 4)), (Store(out, A.index, e),)))
    assert max(map(len, text.splitlines())) < 150


@given(kernels())
def test_different_kernels_have_different_text(kernel: Kernel) -> None:
    """Changing one constant of the program shows."""
    done = prepare(kernel)
    text, store = show(done), kernel.stores[0]
    if any(isinstance(x.value, Const) and not isfinite(x.value.value) for x in done.stores):
        return  # that stay what they are, whatever is added
    if store.value.dtype.is_float and store.mode == "set" and not store.value.dtype.is_narrow_float:
        changed = Store(store.param, store.index, w.add(store.value, const(123, store.value.dtype)), store.guards,
                        order=store.order)  # fmt: skip
        assert show(prepare(Kernel(kernel.name, kernel.params, (changed, *kernel.stores[1:])))) != text


def test_schedules() -> None:
    kernel = prepare(w.kernel("softmax", (8, 64), w.softmax(w.tensor("x", 8, 64), 64)))
    rows, columns = kernel.axes
    top, total = kernel.reduces
    weight = total.arg
    schedule = Schedule(
        loops=(Step(rows, 4), Step(columns, 16)),
        grid=1,
        vector=(columns,),
        stages=(Stage(weight, 1), Stage(kernel.loads[0], 1, ((rows, 1), (columns, 16), (columns, 1)), 16)),
        inner={total: Inner(1, (Step(columns, 32),)), kernel.stores[0]: Inner(1, (Step(columns, 8),))},
        partial=frozenset([total]),
        streams=find_streams(kernel),
        options={"num_warps": 4},
    )
    assert show_schedule(kernel, schedule) == """\
grid     i by 4
loop     j by 16
vector   j
stage    keep t1 at 1
stage    pack x[i*64+j] at 1 as (i,1)(j,16)(j,1) pad 16
inner    t2 from 1: j by 32
inner    store out0 from 1: j by 8
partial  t2
stream   t0, sums t2 (1)
options  num_warps 4"""
    assert top is find_streams(kernel)[0].max


def test_an_empty_schedule_has_no_text() -> None:
    kernel = prepare(w.kernel("copy", (4,), w.tensor("x", 4)))
    assert show_schedule(kernel, Schedule()) == ""
    assert show_schedule(kernel, Schedule(partial=frozenset())) == "partial  none"


def test_a_reduce_over_two_axes() -> None:
    r, s = Axis("r", 2), Axis("s", 3)
    e = reduce("max", load(Param("x", dtypes.float32, 6), r.index * 3 + s.index), [s, r])
    out = Param("out", dtypes.float32, 1)
    kernel = Kernel("top", (out, Param("x", dtypes.float32, 6)), (Store(out, constant(0), e),))
    assert "t0 = max over r s (x[r*3+s])" in show(kernel)
