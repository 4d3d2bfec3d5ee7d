"""Whether two results are equal: number and kind of results, types, shapes, values, places of NaN.

Comes in: what both libraries gave.  Goes out: a sentence about the first difference, or None.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from kernelforge import Tensor
from tests.parity.matrix.translation import DTYPES, values

TOLERANCES: Final = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 2e-5, "float64": 1e-7,
                     "complex64": 2e-5, "complex128": 1e-7}  # fmt: skip


def leaves(result: Any) -> list[Any]:
    """The tensors and numbers of a result, one after the other."""
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    """Equal up to a tolerance of each element's size, and of what sums of the largest may lose."""
    if expected.dtype.kind not in "fc":
        return bool(np.array_equal(found, expected))
    with np.errstate(all="ignore"):
        finite = np.isfinite(expected)
        largest = np.abs(expected[finite]).max(initial=0.0)
        allowed = tolerance * (1 + np.abs(np.where(finite, expected, 0))) + tolerance / 10 * min(largest, 1e4)
        same = (np.abs(np.where(finite, found - expected, 0)) <= allowed) & (np.isfinite(found) == finite)
        if expected.dtype.kind == "c":
            return bool(same[finite].all() and (~np.isfinite(found[~finite])).all())
        odd = ~finite
        return bool(same[finite].all() and np.array_equal(found[odd], expected[odd], equal_nan=True))


def difference(
    found: Any, expected: Any, *, by_value: bool = True, places: bool = False, loose: float = 1
) -> str | None:
    """What is different, in a few words.

    by_value   False: shapes and types alone, for random numbers
    places     int32 stands for int64
    loose      a factor of the tolerances
    """
    mine, others = leaves(found), leaves(expected)
    if len(mine) != len(others):
        return f"results: {len(mine)} for {len(others)}"
    for x, y in zip(mine, others):
        if isinstance(y, torch.Tensor) != isinstance(x, Tensor):
            return f"kind: {type(x).__name__} for {type(y).__name__}"
        different = _of_tensors(x, y, by_value, places, loose) if isinstance(x, Tensor) else _of_numbers(x, y)
        if different is not None:
            return different
    return None


def _of_numbers(x: Any, y: Any) -> str | None:
    y = DTYPES.get(y) if isinstance(y, torch.dtype) else y
    both = isinstance(x, float | complex) and isinstance(y, float | complex)
    same = np.isclose(x, y, 1e-6, 1e-6, equal_nan=True) if both else x == y
    return None if same else f"value: {x!r} for {y!r}"


def _of_tensors(x: Tensor, y: torch.Tensor, by_value: bool, places: bool, loose: float) -> str | None:
    theirs = str(y.dtype)[6:]
    if tuple(x.shape) != tuple(y.shape):
        return f"shape: {tuple(x.shape)} for {tuple(y.shape)}"
    if x.dtype.name != theirs and not (places and (x.dtype.name, theirs) == ("int32", "int64")):
        return f"type: {x.dtype.name} for {theirs}"
    if not by_value:
        return None
    a, b = (x.float() if theirs == "bfloat16" else x).numpy(), values(y)
    if close(a, b, TOLERANCES.get(theirs, 0) * loose):
        return None
    return f"values: {_worst(a, b)}"


def _worst(found: np.ndarray, expected: np.ndarray) -> str:
    """Where two arrays differ most."""
    with np.errstate(all="ignore"):
        kind = np.complex128 if expected.dtype.kind == "c" else np.float64
        off = np.abs(found.astype(kind) - expected.astype(kind))
        unlike = np.isnan(found) != np.isnan(expected) if found.dtype.kind in "fc" else np.zeros(found.shape, bool)
        off = np.where(unlike, np.inf, np.where(found == expected, 0, off))
        off = np.where(np.isnan(off), 0, off)
    at = np.unravel_index(int(off.argmax()), off.shape)
    return f"{found[at]!r} for {expected[at]!r} at {tuple(map(int, at))} of {found.shape}"
