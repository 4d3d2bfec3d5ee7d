"""Tensors in words: their values as torch writes them, or, for one not computed yet, what is known of it.

Comes in: arrays and what else is to be said.  Goes out: text and HTML.  Nothing is computed for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kernelforge.errors import ArgumentError
from kernelforge.later import later

if TYPE_CHECKING:
    import html
else:
    later(globals(), html="html")

_PROFILES: Final[dict[str, dict[str, Any]]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options: Final[dict[str, Any]] = {**_PROFILES["default"], "sci_mode": None}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Say how tensors are written; what is None stays as it is, but for sci_mode.

    precision   digits after the point, 4 at first
    threshold   how many elements are written before the middle is left out, 1000 at first
    edgeitems   how many stay at each end of a dimension then, 3 at first
    linewidth   characters of a line, 80 at first
    profile     all four at once: "default", "short" or "full"
    sci_mode    True: 1.5000e+00; False: never; None: where numbers are of very different sizes

    >>> set_printoptions(precision=2)
    >>> text("Tensor", np.array([1.0, 2.5]), [])
    'Tensor([1.00, 2.50])'
    >>> set_printoptions(profile="default")

    raises ArgumentError for another profile; source: torch.set_printoptions
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ArgumentError(f"set_printoptions() knows the profiles {', '.join(_PROFILES)}, got {profile!r}")
        _options.update(_PROFILES[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


def get_printoptions() -> dict[str, Any]:
    """What set_printoptions() has set."""
    return dict(_options)


class _Writer:
    """How one element among others is written, all in one width: 1., 0.2500, 2.5000e-05, True or 7."""

    def __init__(self, values: NDArray) -> None:
        self.width = 1
        self._floats = values.dtype.kind == "f"
        self._scientific, self._whole = False, True
        numbers = values.reshape(-1)
        if not self._floats:
            self.width = max((len(str(value)) for value in numbers), default=1)
            return
        finite = numbers[np.isfinite(numbers) & (numbers != 0)]
        if not finite.size:
            return
        sizes = np.abs(finite.astype(np.float64))
        self._whole = bool((sizes == np.floor(sizes)).all())
        apart = sizes.max() / sizes.min() > 1000 or sizes.max() > 1e8 or sizes.min() < 1e-4
        self._scientific = bool(apart) if _options["sci_mode"] is None else _options["sci_mode"]
        self.width = max(len(self._plain(value)) for value in finite)

    def _plain(self, value: Any) -> str:
        if not self._floats:
            return str(value)
        if self._scientific:
            return f"{value:.{_options['precision']}e}"
        if self._whole:
            return f"{value:.0f}." if np.isfinite(value) else f"{value:.0f}"
        return f"{value:.{_options['precision']}f}"

    def __call__(self, value: Any) -> str:
        return self._plain(value).rjust(self.width)


class _ComplexWriter:
    """How one complex number among others is written: 1.0000+2.0000j."""

    def __init__(self, values: NDArray) -> None:
        self._real, self._imag = _Writer(values.real), _Writer(values.imag)
        self.width = self._real.width + self._imag.width + 1

    def __call__(self, value: Any) -> str:
        imag = self._imag(value.imag).lstrip() + "j"
        return self._real(value.real) + ("" if imag[0] in "+-" else "+") + imag


def _shown(values: NDArray) -> NDArray:
    """The elements that are written, those at the edges where there are many."""
    if values.size <= _options["threshold"]:
        return values
    edge = _options["edgeitems"]
    for dim, size in enumerate(values.shape):
        if size > 2 * edge:
            values = values.take(np.r_[0:edge, size - edge : size], dim)
    return values


def _writer(shown: NDArray) -> _Writer | _ComplexWriter:
    return _ComplexWriter(shown) if shown.dtype.kind == "c" else _Writer(shown)


def listed(values: NDArray, indent: int) -> str:
    """The elements in nested brackets, as they follow so many characters."""
    write = _writer(_shown(values))
    cut = values.size > _options["threshold"]
    return _nested(values, indent, cut, write) if values.ndim else write(values[()])


def _nested(values: NDArray, indent: int, cut: bool, write: _Writer | _ComplexWriter) -> str:
    """The elements of one dimension or more; the middle is left out if cut."""
    edge, n = _options["edgeitems"], len(values)
    short = cut and n > 2 * edge
    rows = [values[i] for i in (*range(edge), *range(n - edge, n))] if short else list(values)
    if values.ndim == 1:
        parts = [write(value) for value in rows]
        if short:
            parts.insert(edge, " ...")
        each = max(1, (_options["linewidth"] - indent) // (write.width + 2))
        lines = [", ".join(parts[i : i + each]) for i in range(0, len(parts), each)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = [_nested(row, indent + 1, cut, write) for row in rows]
    if short:
        parts.insert(edge, "...")
    return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def text(name: str, values: NDArray, notes: Sequence[str]) -> str:
    """A tensor with its values, such as Tensor([1., 2.], requires_grad=True)."""
    indent = len(name) + 1
    told = f"{name}({listed(values, indent) if values.size else '[]'}"
    for note in notes:
        line = len(told) - (told.rfind("\n") + 1)
        gap = ", " if line + len(note) + 4 <= _options["linewidth"] else ",\n" + " " * indent
        told += gap + note
    return told + ")"


def page(title: str, values: NDArray | None) -> str:
    """A tensor in HTML: its title, and a table of its values; of more than two dimensions with each row's place."""
    head = f"<div><code>{html.escape(title)}</code></div>"
    if values is None or not values.size:
        return head
    rows = values.reshape(-1, values.shape[-1] if values.ndim else 1)
    shown, edge = _shown(rows), int(_options["edgeitems"])
    write = _writer(shown)
    cut = (rows.shape[0] > shown.shape[0], rows.shape[1] > shown.shape[1])
    places = list(range(rows.shape[0])) if not cut[0] else [*range(edge), *range(rows.shape[0] - edge, rows.shape[0])]
    lines = []
    for number, (place, row) in enumerate(zip(places, shown)):
        cells = [html.escape(write(value).strip()) for value in row]
        if cut[1]:
            cells.insert(edge, "…")
        label = _label(place, values.shape)
        if cut[0] and number == edge:
            lines.append(_line("<th></th>" * bool(label), ["…"] * len(cells)))
        lines.append(_line(label, cells))
    return f"{head}<table>{''.join(lines)}</table>"


def _line(label: str, cells: Sequence[str]) -> str:
    """A row of a table."""
    return f"<tr>{label}" + "".join(f"<td style='text-align:right'>{cell}</td>" for cell in cells) + "</tr>"


def _label(row: int, shape: tuple[int, ...]) -> str:
    """The place of a row in a tensor of more than two dimensions."""
    if len(shape) < 3:
        return ""
    return f"<th>{', '.join(str(i) for i in np.unravel_index(row, shape[:-1]))}</th>"
