"""Gradients: of one tensor with respect to others, and accumulated in leaves.

Comes in: a tensor and its history in the graph.  Goes out: tensors that are ordinary expressions, so gradients can be
differentiated again.  The derivative of each operation is in kernelforge/grad.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, Self

from kernelforge import grad, graph
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.graph import Node
from kernelforge.tensor.core import Core, grad_enabled, leaves, pending
from kernelforge.tensor.losses import Losses


class no_grad:
    """A context, or a decorator, in which results take no part in gradients.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad is None
    True
    """

    _mode = False

    def __init__(self) -> None:
        self._tokens: list[Any] = []

    def __enter__(self) -> Self:
        self._tokens.append(grad_enabled.set(self._mode))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        grad_enabled.reset(self._tokens.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return wrapped


class enable_grad(no_grad):
    """A context, or a decorator, that undoes no_grad inside it."""

    _mode = True


class Autograd(Losses):
    """Differentiation."""

    __slots__ = ()

    def gradient(self, *targets: Self, gradient: Self | None = None, materialize_grads: bool = False) -> list[Self]:
        """The derivatives of this tensor with respect to targets, each of its target's shape.

        gradient            the cotangent of this tensor; not needed when it has no dimensions
        materialize_grads   zeros for a target this tensor does not depend on, instead of an error

        >>> x = Tensor([1.0, 2.0])
        >>> (x * x).sum().gradient(x)[0].tolist()
        [2.0, 4.0]

        raises RuntimeError for a target this tensor does not depend on, ShapeError without a needed cotangent
        """
        places = _places(self._node)
        nodes = [_place(places, target._node) for target in targets]
        missing = [i for i, node in enumerate(nodes) if node is None]
        if missing and not materialize_grads:
            raise RuntimeError(
                f"gradient with respect to target {missing[0]} of shape {targets[missing[0]].shape}: the tensor does "
                "not depend on it; pass materialize_grads=True to get zeros"
            )
        cotangents = self._cotangents([node for node in nodes if node is not None], gradient)
        found = iter(cotangents)
        results: list[Self] = []
        for node, target in zip(nodes, targets):
            cotangent = next(found) if node is not None else None
            results.append(target._constant(0) if cotangent is None else self._wrap(cotangent, self._tracked))
        return results

    def backward(self, gradient: Self | None = None) -> Self:
        """Add the derivative of this tensor to .grad of every leaf with requires_grad=True it depends on.

        The tensor itself takes no part in gradients afterwards: computing it frees its history.

        gradient   the cotangent of this tensor; not needed when it has no dimensions

        raises RuntimeError when it depends on no leaf, ShapeError without a needed cotangent
        """
        places = _places(self._node)
        reached: list[tuple[Node, Self]] = []
        for node, tensor in list(leaves.items()):
            place = _place(places, node)
            if place is not None:
                reached.append((place, tensor))  # type: ignore[arg-type]
        if not reached:
            raise RuntimeError(
                "backward() of a tensor that depends on no leaf with requires_grad=True: make the inputs with "
                "requires_grad=True, and compute outside no_grad()"
            )
        for (_, tensor), cotangent in zip(reached, self._cotangents([node for node, _ in reached], gradient)):
            if cotangent is not None:
                added = self._wrap(cotangent, None)
                tensor.grad = added if tensor.grad is None else tensor.grad + added
        if not self._leaf:
            self._tracked = None
        pending[id(self)] = self
        return self

    def _cotangents(self, targets: Sequence[Node], gradient: Core | None) -> list[Node | None]:
        """The derivative of this tensor for each target node, in the target's dtype.

        raises ShapeError, DTypeError
        """
        if not self.dtype.is_float:
            raise DTypeError(f"gradient of a tensor of {self.dtype}: only floats can be differentiated")
        if gradient is None:
            if self.shape:
                raise ShapeError(
                    f"gradient of a tensor of shape {self.shape}: only one without dimensions needs no cotangent; pass "
                    "gradient= with a tensor of its shape, or reduce it with .sum() or .mean()"
                )
            cotangent = graph.const(1, self.dtype)
        elif gradient.shape != self.shape:
            raise ShapeError(f"the cotangent has shape {gradient.shape}, the tensor {self.shape}: they must be equal")
        else:
            cotangent = graph.cast(gradient._node, self.dtype)
        return grad.gradient(self._node, cotangent, targets)


def _places(root: Node) -> dict[object, Node]:
    """Every node root is computed from, found by itself and, once computed, by its buffer."""
    places: dict[object, Node] = {}
    for node in graph.toposort((root,)):
        places[node] = node
        if node.realized is not None:
            places[node.realized] = node
    return places


def _place(places: dict[object, Node], target: Node) -> Node | None:
    """The node in the history that target names: itself, or the one whose computed buffer it shows."""
    found = places.get(target)
    if found is None and target.realized is not None:
        found = places.get(target.realized)
    base = target.src[0] if target.op == "reshape" else target
    if found is None and base.op == "buffer":
        found = places.get(base.attr)
    return found if found is None or found.shape == target.shape else None
