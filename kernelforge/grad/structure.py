"""Gradient rules of views, reductions, indexing and markers: most are another operation of the same kind.

Comes in: a node and its cotangent dy.  Goes out: each source's cotangent.  An expand's adjoint is a sum, a sum's an
expand; window and gather have unwindow and scatter as theirs.
"""

from __future__ import annotations

from functools import partial
from math import nan, prod

from kernelforge import graph
from kernelforge.grad.table import Parts, counted, div, equal, filled, mul, rule, select, sub, summed, widened
from kernelforge.graph import Node, Shape, cast, elementwise, expand, gather, reduce, reshape, scatter

# ----------------------------------------------------------------------------------------------------- views


@rule("reshape")
def _reshape(node: Node, dy: Node) -> Parts:
    return (lambda: reshape(dy, node.src[0].shape),)


@rule("permute")
def _permute(node: Node, dy: Node) -> Parts:
    order = node.attr
    return (lambda: graph.permute(dy, tuple(order.index(d) for d in range(len(order)))),)


@rule("expand")
def _expand(node: Node, dy: Node) -> Parts:
    (x,) = node.src
    axes = tuple(d for d, (m, n) in enumerate(zip(x.shape, node.shape)) if m != n)
    return (lambda: reshape(summed(dy, axes), x.shape),)


@rule("pad")
def _pad(node: Node, dy: Node) -> Parts:
    bounds = tuple((lo, lo + n) for n, (lo, _) in zip(node.src[0].shape, node.attr))
    return (lambda: graph.shrink(dy, bounds),)


@rule("shrink")
def _shrink(node: Node, dy: Node) -> Parts:
    pads = tuple((start, n - stop) for n, (start, stop) in zip(node.src[0].shape, node.attr))
    return (lambda: graph.pad(dy, pads),)


@rule("flip")
def _flip(node: Node, dy: Node) -> Parts:
    return (lambda: graph.flip(dy, node.attr),)


@rule("window")
def _window(node: Node, dy: Node) -> Parts:
    dim, _, stride, dilation = node.attr
    size = node.src[0].shape[dim]
    return (lambda: summed(graph.unwindow(dy, dim, size, stride, dilation), (dim + 1,)),)


@rule("unwindow")
def _unwindow(node: Node, dy: Node) -> Parts:
    """dx[o, k] = dy[o*stride + k*dilation, k].

    A dy that does not vary over k, as below the sum that follows every unwindow a gradient makes, is a plain window of
    it.  In any other the places (o*stride + k*dilation, k), one behind the other, are windows too.
    """
    dim, _, stride, dilation = node.attr
    (x,) = node.src
    count, taps = x.shape[dim : dim + 2]

    def windows(y: Node, stride: int, dilation: int) -> Node:
        """The windows of y along dim, exactly count of them."""
        length = (count - 1) * stride + dilation * (taps - 1) + 1
        return graph.window(_resized(y, dim, length), dim, taps, stride, dilation)

    def adjoint() -> Node:
        row = _one_of(dy, dim + 1)
        if row is not None:
            return windows(row, stride, dilation)
        flat = reshape(dy, (*dy.shape[:dim], dy.shape[dim] * taps, *dy.shape[dim + 2 :]))
        return windows(flat, stride * taps, dilation * taps + 1)

    return (adjoint if count else (lambda: filled(x, 0)),)


def _one_of(x: Node, dim: int) -> Node | None:
    """x at any one place along dim, without that dimension, if it is visibly the same at all of them."""
    if x.op == "cast":
        inner = _one_of(x.src[0], dim)
        return None if inner is None else cast(inner, x.dtype)
    if x.op != "expand" or x.src[0].shape[dim] != 1:
        return None
    before, after = x.shape[:dim], x.shape[dim + 1 :]
    return reshape(expand(x.src[0], (*before, 1, *after)), (*before, *after))


def _resized(x: Node, dim: int, size: int) -> Node:
    """x cut or padded with zeros at the end of dim."""
    n = x.shape[dim]
    x = graph.shrink(x, tuple((0, min(m, size) if d == dim else m) for d, m in enumerate(x.shape)))
    return graph.pad(x, tuple((0, max(0, size - n) if d == dim else 0) for d in range(len(x.shape))))


# ------------------------------------------------------------------------------------------------- reductions


@rule("reduce")
def _reduce(node: Node, dy: Node) -> Parts:
    (x,), (op, axes) = node.src, node.attr
    if op == "add":
        return (lambda: _spread(dy, x.shape, axes),)
    if op == "mul":
        return (lambda: _product_adjoint(x, dy, axes),)
    if op == "logaddexp":
        return (lambda: mul(_spread(dy, x.shape, axes), elementwise("exp", sub(x, _spread(node, x.shape, axes)))),)
    return (lambda: _extremum_adjoint(node, dy),)


def _spread(y: Node, shape: Shape, axes: tuple[int, ...]) -> Node:
    """A reduced array repeated along the axes it lost."""
    return expand(reshape(y, tuple(1 if d in axes else n for d, n in enumerate(shape))), shape)


def _extremum_adjoint(node: Node, dy: Node) -> Node:
    """dy shared equally by all elements that equal the extremum; NaN for all where none does, for it is NaN."""
    (x,), (_, axes) = node.src, node.attr
    hit = equal(x, _spread(node, x.shape, axes))
    count = reduce("add", counted(hit, x.dtype.arithmetic), axes)
    share = cast(div(widened(dy), count), x.dtype)
    others = filled(node, 0)
    if x.dtype.is_float:
        others = select(equal(node, node), others, filled(node, nan))
    return select(hit, _spread(share, x.shape, axes), _spread(others, x.shape, axes))


def _product_adjoint(x: Node, dy: Node, axes: tuple[int, ...]) -> Node:
    """dy times the product of the other elements, by halves: no division, so zeros need no special case.

    Going up, elements i and i + half are multiplied until one is left; going down, each takes what its parent got
    times its partner.
    """
    kept = tuple(d for d in range(len(x.shape)) if d not in axes)
    order = kept + axes
    rows, n = prod(x.shape[d] for d in kept), prod(x.shape[d] for d in axes)
    level = widened(reshape(graph.permute(x, order), (rows, n)))
    levels = []
    while level.shape[1] > 1:
        level = _with_even_length(level)
        levels.append(level)
        half = level.shape[1] // 2
        level = mul(_columns(level, 0, half), _columns(level, half, 2 * half))
    result = reshape(widened(dy), (rows, 1)) if n else filled(level, 0)
    for level in reversed(levels):
        half = level.shape[1] // 2
        result = _columns(result, 0, half)
        twice = reshape(expand(reshape(result, (rows, 1, half)), (rows, 2, half)), (rows, 2 * half))
        partner = reshape(graph.flip(reshape(level, (rows, 2, half)), (1,)), (rows, 2 * half))
        result = mul(twice, partner)
    result = reshape(_columns(result, 0, n), tuple(x.shape[d] for d in order))
    return cast(graph.permute(result, tuple(order.index(d) for d in range(len(order)))), x.dtype)


def _with_even_length(x: Node) -> Node:
    """The rows of x, with a 1 at the end of each if their length is odd."""
    rows, n = x.shape
    if n % 2 == 0:
        return x
    one = graph.pad(graph.full((rows, 1), 1, x.dtype), ((0, 0), (n, 0)))
    return graph.elementwise("add", graph.pad(x, ((0, 0), (0, 1))), one)


def _columns(x: Node, start: int, stop: int) -> Node:
    return graph.shrink(x, ((0, x.shape[0]), (start, stop)))


# -------------------------------------------------------------------------------------------------- indexing


@rule("gather")
def _gather(node: Node, dy: Node) -> Parts:
    """Each element goes back to its place.  One element per line does so by comparison, which fuses with its users."""
    x, index = node.src
    dim, n = node.attr, x.shape[node.attr]
    if index.shape == (*x.shape[:dim], 1, *x.shape[dim + 1 :]):
        places = reshape(graph.iota(n, index.dtype), (n,) + (1,) * (len(x.shape) - dim - 1))
        places = expand(reshape(places, (1,) * dim + places.shape), x.shape)
        hit = graph.elementwise("eq", places, expand(index, x.shape))
        return lambda: select(hit, expand(dy, x.shape), filled(x, 0)), None
    return lambda: scatter(filled(x, 0), index, dy, dim, "add"), None


@rule("scatter")
def _scatter(node: Node, dy: Node) -> Parts:
    """Elements of the base pass their cotangent unless replaced; scattered ones fetch theirs from their place.

    max and min share it equally among all that equal the extremum; mul gives each the product of the others, logaddexp
    each its share of the exponentials.
    """
    base, index, x = node.src
    dim, mode = node.attr
    if mode == "place":
        return None, None, lambda: gather(dy, index, dim)
    if mode == "set":
        return lambda: scatter(dy, index, filled(x, 0), dim, "set"), None, lambda: gather(dy, index, dim)
    if mode == "add":
        return lambda: dy, None, lambda: gather(dy, index, dim)
    if mode == "mul":
        return lambda: _others_product(node, dy), None, lambda: _scattered_product_adjoint(node, dy)
    if mode == "logaddexp":
        return (
            lambda: mul(dy, elementwise("exp", sub(base, node))),
            None,
            lambda: mul(gather(dy, index, dim), elementwise("exp", sub(x, gather(node, index, dim)))),
        )
    wide = base.dtype.arithmetic
    kept, hit = equal(base, node), equal(x, gather(node, index, dim))
    count = scatter(counted(kept, wide), index, counted(hit, wide), dim, "add")
    share = cast(div(widened(dy), count), base.dtype)
    return (
        lambda: select(kept, share, filled(base, 0)),
        None,
        lambda: select(hit, gather(share, index, dim), filled(x, 0)),
    )


def _others_product(node: Node, dy: Node) -> Node:
    """dy times the product of what was scattered to each place, without what the base had there."""
    base, index, x = node.src
    return mul(dy, scatter(filled(base, 1), index, x, node.attr[0], "mul"))


def _scattered_product_adjoint(node: Node, dy: Node) -> Node:
    """dy at each element's place times the product of what else meets there.

    That is the product of what is not zero divided by the element where nothing else is zero, and that times the other
    zero where there is one: 0, whose own gradient is not.  Of more zeros second gradients are 0, too.
    """
    base, index, x = node.src
    dim = node.attr[0]
    zero, nothing = equal(x, filled(x, 0)), filled(x, 0)
    others = cast(zero, x.dtype)
    others = sub(_met(others, node), others)
    kept, own = select(zero, filled(x, 1), x), select(zero, x, nothing)
    rest = div(gather(scatter(base, index, kept, dim, "mul"), index, dim), kept)
    one = select(equal(others, filled(x, 1)), mul(sub(_met(own, node), own), rest), nothing)
    return mul(gather(dy, index, dim), select(equal(others, nothing), rest, one))


def _met(x: Node, node: Node) -> Node:
    """For each element the sum of those a scatter puts to its place."""
    base, index, _ = node.src
    dim = node.attr[0]
    return gather(scatter(filled(base, 0), index, x, dim, "add"), index, dim)


# --------------------------------------------------------------------------------------------------- markers


@rule("contiguous")
def _contiguous(node: Node, dy: Node) -> Parts:
    return (lambda: dy,)


@rule("surrogate")
def _surrogate(node: Node, dy: Node) -> Parts:
    if node.attr is not None and node.attr[0] == "linear":
        return None, lambda: graph.ADJOINTS[node.attr[1]](dy, *node.attr[2:])
    return None, lambda: dy


@rule("copy")
def _copy(node: Node, dy: Node) -> Parts:
    device = node.src[0].device
    return (lambda: dy if device is None else graph.copy(dy, device),)


@rule("stack")
def _stack(node: Node, dy: Node) -> Parts:
    dims, sizes = zip(*node.attr)

    def part(number: int) -> Node:
        bounds = [(0, n) for n in node.shape]
        for i, dim in enumerate(dims):
            place = number // prod(sizes[i + 1 :]) % sizes[i]
            bounds[dim] = (place, place + 1)
        return reshape(graph.shrink(dy, tuple(bounds)), node.src[number].shape)

    return tuple([partial(part, number) for number in range(len(node.src))])


@rule("host", "loop", "while")
def _by_attribute(node: Node, dy: Node) -> Parts:
    parts = node.attr.gradient(node, dy)
    return tuple([None if part is None else partial(_itself, part) for part in parts])


def _itself(node: Node) -> Node:
    return node
