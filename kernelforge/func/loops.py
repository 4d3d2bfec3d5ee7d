"""Control flow over tensors: a choice and a recurrence.

Comes in: functions and the values they work on.  Goes out: what they come to.  They are part of the graph, so
gradients, batches and captured functions go through them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernelforge.errors import ShapeError
from kernelforge.func.trees import ends, filled
from kernelforge.tensor import Tensor


def cond(pred: Tensor | bool, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
    """What one of two functions gives: the first where pred holds.

    With a Python bool only that function runs.  With a tensor of one element both become part of the graph, and their
    results, of equal structure and shapes, are chosen from.

    >>> cond(Tensor(3.0) > 2, lambda x: x + 1, lambda x: x * 10, Tensor(3.0)).item()
    4.0

    raises ShapeError when the results differ in structure, shape or dtype
    """
    if not isinstance(pred, Tensor):
        return true_fn(*operands) if pred else false_fn(*operands)
    if pred.numel() != 1:
        raise ShapeError(f"cond() on a tensor of shape {pred.shape}: it must have one element; see where()")
    first, second = true_fn(*operands), false_fn(*operands)
    ones, others = ends(first), ends(second)
    kinds = [[(x.shape, x.dtype) if isinstance(x, Tensor) else x for x in some] for some in (ones, others)]
    if kinds[0] != kinds[1]:
        raise ShapeError(f"the functions of cond() give {kinds[0]} and {kinds[1]}: shapes and dtypes must be equal")
    chosen = pred.reshape(()).bool()
    return filled(first, [chosen.where(x, y) if isinstance(x, Tensor) else x for x, y in zip(ones, others)])


def scan(
    function: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, dim: int = 0, reverse: bool = False
) -> tuple[Any, Any]:
    """What is carried through a sequence, and what was given on the way, one after the other.

        carry, y[i] = function(carry, x[i])

    xs        a tree of tensors, walked along dim together; ys are laid side by side along dim
    reverse   from the last to the first; ys keep their places

    >>> carry, ys = scan(lambda total, x: (total + x, total), Tensor(0.0), Tensor([1.0, 2.0, 3.0]))
    >>> carry.item(), ys.tolist()
    (6.0, [0.0, 1.0, 3.0])

    raises ShapeError for sequences of different lengths, ValueError for ones without elements
    """
    lengths = {x.shape[dim] for x in ends(xs)}
    if len(lengths) != 1:
        raise ShapeError(f"scan() over sequences of {len(lengths)} different lengths: {sorted(lengths)}")
    (length,) = lengths
    if not length:
        raise ValueError("scan() over a sequence without elements: nothing says what the results look like")
    carry, found = init, []
    for i in range(length)[:: -1 if reverse else 1]:
        carry, y = function(carry, filled(xs, [x.shrink(_at(x, dim, i)).squeeze(dim) for x in ends(xs)]))
        found.append(y)
    rows = list(zip(*map(ends, found[:: -1 if reverse else 1])))
    return carry, filled(found[0], [row[0].stack(*row[1:], dim=dim) for row in rows])


def _at(x: Tensor, dim: int, i: int) -> tuple[tuple[int, int], ...]:
    """The bounds of one place along dim."""
    dim = dim % x.ndim
    return tuple((i, i + 1) if d == dim else (0, n) for d, n in enumerate(x.shape))
