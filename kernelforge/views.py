"""What a view means: the change of index from the view to its source.

Comes in: a view node, one index and one set of guards for each of its dimensions.  Goes out: the same for its source,
and the condition under which the source is read at all (elsewhere the view is 0).  Nothing here knows loads or kernels.

Guards are kept per dimension, each with the dimension whose index it restricts.  A view drops the guards of a dimension
whose index it does not use (one of size 1), and a reshape gives the guards of a group of dimensions to all dimensions
the group becomes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from codegen.index import NO_GUARDS, Axis, Guard, Guards, Index, constant, needed, substitute
from kernelforge.graph import Node, Shape

Indices = tuple[Index, ...]
GuardsPerDim = tuple[Guards, ...]


class Source(NamedTuple):
    """Where a view reads its source: indices and guards per dimension; `condition` false: the view is 0 there."""

    indices: Indices
    guards: GuardsPerDim
    condition: Guards


Rule = Callable[[Node, Indices, GuardsPerDim], Source]
_RULES: Final[dict[str, Rule]] = {}


def source_index(view: Node, index: Sequence[Index], guards: Sequence[Guards]) -> Source:
    """The place of its source that a view shows at index, provided the guards hold.

    index   one Index per dimension of the view; that of a dimension of size 1 is 0
    guards  the conditions collected so far, per dimension; an index may leave its dimension where they fail
    """
    return _RULES[view.op](view, tuple(index), tuple(guards))


def _rule(function: Rule) -> Rule:
    _RULES[function.__name__.strip("_")] = function
    return function


@_rule
def _permute(view: Node, index: Indices, guards: GuardsPerDim) -> Source:
    places = [view.attr.index(dim) for dim in range(len(index))]
    return Source(tuple(index[p] for p in places), tuple(guards[p] for p in places), NO_GUARDS)


@_rule
def _expand(view: Node, index: Indices, guards: GuardsPerDim) -> Source:
    kept = [old == new for old, new in zip(view.src[0].shape, view.shape)]
    return Source(
        tuple([i if same else constant(0) for i, same in zip(index, kept)]),
        tuple([g if same else NO_GUARDS for g, same in zip(guards, kept)]),
        NO_GUARDS,
    )


@_rule
def _flip(view: Node, index: Indices, guards: GuardsPerDim) -> Source:
    flipped = tuple(i * -1 + (view.shape[dim] - 1) if dim in view.attr else i for dim, i in enumerate(index))
    return Source(flipped, guards, NO_GUARDS)


@_rule
def _shrink(view: Node, index: Indices, guards: GuardsPerDim) -> Source:
    return Source(tuple(i + start for i, (start, _) in zip(index, view.attr)), guards, NO_GUARDS)


@_rule
def _pad(view: Node, index: Indices, guards: GuardsPerDim) -> Source:
    places, conditions = [], []
    for i, size, (before, after) in zip(index, view.src[0].shape, view.attr):
        place = i - before
        inside = needed([Guard(place, 0, size)]) if before or after else NO_GUARDS
        # The one valid place of a dimension of size 1 is 0, whatever the index was.
        places.append(constant(0) if size == 1 else place)
        conditions.append(inside)
    return Source(tuple(places), tuple(g | c for g, c in zip(guards, conditions)), NO_GUARDS.union(*conditions))


@_rule
def _window(view: Node, index: Indices, guards: GuardsPerDim) -> Source:
    dim, _, stride, dilation = view.attr
    place = index[dim] * stride + index[dim + 1] * dilation
    joined = guards[dim] | guards[dim + 1]
    return Source((*index[:dim], place, *index[dim + 2 :]), (*guards[:dim], joined, *guards[dim + 2 :]), NO_GUARDS)


@_rule
def _unwindow(view: Node, index: Indices, guards: GuardsPerDim) -> Source:
    dim, _, stride, dilation = view.attr
    distance = index[dim] - index[dim + 1] * dilation
    count = view.src[0].shape[dim]
    condition = needed([Guard(distance // stride, 0, count), Guard(distance % stride, 0, 1)])
    place = constant(0) if count == 1 else distance // stride
    return Source(
        (*index[:dim], place, *index[dim + 1 :]),
        (*guards[:dim], guards[dim] | condition, *guards[dim + 1 :]),
        condition,
    )


@_rule
def _reshape(view: Node, index: Indices, guards: GuardsPerDim) -> Source:
    result_index: list[Index] = []
    result_guards: list[Guards] = []
    for axes, places in _regrouped(view.shape, view.src[0].shape):
        joined = guards[next(iter(axes))] if len(axes) == 1 else NO_GUARDS.union(*[guards[dim] for dim in axes])
        actual = {axis: index[dim] for dim, axis in axes.items()}
        for place in places:
            result_index.append(substitute(place, actual))
            result_guards.append(NO_GUARDS if place.is_constant else joined)
    return Source(tuple(result_index), tuple(result_guards), NO_GUARDS)


def matching_groups(shape: Shape, other: Shape) -> list[tuple[list[int], list[int]]]:
    """The smallest runs of dimensions of two shapes of one size that cover the same elements, in order.

    >>> matching_groups((4, 6, 5), (2, 2, 30))
    [([0], [0, 1]), ([1, 2], [2])]
    """
    groups = []
    i = j = 0
    while i < len(shape) or j < len(other):
        left, right = [], []
        size = other_size = 1
        if i < len(shape):
            left, size, i = [i], shape[i], i + 1
        if j < len(other):
            right, other_size, j = [j], other[j], j + 1
        while size != other_size:
            if size < other_size:
                left.append(i)
                size, i = size * shape[i], i + 1
            else:
                right.append(j)
                other_size, j = other_size * other[j], j + 1
        groups.append((left, right))
    return groups


class _Group(NamedTuple):
    """Dimensions of a view that become dimensions of its source.

    axes    for each dimension of the view longer than 1, the axis that stands for its index
    places  for each dimension of the source, its index
    """

    axes: dict[int, Axis]
    places: list[Index]


@lru_cache(maxsize=1024)
def _regrouped(shape: Shape, source: Shape) -> list[_Group]:
    """How an index into a shape becomes one into a source of the same row-major elements.

    The algebra is done on placeholder axes with the dimensions' own bounds: the indices may leave them (where some
    guard fails), and then a remainder could not be simplified away.
    """
    found = []
    for dims, source_dims in matching_groups(shape, source):
        axes = {dim: Axis("_", shape[dim]) for dim in dims if shape[dim] > 1}
        flat, places = constant(0), []
        for dim, axis in axes.items():
            flat = flat * shape[dim] + axis.index
        for dim in reversed(source_dims):
            places.append(flat % source[dim] if source[dim] > 1 else constant(0))
            flat = flat // source[dim]
        found.append(_Group(axes, places[::-1]))
    return found
