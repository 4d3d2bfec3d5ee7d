"""Contractions: sums of products, and the roles m, n, k and batch their axes play.

Comes in: a reduce, or a kernel.  Goes out: which axes belong to the left operand, the right one, both, or are summed;
kernels whose axes are named after their roles.  Nothing here asks what the sum was called: membership of axes decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Final

from codegen.index import Axis
from codegen.ir import Apply, Expr, Kernel, Load, Reduce, apply, children, reduce, walk, with_axes
from codegen.rewrites.factors import Factor, factors, product
from codegen.rewrites.rebuild import rename, with_exprs

_STORED: Final = "ijlopq"  # m, n, k and b are kept for the roles of a contraction
_BOUND: Final = "rstuvw"
Axes = tuple[Axis, ...]
Groups = tuple[list[Factor], list[Factor]]


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

    Casts outside the product are allowed.  A product that is none of two operands as it stands is taken as one of
    factors, which join the operand that has their axes.  The left operand is the one whose free axes come first (older
    axes first).
    """
    if reduce.op.name != "add":
        return None
    operands = _split(reduce.arg, frozenset(reduce.bound))
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


def pairing(r: Reduce) -> Contraction | None:
    """The roles in a reduce of what a function makes of pairs, such as differences of points; None for products.

    The operands are the largest parts of the function that read one array each; both have all bound axes, and free axes
    of their own.
    """
    below, bound = walk((r.arg,)), frozenset(r.bound)
    ends = [e for e in below if not children(e) and e.axes]
    if contraction(r) is not None or len(ends) != 2 or not all(isinstance(e, Load) and bound <= e.axes for e in ends):
        return None
    left, right = (next(x for x in reversed(below) if x.axes == e.axes and e in walk((x,))) for e in ends)
    m, n = _aged(left.axes - right.axes), _aged(right.axes - left.axes)
    if not m or not n or any(isinstance(e, Reduce) for e in below):
        return None
    return Contraction(r, _aged((left.axes & right.axes) - bound), m, n, _aged(bound), left, right)


def contractions(kernel: Kernel) -> list[Contraction]:
    """The kernel's contractions, operands before users."""
    return [found for e in kernel.reduces if (found := contraction(e)) is not None]


def is_beside(r: Reduce, c: Contraction) -> bool:
    """True for a sum of one operand's elements over what a contraction sums."""
    sides = frozenset((*c.batch, *c.m, *c.k)), frozenset((*c.batch, *c.n, *c.k))
    return r is not c.reduce and set(r.bound) == set(c.k) and any(r.arg.axes <= axes for axes in sides)


def regrouped(kernel: Kernel) -> Kernel:
    """The kernel with the products under its sums grouped into the two operands of contractions.

        sum over k of x[m,k] * (a[k] * w[n,k])      ->  sum over k of x[m,k] * (w[n,k] * a[k])
        sum over k of (x[m,k] * w[n,k]) / a[k]      ->  sum over k of x[m,k] * (w[n,k] / a[k])

    Holds for sums of products that have such operands (`contraction`).  A factor both could have joins the smaller one,
    so that the larger one may be read as it is; products something else uses as well stay whole.  Rounding may change.
    """
    uses = Counter(child for e in kernel.exprs for child in children(e))
    uses.update(root for store in kernel.stores for root in store.roots)
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        made[e] = with_axes(e, tuple(made[x] for x in e.args), {}, made) if children(e) else e
        groups = _regrouped(e, uses) if isinstance(e, Reduce) and uses[e.arg] == 1 else None
        if isinstance(e, Reduce) and groups is not None:
            sides = (product([(made[x], multiplies) for x, multiplies in group]) for group in groups)
            made[e] = reduce(e.op, apply("mul", *sides), e.bound)
    return with_exprs(kernel, made)


def _regrouped(e: Reduce, uses: Mapping[Expr, int]) -> Groups | None:
    """The factors of the operands a sum's product should have; None for those it has, or when it is no contraction."""
    if contraction(e) is None or not isinstance(e.arg, Apply) or e.arg.op.name not in ("mul", "div"):
        return None
    shared = [x for x in walk((e.arg,)) if uses[x] > 1]
    groups = _groups(factors(e.arg, whole=shared)[1], frozenset(e.bound))
    wanted = {product(group) for group in groups} if groups is not None else set(e.arg.args)
    return None if wanted == set(e.arg.args) and e.arg.op.name == "mul" else groups


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


def _split(e: Expr, bound: frozenset[Axis]) -> tuple[Expr, Expr] | None:
    """The two operands of a product below casts: as it stands where that will do, else regrouped."""
    while isinstance(e, Apply) and e.op.name == "cast" and e.dtype.is_float == e.args[0].dtype.is_float:
        e = e.args[0]
    if isinstance(e, Apply) and e.op.name == "mul" and _are_operands(e.args[0], e.args[1], bound):
        return e.args[0], e.args[1]
    groups = _groups(factors(e)[1], bound)
    return None if groups is None else (product(groups[0]), product(groups[1]))


def _are_operands(first: Expr, second: Expr, bound: frozenset[Axis]) -> bool:
    """True when two values have all summed axes, and each has an axis of its own."""
    both = first.axes & second.axes
    return bound <= both and len(first.axes) > len(both) < len(second.axes)


def _groups(found: Sequence[Factor], bound: frozenset[Axis]) -> Groups | None:
    """The factors of two operands, or None; a factor both may have joins the smaller one."""
    wide = sorted((f for f in found if f[1] and bound <= f[0].axes), key=lambda f: -prod(a.size for a in f[0].axes))
    for position, first in enumerate(wide):
        for second in wide[:position]:
            if _are_operands(first[0], second[0], bound):
                return _gathered(found, first, second)
    return None


def _gathered(found: Sequence[Factor], first: Factor, second: Factor) -> Groups | None:
    """The two factors with every other one multiplied into one that has all its axes."""
    groups: Groups = ([], [])
    for factor in found:
        if factor is first or factor is second:
            groups[factor is second].append(factor)
        elif factor[0].axes <= first[0].axes:
            groups[0].append(factor)
        elif factor[0].axes <= second[0].axes:
            groups[1].append(factor)
        else:
            return None
    return groups


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
