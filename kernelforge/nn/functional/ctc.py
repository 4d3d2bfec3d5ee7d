"""Connectionist temporal classification: the loss of sequences whose alignment with the input is unknown.

Comes in: log probabilities over time, sequences of classes, lengths.  Goes out: a loss.  Its gradient is computed with
it, from the probabilities of all ways up to each time and from there on, each a loop over the times.

source  Graves et al., "Connectionist Temporal Classification", 2006, section 4
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.nn.functional.options import reduction_of
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import composite
from kernelforge.tensor.walking import walk

_NEVER: Final = -np.inf


class _Labels(NamedTuple):
    """What is said at each place: the targets between blanks, and blanks behind their ends.

    classes  [N, L]
    skips    [N, L] where the blank before a label may be left out
    ends     [N, 1] the number of labels that count
    """

    classes: Tensor
    skips: Tensor
    ends: Tensor


def _labels(targets: Tensor, lengths: Tensor, blank: int) -> _Labels:
    """The labels of targets [N, S] of so many classes each [N]."""
    batch, most = targets.shape
    counts = Tensor.arange(most, device=targets.device) < lengths.reshape(-1, 1)
    said = counts.where(targets, blank).reshape(batch, most, 1)
    classes = said.full_like(blank).cat(said, dim=2).reshape(batch, 2 * most).pad((0, 1), value=blank)
    skips = (classes != blank) & (classes != classes.pad((2, 0), value=blank)[:, : classes.shape[1]])
    return _Labels(classes, skips, 2 * lengths.reshape(-1, 1) + 1)


def _natural(x: Tensor, beyond: int) -> Tensor:
    """Numbers of which negative ones are too large: a look-up would count them from the end."""
    return (x < 0).where(beyond, x)


def _further(x: Tensor, places: int) -> Tensor:
    """The values so many labels before; behind, for negative places."""
    size = min(abs(places), x.shape[1])
    return x[:, :-size].pad((size, 0), value=_NEVER) if places > 0 else x[:, size:].pad((0, size), value=_NEVER)


def _any(*ways: Tensor) -> Tensor:
    """The log probability of one of three ways."""
    most = ways[0].maximum(ways[1]).maximum(ways[2])
    base = (most == _NEVER).where(0, most)
    return base + sum(((way - base).exp() for way in ways[1:]), (ways[0] - base).exp()).log()


def _forward(paths: Tensor, scores: Tensor, skips: Tensor) -> Tensor:
    """The log probability of being at each label, the labels before done, from that one time before."""
    return _any(paths, _further(paths, 1), skips.where(_further(paths, 2), _NEVER)) + scores


def _backward(paths: Tensor, scores: Tensor, is_last: Tensor, at_end: Tensor, skipped: Tensor) -> Tensor:
    """The log probability of all that follows each label, from that one time later, whose scores are given."""
    rest = paths + scores
    return is_last.where(at_end, _any(rest, _further(rest, -1), skipped.where(_further(rest, -2), _NEVER)))


def _paths(scores: Tensor, labels: _Labels) -> Tensor:
    """The log probability of being at each label at each time, the labels before done: [T, N, L]."""
    begin = scores.full_like(_NEVER)[0, :, 1:].pad((1, 0))
    return walk(_forward, begin, [scores], [labels.skips])


def _rests(scores: Tensor, labels: _Labels, lengths: Tensor) -> Tensor:
    """The log probability of all that follows each label at each time: [T, N, L]."""
    times, batch, count = scores.shape
    places = Tensor.arange(count, device=scores.device)
    at_end = ((places < labels.ends) & (places >= labels.ends - 2)).where(scores.zeros_like()[0], _NEVER)
    is_last = Tensor.arange(times, device=scores.device).reshape(-1, 1, 1) == lengths.reshape(1, -1, 1) - 1
    later = scores[1:].pad((0, 0, 0, 0, 0, 1))
    skipped = labels.skips.pad((0, 2))[:, 2:]
    begin = scores.full_like(_NEVER)[0]
    return walk(_backward, begin, [later, is_last.expand(times, batch, 1)], [at_end, skipped], reverse=True)


def _losses(log_probs: Tensor, labels: _Labels, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Each sequence's loss [N], and its gradient with respect to log_probs [T, N, C]."""
    times, batch, _ = log_probs.shape
    classes = labels.classes.unsqueeze(0).expand(times, *labels.classes.shape)
    scores = log_probs.gather(2, classes)
    paths = _paths(scores, labels)
    at = (inputs - 1).maximum(0).reshape(1, batch, 1)
    last = paths.gather(0, at.expand(1, *labels.classes.shape)).squeeze(0)
    ends = [last.gather(1, place).squeeze(1) for place in (labels.ends - 1, (labels.ends - 2).maximum(0))]
    is_empty = labels.ends.squeeze(1) == 1
    total = ends[0].logaddexp(is_empty.where(_NEVER, ends[1]))
    total = (inputs > 0).where(total, is_empty.where(total.zeros_like(), _NEVER))
    shares = (paths + _rests(scores, labels, inputs) - total.reshape(1, -1, 1)).exp()
    gradient = log_probs.exp().scatter_add(2, classes, -shares)
    is_read = Tensor.arange(times, device=log_probs.device).reshape(-1, 1) < inputs
    gradient = total.isinf().reshape(1, -1, 1).where(np.nan, gradient)
    return -total, is_read.unsqueeze(2).where(gradient, 0)


@composite
def _loss(
    log_probs: Tensor, targets: Tensor, inputs: Tensor, counts: Tensor, blank: int, zero_infinity: bool
) -> Tensor:
    """Each sequence's loss [N], which brings its gradient along."""
    times, _, classes = log_probs.shape
    labels = _labels(_natural(targets, classes), _natural(counts, targets.shape[1] + 1), blank)
    value, gradient = _losses(log_probs.detach(), labels, _natural(inputs, times + 1))
    if zero_infinity:
        finite = value.isfinite()
        value, gradient = finite.where(value, 0), finite.reshape(1, -1, 1).where(gradient, 0)
    tangent = (log_probs * gradient).sum((0, 2))
    return tangent._derived(graph.surrogate(value._node, tangent._node))


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
    if log_probs.ndim != 3 or not log_probs.shape[0] or not 0 <= blank < log_probs.shape[2]:
        raise ShapeError(f"ctc_loss of {log_probs.shape} with blank={blank}: it takes [T, N, C], T >= 1, blank below C")
    reduction, batch = reduction_of(reduction, None, None), log_probs.shape[1]
    inputs, ends = (
        (x if isinstance(x, Tensor) else Tensor(list(x))).cast(dtypes.int64) for x in (input_lengths, target_lengths)
    )
    if any(isinstance(x, Tensor) and not x.dtype.is_int for x in (input_lengths, target_lengths)):
        raise DTypeError("ctc_loss with lengths that are no integers: input_lengths and target_lengths are counts")
    if inputs.shape != (batch,) or ends.shape != (batch,):
        raise ShapeError(f"ctc_loss of a batch of {batch}: input_lengths and target_lengths must have that length")
    said = _padded(targets, ends, batch).cast(dtypes.int64)
    loss = _loss(log_probs, said, inputs, ends, blank, zero_infinity)
    if reduction == "mean":
        loss = loss / ends.maximum(1).cast(loss.dtype)
    return loss._loss(reduction)
