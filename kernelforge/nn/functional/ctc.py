"""Connectionist temporal classification: the loss of sequences whose alignment with the input is unknown.

Comes in: log probabilities over time, sequences of classes, lengths.  Goes out: a loss whose gradient is computed with
it, by NumPy on the host: each step of time needs the one before, on a few numbers only.

source  Graves et al., "Connectionist Temporal Classification", 2006, section 4
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.graph import Node
from kernelforge.hosted import HostFunction
from kernelforge.nn.functional.options import reduction_of
from kernelforge.tensor import Tensor

_NEVER: Final = -np.inf


def _steps(scores: NDArray, skips: NDArray, ends: NDArray) -> NDArray:
    """The log probability of being at each label at each time, the labels before done: [T, N, L].

    scores    [T, N, L] the log probability of each label at each time
    skips     [N, L] where the label two before may be followed directly
    ends      [N] the number of labels that count
    """
    times, batch, count = scores.shape
    paths = np.full((times, batch, count), _NEVER)
    paths[0, :, :2] = scores[0, :, :2]
    paths[0][np.arange(count) >= ends[:, None]] = _NEVER
    for t in range(1, times):
        before = paths[t - 1]
        one, two = np.full_like(before, _NEVER), np.full_like(before, _NEVER)
        one[:, 1:], two[:, 2:] = before[:, :-1], before[:, :-2]
        two[~skips] = _NEVER
        paths[t] = np.logaddexp(np.logaddexp(before, one), two) + scores[t]
    return paths


def _labels(targets: NDArray, blank: int) -> NDArray:
    """The targets between blanks: [N, 2 S + 1]."""
    labels = np.full((targets.shape[0], 2 * targets.shape[1] + 1), blank)
    labels[:, 1::2] = targets
    return labels


def _skips(labels: NDArray, blank: int) -> NDArray:
    """Where the blank before a label may be left out."""
    skips = np.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return skips


def _reversed(values: NDArray, lengths: NDArray, axis: int) -> NDArray:
    """The first lengths[n] elements along an axis in the other order, the others anyhow; dimension 1 is n, or 0 then.
    """
    places = np.arange(values.shape[axis])
    index = np.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    if axis == 0:
        return np.take_along_axis(values, index.T[:, :, None], 0)
    return np.take_along_axis(values, index[None] if values.ndim == 3 else index, axis)


def _losses(
    log_probs: NDArray, targets: NDArray, input_lengths: NDArray, target_lengths: NDArray, blank: int
) -> NDArray:
    """Each sequence's loss, then its gradient with respect to log_probs [T, N, C]: [N, 1 + T * C]."""
    times, batch, _classes = log_probs.shape
    ends = 2 * target_lengths + 1
    labels = _labels(targets, blank)
    wide = log_probs.astype(np.float64)
    scores = np.take_along_axis(wide, np.broadcast_to(labels, (times, *labels.shape)), 2)
    forward = _steps(scores, _skips(labels, blank), ends)
    flipped, turned = _reversed(labels, ends, 1), _reversed(_reversed(scores, input_lengths, 0), ends, 2)
    backward = _steps(turned, _skips(flipped, blank), ends)
    backward = _reversed(_reversed(backward, ends, 2), input_lengths, 0)
    n = np.arange(batch)
    last = forward[np.maximum(input_lengths - 1, 0), n]
    at_end, before = last[n, ends - 1], np.where(target_lengths > 0, last[n, np.maximum(ends - 2, 0)], _NEVER)
    total = np.where(input_lengths > 0, np.logaddexp(at_end, before), np.where(target_lengths > 0, _NEVER, 0.0))
    both = forward + backward - scores - total[:, None]
    share = np.where((np.arange(labels.shape[1]) < ends[:, None]) & ~np.isnan(both), np.exp(both), 0.0)
    gradient = np.exp(wide)
    for column in range(labels.shape[1]):
        gradient[:, n, labels[:, column]] -= share[:, :, column]
    gradient[np.arange(times)[:, None] >= input_lengths] = 0
    gradient[:, np.isinf(total)] = np.nan
    return np.concatenate([-total[:, None], gradient.transpose(1, 0, 2).reshape(batch, -1)], 1).astype(log_probs.dtype)


def _no_gradient(node: Node, cotangent: Node) -> Sequence[Node | None]:
    """None for all: the gradient is part of the result."""
    return [None] * len(node.src)


@lru_cache
def _function(blank: int) -> HostFunction:
    def run(log_probs: NDArray, targets: NDArray, input_lengths: NDArray, target_lengths: NDArray) -> NDArray:
        return _losses(log_probs, targets, input_lengths, target_lengths, blank)

    return HostFunction("ctc_loss", run, _no_gradient, "look at its arguments")


def _padded(targets: Tensor, lengths: Tensor, batch: int) -> Tensor:
    """Targets [N, S], also of targets one after another."""
    if targets.ndim == 2:
        return targets
    sizes, flat = lengths.numpy(), targets.numpy()
    rows = np.zeros((batch, int(max([0, *sizes]))), np.int64)
    rows[np.arange(rows.shape[1]) < sizes[:, None]] = flat[: int(sizes.sum())]
    return Tensor(rows, device=targets.device)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability that the input says the targets, over all their alignments.

    log_probs        [T, N, C], or [T, C]: log_softmax() over the classes
    targets          [N, S], or all one after another; no blanks
    input_lengths    [N], how many times of each count; target_lengths [N] likewise
    reduction        "mean" divides each loss by its target's length before
    zero_infinity    losses of targets too long for their input are 0, not infinite

    raises ShapeError, ValueError, DTypeError
    """
    if log_probs.ndim == 2:
        length, wanted = (Tensor(x).reshape(1) for x in (input_lengths, target_lengths))
        found = ctc_loss(
            log_probs.unsqueeze(1), targets.reshape(1, -1), length, wanted, blank, reduction, zero_infinity
        )
        return found.squeeze(0) if reduction == "none" else found
    if log_probs.ndim != 3 or not 0 <= blank < log_probs.shape[2]:
        raise ShapeError(f"ctc_loss of {log_probs.shape} with blank={blank}: it takes [T, N, C], blank below C")
    reduction, (times, batch, classes) = reduction_of(reduction, None, None), log_probs.shape
    inputs, ends = (
        (x if isinstance(x, Tensor) else Tensor(list(x))).cast(dtypes.int64) for x in (input_lengths, target_lengths)
    )
    if any(isinstance(x, Tensor) and not x.dtype.is_int for x in (input_lengths, target_lengths)):
        raise DTypeError("ctc_loss with lengths that are no integers: input_lengths and target_lengths are counts")
    if inputs.shape != (batch,) or ends.shape != (batch,):
        raise ShapeError(f"ctc_loss of a batch of {batch}: input_lengths and target_lengths must have that length")
    labels = _padded(targets, ends, batch).cast(dtypes.int64)
    node = graph.host(_function(blank), [x._node for x in (log_probs.detach(), labels, inputs, ends)],
                      (batch, 1 + times * classes))  # fmt: skip
    both = Tensor._wrap(node, None)
    value, gradient = both[:, 0], both[:, 1:].reshape(batch, times, classes).transpose(0, 1)
    if zero_infinity:
        finite = value.isfinite()
        value, gradient = finite.where(value, 0), finite.reshape(1, -1, 1).where(gradient, 0)
    loss = value
    if log_probs.requires_grad:
        tangent = (log_probs * gradient).sum((0, 2))
        loss = tangent._derived(graph.surrogate(value._node, tangent._node))
    if reduction == "mean":
        loss = loss / ends.maximum(1).cast(loss.dtype)
    return loss._loss(reduction)
