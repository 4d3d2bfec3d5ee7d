"""Learning rate schedules.

Comes in: an optimiser.  Goes out: objects whose step() sets its learning rate; call it once after each step, or epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kernelforge.optim.optimizer import Optimizer


class Scheduler:
    """Sets an optimiser's learning rate to a factor of what it was at first."""

    def __init__(self, optimizer: Optimizer, base_lr: float | None = None) -> None:
        self.optimizer = optimizer
        self.base_lr = float(optimizer.lr.item()) if base_lr is None else base_lr
        self.last_epoch = 0
        self._set()

    def factor(self, epoch: int) -> float:
        """The factor after a number of steps."""
        raise NotImplementedError

    def step(self) -> None:
        """Move on by one."""
        self.last_epoch += 1
        self._set()

    def _set(self) -> None:
        self.last_lr = self.base_lr * self.factor(self.last_epoch)
        self.optimizer.lr = self.last_lr

    def get_last_lr(self) -> list[float]:
        """The learning rate that is set, in a list as torch has it."""
        return [self.last_lr]


class LambdaLR(Scheduler):
    """The factor is a function of the number of steps."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        """lr_lambda(epoch)."""
        return self.lr_lambda(epoch)


class StepLR(Scheduler):
    """The learning rate is multiplied by gamma every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        """gamma ^ (epoch // step_size)."""
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(Scheduler):
    """The learning rate is multiplied by gamma at each milestone."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        """gamma ^ (milestones reached)."""
        return self.gamma ** sum(milestone <= epoch for milestone in self.milestones)


class CosineAnnealingLR(Scheduler):
    """The learning rate follows half a cosine from its first value to eta_min, T_max steps long."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        """Between 1 and eta_min / base_lr."""
        floor = self.eta_min / self.base_lr
        return floor + (1 - floor) * (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class LinearLR(Scheduler):
    """The factor grows linearly from start_factor to end_factor in total_iters steps: a warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        """Between start_factor and end_factor."""
        return self.start_factor + (self.end_factor - self.start_factor) * min(1.0, epoch / self.total_iters)
