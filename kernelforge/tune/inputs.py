"""Random arguments for a kernel that has no data yet.

Comes in: a kernel.  Goes out: an array per parameter, in storage form.  Floats are normally distributed, integers small
and positive; those that give places lie in the range the kernel checks them against, so that gathers and scatters
touch memory as they would with real data.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes, to_storage
from codegen.goals import dynamic_exprs
from codegen.index import Index
from codegen.ir import Coord, Kernel, Load, Param, Valid, walk

PERIOD: Final = (1 << 20) - 3  # values drawn at most: longer arrays repeat them, at no power of two
LARGEST: Final = 100


def arguments(kernel: Kernel, seed: int = 0) -> dict[str, NDArray]:
    """An array for every parameter; the same for the same kernel and seed."""
    rng = np.random.default_rng(seed)
    ends = _ends(kernel)
    return {param.name: _filled(rng, param, ends.get(param)) for param in kernel.params}


def _filled(rng: np.random.Generator, param: Param, end: int | None) -> NDArray:
    return np.resize(_drawn(rng, param.dtype, min(param.size, PERIOD), end), param.size)


def _drawn(rng: np.random.Generator, dtype: DType, size: int, end: int | None) -> NDArray:
    if dtype.is_float:
        return to_storage(rng.standard_normal(size, np.float32), dtype)
    if dtype is dtypes.bool:
        return to_storage(rng.integers(0, 2, size), dtype)
    first, last = (1, LARGEST) if end is None else (0, max(1, end))
    return to_storage(rng.integers(first, min(last, int(dtype.max) + 1), size), dtype)


def _ends(kernel: Kernel) -> dict[Param, int]:
    """For each integer parameter that places depend on, where its values must end."""
    found: dict[Param, int] = {}
    for index in _indices(kernel):
        for atom in index.atoms():
            if atom.kind == "dynamic":
                for e in walk(dynamic_exprs(index)):
                    if isinstance(e, Load) and e.dtype.is_int:
                        found[e.param] = min(atom.by, found.get(e.param, atom.by))
    return found


def _indices(kernel: Kernel) -> list[Index]:
    found = [store.index for store in kernel.stores]
    found += [guard.index for store in kernel.stores for guard in store.guards]
    for e in kernel.exprs:
        if isinstance(e, Load | Coord):
            found.append(e.index)
        if isinstance(e, Load | Valid):
            found += [guard.index for guard in e.guards]
    return found
