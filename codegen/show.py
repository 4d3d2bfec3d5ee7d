"""The readable form of kernels.

Comes in: a kernel.  Goes out: text that says all of it and depends on nothing else, so equal kernels in canonical form
(`rewrite.prepare`) have equal text.  It knows no schedules and no languages.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, cast

import numpy as np

from codegen.dtypes import dtypes
from codegen.index import Axis, Guards, Index, in_order
from codegen.ir import Apply, Const, Coord, Expr, Kernel, Load, Reduce, Scan, Store, Valid, children

_SIGNS: Final = {
    "mul": ("*", 9), "div": ("/", 9), "floordiv": ("//", 9), "mod": ("%", 9), "add": ("+", 8), "sub": ("-", 8),
    "shl": ("<<", 7), "shr": (">>", 7), "and": ("&", 6), "xor": ("^", 5), "or": ("|", 4),
    "lt": ("<", 3), "le": ("<=", 3), "eq": ("==", 3), "ne": ("!=", 3),
}  # fmt: skip
_PREFIXES: Final = {"neg": "-", "not": "~"}
_TIGHT: Final = 10  # binds tighter than any sign: names, calls, prefixed values
_WIDEST: Final = 72
COLUMN: Final = 9


def show(kernel: Kernel) -> str:
    """The kernel's axes, parameters, named values and stores, one a line, each with the axes it runs over.

    kernel   softmax: i 4, j 6
    params   out float32[24] written, x float32[24]
             t0 = max over j (x[i*6+j])               {i}
             t1 = add over j (exp(x[i*6+j] - t0))     {i}
             out[i*6+j] = exp(x[i*6+j] - t0) / t1     {i j}
    """
    return Text(kernel).kernel_text()


class Text:
    """The text of a kernel's expressions: reduces, scans, values used twice and long ones get a line and a name."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.texts: dict[Expr, tuple[str, int]] = {}
        self.rows: list[tuple[str, frozenset[Axis]]] = []
        self.taken = {param.name for param in kernel.params}
        self.count = 0
        uses = Counter(child for e in kernel.exprs for child in children(e))
        for e in kernel.exprs:
            text, strength = self._written(e)
            if isinstance(e, Reduce | Scan) or (isinstance(e, Apply) and (uses[e] > 1 or len(text) > _WIDEST)):
                name = self._fresh()
                self.rows.append((f"{name} = {text}", e.axes))
                text, strength = name, _TIGHT
            self.texts[e] = (text, strength)

    def kernel_text(self) -> str:
        stores = [(self._store(store), frozenset(store.axes)) for store in self.kernel.stores]
        rows = [*self.rows, *stores]
        width = min(_WIDEST, max((len(text) for text, _ in rows), default=0))
        order = {axis: position for position, axis in enumerate(self.kernel.axes)}
        lines = [
            f"{'kernel':<{COLUMN}}{self.kernel.name}: {', '.join(f'{a.name} {a.size}' for a in self.kernel.axes)}",
            f"{'params':<{COLUMN}}{', '.join(self._param(p.name) for p in self.kernel.params)}",
        ]
        for text, axes in rows:
            names = " ".join(a.name for a in sorted(axes, key=order.__getitem__))
            lines.append(f"{'':<{COLUMN}}{text:<{width}}     {{{names}}}")
        return "\n".join(lines)

    def name(self, e: Expr) -> str:
        """How the text calls a value."""
        return self.texts[e][0] if e in self.texts else repr(e)

    def _fresh(self) -> str:
        while True:
            name, self.count = f"t{self.count}", self.count + 1
            if name not in self.taken:
                return name

    def _param(self, name: str) -> str:
        param = next(p for p in self.kernel.params if p.name == name)
        return f"{name} {param.dtype}[{param.size}]{' written' if name in self.kernel.written else ''}"

    def _store(self, store: Store) -> str:
        sign = {"set": "=", "add": "+=", "mul": "*="}.get(store.mode, f"{store.mode}=")
        text = f"{store.param.name}[{self._place(store.index, store.guards)}] {sign} {self.texts[store.value][0]}"
        return text if store.before is None else f"{text}, {store.param.name}[{self._index(store.before)}] = before"

    def _place(self, index: Index, guards: Guards) -> str:
        text = self._index(index)
        return f"{text} | {self._guards(guards)}" if guards else text

    def _guards(self, guards: Guards) -> str:
        return ", ".join(f"{g.lo}<={self._index(g.index)}<{g.hi}" for g in in_order(guards))

    def _index(self, index: Index) -> str:
        if not index.is_dynamic:
            return repr(index)
        parts = []
        for atom, k in index.terms:
            if isinstance(atom, Axis):
                text = atom.name
            elif atom.kind == "dynamic":
                text = f"[{self.texts[cast(Expr, atom.of)][0]}]"
            else:
                text = f"(({self._index(atom.inner)}){'//' if atom.kind == 'div' else '%'}{atom.by})"
            parts.append(text if k == 1 else f"{text}*{k}")
        if index.const:
            parts.append(str(index.const))
        return "+".join(parts).replace("+-", "-")

    def _written(self, e: Expr) -> tuple[str, int]:
        """The text of one node and how tightly it binds."""
        if isinstance(e, Const):
            return _number(e), _TIGHT
        if isinstance(e, Coord):
            text = self._index(e.index)
            return f"{e.dtype}({text})", _TIGHT
        if isinstance(e, Valid):
            return f"{{{self._guards(e.guards)}}}", _TIGHT
        if isinstance(e, Load):
            return f"{e.param.name}[{self._place(e.index, e.guards)}]", _TIGHT
        if isinstance(e, Reduce):
            return f"{e.op.name} over {' '.join(a.name for a in e.bound)} ({self.texts[e.arg][0]})", _TIGHT
        if isinstance(e, Scan):
            way = "back along" if e.reverse else "along"
            return f"{e.op.name} {way} {e.axis.name} ({self.texts[e.arg][0]})", _TIGHT
        return self._apply(cast(Apply, e))

    def _apply(self, e: Apply) -> tuple[str, int]:
        operands = [self.texts[x] for x in e.args]
        if e.op.name in _SIGNS:
            sign, strength = _SIGNS[e.op.name]
            left = _bracketed(*operands[0], strength)
            return f"{left} {sign} {_bracketed(*operands[1], strength + 1)}", strength
        if e.op.name in _PREFIXES:
            return _PREFIXES[e.op.name] + _bracketed(*operands[0], _TIGHT), _TIGHT
        name = {"cast": f"{e.dtype}", "bitcast": f"bits.{e.dtype}"}.get(e.op.name, e.op.name)
        return f"{name}({', '.join(text for text, _ in operands)})", _TIGHT


def _bracketed(text: str, strength: int, wanted: int) -> str:
    return text if strength >= wanted else f"({text})"


def _number(e: Const) -> str:
    if e.dtype is dtypes.float32:
        return str(np.float32(e.value))
    return str(e.value).lower() if e.dtype is dtypes.bool else str(e.value)
