"""Differences of values that are none: where torch's values are not the only right ones.

Comes in: a sample of torch's database, both results and how they differ.  Goes out: how they differ still.

Equal elements have no order: what the places that were found hold is compared, unless a stable order was asked for.
Floats of 16 bits that differ from torch's are right where they are what torch makes of the same numbers as doubles,
rounded once: torch rounds in between, and we compute in float32.
Elements in float32 are right where they are what doubles give, or err as seldom as torch's do.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from tests.parity.matrix.comparison import TOLERANCES, difference, leaves
from tests.parity.matrix.translation import values

NARROW: Final = (torch.float16, torch.bfloat16)
PICKING: Final = {  # which argument is the dimension, and the one that is taken without it
    "sort": (0, -1), "argsort": (0, -1), "topk": (1, -1), "kthvalue": (1, -1), "mode": (0, -1), "median": (0, None),
    "nanmedian": (0, None),
}  # fmt: skip


def settled(op: Any, sample: Any, found: Any, expected: Any, how: str, compared: dict[str, bool]) -> str:
    """How both results still differ.

    compared   the options of `difference`
    """
    if not how.startswith("values"):
        return how
    if op.name in PICKING and not sample.kwargs.get("stable"):
        return "" if _picks_equal_elements(op.name, sample, leaves(found), leaves(expected)) else how
    if any(isinstance(x, torch.Tensor) and x.dtype in NARROW for x in leaves(expected)):
        return how if difference(found, _of_doubles(op, sample, leaves(expected)), **compared) else ""
    if all(isinstance(x, torch.Tensor) and x.dtype is torch.float32 for x in leaves(expected)):
        return "" if _as_near(op, sample, leaves(found), leaves(expected)) else how
    return how


def _as_near(op: Any, sample: Any, found: list[Any], expected: list[Any]) -> bool:
    """Whether as many elements are as near to what torch makes of the same numbers as doubles as of torch's own.

    Errors are compared in the order of their size, up to a factor of 2: one bad element of torch's allows for one.
    """
    for mine, other, y in zip(found, expected, in_doubles(op, sample)):
        a, b, exactly = mine.numpy(), values(other), values(y)
        finite = np.isfinite(exactly)
        if not np.array_equal(a[~finite], exactly[~finite].astype(a.dtype), equal_nan=True):
            return False
        off, theirs = (np.nan_to_num(np.abs(x[finite] - exactly[finite]), nan=np.inf) for x in (a, b))
        allowed = TOLERANCES["float32"] * (1 + np.abs(exactly[finite]))
        if not (np.sort(off - allowed) <= 2 * np.sort(theirs)).all():
            return False
    return True


def _picks_equal_elements(name: str, sample: Any, found: list[Any], expected: list[Any]) -> bool:
    """Whether both results hold equal values and pick them from places that hold equal elements, each place once."""
    place, dim = PICKING[name]
    dim = sample.kwargs.get("dim", sample.args[place] if len(sample.args) > place else dim)
    x = values(sample.input)
    x = x.reshape(-1) if dim is None or not x.ndim else np.moveaxis(x, dim, -1)
    for mine, other in zip(found, expected):
        a, b = (mine.float() if other.dtype is torch.bfloat16 else mine).numpy(), values(other)
        if other.dtype is not torch.int64 or (mine is found[0] and len(found) > 1):
            if not np.array_equal(a, b, equal_nan=b.dtype.kind == "f"):
                return False
            continue
        along = 0 if dim is None or not b.ndim else dim
        a, b = (np.moveaxis(i, along, -1) if i.ndim == x.ndim else i[..., None] for i in (a, b))
        once = a.shape[-1] < 2 or (np.diff(np.sort(a, -1), axis=-1) > 0).all()
        picked = [np.take_along_axis(x, i.astype(np.int64), -1) for i in (a, b)]
        if not once or not np.array_equal(*picked, equal_nan=x.dtype.kind == "f"):
            return False
    return True


def _of_doubles(op: Any, sample: Any, like: list[Any]) -> list[Any]:
    """What torch makes of a sample whose narrow floats are doubles, in the types of its own results."""
    results = in_doubles(op, sample)
    return [y.to(x.dtype) if isinstance(x, torch.Tensor) else y for x, y in zip(like, results)]


def in_doubles(op: Any, sample: Any) -> list[Any]:
    """torch's results of the same numbers as doubles, doubles being what floats are by default."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return leaves(op(widened(sample.input), *widened(tuple(sample.args)), **widened(sample.kwargs)))
    finally:
        torch.set_default_dtype(before)


def widened(value: Any) -> Any:
    """A sample's arguments with doubles instead of narrower floats."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in (*NARROW, torch.float32) else value
    if type(value) in (tuple, list):
        return type(value)([widened(part) for part in value])
    if isinstance(value, dict):
        return {name: widened(part) for name, part in value.items()}
    return torch.float64 if isinstance(value, torch.dtype) and value in (*NARROW, torch.float32) else value
