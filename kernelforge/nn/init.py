"""Initial values of parameters, under torch's names.

Comes in: tensors.  Goes out: the same tensors with other values; gradients do not see the change.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.generators import Generator, drawing

_GAINS: Final = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which values behind a function are smaller, for initial values that make up for it."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    plain = ("linear", "sigmoid", *[f"conv{kind}{i}d" for kind in ("", "_transpose") for i in (1, 2, 3)])
    if nonlinearity not in _GAINS and nonlinearity not in plain:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS.get(nonlinearity, 1.0)


@no_grad()
def _given(tensor: Tensor, value: Tensor) -> Tensor:
    """The tensor with a value."""
    return tensor.assign(value.cast(tensor.dtype))


@drawing
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """The tensor, uniform in [a, b)."""
    return _given(tensor, Tensor.uniform(*tensor.shape, low=a, high=b, device=tensor.device))


@drawing
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """The tensor, normally distributed."""
    return _given(tensor, Tensor.normal(*tensor.shape, mean=mean, std=std, device=tensor.device))


@drawing
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """The tensor, normally distributed within a .. b."""
    low, high = (math.erf((x - mean) / std / math.sqrt(2.0)) for x in (a, b))
    drawn = Tensor.uniform(*tensor.shape, low=low, high=high, device=tensor.device)
    return _given(tensor, (drawn.erfinv() * (std * math.sqrt(2.0)) + mean).clamp(a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The tensor, with one value everywhere."""
    return _given(tensor, tensor.full_like(val))


def ones_(tensor: Tensor) -> Tensor:
    """The tensor, of ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """The tensor, of zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The matrix, with ones on the diagonal."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    return _given(tensor, Tensor.eye(rows, columns))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The weight of a convolution, which passes on as many channels as it can."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(tensor.shape, np.float32)
    out = tensor.shape[0] // groups
    middle = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(out, tensor.shape[1])):
            values[(group * out + channel, channel, *middle)] = 1
    return _given(tensor, Tensor(values, device=tensor.device))


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output has, and how many outputs an input.

    raises ShapeError
    """
    if tensor.ndim < 2:
        raise ShapeError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


@drawing
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """The weight, uniform within gain * sqrt(6 / (inputs + outputs))."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


@drawing
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """The weight, normal with standard deviation gain * sqrt(2 / (inputs + outputs))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))))


def _kaiming(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(tensor)[mode == "fan_out"])


@drawing
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """The weight, uniform within gain * sqrt(3 / fan)."""
    bound = math.sqrt(3.0) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


@drawing
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """The weight, normal with standard deviation gain / sqrt(fan)."""
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity))


@drawing
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """The tensor, whose rows or columns, as a matrix of shape[0] rows, are orthogonal and gain long."""
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    q, r = Tensor.randn(max(rows, columns), min(rows, columns), device=tensor.device).qr()
    q = q * r.diagonal().sign()
    return _given(tensor, (q.T if rows < columns else q).reshape(tensor.shape) * gain)


@drawing
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """The matrix, normal but for a share of zeros in each column."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    zeros = math.ceil(sparsity * tensor.shape[0])
    order = Tensor.rand(*tensor.shape, device=tensor.device).argsort(0).argsort(0)
    return _given(tensor, (order < zeros).where(0.0, Tensor.normal(*tensor.shape, std=std, device=tensor.device)))


uniform, normal, constant, eye, dirac = uniform_, normal_, constant_, eye_, dirac_
xavier_uniform, xavier_normal, kaiming_uniform = xavier_uniform_, xavier_normal_, kaiming_uniform_
kaiming_normal, orthogonal, sparse = kaiming_normal_, orthogonal_, sparse_
