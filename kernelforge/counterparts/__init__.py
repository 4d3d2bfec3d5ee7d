"""NumPy's functions applied to tensors: np.linalg.solve(a, b) is a tensor, and nothing is computed.

Comes in: a function of NumPy and what it was called with.  Goes out: what its counterpart here makes of that; where
there is none, NumPy computes on the values and gives arrays.  Read `table.py`, `ufuncs.py`, `shaping.py`, `joining.py`,
`making.py`, `reducing.py`, `ordering.py`, `algebra.py`, `replacing.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import Signature, signature
from typing import Any, Final

import numpy as np

from kernelforge.counterparts import algebra, joining, making, ordering, reducing, replacing, shaping
from kernelforge.counterparts.table import TABLE, Otherwise
from kernelforge.counterparts.ufuncs import by_numpy, put_into, universal

__all__ = ["TABLE", "algebra", "applied", "joining", "making", "ordering", "reducing", "replacing", "shaping",
           "universal"]  # fmt: skip
_OF_ARRAYS: Final = {"order": ("K", "C", "A"), "subok": (True, False), "like": (None,), "copy": (True,)}


def applied(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function of NumPy gives for tensors: a tensor, not computed, or what NumPy makes of the values."""
    ours = TABLE.get(function)
    args = tuple([_plain(value) for value in args])
    options = {name: _plain(value) for name, value in kwargs.items() if value is not np._NoValue}
    if isinstance(options.get("dtype"), str):
        options["dtype"] = np.dtype(options["dtype"])
    out = options.pop("out", None)
    if ours is None or not _takes(ours, args, options):
        found = by_numpy(function, args, options)
    else:
        try:
            found = ours(*args, **options)
        except Otherwise:
            found = by_numpy(function, args, options)
    return found if out is None else put_into(out, found)


def _plain(value: Any) -> Any:
    """NumPy's whole numbers as Python's, as which axes and counts are known; they weigh no more beside a tensor."""
    if isinstance(value, np.integer):
        return int(value)
    whole = type(value) is tuple and any(isinstance(part, np.integer) for part in value)
    return tuple([_plain(part) for part in value]) if whole else value


@cache
def _signature(function: Callable[..., Any]) -> Signature:
    return signature(function)


def _takes(ours: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether a counterpart has the parameters; those that say how arrays lie in memory are dropped."""
    known = _signature(ours)
    for name, values in _OF_ARRAYS.items():
        if name in options and name not in known.parameters and options[name] in values:
            del options[name]
    try:
        known.bind(*args, **options)
    except TypeError:
        return False
    return True


def converts(function: Callable[..., Any]) -> bool:
    """Whether a function of NumPy has no counterpart, so that it computes tensors' values and gives arrays."""
    return function not in TABLE and not isinstance(function, np.ufunc)
