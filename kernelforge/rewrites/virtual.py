"""Types of elements kernels do not know, spelled in those they know: complex numbers and 8-bit floats.

Comes in: a node and the images of its sources.  Goes out: its images, nodes of known types: the real and the imaginary
parts of complex numbers; float32 values for 8-bit floats, rounded to them after each operation.  Memory holds the
*stored form*: the two parts side by side, or bytes.  Gradients are taken of images, so a complex number's is the
derivative by its real part and i times that by its imaginary part, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from codegen.dtypes import COMPLEX, FLOAT8, DType, dtypes, float8_format
from kernelforge import graph
from kernelforge.errors import DTypeError
from kernelforge.graph import VIEWS, Node, Shape, bitcast, cast, elementwise, full, reduce
from kernelforge.hosted import of_pairs

Images = tuple[Node, ...]
VIRTUAL: Final = frozenset((*COMPLEX, *FLOAT8))
MOVES: Final = VIEWS | {"stack", "gather", "detach", "surrogate", "where"}
_BY_PARTS: Final = MOVES | {"add", "sub", "neg"}
_ADDING: Final = frozenset(("set", "place", "add"))


# ------------------------------------------------------------------------------------------- leaves and memory


def leaf_images(x: Node, realized: bool = False) -> Images:
    """The images of what is computed from nothing, or lies in a buffer."""
    if x.dtype not in VIRTUAL:
        return (x,)
    buffer: Any = x.realized if realized else x.attr
    if realized or x.op == "buffer":
        shape = (*x.shape, 2) if x.dtype.is_complex else x.shape
        return loaded(graph.buffer(buffer, shape), x.dtype)
    if x.op != "const":
        return images_as_parts(x)
    if x.dtype in FLOAT8:
        return (graph.const(x.attr, dtypes.float32),)
    return graph.const(x.attr.real, x.dtype.real), graph.const(x.attr.imag, x.dtype.real)


def images_as_parts(x: Node) -> Images:
    """The images of a node as operations on it, whatever it is computed from."""
    if x.dtype.is_complex:
        return graph.part(x, "real"), graph.part(x, "imag")
    return (cast(x, dtypes.float32) if x.dtype in FLOAT8 else x,)


def stored(dtype: DType, images: Images) -> Node:
    """The node memory holds of images."""
    if dtype.is_complex:
        return graph.stack(images, ((len(images[0].shape), 2),))
    return _encoded(images[0], dtype) if dtype in FLOAT8 else images[0]


def loaded(x: Node, dtype: DType) -> Images:
    """The images of what memory holds."""
    if not dtype.is_complex:
        return (_decoded(x, dtype),) if dtype in FLOAT8 else (x,)
    shape = x.shape[:-1]
    whole = tuple([(0, n) for n in shape])
    return tuple([graph.reshape(graph.shrink(x, (*whole, (k, k + 1))), shape) for k in (0, 1)])


def whole(dtype: DType, images: Images) -> Node:
    """One node of a type, made of images."""
    return graph.complex_of(*images) if dtype.is_complex else cast(images[0], dtype)


def kept(x: Node, images: Images, change: Callable[[Node], Node]) -> Images:
    """Images of what a change of the stored form, which computes nothing, gives."""
    found = loaded(change(stored(x.dtype, images)), x.dtype)
    return (graph.surrogate(found[0], images[0]),) if x.dtype in FLOAT8 else found


# --------------------------------------------------------------------------------------------------- operations


def images_of(node: Node, src: Sequence[Images]) -> Images:
    """The images of an operation on images of its sources.

    raises DTypeError for operations that complex numbers do not have
    """
    op, dtype = node.op, node.dtype
    if op in ("contiguous", "copy") and dtype in VIRTUAL:
        return kept(node, src[0], lambda x: graph.rebuild(node, [x]))
    if op in ("cast", "bitcast"):
        return _cast(src[0], node.src[0].dtype, dtype) if op == "cast" else _bitcast(src[0][0], node)
    is_complex = dtype.is_complex or any(x.dtype.is_complex for x in node.src)
    if not is_complex:
        found = graph.rebuild(node, [images[0] for images in src])
        return (_rounded(found, dtype) if dtype in FLOAT8 and op not in MOVES else found,)
    if op == "host":
        forms = [stored(x.dtype, images) for x, images in zip(node.src, src)]
        return loaded(graph.host(of_pairs(node.attr), forms, (*node.shape, 2)), dtype)
    if op in _BY_PARTS or (op == "scatter" and node.attr[1] in _ADDING):
        return _by_parts(node, src)
    if op in ("reduce", "scan"):
        return _combined(node, src[0])
    if op not in _COMPLEX:
        raise DTypeError(f"{op} is not defined for {dtype if dtype.is_complex else node.src[0].dtype}")
    return _COMPLEX[op](*src)


def _by_parts(node: Node, src: Sequence[Images]) -> Images:
    """What an operation does to the real parts and to the imaginary parts."""
    parts = [tuple([images[k % len(images)] for images in src]) for k in (0, 1)]
    if node.op == "surrogate" and node.attr is not None:  # a variable: its parts are two, even of equal values
        return tuple([
            graph.node_of("surrogate", part, (*node.attr, k), node.shape, part[0].dtype) for k, part in enumerate(parts)
        ])
    return tuple([graph.rebuild(node, part) for part in parts])


def _cast(x: Images, source: DType, dtype: DType) -> Images:
    if dtype.is_complex:
        zeros = full(x[0].shape, 0, dtype.real)
        return cast(x[0], dtype.real), cast(x[1], dtype.real) if source.is_complex else zeros
    if dtype is dtypes.bool and source.is_complex:
        return (elementwise("or", *[cast(part, dtypes.bool) for part in x]),)
    return (_rounded(x[0], dtype) if dtype in FLOAT8 else cast(x[0], dtype),)


def _bitcast(x: Node, node: Node) -> Images:
    source = node.src[0].dtype
    found = bitcast(_encoded(x, source) if source in FLOAT8 else x, node.dtype.stored)
    return loaded(found, node.dtype)


# ------------------------------------------------------------------------------------------------ complex numbers


def _mul(a: Images, b: Images) -> Images:
    def times(x: Node, y: Node) -> Node:
        return elementwise("mul", x, y)

    return (
        elementwise("sub", times(a[0], b[0]), times(a[1], b[1])),
        elementwise("add", times(a[0], b[1]), times(a[1], b[0])),
    )


def _div(a: Images, b: Images) -> Images:
    """a conj(b) / |b|^2, with both divided by the larger part of b; by 0 it is each part divided by 0.

    source  Smith, "Algorithm 116: Complex division", 1962
    """
    (ar, ai), (br, bi) = a, b
    nought = graph.full(br.shape, 0, br.dtype)
    turned = elementwise("not", elementwise("le", elementwise("abs", bi), elementwise("abs", br)))
    larger, smaller = elementwise("where", turned, bi, br), elementwise("where", turned, br, bi)
    by_zero = elementwise("and", elementwise("eq", larger, nought), elementwise("eq", smaller, nought))
    ratio = elementwise("div", smaller, elementwise("where", by_zero, graph.full(br.shape, 1, br.dtype), larger))
    size = elementwise("where", by_zero, nought, elementwise("add", larger, elementwise("mul", smaller, ratio)))
    first, second = elementwise("where", turned, ai, ar), elementwise("where", turned, elementwise("neg", ar), ai)
    real = elementwise("add", first, elementwise("mul", elementwise("where", turned, ar, ai), ratio))
    across = elementwise("where", turned, elementwise("neg", ai), ar)
    imag = elementwise("sub", second, elementwise("mul", across, ratio))
    parts = [elementwise("where", by_zero, part, found) for part, found in zip(a, (real, imag), strict=True)]
    return tuple([elementwise("div", part, size) for part in parts])


def _combined(node: Node, x: Images) -> Images:
    """A sum of parts; of products, four sums of products.  A product by halves."""
    op = node.attr[0]
    if op == "add":
        return tuple([graph.rebuild(node, [part]) for part in x])
    return _product(x, node.attr[1]) if node.op == "reduce" else _running_product(x, *node.attr[1:])


def sum_of_products(node: Node, a: Images, b: Images) -> Images:
    """The images of a sum (node, a reduce) of products a * b; parts that are visibly 0 take no part."""

    def total(x: Node, y: Node, sign: str) -> Node | None:
        if any((value := graph.uniform(part)) is not None and value.attr == 0 for part in (x, y)):
            return None
        found = reduce("add", elementwise("mul", x, y), node.attr[1])
        return found if sign == "add" else elementwise("neg", found)

    def joined(first: Node | None, second: Node | None) -> Node:
        if first is None or second is None:
            return second or first or full(node.shape, 0, node.dtype.real)
        return elementwise("add", first, second)

    real = joined(total(a[0], b[0], "add"), total(a[1], b[1], "neg"))
    return real, joined(total(a[0], b[1], "add"), total(a[1], b[0], "add"))


def _product(x: Images, axes: tuple[int, ...]) -> Images:
    rank = len(x[0].shape)
    rest = [d for d in range(rank) if d not in axes]
    shape = tuple([x[0].shape[d] for d in rest])
    count = 1
    for d in axes:
        count *= x[0].shape[d]
    x = tuple([graph.reshape(graph.permute(part, (*rest, *axes)), (*shape, count)) for part in x])
    if not count:
        return full(shape, 1, x[0].dtype), full(shape, 0, x[0].dtype)
    while count > 1:
        half = count // 2
        x = _stored(x)
        first, second = _slice(x, 0, half), _slice(x, half, 2 * half)
        x, odd = _mul(first, second), _slice(x, 2 * half, count)
        x = x if count % 2 == 0 else _mul(x, _widened(odd, half)) if half == 1 else _with_last(x, odd)
        count = half + (count % 2 if half > 1 else 0)
    return tuple([graph.reshape(part, shape) for part in x])


def _stored(x: Images) -> Images:
    """x in memory: each step reads an element at two places, so that steps in one kernel would double its size."""
    return tuple([graph.contiguous(part) for part in x])


def _slice(x: Images, start: int, stop: int) -> Images:
    """Places start to stop along the last dimension."""
    bounds = tuple([(0, n) for n in x[0].shape[:-1]])
    return tuple([graph.shrink(part, (*bounds, (start, stop))) for part in x])


def _widened(x: Images, count: int) -> Images:
    return tuple([graph.expand(part, (*part.shape[:-1], count)) for part in x])


def _with_last(x: Images, last: Images) -> Images:
    """x with one more element at the end of the last dimension."""
    n = x[0].shape[-1]
    still = ((0, 0),) * (len(x[0].shape) - 1)
    parts = zip(x, last)
    return tuple(
        [elementwise("add", graph.pad(a, (*still, (0, 1))), graph.pad(b, (*still, (n, 0)))) for a, b in parts]
    )


def _running_product(x: Images, dim: int, reverse: bool) -> Images:
    """Products up to each place: each with what lies 1, 2, 4, ... places before it."""
    n, step = x[0].shape[dim], 1
    while step < n:
        x = _stored(x)
        shifted = tuple([_shifted(part, dim, step, reverse, 1 - k) for k, part in enumerate(x)])
        x, step = _mul(x, shifted), step * 2
    return x


def _shifted(x: Node, dim: int, step: int, reverse: bool, fill: int) -> Node:
    """x moved by step places along dim, with a number where nothing came from."""
    n = x.shape[dim]
    bounds, pads, edge = ([(0, m) for m in x.shape], [(0, 0)] * len(x.shape), list(x.shape))
    bounds[dim], pads[dim] = ((step, n), (0, step)) if reverse else ((0, n - step), (step, 0))
    moved = graph.pad(graph.shrink(x, tuple(bounds)), tuple(pads))
    if not fill:
        return moved
    edge[dim] = step
    pads[dim] = (n - step, 0) if reverse else (0, n - step)
    return elementwise("add", moved, graph.pad(full(tuple(edge), fill, x.dtype), tuple(pads)))


def _same(a: Images, b: Images) -> Images:
    return (elementwise("and", *[elementwise("eq", x, y) for x, y in zip(a, b)]),)


def _different(a: Images, b: Images) -> Images:
    return (elementwise("or", *[elementwise("ne", x, y) for x, y in zip(a, b)]),)


_COMPLEX: Final[dict[str, Callable[..., Images]]] = {
    "mul": _mul,
    "div": _div,
    "eq": _same,
    "ne": _different,
    "real": lambda x: x[:1],
    "imag": lambda x: x[1:],
    "complex": lambda x, y: (x[0], y[0]),
}


# ------------------------------------------------------------------------------------------------- 8-bit floats


def _number(shape: Shape, value: int | float, dtype: DType) -> Node:
    return full(shape, value, dtype)


def _rounded(x: Node, dtype: DType) -> Node:
    """Values rounded to an 8-bit float, as float32; see `codegen.dtypes.round_to_float8`.  To gradients they are x."""
    digits, bias = float8_format(dtype)
    exact = cast(x, dtypes.float32)
    size = elementwise("abs", exact)
    least = _number(x.shape, 2.0 ** (1 - bias), dtypes.float32)
    power = elementwise("and", bitcast(elementwise("max", size, least), dtypes.int32), _bits(x, 0x7F800000))
    unit = bitcast(elementwise("sub", power, _bits(x, digits << 23)), dtypes.float32)
    found = elementwise("mul", elementwise("round", elementwise("div", exact, unit)), unit)
    largest = _number(x.shape, dtype.largest, dtypes.float32)
    over = largest if dtype is dtypes.float8_e4m3fn else _number(x.shape, float("inf"), dtypes.float32)
    negative = elementwise("lt", exact, _number(x.shape, 0, dtypes.float32))
    beyond = elementwise("where", negative, elementwise("neg", over), over)
    nearly = elementwise("abs", found)
    found = elementwise("where", elementwise("lt", largest, nearly), beyond, found)
    found = elementwise("where", elementwise("eq", size, _number(x.shape, float("inf"), size.dtype)), beyond, found)
    found = elementwise("where", elementwise("ne", exact, exact), exact, found)
    return graph.surrogate(found, exact)


def _bits(x: Node, value: int) -> Node:
    return _number(x.shape, value, dtypes.int32)


def _encoded(x: Node, dtype: DType) -> Node:
    """The bytes of float32 values that an 8-bit float has."""
    digits, bias = float8_format(dtype)
    word = bitcast(x, dtypes.int32)
    size = elementwise("and", word, _bits(x, 0x7FFFFFFF))
    normal = elementwise("shr", size, _bits(x, 23 - digits))
    normal = elementwise("sub", normal, _bits(x, (127 - bias) << digits))
    scale = _number(x.shape, 2.0 ** (bias - 1 + digits), dtypes.float32)
    small = cast(elementwise("mul", elementwise("abs", x), scale), dtypes.int32)
    least = _number(x.shape, 2.0 ** (1 - bias), dtypes.float32)
    found = elementwise("where", elementwise("lt", elementwise("abs", x), least), small, normal)
    found = elementwise("where", elementwise("lt", _bits(x, 0x7F7FFFFF), size), _bits(x, 31 << 2), found)
    found = elementwise("where", elementwise("ne", x, x), _bits(x, 127), found)
    sign = elementwise("and", elementwise("shr", word, _bits(x, 24)), _bits(x, 128))
    return cast(elementwise("or", found, sign), dtypes.uint8)


def _decoded(x: Node, dtype: DType) -> Node:
    """The float32 values of bytes."""
    digits, bias = float8_format(dtype)
    word = cast(x, dtypes.int32)
    size = elementwise("and", word, _bits(x, 127))
    normal = elementwise("shl", size, _bits(x, 23 - digits))
    normal = bitcast(elementwise("add", normal, _bits(x, (127 - bias) << 23)), dtypes.float32)
    scale = _number(x.shape, 2.0 ** (1 - bias - digits), dtypes.float32)
    small = elementwise("mul", cast(size, dtypes.float32), scale)
    found = elementwise("where", elementwise("lt", size, _bits(x, 1 << digits)), small, normal)
    if dtype is dtypes.float8_e5m2:
        infinite = elementwise("eq", size, _bits(x, 124))
        found = elementwise("where", infinite, _number(x.shape, float("inf"), dtypes.float32), found)
    last = _bits(x, 124 if dtype is dtypes.float8_e5m2 else 126)
    found = elementwise("where", elementwise("lt", last, size), _number(x.shape, float("nan"), found.dtype), found)
    negative = elementwise("lt", _bits(x, 127), word)
    return elementwise("where", negative, elementwise("neg", found), found)
