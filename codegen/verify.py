"""The laws of the kernel language that constructors cannot see.

Comes in: a kernel.  Goes out: nothing, or a VerifyError that names the broken law and shows the kernel.  Constructors
already guarantee types; here places are proved to lie inside their parameters and plain stores to be one-to-one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from codegen.bounds import FEW, TooManyPointsError, bounds, tried_bounds
from codegen.dtypes import dtypes
from codegen.index import Axis, Guards, Index, in_order
from codegen.interpret import index_values
from codegen.ir import Coord, Expr, Kernel, Load, Param, Store, Valid, index_exprs
from codegen.ops import REDUCE_OPS, result_dtype
from codegen.show import show


class VerifyError(Exception):
    """A kernel breaks a law of the language: a fault of whatever built it, not of the user's program."""

    def __init__(self, law: str, kernel: Kernel) -> None:
        super().__init__(f"{law}\n{show(kernel)}")
        self.law = law


class _Broken(Exception):
    """A law is broken; `verify` adds the kernel."""


def verify(kernel: Kernel) -> None:
    """Check every law of the language.

    - parameters and axes have distinct names; what is loaded or stored is declared
    - values inside indices are int32 or int64
    - every load and store is inside its parameter wherever its guards hold
    - a "set" store writes different places at different points, unless places or guards depend on data
    - stored values have the parameter's type, or float32 where that is a 16-bit float

    What more points than can be tried would show is taken to hold.

    raises VerifyError
    """
    try:
        _check_names(kernel)
        for e in kernel.exprs:
            _check_indices(e)
            if isinstance(e, Load):
                _check_place(e.param, e.index, e.guards)
        for store in kernel.stores:
            _check_store(store)
    except _Broken as broken:
        raise VerifyError(str(broken), kernel) from None


def _check_names(kernel: Kernel) -> None:
    for what, names in (("parameters", [p.name for p in kernel.params]), ("axes", [a.name for a in kernel.axes])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _Broken(f"{what} must have distinct names, but {', '.join(twice)} occurs twice")
    used = dict.fromkeys([e.param for e in kernel.loads] + [store.param for store in kernel.stores])
    undeclared = [p.name for p in used if p not in kernel.params]
    if undeclared:
        raise _Broken(f"{', '.join(undeclared)} is used but not declared as such")


def _check_indices(e: Expr) -> None:
    if isinstance(e, Load | Coord | Valid):
        for value in index_exprs(e):
            if value.dtype not in (dtypes.int32, dtypes.int64):
                raise _Broken(f"a value inside an index must be int32 or int64, not {value.dtype}")


def _check_place(param: Param, index: Index, guards: Guards) -> None:
    low, high = bounds(index, guards)
    if low < 0 or high >= param.size:
        try:
            low, high = tried_bounds(index, guards) or (low, high)
        except TooManyPointsError:
            return
    if low < 0 or high >= param.size:
        raise _Broken(f"{param.name}[{_place(index, guards)}] spans {low} .. {high}, outside its {param.size} elements")


def _place(index: Index, guards: Guards) -> str:
    return " | ".join([repr(index), *([", ".join(map(repr, in_order(guards)))] if guards else [])])


# ------------------------------------------------------------------------------------------------------ stores


def _check_store(store: Store) -> None:
    _check_place(store.param, store.index, store.guards)
    _check_stored_type(store)
    if store.before is not None:
        _check_place(store.param, store.before, store.guards)
        if store.mode not in REDUCE_OPS:
            raise _Broken(f"store to {store.param.name} tells what was before, but does not accumulate")
    by_data = store.index.is_dynamic or any(guard.index.is_dynamic for guard in store.guards)
    if store.mode == "set" and not by_data and not _one_to_one(store):
        raise _Broken(
            f"store to {store.param.name}[{_place(store.index, store.guards)}] over "
            f"{' '.join(a.name for a in store.axes)} writes a place more than once"
        )


def _check_stored_type(store: Store) -> None:
    target, value = store.param.dtype, store.value.dtype
    if store.mode == "flag":
        if target is not dtypes.int32 or value is not dtypes.bool:
            raise _Broken(f"a flag store writes a bool to an int32 parameter, not {value} to {target}")
        return
    if store.mode != "set":
        if store.mode not in REDUCE_OPS:
            raise _Broken(f"unknown store mode {store.mode!r}")
        try:
            result_dtype(REDUCE_OPS[store.mode].combine, (target.arithmetic, target.arithmetic))
        except TypeError as error:
            raise _Broken(f"store mode {store.mode}: {error}") from None
    if value is not target and not (target.is_narrow_float and value is dtypes.float32):
        raise _Broken(f"a {value} value is stored to {store.param.name}, which is {target}")


def _one_to_one(store: Store) -> bool:
    """Whether no two points of the store's axes at which its guards hold have one index, as far as few points tell."""
    if _radix(store.index) and all(_determined(axis, store.index) for axis in store.axes):
        return True
    if prod(a.size for a in store.axes) > FEW:
        return True
    places = _places(store.axes)
    shape = [a.size for a in store.axes]
    holds = np.ones(shape, np.bool_)
    for guard in store.guards:
        values = index_values(guard.index, store.axes, places, _no_value)
        holds = holds & (guard.lo <= values) & (values < guard.hi)
    written = np.broadcast_to(index_values(store.index, store.axes, places, _no_value), shape)[holds]
    return len(np.unique(written)) == written.size


def _radix(index: Index) -> bool:
    """Whether the sum determines its terms: each coefficient exceeds the span of all smaller terms together."""
    reach = 0
    for k, span in sorted((abs(k), atom.hi - atom.lo) for atom, k in index.terms):
        if span and k <= reach:
            return False
        reach += k * span
    return True


def _determined(axis: Axis, index: Index) -> bool:
    """Whether the index's terms determine the axis: it is one of them, or its own quotients and remainders tell."""
    if index.coefficient(axis):
        return True
    own = [atom for atom, _ in index.terms if atom.axes == frozenset((axis,))]
    if not own or axis.size > FEW:
        return False
    places = _places([axis])
    terms = [Index(((term, 1),), 0) for term in own]
    digits = [np.broadcast_to(index_values(term, [axis], places, _no_value), (axis.size,)) for term in terms]
    return np.unique(np.stack(digits), axis=1).shape[1] == axis.size


def _places(axes: Sequence[Axis]) -> dict[Axis, NDArray]:
    """Every axis's values, shaped to broadcast over all axes."""
    return {
        axis: np.arange(axis.size).reshape([-1 if p == position else 1 for p in range(len(axes))])
        for position, axis in enumerate(axes)
    }


def _no_value(e: Expr, axes: Sequence[Axis]) -> NDArray:
    raise AssertionError("an index that depends on data was evaluated without any")
