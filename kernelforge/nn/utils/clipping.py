"""Helpers of training: limits on gradients.

Comes in: parameters with gradients.  Goes out: changed gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.composite import composite
from kernelforge.tensor.promised import promise


def _several(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


@no_grad()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of tensors taken as one vector.

    raises RuntimeError with error_if_nonfinite when it is no number
    """
    given = _several(tensors)
    if not given:
        return Tensor(0.0)
    parts = [_part(tensor, float(norm_type)) for tensor in given]
    while len(parts) > 1:  # in pairs, which rounds least
        pairs = [_combined(a, b, float(norm_type)) for a, b in zip(parts[::2], parts[1::2])]
        parts = pairs + parts[2 * len(pairs) :]
    total = _root(parts[0], float(norm_type))
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients so that a total norm of total_norm becomes at most max_norm."""
    scale = (max_norm / (total_norm + 1e-6)).minimum(1.0)
    given = [parameter for parameter in _several(parameters) if parameter.grad is not None]
    for parameter in given:
        assert parameter.grad is not None
        parameter.grad = _scaled(parameter.grad, scale)
    promise(parameter.grad for parameter in given)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all gradients taken as one vector; they are scaled so that it is at most max_norm."""
    given = _several(parameters)
    gradients = [parameter.grad for parameter in given if parameter.grad is not None]
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(given, max_norm, total)
    return total


clip_grad_norm = clip_grad_norm_


@composite
def _part(gradient: Tensor, norm_type: float) -> Tensor:
    """What one gradient adds to the power of the norm, or to the norm itself where that is a maximum.

    It is stored: sums of equal shape are then equal kernels, and all of them together one launch.
    """
    values = gradient.float()
    if norm_type == math.inf:
        return values.abs().max().contiguous()
    return (values.square() if norm_type == 2 else values.abs() ** norm_type).sum().contiguous()


@composite
def _combined(a: Tensor, b: Tensor, norm_type: float) -> Tensor:
    """Two such parts as one."""
    return a.maximum(b) if norm_type == math.inf else a + b


@composite
def _root(whole: Tensor, norm_type: float) -> Tensor:
    """The norm, stored: every gradient is scaled by it."""
    if norm_type == math.inf:
        return whole.contiguous()
    return (whole.sqrt() if norm_type == 2 else whole ** (1 / norm_type)).contiguous()


@composite
def _scaled(gradient: Tensor, scale: Tensor) -> Tensor:
    """A gradient times the scale, in its own type."""
    return (gradient * scale).cast(gradient.dtype)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limit every element of the gradients to -clip_value .. clip_value."""
    for parameter in _several(parameters):
        if parameter.grad is not None:
            parameter.grad = parameter.grad.clamp(-clip_value, clip_value)
