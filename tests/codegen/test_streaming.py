"""One-pass rescaling: what is found, what is refused, and that running in blocks gives the unstreamed result."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index, dynamic
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Load, Param, Reduce, Store, apply, children, load, reduce, walk, with_axes
from codegen.rewrites.merging import flattened
from codegen.rewrites.rewrite import prepare
from codegen.streaming import Stream, find_streams
from tests.codegen import written_kernels as w
from tests.codegen.compare import TOLERANCE, assert_close
from tests.codegen.random_kernels import kernels, random_arrays, run

N, KEYS, DEPTH = 5, 10, 4
X, DY = w.tensor("x", N, KEYS), w.tensor("dy", N, KEYS)
Q, K, V = w.tensor("q", N, DEPTH), w.tensor("k", KEYS, DEPTH), w.tensor("v", KEYS, DEPTH)
MASK = w.tensor("mask", N, KEYS)
TARGET = w.tensor("target", N, dtype=dtypes.int32)

# ------------------------------------------------------------------------------------------ the blockwise reference


def run_in_blocks(kernel: Kernel, arrays: dict[str, NDArray], block: int) -> dict[str, NDArray]:
    """What the kernel writes when every stream runs over blocks of its first axis, as `Stream` says."""
    known: dict[Expr, Expr] = {}
    arrays = dict(arrays)
    for number, stream in enumerate(find_streams(kernel)):
        for e, values in _streamed(stream, arrays, block).items():
            param = Param(f"stream{number}_{len(known)}", e.dtype, values.size)
            arrays[param.name] = values
            known[e] = load(param, flattened(_order(e)))
    finished = _with_known(kernel, known)
    return run(finished, arrays)


def _streamed(stream: Stream, arrays: dict[str, NDArray], block: int) -> dict[Reduce, NDArray]:
    """The final values of the max and the sums."""
    axis, *others = stream.max.bound
    rows = _order(stream.max)
    rho_param = Param("rho", stream.max.dtype, max(1, int(np.prod([a.size for a in rows]))))
    rho_load = load(rho_param, flattened(rows))
    top = np.full(rho_param.size, -np.inf, rho_param.dtype.numpy)
    rho = np.zeros_like(top)
    totals = {e: np.zeros(_extent(e), e.dtype.numpy) for e, _ in stream.sums}
    with np.errstate(all="ignore"):
        for start in range(0, axis.size, block):
            part = Axis("part", min(block, axis.size - start))
            place = {axis: part.index + start}
            bound = [part, *others]
            chunk = _evaluated({stream.max: reduce("max", _blocked(stream.max.arg, place, {}), bound)}, arrays)
            new_top = np.maximum(top, chunk[stream.max])
            new_rho = np.where(np.isfinite(new_top), new_top, 0).astype(top.dtype)
            scale = np.exp(top - new_rho)
            bodies = {e: _blocked(e.arg, place, {stream.shift: rho_load}) for e, _ in stream.sums}
            added = _evaluated({e: reduce("add", b, bound) for e, b in bodies.items()}, {**arrays, "rho": new_rho})
            for e, degree in stream.sums:
                factor = _spread(scale**degree, stream.max, e) if degree else 1
                totals[e] = totals[e] * factor + added[e]
            top, rho = new_top, new_rho
        shift = _shift_values(stream, top, arrays)
        for e, degree in stream.sums:
            if degree:
                totals[e] = totals[e] * _spread(np.exp(degree * (rho - shift)), stream.max, e)
    typed = {e: np.asarray(values, e.dtype.numpy) for e, values in totals.items()}
    return {stream.max: top, **typed}


def _order(e: Expr) -> list[Axis]:
    return sorted(e.axes, key=lambda a: a.id)


def _extent(e: Expr) -> int:
    return int(np.prod([a.size for a in e.axes], initial=1))


def _spread(values: NDArray, of: Expr, onto: Expr) -> NDArray:
    """Flat values over the axes of one expression, repeated over those of another."""
    shape = [a.size if a in of.axes else 1 for a in _order(onto)]
    return np.broadcast_to(values.reshape(shape), [a.size for a in _order(onto)]).reshape(-1)


def _blocked(e: Expr, place: dict[Axis, Index], swap: dict[Expr, Expr]) -> Expr:
    """e with free occurrences of an axis replaced and some expressions swapped; bound occurrences stay."""
    made: dict[Expr, Expr] = {}
    touched: set[Expr] = set()
    for x in walk([e]):
        if x in swap:
            made[x] = swap[x]
            touched.add(x)
        elif x.axes & place.keys() or touched.intersection(children(x)):
            made[x] = with_axes(x, tuple(made[a] for a in x.args), place, made)
            touched |= {x} if touched.intersection(children(x)) else set()
        else:
            made[x] = x
    return made[e]


def _evaluated(values: dict[Reduce, Expr], arrays: dict[str, NDArray]) -> dict[Reduce, NDArray]:
    """The values of expressions, flat over the axes of the reduce they stand for."""
    stores, outputs = [], {}
    for number, (e, value) in enumerate(values.items()):
        param = Param(f"value{number}", e.dtype, _extent(e))
        stores.append(Store(param, flattened(_order(e)), value, order=tuple(_order(e))))
        outputs[e] = np.zeros(param.size, e.dtype.numpy)
    arrays = {**arrays, **{s.param.name: outputs[e] for s, e in zip(stores, outputs)}}
    bare = Kernel("block", (), tuple(stores))
    params = [*(s.param for s in stores), *(x.param for x in bare.loads)]
    interpret(Kernel("block", tuple(dict.fromkeys(params)), tuple(stores)), arrays)
    return outputs


def _shift_values(stream: Stream, top: NDArray, arrays: dict[str, NDArray]) -> NDArray:
    param = Param("top", stream.max.dtype, top.size)
    value = _blocked(stream.shift, {}, {stream.max: load(param, flattened(_order(stream.max)))})
    return _evaluated({stream.max: value}, {**arrays, "top": top})[stream.max]


def _with_known(kernel: Kernel, known: dict[Expr, Expr]) -> Kernel:
    stores = tuple(dataclasses.replace(store, value=_blocked(store.value, {}, known)) for store in kernel.stores)
    bare = Kernel(kernel.name, (), stores)
    params = [*(s.param for s in stores), *(x.param for x in bare.loads)]
    return Kernel(kernel.name, tuple(dict.fromkeys(params)), stores)


def assert_streams_alike(kernel: Kernel, arrays: dict[str, NDArray]) -> None:
    """Every block size gives what the unstreamed kernel gives, nan where it gives nan."""
    expected = run(kernel, arrays)
    types = {param.name: param.dtype for param in kernel.params}
    for block in (1, 3, 4, 64):
        found = run_in_blocks(kernel, arrays, block)
        for name, values in expected.items():
            assert_close(found[name], values, types[name], 5 * TOLERANCE[types[name]], f"{name}, block {block}")


# ------------------------------------------------------------------------------------------------- what is found


def _guarded_softmax(x: w.Field, n: int) -> w.Field:
    """Softmax that subtracts 0 where the max is not finite, as a library writes it for masked rows."""

    def top(i: Index) -> Expr:
        m = w.over("max", n, lambda r: x(i, r))
        finite = apply("lt", apply("abs", m), w.number(float("inf")))
        return apply("where", finite, m, w.number(0))

    def at(i: Index, j: Index) -> Expr:
        return w.div(w.exp(w.sub(x(i, j), top(i))), w.over("add", n, lambda r: w.exp(w.sub(x(i, r), top(i)))))

    return at


def _weighted(weights: w.Field, values: w.Field) -> w.Field:
    return lambda i, j: w.over("add", KEYS, lambda r: w.mul(weights(i, r), values(r, j)))


def _top(i: Index) -> Expr:
    return w.over("max", KEYS, lambda r: X(i, r))


def _rows(name: str, *fields: w.Field) -> Kernel:
    return prepare(w.kernel(name, (N,), *fields))


def _power(c: float) -> w.Field:
    """sum of exp(c * (x - max x))"""
    return lambda i: w.over("add", KEYS, lambda r: w.exp(w.mul(w.sub(X(i, r), _top(i)), w.number(c))))


def _entropy(i: Index) -> Expr:
    weights = w.softmax(X, KEYS)
    return w.over("add", KEYS, lambda r: w.mul(weights(i, r), X(i, r)))


def _masked(i: Index) -> Expr:
    """A branch of literal zeros has any degree."""

    def body(r: Index) -> Expr:
        return apply("where", apply("lt", DY(i, r), w.number(0)), w.exp(w.sub(X(i, r), _top(i))), w.number(0))

    return w.over("add", KEYS, body)


def _exp2(i: Index) -> Expr:
    return w.over("add", KEYS, lambda r: apply("exp2", w.mul(w.number(3), w.sub(X(i, r), _top(i)))))


def _wide(i: Index) -> Expr:
    """A cast between floats, a sign and a sum over other axes keep the degree."""

    def weight(r: Index, c: Index) -> Expr:
        e = w.exp(w.sub(X(i, r), _top(i)))
        return apply("cast", apply("where", apply("lt", V(r, c), w.number(0)), e, w.sub(w.number(0), e)),
                     dtype=dtypes.float64)  # fmt: skip

    def body(r: Index) -> Expr:
        inner = apply("cast", w.over("add", DEPTH, lambda c: weight(r, c)), dtype=dtypes.float32)
        return w.mul(apply("neg", inner), DY(i, r))

    return w.over("add", KEYS, body)


FOUND = {
    "softmax": (prepare(w.kernel("softmax", (N, KEYS), w.softmax(X, KEYS))), [[1]]),
    "log sum exp": (_rows("lse", w.log_sum_exp(X, KEYS)), [[1]]),
    "softmax gradient": (prepare(w.kernel("dx", (N, KEYS), w.softmax_gradient(X, DY, KEYS))), [[1, 1]]),
    "attention": (prepare(w.kernel("o", (N, DEPTH), w.attention(Q, K, V, KEYS, DEPTH, MASK))), [[1, 1]]),
    "causal attention": (
        prepare(w.kernel("o", (N, DEPTH), w.attention(Q, K, V, KEYS, DEPTH, w.causal(KEYS)))), [[1, 1]]
    ),
    "guarded attention": (
        prepare(w.kernel("o", (N, DEPTH), _weighted(_guarded_softmax(w.scores(Q, K, DEPTH, MASK), KEYS), V))), [[1, 1]]
    ),
    "squared weights": (_rows("power", _power(2.0)), [[2]]),
    "masked weights": (_rows("masked", _masked), [[1]]),
    "two softmaxes": (_rows("two", w.log_sum_exp(X, KEYS), w.log_sum_exp(DY, KEYS)), [[1], [1]]),
    "powers of two": (_rows("exp2", _exp2), [[3 * math.log(2)]]),
    "signs, casts and inner sums": (_rows("wide", _wide), [[1]]),
    "square root of weights": (_rows("power", _power(0.5)), [[0.5]]),
    "mean under the weights": (_rows("entropy", _entropy), [[1, 1]]),
    "a plain sum rides along": (
        _rows("both", w.log_sum_exp(X, KEYS), lambda i: w.over("add", KEYS, lambda r: w.mul(X(i, r), X(i, r)))),
        [[1, 0]],
    ),
}  # fmt: skip

REFUSED = {
    "exp(y - max x): early blocks can overflow": lambda i: w.over(
        "add", KEYS, lambda r: w.exp(w.sub(DY(i, r), _top(i)))
    ),
    "exp(max - x): the degree is negative": lambda i: w.over("add", KEYS, lambda r: w.exp(w.sub(_top(i), X(i, r)))),
    "(x - max)**2: not homogeneous": lambda i: w.over(
        "add", KEYS, lambda r: w.mul(w.sub(X(i, r), _top(i)), w.sub(X(i, r), _top(i)))
    ),
    "exp + 1: addends of different degree": lambda i: w.over(
        "add", KEYS, lambda r: w.add(w.exp(w.sub(X(i, r), _top(i))), w.number(1))
    ),
    "exp * max: the max used bare": lambda i: w.over(
        "add", KEYS, lambda r: w.mul(w.add(_top(i), X(i, r)), w.exp(w.sub(X(i, r), _top(i))))
    ),
    "the max in a condition": lambda i: w.over(
        "add",
        KEYS,
        lambda r: apply("where", apply("lt", _top(i), X(i, r)), w.exp(w.sub(X(i, r), _top(i))), w.number(0)),
    ),
    "exp(-1 * (x - max))": _power(-1.0),
    "exp((x - max) * -2)": _power(-2.0),
    "tanh of the weight": lambda i: w.over("add", KEYS, lambda r: apply("tanh", w.exp(w.sub(X(i, r), _top(i))))),
    "a condition on the weight": lambda i: w.over(
        "add",
        KEYS,
        lambda r: apply("where", apply("lt", w.number(0.5), w.exp(w.sub(X(i, r), _top(i)))), X(i, r), w.number(0)),
    ),
    "exp over exp: degree 0 but hanging": lambda i: w.over(
        "add",
        KEYS,
        lambda r: w.div(w.exp(w.sub(X(i, r), _top(i))), w.add(w.exp(w.sub(X(i, r), _top(i))), w.number(0))),
    ),
}


def _degrees(kernel: Kernel) -> list[list[float]]:
    return [[degree for _, degree in stream.sums] for stream in find_streams(kernel)]


@pytest.mark.parametrize("name", FOUND)
def test_streams_are_found(name: str) -> None:
    kernel, degrees = FOUND[name]
    assert _degrees(kernel) == degrees


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("seed", range(3))
def test_blocks_give_the_unstreamed_result(name: str, seed: int) -> None:
    """Also for rows that are masked, masked until a late block, large, infinite or nan."""
    kernel, _ = FOUND[name]
    arrays = random_arrays(kernel, seed)
    assert_streams_alike(kernel, arrays)
    for values in (arrays[n].reshape(N, KEYS) for n in ("x", "mask") if n in arrays):
        values[np.random.default_rng(seed).random((N, KEYS)) < 0.4] = -np.inf
        values[1] = -np.inf
        values[2, :7] = -np.inf
        values[2, 8] = 1
    assert_streams_alike(kernel, arrays)
    for values in (arrays[n].reshape(N, KEYS) for n in ("x", "mask") if n in arrays):
        values[3] *= 400
        values[4, 6] = np.nan
        if name != "masked weights":  # see Stream: unstreamed, such a row is 0 where all its infinities are masked
            values[0, 3] = np.inf
    assert_streams_alike(kernel, arrays)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_homogeneous_is_refused(name: str) -> None:
    assert find_streams(_rows("refused", REFUSED[name])) == ()


@given(kernels("softmax", sizes=(2, 3, 5, 7)), st.integers(0, 1000))
def test_random_streams_run_in_blocks(kernel: Kernel, seed: int) -> None:
    kernel = prepare(kernel)
    assert_streams_alike(kernel, random_arrays(kernel, seed))


def test_shift_may_be_a_function_of_the_max() -> None:
    kernel, _ = FOUND["guarded attention"]
    (stream,) = find_streams(kernel)
    assert stream.shift is not stream.max
    assert stream.max in walk([stream.shift])


def test_streams_that_need_each_other_are_not_both_taken() -> None:
    """sum exp(x - X) * exp(Y) and sum exp(y - Y) * exp(X), X and Y the maxima: one pass must come first."""

    def top(field: w.Field, i: Index) -> Expr:
        return w.over("max", KEYS, lambda r: field(i, r))

    def crossed(one: w.Field, other: w.Field) -> w.Field:
        def body(i: Index, r: Index) -> Expr:
            return w.mul(w.exp(w.sub(one(i, r), top(one, i))), apply("tanh", w.add(top(other, i), one(i, r))))

        return lambda i: w.over("add", KEYS, lambda r: body(i, r))

    kernel = _rows("crossed", crossed(X, DY), crossed(DY, X))
    assert _degrees(kernel) == [[1]]


def test_a_sum_the_pass_needs_does_not_ride_in_it() -> None:
    """The weights are of x minus its mean; the mean must be known before the max."""

    def centred(i: Index, j: Index) -> Expr:
        return w.sub(X(i, j), w.mean(KEYS, lambda r: X(i, r)))

    kernel = prepare(w.kernel("centred", (N, KEYS), w.softmax(centred, KEYS)))
    assert _degrees(kernel) == [[1]]
    assert_streams_alike(kernel, random_arrays(kernel))



def test_cross_entropy_with_a_gathered_target_is_one_pass() -> None:
    """lse - x[target] needs one pass; the gather reads one place and is no sum."""
    lse = w.log_sum_exp(X, KEYS)

    def at(i: Index) -> Expr:
        place = dynamic(TARGET(i), KEYS)
        chosen = X(i, place)
        assert isinstance(chosen, Load)
        return w.sub(lse(i), load(chosen.param, chosen.index, [Guard(place, 0, KEYS)]))

    kernel = _rows("cross entropy", at)
    assert _degrees(kernel) == [[1]]
    assert_streams_alike(kernel, random_arrays(kernel))
