"""What networks need beside layers: training mode, dropout, attention, sequences of functions.

Comes in: tensors and callables.  Goes out: tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from typing import Any, ClassVar, Final, Self

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ShapeError, StateError
from kernelforge.settings import TRAINING, Context
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import narrow_type
from kernelforge.tensor.norms import Norms
from kernelforge.tensor.random import check_probability

_SMALLEST_NOISE: Final = 1e-38
SELU_LIMIT: Final = -1.6732632423543772 * 1.0507009873554805  # of selu(x) for large negative x


class TrainingMode(type):
    """Makes `Tensor.training` another name of the setting TRAINING."""

    @property
    def training(cls) -> bool:
        """True while dropout drops and batch norm counts."""
        return bool(TRAINING.value)

    @training.setter
    def training(cls, value: bool) -> None:
        TRAINING.ask()
        TRAINING.set(value)


class train(Context, ContextDecorator):
    """A context, or a decorator, in which Tensor.training is `mode`."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(TRAINING=int(mode))
        TRAINING.ask()


class Neural(Norms, metaclass=TrainingMode):
    """Operations with a meaning for networks only."""

    __slots__ = ()
    train: ClassVar[type[train]] = train

    def dropout(self, p: float = 0.5) -> Self:
        """While training, each element 0 with probability p, else divided by 1 - p; otherwise the tensor itself."""
        check_probability("dropout", p)
        if not TRAINING.value or p == 0:
            return self
        if p == 1:
            return self * 0
        return self._dropped(self._kept(p), p)

    @composite
    def _dropped(self, kept: Self, p: float) -> Self:
        """Elements divided by 1 - p where they are kept, else 0."""
        return kept.where(self * (1 / (1 - p)), 0)

    def dropout2d(self, p: float = 0.5) -> Self:
        """dropout() of whole channels of [N, C, ...]; dropout1d, dropout2d and dropout3d are one."""
        check_probability("dropout", p)
        channels = self.new_ones(*self.shape[:2], *(1,) * (self.ndim - 2))
        return self * channels.dropout(p) if TRAINING.value else self

    dropout1d = dropout3d = dropout2d

    def alpha_dropout(self, p: float = 0.5) -> Self:
        """dropout() that keeps mean 0 and variance 1: dropped elements become selu()'s limit, all are then scaled."""
        check_probability("alpha_dropout", p)
        if not TRAINING.value or p == 0:
            return self
        if p == 1:
            return self * 0
        scale = ((1 - p) * (1 + p * SELU_LIMIT**2)) ** -0.5
        return self._kept(p).where(self, SELU_LIMIT) * scale - scale * SELU_LIMIT * p

    @composite
    def prelu(self, weight: Self) -> Self:
        """x where x > 0, else weight * x; weight has one element, or one for each place along dimension 1."""
        if weight.ndim > 1:
            raise ShapeError(f"prelu() takes one weight or a vector of them, got {weight.shape}")
        shape = [-1 if dim == 1 else 1 for dim in range(self.ndim)]
        return (self > 0).where(self, self * weight.reshape(shape))

    @composite
    def glu(self, dim: int = -1) -> Self:
        """The first half of dimension dim, times the sigmoid() of the second."""
        if self.shape[self._dim(dim, "glu")] % 2:
            raise ShapeError(f"glu of {self.shape} along dimension {dim}: it takes an even size")
        values, gates = self.tensor_split(2, dim)
        return values * gates.sigmoid()

    @composite
    def softmin(self, dim: int = -1, dtype: DType | str | None = None) -> Self:
        """softmax() of the negated values."""
        return (-self).softmax(dim, dtype)

    def gumbel_softmax(self, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Self:
        """softmax((x + g) / tau) along dim with random g: probabilities that come close to a random choice.

        tau    the smaller, the closer
        hard   True: the choice itself, ones and zeros, with the gradient of the probabilities
        """
        drawn = type(self).rand(self.shape, device=self._node.device, contiguous=False)
        noise = (-(1 - drawn)._log_alike()).maximum(_SMALLEST_NOISE)._log_alike()
        noise = type(self)._drawn((-noise)._node, noise.dtype, True, None)
        found = ((self._wide() + noise) / tau).softmax(dim).cast(self._floating().dtype)
        if not hard:
            return found
        dim = self._dim(dim, "gumbel_softmax")
        places = type(self).arange(self.shape[dim]).reshape([-1 if i == dim else 1 for i in range(self.ndim)])
        chosen = places.eq(found.detach().argmax(dim, keepdim=True)).cast(found.dtype)
        return chosen - found.detach() + found

    @composite
    def channel_shuffle(self, groups: int) -> Self:
        """The channels of [N, C, ...] with the groups' interleaved: one of each group, then the next of each.

        raises ShapeError
        """
        if self.ndim < 2 or groups < 1 or self.shape[1] % groups:
            raise ShapeError(f"channel_shuffle({groups}) of {self.shape}: the groups must divide the channels")
        batch, channels, *rest = self.shape
        return self.reshape(batch, groups, channels // groups, *rest).transpose(1, 2).reshape(self.shape)

    def sequential(self, layers: Sequence[Callable[[Any], Any]]) -> Self:
        """The tensor passed through functions one after another."""
        x = self
        for layer in layers:
            x = layer(x)
        return x

    def scaled_dot_product_attention(
        self,
        key: Self,
        value: Self,
        attn_mask: Self | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        enable_gqa: bool = False,
        scale: float | None = None,
    ) -> Self:
        """softmax(self @ key.T * scale + mask) @ value, computed in at least float32.

        self         queries [.., L, d]; key [.., S, d]; value [.., S, e]
        attn_mask    bool [.., L, S], True where a query may look, or numbers to add
        is_causal    query i looks at keys 0 .. i only
        scale        1 / sqrt(d) when None
        enable_gqa   repeat each head (dimension -3) of key and value for the queries that share it
        returns      [.., L, e]; 0 for queries that may look at no key

        raises StateError for is_causal besides attn_mask, as torch does
        """
        if is_causal and attn_mask is not None:
            raise StateError("attention takes attn_mask or is_causal=True, not both; put the causal part into the mask")
        if self.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
            raise ShapeError(
                f"attention of queries {self.shape}, keys {key.shape} and values {value.shape}: queries and keys need "
                "one last size, keys and values one size before it"
            )
        if enable_gqa and (shared := self.shape[-3] // key.shape[-3]) != 1:
            key, value = key.repeat_interleave(shared, dim=-3), value.repeat_interleave(shared, dim=-3)
        if narrow_type.get() is None and not (dropout_p and TRAINING.value):
            return self._attended(key, value, attn_mask, is_causal, scale)
        return self._attention_weights(key, attn_mask, is_causal, scale).dropout(dropout_p)._mixed(value, self.dtype)

    @composite
    def _attended(self, key: Self, value: Self, mask: Self | None, is_causal: bool, scale: float | None) -> Self:
        """scaled_dot_product_attention() as one operation."""
        return self._attention_weights(key, mask, is_causal, scale)._mixed(value, self.dtype)

    def _mixed(self, value: Self, dtype: DType) -> Self:
        """What weights (self) take of values."""
        return self.dot(value, dtype=dtype.arithmetic).cast(dtype)

    @composite
    def _attention_weights(self, key: Self, mask: Self | None, is_causal: bool, scale: float | None) -> Self:
        """What each query (self) takes of each value, [.., L, S]."""
        work = self.dtype.arithmetic
        factor = 1 / math.sqrt(max(1, self.shape[-1])) if scale is None else scale
        scores = self.dot(key.transpose(-2, -1), dtype=work) * factor
        if is_causal:
            scores = scores._causal()
        if mask is not None:
            boolean = mask.dtype is dtypes.bool
            scores = mask.where(scores, -math.inf) if boolean else scores + mask.cast(work)
        return scores._softmax_or_zero(-1)

    def _causal(self) -> Self:
        """-inf where the last index is larger than the one before it."""
        queries, keys = self.shape[-2:]
        allowed = type(self).arange(keys) <= type(self).arange(queries).unsqueeze(-1)
        return allowed.where(self, -math.inf)
