"""Contractions: sums of products, and the roles m, n, k and batch their axes play.

Comes in: a reduce, or a kernel.  Goes out: which axes belong to the left operand, the right one, both, or are summed;
kernels whose axes are named after their roles.  Nothing here asks what the sum was called: membership of axes decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Final

from codegen.index import Axis
from codegen.ir import Apply, Expr, Kernel, Reduce, apply
from codegen.rebuild import rename

_STORED: Final = "ijlopq"  # m, n, k and b are kept for the roles of a contraction
_BOUND: Final = "rstuvw"
Axes = tuple[Axis, ...]


@dataclass(frozen=True, eq=False)
class Contraction:
    """sum over k of left * right.

    m, n     axes of the left operand alone, of the right operand alone; neither is empty
    batch    axes of both operands that are not summed
    k        the summed axes, all of them in both operands
    left, right  the operands, over {batch m k} and {batch n k}; each a load or an expression of loads
    """

    reduce: Reduce
    batch: Axes
    m: Axes
    n: Axes
    k: Axes
    left: Expr
    right: Expr

    def roles(self) -> dict[str, Axes]:
        return {"batch": self.batch, "m": self.m, "n": self.n, "k": self.k}


def contraction(reduce: Reduce) -> Contraction | None:
    """The roles of a sum of products, or None when it is none or when one operand alone has all free axes.

    Casts outside the product are allowed.  More than two factors join the operand that has their axes.  The left
    operand is the one whose free axes come first (older axes first).
    """
    if reduce.op.name != "add":
        return None
    operands = _operands(_factors(reduce.arg), frozenset(reduce.bound))
    if operands is None:
        return None
    left, right = sorted(operands, key=lambda e: min(a.id for a in e.axes - _common(operands)))
    k = frozenset(reduce.bound)
    return Contraction(
        reduce,
        batch=_aged((left.axes & right.axes) - k),
        m=_aged(left.axes - right.axes),
        n=_aged(right.axes - left.axes),
        k=_aged(k),
        left=left,
        right=right,
    )


def contractions(kernel: Kernel) -> list[Contraction]:
    """The kernel's contractions, operands before users."""
    return [found for e in kernel.reduces if (found := contraction(e)) is not None]


def canonical(kernel: Kernel) -> Kernel:
    """The kernel with fresh axes and its parameters in canonical order, the axes with canonical names.

    Axes are m n k b by their role in the only contraction, numbered where a role has several, else i j l ... when
    stored and r s t ... when bound; no name is a parameter's.  Parameters: written ones first, then as they are met.
    """
    fresh = [Axis("", axis.size) for axis in kernel.axes]
    kernel = rename(kernel, dict(zip(kernel.axes, fresh)))
    params = tuple(dict.fromkeys([store.param for store in kernel.stores] + [e.param for e in kernel.loads]))
    taken = {param.name for param in params}
    stored = {axis for store in kernel.stores for axis in store.axes}
    letters = {True: _letters(_STORED, taken), False: _letters(_BOUND, taken)}
    names = _role_names(kernel, taken)
    for axis in fresh:  # named only now: roles are told apart by the order of the new axes
        axis.name = names.get(axis) or next(letters[axis in stored])
    return Kernel(kernel.name, params, kernel.stores)


# ------------------------------------------------------------------------------------------------------- roles


def _aged(axes: Iterable[Axis]) -> Axes:
    return tuple(sorted(axes, key=lambda a: a.id))


def _common(operands: tuple[Expr, Expr]) -> frozenset[Axis]:
    return operands[0].axes & operands[1].axes


def _factors(e: Expr) -> list[Expr]:
    """The factors of a product below casts, left to right."""
    while isinstance(e, Apply) and e.op.name == "cast" and e.dtype.is_float == e.args[0].dtype.is_float:
        e = e.args[0]
    factors, pending = [], [e]
    while pending:
        e = pending.pop()
        if isinstance(e, Apply) and e.op.name == "mul":
            pending.extend(reversed(e.args))
        else:
            factors.append(e)
    return factors


def _operands(factors: list[Expr], bound: frozenset[Axis]) -> tuple[Expr, Expr] | None:
    """Two operands made of the factors, each with all summed axes and some axis of its own, or None."""
    wide = sorted((f for f in factors if bound <= f.axes), key=lambda f: -prod(a.size for a in f.axes))
    for position, first in enumerate(wide):
        for second in wide[:position]:
            if first.axes - second.axes and second.axes - first.axes:
                return _gathered(factors, first, second)
    return None


def _gathered(factors: list[Expr], first: Expr, second: Expr) -> tuple[Expr, Expr] | None:
    """The two operands with every other factor multiplied into one that has all its axes."""
    groups: tuple[list[Expr], list[Expr]] = ([], [])
    for factor in factors:
        if factor is first or factor is second:
            groups[factor is second].append(factor)
        elif factor.axes <= first.axes:
            groups[0].append(factor)
        elif factor.axes <= second.axes:
            groups[1].append(factor)
        else:
            return None
    return _product(groups[0]), _product(groups[1])


def _product(factors: Sequence[Expr]) -> Expr:
    result = factors[0]
    for factor in factors[1:]:
        result = apply("mul", result, factor)
    return result


# ------------------------------------------------------------------------------------------------------- names


def _role_names(kernel: Kernel, taken: set[str]) -> dict[Axis, str]:
    """Names by role for the axes of the kernel's only contraction."""
    found = contractions(kernel)
    names: dict[Axis, str] = {}
    if len(found) == 1:
        for role, axes in found[0].roles().items():
            free = _letters(role[0], taken)
            if len(axes) > 1:
                next(free)
            names.update((axis, next(free)) for axis in axes)
    return names


def _letters(letters: str, taken: set[str]) -> Iterator[str]:
    """Names not taken: the letters, then the letters with 1, 2, ..."""
    for number in count():
        yield from (name for name in (f"{letter}{number or ''}" for letter in letters) if name not in taken)
