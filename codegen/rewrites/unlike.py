"""Sums of products of bytes alike, as sums of unsigned times signed ones, which processors have an instruction for.

Comes in: a kernel and what the target can do.  Goes out: a kernel of the same meaning.  One operand is shifted by half
its range, once for all sums it goes into, and what that adds is taken off each sum in the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from codegen.access import main_stores
from codegen.dots import Dot, dot_of
from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Load, apply, const, reduce, with_axes
from codegen.rewrites.contract import Contraction, contraction
from codegen.rewrites.rebuild import with_exprs
from codegen.target import Target

LEAST = 96  # rows and columns: few ones are read in place instead
LEAST_GROUPS = 4  # of steps of the sum
HALF = 128  # of what a byte holds


def unlike(kernel: Kernel, target: Target) -> Kernel:
    """The kernel with its only contraction of bytes alike as one of unsigned and signed ones; else the same kernel.

        sum over k of int(a) * int(b)  ->  sum over k of int(a) * int(b') - 128 * sum over k of int(a)

    where b' is b + 128 as an unsigned byte; of unsigned ones b' is b - 128 as a signed byte, and 128 times the sum is
    added.  Holds in the arithmetic of int32, which wraps around.
    """
    found = _found(kernel, target)
    replaced = None if found is None else _replaced(kernel, *found)
    if found is None or replaced is None:
        return kernel
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        made[e] = with_axes(e, tuple(made[x] for x in e.args), {}, made) if e.args else e
        if e is found[0].reduce:
            made[e] = replaced
    return with_exprs(kernel, made)


def _found(kernel: Kernel, target: Target) -> tuple[Contraction, Dot] | None:
    """The contraction of a kernel that has no other reduce, if it is one of bytes alike with many rows and columns."""
    if target.language != "opencl" or len(kernel.reduces) != 1 or kernel.scans:
        return None
    (only,) = kernel.reduces
    dot, c = dot_of(only, target), contraction(only)
    if dot is None or not dot.alike or c is None:
        return None
    m, n, k = (prod(a.size for a in role) for role in (c.m, c.n, c.k))
    many = min(m, n) >= LEAST and k >= LEAST_GROUPS * dot.group
    return (c, dot) if many and {*only.arg.args} == {c.left, c.right} else None


def _replaced(kernel: Kernel, c: Contraction, dot: Dot) -> Expr | None:
    """The sum in the other form, where the operand that is summed up alone can be read as it lies.

    Shifted is an operand that will be packed: the one that lies across the sum; or, where both or none do, the one that
    has the axis results lie along, for lanes will be there.
    """
    lines = {a for s in main_stores(kernel) for a in s.axes if s.index.stride(a) == 1}
    lanes, rows = (dot.left, dot.right) if lines & dot.left.axes - dot.right.axes else (dot.right, dot.left)
    shifted, other = (lanes, rows) if _is_line(rows, c.k) else (rows, lanes)
    if not _is_line(other, (*c.k, *lines)):
        return None
    total, bound = c.reduce.dtype, c.reduce.bound
    product = apply("mul", *(apply("cast", e, dtype=total) for e in (other, _shifted(shifted))))
    excess = apply("mul", reduce("add", apply("cast", other, dtype=total), bound), const(HALF, total))
    return apply("add" if shifted.dtype is dtypes.uint8 else "sub", reduce("add", product, bound), excess)


def _is_line(e: Expr, axes: Iterable[Axis]) -> bool:
    """True for what is loaded as it lies along one of some axes."""
    return isinstance(e, Load) and not e.guards and any(e.index.stride(a) == 1 for a in axes)


def _shifted(e: Expr) -> Expr:
    """A byte moved by half its range, as one of the other kind."""
    other: DType = dtypes.int8 if e.dtype is dtypes.uint8 else dtypes.uint8
    unsigned = e if e.dtype is dtypes.uint8 else apply("bitcast", e, dtype=dtypes.uint8)
    moved = apply("xor", unsigned, const(HALF, dtypes.uint8))
    return moved if other is dtypes.uint8 else apply("bitcast", moved, dtype=dtypes.int8)
