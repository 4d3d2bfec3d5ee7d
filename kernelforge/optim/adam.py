"""Adam and AdamW.

Comes in: parameters, learning rate, decay rates of the averages.  Goes out: `Adam`, `AdamW`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from kernelforge.optim.optimizer import Optimizer, check_not_negative, stored
from kernelforge.tensor import Tensor


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

    def _correction(self, rate: float) -> Tensor:
        """1 - rate^t, without the cancellation of that form."""
        return -(self.t * math.log(rate)).expm1() if rate else Tensor(1.0)

    def _updated(self, place: int, value: Tensor, gradient: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self.weight_decay and not self.decoupled:
            gradient = gradient + value * self.weight_decay
        m, v = self.m[place], self.v[place]
        m.assign(m * self.b1 + gradient * (1 - self.b1))
        v.assign(v * self.b2 + gradient * gradient * (1 - self.b2))
        if self.decoupled:
            value = value * (1 - self._lr * self.weight_decay)
        step = (m / self._correction(self.b1)) / ((v / self._correction(self.b2)).sqrt() + self.eps)
        return value - self._lr * step, [m, v]


class AdamW(Adam):
    """Adam whose weight decay acts on the parameters, p * (1 - lr * weight_decay), not on the gradients.

    source  Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2
    """

    decoupled = True
    default_decay = 0.01
