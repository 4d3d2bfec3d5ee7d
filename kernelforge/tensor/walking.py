"""A step walked over sequences: the function behind recurrent layers and recurrences.

Comes in: a function of tensors, what its state begins with, sequences, and tensors that stay the same.  Goes out: the
states after all steps.  The function is recorded once for each shape and dtype it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.calls import Recipe, placeholders
from kernelforge.errors import ShapeError
from kernelforge.loops import walked
from kernelforge.tensor.composite import spelled_out
from kernelforge.tensor.spent import either

T = TypeVar("T", bound=Any)

MOST_STEPS: Final = 1024  # recorded ones

_steps: Final[dict[tuple[object, ...], Recipe]] = {}


def walk(
    function: Callable[..., T], state: T, sequences: Sequence[T], same: Sequence[T] = (), reverse: bool = False
) -> T:
    """The states after all steps, in the places of the sequences' elements: [steps, *state.shape].

        state = function(state, *(x[i] for x in sequences), *same)

    function  depends on its arguments alone; the same object for the same function
    reverse   from the ends of the sequences to their beginnings

    raises ShapeError when the function gives a state of another shape or dtype
    """
    tensors = [state, *sequences, *same]
    first, last = 1, 1 + len(sequences)
    shapes = [x.shape[1:] if first <= i < last else x.shape for i, x in enumerate(tensors)]
    kinds = tuple((shape, x._node.dtype, x._node.device) for shape, x in zip(shapes, tensors))
    key = (function, last, dtypes.default_float, kinds)
    step = _steps.get(key)
    if step is None:
        if len(_steps) >= MOST_STEPS:
            del _steps[next(iter(_steps))]
        step = _steps[key] = _recorded(function, tensors, kinds)
    nodes = [x._node for x in tensors]
    node = walked(step, nodes[0], nodes[1:last], nodes[last:], reverse)
    return state._wrap(node, either(*[x._tracked for x in tensors]))


def side_by_side(parts: Sequence[T]) -> T:
    """The parts of a state as one, along the last dimension; those of one shape are computed together."""
    first, count = parts[0], len(parts)
    if count == 1 or any(x.shape != first.shape or x.dtype != first.dtype for x in parts):
        return first.cat(*parts[1:], dim=-1)
    nodes, last = [x._node for x in parts], first.ndim - 1
    node = graph.stack(nodes, ((last, count),))
    joined = graph.reshape(node, (*first.shape[:-1], count * first.shape[-1]))
    return first._wrap(joined, either(*[x._tracked for x in parts]))


def _recorded(function: Callable[..., T], tensors: Sequence[T], kinds: Sequence[tuple]) -> Recipe:
    inputs = placeholders(kinds)
    with spelled_out():
        result = function(*[x._wrap(node, x._tracked) for x, node in zip(tensors, inputs)])
    if (result.shape, result.dtype) != kinds[0][:2]:
        raise ShapeError(f"a step takes a state of {kinds[0][:2]} to one of {(result.shape, result.dtype)}")
    return Recipe(getattr(function, "__name__", "step"), inputs, result._node)
