"""Learning rate schedules.

Comes in: an optimiser.  Goes out: objects whose step() sets the learning rates of its groups; call it once after each
step, or epoch.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kernelforge.errors import ArgumentError, KindError
from kernelforge.optim.optimizer import Optimizer
from kernelforge.tensor import Tensor

Lambda = Callable[[int], float]


def value_of(lr: Any) -> float:
    return float(lr.item()) if isinstance(lr, Tensor) else float(lr)


class LRScheduler:
    """A schedule.

    base_lrs     the groups' learning rates at first
    last_epoch   how often it was stepped; given to go on, the groups have their "initial_lr"
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise KindError(f"{type(self).__name__} takes an optimiser first, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", value_of(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{i}] when resuming an optimizer")
        self.base_lrs = [value_of(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    def _begin(self) -> None:
        """The first step, which sets the learning rates the schedule begins with."""
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_lr(self) -> list[float]:
        """The groups' learning rates for last_epoch."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The groups' learning rates that are set."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Move on by one, or to a given number of steps."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        form = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        self._set(self.get_lr() if form is None else form())

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates):
            group["lr"] = rate
        self._last_lr = [value_of(group["lr"]) for group in self.optimizer.param_groups]

    def _now(self) -> list[float]:
        """The learning rates as they are."""
        return [value_of(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what state_dict() gave."""
        vars(self).update(state_dict)


def per_group(value: Any, optimizer: Optimizer, name: str) -> list[Any]:
    """One value for each group."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(f"expected {count} values for {name}, got {len(value)}")
    return list(value)


class LambdaLR(LRScheduler):
    """The first learning rate times a function of the number of steps, or a function for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Lambda | list[Lambda], last_epoch: int = -1) -> None:
        self.lr_lambdas = per_group(lr_lambda, optimizer, "lr_lambda")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr_lambda(last_epoch) times the first ones."""
        return [base * factor(self.last_epoch) for factor, base in zip(self.lr_lambdas, self.base_lrs)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and the functions."""
        return {name: value for name, value in super().state_dict().items() if name != "lr_lambdas"}


class MultiplicativeLR(LambdaLR):
    """The learning rate is multiplied by a function of the number of steps at each step."""

    def get_lr(self) -> list[float]:
        """lr_lambda(last_epoch) times the present ones."""
        if self.last_epoch == 0:
            return self._now()
        return [rate * factor(self.last_epoch) for factor, rate in zip(self.lr_lambdas, self._now())]


class StepLR(LRScheduler):
    """The learning rate is multiplied by gamma every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present ones, or gamma times them."""
        changes = self.last_epoch and self.last_epoch % self.step_size == 0
        return [rate * self.gamma if changes else rate for rate in self._now()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """The learning rate is multiplied by gamma at each milestone."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present ones, times gamma for each milestone that is reached."""
        factor = self.gamma ** self.milestones[self.last_epoch]
        return [rate * factor for rate in self._now()]

    def _get_closed_form_lr(self) -> list[float]:
        factor = self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base * factor for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """The learning rate is multiplied by factor for total_iters steps."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ArgumentError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present ones, times the factor at first, divided by it at the end."""
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self._now()]
        return [rate / self.factor if self.last_epoch == self.total_iters else rate for rate in self._now()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * (self.factor if self.last_epoch < self.total_iters else 1) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """The factor grows linearly from start_factor to end_factor in total_iters steps: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ArgumentError("LinearLR takes a start_factor above 0 and at most 1, and an end_factor from 0 to 1")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present ones, changed by the factor's change."""
        if self.last_epoch == 0:
            return [rate * self.start_factor for rate in self._now()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._now()
        gap = self.end_factor - self.start_factor
        change = 1.0 + gap / (self.total_iters * self.start_factor + (self.last_epoch - 1) * gap)
        return [rate * change for rate in self._now()]

    def _get_closed_form_lr(self) -> list[float]:
        share = min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * (self.start_factor + (self.end_factor - self.start_factor) * share) for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """The learning rate is multiplied by gamma at each step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """gamma times the present ones."""
        return [rate if self._is_initial else rate * self.gamma for rate in self._now()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """The factor falls from 1 to 0 in total_iters steps, as (1 - step / total_iters)^power."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present ones, changed by the factor's change."""
        t, n = self.last_epoch, self.total_iters
        if self._is_initial or t > n:
            return self._now()
        return [rate * ((1.0 - t / n) / (1.0 - (t - 1) / n)) ** self.power for rate in self._now()]

    def _get_closed_form_lr(self) -> list[float]:
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """The learning rate follows half a cosine from its first value to eta_min, T_max steps long."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present ones, changed by the cosine's change."""
        t, period, low = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return self._now()
        if (t - 1 - period) % (2 * period) == 0:
            rise = (1 - math.cos(math.pi / period)) / 2
            return [rate + (base - low) * rise for rate, base in zip(self._now(), self.base_lrs)]
        change = (1 + math.cos(math.pi * t / period)) / (1 + math.cos(math.pi * (t - 1) / period))
        return [change * (rate - low) + low for rate in self._now()]

    def _get_closed_form_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """CosineAnnealingLR that starts again after T_0 steps, then after T_mult times as many each time.

    source  Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 <= 0 or T_mult < 1:
            raise ArgumentError(f"CosineAnnealingWarmRestarts with T_0={T_0}, T_mult={T_mult}: both are at least 1")
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur = float(last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """By the place in the present period."""
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Move on by one, or to a given number of steps, also between two."""
        if epoch is None:
            epoch = 0 if self.last_epoch < 0 else self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
            if self._is_initial:
                self.T_cur = float(epoch)
        else:
            if epoch < 0:
                raise ArgumentError(f"Expected non-negative epoch, but got {epoch}")
            self.T_cur, self.T_i = float(epoch), self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())
