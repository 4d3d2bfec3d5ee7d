"""One-pass rescaling: sums that hang on a running max only through exp(-max) join the max's pass.

Comes in: a kernel in canonical form.  Goes out: groups of a max and sums over the same axes that one loop can compute,
keeping each sum relative to the running max and rescaling it when the max moves.  It knows no schedules; whether one
pass pays is a chooser's decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from math import isfinite, log

from codegen.ir import Apply, Const, Expr, Kernel, Reduce, Scan, children, walk


@dataclass(frozen=True, eq=False)
class Stream:
    """A max and the sums over the same axes that can be kept relative to its running value.

    max    the reduce whose running value m is kept
    shift  what the bodies subtract: the max itself or an elementwise function of it alone
    sums   (sum, degree d): sum's body equals exp(-d * shift) times something free of the max; degree 0 rides along

    Per block:  m' = max(m, max s),  rho' = m' if finite else 0,  A = A * exp(m - rho')**d + sum body(shift := rho').
    At the end: A * exp(d * (rho - shift)).  With rho in place of m' a row whose first blocks are masked (-inf)
    recovers.  A row whose max is +inf becomes nan, as unstreamed; also where a body selects none of its infinities.
    """

    max: Reduce
    shift: Expr
    sums: tuple[tuple[Reduce, float], ...]


def find_streams(kernel: Kernel) -> tuple[Stream, ...]:
    """The kernel's streams, each reduce in at most one, in an order of passes that exists.

    A sum over exactly the max's axes joins it if its body is homogeneous of degree d > 0 in exp(-shift):

        free of the max: 0          exp(c * (s - shift)), c > 0, s the very operand of the max: c
        product: sum of degrees     quotient: difference      sum, difference, where: equal, or a literal 0
        -x, a cast between floats, a sum over axes that neither the max nor its operand's row has: unchanged

    Anything else that hangs on the max is refused, above all another reduce over the same axes; so is a reduce whose
    body scans along them.
    """
    streams: list[Stream] = []
    taken: set[Reduce] = set()
    for e in kernel.reduces:
        if e.op.name == "max" and e not in taken and (stream := _stream(kernel, e, taken)) is not None:
            if streams and not _ordered(kernel, [*streams, stream]):
                continue
            streams.append(stream)
            taken.update((stream.max, *(total for total, _ in stream.sums)))
    return tuple(streams)


def _stream(kernel: Kernel, top: Reduce, taken: set[Reduce]) -> Stream | None:
    """The stream of one max: the shift most sums agree on, and those sums."""
    sums = [e for e in kernel.reduces if e.op.name == "add" and set(e.bound) == set(top.bound) and e not in taken]
    sums = [] if scans_within(top) else [e for e in sums if not scans_within(e)]
    hanging = _hanging(kernel, top)
    best: tuple[Expr, list[tuple[Reduce, float]]] | None = None
    for shift in _shifts(kernel, top, hanging) if sums else ():
        degrees = _degrees(kernel, top, shift, hanging)
        members = [(e, d) for e in sums if (d := degrees.get(e.arg)) is not None and d > 0]
        if members and (best is None or len(members) > len(best[1])):
            best = shift, members
    if best is None:
        return None
    riding = _riding(top, [e for e, _ in best[1]], [e for e in sums if e not in hanging])
    return Stream(top, best[0], (*best[1], *((e, 0.0) for e in riding)))


def scans_within(e: Reduce) -> bool:
    """Whether the reduce's body scans along an axis the reduce binds."""
    return any(isinstance(x, Scan) and x.axis in e.bound for x in walk([e.arg]))


def _hanging(kernel: Kernel, top: Reduce) -> set[Expr]:
    """The max and every expression that depends on it."""
    found: set[Expr] = {top}
    for e in kernel.exprs:
        if any(x in found for x in children(e)):
            found.add(e)
    return found


def _shifts(kernel: Kernel, top: Reduce, hanging: set[Expr]) -> list[Expr]:
    """Elementwise functions of the max alone that other expressions use: what a body may subtract."""
    alone: set[Expr] = {top}
    used: dict[Expr, None] = {}
    for e in kernel.exprs:
        if e in hanging and e is not top:
            if isinstance(e, Apply) and all(x in alone or isinstance(x, Const) for x in e.args):
                alone.add(e)
            else:
                used.update((x, None) for x in e.args if x in alone)
    return list(used)


def _degrees(kernel: Kernel, top: Reduce, shift: Expr, hanging: set[Expr]) -> dict[Expr, float]:
    """The degree of every expression that hangs on the max and is homogeneous in exp(-shift)."""
    found: dict[Expr, float] = {}
    fixed = top.axes | frozenset(top.bound)
    for e in kernel.exprs:
        if e not in hanging:
            continue
        degree: float | None = None
        if isinstance(e, Apply):
            degree = _apply_degree(e, top, shift, hanging, found)
        elif isinstance(e, Reduce) and e is not top and e.op.name == "add" and not fixed & frozenset(e.bound):
            degree = found.get(e.arg)
        if degree is not None:
            found[e] = degree
    return found


def _apply_degree(e: Apply, top: Reduce, shift: Expr, hanging: set[Expr], found: dict[Expr, float]) -> float | None:
    name = e.op.name
    if name in ("exp", "exp2"):
        return _exponent(e, top, shift)
    if name == "where" and e.args[0] in hanging:
        return None
    operands = e.args[1:] if name == "where" else e.args
    degrees = [found.get(x) if x in hanging else 0.0 for x in operands]
    if any(d is None for d in degrees):
        return None
    known = [d for d in degrees if d is not None]
    if name == "mul":
        return known[0] + known[1]
    if name == "div":
        return known[0] - known[1]
    if name == "neg" or (name == "cast" and e.dtype.is_float):
        return known[0]
    if name in ("add", "sub", "where"):
        different = {d for x, d in zip(operands, known) if not (isinstance(x, Const) and x.value == 0)}
        return different.pop() if len(different) == 1 else None
    return None


def _exponent(e: Apply, top: Reduce, shift: Expr) -> float | None:
    """c where e is exp(c * (s - shift)), s the operand of the max and c > 0."""
    factor, inner = (1.0 if e.op.name == "exp" else log(2.0)), e.args[0]
    while isinstance(inner, Apply) and inner.op.name in ("mul", "div"):
        x, y = inner.args
        if inner.op.name == "mul" and isinstance(x, Const):
            x, y = y, x
        if not isinstance(y, Const) or not isfinite(y.value) or y.value <= 0:
            return None
        factor = factor * y.value if inner.op.name == "mul" else factor / y.value
        inner = x
    matches = isinstance(inner, Apply) and inner.op.name == "sub" and inner.args == (top.arg, shift)
    return factor if matches else None


def _riding(top: Reduce, members: list[Reduce], free: list[Reduce]) -> list[Reduce]:
    """The sums free of the max that the same pass can compute: none it needs, and none that needs a pass of its own."""
    bound = set(top.bound)
    before = set(walk([top.arg]))
    needed = before.union(walk(e.arg for e in members))
    return [
        e
        for e in free
        if e not in needed
        and not any(isinstance(x, Reduce) and bound & set(x.bound) and x not in before for x in walk([e.arg]))
    ]


def _ordered(kernel: Kernel, streams: Iterable[Stream]) -> bool:
    """Whether the reduces can be computed in some order when each stream is one step."""
    step: dict[Expr, Expr] = {e: s.max for s in streams for e in (s.max, *(total for total, _ in s.sums))}
    needs: dict[Expr, frozenset[Expr]] = {}
    order: TopologicalSorter[Expr] = TopologicalSorter()
    for e in kernel.exprs:
        below = frozenset().union(*(needs[x] for x in children(e)))
        needs[e] = below
        if isinstance(e, Reduce):
            own = step.get(e, e)
            order.add(own, *(below - {own}))
            needs[e] = frozenset((own,))
    try:
        order.prepare()
    except CycleError:
        return False
    return True
