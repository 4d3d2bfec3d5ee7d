"""Losses as modules.

Comes in: what the functions of nn.functional take beside predictions and targets; weights are part of the state.
Goes out: modules called with predictions and targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.nn import functional as F
from kernelforge.nn.functional.options import reduction_of
from kernelforge.nn.linear import Linear
from kernelforge.nn.module import Module
from kernelforge.tensor import Tensor

Old = bool | None  # torch's former ways to say the reduction


class _Loss(Module):
    """A module that calls a loss with arguments it keeps as attributes."""

    function: ClassVar[Callable[..., Tensor]]
    _arguments: tuple[str, ...] = ()
    reduction: str

    def _keep(self, reduction: str, size_average: Old = None, reduce: Old = None, **arguments: Any) -> None:
        self.reduction = reduction_of(reduction, size_average, reduce)
        self._arguments = tuple(arguments)
        for name, value in arguments.items():
            setattr(self, name, value)

    def forward(self, *inputs: Any) -> Tensor:
        """The loss of predictions and targets, without dimensions unless reduction is "none"."""
        attributes = vars(self)
        given = {name: attributes[name] for name in self._arguments}
        return type(self).function(*inputs, **given, reduction=self.reduction)


class L1Loss(_Loss):
    """nn.functional.l1_loss() as a module."""

    function = staticmethod(F.l1_loss)

    def __init__(self, size_average: Old = None, reduce: Old = None, reduction: str = "mean") -> None:
        self._keep(reduction, size_average, reduce)


class MSELoss(_Loss):
    """nn.functional.mse_loss() as a module."""

    function = staticmethod(F.mse_loss)

    def __init__(self, size_average: Old = None, reduce: Old = None, reduction: str = "mean") -> None:
        self._keep(reduction, size_average, reduce)


class SmoothL1Loss(_Loss):
    """nn.functional.smooth_l1_loss() as a module."""

    function = staticmethod(F.smooth_l1_loss)

    def __init__(
        self,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        self._keep(reduction, size_average, reduce, beta=beta)


class HuberLoss(_Loss):
    """nn.functional.huber_loss() as a module."""

    function = staticmethod(F.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self._keep(reduction, delta=delta)


class KLDivLoss(_Loss):
    """nn.functional.kl_div() as a module."""

    function = staticmethod(F.kl_div)

    def __init__(
        self,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        self._keep(reduction, size_average, reduce, log_target=log_target)


class SoftMarginLoss(_Loss):
    """nn.functional.soft_margin_loss() as a module."""

    function = staticmethod(F.soft_margin_loss)

    def __init__(self, size_average: Old = None, reduce: Old = None, reduction: str = "mean") -> None:
        self._keep(reduction, size_average, reduce)


class MultiLabelMarginLoss(_Loss):
    """nn.functional.multilabel_margin_loss() as a module."""

    function = staticmethod(F.multilabel_margin_loss)

    def __init__(self, size_average: Old = None, reduce: Old = None, reduction: str = "mean") -> None:
        self._keep(reduction, size_average, reduce)


class HingeEmbeddingLoss(_Loss):
    """nn.functional.hinge_embedding_loss() as a module."""

    function = staticmethod(F.hinge_embedding_loss)

    def __init__(
        self,
        margin: float = 1.0,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, margin=margin)


class MarginRankingLoss(_Loss):
    """nn.functional.margin_ranking_loss() as a module."""

    function = staticmethod(F.margin_ranking_loss)

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, margin=margin)


class CosineEmbeddingLoss(_Loss):
    """nn.functional.cosine_embedding_loss() as a module."""

    function = staticmethod(F.cosine_embedding_loss)

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, margin=margin)


class TripletMarginLoss(_Loss):
    """nn.functional.triplet_margin_loss() as a module."""

    function = staticmethod(F.triplet_margin_loss)

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, margin=margin, p=p, eps=eps, swap=swap)


class PoissonNLLLoss(_Loss):
    """nn.functional.poisson_nll_loss() as a module."""

    function = staticmethod(F.poisson_nll_loss)

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Old = None,
        eps: float = 1e-8,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, log_input=log_input, full=full, eps=eps)


class GaussianNLLLoss(_Loss):
    """nn.functional.gaussian_nll_loss() as a module."""

    function = staticmethod(F.gaussian_nll_loss)

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        self._keep(reduction, full=full, eps=eps)


class TripletMarginWithDistanceLoss(_Loss):
    """nn.functional.triplet_margin_with_distance_loss() as a module."""

    function = staticmethod(F.triplet_margin_with_distance_loss)

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, distance_function=distance_function, margin=margin, swap=swap)


class CTCLoss(_Loss):
    """nn.functional.ctc_loss() as a module."""

    function = staticmethod(F.ctc_loss)

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        self._keep(reduction, blank=blank, zero_infinity=zero_infinity)


class BCELoss(_Loss):
    """nn.functional.binary_cross_entropy() as a module."""

    function = staticmethod(F.binary_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, weight=weight)


class BCEWithLogitsLoss(_Loss):
    """nn.functional.binary_cross_entropy_with_logits() as a module."""

    function = staticmethod(F.binary_cross_entropy_with_logits)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        self._keep(reduction, size_average, reduce, weight=weight, pos_weight=pos_weight)


class MultiLabelSoftMarginLoss(_Loss):
    """nn.functional.multilabel_soft_margin_loss() as a module."""

    function = staticmethod(F.multilabel_soft_margin_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, weight=weight)


class MultiMarginLoss(_Loss):
    """nn.functional.multi_margin_loss() as a module."""

    function = staticmethod(F.multi_margin_loss)

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: Old = None,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, p=p, margin=margin, weight=weight)


class NLLLoss(_Loss):
    """nn.functional.nll_loss() as a module."""

    function = staticmethod(F.nll_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        ignore_index: int = -100,
        reduce: Old = None,
        reduction: str = "mean",
    ) -> None:
        self._keep(reduction, size_average, reduce, weight=weight, ignore_index=ignore_index)


class CrossEntropyLoss(_Loss):
    """nn.functional.cross_entropy() as a module."""

    function = staticmethod(F.cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Old = None,
        ignore_index: int = -100,
        reduce: Old = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self._keep(
            reduction,
            size_average,
            reduce,
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )


class NLLLoss2d(NLLLoss):
    """NLLLoss, by a name torch had for it."""


class LinearCrossEntropyLoss(Module):
    """CrossEntropyLoss behind a Linear layer of its own.

    linear   Linear(in_features, num_classes * prod(out_features))
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise ShapeError(f"class weights of shape {weight.shape} for {num_classes} classes")
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"label_smoothing is a share from 0 to 1, got {label_smoothing}")
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.linear = Linear(in_features, math.prod(out_features, start=num_classes), bias, device, dtype)
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing
        self.weight = weight

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of features [N, in_features] and classes [N, *out_features], or their probabilities.

        raises ShapeError
        """
        outer, bias = (self.num_classes, *self.out_features), self.linear.bias
        return F.linear_cross_entropy(
            input, self.linear.weight.reshape(*outer, -1), target, weight=self.weight,
            linear_bias=None if bias is None else bias.reshape(*outer),
            reduction=self.reduction, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing,
        )  # fmt: skip
