"""Schedules made of others, and one that follows a measured value.

Comes in: an optimiser, schedules of it, or values.  Goes out: schedulers.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from kernelforge.errors import ArgumentError
from kernelforge.optim.optimizer import Optimizer
from kernelforge.optim.schedulers import LRScheduler, per_group, value_of


class _Combined(LRScheduler):
    """What schedules made of others share."""

    _schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, with the others' states."""
        state = {name: value for name, value in super().state_dict().items() if name != "_schedulers"}
        return {**state, "_schedulers": [each.state_dict() for each in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what state_dict() gave."""
        state = dict(state_dict)
        for each, inner in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            each.load_state_dict(inner)
        super().load_state_dict(state)


class SequentialLR(_Combined):
    """One schedule after another, the next at each milestone."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                f"Sequential Schedulers expects number of schedulers provided to be one more than the number of "
                f"milestone points, but got number of schedulers {len(schedulers)} and milestones {len(milestones)}"
            )
        if any(each.optimizer is not optimizer for each in schedulers):
            raise ArgumentError("Sequential Schedulers expects all schedulers to belong to the same optimizer")
        self.optimizer, self._schedulers, self._milestones = optimizer, schedulers, milestones
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._undo(self)
        schedulers[0]._begin()
        self._last_lr = schedulers[0].get_last_lr()

    def _undo(self, schedule: LRScheduler) -> None:
        """Take back the first step of schedules, which they made when they were made."""
        inner = getattr(schedule, "_schedulers", None)
        if inner is None:
            schedule.last_epoch -= 1
        for each in inner or ():
            self._undo(each)

    def step(self, epoch: int | None = None) -> None:
        """Step the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[turn]
        schedule.step(0) if turn and self._milestones[turn - 1] == self.last_epoch else schedule.step()
        self._last_lr = schedule.get_last_lr()


class ChainedScheduler(_Combined):
    """Several schedules at once; each changes what the one before it has set."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise ArgumentError("ChainedScheduler expects at least one scheduler to be chained, but got no scheduler.")
        self.optimizer = optimizer or schedulers[0].optimizer
        if any(each.optimizer is not self.optimizer for each in schedulers):
            raise ArgumentError("ChainedScheduler expects all schedulers to belong to the same optimizer")
        self._schedulers = list(schedulers)
        self._last_lr = [value_of(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        """Step them all."""
        for each in self._schedulers:
            each.step()
        self._last_lr = [value_of(group["lr"]) for group in self.optimizer.param_groups]


class ReduceLROnPlateau(LRScheduler):
    """The learning rate is multiplied by factor when a value has not improved for `patience` steps.

    mode        "min": smaller is better; "max": larger
    threshold   how much better counts, as a share (threshold_mode "rel") or as it is ("abs")
    cooldown    steps after a change in which none is counted
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ArgumentError("Factor should be < 1.0.")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"mode {mode} or threshold mode {threshold_mode} is unknown!")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.min_lrs = per_group(min_lr, optimizer, "min_lr")
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._now()

    @property
    def in_cooldown(self) -> bool:
        """True for `cooldown` steps after a change."""
        return self.cooldown_counter > 0

    def is_better(self, value: float, best: float) -> bool:
        """True if a value improves on the best so far."""
        sign = 1 if self.mode == "max" else -1
        margin = best * (1 + sign * self.threshold) if self.threshold_mode == "rel" else best + sign * self.threshold
        return value > margin if self.mode == "max" else value < margin

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Look at a new value."""
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(value, self.best):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._now()

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs):
            old = value_of(group["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                group["lr"] = new
