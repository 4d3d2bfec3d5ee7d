"""Multi-head attention.

Comes in: sizes.  Goes out: a module whose parameters are named and initialised as torch's are.
"""

from __future__ import annotations

from typing import Any

from kernelforge.errors import ShapeError
from kernelforge.nn import functional as F
from kernelforge.nn.linear import Linear
from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Parameter
from kernelforge.tensor import Tensor


class MultiheadAttention(Module):
    """Attention in several heads between projections of its inputs, joined by one more projection.

    in_proj_weight   [3 * embed_dim, embed_dim], in_proj_bias [3 * embed_dim]: queries, keys, values; where keys or
                     values have another size, three weights: q_proj_weight, k_proj_weight, v_proj_weight
    bias_k, bias_v   [1, 1, embed_dim] with add_bias_kv: one more key and value
    out_proj         Linear(embed_dim, embed_dim)

    source  Vaswani et al., "Attention is all you need", 2017, section 3.2
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ShapeError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim={embed_dim}")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.head_dim, self.add_zero_attn = embed_dim // num_heads, add_zero_attn
        place = {"device": device, "dtype": dtype}
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = Parameter(Tensor.glorot_uniform(3 * embed_dim, embed_dim, **place))
        else:
            for name, size in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
                setattr(self, f"{name}_proj_weight", Parameter(Tensor.glorot_uniform(embed_dim, size, **place)))
        self.in_proj_bias = Parameter(Tensor.zeros(3 * embed_dim, **place)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias = Parameter(Tensor.zeros(embed_dim, **place))
        self.bias_k = self.bias_v = None
        if add_bias_kv:
            self.bias_k, self.bias_v = (Parameter(Tensor.randn(1, 1, embed_dim, **place)) for _ in range(2))

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The output [L, N, E], or [N, L, E] with batch_first, and the weights [N, L, S] averaged over the heads.

        key, value         as query [S, N, E]; the query itself, then the key, when None; N may be missing everywhere
        key_padding_mask   bool [N, S], True for keys to ignore, or numbers to add
        attn_mask          [L, S] or [N * heads, L, S]: bool, True where a query must not look, or numbers to add
        need_weights       False: None instead of the weights, and no array of them in memory
        is_causal          a query looks at keys up to its own place only, also without attn_mask
        """
        key = query if key is None else key
        value = key if value is None else value
        if self.batch_first and query.ndim == 3:
            same, alike = key is query, value is key
            query = query.transpose(0, 1)
            key = query if same else key.transpose(0, 1)
            value = key if alike else value.transpose(0, 1)
        if is_causal and attn_mask is None:
            attn_mask = Tensor.ones(query.shape[0], key.shape[0], dtype="bool").triu(1)
        output, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, self.training,
            key_padding_mask, need_weights, attn_mask, self.in_proj_weight is None, self.q_proj_weight,
            self.k_proj_weight, self.v_proj_weight, average_attn_weights=average_attn_weights, is_causal=is_causal,
        )  # fmt: skip
        return (output.transpose(0, 1) if self.batch_first and output.ndim == 3 else output), weights
