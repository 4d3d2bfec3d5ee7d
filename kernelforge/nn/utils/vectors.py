"""Parameters as one vector, and layers joined for inference.

Comes in: parameters, or layers that follow each other.  Goes out: vectors, parameters with new values, layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Parameter
from kernelforge.tensor import Tensor, no_grad


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one dimension."""
    parts = [parameter.reshape(-1) for parameter in parameters]
    return parts[0].cat(*parts[1:]) if len(parts) > 1 else parts[0]


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give parameters the elements of one vector."""
    start = 0
    for parameter in parameters:
        part = vec.detach()[start : start + parameter.numel()]
        parameter.assign(part.reshape(parameter.shape).cast(parameter.dtype))
        start += parameter.numel()


@no_grad()
def _fused(layer: Any, norm: Any, axis: int) -> Any:
    """A layer with a batch norm's scale and shift in its weight and bias."""
    made = deepcopy(layer)
    scale = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight.detach())
    weight, bias = made.weight.detach(), made.bias
    shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
    start = norm.running_mean.zeros_like() if bias is None else bias.detach()
    shift = 0 if norm.bias is None else norm.bias.detach()
    made.weight = Parameter((weight * scale.reshape(shape)).realize())
    made.bias = Parameter(((start - norm.running_mean) * scale + shift).realize())
    return made


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Module:
    """One convolution that does what a convolution and a batch norm behind it do when not training."""
    return _fused(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Module:
    """One linear layer that does what a linear layer and a batch norm behind it do when not training."""
    return _fused(linear, bn, 0)


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """The module; random values cost nothing before they are used, so there is nothing to skip."""
    return module_cls(*args, **kwargs)
