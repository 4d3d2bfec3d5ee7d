"""The lazy graph: immutable, hash-consed nodes and their constructors.

Comes in: buffers, constants and other nodes.  Goes out: `Node` values with their shape, dtype and device; equal nodes
are one object while any of them lives.  The constructors are strict: no broadcasting, no promotion, axes and shapes in
normal form (the tensor methods and `shape.py` see to that).  They fold identities only: a new node always hangs on the
very nodes it was made from, or a gradient could not find them.  Nothing here knows how a node is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from functools import lru_cache
from math import nan, prod
from typing import Any, Final

import numpy as np

from codegen.dtypes import ALL, DType, dtypes, from_storage, to_storage
from codegen.ops import REDUCE_OPS, SCALAR_OPS, ScalarOp
from kernelforge.blame import Line as Line
from kernelforge.blame import current_line as current_line
from kernelforge.buffer import Buffer
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.interning import alive as alive
from kernelforge.interning import common_device, find, interned, leaf, node_of
from kernelforge.native import compiled
from kernelforge.node import Node as Node
from kernelforge.node import Shape
from kernelforge.node import user_line as user_line

Value = int | float | bool | complex

VIEWS: Final = frozenset(("reshape", "permute", "expand", "pad", "shrink", "flip", "window", "unwindow"))
LEAVES: Final = frozenset(("buffer", "const", "iota"))
SCATTERS: Final = frozenset(("scatter", "tally"))
OF_COMPLEX: Final = frozenset(("add", "sub", "mul", "div", "neg", "eq", "ne", "where"))  # scalar operations

# ---------------------------------------------------------------------------------------------------- leaves


def buffer(buf: Buffer, shape: Shape | None = None, dtype: DType | None = None) -> Node:
    """The elements of a buffer, in row-major order, of shape (size,) or another of that size.

    dtype  the elements' type where the buffer's is what they are stored as: complex numbers, 8-bit floats
    """
    return leaf(buf, (buf.size,) if shape is None else shape, dtype)


def const(value: Value, dtype: DType) -> Node:
    """One value, shape (); attr is a bool, int or float as dtype holds it, that of a `factor` with more digits."""
    return _number(scalar(value, dtype), dtype)


def _number(value: Value, dtype: DType) -> Node:
    """A const node with a value as it is."""
    return interned("const", (repr(value), dtype), (), value, (), dtype, None)


def scalar(value: Value, dtype: DType) -> Value:
    """The Python value a dtype holds for value: integers wrap, floats are rounded to the type.

    Of the Python floats that are one value where it is computed with, the one with the fewest digits stands for it.

    >>> scalar(300, dtypes.uint8), scalar(np.float32(0.1), dtypes.float32), scalar(0.1, dtypes.float16)
    (44, 0.1, 0.099975586)

    raises DTypeError for a complex value that is no real one, unless the dtype has such or tells only zeros apart
    """
    if value.imag and dtype.kind not in "bc":
        raise DTypeError(f"{value} cannot be put among elements of {dtype}: cast() them, or give {value.real}")
    if dtype.kind == "f":
        value = float(value.real)
        if value != value:
            return nan  # one for all: a constant's text has no sign of it
        if value == 0 or dtype is dtypes.float64:
            return value
        return _rounded(value, dtype)
    if dtype.kind == "c":
        return complex(*[float(scalar(part, dtype.real)) for part in (value.real, value.imag)])  # type: ignore[arg-type]
    if dtype.kind == "b":
        return bool(value)
    value = int(value.real) & ((1 << dtype.bits) - 1)
    return value - (1 << dtype.bits) if dtype.kind == "i" and value >> (dtype.bits - 1) else value


@lru_cache(maxsize=4096)
def _rounded(value: float, dtype: DType) -> float:
    exact = float(np.asarray(from_storage(to_storage(np.asarray(value), dtype), dtype))[()])
    return exact if exact.is_integer() else float(str(np.float32(exact)))


def iota(n: int, dtype: DType = dtypes.int32) -> Node:
    """The integers 0 .. n-1, shape (n,)."""
    return interned("iota", (n, dtype), (), None, (n,), dtype, None)


def full(shape: Shape, value: Value, dtype: DType) -> Node:
    """An array with one value everywhere: a constant reshaped and expanded."""
    return _full(shape, value, dtype, "" if value else str(value))


def factor(shape: Shape, value: Value, dtype: DType) -> Node:
    """`full` of what values are multiplied or divided by: a number with all digits they are computed with.

    A number beside 16-bit floats has those of float32 there, as in torch, and is not rounded to their type.
    """
    if not dtype.is_narrow_float:
        return full(shape, value, dtype)
    return _spread(_number(scalar(value, dtype.arithmetic), dtype), shape)


def beside(op: str, value: Value, array: Node) -> Node | None:
    """A plain number as an array of the shape and type of another, its other operand; None unless that has its kind of
    numbers, and for quotients of 16-bit floats, where it depends on which of both it is."""
    dtype, kind = array.dtype, value.__class__
    if dtype.is_int:
        return full(array.shape, value, dtype) if kind is int and dtype.min <= value <= dtype.max else None  # type: ignore[operator]
    if dtype.kind != "f" or (kind is not float and kind is not int) or (op == "div" and dtype.is_narrow_float):
        return None
    return (factor if op == "mul" else full)(array.shape, value, dtype)


@lru_cache(maxsize=4096, typed=True)
def _full(shape: Shape, value: Value, dtype: DType, zero: str) -> Node:
    """`full`, kept for the next step of a loop; `zero` tells the zeros of both signs apart."""
    return _spread(const(value, dtype), shape)


def _spread(found: Node, shape: Shape) -> Node:
    """A node without dimensions everywhere in a shape."""
    dtype = found.dtype
    if not shape:
        return found
    ones = (1,) * len(shape)
    found = node_of("reshape", (found,), ones, ones, dtype)
    return found if shape == ones else node_of("expand", (found,), shape, shape, dtype)


def uniform(x: Node) -> Node | None:
    """The const node whose value every element of x visibly has, or None."""
    if x.op == "expand":
        x = x.src[0]
    if x.op == "reshape":
        x = x.src[0]
    return x if x.op == "const" else None


# ----------------------------------------------------------------------------------------------------- views


def reshape(x: Node, shape: Shape) -> Node:
    """x with another shape of the same size; attr is the shape."""
    if shape == x.shape:
        return x
    if prod(shape) != prod(x.shape):
        raise ShapeError(f"reshape of {x.shape} to {shape}: {prod(x.shape)} elements cannot fill {prod(shape)} places")
    return node_of("reshape", (x,), shape, shape, x.dtype)


def permute(x: Node, order: tuple[int, ...]) -> Node:
    """x with dimension order[i] in place i; attr is the order."""
    if order == tuple(range(len(order))):
        return x
    return node_of("permute", (x,), order, tuple([x.shape[i] for i in order]), x.dtype)


def expand(x: Node, shape: Shape) -> Node:
    """x with dimensions of size 1 repeated to fill shape, which has the same rank; attr is the shape."""
    if shape == x.shape:
        return x
    if not _stretches(x.shape, shape):
        raise ShapeError(f"expand of {x.shape} to {shape}: only dimensions of size 1 expand, and the rank must agree")
    return node_of("expand", (x,), shape, shape, x.dtype)


@lru_cache(maxsize=4096)
def _stretches(old: Shape, new: Shape) -> bool:
    return len(new) == len(old) and all(m in (1, n) for m, n in zip(old, new))


def pad(x: Node, pads: tuple[tuple[int, int], ...]) -> Node:
    """x with pads[i] = (before, after) zeros around dimension i; attr is pads."""
    if not any(lo or hi for lo, hi in pads):
        return x
    shape = tuple([lo + n + hi for n, (lo, hi) in zip(x.shape, pads)])
    return node_of("pad", (x,), pads, shape, x.dtype)


def shrink(x: Node, bounds: tuple[tuple[int, int], ...]) -> Node:
    """The part of x with bounds[i] = (start, stop) along dimension i; attr is bounds."""
    shape = tuple([stop - start for start, stop in bounds])
    return x if shape == x.shape else node_of("shrink", (x,), bounds, shape, x.dtype)


def flip(x: Node, dims: tuple[int, ...]) -> Node:
    """x reversed along the given dimensions, sorted; attr is dims."""
    return node_of("flip", (x,), dims, x.shape, x.dtype) if dims else x


def window(x: Node, dim: int, size: int, stride: int = 1, dilation: int = 1) -> Node:
    """All windows of `size` elements along dim, which becomes two: (windows, size).

        out[.., o, k, ..] = x[.., o*stride + k*dilation, ..]

    attr is (dim, size, stride, dilation)
    """
    n = x.shape[dim]
    count = max(0, (n - dilation * (size - 1) - 1) // stride + 1)
    shape = (*x.shape[:dim], count, size, *x.shape[dim + 1 :])
    return node_of("window", (x,), (dim, size, stride, dilation), shape, x.dtype)


def unwindow(x: Node, dim: int, size: int, stride: int = 1, dilation: int = 1) -> Node:
    """Windows put back where `window` took them from, their places still apart: dims (windows, k) -> (size, k).

        out[.., h, k, ..] = x[.., (h - k*dilation) / stride, k, ..], 0 where that is no window

    Its sum over k is the adjoint of `window`.  Windows of one element next to each other are x, padded at the end.
    attr is (dim, size, stride, dilation)
    """
    count, taps = x.shape[dim : dim + 2]
    if stride == taps == 1 and count <= size:
        return pad(x, tuple((0, size - count if d == dim else 0) for d in range(len(x.shape))))
    shape = (*x.shape[:dim], size, *x.shape[dim + 1 :])
    return node_of("unwindow", (x,), (dim, size, stride, dilation), shape, x.dtype)


# ------------------------------------------------------------------------------------------------ arithmetic


def elementwise(op: str, *src: Node) -> Node:
    """An operation of SCALAR_OPS, cast and bitcast apart, on arrays of one shape and fitting dtypes.

    raises ShapeError, DTypeError
    """
    node = find(op, None, src)
    if node is not None:
        return node
    first, last = src[0], src[-1]
    shape, dtype, device = last.shape, last.dtype, last.device
    result = _RESULTS.get(len(src), {}).get(op, {}).get(dtype)
    if result is None or first.dtype is not dtype or first.shape != shape:
        _check_operands(op, SCALAR_OPS[op], src)
        result = dtypes.bool if SCALAR_OPS[op].rule == "compare" else dtype
    if len(src) > 2:
        device = common_device(op, src)
    elif first.device is not device and first.device is not None:
        device = first.device if device is None else common_device(op, src)
    return interned(op, None, src, None, shape, result, device)


def _results(arity: int) -> dict[str, dict[DType, DType]]:
    """What operations give of so many operands of one type."""
    rows = [(name, row) for name, row in SCALAR_OPS.items() if row.arity == arity]
    return {
        name: {dtype: dtypes.bool if row.rule == "compare" else dtype for dtype in ALL if dtype.kind in row.kinds}
        for name, row in rows
    }


_RESULTS: Final = {arity: _results(arity) for arity in (1, 2)}  # the first and the last operand are all there are


def gives(op: str, dtype: DType) -> bool:
    """Whether an operation on two arrays takes those of a type as they are."""
    return dtype in _RESULTS[2][op]


binary: Final[Callable[[str, Node, Node], Node]] = elementwise if compiled is None else compiled.binary
"""`elementwise` of two arrays."""

if compiled is not None:
    compiled.set_operations(elementwise, _RESULTS[1], _RESULTS[2])

def _check_operands(op: str, row: ScalarOp, src: tuple[Node, ...]) -> None:
    last = src[-1]
    is_of_complex = last.dtype.kind == "c" and op in OF_COMPLEX
    if len(src) != row.arity or (last.dtype.kind not in row.kinds and not is_of_complex):
        raise DTypeError(f"{op} of {', '.join(str(x.dtype) for x in src)}: it takes {row.arity} of kind {row.kinds}")
    for x in src:
        if x.shape != last.shape:
            raise ShapeError(f"{op} of shapes {', '.join(str(x.shape) for x in src)}: expand them to one shape first")
        if x.dtype is not last.dtype and (row.rule != "where" or x is not src[0]):
            raise DTypeError(f"{op} of {', '.join(str(x.dtype) for x in src)}: cast them to one dtype first")
    if row.rule == "where" and src[0].dtype is not dtypes.bool:
        raise DTypeError(f"the condition of where must be bool, not {src[0].dtype}")


def cast(x: Node, dtype: DType) -> Node:
    """x converted to dtype; attr is dtype.  Floats become integers by truncation, integers wrap."""
    return x if x.dtype is dtype else node_of("cast", (x,), dtype, x.shape, dtype)


def bitcast(x: Node, dtype: DType) -> Node:
    """The bits of x read as another dtype of the same width; attr is dtype."""
    if x.dtype.bits != dtype.bits or any(d.kind in "bc" for d in (x.dtype, dtype)):
        raise DTypeError(f"bitcast from {x.dtype} to {dtype}: both must be numbers of the same width")
    return x if x.dtype is dtype else node_of("bitcast", (x,), dtype, x.shape, dtype)


def reduce(op: str, x: Node, axes: tuple[int, ...]) -> Node:
    """The elements of x combined over sorted `axes`, which vanish; op is a name of REDUCE_OPS, attr (op, axes)."""
    if not axes:
        return x
    if not _combines(op, x.dtype):
        raise DTypeError(f"reduce {op} is not defined for {x.dtype}")
    shape = tuple([n for i, n in enumerate(x.shape) if i not in axes])
    return node_of("reduce", (x,), (op, axes), shape, x.dtype)


def scan(op: str, x: Node, dim: int, reverse: bool = False) -> Node:
    """The elements of x combined up to each place along dim, from each on when reverse; attr (op, dim, reverse)."""
    if not _combines(op, x.dtype):
        raise DTypeError(f"scan {op} is not defined for {x.dtype}")
    return x if x.shape[dim] <= 1 else node_of("scan", (x,), (op, dim, reverse), x.shape, x.dtype)


def _combines(op: str, dtype: DType) -> bool:
    return op in OF_COMPLEX if dtype.kind == "c" else dtype.kind in REDUCE_OPS[op].combine.kinds


# --------------------------------------------------------------------------------------------- complex numbers


def part(x: Node, which: str) -> Node:
    """The "real" or "imag" parts of complex numbers."""
    if x.dtype.kind != "c":
        raise DTypeError(f"{which} part of {x.dtype}: only complex numbers have two")
    return node_of(which, (x,), None, x.shape, x.dtype.real)


def complex_of(real: Node, imag: Node) -> Node:
    """Complex numbers with given parts, float32 or float64."""
    if real.dtype is not imag.dtype or real.dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(f"complex numbers of {real.dtype} and {imag.dtype}: their parts are both float32 or float64")
    if real.shape != imag.shape:
        raise ShapeError(f"complex numbers with real parts {real.shape} and imaginary parts {imag.shape}")
    return node_of("complex", (real, imag), None, real.shape, real.dtype.complex)


# -------------------------------------------------------------------------------------------------- indexing


def gather(x: Node, index: Node, dim: int) -> Node:
    """Elements of x picked along dim: out[i..] = x[i.., with i[dim] replaced by index[i..]]; attr is dim.

    index   int32 or int64, of x's rank, no larger than x in the dimensions other than dim
    returns index's shape
    """
    _check_index("gather", x, index, dim)
    return node_of("gather", (x, index), dim, index.shape, x.dtype)


def scatter(base: Node, index: Node, x: Node, dim: int, mode: str) -> Node:
    """base with base[i.., with i[dim] replaced by index[i..]] combined with x[i..] for all i; attr is (dim, mode).

    mode  "set", or a name of REDUCE_OPS; with "set" it is unspecified which of several values for one place remains;
          "place" promises that every place gets exactly one value, so that the base is of no account
    """
    _check_scatter("scatter", base, index, x, dim)
    return node_of("scatter", (base, index, x), (dim, mode), base.shape, base.dtype)


def tally(base: Node, index: Node, x: Node, dim: int, mode: str = "add") -> Node:
    """A scatter and its history, one after the other along dim: first scatter(base, index, x, dim, mode), then for
    each x[i..] what its place held before, when the elements come one by one; attr is (dim, mode).

    With zeros and ones, it counts the elements of each index and numbers the elements of equal index from 0.
    """
    _check_scatter("tally", base, index, x, dim)
    longer = base.shape[dim] + index.shape[dim]
    shape = (*index.shape[:dim], longer, *index.shape[dim + 1 :])
    if shape != (*base.shape[:dim], longer, *base.shape[dim + 1 :]):
        raise ShapeError(f"tally of {x.shape} into {base.shape}: the shapes may differ in dimension {dim} alone")
    return node_of("tally", (base, index, x), (dim, mode), shape, base.dtype)


def _check_scatter(what: str, base: Node, index: Node, x: Node, dim: int) -> None:
    _check_index(what, base, index, dim)
    if index.shape != x.shape:
        raise ShapeError(f"{what} of {x.shape} at an index of {index.shape}: the two shapes must be equal")
    if base.dtype is not x.dtype:
        raise DTypeError(f"{what} of {x.dtype} into {base.dtype}: cast it first")


def _check_index(what: str, x: Node, index: Node, dim: int) -> None:
    if index.dtype not in (dtypes.int32, dtypes.int64):
        raise DTypeError(f"{what} with an index of {index.dtype}: an index is int32 or int64")
    larger = any(m > n for d, (m, n) in enumerate(zip(index.shape, x.shape)) if d != dim)
    if len(index.shape) != len(x.shape) or larger:
        raise ShapeError(
            f"{what} along dimension {dim} of {x.shape} with an index of {index.shape}: "
            "the ranks must agree and the other dimensions of the index be no larger"
        )


# --------------------------------------------------------------------------------------------------- joining


def stack(pieces: Sequence[Node], places: tuple[tuple[int, int], ...]) -> Node:
    """Pieces of one shape laid side by side along new dimensions; attr is places.

        out[.., p, .., q, ..] = pieces[p * (size of q's dimension) + q][.., .., ..]

    places  (dimension of the result, size) for each new dimension, in ascending order
    """
    shape = list(pieces[0].shape)
    for dim, size in places:
        shape.insert(dim, size)
    if prod(size for _, size in places) != len(pieces) or any(x.shape != pieces[0].shape for x in pieces):
        raise ShapeError(f"stack of {len(pieces)} pieces, the first {pieces[0].shape}, at {places}")
    return node_of("stack", tuple(pieces), places, tuple(shape), pieces[0].dtype)


# ---------------------------------------------------------------------------------------------------- markers


def contiguous(x: Node, use: str | None = None) -> Node:
    """x, computed and stored in an array of its own; attr is the use.

    use  what a rewrite copies it for, which then has a kernel of its own: "weight" for one that may serve many products
    """
    return x if x.op in ("contiguous", "buffer") else node_of("contiguous", (x,), use, x.shape, x.dtype)


def detach(x: Node) -> Node:
    """x, as a constant to differentiation."""
    return x if x.op == "detach" and x.attr is None else node_of("detach", (x,), None, x.shape, x.dtype)


def surrogate(x: Node, y: Node) -> Node:
    """x, to differentiation y: an array of x's shape and dtype with the same values."""
    return node_of("surrogate", (x, y), None, x.shape, x.dtype)


ADJOINTS: Final[dict[str, Callable[..., Node]]] = {}  # of linear maps: a cotangent and numbers -> that of the operand


def linear(found: Node, x: Node, name: str, *numbers: Any) -> Node:
    """found, a linear map of x of the same shape and dtype, to differentiation one with an adjoint of ADJOINTS.

    numbers  what that is given beside the cotangent
    """
    return node_of("surrogate", (found, x), ("linear", name, *numbers), x.shape, x.dtype)


def copy(x: Node, device: str) -> Node:
    """x on another device; attr is the device's name."""
    if x.device == device:
        return x
    return interned("copy", device, (x,), device, x.shape, x.dtype, device)


def host(function: Any, src: Sequence[Node], shape: Shape) -> Node:
    """What a function of arrays makes of src on the host, in the dtype of the first; attr is a `HostFunction`."""
    return node_of("host", storable(src), function, shape, src[0].dtype)


def loop(attr: Any, src: Sequence[Node], shape: Shape) -> Node:
    """What a `Loop`, its attr, carries from step to step: init, sequences and what stays the same -> [steps, ..]."""
    return node_of("loop", storable(src), attr, shape, src[0].dtype)


def carried(attr: Any, src: Sequence[Node], shape: Shape) -> Node:
    """One of the states after a loop; attr is a `Carried`."""
    return node_of("while", storable(src), attr, shape, attr.dtype)


def storable(src: Sequence[Node]) -> tuple[Node, ...]:
    """Nodes that can be in memory: numbers everybody knows are put there."""
    return tuple([contiguous(x) if behind_views(x).op in LEAVES - {"buffer"} else x for x in src])


def behind_views(x: Node) -> Node:
    """The node whose elements x shows."""
    while x.op in VIEWS and x.realized is None:
        x = x.src[0]
    return x


def rebuilt(order: Iterable[Node], outputs: Iterable[Node], change: Callable[[Node, Node], Node]) -> list[Node]:
    """The outputs of a graph, given operands first, with change(node, new) in the place of every node that is not
    realized; new is the node on sources that were changed before.  What is made belongs to the node's line."""
    made: dict[Node, Node] = {}
    with user_line(None):
        for node in order:
            current_line.set(node.line)
            made[node] = node if node.realized is not None else change(node, rebuild(node, [made[x] for x in node.src]))
    return [made[node] for node in outputs]


def rebuild(node: Node, src: Sequence[Node]) -> Node:
    """The node's operation on other sources, folded like any new node; the node itself when they are its own."""
    src = tuple(src)
    return node if src == node.src else remade(node, src)


def remade(node: Node, src: tuple[Node, ...]) -> Node:
    """The node's operation on sources as anybody would have it: of nodes kept apart, the one that is found."""
    op, attr, x = node.op, node.attr, src[0]
    if op in _BY_ATTR:
        return _BY_ATTR[op](x, attr)
    if op in ("window", "unwindow"):
        return (window if op == "window" else unwindow)(x, *attr)
    if op == "reduce":
        return reduce(attr[0], x, attr[1])
    if op == "scan":
        return scan(attr[0], x, *attr[1:])
    if op == "gather":
        return gather(x, src[1], attr)
    if op in ("scatter", "tally"):
        return (scatter if op == "scatter" else tally)(x, src[1], src[2], *attr)
    if op in _BY_SHAPE:
        return _BY_SHAPE[op](attr, src, node.shape)
    if op in ("call", "surrogate", "gradient", "real", "imag", "complex"):
        like = x if op == "surrogate" else node
        return node_of(op, src, attr, like.shape, like.dtype)
    return detach(x) if op == "detach" else elementwise(op, *src)


_BY_SHAPE: Final = {
    "stack": lambda places, src, shape: stack(src, places), "host": host, "loop": loop, "while": carried,
}  # fmt: skip
_BY_ATTR: Final = {
    f.__name__: f for f in (reshape, permute, expand, pad, shrink, flip, cast, bitcast, contiguous, copy)
}


# ------------------------------------------------------------------------------------------------------ order


def toposort(roots: Iterable[Node], into_realized: bool = True, leaves: Container[Node] = ()) -> list[Node]:
    """Every node the roots are computed from, once, sources before users; without recursion.

    into_realized  False: a realized node is a leaf
    leaves         other nodes that are
    """
    order: list[Node] = []
    seen: set[Node] = set()
    done: set[Node] = set()
    stack = list(roots)
    stack.reverse()
    while stack:
        node = stack[-1]
        if node in seen:
            stack.pop()
            if node not in done:
                done.add(node)
                order.append(node)
        else:
            seen.add(node)
            if (into_realized or node.realized is None) and node not in leaves:
                stack.extend([x for x in reversed(node.src) if x not in seen])
    return order
