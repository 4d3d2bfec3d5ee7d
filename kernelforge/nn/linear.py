"""Layers that look up or mix features: Linear and Embedding.

Comes in: sizes.  Goes out: modules whose parameters are named and initialised as torch's are.
"""

from __future__ import annotations

import math

from kernelforge.errors import DTypeError, ShapeError
from kernelforge.nn.module import Module
from kernelforge.tensor import Tensor
from kernelforge.tensor.scatter import from_front_only


def uniform_parameter(*shape: int, bound: float) -> Tensor:
    """A parameter with values uniform in (-bound, bound)."""
    return Tensor.uniform(*shape, low=-bound, high=bound, requires_grad=True)


class Linear(Module):
    """x @ weight.T + bias.

    weight   [out_features, in_features], uniform within 1 / sqrt(in_features)
    bias     [out_features], likewise; None with bias=False
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(max(1, in_features))
        self.weight = uniform_parameter(out_features, in_features, bound=bound)
        self.bias = uniform_parameter(out_features, bound=bound) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """[.., in_features] -> [.., out_features].

        raises ShapeError
        """
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ShapeError(f"{self!r} of {x.shape}: the last dimension must be {self.in_features}")
        return x.linear(self.weight.T, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """Rows of a table, looked up by integers.

    weight        [num_embeddings, embedding_dim], normal
    padding_idx   a row that is 0 and gets no gradient
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        weight = Tensor.randn(num_embeddings, embedding_dim)
        if padding_idx is not None:
            self.padding_idx = padding_idx % num_embeddings
            weight = (Tensor.arange(num_embeddings).unsqueeze(-1) == self.padding_idx).where(0, weight).contiguous()
        weight.requires_grad = True
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """Integers [..] -> [.., embedding_dim].

        raises DTypeError; IndexError, when the result is used, for one that is negative or not below num_embeddings
        """
        if not x.dtype.is_int:
            raise DTypeError(f"{self!r} of {x.dtype}: rows are looked up by integers; cast() to int32")
        rows = self.weight[from_front_only(x, self.num_embeddings)]
        return rows if self.padding_idx is None else (x == self.padding_idx).unsqueeze(-1).where(rows.detach(), rows)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
