"""Helpers of training: limits on gradients.

Comes in: parameters with gradients.  Goes out: changed gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.composite import composite


@no_grad()
def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor:
    """The norm of all gradients taken as one vector; they are scaled so that it is at most max_norm."""
    given = [parameter for parameter in parameters if parameter.grad is not None]
    if not given:
        return Tensor(0.0)
    parts = [_part(parameter.grad, float(norm_type)) for parameter in given if parameter.grad is not None]
    while len(parts) > 1:  # in pairs, which rounds least
        pairs = [_combined(a, b, float(norm_type)) for a, b in zip(parts[::2], parts[1::2])]
        parts = pairs + parts[2 * len(pairs) :]
    total = _root(parts[0], float(norm_type))
    scale = (max_norm / (total + 1e-6)).minimum(1.0)
    for parameter in given:
        assert parameter.grad is not None
        parameter.grad = _scaled(parameter.grad, scale)
    return total


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


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to -clip_value .. clip_value."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad = parameter.grad.clamp(-clip_value, clip_value)
