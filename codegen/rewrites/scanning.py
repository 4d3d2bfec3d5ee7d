"""Scans turned forward: what comes before scheduling, so that loops over a scanned axis only ever count up.

Comes in: a kernel.  Goes out: the same kernel with other axes.
"""

from __future__ import annotations

from codegen.index import Axis, Index
from codegen.ir import Expr, Kernel, Scan, scan, with_axes
from codegen.rewrites.rebuild import replace_axes, with_exprs


def forward(kernel: Kernel) -> Kernel:
    """The kernel with the axes mirrored along which all scans run backward.

        out[i] = scan add from i on (x[i])  ->  out[n-1-i] = scan add up to i (x[n-1-i])

    An axis scanned both ways is left as it is: no one loop can do both.
    """
    ways: dict[Axis, set[bool]] = {}
    for walk in kernel.scans:
        ways.setdefault(walk.axis, set()).add(walk.reverse)
    backward = [axis for axis, reverse in ways.items() if reverse == {True}]
    if not backward:
        return kernel
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        args = tuple(made[x] for x in e.args)
        if isinstance(e, Scan) and e.axis in backward:
            made[e] = scan(e.op, args[0], e.axis)
        else:
            made[e] = with_axes(e, args, {}, made)
    mirrors = {axis: Axis(axis.name, axis.size) for axis in backward}
    replacement: dict[Axis, Index] = {axis: new.index * -1 + (axis.size - 1) for axis, new in mirrors.items()}
    return replace_axes(with_exprs(kernel, made), replacement, {axis: (new,) for axis, new in mirrors.items()})
