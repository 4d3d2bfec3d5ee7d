"""Loss functions as modules.

Comes in: what the tensor's loss methods take beside prediction and target.  Goes out: modules called with both.
"""

from __future__ import annotations

from typing import Any

from kernelforge.nn.module import Module
from kernelforge.tensor import Tensor


class _Loss(Module):
    """A module that calls one loss method of the prediction."""

    method: str

    def __init__(self, reduction: str = "mean", **arguments: Any) -> None:
        self.arguments = {"reduction": reduction, **arguments}

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of a prediction, without dimensions unless reduction is "none"."""
        return getattr(prediction, self.method)(target, **self.arguments)


class CrossEntropyLoss(_Loss):
    """Tensor.cross_entropy as a module."""

    method = "cross_entropy"

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing)


class NLLLoss(_Loss):
    """Tensor.nll_loss as a module."""

    method = "nll_loss"

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index)


class MSELoss(_Loss):
    """Tensor.mse_loss as a module."""

    method = "mse_loss"


class L1Loss(_Loss):
    """Tensor.l1_loss as a module."""

    method = "l1_loss"


class HuberLoss(_Loss):
    """Tensor.huber_loss as a module."""

    method = "huber_loss"

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction, delta=delta)


class SmoothL1Loss(_Loss):
    """Tensor.smooth_l1_loss as a module."""

    method = "smooth_l1_loss"

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction, beta=beta)


class KLDivLoss(_Loss):
    """Tensor.kl_div as a module."""

    method = "kl_div"

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction, log_target=log_target)


class BCELoss(_Loss):
    """Tensor.binary_crossentropy as a module."""

    method = "binary_crossentropy"


class BCEWithLogitsLoss(_Loss):
    """Tensor.binary_crossentropy_logits as a module."""

    method = "binary_crossentropy_logits"

    def __init__(self, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(reduction, pos_weight=pos_weight)
