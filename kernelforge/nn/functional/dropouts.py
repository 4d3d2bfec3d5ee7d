"""Dropout of every kind with torch's arguments.

Comes in: tensors, probabilities, whether the model is training.  Goes out: tensors of the same shape.
"""

from __future__ import annotations

from kernelforge.nn.functional.options import whole
from kernelforge.settings import Context
from kernelforge.tensor import Tensor
from kernelforge.tensor.neural import SELU_LIMIT
from kernelforge.tensor.random import check_probability


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element 0 with probability p, else divided by 1 - p; the input itself when not training."""
    with Context(TRAINING=int(training)):
        return whole(input, input.dropout(p), inplace)


def _dropout_of_channels(input: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    """dropout() of whole channels; of [C, ...] when not batched."""
    with Context(TRAINING=int(training)):
        dropped = input.dropout2d(p) if batched else input.unsqueeze(0).dropout2d(p).squeeze(0)
    return whole(input, dropped, inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout() of whole channels of [N, C, L] or [C, L]."""
    return _dropout_of_channels(input, p, training, inplace, input.ndim == 3)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout() of whole channels of [N, C, H, W] or of the rows of [N, C, L]."""
    return _dropout_of_channels(input, p, training, inplace, True)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout() of whole channels of [N, C, D, H, W] or [C, D, H, W]."""
    return _dropout_of_channels(input, p, training, inplace, input.ndim == 5)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """dropout() that keeps mean 0 and variance 1, for selu()."""
    with Context(TRAINING=int(training)):
        return whole(input, input.alpha_dropout(p), inplace)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout() of whole channels of [N, C, ...]."""
    check_probability("feature_alpha_dropout", p)
    if not training or p == 0:
        return input
    with Context(TRAINING=1):
        kept = input.new_ones(*input.shape[:2], *(1,) * (input.ndim - 2)).dropout(p) > 0
    scale = 0.0 if p == 1 else ((1 - p) * (1 + p * SELU_LIMIT**2)) ** -0.5
    return whole(input, kept.where(input, SELU_LIMIT) * scale - scale * SELU_LIMIT * p, inplace)
