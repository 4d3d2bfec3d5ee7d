"""Control flow over tensors: a choice and a recurrence.

Comes in: functions and the values they work on.  Goes out: what they come to.  They are part of the graph, so
gradients, batches and captured functions go through them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kernelforge.calls import depending, expanded, placeholders, reached
from kernelforge.errors import ShapeError
from kernelforge.func.once import Refused, recording
from kernelforge.func.trees import ends, filled
from kernelforge.graph import Node
from kernelforge.loops import walked
from kernelforge.recording import recorder
from kernelforge.rewrites.lifted import lifted
from kernelforge.rewrites.virtual import VIRTUAL
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import is_spelling, spelled_out
from kernelforge.tensor.spent import either
from kernelforge.whiles import outside_of, recipes, replaced


def cond(pred: Tensor | bool, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
    """What one of two functions gives: the first where pred holds.

    With a Python bool only that function is called.  With a tensor of one element both are, and give equal structures
    and shapes.  Then pred is computed, and only what its function gave becomes part of the graph, unless there is no
    one value: while a function is captured or batched both do, and are chosen from.

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
    if recorder.get() is None and not is_spelling():
        return first if pred.item() else second
    chosen = pred.reshape(()).bool()
    return filled(first, [chosen.where(x, y) if isinstance(x, Tensor) else x for x, y in zip(ones, others)])


def scan(
    function: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, dim: int = 0, reverse: bool = False
) -> tuple[Any, Any]:
    """What is carried through a sequence, and what was given on the way, one after the other.

        carry, y[i] = function(carry, x[i])

    xs        a tree of tensors, walked along dim together; ys are laid side by side along dim
    reverse   from the last to the first; ys keep their places

    The function is called and planned once, however long the sequence, where the carry is tensors of one dtype (no
    numbers) that keep their shapes, and the function draws no random numbers and asks for no values; else it is called
    for each place.

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
    return _walked(function, init, xs, dim, reverse) or _unrolled(function, init, xs, dim, range(length), reverse)


def _unrolled(
    function: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, dim: int, places: range, reverse: bool
) -> tuple[Any, Any]:
    """scan() place by place in the graph."""
    found = []
    for i in places[:: -1 if reverse else 1]:
        carry, y = function(carry, filled(xs, [x.shrink(_at(x, dim, i)).squeeze(dim) for x in ends(xs)]))
        found.append(y)
    rows = list(zip(*map(ends, found[:: -1 if reverse else 1])))
    return carry, filled(found[0], [row[0].stack(*row[1:], dim=dim) for row in rows])


def _at(x: Tensor, dim: int, i: int) -> tuple[tuple[int, int], ...]:
    """The bounds of one place along dim."""
    dim = dim % x.ndim
    return tuple((i, i + 1) if d == dim else (0, n) for d, n in enumerate(x.shape))


# -------------------------------------------------------------------------------------------------- one for all places


def _walked(
    function: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, dim: int, reverse: bool
) -> tuple[Any, Any] | None:
    """scan() as a loop of the graph, and what is given on the way computed for all places at once.

    The carry's tensors are one state, side by side.  None where the function cannot be recorded once.
    """
    begin, sequences = ends(init), [x.movedim(dim, 0) for x in ends(xs)]
    if not begin or not all(isinstance(x, Tensor) and x.numel() and x.dtype == begin[0].dtype for x in begin):
        return None
    if any(x.dtype in VIRTUAL for x in (*begin, *sequences)):
        return None
    state, device = _side_by_side(begin), begin[0].device
    kinds = [(x.shape, x.dtype, device) for x in (state, *(x[0] for x in sequences))]
    inputs = placeholders(kinds)
    try:
        with recording("a scan()"), spelled_out():
            given = [Tensor._wrap(node, True if x._tracked else None) for node, x in zip(inputs, (state, *sequences))]
            carried, y = function(filled(init, _parts(given[0], begin)), filled(xs, given[1:]))
            after, ys = ends(carried), ends(y)
            if not _alike(begin, after) or not all(isinstance(x, Tensor) for x in ys):
                return None
            roots = [_side_by_side(after)._node, *(x._node for x in (*after, *ys))]
    except Refused:
        return None
    tracked = either(*[x._tracked for x in (state, *sequences, *after, *ys)])
    roots = expanded(roots, history=True, inside=depending(roots, inputs))
    if any(node.dtype in VIRTUAL for node in reached(roots, set(inputs))):
        return None
    states = _states(inputs, roots, [x._node for x in (state, *sequences)], reverse)
    length = states.shape[0]
    before = _shifted(states, state._node, reverse)
    holders = dict(zip(inputs, (before, *(x._node for x in sequences))))
    whole = Tensor._wrap(states, tracked)
    for node, part in zip(roots[1 : 1 + len(after)], _parts(whole, begin)):
        if node.src and node not in holders:
            holders[node] = part._node
    rows = [Tensor._wrap(node, tracked) for node in lifted(roots[1 + len(after) :], holders, length)]
    last = _parts(whole[0 if reverse else length - 1], begin)
    return filled(carried, last), filled(y, [row.movedim(0, dim) for row in rows])


def _states(inputs: Sequence[Node], roots: Sequence[Node], given: Sequence[Node], reverse: bool) -> Node:
    """The states after all steps; what the step uses from outside is the same in all of them."""
    same = outside_of(roots[:1], inputs)
    stand_ins = placeholders([(x.shape, x.dtype, x.device) for x in same])
    (step,) = recipes("scan", replaced(roots[:1], dict(zip(same, stand_ins))), [*inputs, *stand_ins])
    return walked(step, given[0], given[1:], same, reverse)


def _shifted(states: Node, first: Node, reverse: bool) -> Node:
    """What the steps begin with: the first, and all states but the last."""
    x, begin = Tensor._wrap(states, True), Tensor._wrap(first, True).unsqueeze(0)
    return (x[1:].cat(begin) if reverse else begin.cat(x[:-1]))._node


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Tensors as one: itself, or the elements of all."""
    return parts[0] if len(parts) == 1 else parts[0].flatten().cat(*[x.flatten() for x in parts[1:]])


def _parts(whole: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """What _side_by_side put together, with whatever dimensions are in front of it."""
    if len(like) == 1:
        return [whole]
    front, found, start = whole.shape[:-1], [], 0
    for x in like:
        found.append(whole[..., start : start + x.numel()].reshape(*front, *x.shape))
        start += x.numel()
    return found


def _alike(begin: Sequence[Tensor], after: Sequence[Any]) -> bool:
    """True where a step gives what it takes."""
    if len(begin) != len(after) or not all(isinstance(x, Tensor) for x in after):
        return False
    return all(x.shape == y.shape and x.dtype == y.dtype for x, y in zip(begin, after))
