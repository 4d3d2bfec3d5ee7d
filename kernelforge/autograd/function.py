"""Functions with a backward of their own.

Comes in: a class with forward and backward.  Goes out: `apply`, whose results hand their gradients to that
backward each time a gradient passes; what it computes is tensors again, so it can be differentiated in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernelforge import graph
from kernelforge.errors import ShapeError
from kernelforge.graph import Node
from kernelforge.interning import new_node
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.core import grad_enabled
from kernelforge.tensor.stops import Stop, stops


class Context:
    """What forward keeps for backward: any attributes, and tensors.

    needs_input_grad   for each argument of apply(), whether it takes part in gradients
    saved_tensors      what save_for_backward() was given
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.saved_tensors: tuple[Any, ...] = ()
        self._fills, self._constant = True, frozenset[int]()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for backward()."""
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Let results take no part in gradients."""
        self._constant = frozenset(map(id, tensors))

    def set_materialize_grads(self, value: bool) -> None:
        """False: backward() gets None, not zeros, for results nothing was made of."""
        self._fills = value


class Function:
    """A function of tensors and its derivative.

        class Cube(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x * x

            @staticmethod
            def backward(ctx, dy):
                (x,) = ctx.saved_tensors
                return dy * 3 * x * x

        y = Cube.apply(x)

    forward    (ctx, *arguments) -> a tensor or several; without ctx where the class has setup_context
    setup_context   (ctx, arguments, results): keeps what backward needs
    backward   (ctx, *gradients of the results) -> a gradient, or None, for each argument
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a Function has a static method forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise NotImplementedError("a Function has a static method backward(ctx, ...): its result needs a gradient")

    setup_context: Any = None

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """The results of forward, differentiated by backward.

        raises ShapeError, when a gradient passes, for gradients that do not fit the arguments
        """
        needed = tuple([isinstance(x, Tensor) and bool(x.requires_grad) for x in args])
        ctx = Context(needed)
        with no_grad():
            if cls.setup_context is None:
                made = cls.forward(ctx, *args, **kwargs)
            else:
                made = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, made)
        if not any(needed) or not grad_enabled.get():
            return made
        results = list(made) if isinstance(made, tuple | list) else [made]
        tracked = [i for i, y in enumerate(results) if isinstance(y, Tensor) and y.is_floating_point()]
        tracked = [i for i in tracked if id(results[i]) not in ctx._constant]
        for i in tracked:
            results[i] = _own(results[i])
        _stop(cls, ctx, args, results, tracked)
        return tuple(results) if isinstance(made, tuple | list) else results[0]


def _own(result: Tensor) -> Tensor:
    """A tensor of a node nobody else has, though others compute the same."""
    node = new_node("detach", (result._node,), None, result.shape, result.dtype, result._node.device)
    return Tensor._wrap(node, True)


def _stop(cls: type[Function], ctx: Context, args: Sequence[Any], results: list[Any], tracked: list[int]) -> None:
    """Has the gradients of the tracked ones among results go through a function's backward."""
    inputs = [i for i, wanted in enumerate(ctx.needs_input_grad) if wanted]
    likes = [(y.shape, y.dtype) if isinstance(y, Tensor) else None for y in results]

    def backward(cotangents: list[Node | None]) -> list[Node | None]:
        nodes = dict(zip(tracked, cotangents))
        gradients: list[Tensor | None] = []
        for i, like in enumerate(likes):
            node = nodes.get(i)
            if node is None and ctx._fills and like is not None:
                node = graph.full(like[0], 0, like[1])
            gradients.append(None if node is None else Tensor._wrap(node, True))
        found = cls.backward(ctx, *gradients)
        parts = found if isinstance(found, tuple | list) else (found,)
        if len(parts) < len(args):
            raise ShapeError(f"{cls.__name__}.backward() gave {len(parts)} gradients for {len(args)} arguments")
        return [_fitting(cls.__name__, parts[i], args[i]) for i in inputs]

    outputs = [results[i]._node for i in tracked]
    for node in outputs:
        stops[node] = Stop(outputs, [args[i]._node for i in inputs], backward)


def _fitting(name: str, gradient: Tensor | None, argument: Tensor) -> Node | None:
    """The node of a gradient, in its argument's dtype."""
    if gradient is None:
        return None
    if gradient.shape != argument.shape:
        raise ShapeError(f"{name}.backward() gave a gradient of {gradient.shape} for an argument of {argument.shape}")
    return graph.cast(gradient._node, argument.dtype)
