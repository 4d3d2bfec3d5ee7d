"""A kernel as Python text that makes it again.

Comes in: a kernel.  Goes out: statements of the kernel language's constructors, which leave the kernel in `kernel`;
`HEAD` is what they need imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, cast

from codegen.index import Axis, Guards, Index, in_order
from codegen.ir import Apply, Const, Coord, Expr, Kernel, Load, Reduce, Scan, Store, Valid

HEAD: Final = """from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, constant, dynamic
from codegen.ir import Kernel, Param, Store, apply, const, coord, load, reduce, scan, valid
"""


def spell(kernel: Kernel) -> str:
    """The statements that make a kernel."""
    return "\n".join(_Speller(kernel).lines())


class _Speller:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names = {e: f"t{number}" for number, e in enumerate(kernel.exprs)}
        self.axes = {axis: f"axes[{number}]" for number, axis in enumerate(kernel.axes)}
        self.params = {param: f"params[{number}]" for number, param in enumerate(kernel.params)}

    def lines(self) -> Iterator[str]:
        yield f"axes = [{', '.join(f'Axis({a.name!r}, {a.size})' for a in self.kernel.axes)}]"
        params = (f"Param({p.name!r}, dtypes.{p.dtype}, {p.size})" for p in self.kernel.params)
        yield "params = ["
        yield from (f"    {param}," for param in params)
        yield "]"
        for e, name in self.names.items():
            yield f"{name} = {self.expr(e)}"
        yield "stores = ["
        yield from (f"    {self.store(store)}," for store in self.kernel.stores)
        yield "]"
        yield f"kernel = Kernel({self.kernel.name!r}, tuple(params), tuple(stores))"

    def expr(self, e: Expr) -> str:
        args = [self.names[x] for x in e.args]
        dtype = f"dtypes.{e.dtype}"
        if isinstance(e, Const):
            return f"const({_number(e.value)}, {dtype})"
        if isinstance(e, Coord):
            return f"coord({self.index(e.index)}, {dtype})"
        if isinstance(e, Valid):
            return f"valid({self.guards(e.guards)})"
        if isinstance(e, Load):
            more = f", {self.guards(e.guards)}" if e.guards else ""
            return f"load({self.params[e.param]}, {self.index(e.index)}{more})"
        if isinstance(e, Reduce):
            return f"reduce({e.op.name!r}, {args[0]}, [{', '.join(self.axes[a] for a in e.bound)}])"
        if isinstance(e, Scan):
            return f"scan({e.op.name!r}, {args[0]}, {self.axes[e.axis]}, {e.reverse})"
        op = cast(Apply, e).op
        converts = f", dtype={dtype}" if op.rule in ("cast", "bitcast") else ""
        return f"apply({op.name!r}, {', '.join(args)}{converts})"

    def store(self, store: Store) -> str:
        parts = [self.params[store.param], self.index(store.index), self.names[store.value], self.guards(store.guards)]
        order = "".join(f"{self.axes[axis]}, " for axis in store.order if axis in self.axes)
        before = "" if store.before is None else f", {self.index(store.before)}"
        return f"Store({', '.join(parts)}, {store.mode!r}, ({order.rstrip()}){before})"

    def guards(self, guards: Guards) -> str:
        shown = (f"Guard({self.index(g.index)}, {g.lo}, {g.hi})" for g in in_order(guards))
        return f"frozenset(({''.join(f'{guard}, ' for guard in shown).rstrip()}))"

    def index(self, index: Index) -> str:
        """An index by the operations on indices."""
        parts = []
        for atom, factor in index.terms:
            if isinstance(atom, Axis):
                text = f"{self.axes[atom]}.index"
            elif atom.kind == "dynamic":
                text = f"dynamic({self.names[cast(Expr, atom.of)]}, {atom.by})"
            else:
                text = f"({self.index(atom.inner)}) {'//' if atom.kind == 'div' else '%'} {atom.by}"
            parts.append(text if factor == 1 else f"({text}) * {factor}")
        if not parts:
            return f"constant({index.const})"
        return " + ".join([*parts, *([str(index.const)] if index.const else [])])


def _number(value: int | float | bool) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)
