"""Averages of a model's parameters over training: equal weights, or exponential ones.

Comes in: a model that is trained.  Goes out: a model whose parameters are averages, updated in a few launches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from kernelforge.nn.module import Module
from kernelforge.nn.normalisation import BatchNorm
from kernelforge.nn.parameter import Buffer
from kernelforge.optim.optimizer import Optimizer
from kernelforge.optim.schedulers import LRScheduler, per_group
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.composite import composite

Averaging = Callable[[Tensor, Tensor, Tensor], Tensor]


@composite
def _swa(average: Tensor, new: Tensor, count: Tensor) -> Tensor:
    """The mean of one more value."""
    return average + (new - average) / (count + 1).cast(average.dtype)


@composite
def _ema(average: Tensor, new: Tensor, decay: float) -> Tensor:
    """decay * average + (1 - decay) * new."""
    return average * decay + new * (1 - decay)


def get_swa_avg_fn() -> Averaging:
    """The function that makes a mean of all values."""
    return _swa


def get_ema_avg_fn(decay: float = 0.999) -> Averaging:
    """The function that makes an exponential average."""
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")
    return lambda average, new, count: _ema(average, new, decay)


def _of_lists(average: Averaging) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    def update(averages: list[Tensor], values: list[Tensor], count: Tensor) -> None:
        for mean, value in zip(averages, values):
            mean.assign(average(mean.detach(), value.detach(), count).cast(mean.dtype))

    return update


def get_swa_multi_avg_fn() -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """get_swa_avg_fn() of lists, in place."""
    return _of_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """get_ema_avg_fn() of lists, in place."""
    return _of_lists(get_ema_avg_fn(decay))


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's.

    n_averaged    how many were averaged
    use_buffers   average the buffers as well, instead of copying them

    source  Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018
    """

    def __init__(
        self,
        model: Module,
        device: str | None = None,
        avg_fn: Averaging | None = None,
        multi_avg_fn: Callable[[list[Tensor], list[Tensor], Tensor], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.n_averaged = Buffer(Tensor(np.zeros((), np.int64)))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers
        self._started = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the averaged model."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Average a model's parameters in."""
        averages, values = list(self.module.parameters()), list(model.parameters())
        others = list(zip(self.module.buffers(), model.buffers()))
        if self.use_buffers:
            averages, values = averages + [x for x, _ in others], values + [y for _, y in others]
        pairs = zip(averages, values)
        values = [value if value.device == mean.device else value.to(mean.device) for mean, value in pairs]
        if not self._started and not int(self.n_averaged.item()):
            for mean, value in zip(averages, values):
                mean.assign(value.detach().cast(mean.dtype))
        else:
            self._averaged(averages, values)
        self._started = True
        for own, other in [] if self.use_buffers else others:
            own.assign(other.detach())
        self.n_averaged.assign(self.n_averaged + 1)
        self.n_averaged.realize(*averages, *self.module.buffers())

    def _averaged(self, averages: list[Tensor], values: list[Tensor]) -> None:
        floats = [(mean, value) for mean, value in zip(averages, values) if mean.is_floating_point()]
        for mean, value in zip(averages, values):
            if not mean.is_floating_point():
                mean.assign(value.detach())
        update = self.multi_avg_fn or _of_lists(self.avg_fn or get_swa_avg_fn())
        update([mean for mean, _ in floats], [value for _, value in floats], self.n_averaged)


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: str | None = None) -> None:
    """Give the batch norms of a model the statistics of all of a loader's data."""
    norms = [module for module in model.modules() if isinstance(module, BatchNorm) and module.running_mean is not None]
    if not norms:
        return
    kept = [norm.momentum for norm in norms]
    was = model._mode
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for batch in loader:
        x = batch[0] if isinstance(batch, list | tuple) else batch
        model(x if device is None else x.to(device))
        Tensor.realize(*[tensor for norm in norms for tensor in norm.buffers()])
    for norm, momentum in zip(norms, kept):
        norm.momentum = momentum
    for module in model.modules():
        module._mode = was


class SWALR(LRScheduler):
    """The learning rate goes to swa_lr in anneal_epochs steps, along a cosine or a line, and stays there."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear") or anneal_epochs < 0:
            raise ValueError(f"SWALR with anneal_strategy={anneal_strategy!r}, anneal_epochs={anneal_epochs}")
        for group, rate in zip(optimizer.param_groups, per_group(swa_lr, optimizer, "swa_lr")):
            group["swa_lr"] = rate
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How far the learning rate has gone after a number of steps."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self.anneal_strategy == "cos" else t

    def get_lr(self) -> list[float]:
        """Between the first ones and swa_lr, by the present ones."""
        step = self.last_epoch - (self.anneal_epochs == 0)
        before, now = self._share(max(0, step - 1)), self._share(max(0, step))
        if self.anneal_epochs == 0:
            before, now = 0.0, 1.0
        rates = []
        for rate, group in zip(self._now(), self.optimizer.param_groups):
            target = group["swa_lr"]
            first = target if before == 1 else (rate - before * target) / (1 - before)
            rates.append(target * now + first * (1 - now))
        return rates
