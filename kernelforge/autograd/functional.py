"""Derivatives as functions of tensors and of functions.

Comes in: outputs and inputs, or a function and its inputs.  Goes out: gradients, Jacobians, Hessians and products with
them, as tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kernelforge.errors import ArgumentError, StateError
from kernelforge.tensor import Tensor

Tensors = Tensor | Sequence[Tensor]


def several(values: Any) -> tuple[Any, ...]:
    """One value or a sequence of them as a tuple."""
    return tuple(values) if isinstance(values, tuple | list) else (values,)


def _total(outputs: Any, grad_outputs: Any) -> Tensor:
    """The sum of outputs times their cotangents, whose gradient is that of all."""
    ys = several(outputs)
    given = several(grad_outputs) if grad_outputs is not None else (None,) * len(ys)
    if len(given) != len(ys):
        raise ArgumentError(f"{len(ys)} outputs with {len(given)} cotangents: give one for each, or None")
    if any(dy is None and y.shape for y, dy in zip(ys, given)):
        shapes = ", ".join(str(y.shape) for y in ys)
        raise StateError(f"gradient of outputs of {shapes}: only those without dimensions need no cotangent")
    parts = [y if dy is None else _product(y, dy) for y, dy in zip(ys, given)]
    return sum(parts[1:], parts[0])


def _product(y: Tensor, dy: Tensor) -> Tensor:
    """The sum of an output times its cotangent; of complex numbers, of their parts one by one."""
    return (y * dy.conj()).real.sum() if y.is_complex() else (y * dy).sum()


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensors | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The derivatives of the sum of outputs with respect to each input.

    grad_outputs   a cotangent for each output that has dimensions
    create_graph   gradients take part in gradients; without it they are constants
    allow_unused   None for an input the outputs do not depend on, instead of an error
    retain_graph   of no account: histories stay as long as a tensor has them

    raises RuntimeError
    """
    total, targets = _total(outputs, grad_outputs), several(inputs)
    found = total._gradients_or_none(total._cotangent(None), targets)
    for i, (x, dx) in enumerate(zip(targets, found)):
        if dx is None and materialize_grads:
            found[i] = x.zeros_like()
        elif dx is None and not allow_unused:
            raise StateError(f"gradient with respect to input {i} of shape {x.shape}: the outputs do not depend on it")
    return tuple([dx if dx is None or create_graph else dx.detach() for dx in found])


def backward(
    tensors: Tensors,
    grad_tensors: Tensors | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Adds the derivatives of the sum of tensors to .grad of the leaves they depend on; see Tensor.backward()."""
    _total(tensors, grad_tensors).backward(None, retain_graph, create_graph, inputs)


def _applied(function: Callable[..., Any], inputs: Tensors) -> tuple[tuple[Tensor, ...], Any]:
    """Copies of the inputs that require gradients, and the function of them."""
    leaves = tuple([x.detach().clone().requires_grad_() for x in several(inputs)])
    return leaves, function(*leaves)


def vjp(function: Callable[..., Any], inputs: Tensors, v: Tensors | None = None) -> tuple[Any, Any]:
    """The function's value, and a cotangent times its Jacobian."""
    leaves, y = _applied(function, inputs)
    found = grad(y, leaves, v, materialize_grads=True)
    return y, found if isinstance(inputs, tuple | list) else found[0]


def jvp(function: Callable[..., Any], inputs: Tensors, v: Tensors | None = None) -> tuple[Any, Any]:
    """The function's value, and its Jacobian times tangents: the derivative of a product with the Jacobian."""
    leaves, y = _applied(function, inputs)
    tangents = [x.ones_like() for x in leaves] if v is None else several(v)
    made = []
    for each in several(y):
        dual = each.zeros_like().contiguous().requires_grad_()
        pulled = grad(each, leaves, dual, create_graph=True, materialize_grads=True)
        total = sum(((dx * dv).sum() for dx, dv in zip(pulled, tangents) if dx is not None), dual.sum() * 0)
        made.append(grad(total, dual)[0])
    return y, tuple(made) if isinstance(y, tuple | list) else made[0]


def vhp(function: Callable[..., Tensor], inputs: Tensors, v: Tensors | None = None) -> tuple[Tensor, Any]:
    """The function's value, and a vector times the second derivatives of a function with one value."""
    leaves, y = _applied(function, inputs)
    slopes = grad(y, leaves, create_graph=True, materialize_grads=True)
    vectors = [x.ones_like() for x in leaves] if v is None else several(v)
    total = sum(((dx * dv).sum() for dx, dv in zip(slopes, vectors) if dx is not None), y * 0)
    found = grad(total, leaves, materialize_grads=True)
    return y, found if isinstance(inputs, tuple | list) else found[0]


hvp = vhp  # second derivatives are symmetric


def jacobian(function: Callable[..., Tensor], inputs: Tensors, create_graph: bool = False) -> Any:
    """The derivative of each element of the value with respect to each element of the inputs: their shapes joined."""
    leaves, y = _applied(function, inputs)
    flat = y.reshape(-1)
    rows = [grad(flat[i], leaves, create_graph=create_graph, materialize_grads=True) for i in range(flat.shape[0])]
    found = [parts[0].stack(*parts[1:]).reshape(*y.shape, *x.shape) for x, parts in zip(leaves, zip(*rows))]
    return tuple(found) if isinstance(inputs, tuple | list) else found[0]


def hessian(function: Callable[..., Tensor], inputs: Tensor) -> Tensor:
    """The second derivatives of a function with one value with respect to one input."""

    def gradient(x: Tensor) -> Any:
        return grad(function(x), x, create_graph=True, materialize_grads=True)[0]

    found: Tensor = jacobian(gradient, inputs)
    return found
