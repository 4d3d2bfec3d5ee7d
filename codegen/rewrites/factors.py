"""Products as lists of factors.

Comes in: an expression.  Goes out: the factors it multiplies and divides by, or an expression made of such.  What the
factors are, and whether regrouping them is allowed, is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from codegen.ir import Apply, Expr, apply, const

Factor = tuple[Expr, bool]  # an expression, and whether the product is multiplied or divided by it


def factors(e: Expr, signed: bool = False, whole: Collection[Expr] = ()) -> tuple[bool, list[Factor]]:
    """A product as (negative, factors from left to right).

    signed  whether signs are looked through; negative is False otherwise
    whole   products that stay one factor
    """
    negative, found = False, []
    pending = [(e, True)]
    while pending:
        e, multiplies = pending.pop()
        name = e.op.name if isinstance(e, Apply) and e not in whole else ""
        if name == "neg" and signed:
            negative = not negative
            pending.append((e.args[0], multiplies))
        elif name in ("mul", "div"):
            pending.append((e.args[1], multiplies == (name == "mul")))
            pending.append((e.args[0], multiplies))
        else:
            found.append((e, multiplies))
    return negative, found


def product(found: Sequence[Factor]) -> Expr:
    """The product of factors, of which there is one at least."""
    first = next((position for position, (_, multiplies) in enumerate(found) if multiplies), None)
    result = const(1, found[0][0].dtype) if first is None else found[first][0]
    for position, (factor, multiplies) in enumerate(found):
        if position != first:
            result = apply("mul" if multiplies else "div", result, factor)
    return result
