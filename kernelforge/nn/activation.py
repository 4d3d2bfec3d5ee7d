"""Activation functions and other functions without parameters, as modules.

Comes in: what their tensor methods take.  Goes out: modules that call these methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kernelforge.nn.module import Module
from kernelforge.settings import Context
from kernelforge.tensor import Tensor


class _Method(Module):
    """A module that calls one method of its input with fixed arguments."""

    method: str
    arguments: Mapping[str, Any] = MappingProxyType({})

    def forward(self, x: Tensor) -> Tensor:
        """The method's result, of x's shape."""
        return getattr(x, self.method)(**self.arguments)

    def extra_repr(self) -> str:
        """The arguments."""
        return ", ".join(f"{name}={value}" for name, value in self.arguments.items())


class ReLU(_Method):
    """Tensor.relu as a module."""

    method = "relu"


class ReLU6(_Method):
    """Tensor.relu6 as a module."""

    method = "relu6"


class Sigmoid(_Method):
    """Tensor.sigmoid as a module."""

    method = "sigmoid"


class Tanh(_Method):
    """Tensor.tanh as a module."""

    method = "tanh"


class SiLU(_Method):
    """Tensor.silu as a module."""

    method = "silu"


class Mish(_Method):
    """Tensor.mish as a module."""

    method = "mish"


class Hardswish(_Method):
    """Tensor.hardswish as a module."""

    method = "hardswish"


class Hardsigmoid(_Method):
    """Tensor.hardsigmoid as a module."""

    method = "hardsigmoid"


class SELU(_Method):
    """Tensor.selu as a module."""

    method = "selu"


class GELU(_Method):
    """Tensor.gelu as a module; exact, as in torch, unless approximate is "tanh"."""

    method = "gelu"

    def __init__(self, approximate: str = "none") -> None:
        self.arguments = {"approximate": approximate}


class LeakyReLU(_Method):
    """Tensor.leaky_relu as a module."""

    method = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.arguments = {"neg_slope": negative_slope}


class ELU(_Method):
    """Tensor.elu as a module."""

    method = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.arguments = {"alpha": alpha}


class Softplus(_Method):
    """Tensor.softplus as a module."""

    method = "softplus"

    def __init__(self, beta: float = 1.0) -> None:
        self.arguments = {"beta": beta}


class Hardtanh(_Method):
    """Tensor.hardtanh as a module."""

    method = "hardtanh"

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.arguments = {"min_val": min_val, "max_val": max_val}


class Softmax(_Method):
    """Tensor.softmax as a module."""

    method = "softmax"

    def __init__(self, dim: int = -1) -> None:
        self.arguments = {"axis": dim}


class LogSoftmax(_Method):
    """Tensor.log_softmax as a module."""

    method = "log_softmax"

    def __init__(self, dim: int = -1) -> None:
        self.arguments = {"axis": dim}


class Flatten(_Method):
    """Tensor.flatten as a module; keeps the first dimension unless told otherwise."""

    method = "flatten"

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.arguments = {"start_dim": start_dim, "end_dim": end_dim}


class Identity(Module):
    """The input itself, whatever the module was made with."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        """x."""
        return x


class Dropout(Module):
    """Tensor.dropout as a module: active while the module is training."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """[..] -> the same shape."""
        with Context(TRAINING=int(self.training)):
            return x.dropout(self.p)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
