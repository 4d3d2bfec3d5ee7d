"""Activation functions, each one expression of its input.

Comes in: tensors of any shape.  Goes out: tensors of the same shape.  Exponentials only see arguments that cannot
overflow, so that values and gradients stay finite for large inputs.
"""

from __future__ import annotations

import math
from typing import Self

from kernelforge.errors import ArgumentError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.functions import FAR, SHIFT
from kernelforge.tensor.special import Special


class Activations(Special):
    """The functions that stand between the layers of a network."""

    __slots__ = ()

    @composite
    def relu(self) -> Self:
        """max(x, 0); its gradient at 0 is 0."""
        return (self <= 0).where(0, self)

    @composite
    def relu6(self) -> Self:
        """min(max(x, 0), 6)."""
        return self.hardtanh(0, 6)

    @composite
    def leaky_relu(self, neg_slope: float = 0.01) -> Self:
        """x where x > 0, else neg_slope * x."""
        return (self > 0).where(self, self * neg_slope)

    @composite
    def sigmoid(self) -> Self:
        """1 / (1 + exp(-x))."""
        x = self._floating()
        positive = x >= 0
        small = positive.where(-x, x).exp()
        return positive.where(1, small) / (1 + small)

    @composite
    def logsigmoid(self) -> Self:
        """log(sigmoid(x)), accurate for large negative x."""
        return -(-self).softplus()

    @composite
    def silu(self) -> Self:
        """x * sigmoid(x)."""
        x = self._floating()
        grown, far, beyond = x._growth()
        return far.where(beyond, x / (1 + grown))

    def _growth(self) -> tuple[Self, Self, Self]:
        """exp(-x), but where x is so low that its square could overflow; there, and x exp(x), which loses no digits."""
        far = self < -FAR / 2
        power = far.where(self + SHIFT, -self).exp()
        return power, far, far.where(self * math.exp(-SHIFT), 0) * power

    def swish(self) -> Self:
        """Another name of silu()."""
        return self.silu()

    @composite
    def gelu(self, approximate: str = "tanh") -> Self:
        """x times the normal distribution function of x.

        tanh   0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
        none   0.5 x (1 + erf(x / sqrt(2)))
        """
        if approximate not in ("tanh", "none"):
            raise ArgumentError(f"gelu() knows the forms 'tanh' and 'none', got {approximate!r}")
        x = self._floating()
        if approximate == "none":
            return 0.5 * x * (1 + (x * math.sqrt(0.5)).erf())
        return 0.5 * x * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)).tanh())

    @composite
    def quick_gelu(self) -> Self:
        """x * sigmoid(1.702 x)."""
        return self * (self * 1.702).sigmoid()

    @composite
    def elu(self, alpha: float = 1.0) -> Self:
        """x where x > 0, else alpha (exp(x) - 1)."""
        x = self._floating()
        curved = x <= 0  # NaN is not: its slope is 1
        return curved.where(alpha * curved.where(x, 0).expm1(), x)

    @composite
    def celu(self, alpha: float = 1.0) -> Self:
        """x where x > 0, else alpha (exp(x / alpha) - 1)."""
        x = self._floating()
        curved = x <= 0
        return curved.where(alpha * (curved.where(x, 0) / alpha).expm1(), x)

    @composite
    def selu(self, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Self:
        """gamma * elu(x, alpha), which keeps mean 0 and variance 1."""
        return gamma * self.elu(alpha)

    @composite
    def softplus(self, beta: float = 1.0) -> Self:
        """log(1 + exp(beta x)) / beta."""
        x = self._floating() * beta
        positive = x >= 0
        return (positive.where(x, 0) + positive.where(-x, x).exp().log1p()) / beta

    @composite
    def mish(self) -> Self:
        """x * tanh(softplus(x)), which is x / (1 + e - e / (1 + 2 e)) with e = exp(-x)."""
        x = self._floating()
        grown, far, beyond = x._growth()
        return far.where(beyond, x / (grown + (1 - grown / (1 + 2 * grown))))

    @composite
    def softsign(self) -> Self:
        """x / (1 + |x|)."""
        return self / (1 + self.abs())

    @composite
    def hardtanh(self, min_val: float = -1, max_val: float = 1) -> Self:
        """x limited to at least min_val and at most max_val; its gradient at both is 0."""
        raised = (self <= min_val).where(min_val, self._where_a_number())
        return (raised >= max_val).where(max_val, raised)

    @composite
    def hardsigmoid(self, alpha: float = 1 / 6, beta: float = 0.5) -> Self:
        """alpha x + beta limited to 0 .. 1."""
        return (self._where_a_number() * alpha + beta).hardtanh(0, 1)

    @composite
    def hardswish(self) -> Self:
        """x * relu6(x + 3) / 6."""
        return self * (self + 3).relu6() * (1 / 6)

    @composite
    def tanhshrink(self) -> Self:
        """x - tanh(x)."""
        return self - self.tanh()

    @composite
    def hardshrink(self, lambd: float = 0.5) -> Self:
        """x where |x| > lambd, else 0."""
        return (self.abs() <= lambd).where(0, self._where_a_number())

    @composite
    def softshrink(self, lambd: float = 0.5) -> Self:
        """x moved by lambd towards 0, and 0 where |x| <= lambd; NaN stays NaN."""
        return (self > lambd).where(self - lambd, (self < -lambd).where(self + lambd, self * 0))

    @composite
    def threshold(self, threshold: float, value: float) -> Self:
        """x where x > threshold, else value."""
        return (self <= threshold).where(value, self)
