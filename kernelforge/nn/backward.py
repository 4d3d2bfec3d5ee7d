"""Functions a module calls when gradients pass it.

Comes in: a module with such hooks, its arguments and its output.  Goes out: the same tensors, at which gradients stop
to be looked at, or replaced.
"""

from __future__ import annotations

from typing import Any

from kernelforge.autograd import Function
from kernelforge.nn.hooks import Book
from kernelforge.tensor import Tensor


class Passage:
    """One call of a module.

    args         the arguments, behind their stop
    grad_output  the gradients that arrived at the output
    """

    def __init__(self, module: Any, book: Book, args: tuple[Any, ...]) -> None:
        self.module, self.book, self.args = module, book, args
        self.grad_output: tuple[Any, ...] = ()


class _Output(Function):
    """The output itself; its gradients are kept, or replaced by what hooks return."""

    @staticmethod
    def forward(ctx: Any, passage: Passage, *outputs: Tensor) -> tuple[Tensor, ...]:
        ctx.passage = passage
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        passage = ctx.passage
        for hook in list(passage.book.backward_pre.values()):
            found = hook.function(passage.module, gradients)
            if found is not None:
                gradients = found if isinstance(found, tuple) else (found,)
        passage.grad_output = gradients
        if not any(isinstance(x, Tensor) and x.requires_grad for x in passage.args):
            _called(passage, (None,) * len(passage.args))
        return (None, *gradients)


class _Input(Function):
    """The arguments themselves; their gradients are given to the hooks, which may replace them."""

    @staticmethod
    def forward(ctx: Any, passage: Passage, *inputs: Any) -> tuple[Any, ...]:
        ctx.passage = passage
        return inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        return (None, *_called(ctx.passage, gradients))


def _called(passage: Passage, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients of the arguments after all hooks."""
    for hook in list(passage.book.backward.values()):
        found = hook.function(passage.module, gradients, passage.grad_output)
        if found is not None:
            gradients = found if isinstance(found, tuple) else (found,)
    return gradients


def entered(module: Any, book: Book, args: tuple[Any, ...]) -> Passage:
    """A call's arguments behind a stop, where there are hooks."""
    passage = Passage(module, book, args)
    if book.backward and any(isinstance(x, Tensor) and x.requires_grad for x in args):
        passage.args = _Input.apply(passage, *args)
    return passage


def left(passage: Passage, output: Any) -> Any:
    """A call's output behind a stop, where there are hooks."""
    if not passage.book.backward and not passage.book.backward_pre:
        return output
    several = isinstance(output, tuple | list)
    outputs = tuple(output) if several else (output,)
    if not all(isinstance(x, Tensor) for x in outputs):
        return output
    found = _Output.apply(passage, *outputs)
    return type(output)(found) if several else found[0]
