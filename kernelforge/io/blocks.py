"""GGUF's quantised blocks: what their bytes mean.

Comes in: the bytes of blocks, one block a row.  Goes out: float32 values, one block a row.  Each function follows one
layout; `d` is a block's scale and `m` its offset, both float16, and the rest are small integers.

    value = d * q            Q4_0 Q5_0 Q8_0 (with q moved to be signed), IQ4_NL and MXFP4 (with q looked up)
    value = d * q + m        Q4_1 Q5_1
    value = d * s * q - m * t   the K blocks: 256 values in groups that have a scale s and an offset t of their own
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

CODEBOOK: Final = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
FP4: Final = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)  # twice the values


class Kind(NamedTuple):
    """A block type: its name, values and bytes a block, and the function from bytes to values."""

    name: str
    values: int
    size: int
    decoded: Callable[[Bytes], Floats]


def decoded(kind: Kind, data: Bytes) -> Floats:
    """The values of a run of blocks, in order; done in pieces, so that they cost little more than their result."""
    rows = data.reshape(-1, kind.size)
    values = np.empty((len(rows), kind.values), np.float32)
    step = max(1, (1 << 20) // kind.values)
    with np.errstate(invalid="ignore", over="ignore"):  # a scale may be infinite
        for start in range(0, len(rows), step):
            values[start : start + step] = kind.decoded(rows[start : start + step])
    return values.reshape(-1)


def _half(rows: Bytes, place: int) -> Floats:
    """The float16 at a place of each row, [n, 1]."""
    return np.ascontiguousarray(rows[:, place : place + 2]).view(np.float16).astype(np.float32)


def _nibbles(data: Bytes) -> Bytes:
    """Two 4-bit numbers a byte along the last axis: all low ones, then all high ones."""
    return np.concatenate([data & 15, data >> 4], axis=-1)


def _fields(data: Bytes, bits: int) -> Any:
    """Numbers of a few bits, 8 / bits a byte: [..., n] -> [..., 8 / bits, n], the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    return (data[..., None, :] >> shifts) & np.uint8((1 << bits) - 1)


def _bits(rows: Bytes, place: int) -> Bytes:
    """The 32 bits from a place of each row on, lowest first, [n, 32]."""
    return np.unpackbits(rows[:, place : place + 4], axis=1, bitorder="little")


def _signed(data: Bytes) -> NDArray[np.int8]:
    return np.ascontiguousarray(data).view(np.int8)


# Blocks of 32 -------------------------------------------------------------------------------------------------------


def _q4_0(rows: Bytes) -> Floats:
    return _half(rows, 0) * (_nibbles(rows[:, 2:]).astype(np.float32) - 8)


def _q4_1(rows: Bytes) -> Floats:
    return _half(rows, 0) * _nibbles(rows[:, 4:]).astype(np.float32) + _half(rows, 2)


def _q5_0(rows: Bytes) -> Floats:
    q = _nibbles(rows[:, 6:]) | (_bits(rows, 2) << 4)
    return _half(rows, 0) * (q.astype(np.float32) - 16)


def _q5_1(rows: Bytes) -> Floats:
    q = _nibbles(rows[:, 8:]) | (_bits(rows, 4) << 4)
    return _half(rows, 0) * q.astype(np.float32) + _half(rows, 2)


def _q8_0(rows: Bytes) -> Floats:
    return _half(rows, 0) * _signed(rows[:, 2:]).astype(np.float32)


def _iq4_nl(rows: Bytes) -> Floats:
    return _half(rows, 0) * CODEBOOK[_nibbles(rows[:, 2:])]


def _mxfp4(rows: Bytes) -> Floats:
    scale = np.ldexp(np.float32(0.5), rows[:, :1].astype(np.int32) - 127)  # a power of two; FP4 is doubled
    return scale.astype(np.float32) * FP4[_nibbles(rows[:, 1:])]


# Blocks of 256 ------------------------------------------------------------------------------------------------------


def _grouped(d: Floats, scales: Any, q: Any) -> Floats:
    """d * scale * q for q of [n, groups, values]."""
    return (d * scales.astype(np.float32))[:, :, None] * q.astype(np.float32)


def _q2_k(rows: Bytes) -> Floats:
    packed, d, m = rows[:, :16], _half(rows, 80), _half(rows, 82)
    q = _fields(rows[:, 16:80].reshape(-1, 2, 32), 2).reshape(-1, 16, 16)
    return (_grouped(d, packed & 15, q) - (m * (packed >> 4))[:, :, None]).reshape(-1, 256)


def _q3_k(rows: Bytes) -> Floats:
    high = _fields(rows[:, None, :32], 1).reshape(-1, 8, 32)
    low = _fields(rows[:, 32:96].reshape(-1, 2, 32), 2).reshape(-1, 8, 32)
    q = (low | (high << 2)).astype(np.int8) - 4
    four, two = _nibbles(rows[:, 96:104]), _fields(rows[:, 104:108], 2).reshape(-1, 16)
    scales = (four | (two << 4)).astype(np.int8) - 32
    return _grouped(_half(rows, 108), scales, q.reshape(-1, 16, 16)).reshape(-1, 256)


def _six_bits(packed: Bytes) -> tuple[Bytes, Bytes]:
    """The 8 scales and 8 offsets of 6 bits in 12 bytes: the last four of each are spread over the others' high bits."""
    a, b, c = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([a & 63, (c & 15) | (a >> 6 << 4)], axis=1)
    offsets = np.concatenate([b & 63, (c >> 4) | (b >> 6 << 4)], axis=1)
    return scales, offsets


def _with_offsets(rows: Bytes, q: Any) -> Floats:
    scales, offsets = _six_bits(rows[:, 4:16])
    return (_grouped(_half(rows, 0), scales, q) - (_half(rows, 2) * offsets)[:, :, None]).reshape(-1, 256)


def _q4_k(rows: Bytes) -> Floats:
    return _with_offsets(rows, _fields(rows[:, 16:].reshape(-1, 4, 32), 4).reshape(-1, 8, 32))


def _q5_k(rows: Bytes) -> Floats:
    high = _fields(rows[:, None, 16:48], 1).reshape(-1, 8, 32)
    low = _fields(rows[:, 48:].reshape(-1, 4, 32), 4).reshape(-1, 8, 32)
    return _with_offsets(rows, low | (high << 4))


def _q6_k(rows: Bytes) -> Floats:
    low = _fields(rows[:, :128].reshape(-1, 2, 64), 4).reshape(-1, 256)
    high = _fields(rows[:, 128:192].reshape(-1, 2, 32), 2).reshape(-1, 256)
    q = (low | (high << 4)).astype(np.int8) - 32
    return _grouped(_half(rows, 208), _signed(rows[:, 192:208]), q.reshape(-1, 16, 16)).reshape(-1, 256)


def _q8_k(rows: Bytes) -> Floats:
    d = np.ascontiguousarray(rows[:, :4]).view(np.float32)
    return d * _signed(rows[:, 4:260]).astype(np.float32)


def _iq4_xs(rows: Bytes) -> Floats:
    high = np.ascontiguousarray(rows[:, 2:4]).view(np.uint16) >> np.arange(0, 16, 2, dtype=np.uint16) & 3
    low = _fields(rows[:, 4:8], 4).transpose(0, 2, 1).reshape(-1, 8)
    scales = (low | (high << 4)).astype(np.int8) - 32
    return _grouped(_half(rows, 0), scales, CODEBOOK[_nibbles(rows[:, 8:].reshape(-1, 8, 16))]).reshape(-1, 256)


KINDS: Final[dict[int, Kind]] = {
    2: Kind("Q4_0", 32, 18, _q4_0),
    3: Kind("Q4_1", 32, 20, _q4_1),
    6: Kind("Q5_0", 32, 22, _q5_0),
    7: Kind("Q5_1", 32, 24, _q5_1),
    8: Kind("Q8_0", 32, 34, _q8_0),
    10: Kind("Q2_K", 256, 84, _q2_k),
    11: Kind("Q3_K", 256, 110, _q3_k),
    12: Kind("Q4_K", 256, 144, _q4_k),
    13: Kind("Q5_K", 256, 176, _q5_k),
    14: Kind("Q6_K", 256, 210, _q6_k),
    15: Kind("Q8_K", 256, 292, _q8_k),
    20: Kind("IQ4_NL", 32, 18, _iq4_nl),
    23: Kind("IQ4_XS", 256, 136, _iq4_xs),
    39: Kind("MXFP4", 32, 17, _mxfp4),
}
"""Block types by the number GGUF gives them."""
