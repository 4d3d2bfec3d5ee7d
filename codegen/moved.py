"""16-bit floats that a kernel only moves: their bits are enough.

Comes in: a store.  Goes out: the same store of unsigned integers, where its value is read somewhere or a constant, and
conditions on other values choose among them.  No float is made of it and rounded again.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace

import numpy as np

from codegen.dots import bits_of
from codegen.dtypes import DType, dtypes, to_storage
from codegen.ir import Apply, Const, Expr, Kernel, Load, Param, Store, apply, const, walk


def moved_bits(store: Store, kernel: Kernel, kept: Container[Expr]) -> Store:
    """The store of bits, or the store as it is where it needs the values, or its kernel needs what it reads as floats.

        out[i] = half(where(c, float(x[i]), 1.5))  ->  bits of out[i] = where(c, bits of x[i], 0x3e00)

    kept  values that exist as floats already
    """
    if store.mode != "set" or not store.param.dtype.is_narrow_float:
        return store
    found = _bits(store.value, store.param.dtype, kept)
    if found is None or _reads_floats(kernel, found):
        return store
    return replace(store, param=Param(store.param.name, dtypes.uint16, store.param.size), value=found[store.value])


def _reads_floats(kernel: Kernel, moved: Mapping[Expr, Expr]) -> bool:
    """True when a kernel reads elsewhere what is moved: one compiler expects floats where they are, and takes it that
    the bits lie at such places too."""
    conditions = [e.args[0] for e in moved if isinstance(e, Apply) and e.op.name == "where"]
    elsewhere = {e for e in walk(conditions) if isinstance(e, Load)}
    elsewhere.update(e for e in kernel.loads if e not in moved)
    return not {e.param for e in moved if isinstance(e, Load)}.isdisjoint(e.param for e in elsewhere)


def _bits(root: Expr, dtype: DType, kept: Container[Expr]) -> dict[Expr, Expr] | None:
    """The bits of a value rounded to a 16-bit float type and of what it is one of; None where more than reading and
    choosing makes it."""
    found: dict[Expr, Expr] = {}
    stack = [root]
    while stack:
        e = stack[-1]
        parts = _alternatives(e, dtype)
        if e in kept or parts is None:
            return None
        missing = [part for part in parts if part not in found]
        stack += missing
        if not missing:
            found[stack.pop()] = _own_bits(e, dtype, [found[part] for part in parts])
    return found


def _alternatives(e: Expr, dtype: DType) -> tuple[Expr, ...] | None:
    """What a value is one of; None where it is something new."""
    if isinstance(e, Const) or (isinstance(e, Load) and e.dtype is dtype):
        return ()
    if not isinstance(e, Apply) or e.dtype not in (dtype, dtypes.float32):
        return None
    if e.op.name == "where":
        return e.args[1:]
    return e.args if e.op.name == "cast" and e.args[0].dtype in (dtype, dtypes.float32) else None


def _own_bits(e: Expr, dtype: DType, parts: list[Expr]) -> Expr:
    if isinstance(e, Const):
        return const(int(to_storage(np.array(e.value, np.float32), dtype).view(np.uint16)), dtypes.uint16)
    if isinstance(e, Load):
        return bits_of(e)
    return apply("where", e.args[0], *parts) if len(parts) > 1 else parts[0]
