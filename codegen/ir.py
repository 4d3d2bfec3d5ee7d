"""The kernel language, complete.

    Expr   = Const(value) | Coord(Index)             Coord: the integer value of a position (arange, random counters)
           | Valid(Guards)                           bool: every guard holds
           | Load(Param, Index, Guards)              0 where a guard fails; the Index may hold an Expr (a gather)
           | Apply(op, args)                         axes: union of its operands'
           | Reduce(op, arg, axes)                   axes: its operand's minus those it binds
           | Scan(op, arg, axis, reverse)            axes: its operand's and the one it accumulates along
    Store  = Store(Param, Index, value, axes, Guards, mode)
    Kernel = name, params, stores

Every value is a tile over a set of named axes; sizes live only in the axes.  The constructors (`const`, `coord`,
`valid`, `load`, `apply`, `reduce`, `scan`) infer axes and dtype and refuse what has none: no ill-typed expression can
be built.
Expressions are hash-consed: equal ones are one object.  16-bit floats are storage types: only `load`, `cast`, `bitcast`
and a store see them, all arithmetic is done in float32 or wider.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final, cast
from weakref import WeakValueDictionary

from codegen.assumed import FIXED, assumed
from codegen.dtypes import DType, dtypes
from codegen.index import (
    NO_GUARDS,
    Atom,
    Axis,
    Guard,
    Guards,
    Index,
    guard_axes,
    in_order,
    needed,
    separated,
    substitute,
    union,
)
from codegen.ops import REDUCE_OPS, SCALAR_OPS, ReduceOp, ScalarOp, result_dtype

_numbers = itertools.count()
_interned: Final[WeakValueDictionary[tuple[object, ...], Expr]] = WeakValueDictionary()


@dataclass(frozen=True)
class Param:
    """A kernel argument: a one-dimensional array of `size` elements."""

    name: str
    dtype: DType
    size: int

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return self.name


class Expr:
    """A value over a set of axes.  `args` are its operand expressions; see the subclasses."""

    __slots__ = ("__weakref__", "args", "axes", "dtype", "id")

    def __init__(self, args: tuple[Expr, ...], axes: frozenset[Axis], dtype: DType) -> None:
        self.args, self.axes, self.dtype, self.id = args, axes, dtype, next(_numbers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}#{self.id}{{{' '.join(sorted(a.name for a in self.axes))}}}"


class Const(Expr):
    """One value of a type, over no axes."""

    __slots__ = ("value",)

    def __init__(self, value: int | float | bool, dtype: DType) -> None:
        super().__init__((), frozenset(), dtype)
        self.value = value


class Coord(Expr):
    """The integer value of an index."""

    __slots__ = ("index",)

    def __init__(self, index: Index, dtype: DType) -> None:
        super().__init__((), index.axes, dtype)
        self.index = index


class Valid(Expr):
    """True where every guard holds."""

    __slots__ = ("guards",)

    def __init__(self, guards: Guards) -> None:
        super().__init__((), guard_axes(guards), dtypes.bool)
        self.guards = guards


class Load(Expr):
    """param[index] where every guard holds, 0 elsewhere.  The index is in bounds wherever the guards hold."""

    __slots__ = ("guards", "index", "param")

    def __init__(self, param: Param, index: Index, guards: Guards) -> None:
        super().__init__((), union([index.axes, guard_axes(guards)]), param.dtype)
        self.param, self.index, self.guards = param, index, guards


class Apply(Expr):
    """A scalar operation on its operands, element by element."""

    __slots__ = ("op",)

    def __init__(self, op: ScalarOp, args: tuple[Expr, ...], dtype: DType) -> None:
        super().__init__(args, union([a.axes for a in args]), dtype)
        self.op = op


class Reduce(Expr):
    """The combination of its operand over all values of the bound axes."""

    __slots__ = ("bound", "op")

    def __init__(self, op: ReduceOp, arg: Expr, bound: tuple[Axis, ...]) -> None:
        super().__init__((arg,), arg.axes - frozenset(bound), arg.dtype)
        self.op, self.bound = op, bound

    @property
    def arg(self) -> Expr:
        return self.args[0]


class Scan(Expr):
    """The combination of its operand over all places up to each one along an axis; from each one on when reverse."""

    __slots__ = ("axis", "op", "reverse")

    def __init__(self, op: ReduceOp, arg: Expr, axis: Axis, reverse: bool) -> None:
        super().__init__((arg,), arg.axes | {axis}, arg.dtype)
        self.op, self.axis, self.reverse = op, axis, reverse

    @property
    def arg(self) -> Expr:
        return self.args[0]

    @property
    def carried(self) -> frozenset[Axis]:
        """The axes of what is carried along the scanned axis."""
        return self.axes - {self.axis}


# ---------------------------------------------------------------------------------------------- constructors


def _intern(key: tuple[object, ...], made: Expr) -> Expr:
    return _interned.setdefault(key, made)


def const(value: int | float | bool, dtype: DType) -> Expr:
    """A constant, converted to dtype; 16-bit float constants are float32, rounded by the caller if need be."""
    if dtype.kind == "b":
        value = bool(value)
    elif dtype.kind == "f":
        value, dtype = float(value), dtype.arithmetic
    else:
        whole, value = int(value), _wrapped(int(value), dtype)
        if value != whole:
            assumed(FIXED, whole)
    key = ("const", repr(value), dtype)
    return _interned.get(key) or _intern(key, Const(value, dtype))


def _wrapped(value: int, dtype: DType) -> int:
    value &= (1 << dtype.bits) - 1
    return value - (1 << dtype.bits) if dtype.kind == "i" and value >> (dtype.bits - 1) else value


def coord(index: Index, dtype: DType = dtypes.int32) -> Expr:
    """The integer value of index; a constant when the index is one."""
    if not dtype.is_int:
        raise TypeError(f"a coordinate is an integer, not {dtype}")
    if index.is_constant:
        return const(index.const, dtype)
    key = ("coord", index, dtype)
    return _interned.get(key) or _intern(key, Coord(index, dtype))


def valid(guards: Iterable[Guard]) -> Expr:
    """True where all guards hold; a constant when that is known."""
    kept = needed(guards)
    if not kept:
        return const(True, dtypes.bool)
    if any(guard.never for guard in kept):
        return const(False, dtypes.bool)
    key = ("valid", kept)
    return _interned.get(key) or _intern(key, Valid(kept))


def load(param: Param, index: Index, guards: Iterable[Guard] = NO_GUARDS) -> Expr:
    """param[index] where the guards hold, 0 elsewhere."""
    kept = needed(guards)
    if any(guard.never for guard in kept):
        return const(0, param.dtype)
    key = ("load", param, index, kept)
    return _interned.get(key) or _intern(key, Load(param, index, kept))


def apply(op: ScalarOp | str, *args: Expr, dtype: DType | None = None) -> Expr:
    """A scalar operation on expressions of matching types; dtype is for cast and bitcast alone.

    raises TypeError when the operands' types do not fit the operation's row
    """
    row = SCALAR_OPS[op] if isinstance(op, str) else op
    if row.rule in ("cast", "bitcast"):
        if dtype is None:
            raise TypeError(f"{row.name} needs the dtype to convert to")
        if row.rule == "bitcast" and dtype.bits != args[0].dtype.bits:
            raise TypeError(f"bitcast from {args[0].dtype} to {dtype} changes the width")
        result = dtype
        if result is args[0].dtype:
            return args[0]
    else:
        result = result_dtype(row, tuple(a.dtype for a in args))
        if any(a.dtype.is_narrow_float for a in args):
            raise TypeError(f"{row.name} on {args[-1].dtype}: 16-bit floats are storage types, cast to float32 first")
    key = ("apply", row.name, args, result)
    return _interned.get(key) or _intern(key, Apply(row, args, result))


def reduce(op: ReduceOp | str, arg: Expr, axes: Iterable[Axis]) -> Expr:
    """The combination of arg over axes.  An axis arg lacks repeats the value: a sum becomes a product with its size.

    raises TypeError for 16-bit floats and for types the operation is not defined for
    """
    row = REDUCE_OPS[op] if isinstance(op, str) else op
    axes = tuple(axes)
    result_dtype(row.combine, (arg.dtype, arg.dtype))
    if arg.dtype.is_narrow_float:
        raise TypeError(f"reduce {row.name} on {arg.dtype}: cast to float32 first")
    bound = tuple(sorted((a for a in set(axes) if a in arg.axes), key=lambda a: a.id))
    repeats = prod(a.size for a in set(axes) if a not in arg.axes)
    result = arg
    if bound:
        key = ("reduce", row.name, arg, bound)
        result = _interned.get(key) or _intern(key, Reduce(row, arg, bound))
    return _repeated(row, result, repeats)


def scan(op: ReduceOp | str, arg: Expr, axis: Axis, reverse: bool = False) -> Expr:
    """arg combined over the places 0 .. p of axis, for every place p; over p .. size-1 when reverse.

    An axis arg lacks repeats the value; one of size 1 leaves it as it is.

    raises TypeError for 16-bit floats and for types the operation is not defined for
    """
    row = REDUCE_OPS[op] if isinstance(op, str) else op
    result_dtype(row.combine, (arg.dtype, arg.dtype))
    if arg.dtype.is_narrow_float:
        raise TypeError(f"scan {row.name} on {arg.dtype}: cast to float32 first")
    if axis.size == 1 or (axis not in arg.axes and row.name in ("max", "min", "and", "or")):
        return arg
    key = ("scan", row.name, arg, axis, reverse)
    return _interned.get(key) or _intern(key, Scan(row, arg, axis, reverse))


def _repeated(op: ReduceOp, value: Expr, times: int) -> Expr:
    """value combined with itself, `times` in all."""
    if times == 1 or op.name in ("max", "min", "and", "or"):
        return value
    if op.name == "add":
        return apply("mul", value, const(times, value.dtype))
    if op.name == "logaddexp":
        return apply("add", value, const(math.log(times), value.dtype))
    if op.name == "xor":
        return value if times % 2 else const(0, value.dtype)
    result: Expr | None = None
    while times:
        if times % 2:
            result = value if result is None else apply("mul", result, value)
        value, times = apply("mul", value, value), times // 2
    return cast(Expr, result)


# ---------------------------------------------------------------------------------------------- stores and kernels


@dataclass(frozen=True, eq=False)
class Store:
    """Write value at param[index] for every point of `axes` where the guards hold.

    axes  all axes of index, value and guards, of `order` too if the store accumulates; not always in memory order
    mode  "set"            different points write different places
          a reduce name    ("add", "max", ...) combines with what the place holds; points may share a place
          "flag"           writes 1 where value (a bool) is true; how errors found inside a kernel are reported
    before  of an accumulating store: param[before] gets what the place held when the point came.  Points that share a
            place then come in the order of the axes
    """

    param: Param
    index: Index
    value: Expr
    guards: Guards = NO_GUARDS
    mode: str = "set"
    order: tuple[Axis, ...] = ()
    before: Index | None = None

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The axes covered: first those of `order` (the result's own dimensions), then any others by age."""
        present = self.index.axes | self.value.axes | guard_axes(self.guards)
        if self.mode not in ("set", "flag"):  # every point counts, also along an axis nothing depends on
            present |= frozenset(self.order)
        rest = sorted(present.difference(self.order), key=lambda a: a.id)
        return tuple(a for a in self.order if a in present) + tuple(rest)

    @cached_property
    def sequential(self) -> tuple[Axis, ...]:
        """The axes along which the order of the points counts: those that lead to one place, if `before` is asked."""
        if self.before is None:
            return ()
        apart = separated(self.index)
        return tuple(a for a in self.axes if a not in apart and a.size > 1)

    @cached_property
    def roots(self) -> tuple[Expr, ...]:
        """The stored value and the expressions inside the index and the guards."""
        found: dict[Expr, None] = {self.value: None}
        for index in (self.index, *(guard.index for guard in in_order(self.guards))):
            found.update(dict.fromkeys(_dynamic_exprs(index)))
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Kernel:
    """What one launch computes: its parameters in argument order and its stores."""

    name: str
    params: tuple[Param, ...]
    stores: tuple[Store, ...]

    @cached_property
    def roots(self) -> tuple[Expr, ...]:
        """The stored values, and the expressions inside the stores' indices and guards."""
        return tuple(dict.fromkeys(root for store in self.stores for root in store.roots))

    @cached_property
    def exprs(self) -> tuple[Expr, ...]:
        """Every expression, operands before users."""
        return tuple(walk(self.roots))

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """Every axis in canonical order: the stores' axes first, then others as their reduces and scans are met."""
        found: dict[Axis, None] = {}
        for store in self.stores:
            found.update(dict.fromkeys(store.axes))
        for e in self.exprs:
            if isinstance(e, Reduce):
                found.update(dict.fromkeys(e.bound))
            elif isinstance(e, Scan):
                found.setdefault(e.axis)
        return tuple(found)

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        return tuple(e for e in self.exprs if isinstance(e, Load))

    @cached_property
    def reduces(self) -> tuple[Reduce, ...]:
        return tuple(e for e in self.exprs if isinstance(e, Reduce))

    @cached_property
    def scans(self) -> tuple[Scan, ...]:
        return tuple(e for e in self.exprs if isinstance(e, Scan))

    @cached_property
    def written(self) -> frozenset[str]:
        """Names of the parameters some store writes."""
        return frozenset(store.param.name for store in self.stores)


def _dynamic_exprs(index: Index) -> Iterator[Expr]:
    for atom in index.atoms():
        if atom.kind == "dynamic":
            yield cast(Expr, atom.of)


def index_exprs(e: Expr) -> tuple[Expr, ...]:
    """The expressions inside the indices and guards of one node."""
    if isinstance(e, Load):
        indices: Iterable[Index] = (e.index, *(guard.index for guard in in_order(e.guards)))
    elif isinstance(e, Valid):
        indices = (guard.index for guard in in_order(e.guards))
    elif isinstance(e, Coord):
        indices = (e.index,)
    else:
        return ()
    return tuple(dict.fromkeys(x for index in indices for x in _dynamic_exprs(index)))


def children(e: Expr) -> tuple[Expr, ...]:
    """All expressions a node is made of: its operands and those inside its indices."""
    return e.args or index_exprs(e)


def walk(roots: Iterable[Expr]) -> list[Expr]:
    """Every expression below the roots, once, operands before users; without recursion."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    stack: list[tuple[Expr, bool]] = [(root, False) for root in reversed(tuple(roots))]
    while stack:
        e, expanded = stack.pop()
        if expanded:
            order.append(e)
        elif e not in seen:
            seen.add(e)
            stack.append((e, True))
            stack.extend((child, False) for child in reversed(children(e)) if child not in seen)
    return order


def with_axes(e: Expr, args: tuple[Expr, ...], replacement: dict[Axis, Index], inside: dict[Expr, Expr]) -> Expr:
    """One node built anew from new operands, with the axes in its indices and guards replaced.

    args         the new operands (the same number as before)
    replacement  what each axis of an index or guard becomes; the axes of a Reduce or Scan itself are not touched
    inside       what each expression inside an index becomes
    """
    if isinstance(e, Apply):
        return apply(e.op, *args, dtype=e.dtype)
    if isinstance(e, Reduce):
        return reduce(e.op, args[0], e.bound)
    if isinstance(e, Scan):
        return scan(e.op, args[0], e.axis, e.reverse)
    if not replacement and not inside:
        return e

    def moved(index: Index) -> Index:
        return replace(index, replacement, inside)

    if isinstance(e, Load):
        return load(e.param, moved(e.index), (Guard(moved(g.index), g.lo, g.hi) for g in in_order(e.guards)))
    if isinstance(e, Valid):
        return valid(Guard(moved(g.index), g.lo, g.hi) for g in in_order(e.guards))
    if isinstance(e, Coord):
        return coord(moved(e.index), e.dtype)
    return e


def replace(index: Index, replacement: dict[Axis, Index], inside: dict[Expr, Expr]) -> Index:
    """An index with its axes and the expressions inside it replaced."""
    if not any(isinstance(atom, Atom) and atom.kind == "dynamic" for atom in index.atoms()):
        return substitute(index, replacement)
    every_axis = {axis: replacement.get(axis, axis.index) for axis in index.axes}
    return substitute(index, every_axis, lambda e: inside.get(e, e))
