"""Gradients: of one tensor with respect to others, and accumulated in leaves.

Comes in: a tensor and its history in the graph.  Goes out: tensors that are ordinary expressions, so gradients can be
differentiated again.  The derivative of each operation is in kernelforge/grad/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, Final, Self

from kernelforge import graph
from kernelforge.calls import depends, derivative
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.graph import Node
from kernelforge.realize import MOST_PLANS
from kernelforge.recording import recorder
from kernelforge.structure import structure
from kernelforge.tensor.core import Core, grad_enabled, leaves, pending, pinned
from kernelforge.tensor.margins import Margins


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


class Autograd(Margins):
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
        cotangent = self._cotangent(gradient)
        places = _places(self._node)
        nodes = [_place(places, target._node) for target in targets]
        missing = [i for i, node in enumerate(nodes) if node is None]
        if missing and not materialize_grads:
            raise RuntimeError(
                f"gradient with respect to target {missing[0]} of shape {targets[missing[0]].shape}: the tensor does "
                "not depend on it; pass materialize_grads=True to get zeros"
            )
        found = iter(_derivatives(self._node, cotangent, [node for node in nodes if node is not None]))
        parts = [next(found) if node is not None else None for node in nodes]
        return [
            target._as_gradient(target._full(0) if part is None else part, None if part is None else self._tracked)
            for part, target in zip(parts, targets)
        ]

    def backward(self, gradient: Self | None = None) -> Self:
        """Add the derivative of this tensor to .grad of every leaf with requires_grad=True it depends on.

        The tensor itself takes no part in gradients afterwards: computing it frees its history.

        gradient   the cotangent of this tensor; not needed when it has no dimensions

        raises RuntimeError when it depends on no leaf, ShapeError without a needed cotangent
        """
        if (active := recorder.get()) is not None:
            active.differentiating()
        cotangent = self._cotangent(gradient)
        places = _places(self._node)
        reached = [(_place(places, node), tensor) for node, tensor in list(leaves.items())]
        targets: dict[Node, Self] = {node: tensor for node, tensor in reached if node is not None}  # type: ignore[misc]
        if not targets and not self._tracked:
            raise RuntimeError(
                "backward() of a tensor that depends on no leaf with requires_grad=True: make the inputs with "
                "requires_grad=True, and compute outside no_grad()"
            )
        for tensor, part in zip(targets.values(), _derivatives(self._node, cotangent, list(targets))):
            added = tensor._as_gradient(tensor._full(0) if part is None else part, None)
            tensor.grad = added if tensor.grad is None else tensor.grad + added
        if not self._leaf:
            self._tracked = None
        pending[id(self)] = self
        return self

    def _as_gradient(self, node: Node, tracked: bool | None) -> Self:
        """A gradient of this tensor, on its device even where it is a constant."""
        return self._wrap(pinned(node, self._node.device), tracked)

    def _cotangent(self, given: Core | None) -> Node:
        """The cotangent of this tensor, 1 if it has no dimensions and none is given.

        raises ShapeError, DTypeError
        """
        if not self.dtype.is_float:
            raise DTypeError(f"gradient of a tensor of {self.dtype}: only floats can be differentiated")
        if given is None:
            if self.shape:
                raise ShapeError(
                    f"gradient of a tensor of shape {self.shape}: only one without dimensions needs no cotangent; pass "
                    "gradient= with a tensor of its shape, or reduce it with .sum() or .mean()"
                )
            return graph.const(1, self.dtype)
        if given.shape != self.shape:
            raise ShapeError(f"the cotangent has shape {given.shape}, the tensor {self.shape}: they must be equal")
        return graph.cast(given._node, self.dtype)


_dependent: Final[dict[tuple[object, ...], list[bool]]] = {}


def _derivatives(output: Node, cotangent: Node, targets: Sequence[Node]) -> list[Node | None]:
    """The derivative with respect to each target; None where the output does not depend on it.

    Rules are applied when a plan is made, and here, for their errors, when the structure of the graph is new.
    """
    key = structure([output, cotangent, *targets], history=True).key
    if key not in _dependent:
        if len(_dependent) >= MOST_PLANS:
            del _dependent[next(iter(_dependent))]
        _dependent[key] = depends(output, cotangent, targets)
    return [
        derivative(output, cotangent, target) if has_one else None
        for target, has_one in zip(targets, _dependent[key])
    ]


def _places(root: Node) -> dict[object, Node]:
    """Every node a gradient of root can reach, found by itself and, once computed, by its buffer."""
    places: dict[object, Node] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node in places or not node.dtype.is_float:
            continue
        places[node] = node
        if node.realized is not None:
            places[node.realized] = node
        if node.op == "buffer":
            places[node.attr] = node
        if node.op != "detach":
            stack += node.src
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
