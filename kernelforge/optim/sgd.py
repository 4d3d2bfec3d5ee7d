"""Stochastic gradient descent.

Comes in: parameters, learning rate, momentum, weight decay.  Goes out: `SGD`.
"""

from __future__ import annotations

from collections.abc import Iterable

from kernelforge.optim.optimizer import Optimizer, check_not_negative
from kernelforge.tensor import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

        g = grad + weight_decay * p
        b = momentum * b + g
        p = p - lr * b                       nesterov: p - lr * (g + momentum * b)

    source  torch.optim.SGD with dampening 0
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.001,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr)
        if nesterov and not momentum:
            raise ValueError("SGD with nesterov=True needs a momentum")
        check_not_negative(self, momentum=momentum, weight_decay=weight_decay)
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov
        self.b = self._like() if momentum else []

    def _state(self) -> list[Tensor]:
        return self.b

    def _updated(self, place: int, value: Tensor, gradient: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self.weight_decay:
            gradient = gradient + value * self.weight_decay
        if not self.momentum:
            return value - self._lr * gradient, []
        velocity = self.b[place]
        velocity.assign(velocity * self.momentum + gradient)
        direction = gradient + velocity * self.momentum if self.nesterov else velocity
        return value - self._lr * direction, [velocity]
