"""Linear functions and tables with torch's arguments.

Comes in: tensors, weights in torch's layout, integers to look up.  Goes out: tensors.
"""

from __future__ import annotations

from typing import Any

from codegen.dtypes import DType, dtypes
from kernelforge.checked import BAGS
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.nn.functional.losses import cross_entropy
from kernelforge.nn.functional.options import reduction_of
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.composite import composite
from kernelforge.tensor.scatter import from_front_only


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias for a weight [out, in], or [in].

    raises ShapeError
    """
    if not input.ndim or input.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"linear of {input.shape} with a weight of {weight.shape}: the last dimension must be {weight.shape[-1]}"
        )
    if weight.ndim == 1:
        found = (input * weight).sum(-1)
        return found if bias is None else found + bias
    return input._linear_by_rows(weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """sum_{i,j} input1[.., i] weight[k, i, j] input2[.., j] + bias[k]."""
    found = input1.bilinear(input2, weight, bias)
    return found.cast(input1.dtype) if input1.dtype.kind in "iu" else found  # torch's sums of integers stay narrow


@no_grad()
def _limited(weight: Tensor, rows: Tensor, max_norm: float, norm_type: float) -> None:
    """Shorten the rows that are looked up and longer than max_norm, in place."""
    lengths = weight.norm(norm_type, 1, keepdim=True)
    named = weight.new_zeros(weight.shape[0], dtype=dtypes.int32)
    named = named.scatter_add(0, rows.reshape(-1).cast(dtypes.int32), Tensor.ones(rows.numel(), dtype=dtypes.int32))
    longer = (lengths > max_norm) & (named > 0).unsqueeze(1)
    weight.assign(longer.where(weight.detach() * (max_norm / (lengths + 1e-7)), weight.detach()))


@composite
def _looked_up(weight: Tensor, index: Tensor, padding_idx: int | None, by_frequency: bool) -> Tensor:
    """Rows of a weight; the padding row's get no gradient, others' gradients may be divided by how often they occur."""
    rows = weight[from_front_only(index, weight.shape[0])]
    if by_frequency:
        flat = index.reshape(-1).cast(dtypes.int32)
        counts = weight.new_zeros(weight.shape[0]).scatter_add(0, flat, weight.new_ones(flat.numel()))
        share = (1 / counts[index]).unsqueeze(-1)
        rows = rows * share + (rows * (1 - share)).detach()
    return rows if padding_idx is None else (index == padding_idx).unsqueeze(-1).where(rows.detach(), rows)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of a weight that integers name.

    padding_idx          a row that gets no gradient
    max_norm             longer rows that are named are first shortened to it, in place
    scale_grad_by_freq   a row's gradient is divided by how often it is named
    sparse               gradients are never sparse here; accepted for torch's sake

    raises DTypeError; IndexError, when the result is used, for an integer that names no row
    """
    if not input.dtype.is_int:
        raise DTypeError(f"embedding of {input.dtype}: rows are looked up by integers; cast() to int32")
    if weight.ndim != 2:
        raise ShapeError(f"embedding takes a weight of [rows, columns], got {weight.shape}")
    if padding_idx is not None and not -weight.shape[0] <= padding_idx < weight.shape[0]:
        raise ArgumentError(f"padding_idx={padding_idx} must be within num_embeddings={weight.shape[0]}")
    if max_norm is not None:
        _limited(weight, input, max_norm, norm_type)
    row = None if padding_idx is None else padding_idx % weight.shape[0]
    return _looked_up(weight, input, row, scale_grad_by_freq)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows named by each bag of integers.

    input     [B, n]: a bag for each row; or [n] with offsets [B], where the bags begin, the first at 0
    returns   [B, embedding_dim]; zeros for an empty bag

    include_last_offset   the last of [B + 1] offsets is where the last bag ends: what follows is in none

    raises ShapeError, DTypeError, ValueError, this when the result is used for offsets out of order
    """
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != input.shape):
        raise ArgumentError("per_sample_weights go with mode='sum' and have the input's shape")
    if per_sample_weights is not None and per_sample_weights.dtype is not weight.dtype:
        raise DTypeError(f"embedding_bag of {weight.dtype} with per_sample_weights of {per_sample_weights.dtype}")
    if (input.ndim == 2) != (offsets is None) or input.ndim not in (1, 2):
        raise ShapeError(f"embedding_bag of {input.shape}: it takes [B, n] without offsets, or [n] with offsets")
    if offsets is None:
        bags, found = Tensor.arange(input.shape[0]).repeat_interleave(input.shape[1]), input.shape[0]
    elif offsets.shape[0]:
        bags, found = _bags(offsets, input.shape[0]), offsets.shape[0]
    elif input.shape[0] or include_last_offset:
        raise ArgumentError(f"embedding_bag of {input.shape[0]} integers without an offset; the first one is 0")
    else:
        bags, found = input, 0
    flat = input.reshape(-1)
    rows = embedding(flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    padding = None if padding_idx is None else padding_idx % weight.shape[0]
    combined = _bagged(rows, bags.cast(dtypes.int32), flat, found, mode, padding)
    if offsets is not None and not input.shape[0]:
        combined = combined._where_allowed(offsets.eq(0).unsqueeze(1).expand(combined.shape), BAGS)
    return combined[:-1] if offsets is not None and include_last_offset else combined  # without what is in no bag


@composite
def _bags(offsets: Tensor, count: int) -> Tensor:
    """The bag of each of so many integers; to compute it is an error where offsets are not in order from 0 to them."""
    first = Tensor.arange(offsets.shape[0]).eq(0)
    least = first.where(0, offsets.roll(1, 0))
    ordered = offsets._where_allowed((offsets >= least) & (offsets <= first.where(0, count)), BAGS)
    return ordered.searchsorted(Tensor.arange(count), right=True) - 1


@composite
def _bagged(rows: Tensor, bags: Tensor, names: Tensor, count: int, mode: str, padding: int | None) -> Tensor:
    """Rows [n, d] combined by the bags [n] they are in; those of the padding row do not count."""
    shape = (count, rows.shape[1])
    counts = rows.new_ones(rows.shape[0]) if padding is None else (names != padding).cast(rows.dtype)
    index = bags.unsqueeze(1).expand(rows.shape)
    if mode == "max":
        start = rows.new_full(shape, rows.dtype.min)
        shown = (counts > 0).unsqueeze(1).where(rows, rows.dtype.min)
        largest = start.scatter_reduce(0, index, shown, "amax")
        filled = rows.new_zeros(count).scatter_add(0, bags, counts).unsqueeze(1) > 0
        return filled.where(largest, 0)
    sums = rows.new_zeros(*shape).scatter_add(0, index, rows * counts.unsqueeze(1))
    if mode == "sum":
        return sums
    sizes = rows.new_zeros(count).scatter_add(0, bags, counts)
    return sums / sizes.maximum(1).unsqueeze(1)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 1 at each element's value along a new last dimension, 0 elsewhere; -1 takes one class more than the
    largest value."""
    return tensor.one_hot(num_classes).cast(dtypes.int64)


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: DType | str | None = None,
) -> Tensor:
    """Several matrix products at once: rows of mat_a, ending at offs, each group with its own matrix of mat_b.

    mat_a [n, k], mat_b [groups, k, m] and offs [groups]; or both with a batch dimension and no offs
    """
    if offs is None:
        product = mat_a @ mat_b
    else:
        group = (Tensor.arange(mat_a.shape[0]).unsqueeze(1) >= offs.unsqueeze(0)).sum(1).minimum(mat_b.shape[0] - 1)
        one = Tensor.arange(mat_b.shape[0]).unsqueeze(0).eq(group.unsqueeze(1)).cast(mat_a.dtype)
        product = Tensor.einsum("ng,nk,gkm->nm", one, mat_a, mat_b)
    product = product if bias is None else product + bias
    return product if out_dtype is None else product.cast(out_dtype)


def scaled_mm(
    mat_a: Tensor, mat_b: Tensor, scale_a: Tensor, scale_b: Tensor, bias: Tensor | None = None,
    output_dtype: DType | str = "bfloat16",
) -> Tensor:  # fmt: skip
    """(mat_a * scale_a) @ (mat_b * scale_b) + bias for narrow matrices, with a scale for all, or for each row of mat_a
    and each column of mat_b."""
    product = (mat_a.float() @ mat_b.float()) * scale_a * scale_b
    return (product if bias is None else product + bias).cast(output_dtype)


def scaled_grouped_mm(
    mat_a: Tensor, mat_b: Tensor, scale_a: Tensor, scale_b: Tensor, offs: Tensor | None = None,
    bias: Tensor | None = None, output_dtype: DType | str = "bfloat16",
) -> Tensor:  # fmt: skip
    """grouped_mm() of mat_a * scale_a, a scale per row, and mat_b * scale_b, one per column of each matrix."""
    a, b = mat_a.float() * scale_a.reshape(-1, 1), mat_b.float() * scale_b.reshape(mat_b.shape[0], 1, -1)
    return grouped_mm(a, b, offs=offs, bias=bias, out_dtype=output_dtype)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """cross_entropy() of linear(input, linear_weight, linear_bias), the last dimension being the classes.

    A weight [C, ..., features] of more dimensions gives logits [N, C, ...].

    raises ShapeError, ArgumentError
    """
    if target.dtype.is_float and ignore_index is not None:
        raise ArgumentError(f"ignore_index={ignore_index} is a class, but the targets are probabilities of classes")
    outer = linear_weight.shape[:-1]
    if not outer or (len(outer) > 1 and input.ndim != 2):
        raise ShapeError(
            f"linear_cross_entropy of {input.shape} with weights {linear_weight.shape}: weights are [C, features], or "
            "[C, ..., features] where there is a batch, [N, features]"
        )
    if linear_bias is not None and linear_bias.shape != outer:
        raise ShapeError(f"linear_cross_entropy with a bias of {linear_bias.shape}: it has the weights' shape {outer}")
    reduction = reduction_of(reduction, None, None)
    bias = None if linear_bias is None else linear_bias.flatten()
    logits = linear(input, linear_weight.reshape(-1, linear_weight.shape[-1]), bias)
    if len(outer) > 1:
        logits = logits.reshape(*input.shape[:-1], *outer)
    elif logits.ndim > 2:
        logits = logits.movedim(-1, 1)
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(logits, target, weight, None, ignored, None, reduction, label_smoothing)
