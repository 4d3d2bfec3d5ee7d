"""Multi-head attention.

Comes in: sizes.  Goes out: a module whose parameters are named and initialised as torch's are.
"""

from __future__ import annotations

import math

from codegen.dtypes import dtypes
from kernelforge.errors import ShapeError
from kernelforge.nn.linear import Linear
from kernelforge.nn.module import Module
from kernelforge.settings import Context
from kernelforge.tensor import Tensor


class MultiheadAttention(Module):
    """Attention in several heads between projections of its inputs, joined by one more projection.

    in_proj_weight   [3 * embed_dim, embed_dim], in_proj_bias [3 * embed_dim]: queries, keys, values
    out_proj         Linear(embed_dim, embed_dim)

    source  Vaswani et al., "Attention is all you need", 2017, section 3.2
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, batch_first: bool = False
    ) -> None:
        if embed_dim % num_heads:
            raise ShapeError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim={embed_dim}")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.in_proj_weight = Tensor.glorot_uniform(3 * embed_dim, embed_dim, requires_grad=True)
        self.in_proj_bias = Tensor.zeros(3 * embed_dim, requires_grad=True) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if self.out_proj.bias is not None:
            self.out_proj.bias = Tensor.zeros(embed_dim, requires_grad=True)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The output [L, N, E], or [N, L, E] with batch_first, and the weights [N, L, S] averaged over the heads.

        key, value         as query [S, N, E]; the query itself, then the key, when None
        key_padding_mask   bool [N, S], True for keys to ignore
        attn_mask          [L, S] or [N, L, S]: bool, True where a query must not look, or numbers to add
        need_weights       False: None instead of the weights
        """
        key = query if key is None else key
        inputs = (query, key, key if value is None else value)
        if not self.batch_first:
            inputs = (inputs[0].transpose(0, 1), inputs[1].transpose(0, 1), inputs[2].transpose(0, 1))
        q, k, v = (self._projected(x, i) for i, x in enumerate(inputs))
        mask = self._mask(attn_mask, key_padding_mask, q.dtype.arithmetic.min)
        with Context(TRAINING=int(self.training)):
            joined = q.scaled_dot_product_attention(k, v, mask, self.dropout, is_causal)
        output = self.out_proj(joined.transpose(1, 2).flatten(2))
        weights = self._weights(q, k, mask, is_causal) if need_weights else None
        return (output if self.batch_first else output.transpose(0, 1)), weights

    def _projected(self, x: Tensor, part: int) -> Tensor:
        """Queries (part 0), keys (1) or values (2) of [N, L, E], in heads [N, heads, L, E / heads]."""
        rows = slice(part * self.embed_dim, (part + 1) * self.embed_dim)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        projected = x.linear(self.in_proj_weight[rows].T, bias)
        return projected.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    @staticmethod
    def _mask(attn_mask: Tensor | None, padding: Tensor | None, lowest: float) -> Tensor | None:
        """Both masks as one to add to the scores [N, heads, L, S], or None."""
        masks = []
        if attn_mask is not None:
            masks.append(attn_mask if attn_mask.ndim == 2 else attn_mask.unsqueeze(1))
        if padding is not None:
            masks.append(padding.unsqueeze(1).unsqueeze(1))
        added = [mask.where(lowest, 0.0) if mask.dtype is dtypes.bool else mask for mask in masks]
        return None if not added else added[0] if len(added) == 1 else added[0] + added[1]

    @staticmethod
    def _weights(q: Tensor, k: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
        scores = q.dot(k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]))
        scores = scores._causal() if is_causal else scores
        return (scores if mask is None else scores + mask).softmax(-1).mean(1)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.embed_dim}, {self.num_heads}"
