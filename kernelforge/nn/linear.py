"""Layers that mix features or look them up: linear and bilinear functions, embeddings.

Comes in: sizes.  Goes out: modules whose parameters are named and initialised as torch's are.
"""

from __future__ import annotations

import math
from typing import Any, Self

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.nn import functional as F
from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Parameter
from kernelforge.nn.resetting import Uniform
from kernelforge.tensor import Tensor, no_grad


def uniform_parameter(*shape: int, bound: float, device: Any = None, dtype: Any = None) -> Tensor:
    """A parameter with values uniform in (-bound, bound)."""
    return Parameter(Tensor.uniform(*shape, low=-bound, high=bound, device=device, dtype=dtype))


class Identity(Module):
    """The input itself, whatever the module was made with."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


class Linear(Uniform):
    """x @ weight.T + bias.

    weight   [out_features, in_features], uniform within 1 / sqrt(in_features)
    bias     [out_features], likewise; None with bias=False
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        bound, place = self._bound(), {"device": device, "dtype": dtype}
        self.weight = uniform_parameter(out_features, in_features, bound=bound, **place)
        self.bias = uniform_parameter(out_features, bound=bound, **place) if bias else None

    def _bound(self) -> float:
        return 1 / math.sqrt(max(1, self.in_features))

    def forward(self, input: Tensor) -> Tensor:
        """[.., in_features] -> [.., out_features].

        raises ShapeError
        """
        if not input.ndim or input.shape[-1] != self.in_features:
            raise ShapeError(f"{self!r} of {input.shape}: the last dimension must be {self.in_features}")
        return input._linear_by_rows(self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Uniform):
    """sum_{i,j} x1[.., i] weight[k, i, j] x2[.., j] + bias[k].

    weight, bias   [out_features, in1_features, in2_features], [out_features], uniform within 1 / sqrt(in1_features)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if in1_features <= 0:
            raise ArgumentError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        bound, place = self._bound(), {"device": device, "dtype": dtype}
        self.weight = uniform_parameter(out_features, in1_features, in2_features, bound=bound, **place)
        self.bias = uniform_parameter(out_features, bound=bound, **place) if bias else None

    def _bound(self) -> float:
        return 1 / math.sqrt(self.in1_features)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """[.., in1_features] and [.., in2_features] -> [.., out_features]."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


def _table(rows: int, width: int, padding: int | None, given: Tensor | None, frozen: bool, **place: Any) -> Tensor:
    """The weight of an embedding: normal, with a row of zeros for padding."""
    if given is not None:
        if given.shape != (rows, width):
            raise ShapeError(f"Shape of weight {given.shape} does not match num_embeddings and embedding_dim")
        return Parameter(given, not frozen)
    weight = Tensor.randn(rows, width, **place)
    if padding is not None:
        weight = (Tensor.arange(rows).unsqueeze(-1) == padding).where(0, weight).contiguous()
    return Parameter(weight, not frozen)


def _padding_row(padding_idx: int | None, rows: int) -> int | None:
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise ArgumentError(f"Padding_idx must be within num_embeddings, got {padding_idx} for {rows}")
    return None if padding_idx is None else padding_idx % rows


class _Embedding(Module):
    """What both kinds of embedding share."""

    weight: Tensor
    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    max_norm: float | None
    norm_type: float
    scale_grad_by_freq: bool

    def reset_parameters(self) -> None:
        """Give the table new normal numbers, and zeros for padding."""
        weight = _table(self.num_embeddings, self.embedding_dim, self.padding_idx, None, True)
        with no_grad():
            self.weight.copy_(weight)

    def _shown(self, *order: str) -> str:
        """The sizes, and the options that are not the default."""
        extra = f"{self.num_embeddings}, {self.embedding_dim}"
        defaults = {"padding_idx": None, "max_norm": None, "norm_type": 2, "scale_grad_by_freq": False, "mode": None}
        options = {name: defaults[name] for name in order}
        values = {name: getattr(self, name) for name in options}
        return extra + "".join(f", {name}={value!r}" for name, value in values.items() if value != options[name])


class Embedding(_Embedding):
    """Rows of a table, looked up by integers.

    weight                [num_embeddings, embedding_dim], normal
    padding_idx           a row that is 0 and gets no gradient
    max_norm, norm_type   rows that are looked up are first shortened to max_norm
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = _padding_row(padding_idx, num_embeddings)
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.sparse = sparse
        self.weight = _table(
            num_embeddings, embedding_dim, self.padding_idx, _weight, _freeze, device=device, dtype=dtype
        )

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """An embedding with the given table, which is not trained unless freeze is False."""
        rows, width = embeddings.shape
        return cls(rows, width, _weight=embeddings, _freeze=freeze, **options)

    def forward(self, input: Tensor) -> Tensor:
        """Integers [..] -> [.., embedding_dim].

        raises DTypeError; IndexError, when the result is used, for one that is negative or not below num_embeddings
        """
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )

    def extra_repr(self) -> str:
        """The sizes and the options."""
        return self._shown("padding_idx", "max_norm", "norm_type", "scale_grad_by_freq")


class EmbeddingBag(_Embedding):
    """Sums, means or maxima of the rows that bags of integers name; weight as Embedding's."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = _padding_row(padding_idx, num_embeddings)
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset
        self.weight = _table(
            num_embeddings, embedding_dim, self.padding_idx, _weight, False, device=device, dtype=dtype
        )

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """An embedding bag with the given table, which is not trained unless freeze is False."""
        rows, width = embeddings.shape
        made = cls(rows, width, _weight=embeddings, **options)
        made.weight.requires_grad = not freeze
        return made

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        """Integers [B, n], or [n] with offsets [B] -> [B, embedding_dim]."""
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
            self.sparse, per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The sizes and the options."""
        return self._shown("max_norm", "norm_type", "scale_grad_by_freq", "mode", "padding_idx")
