"""Loss functions: how far predictions are from targets.

Comes in: predictions and targets.  Goes out: a number, or one for each element with reduction="none".
"""

from __future__ import annotations

from typing import Self

from kernelforge import shape as shapes
from kernelforge.checked import PROBABILITIES
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.neural import Neural
from kernelforge.tensor.scatter import as_index, from_front_only


class Losses(Neural):
    """Loss functions, methods of the prediction."""

    __slots__ = ()

    def _loss(self, reduction: str) -> Self:
        """The elements themselves, their sum or their mean."""
        if reduction not in ("none", "sum", "mean"):
            raise ArgumentError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
        return self.mean() if reduction == "mean" else self.sum() if reduction == "sum" else self

    def _same_shape(self, target: Self, what: str) -> Self:
        """target, checked: a loss never broadcasts.

        raises ShapeError
        """
        target = self._as_tensor(target)
        if target.shape != self.shape:
            raise ShapeError(f"{what} of predictions {self.shape} and targets {target.shape}: the shapes must be equal")
        return target

    @composite
    def cross_entropy(
        self,
        target: Self,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        weight: Self | None = None,
    ) -> Self:
        """-log(softmax(self)[target]) for logits [N, C, ...].

        target            integer classes [N, ...], or probabilities of self's shape
        label_smoothing   the share of the target spread evenly over the classes
        ignore_index      targets that do not count, also not in the mean
        weight            [C] a factor for each class
        raises            IndexError when the values are next synchronised, if a target is out of range and not ignored

        source  torch.nn.functional.cross_entropy
        """
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"label_smoothing is a share from 0 to 1, got {label_smoothing}")
        axis = 0 if self.ndim == 1 else 1
        if target.dtype.is_float:
            if ignore_index >= 0:
                raise ArgumentError(
                    f"ignore_index={ignore_index} is a class, but the targets are probabilities of classes"
                )
            return self._probability_loss(target, axis, reduction, label_smoothing, weight)
        logits = self._wide()
        total = logits._log_of_exponentials(axis)
        value, factor, counts = logits._class_values(target, axis, ignore_index, weight)
        loss = (total - value) * factor
        if label_smoothing:
            smooth = logits._smoothed(total, axis, weight)
            loss = loss * (1 - label_smoothing) + smooth * (label_smoothing / self.shape[axis])
        return loss._reduced_where(factor, counts, reduction).cast(self._floating().dtype)

    def _reduced_where(self, factor: Self, counts: Self, reduction: str) -> Self:
        """Losses reduced where they count, their mean by the sum of factors; the others, also NaN, have no part."""
        loss = counts.where(self, 0)
        return loss.sum() / counts.where(factor, 0).sum() if reduction == "mean" else loss._loss(reduction)

    def _log_of_exponentials(self, axis: int) -> Self:
        """logsumexp() along an axis as log_softmax() has it: NaN where a +inf, or nothing but -inf, is along it."""
        largest = self._largest(axis)
        total = (self - largest).exp()._reduce("add", axis, True, "log_softmax").log() + largest
        return total.reshape(shapes.reduced_shape(self.shape, (axis,), False))

    def _smoothed(self, total: Self, axis: int, weight: Self | None) -> Self:
        """The sum over classes of weighted negative log probabilities; self are logits, total their log-sum-exp."""
        surprise = total.unsqueeze(axis) - self
        return (surprise if weight is None else surprise * self._per_class(weight, axis)).sum(axis)

    def _per_class(self, weight: Self, axis: int) -> Self:
        """A factor for each class, aligned with the axis of classes."""
        if weight.shape != (self.shape[axis],):
            raise ShapeError(f"class weights of shape {weight.shape} for {self.shape[axis]} classes")
        return weight.reshape([-1 if i == axis else 1 for i in range(self.ndim)])

    def _class_values(
        self, target: Self, axis: int, ignore_index: int, weight: Self | None
    ) -> tuple[Self, Self, Self]:
        """The elements at the target classes, each one's weight, and which of them count.

        raises ShapeError, DTypeError
        """
        if not target.dtype.is_int:
            raise DTypeError(
                f"target classes are integers, got {target.dtype}; probabilities are floats of self's shape"
            )
        expected = (*self.shape[:axis], *self.shape[axis + 1 :])
        if target.shape != expected:
            raise ShapeError(f"predictions {self.shape} need target classes of shape {expected}, got {target.shape}")
        target = as_index(target)
        counts = target.ne(ignore_index)
        target = from_front_only(counts.where(target, 0), self.shape[axis])
        values = self.gather(axis, target.unsqueeze(axis)).squeeze(axis)
        if weight is None:
            return values, values.ones_like(), counts
        return values, self._per_class(weight, axis).cast(self.dtype).flatten()[target], counts

    def _probability_loss(self, target: Self, axis: int, reduction: str, smoothing: float, weight: Self | None) -> Self:
        target = self._same_shape(target, "cross_entropy")
        classes = self.shape[axis]
        mixed = target._wide() * (1 - smoothing) + smoothing / classes
        terms = -self._wide().log_softmax(axis) * mixed
        loss = (terms if weight is None else terms * self._per_class(weight, axis)).sum(axis)
        return loss._loss(reduction).cast(self._floating().dtype)

    @composite
    def sparse_categorical_crossentropy(
        self, target: Self, ignore_index: int = -1, label_smoothing: float = 0.0, reduction: str = "mean"
    ) -> Self:
        """cross_entropy() of logits [..., C] with integer classes [...]; the classes are the last dimension."""
        rows = self.reshape(-1, self.shape[-1])
        loss = rows.cross_entropy(target.reshape(-1), reduction, label_smoothing, ignore_index)
        return loss.reshape(target.shape) if reduction == "none" else loss

    @composite
    def nll_loss(
        self, target: Self, weight: Self | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> Self:
        """-self[target] for log probabilities [N, C, ...] and integer classes [N, ...]; weight is per class.

        raises IndexError when the values are next synchronised, if a target is out of range and not ignore_index;
        DTypeError for weights of another type
        """
        if weight is not None and weight.dtype is not self.dtype:
            raise DTypeError(f"nll_loss of {self.dtype} with class weights of {weight.dtype}: cast() them first")
        values, factor, counts = self._class_values(target, 0 if self.ndim == 1 else 1, ignore_index, weight)
        return (-values * factor)._reduced_where(factor, counts, reduction)

    @composite
    def binary_crossentropy(self, target: Self, reduction: str = "mean") -> Self:
        """-(target log(self) + (1 - target) log(1 - self)) for probabilities; logarithms are at least -100.

        raises ValueError when the values are next synchronised, if a probability or target is not in 0 to 1
        """
        target = self._same_shape(target, "binary_crossentropy")
        above, below = self > 0, self < 1
        steep = 1e12  # what torch limits the slopes to, at probabilities that are not told from 0 or 1
        hit = above.where(above.where(self, 1).log().maximum(-100), self * steep - 100)
        miss = below.where((-below.where(self, 0)).log1p().maximum(-100), (1 - self) * steep - 100)
        fits = (self >= 0) & (self <= 1) & (target >= 0) & (target <= 1)
        return (-(target * hit) - (1 - target) * miss)._where_allowed(fits, PROBABILITIES)._loss(reduction)


    @composite
    def binary_crossentropy_logits(self, target: Self, reduction: str = "mean", pos_weight: Self | None = None) -> Self:
        """binary_crossentropy() of sigmoid(self), without overflow; pos_weight scales the loss of positive targets."""
        target = self._same_shape(target, "binary_crossentropy_logits")
        above = self >= 0
        rest = above.where(-self, self).exp().log1p()
        miss, hit = above.where(self, 0) + rest, above.where(0, -self) + rest
        positive = target * hit if pos_weight is None else target * hit * pos_weight
        return (positive + (1 - target) * miss)._loss(reduction)

    @composite
    def mse_loss(self, target: Self, reduction: str = "mean") -> Self:
        """(self - target)^2."""
        return (self - self._same_shape(target, "mse_loss")).square()._loss(reduction)

    @composite
    def l1_loss(self, target: Self, reduction: str = "mean") -> Self:
        """|self - target|."""
        return (self - self._same_shape(target, "l1_loss")).abs()._loss(reduction)

    @composite
    def huber_loss(self, target: Self, delta: float = 1.0, reduction: str = "mean") -> Self:
        """d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), where d = self - target."""
        gap = self - self._same_shape(target, "huber_loss")
        size = gap.abs()
        far = size > delta
        near = far.where(0, gap)  # 2 gap, of which the other side's gradients take 0 times, may be infinite
        return far.where(delta * (size - 0.5 * delta), 0.5 * near.square())._loss(reduction)

    @composite
    def smooth_l1_loss(self, target: Self, beta: float = 1.0, reduction: str = "mean") -> Self:
        """huber_loss(delta=beta) / beta; l1_loss() for beta 0."""
        if beta == 0:
            return self.l1_loss(target, reduction)
        return self.huber_loss(target, beta, reduction) / beta

    @composite
    def kl_div(self, target: Self, reduction: str = "mean", log_target: bool = False) -> Self:
        """target (log(target) - self) for log probabilities self; "batchmean" divides the sum by the first size.

        A target of 0 adds nothing.
        """
        target = self._same_shape(target, "kl_div")
        if log_target:
            terms = target.exp() * (target - self)
        else:
            terms = target.xlogy(target) - target * self
        if reduction != "batchmean":
            return terms._loss(reduction)
        return terms.sum() / float(self.shape[0]) if self.ndim else terms
