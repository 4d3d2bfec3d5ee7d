"""Guards that both operands of a product ask for stay with the one that needs them."""

from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Guards, needed
from codegen.ir import Expr, Kernel, Param, Store, apply, load, reduce
from codegen.rewrites.contract import contractions
from codegen.rewrites.relieving import relieved
from codegen.rewrites.rewrite import prepare
from codegen.verify import verify
from tests.codegen.compare import assert_same_results

F = dtypes.float32
M, B, K = Axis("m", 9), Axis("b", 3), Axis("k", 2)
ASKED = needed([Guard(B.index + K.index * 3, 0, 5)])


def kernel_of(value: Expr) -> Kernel:
    out = Param("out", F, 27)
    params = dict.fromkeys(e.param for e in Kernel("k", (), (Store(out, M.index * 3 + B.index, value),)).loads)
    return Kernel("k", (out, *params), (Store(out, M.index * 3 + B.index, value),))


def windows(guards: Guards = ASKED, shift: int = 1, op: str = "mul") -> Kernel:
    """The sum over k of what lies at m - k and at b + 3 * k, each under guards."""
    lines = load(Param("x", F, 10), M.index - K.index + shift, guards)
    taps = load(Param("w", F, 5), B.index + K.index * 3, ASKED)
    return kernel_of(reduce("add", apply(op, lines, taps), [K]))


def asking(kernel: Kernel) -> dict[str, set[str]]:
    """Per array the axes its guards ask about."""
    return {e.param.name: {a.name for g in e.guards for a in g.index.axes} for e in kernel.loads}


def test_what_the_other_operand_asks_is_asked_once() -> None:
    assert asking(relieved(windows())) == {"x": set(), "w": {"b", "k"}}
    assert_same_results(windows(), relieved(windows()))


def test_the_roles_of_axes_are_those_of_indices() -> None:
    (found,) = contractions(prepare(windows()))
    assert not found.batch


def test_a_load_that_would_leave_its_array_asks() -> None:
    kernel = windows(shift=3)
    assert max(e.index.hi for e in kernel.loads if e.param.name == "x") == 11
    assert relieved(kernel) is kernel


def test_what_the_other_operand_does_not_ask_stays() -> None:
    kernel = windows(needed([Guard(B.index + K.index, 0, 2)]))
    assert relieved(kernel) is kernel


def test_sums_of_other_than_products_ask_as_they_did() -> None:
    for op in ("add", "max"):
        kernel = windows(op=op)
        assert relieved(kernel) is kernel


def test_guards_on_axes_of_the_index_stay() -> None:
    """They leave rows of a window out that its image holds as zeros."""
    inside = needed([Guard(M.index - K.index, 0, 9)])
    lines = load(Param("x", F, 10), M.index - K.index + 1, inside)
    other = load(Param("w", F, 30), B.index * 10 + M.index - K.index + 1, inside)
    kernel = kernel_of(reduce("add", apply("mul", lines, other), [K]))
    assert relieved(kernel) is kernel


@given(st.integers(1, 7), st.integers(1, 4), st.integers(0, 6), st.integers(1, 9))
def test_transposed_windows_stay_the_same(taps: int, stride: int, cut: int, places: int) -> None:
    """Results of a window put back, some of them cut off at the ends."""
    count = (places - 1) * stride + taps - 2 * min(cut, taps - 1)
    if count < 1:
        return
    h, k, c = Axis("h", count), Axis("k", taps), Axis("c", 3)
    at = h.index - k.index + min(cut, taps - 1)
    guards = needed([Guard(at // stride, 0, places), Guard(at % stride, 0, 1)])
    x, w, out = Param("x", F, 3 * places), Param("w", F, 3 * taps), Param("out", F, count)
    value = apply("mul", load(x, c.index * places + at // stride, guards), load(w, c.index * taps + k.index))
    kernel = Kernel("put", (out, x, w), (Store(out, h.index, reduce("add", value, [c, k])),))
    prepared = prepare(kernel)
    verify(prepared)
    assert_same_results(kernel, prepared)
