"""Mixed precision training: autocast(), and scaling that keeps float16 gradients from vanishing.

Comes in: losses, optimisers.  Goes out: scaled losses; steps on gradients that are scaled back, or none where one is
infinite.
"""

from __future__ import annotations

from typing import Any

from kernelforge.optim.optimizer import Optimizer
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.autocast import autocast

__all__ = ["GradScaler", "autocast"]


class GradScaler:
    """Multiplies losses by a factor that grows while gradients stay finite, and shrinks when one does not.

        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    init_scale, growth_factor, backoff_factor, growth_interval   the factor at first, its changes, and how many finite
                                                                 steps it takes to grow
    enabled                                                      False: losses and steps are left alone
    """

    def __init__(
        self,
        device: str | None = None,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if growth_factor <= 1.0 or not 0 < backoff_factor < 1.0:
            raise ValueError("The growth factor must be > 1.0, the backoff factor < 1.0.")
        self._scale, self._growth_tracker, self._enabled = init_scale, 0, enabled
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        self._found: dict[int, bool] = {}
        self._factor = Tensor([init_scale])

    def scale(self, outputs: Any) -> Any:
        """A loss, or several, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs.cast(outputs.dtype.arithmetic) * self._factor.reshape(())
        return type(outputs)(self.scale(each) for each in outputs)

    @no_grad()
    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide an optimiser's gradients by the factor, for example to limit them; once before each step.

        raises RuntimeError the second time
        """
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        inverse, finite = 1.0 / self._factor.reshape(()), None
        given = [tensor for tensor in optimizer.params if tensor.grad is not None]
        for tensor in given:
            assert tensor.grad is not None
            tensor.grad = (tensor.grad.cast(tensor.dtype.arithmetic) * inverse).contiguous()
            one = tensor.grad.isfinite().all()
            finite = one if finite is None else finite & one
        if finite is not None:
            finite.realize(*[tensor.grad for tensor in given if tensor.grad is not None])
        self._found[id(optimizer)] = finite is not None and not finite.item()

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """The optimiser's step on gradients scaled back, unless one of them is infinite or no number."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Change the factor after a step, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif any(self._found.values()):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._found = {}
        self._factor.replace(Tensor([self._scale]))

    def get_scale(self) -> float:
        """The factor."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The factor and what it changes by."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval, "_growth_tracker": self._growth_tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what state_dict() gave."""
        if self._enabled:
            self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
            self._growth_interval, self._growth_tracker = state_dict["growth_interval"], state_dict["_growth_tracker"]
            self._scale = float(state_dict["scale"])
            self._factor.replace(Tensor([self._scale]))
