"""Tensors in words: their values as torch writes them, or, for one not computed yet, what is known of it.

Comes in: arrays and what else is to be said.  Goes out: text and HTML.  Nothing is computed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kernelforge.later import later

if TYPE_CHECKING:
    import html
else:
    later(globals(), html="html")

_WIDTH: Final = 80
_MOST: Final = 1000  # elements, before the middle is left out
_EDGE: Final = 3


def _number(values: NDArray) -> Callable[[Any], str]:
    """How one float among values is written: 1., 0.2500 or 2.5000e-05, all in one width."""
    finite = np.abs(values[np.isfinite(values) & (values != 0)].astype(np.float64))
    whole = bool((finite == np.floor(finite)).all())
    spread = finite.size and (finite.max() / finite.min() > 1000 or finite.max() > 1e8 or finite.min() < 1e-4)
    if whole and not (finite.size and (finite.max() / finite.min() > 1000 or finite.max() > 1e8)):
        return lambda value: f"{value:.0f}." if np.isfinite(value) else f"{value}"
    return lambda value: f"{value:.4e}" if spread else f"{value:.4f}"


def _padded(write: Callable[[Any], str], values: NDArray) -> Callable[[Any], str]:
    width = max((len(write(value)) for value in values.reshape(-1)), default=0)
    return lambda value: write(value).rjust(width)


def _shown(values: NDArray) -> NDArray:
    """The elements that are written, those at the edges where there are many."""
    if values.size <= _MOST:
        return values
    for dim, size in enumerate(values.shape):
        if size > 2 * _EDGE:
            ends = np.r_[0:_EDGE, size - _EDGE : size]
            values = values.take(ends, dim)
    return values


def listed(values: NDArray, prefix: str) -> str:
    """The elements in nested brackets, as they follow a prefix."""
    shown = _shown(values)
    write = _number(shown) if values.dtype.kind == "f" else str
    return np.array2string(
        values, _WIDTH, separator=", ", prefix=prefix, threshold=_MOST, edgeitems=_EDGE,
        formatter={"all": _padded(write, shown)},
    )  # fmt: skip


def text(name: str, values: NDArray, notes: Sequence[str]) -> str:
    """A tensor with its values, such as Tensor([1., 2.], requires_grad=True)."""
    body = listed(values, name + "(") if values.size else "[]"
    return f"{name}({', '.join([body, *notes])})"


def page(title: str, values: NDArray | None) -> str:
    """A tensor in HTML: its title, and a table of the last two dimensions' values where there are such."""
    head = f"<div><code>{html.escape(title)}</code></div>"
    if values is None or not values.size or not values.ndim:
        return head
    rows = values.reshape(-1, values.shape[-1])
    shown = _shown(rows)
    write = _number(shown) if values.dtype.kind == "f" else str
    cut = (rows.shape[0] > shown.shape[0], rows.shape[1] > shown.shape[1])
    lines = []
    for number, row in enumerate(shown):
        cells = [html.escape(write(value)) for value in row]
        if cut[1]:
            cells.insert(_EDGE, "…")
        if cut[0] and number == _EDGE:
            lines.append("<tr>" + "<td>…</td>" * len(cells) + "</tr>")
        lines.append("<tr>" + "".join(f"<td style='text-align:right'>{cell}</td>" for cell in cells) + "</tr>")
    return f"{head}<table>{''.join(lines)}</table>"
