"""The meaning of a graph in NumPy, node by node: the reference of every test above the kernel language.

Comes in: nodes.  Goes out: arrays of the node's shape, in its dtype's own NumPy type (float32 for bfloat16).  Every
node is rounded to its dtype; sums and products of floats are taken in float64 and rounded once.  What a node's
`realized` holds is ignored.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes, from_storage, to_storage
from codegen.ops import REDUCE_OPS, SCALAR_OPS
from kernelforge.execution.running import contents
from kernelforge.graph import Node, toposort

Rule = Callable[..., NDArray]
RULES: dict[str, Rule] = {}


def evaluate(node: Node) -> NDArray:
    """The elements of a node.

    raises IndexError when a gather or scatter leaves its array
    """
    return evaluate_all([node])[0]


def evaluate_all(nodes: Sequence[Node]) -> list[NDArray]:
    """The elements of several nodes; what they share is computed once."""
    values: dict[Node, NDArray] = {}
    with np.errstate(all="ignore"):
        for node in toposort(nodes):
            rule = RULES.get(node.op, _scalar)
            result = np.asarray(rule(node, *(values[x] for x in node.src)))
            assert result.shape == node.shape, f"{node}: the rule gives shape {result.shape}"
            values[node] = _as(result, node.dtype)
    return [values[node] for node in nodes]


def _as(values: NDArray, dtype: DType) -> NDArray:
    return from_storage(to_storage(values, dtype), dtype)


def _rule(function: Rule) -> Rule:
    RULES[function.__name__.strip("_")] = function
    return function


def _scalar(node: Node, *x: NDArray) -> NDArray:
    compute = node.src[-1].dtype.compute
    return SCALAR_OPS[node.op].numpy(*(a if a.dtype == np.bool_ else a.astype(compute) for a in x))


# ---------------------------------------------------------------------------------------------------- leaves


@_rule
def _buffer(node: Node) -> NDArray:
    return from_storage(contents(node.attr), node.dtype).reshape(node.shape)


@_rule
def _const(node: Node) -> NDArray:
    return np.asarray(node.attr, dtype=node.dtype.compute)


@_rule
def _iota(node: Node) -> NDArray:
    return np.arange(node.shape[0])


# ----------------------------------------------------------------------------------------------------- views


@_rule
def _reshape(node: Node, x: NDArray) -> NDArray:
    return x.reshape(node.shape)


@_rule
def _permute(node: Node, x: NDArray) -> NDArray:
    return x.transpose(node.attr)


@_rule
def _expand(node: Node, x: NDArray) -> NDArray:
    return np.broadcast_to(x, node.shape)


@_rule
def _pad(node: Node, x: NDArray) -> NDArray:
    return np.pad(x, node.attr)


@_rule
def _shrink(node: Node, x: NDArray) -> NDArray:
    return x[tuple(slice(*bounds) for bounds in node.attr)]


@_rule
def _flip(node: Node, x: NDArray) -> NDArray:
    return np.flip(x, node.attr)


@_rule
def _window(node: Node, x: NDArray) -> NDArray:
    dim, size, stride, dilation = node.attr
    count = node.shape[dim]
    return np.take(x, np.arange(count)[:, None] * stride + np.arange(size) * dilation, axis=dim)


@_rule
def _unwindow(node: Node, x: NDArray) -> NDArray:
    dim, _, stride, dilation = node.attr
    result = np.zeros(node.shape, x.dtype)
    source, target = np.moveaxis(x, (dim, dim + 1), (0, 1)), np.moveaxis(result, (dim, dim + 1), (0, 1))
    for o in range(source.shape[0]):
        for k in range(source.shape[1]):
            if (place := o * stride + k * dilation) < target.shape[0]:
                target[place, k] = source[o, k]
    return result


# --------------------------------------------------------------------------------------------- everything else


@_rule
def _cast(node: Node, x: NDArray) -> NDArray:
    return x != 0 if node.dtype is dtypes.bool else x


@_rule
def _bitcast(node: Node, x: NDArray) -> NDArray:
    return from_storage(to_storage(x, node.src[0].dtype).copy().view(node.dtype.numpy), node.dtype)


@_rule
def _reduce(node: Node, x: NDArray) -> NDArray:
    op, axes = node.attr
    row = REDUCE_OPS[op]
    compute = np.dtype(np.float64) if node.dtype.is_float else node.dtype.compute
    identity = np.asarray(row.identity(node.dtype), compute)
    return row.combine.numpy.reduce(x.astype(compute), axis=axes, initial=identity, dtype=compute)


@_rule
def _scan(node: Node, x: NDArray) -> NDArray:
    op, dim, reverse = node.attr
    compute = np.dtype(np.float64) if node.dtype.is_float else node.dtype.compute
    ordered = np.flip(x, dim) if reverse else x
    found = REDUCE_OPS[op].combine.numpy.accumulate(ordered.astype(compute), axis=dim, dtype=compute)
    return np.flip(found, dim) if reverse else found


@_rule
def _gather(node: Node, x: NDArray, index: NDArray) -> NDArray:
    return x[_places(index, node.attr, x.shape[node.attr])]


@_rule
def _scatter(node: Node, base: NDArray, index: NDArray, x: NDArray) -> NDArray:
    dim, mode = node.attr
    result = base.astype(np.float64) if node.dtype.is_float else base.copy()
    places = _places(index, dim, base.shape[dim])
    if mode in ("set", "place"):
        result[places] = x
    else:
        SCALAR_OPS[mode].numpy.at(result, places, x)
    return result


@_rule
def _tally(node: Node, base: NDArray, index: NDArray, x: NDArray) -> NDArray:
    dim, mode = node.attr
    held = base.astype(np.float64) if node.dtype.is_float else base.copy()
    found = np.empty(index.shape, held.dtype)
    places = np.broadcast_arrays(*_places(index, dim, base.shape[dim]))
    for point in np.ndindex(index.shape):
        place = tuple(axis[point] for axis in places)
        found[point] = held[place]
        held[place] = SCALAR_OPS[mode].numpy(held[place], x[point])
    return np.concatenate([held, found], dim)


@_rule
def _stack(node: Node, *pieces: NDArray) -> NDArray:
    dims, sizes = zip(*node.attr)
    return np.moveaxis(np.stack(pieces).reshape(*sizes, *pieces[0].shape), range(len(dims)), dims)


def _places(index: NDArray, dim: int, size: int) -> tuple[NDArray, ...]:
    if index.size and (index.min() < 0 or index.max() >= size):
        raise IndexError(f"index {index.min()} .. {index.max()} is out of range for a dimension of size {size}")
    places = list(np.ogrid[tuple(map(slice, index.shape))])
    places[dim] = index
    return tuple(places)


def _same(_: Node, x: NDArray) -> NDArray:
    return x


def _first(_: Node, x: NDArray, __: NDArray) -> NDArray:
    return x


RULES |= {"contiguous": _same, "detach": _same, "copy": _same, "surrogate": _first}
