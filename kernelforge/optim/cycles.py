"""Schedules that go up and down, of the learning rate and of the momentum against it.

Comes in: an optimiser.  Goes out: schedulers, stepped after each batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from kernelforge.errors import ArgumentError
from kernelforge.optim.optimizer import Optimizer
from kernelforge.optim.schedulers import LRScheduler, per_group


def _momentum(group: dict[str, Any]) -> float:
    """A group's momentum, or the first of its betas."""
    return float(group["betas"][0] if "betas" in group else group["momentum"])


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _check_momentum(optimizer: Optimizer) -> None:
    """raises ValueError"""
    if any("momentum" not in group and "betas" not in group for group in optimizer.param_groups):
        raise ArgumentError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")


class CyclicLR(LRScheduler):
    """The learning rate goes from base_lr to max_lr and back, in lines.

    mode       "triangular"; "triangular2": half as high each time; "exp_range": gamma^step as high
    scale_fn   instead: the height as a function of the cycle's number, or, with scale_mode "iterations", of the step's

    source  Smith, "Cyclical Learning Rates for Training Neural Networks", 2017
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ArgumentError("mode is invalid and scale_fn is None")
        first = per_group(base_lr, optimizer, "base_lr")
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, first):
                group["lr"] = rate
        self.max_lrs = per_group(max_lr, optimizer, "max_lr")
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.cycle_momentum = mode, gamma, cycle_momentum
        self.scale_fn, self.scale_mode = scale_fn, scale_mode if scale_fn is not None else "cycle"
        if scale_fn is None and mode == "exp_range":
            self.scale_mode = "iterations"
        if cycle_momentum:
            _check_momentum(optimizer)
            self.base_momentums = per_group(base_momentum, optimizer, "base_momentum")
            self.max_momentums = per_group(max_momentum, optimizer, "max_momentum")
            for group, momentum in zip(optimizer.param_groups, self.max_momentums):
                _set_momentum(group, momentum)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = first

    def _scale(self, x: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(x)
        return {"triangular": 1.0, "triangular2": 1 / 2.0 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self) -> list[float]:
        """By the place in the cycle; sets the momentum as well."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        place = 1.0 + self.last_epoch / self.total_size - cycle
        share = place / self.step_ratio if place <= self.step_ratio else (place - 1) / (self.step_ratio - 1)
        height = share * self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            pairs = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums)
            for group, low, high in pairs:
                _set_momentum(group, high - (high - low) * height)
        return [base + (most - base) * height for base, most in zip(self.base_lrs, self.max_lrs)]


class _Phase(NamedTuple):
    """A part of a one-cycle schedule: its last step, and what the learning rate and the momentum go from and to."""

    end: float
    rates: tuple[str, str]
    momentums: tuple[str, str]


class OneCycleLR(LRScheduler):
    """The learning rate goes from max_lr / div_factor to max_lr and down to far below, once in all steps.

    total_steps   all steps; or epochs times steps_per_epoch
    pct_start     the share of them in which it grows
    three_phase   it first returns to where it began, then goes below

    source  Smith and Topin, "Super-Convergence", 2018
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        if total_steps <= 0 or not 0 <= pct_start <= 1 or anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"OneCycleLR with total_steps={total_steps}, pct_start={pct_start}, anneal_strategy="
                f"{anneal_strategy!r}: steps above 0, a share from 0 to 1, and 'cos' or 'linear'"
            )
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        up = float(pct_start * total_steps) - 1
        rise = _Phase(up, ("initial_lr", "max_lr"), ("max_momentum", "base_momentum"))
        last = total_steps - 1
        if three_phase:
            back = _Phase(
                float(2 * pct_start * total_steps) - 2, ("max_lr", "initial_lr"), ("base_momentum", "max_momentum")
            )
            fall = _Phase(last, ("initial_lr", "min_lr"), ("max_momentum", "max_momentum"))
            self._phases = [rise, back, fall]
        else:
            self._phases = [rise, _Phase(last, ("max_lr", "min_lr"), ("base_momentum", "max_momentum"))]
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, per_group(max_lr, optimizer, "max_lr")):
                group["lr"] = group["initial_lr"] = rate / div_factor
                group.update(max_lr=rate, min_lr=rate / div_factor / final_div_factor)
        if cycle_momentum:
            _check_momentum(optimizer)
            low = per_group(base_momentum, optimizer, "base_momentum")
            high = per_group(max_momentum, optimizer, "max_momentum")
            for group, least, most in zip(optimizer.param_groups, low, high) if last_epoch == -1 else ():
                _set_momentum(group, most)
                group.update(base_momentum=least, max_momentum=most)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[float]:
        """By the place in its phase; sets the momentum as well.

        raises ValueError behind the last step
        """
        step = self.last_epoch
        if step > self.total_steps:
            raise ArgumentError(f"Tried to step {step} times. The number of total steps is {self.total_steps}")
        begin = 0.0
        for phase in self._phases:
            if step <= phase.end or phase is self._phases[-1]:
                break
            begin = phase.end
        share = (step - begin) / (phase.end - begin)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                first, then = (group[name] for name in phase.momentums)
                _set_momentum(group, self._between(first, then, share))
        return [self._between(group[phase.rates[0]], group[phase.rates[1]], share) for group in groups]
