"""Sequences of different lengths in one tensor: padded, or packed as torch packs them.

Comes in: sequences, longest first or in any order.  Goes out: padded tensors, `PackedSequence`, and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge.errors import ArgumentError
from kernelforge.tensor import Tensor


class PackedSequence(NamedTuple):
    """Sequences, longest first, as the elements of all at the first time, then at the second, ...

    data              [total, ...]
    batch_sizes       [longest] how many sequences are that long, on the host
    sorted_indices    where each packed sequence was before; None if they came longest first
    unsorted_indices  where each sequence went
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def _places(self) -> tuple[NDArray, NDArray]:
        """The place in data of each sequence's element at each time [T, B], and which of them there are."""
        sizes = self.batch_sizes.numpy()
        starts = np.cumsum(sizes) - sizes
        column = np.arange(sizes[0] if len(sizes) else 0)
        return np.minimum(starts[:, None] + column, max(0, sizes.sum() - 1)), column < sizes[:, None]

    def padded(self, padding_value: float = 0.0) -> tuple[Tensor, Tensor]:
        """The sequences [T, B, ...], longest first, and their lengths [B]."""
        places, inside = self._places()
        shape = (*inside.shape, *(1,) * (self.data.ndim - 1))
        values = self.data[Tensor(places)]
        return Tensor(inside).reshape(shape).where(values, padding_value), Tensor(inside.sum(0))

    def like(self, padded: Tensor) -> PackedSequence:
        """These sequences with other elements, from [T, B, ...]."""
        flat = Tensor(np.flatnonzero(self._places()[1]))
        return self._replace(data=padded.flatten(0, 1)[flat])


def _inverted(order: NDArray) -> NDArray:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Padded sequences [T, B, ...], or [B, T, ...] with batch_first, packed.

    raises ValueError when enforce_sorted and the lengths increase somewhere, or when one is 0
    """
    sizes = np.asarray(lengths.numpy() if isinstance(lengths, Tensor) else lengths, np.int64)
    x = input.transpose(0, 1) if batch_first else input
    if len(sizes) != x.shape[1] or (sizes <= 0).any() or (sizes > x.shape[0]).any():
        raise ArgumentError(f"pack_padded_sequence of {input.shape} with lengths {sizes.tolist()}: each is above 0, "
                         f"one for each of {x.shape[1]} sequences, at most {x.shape[0]}")  # fmt: skip
    order = np.argsort(-sizes, kind="stable")
    if enforce_sorted and (np.diff(sizes) > 0).any():
        raise ArgumentError("`lengths` array must be sorted in decreasing order when `enforce_sorted` is True")
    inside = np.arange(sizes.max())[:, None] < sizes[order]
    ordered = x if enforce_sorted else x[:, Tensor(order)]
    data = ordered[: len(inside)].flatten(0, 1)[Tensor(np.flatnonzero(inside))]
    counts = Tensor(inside.sum(1))
    return PackedSequence(data, counts) if enforce_sorted else PackedSequence(
        data, counts, Tensor(order), Tensor(_inverted(order))
    )  # fmt: skip


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Packed sequences as [T, B, ...], in the order they came in, and their lengths."""
    values, lengths = sequence.padded(padding_value)
    if total_length is not None:
        if total_length < values.shape[0]:
            raise ArgumentError(f"total_length={total_length} is less than the longest sequence, {values.shape[0]}")
        more = [(0, total_length - values.shape[0])] + [(0, 0)] * (values.ndim - 1)
        values = values.pad(more, value=padding_value)
    if sequence.unsorted_indices is not None:
        values, lengths = values[:, sequence.unsorted_indices], lengths[sequence.unsorted_indices]
    return values.transpose(0, 1) if batch_first else values, lengths.cast(dtypes.int64)


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences [T, ...] of different lengths as one tensor [T, B, ...], or [B, T, ...] with batch_first."""
    if not len(sequences):
        raise ArgumentError("pad_sequence() takes at least one sequence")
    longest = max(x.shape[0] for x in sequences)
    left = padding_side == "left"
    gaps = [longest - x.shape[0] for x in sequences]
    rows = [
        x.pad([(gap, 0) if left else (0, gap)] + [(0, 0)] * (x.ndim - 1), value=padding_value)
        for x, gap in zip(sequences, gaps)
    ]
    return Tensor.stack(*rows, dim=0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences that pad_sequence() put together."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [rows[i, : int(size)] for i, size in enumerate(lengths.numpy())]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences [T, ...] of different lengths, packed."""
    return pack_padded_sequence(pad_sequence(sequences), [x.shape[0] for x in sequences], False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that pack_sequence() put together."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
