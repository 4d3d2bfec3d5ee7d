"""Activation functions with torch's arguments.

Comes in: tensors; `inplace` gives the input the result's value.  Goes out: tensors of the same shape.
"""

from __future__ import annotations

from codegen.dtypes import DType
from kernelforge.errors import ArgumentError
from kernelforge.nn.functional.options import whole
from kernelforge.tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return whole(input, input.relu(), inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to 0 .. 6."""
    return whole(input, input.relu6(), inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (exp(x) - 1)."""
    return whole(input, input.elu(alpha), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """A scaled elu() that keeps mean 0 and variance 1."""
    return whole(input, input.selu(), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (exp(x / alpha) - 1)."""
    return whole(input, input.celu(alpha), inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope * x."""
    return whole(input, input.leaky_relu(negative_slope), inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight * x; weight has one element, or one for each place along dimension 1."""
    return input.prelu(weight)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """leaky_relu() with a random slope in lower .. upper for each element, or with the middle one."""
    if lower > upper:
        raise ArgumentError(f"rrelu with lower={lower}, upper={upper}: lower must not be above upper")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = Tensor.uniform(*input.shape, low=lower, high=upper, device=input.device)
    return whole(input, (input >= 0).where(input, input * slope.cast(input.dtype)), inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of dimension dim, times the sigmoid of the second."""
    return input.glu(dim)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x, exact or by a tanh."""
    return input.gelu(approximate)


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x))."""
    return input.logsigmoid()


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    return input.hardshrink(lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved by lambd towards 0, and 0 where |x| <= lambd."""
    if lambd < 0:
        raise ArgumentError(f"softshrink with lambd={lambd}: it must be at least 0")
    return input.softshrink(lambd)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input.tanhshrink()


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input.softsign()


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    smooth = input.softplus(beta)
    return smooth if threshold >= 20 else (input * beta > threshold).where(input, smooth)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | str | None = None
) -> Tensor:
    """softmax(-x)."""
    return (-input).softmax(_softmax_dim(input, dim), dtype)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | str | None = None
) -> Tensor:
    """exp(x) / sum(exp(x)) along dim; without one dimension 0 or 1, as torch chooses."""
    return input.softmax(_softmax_dim(input, dim), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | str | None = None
) -> Tensor:
    """log(softmax(x)), accurate for small probabilities."""
    return input.log_softmax(_softmax_dim(input, dim), dtype)


def _softmax_dim(input: Tensor, dim: int | None) -> int:
    return dim if dim is not None else 0 if input.ndim in (0, 1, 3) else 1


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """softmax((x + g) / tau) along dim with random g; hard: a random choice with its gradient."""
    return logits.gumbel_softmax(tau, hard, dim)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return input.sigmoid()


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2 limited to 0 .. 1."""
    return whole(input, input.hardsigmoid(), inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * relu6(x + 3) / 6."""
    return whole(input, input.hardswish(), inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to min_val .. max_val."""
    if min_val > max_val:
        raise ArgumentError(f"hardtanh with min_val={min_val}, max_val={max_val}: min_val is above max_val")
    return whole(input, input.hardtanh(min_val, max_val).cast(input.dtype), inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    return whole(input, input.silu(), inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x))."""
    return whole(input, input.mish(), inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value."""
    return whole(input, input.threshold(threshold, value), inplace)


def relu_(input: Tensor) -> Tensor:
    """relu() in place."""
    return relu(input, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """elu() in place."""
    return elu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """selu() in place."""
    return selu(input, True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """celu() in place."""
    return celu(input, alpha, True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """leaky_relu() in place."""
    return leaky_relu(input, negative_slope, True)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """rrelu() in place."""
    return rrelu(input, lower, upper, training, True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """hardtanh() in place."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """threshold() in place."""
    return whole(input, input.threshold(threshold, value), True)
