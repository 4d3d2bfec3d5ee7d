"""Loss functions that compare with margins and distributions: torch's less common ones.

Comes in: predictions and targets.  Goes out: a number, or one for each element with reduction="none".
"""

from __future__ import annotations

import math
from typing import Self

from kernelforge.errors import DTypeError, ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.losses import Losses
from kernelforge.tensor.scatter import from_front_only


class Margins(Losses):
    """Loss functions, methods of the prediction or the first of several."""

    __slots__ = ()

    @composite
    def hinge_embedding_loss(self, target: Self, margin: float = 1.0, reduction: str = "mean") -> Self:
        """self where the target is 1, max(0, margin - self) where it is -1."""
        near = target.eq(-1).where(0, self)
        return (near + target.eq(1).where(0, (margin - self).clamp(0)))._loss(reduction)

    @composite
    def margin_ranking_loss(self, other: Self, target: Self, margin: float = 0.0, reduction: str = "mean") -> Self:
        """max(0, margin - target (self - other)): target 1 wants self to be larger, -1 other."""
        return (-target * (self - other) + float(margin)).clamp(0)._loss(reduction)

    @composite
    def soft_margin_loss(self, target: Self, reduction: str = "mean") -> Self:
        """log(1 + exp(-target self)) for targets of 1 and -1."""
        return (-self._same_shape(target, "soft_margin_loss") * self).softplus()._loss(reduction)

    @composite
    def cosine_embedding_loss(self, other: Self, target: Self, margin: float = 0.0, reduction: str = "mean") -> Self:
        """1 - c where the target is 1, max(0, c - margin) where it is -1, c being the cosine of vectors' angle.

            self, other [N, D] or [D]; target [N] or []
        """
        x, y = self._wide(), other._wide()
        tiny = 1e-12
        lengths = (x.square().sum(-1) + tiny) * (y.square().sum(-1) + tiny)
        cosine = (x * y).sum(-1) / lengths.sqrt()
        far = target.eq(-1).where((cosine - margin).clamp(0), 0)
        return target.eq(1).where(1 - cosine, far).cast(self._floating().dtype)._loss(reduction)

    @composite
    def triplet_margin_loss(
        self,
        positive: Self,
        negative: Self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> Self:
        """max(0, |self - positive| - |self - negative| + margin), with p-norms over the last dimension.

        swap   take |positive - negative| where it is smaller than |self - negative|
        """
        near, far = self.pairwise_distance(positive, p, eps), self.pairwise_distance(negative, p, eps)
        if swap:
            far = far.minimum(positive.pairwise_distance(negative, p, eps))
        return (near - far + margin).clamp(0)._loss(reduction)

    @composite
    def multi_margin_loss(
        self, target: Self, p: int = 1, margin: float = 1.0, weight: Self | None = None, reduction: str = "mean"
    ) -> Self:
        """sum_j max(0, margin - self[target] + self[j])^p / C over the other classes j, for scores [N, C] or [C].

        weight   [C] a factor for each target's class

        raises ShapeError, DTypeError, and IndexError when the values are next synchronised
        """
        if not self.ndim:
            return self.reshape(1).multi_margin_loss(target.reshape(()), p, margin, weight, reduction)
        if self.ndim > 2 or not self.shape[-1] or target.shape != self.shape[:-1]:
            raise ShapeError(f"multi_margin_loss of {self.shape} and {target.shape}: scores are [N, C], targets [N]")
        if weight is not None and weight.shape != self.shape[-1:]:
            raise ShapeError(f"multi_margin_loss of {self.shape} takes a weight for each class, got {weight.shape}")
        if not target.dtype.is_int:
            raise DTypeError(f"multi_margin_loss of {self.dtype}: targets are integers, got {target.dtype}")
        places = from_front_only(target, self.shape[-1]).unsqueeze(-1)
        gaps = (margin - self.gather(-1, places) + self).relu()
        gaps = gaps if p == 1 else gaps**p
        if weight is not None:
            gaps = gaps * weight[places]
        others = type(self).arange(self.shape[-1]).ne(places)
        return (others.where(gaps, 0).sum(-1) / self.shape[-1])._loss(reduction)

    @composite
    def multilabel_soft_margin_loss(self, target: Self, weight: Self | None = None, reduction: str = "mean") -> Self:
        """The mean over the last dimension of binary_crossentropy_logits(), each class times its weight."""
        terms = self.binary_crossentropy_logits(target, reduction="none")
        return (terms if weight is None else terms * weight).mean(-1)._loss(reduction)

    @composite
    def poisson_nll_loss(
        self, target: Self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> Self:
        """exp(self) - target self, or self - target log(self + eps) without log_input.

        full   also Stirling's approximation of log(target!), for targets above 1
        """
        loss = self.exp() - target * self if log_input else self - target * (self + eps).log()
        if full:
            above = target > 1
            safe = above.where(target, 2)
            stirling = safe * safe.log() - safe + 0.5 * (safe * (2 * math.pi)).log()
            loss = loss + above.where(stirling, 0)
        return loss._loss(reduction)

    @composite
    def gaussian_nll_loss(
        self, target: Self, var: Self, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
    ) -> Self:
        """(log(var) + (self - target)^2 / var) / 2, var being at least eps; full adds log(2 pi) / 2."""
        if var.shape != self.shape and var.ndim == self.ndim - 1:
            var = var.unsqueeze(-1)
        limited = var + (var.maximum(eps) - var).detach()
        loss = 0.5 * (limited.log() + (self - target).square() / limited)
        return (loss + 0.5 * math.log(2 * math.pi) if full else loss)._loss(reduction)
