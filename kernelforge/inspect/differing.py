"""What differs between two dumps: kernels, their sources, times, boundaries.

Comes in: two folders.  Goes out: a `Difference`, which is text or a page.
"""

from __future__ import annotations

import difflib
import html
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kernelforge.dumping.page import asset
from kernelforge.execution.edits import manifest_of
from kernelforge.inspect.explaining import nbytes, seconds

NOISE: Final = 1.1  # times that differ by less are not told apart
CONTEXT: Final = 2  # lines around a change
FIGURES: Final = (("kernels", "kernels"), ("launches", "launches"), ("kernel_seconds", "time in kernels"),
                  ("compile_seconds", "compiling"), ("memory", "memory"))  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A kernel both dumps have: the shortest launch in each, None where none ran, and how the source changed."""

    name: str
    before: float | None
    after: float | None
    source: tuple[str, ...]

    @property
    def is_told(self) -> bool:
        """True when there is something to tell."""
        ratio = self.after / self.before if self.before and self.after else 1.0
        return bool(self.source) or not 1 / NOISE < ratio < NOISE


@dataclass(frozen=True)
class Difference:
    """Two dumps, the later one beside the earlier.

    figures     title, before, after
    gone, new   kernels only one of them has
    changes     kernels both have; boundaries: a reason, and how often it was given before and after
    """

    names: tuple[str, str]
    figures: list[tuple[str, str, str]]
    gone: list[str]
    new: list[str]
    changes: list[Change]
    boundaries: list[tuple[str, int, int]]

    def text(self) -> str:
        """What changed, for a terminal; kernels that are as they were are left out."""
        parts = [f"{self.names[0]} -> {self.names[1]}"]
        parts += [f"  {title:16} {before:>12} -> {after}" for title, before, after in self.figures]
        parts += [f"- {name}" for name in self.gone] + [f"+ {name}" for name in self.new]
        for change in self.changes:
            if change.is_told:
                parts.append(f"~ {change.name}: {_time(change.before)} -> {_time(change.after)}")
                parts += [f"    {line}" for line in change.source]
        parts += [f"  {before} -> {after} boundaries: {reason}" for reason, before, after in self.boundaries]
        if not (self.gone or self.new or self.boundaries or any(change.is_told for change in self.changes)):
            parts.append("  the kernels are the same")
        return "\n".join(parts)

    def page(self) -> str:
        """The same as a page that needs no network."""
        rows = [("<b>" + html.escape(a) + "</b>", b, c) for a, b, c in self.figures]
        told = [change for change in self.changes if change.is_told]
        rows += [(_link(c.name), _time(c.before), _time(c.after)) for c in told]
        rows += [(f'<span class="del name">{html.escape(name)}</span>', "is there", "gone") for name in self.gone]
        rows += [(f'<span class="add name">{html.escape(name)}</span>', "", "new") for name in self.new]
        rows += [(f"boundaries: {html.escape(reason)}", str(a), str(b)) for reason, a, b in self.boundaries]
        table = "".join(f"<tr><td>{a}</td><td class=n>{b}</td><td class=n>{c}</td></tr>" for a, b, c in rows)
        sources = "".join(
            f'<h2 id="{html.escape(c.name)}" class="name">{html.escape(c.name)}</h2><pre>{_coloured(c.source)}</pre>'
            for c in told if c.source
        )  # fmt: skip
        before, after = map(html.escape, self.names)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width, initial-scale=1"><title>{before} and {after}</title>'
            f"<style>{asset('page.css')}</style></head><body><header><h1>kernelforge</h1>"
            f"<p id=headline>{before} and {after}</p></header><main><div class=scroll><table><thead><tr><th></th>"
            f"<th class=n>{before}</th><th class=n>{after}</th></tr></thead><tbody>{table}</tbody></table></div>"
            f"{sources}</main></body></html>"
        )


def difference(before: Path, after: Path) -> Difference:
    """What differs between two dumps.

    raises SettingError where one of them is none
    """
    old, new = manifest_of(before), manifest_of(after)
    olds, news = ({kernel["name"]: kernel for kernel in manifest["kernels"]} for manifest in (old, new))
    figures = [(title, _figure(key, old["totals"][key]), _figure(key, new["totals"][key])) for key, title in FIGURES]
    reasons = [_reasons(manifest) for manifest in (old, new)]
    counts = [(reason, reasons[0][reason], reasons[1][reason]) for reason in sorted(reasons[0] | reasons[1])]
    return Difference(
        (str(before), str(after)),
        figures,
        [name for name in olds if name not in news],
        [name for name in news if name not in olds],
        [_change(name, olds[name], news[name], before, after) for name in olds if name in news],
        [count for count in counts if count[1] != count[2]],
    )


def _change(name: str, old: dict[str, Any], new: dict[str, Any], before: Path, after: Path) -> Change:
    lines: list[str] = []
    if old["digest"] != new["digest"]:
        lines = list(difflib.unified_diff(_text(before, old), _text(after, new), lineterm="", n=CONTEXT))[2:]
    return Change(name, old["best"], new["best"], tuple(lines))


def _text(folder: Path, kernel: dict[str, Any]) -> list[str]:
    return (folder / kernel["files"][kernel["language"]]).read_text().splitlines()


def _link(name: str) -> str:
    return f'<a class="name" href="#{html.escape(name)}">{html.escape(name)}</a>'


def _reasons(manifest: dict[str, Any]) -> Counter[str]:
    return Counter(reason for plan in manifest["plans"] for b in plan["boundaries"] for reason in b["reasons"])


def _figure(key: str, value: float) -> str:
    if key.endswith("seconds"):
        return seconds(value)
    return nbytes(value) if key == "memory" else f"{value:,}"


def _time(value: float | None) -> str:
    return "-" if value is None else seconds(value)


def _coloured(lines: tuple[str, ...]) -> str:
    kinds = {"+": "add", "-": "del", "@": "soft"}
    return "".join(f'<div class="{kinds.get(line[:1], "")}">{html.escape(line)}</div>' for line in lines)
