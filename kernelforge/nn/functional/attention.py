"""Attention with torch's arguments.

Comes in: queries, keys, values, weights, masks.  Goes out: mixtures of the values, and the weights they were mixed by.
"""

from __future__ import annotations

import math

from codegen.dtypes import dtypes
from kernelforge.errors import ShapeError, StateError
from kernelforge.nn.functional.dropouts import dropout
from kernelforge.nn.functional.linear import linear
from kernelforge.settings import Context
from kernelforge.tensor import Tensor


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value; dropout whenever dropout_p is above 0, as in torch."""
    with Context(TRAINING=1):
        return query.scaled_dot_product_attention(
            key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )


def _added(mask: Tensor, dtype_of: Tensor) -> Tensor:
    """A mask to add to scores; True in one of bool means not to look."""
    return mask.where(-math.inf, 0.0).cast(dtype_of.dtype) if mask.dtype is dtypes.bool else mask


def _masks(
    attn_mask: Tensor | None, padding: Tensor | None, query: Tensor, heads: int, more: int
) -> Tensor | None:
    """Both masks as one to add to the scores [N, heads, L, S], or None.

    more   keys that were added behind the given ones, which every query may look at
    """
    total = None
    if attn_mask is not None:
        total = _added(attn_mask, query)
        if total.ndim == 3:
            total = total.reshape(-1, heads, *total.shape[1:]) if total.shape[0] != 1 else total.unsqueeze(1)
        elif total.ndim != 2:
            raise ShapeError(f"attn_mask's dimension {total.ndim} is not supported: it is [L, S] or [N * heads, L, S]")
    if padding is not None:
        hidden = _added(padding, query).unsqueeze(1).unsqueeze(1)
        total = hidden if total is None else total + hidden
    if total is not None and more:
        total = total.pad([(0, 0)] * (total.ndim - 1) + [(0, more)])
    return total


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention in several heads between projections: the output [L, N, E] and the weights [N, L, S].

    query [L, N, E], key and value [S, N, ..], or all without N; the other arguments are nn.MultiheadAttention's

    raises ShapeError
    """
    if query.ndim == 2:
        padding = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        output, weights = multi_head_attention_forward(
            query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1), embed_dim_to_check, num_heads, in_proj_weight,
            in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training,
            padding, need_weights, attn_mask, use_separate_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight,
            static_k, static_v, average_attn_weights, is_causal,
        )  # fmt: skip
        return output.squeeze(1), None if weights is None else weights.squeeze(0)
    if query.shape[-1] != embed_dim_to_check:
        raise ShapeError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {query.shape[-1]}")
    if is_causal and attn_mask is None:
        raise StateError("Need attn_mask if specifying the is_causal hint.")
    split = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _projected((query, key, value), in_proj_weight, in_proj_bias, split)
    more = 0
    if bias_k is not None and bias_v is not None:
        k, v = (x.cat(b.expand(1, *x.shape[1:]), dim=0) for x, b in ((k, bias_k), (v, bias_v)))
        more += 1
    heads = [_in_heads(x, num_heads) for x in (q, k, v)]
    for i, given in enumerate((static_k, static_v), start=1):
        if given is not None:
            heads[i] = given.reshape(-1, num_heads, *given.shape[1:])
    if add_zero_attn:
        heads[1:] = [x.pad([(0, 0), (0, 0), (0, 1), (0, 0)]) for x in heads[1:]]
        more += 1
    mask = _masks(attn_mask, key_padding_mask, q, num_heads, more)
    rate = dropout_p if training else 0.0
    if need_weights:
        scores = (heads[0] * (1 / math.sqrt(heads[0].shape[-1]))) @ heads[1].transpose(-2, -1)
        weights = (scores if mask is None else scores + mask).softmax(-1)
        joined = dropout(weights, rate, rate > 0) @ heads[2]
    else:
        weights, joined = None, scaled_dot_product_attention(heads[0], heads[1], heads[2], mask, rate)
    output = linear(joined.permute(2, 0, 1, 3).flatten(2), out_proj_weight, out_proj_bias)
    return output, weights.mean(1) if weights is not None and average_attn_weights else weights


def _in_heads(x: Tensor, heads: int) -> Tensor:
    """[L, N, E] as [N, heads, L, E / heads]."""
    return x.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)


def _projected(
    inputs: tuple[Tensor, Tensor, Tensor],
    weight: Tensor | None,
    bias: Tensor | None,
    split: tuple[Tensor | None, ...] | None,
) -> list[Tensor]:
    """Queries, keys and values; of one tensor by one product."""
    if split is None:
        assert weight is not None
        if inputs[0] is inputs[1] and inputs[1] is inputs[2]:
            return list(linear(inputs[0], weight, bias).chunk(3, dim=-1))
        split = tuple(weight.chunk(3))
    biases = [None] * 3 if bias is None else bias.chunk(3)
    return [linear(x, w, b) for x, w, b in zip(inputs, split, biases) if w is not None]
