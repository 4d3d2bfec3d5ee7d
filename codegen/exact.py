"""A kernel in exact arithmetic: the same algebra with every float as float64.

Comes in: a kernel, or arrays for it.  Goes out: a kernel whose float parameters and values are all float64, and arrays
for that.  Values are no longer rounded on the way: what is left of a rounding cast is nothing.  Integers and bits stay
what they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes, from_storage
from codegen.index import Guard, Guards, in_order, needed
from codegen.ir import (
    Apply,
    Const,
    Expr,
    Kernel,
    Load,
    Param,
    Reduce,
    Scan,
    Store,
    apply,
    const,
    load,
    reduce,
    replace,
    scan,
    with_axes,
)


def exact(kernel: Kernel, rounding: float = 0.0, seed: int = 0) -> Kernel:
    """The kernel over float64: parameters of the same names and sizes, stores in the same order.

    rounding, seed   what every operation's results are changed by, relatively, at random: the same for all elements
    """
    params = {param: _widened(param) for param in kernel.params}
    random = np.random.default_rng(seed)
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        made[e] = found = _exact(e, made, params)
        if rounding and e.args and found.dtype is dtypes.float64:
            made[e] = apply("mul", found, const(1 + rounding * random.uniform(-1, 1), dtypes.float64))
    stores = tuple(_stored(store, made, params) for store in kernel.stores)
    return Kernel(kernel.name, tuple(params[param] for param in kernel.params), stores)


def exact_arrays(kernel: Kernel, arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Copies of a kernel's arrays, in storage form, for exact(kernel)."""
    with np.errstate(all="ignore"):  # memory not written yet may hold anything
        return {
            param.name: from_storage(arrays[param.name], param.dtype).astype(_wide(param.dtype).numpy)
            for param in kernel.params
        }


def _wide(dtype: DType) -> DType:
    return dtypes.float64 if dtype.is_float else dtype


def _widened(param: Param) -> Param:
    return dataclasses.replace(param, dtype=_wide(param.dtype))


def _exact(e: Expr, made: dict[Expr, Expr], params: Mapping[Param, Param]) -> Expr:
    """One expression, given what its operands became."""
    if isinstance(e, Const):
        return const(float(np.asarray(e.value, e.dtype.numpy)), dtypes.float64) if e.dtype.is_float else e
    if isinstance(e, Load):
        return load(params[e.param], replace(e.index, {}, made), _guards(e.guards, made))
    if isinstance(e, Apply):
        return _applied(e, tuple(made[x] for x in e.args))
    if isinstance(e, Reduce):
        return reduce(e.op, made[e.arg], e.bound)
    if isinstance(e, Scan):
        return scan(e.op, made[e.arg], e.axis, e.reverse)
    return with_axes(e, (), {}, made)


def _applied(e: Apply, args: tuple[Expr, ...]) -> Expr:
    if e.op.name == "cast":
        return apply("cast", args[0], dtype=_wide(e.dtype))
    if e.op.name == "bitcast":
        source = apply("cast", args[0], dtype=e.args[0].dtype)
        return apply("cast", apply("bitcast", source, dtype=e.dtype), dtype=_wide(e.dtype))
    return apply(e.op, *args)


def _guards(guards: Guards, made: dict[Expr, Expr]) -> Guards:
    return needed(Guard(replace(g.index, {}, made), g.lo, g.hi) for g in in_order(guards))


def _stored(store: Store, made: dict[Expr, Expr], params: Mapping[Param, Param]) -> Store:
    return dataclasses.replace(
        store,
        param=params[store.param],
        index=replace(store.index, {}, made),
        value=made[store.value],
        guards=_guards(store.guards, made),
    )
