"""Losses with torch's arguments.

Comes in: predictions, targets; `reduction` is "mean", "sum" or "none", `size_average` and `reduce` are what torch had
before it.  Goes out: a tensor without dimensions, or one element for each prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from codegen.dtypes import dtypes
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.nn.functional.norms import pairwise_distance
from kernelforge.nn.functional.options import reduction_of
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import composite

Old = bool | None  # torch's former ways to say the reduction


def _broadcast(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both at their common shape."""
    if input.shape == target.shape:
        return input, target
    a, b = input._as_tensor(input), target
    return a + b.zeros_like(), b + a.zeros_like()


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Old = None,
    ignore_index: int = -100,
    reduce: Old = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log(softmax(input)[target]) for logits [N, C, ...] and classes [N, ...], or probabilities of the logits' shape.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.dtype.is_float and reduction == "mean":  # torch divides by the number of predictions
        losses = input.cross_entropy(target, "sum", label_smoothing, ignore_index, weight)
        return losses / float(max(1, input.numel() // input.shape[0 if input.ndim == 1 else 1]))
    return input.cross_entropy(target, reduction, label_smoothing, ignore_index, weight)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Old = None,
    ignore_index: int = -100,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """-input[target] for log probabilities [N, C, ...]."""
    return input.nll_loss(target, weight, ignore_index, reduction_of(reduction, size_average, reduce))


@composite
def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Losses of elements times their weights, reduced; their mean is by the weights' sum, as torch has it."""
    if weight is None:
        return loss._loss(reduction)
    weight = weight.expand(loss.shape)
    return (loss * weight).sum() / weight.sum() if reduction == "mean" else (loss * weight)._loss(reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2."""
    input, target = _broadcast(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    if weight is None:
        return input.mse_loss(target, reduction)
    return _weighted(input.mse_loss(target, "none"), weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|."""
    input, target = _broadcast(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    if weight is None:
        return input.l1_loss(target, reduction)
    return _weighted(input.l1_loss(target, "none"), weight, reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), where d = input - target."""
    if delta <= 0:
        raise ArgumentError(f"huber_loss does not support non-positive values for delta, got {delta}")
    input, target = _broadcast(input, target)
    if weight is None:
        return input.huber_loss(target, delta, reduction_of(reduction, None, None))
    return _weighted(input.huber_loss(target, delta, "none"), weight, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) for |d| < beta, else |d| - beta / 2, where d = input - target."""
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    input, target = _broadcast(input, target)
    return input.smooth_l1_loss(target, beta, reduction_of(reduction, size_average, reduce))


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target (log(target) - input) for log probabilities; "batchmean" divides the sum by the first size."""
    input, target = _broadcast(input, target)
    return input.kl_div(target, reduction_of(reduction, size_average, reduce), log_target)


def _scaled(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Losses times factors, reduced by their number."""
    return (loss if weight is None else loss * weight)._loss(reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """-(target log(input) + (1 - target) log(1 - input)) for probabilities; logarithms are at least -100."""
    reduction = reduction_of(reduction, size_average, reduce)
    return _scaled(input.binary_crossentropy(target, "none"), weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy() of sigmoid(input); pos_weight scales the loss of positive targets."""
    reduction = reduction_of(reduction, size_average, reduce)
    return _scaled(input.binary_crossentropy_logits(target, "none", pos_weight), weight, reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """input where the target is 1, max(0, margin - input) where it is -1."""
    return input.hinge_embedding_loss(target, margin, reduction_of(reduction, size_average, reduce))


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target (input1 - input2))."""
    return input1.margin_ranking_loss(input2, target, margin, reduction_of(reduction, size_average, reduce))


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Old = None, reduce: Old = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target input)) for targets of 1 and -1."""
    return input.soft_margin_loss(target, reduction_of(reduction, size_average, reduce))


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - c where the target is 1, max(0, c - margin) where it is -1, c being the cosine of the vectors' angle."""
    return input1.cosine_embedding_loss(input2, target, margin, reduction_of(reduction, size_average, reduce))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |anchor - positive| - |anchor - negative| + margin)."""
    if margin <= 0:
        raise ArgumentError(f"margin must be greater than 0, got {margin}")
    reduction = reduction_of(reduction, size_average, reduce)
    return anchor.triplet_margin_loss(positive, negative, margin, p, eps, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) for any distance d, pairwise_distance() by default.

    swap   take d(positive, negative) where it is smaller than d(anchor, negative)
    """
    if margin <= 0:
        raise ArgumentError(f"margin must be greater than 0, got {margin}")
    reduction, distance = reduction_of(reduction, None, None), distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return (near - far + margin).clamp(0)._loss(reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """sum_j max(0, margin - input[target] + input[j])^p / C over the other classes j."""
    if p not in (1, 2):
        raise ArgumentError("only p == 1 and p == 2 supported")
    return input.multi_margin_loss(target, p, margin, weight, reduction_of(reduction, size_average, reduce))


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Old = None, reduce: Old = None, reduction: str = "mean"
) -> Tensor:
    """sum_{i,j} max(0, 1 - (input[j] - input[i])) / C over the target classes j and all other classes i.

    input    [N, C] or [C]
    target   integers of the same shape: classes, then -1; what follows the first -1 does not count

    raises ShapeError
    """
    if input.shape != target.shape or input.ndim > 2 or 0 in input.shape[-1:]:
        raise ShapeError(
            f"multilabel_margin_loss of {input.shape} and {target.shape}: both are [N, C] or [C], C above 0"
        )
    reduction = reduction_of(reduction, size_average, reduce)
    if not input.ndim:
        input, target = input.reshape(1), target.reshape(1)
    return _multilabel_margin(input, target)._loss(reduction)


@composite
def _multilabel_margin(input: Tensor, target: Tensor) -> Tensor:
    classes = input.shape[-1]
    counts = (target < 0).cast(dtypes.int32).cumsum(-1).eq(0)
    places = counts.where(target.cast(dtypes.int32), 0)
    wanted = input.gather(-1, places)
    hits = Tensor.arange(classes).eq(places.unsqueeze(-1)) & counts.unsqueeze(-1)
    others = hits.any(-2).unsqueeze(-2).logical_not() & counts.unsqueeze(-1)
    gaps = (1 - (wanted.unsqueeze(-1) - input.unsqueeze(-2))).relu()
    return others.where(gaps, 0).sum((-2, -1)) / classes


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of binary_cross_entropy_with_logits(), each times its weight."""
    return input.multilabel_soft_margin_loss(target, weight, reduction_of(reduction, size_average, reduce))


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Old = None,
    eps: float = 1e-8,
    reduce: Old = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target input, or input - target log(input + eps) without log_input."""
    return input.poisson_nll_loss(target, log_input, full, eps, reduction_of(reduction, size_average, reduce))


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log(var) + (input - target)^2 / var) / 2, var being at least eps; full adds log(2 pi) / 2."""
    if not isinstance(var, Tensor):
        if var < 0:
            raise ArgumentError("var has negative entry/entries")
        var = input.full_like(var)
    if var.shape not in (input.shape, input.shape[:-1]):
        unlike = [m for n, m in zip(input.shape, var.shape) if n != m]
        if var.ndim != input.ndim or unlike != [1]:
            raise ArgumentError(f"var is of incorrect size: {var.shape} for an input of {input.shape}")
    if full and reduction == "none":
        return input.gaussian_nll_loss(target, var, False, eps, "none") + 0.5 * math.log(2 * math.pi)
    return input.gaussian_nll_loss(target, var, full, eps, reduction_of(reduction, None, None))
