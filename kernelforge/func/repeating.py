"""Loops over tensors whose number of rounds follows from their values.

Comes in: a condition, a body, and what they begin with.  Goes out: what is carried in the end, as part of the graph.
Both functions are recorded once; the host runs a round's kernels again and again and reads the condition in between.
Batches, captured functions and tangents go through; gradients do where the number of rounds is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kernelforge.calls import depending, expanded, placeholders
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.func.derivatives import Motion, jvp, moving
from kernelforge.func.once import moved_by, recording
from kernelforge.func.trees import ends, filled
from kernelforge.graph import Node
from kernelforge.rewrites.virtual import VIRTUAL
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import spelled_out
from kernelforge.tensor.core import grad_enabled
from kernelforge.whiles import looped, outside_of, replaced

States = list[Tensor]


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], operands: Any, maximum_trips: int | None = None
) -> Any:
    """What body_fn makes of operands, again and again while cond_fn of them holds.

    operands is a tuple or list of what both functions take, and what body_fn gives: trees of tensors and numbers, which
    become tensors, of shapes and dtypes that stay. The functions are called once, whatever the number of rounds.

    maximum_trips   rounds at most; gradients then flow, through as many rounds as that

    >>> while_loop(lambda x, n: x < 100, lambda x, n: (x * 2, n + 1), (Tensor(3.0), Tensor(0)))[1].item()
    6

    raises ShapeError, DTypeError when operands do not stay what they are, or there is not one condition; ArgumentError
    for a gradient without maximum_trips; RuntimeError where a function asks for values or draws random numbers
    """
    kept = tuple(operands)
    begin = [_tensor(x) for x in ends(kept)]
    body = _Of(kept, body_fn)
    if maximum_trips is not None:
        found = _unrolled(_Of(kept, cond_fn), body, begin, maximum_trips)
    else:
        found = _looped(_Of(kept, cond_fn), body, begin)
    return filled(kept, list(found))


class _Of(NamedTuple):
    """A function of trees like the operands, as one of their tensors."""

    operands: tuple[Any, ...]
    function: Callable[..., Any]

    def states(self, values: Sequence[Tensor]) -> States:
        """What the function makes of the states.

        raises ShapeError, DTypeError
        """
        result = self.function(*filled(self.operands, list(values)))
        result = tuple(result) if isinstance(result, tuple | list) else (result,)
        found = [_tensor(x) for x in ends(result)]
        if len(found) != len(values):
            raise ShapeError(f"the body of a while_loop() takes {len(values)} tensors and gives {len(found)}")
        for x, y in zip(values, found):
            if x.shape != y.shape:
                raise ShapeError(f"the body of a while_loop() makes a tensor of {y.shape} of one of {x.shape}")
            if x.dtype != y.dtype:
                raise DTypeError(f"the body of a while_loop() makes {y.dtype} of {x.dtype}: cast what it gives")
        return found

    def condition(self, values: Sequence[Tensor]) -> Tensor:
        """Whether to go on; raises ShapeError where that is not one value."""
        found = _tensor(self.function(*filled(self.operands, list(values))))
        if found.numel() != 1:
            raise ShapeError(f"the condition of a while_loop() is a tensor of {found.shape}: it must have one element")
        return found.reshape(()).bool()


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    if not isinstance(x, bool | int | float):
        raise TypeError(f"while_loop() over {type(x).__name__}: operands are tensors and numbers")
    return Tensor(x)


def _unrolled(condition: _Of, body: _Of, begin: States, trips: int) -> States:
    """The rounds one after the other in the graph, each with effect only where the condition holds."""
    states, goes_on = begin, Tensor(True)
    for _ in range(trips):
        goes_on = goes_on & condition.condition(states)
        states = [goes_on.where(y, x) for x, y in zip(states, body.states(states))]
    return states


def _looped(condition: _Of, body: _Of, begin: States) -> States:
    nodes = [x._node for x in begin]
    inputs = placeholders([(x.shape, x.dtype, x.device) for x in nodes])
    with recording("a while_loop()"), spelled_out():
        states = [Tensor._wrap(node, x._tracked) for node, x in zip(inputs, begin)]
        goes_on, after = condition.condition(states), body.states(states)
    tracked = grad_enabled.get() and any(x._tracked for x in (*begin, *after))
    made = [goes_on._node, *(x._node for x in after)]
    roots = expanded(made, history=True, inside=depending(made, inputs))
    _check_types((*nodes, *roots))
    motion = moving.get()
    if motion is not None and tracked:
        return _moved(motion, inputs, roots, begin)
    found = looped(roots[0], roots[1:], inputs, nodes)
    return [x if x._node is node else Tensor._wrap(node, tracked or None) for x, node in zip(begin, found)]


def _check_types(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if node.dtype in VIRTUAL:
            raise DTypeError(f"while_loop() over {node.dtype}: carry real parts, or numbers of another type")


# ------------------------------------------------------------------------------------------------------- tangents


def _moved(motion: Motion, inputs: Sequence[Node], roots: Sequence[Node], begin: States) -> States:
    """The loop over states and their tangents; its results are variables that move."""
    outside = [Tensor._wrap(x, True) for x in outside_of(roots, inputs)]
    number, sources = len(begin), [*begin, *outside]
    tangents = motion.pushed(sources)
    places = [*inputs, *(x._node for x in outside)]
    floats = [i for i, x in enumerate(sources) if x.dtype.is_float]
    carried = [i for i in floats if i < number]

    def made(wanted: Sequence[Node], values: Sequence[Tensor]) -> States:
        nodes = replaced(wanted, dict(zip(places, (x._node for x in values))))
        return [Tensor._wrap(node, True) for node in nodes]

    def condition(*states: Tensor) -> Tensor:
        return made(roots[:1], [*states[:number], *outside])[0]

    def body(*states: Tensor) -> tuple[Tensor, ...]:
        values = [*states[:number], *outside]
        moves = dict(zip(carried, states[number:]))

        def after(*chosen: Tensor) -> States:
            inner = list(values)
            for i, x in zip(floats, chosen):
                inner[i] = x
            return made(roots[1:], inner)

        found, pushed = jvp(after, [values[i] for i in floats], [moves.get(i, tangents[i]) for i in floats])
        return *found, *(pushed[i] for i in carried)

    wide = (*begin, *(tangents[i] for i in carried))
    with moved_by(motion.outer):
        found = _looped(_Of(wide, condition), _Of(wide, body), list(wide))
    values = dict(zip(carried, motion.also([found[i] for i in carried], found[number:])))
    return [values.get(i, x) for i, x in enumerate(found[:number])]
