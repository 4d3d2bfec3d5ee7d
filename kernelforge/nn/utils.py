"""Helpers of training: limits on gradients.

Comes in: parameters with gradients.  Goes out: changed gradients.
"""

from __future__ import annotations

from collections.abc import Iterable

from kernelforge.tensor import Tensor, no_grad


@no_grad()
def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor:
    """The norm of all gradients taken as one vector; they are scaled so that it is at most max_norm."""
    given = [parameter for parameter in parameters if parameter.grad is not None]
    if not given:
        return Tensor(0.0)
    norms = [parameter.grad.norm(norm_type).float() for parameter in given if parameter.grad is not None]
    total = norms[0].stack(*norms[1:]).norm(norm_type)
    scale = (max_norm / (total + 1e-6)).minimum(1.0)
    for parameter in given:
        assert parameter.grad is not None
        parameter.grad = (parameter.grad * scale).cast(parameter.grad.dtype)
    return total


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to -clip_value .. clip_value."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad = parameter.grad.clamp(-clip_value, clip_value)
