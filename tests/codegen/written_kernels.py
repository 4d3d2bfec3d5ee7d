"""Well-known computations written in the kernel language, every reduce with axes of its own.

A `Field` is a value as a function of indices; calling it builds expressions anew, so a kernel made of fields shares no
axis that a rewrite did not find.  `kernel(name, shape, field, ...)` stores fields over fresh axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.dtypes import DType, dtypes
from codegen.index import Axis, Guard, Index, constant
from codegen.ir import (
    Expr,
    Kernel,
    Param,
    Store,
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
from codegen.rewrites.merging import flattened

Field = Callable[..., Expr]


def tensor(name: str, *shape: int, dtype: DType = dtypes.float32) -> Field:
    """The contents of a parameter with this shape."""
    size = 1
    for extent in shape:
        size *= extent
    param = Param(name, dtype, size)

    def at(*place: Index) -> Expr:
        flat = constant(0)
        for extent, index in zip(shape, place, strict=True):
            flat = flat * extent + index
        return load(param, flat)

    return at


def number(value: float) -> Expr:
    return const(value, dtypes.float32)


def over(op: str, sizes: Sequence[int] | int, body: Field) -> Expr:
    """body reduced over fresh axes of these sizes."""
    axes = [Axis("r", size) for size in ((sizes,) if isinstance(sizes, int) else sizes)]
    return reduce(op, body(*(axis.index for axis in axes)), axes)


def kernel(name: str, shape: Sequence[int], *fields: Field, dtype: DType = dtypes.float32) -> Kernel:
    """Fields of one shape, each stored over fresh axes to a parameter of its own."""
    stores = []
    for number_, field in enumerate(fields):
        axes = tuple(Axis("i", size) for size in shape)
        index = flattened(axes)
        value = field(*(axis.index for axis in axes))
        stores.append(Store(Param(f"out{number_}", dtype, index.hi + 1), index, value, order=axes))
    bare = Kernel(name, (), tuple(stores))
    params = [store.param for store in stores] + [e.param for e in bare.loads]
    return Kernel(name, tuple(dict.fromkeys(params)), tuple(stores))


def add(x: Expr, y: Expr) -> Expr:
    return apply("add", x, y)


def sub(x: Expr, y: Expr) -> Expr:
    return apply("sub", x, y)


def mul(x: Expr, y: Expr) -> Expr:
    return apply("mul", x, y)


def div(x: Expr, y: Expr) -> Expr:
    return apply("div", x, y)


def exp(x: Expr) -> Expr:
    return apply("exp", x)


def swapped(e: Expr, swap: dict[Expr, Expr]) -> Expr:
    """e with some expressions in place of others."""
    made: dict[Expr, Expr] = {}
    for x in walk([e]):
        changed = any(made[child] is not child for child in children(x))
        made[x] = swap.get(x) or (with_axes(x, tuple(made[a] for a in x.args), {}, made) if changed else x)
    return made[e]


# -------------------------------------------------------------------------------------------- rows of a matrix


def softmax(x: Field, n: int) -> Field:
    """Softmax over the last of any number of indices, of extent n."""

    def top(*rows: Index) -> Expr:
        return over("max", n, lambda r: x(*rows, r))

    def at(*place: Index) -> Expr:
        *rows, j = place
        total = over("add", n, lambda r: exp(sub(x(*rows, r), top(*rows))))
        return div(exp(sub(x(*rows, j), top(*rows))), total)

    return at


def softmax_gradient(x: Field, dy: Field, n: int) -> Field:
    y = softmax(x, n)
    return lambda i, j: mul(y(i, j), sub(dy(i, j), over("add", n, lambda r: mul(y(i, r), dy(i, r)))))


def log_sum_exp(x: Field, n: int) -> Field:
    def at(i: Index) -> Expr:
        def top() -> Expr:
            return over("max", n, lambda r: x(i, r))

        return add(apply("log", over("add", n, lambda r: exp(sub(x(i, r), top())))), top())

    return at


def mean(n: int, body: Field) -> Expr:
    return mul(over("add", n, body), number(1 / n))


def normalised(x: Field, n: int) -> Field:
    """(x - mean) / sqrt(variance + eps) over the last index."""

    def centred(i: Index, j: Index) -> Expr:
        return sub(x(i, j), mean(n, lambda r: x(i, r)))

    def spread(i: Index) -> Expr:
        return apply("sqrt", add(mean(n, lambda r: mul(centred(i, r), centred(i, r))), number(1e-5)))

    return lambda i, j: div(centred(i, j), spread(i))


def layer_norm(x: Field, w: Field, b: Field, n: int) -> Field:
    hat = normalised(x, n)
    return lambda i, j: add(mul(hat(i, j), w(j)), b(j))


def layer_norm_gradient(x: Field, w: Field, dy: Field, n: int) -> Field:
    hat = normalised(x, n)

    def dh(i: Index, j: Index) -> Expr:
        return mul(dy(i, j), w(j))

    def at(i: Index, j: Index) -> Expr:
        spread = apply("sqrt", add(mean(n, lambda r: mul(x(i, r), x(i, r))), number(1e-5)))
        shift = mean(n, lambda r: dh(i, r))
        slope = mean(n, lambda r: mul(dh(i, r), hat(i, r)))
        return div(sub(sub(dh(i, j), shift), mul(hat(i, j), slope)), spread)

    return at


def rms_norm(x: Field, w: Field, n: int) -> Field:
    return lambda i, j: mul(
        div(x(i, j), apply("sqrt", add(mean(n, lambda r: mul(x(i, r), x(i, r))), number(1e-5)))), w(j)
    )


# ------------------------------------------------------------------------------------------------- contractions


def matmul(a: Field, b: Field, k: int) -> Field:
    return lambda i, j: over("add", k, lambda r: mul(a(i, r), b(r, j)))


def transposed(a: Field) -> Field:
    return lambda i, j: a(j, i)


def attention(q: Field, k: Field, v: Field, keys: int, depth: int, mask: Field | None = None) -> Field:
    weights = softmax(scores(q, k, depth, mask), keys)
    return lambda i, j: over("add", keys, lambda r: mul(weights(i, r), v(r, j)))


def scores(q: Field, k: Field, depth: int, mask: Field | None = None) -> Field:
    def at(i: Index, r: Index) -> Expr:
        s = mul(over("add", depth, lambda c: mul(q(i, c), k(r, c))), number(0.5))
        return s if mask is None else add(s, mask(i, r))

    return at


def attention_gradients(q: Field, k: Field, v: Field, do: Field, n: int, keys: int, depth: int) -> list[Field]:
    """dq, dk, dv of attention without a mask."""
    weights = softmax(scores(q, k, depth), keys)

    def dp(i: Index, r: Index) -> Expr:
        return over("add", depth, lambda c: mul(do(i, c), v(r, c)))

    def ds(i: Index, r: Index) -> Expr:
        delta = over("add", keys, lambda t: mul(weights(i, t), dp(i, t)))
        return mul(mul(weights(i, r), sub(dp(i, r), delta)), number(0.5))

    return [
        lambda i, j: over("add", keys, lambda r: mul(ds(i, r), k(r, j))),
        lambda r, j: over("add", n, lambda i: mul(ds(i, r), q(i, j))),
        lambda r, j: over("add", n, lambda i: mul(weights(i, r), do(i, j))),
    ]


def causal(keys: int) -> Field:
    """0 up to the diagonal, -inf beyond."""
    return lambda i, r: apply("where", apply("le", coord(r), coord(i)), number(0), number(float("-inf")))


def convolution(x: Field, w: Field, channels: int, window: int, pad: int, sizes: tuple[int, int]) -> Field:
    """x (batch, channels, height, width), w (out, channels, window, window), stride 1, zeros around."""

    def padded(b: Index, c: Index, h: Index, v: Index) -> Expr:
        guards = [Guard(h, 0, sizes[0]), Guard(v, 0, sizes[1])]
        inner = x(b, c, h, v)
        return load(inner.param, inner.index, guards)  # type: ignore[attr-defined]

    def at(b: Index, o: Index, h: Index, v: Index) -> Expr:
        return over(
            "add",
            (channels, window, window),
            lambda c, r, s: mul(padded(b, c, h + r - pad, v + s - pad), w(o, c, r, s)),
        )

    return at


def convolution_input_gradient(dy: Field, w: Field, out: int, window: int, pad: int, sizes: tuple[int, int]) -> Field:
    """Its gradient as a graph writes it: sum over window of where(valid, sum over out, 0)."""

    def at(b: Index, c: Index, h: Index, v: Index) -> Expr:
        def tap(r: Index, s: Index) -> Expr:
            place = (h - r + pad, v - s + pad)
            guards = [Guard(place[0], 0, sizes[0]), Guard(place[1], 0, sizes[1])]

            def product(o: Index) -> Expr:
                e = dy(b, o, *place)
                return mul(load(e.param, e.index, guards), w(o, c, r, s))  # type: ignore[attr-defined]

            return apply("where", valid(guards), over("add", out, product), number(0))

        return over("add", (window, window), tap)

    return at
