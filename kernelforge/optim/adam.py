"""Adam and AdamW.

Comes in: parameters, learning rate, decay rates of the averages.  Goes out: `Adam`, `AdamW`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from kernelforge.optim.optimizer import Optimizer, check_not_negative, stored
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import composite


class Adam(Optimizer):
    """Gradient descent with averages of the gradient and of its square.

        g = grad + weight_decay * p
        m = b1 * m + (1 - b1) * g            v = b2 * v + (1 - b2) * g^2
        p = p - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    weight_decay   0 when None; 0.01 for AdamW
    betas          (b1, b2), as torch spells them

    source  Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1
    """

    decoupled = False
    default_decay = 0.0

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.001,
        b1: float = 0.9,
        b2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float | None = None,
        betas: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(params, lr)
        self.b1, self.b2 = betas or (b1, b2)
        self.eps, self.weight_decay = eps, self.default_decay if weight_decay is None else weight_decay
        check_not_negative(self, b1=self.b1, b2=self.b2, eps=eps, weight_decay=self.weight_decay)
        if max(self.b1, self.b2) >= 1:
            raise ValueError(f"{type(self).__name__} with betas {self.b1, self.b2}: they must be below 1")
        self.m, self.v = self._like(), self._like()
        self.t = stored((), 0.0, self.device)

    def _shared(self) -> list[Tensor]:
        self.t.assign(self.t + 1)
        return [self.t]

    def _state(self) -> list[Tensor]:
        return [*self.m, *self.v, self.t]

    def _updated(self, place: int, value: Tensor, gradient: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self.weight_decay and not self.decoupled:
            gradient = gradient + value * self.weight_decay
        m, v = self.m[place], self.v[place]
        m.assign(_averaged(m, gradient, self.b1))
        v.assign(_averaged(v, gradient.square(), self.b2))
        step = _direction(m, v, self.t, self.b1, self.b2, self.eps)
        return _moved(value, step, self._lr, self.weight_decay if self.decoupled else 0.0), [m, v]


@composite
def _averaged(average: Tensor, new: Tensor, rate: float) -> Tensor:
    """rate * average + (1 - rate) * new."""
    return average * rate + new * (1 - rate)


@composite
def _direction(m: Tensor, v: Tensor, t: Tensor, b1: float, b2: float, eps: float) -> Tensor:
    """The averages without their bias towards their start at 0, divided; one division for each element."""
    return m * (1 / _correction(t, b1)) / (v.sqrt() * _correction(t, b2).rsqrt() + eps)


def _correction(t: Tensor, rate: float) -> Tensor:
    """1 - rate^t, without the cancellation of that form."""
    return -(t * math.log(rate)).expm1() if rate else Tensor(1.0)


@composite
def _moved(value: Tensor, step: Tensor, lr: Tensor, weight_decay: float) -> Tensor:
    """The value after weight decay and a step against the direction."""
    return value * (1 - lr * weight_decay) - lr * step if weight_decay else value - lr * step


class AdamW(Adam):
    """Adam whose weight decay acts on the parameters, p * (1 - lr * weight_decay), not on the gradients.

    source  Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2
    """

    decoupled = True
    default_decay = 0.01
