"""Activation functions as modules.

Comes in: what the functions of nn.functional take beside the input.  Goes out: modules that call them.
"""

from __future__ import annotations

from typing import Any

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.nn import functional as F
from kernelforge.nn.function import FunctionModule
from kernelforge.nn.init import constant_
from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Parameter
from kernelforge.tensor import Tensor


class ReLU(FunctionModule):
    """nn.functional.relu() as a module."""

    function = staticmethod(F.relu)

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)


class ReLU6(FunctionModule):
    """nn.functional.relu6() as a module."""

    function = staticmethod(F.relu6)

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)


class ELU(FunctionModule):
    """nn.functional.elu() as a module."""

    function = staticmethod(F.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self._keep(alpha=alpha, inplace=inplace)


class SELU(FunctionModule):
    """nn.functional.selu() as a module."""

    function = staticmethod(F.selu)

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)


class CELU(FunctionModule):
    """nn.functional.celu() as a module."""

    function = staticmethod(F.celu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self._keep(alpha=alpha, inplace=inplace)


class LeakyReLU(FunctionModule):
    """nn.functional.leaky_relu() as a module."""

    function = staticmethod(F.leaky_relu)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self._keep(negative_slope=negative_slope, inplace=inplace)


class RReLU(FunctionModule):
    """nn.functional.rrelu() as a module."""

    function = staticmethod(F.rrelu)
    trains = True

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        self._keep(lower=lower, upper=upper, inplace=inplace)


class GELU(FunctionModule):
    """nn.functional.gelu() as a module."""

    function = staticmethod(F.gelu)

    def __init__(self, approximate: str = "none") -> None:
        self._keep(approximate=approximate)


class SiLU(FunctionModule):
    """nn.functional.silu() as a module."""

    function = staticmethod(F.silu)

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)


class Mish(FunctionModule):
    """nn.functional.mish() as a module."""

    function = staticmethod(F.mish)

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)


class Hardswish(FunctionModule):
    """nn.functional.hardswish() as a module."""

    function = staticmethod(F.hardswish)

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)


class Hardsigmoid(FunctionModule):
    """nn.functional.hardsigmoid() as a module."""

    function = staticmethod(F.hardsigmoid)

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)


class Hardshrink(FunctionModule):
    """nn.functional.hardshrink() as a module."""

    function = staticmethod(F.hardshrink)
    named = False

    def __init__(self, lambd: float = 0.5) -> None:
        self._keep(lambd=lambd)


class Softshrink(FunctionModule):
    """nn.functional.softshrink() as a module."""

    function = staticmethod(F.softshrink)
    named = False

    def __init__(self, lambd: float = 0.5) -> None:
        self._keep(lambd=lambd)


class Softplus(FunctionModule):
    """nn.functional.softplus() as a module."""

    function = staticmethod(F.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self._keep(beta=beta, threshold=threshold)


class Threshold(FunctionModule):
    """nn.functional.threshold() as a module."""

    function = staticmethod(F.threshold)

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self._keep(threshold=threshold, value=value, inplace=inplace)


class GLU(FunctionModule):
    """nn.functional.glu() as a module."""

    function = staticmethod(F.glu)

    def __init__(self, dim: int = -1) -> None:
        self._keep(dim=dim)


class Softmax(FunctionModule):
    """nn.functional.softmax() as a module."""

    function = staticmethod(F.softmax)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)


class LogSoftmax(FunctionModule):
    """nn.functional.log_softmax() as a module."""

    function = staticmethod(F.log_softmax)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)


class Softmin(FunctionModule):
    """nn.functional.softmin() as a module."""

    function = staticmethod(F.softmin)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)


class Sigmoid(FunctionModule):
    """nn.functional.sigmoid() as a module."""

    function = staticmethod(F.sigmoid)


class Tanh(FunctionModule):
    """nn.functional.tanh() as a module."""

    function = staticmethod(F.tanh)


class Softsign(FunctionModule):
    """nn.functional.softsign() as a module."""

    function = staticmethod(F.softsign)


class Tanhshrink(FunctionModule):
    """nn.functional.tanhshrink() as a module."""

    function = staticmethod(F.tanhshrink)


class LogSigmoid(FunctionModule):
    """nn.functional.logsigmoid() as a module."""

    function = staticmethod(F.logsigmoid)


class Hardtanh(FunctionModule):
    """nn.functional.hardtanh() as a module."""

    function = staticmethod(F.hardtanh)

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        low, high = min_val if min_value is None else min_value, max_val if max_value is None else max_value
        if low >= high:
            raise ArgumentError(f"Hardtanh: max_val={high} must be larger than min_val={low}")
        self._keep(min_val=low, max_val=high, inplace=inplace)


class Softmax2d(Module):
    """softmax() over the channels of [N, C, H, W] or [C, H, W]."""

    def forward(self, input: Tensor) -> Tensor:
        """Of the input's shape.

        raises ShapeError
        """
        if input.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return input.softmax(-3)


class PReLU(Module):
    """x where x > 0, else weight * x.

    weight   [num_parameters], init at first: one slope, or one for each channel
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(Tensor.full((num_parameters,), float(init), device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        """Have the slopes init again."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """Of the input's shape."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of slopes."""
        return f"num_parameters={self.num_parameters}"
