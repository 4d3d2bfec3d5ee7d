"""Results as text and as a page.

Comes in: results, and what changed since earlier ones.  Goes out: a Markdown table and a self-contained HTML page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from kernelforge.bench.libraries import MODULES, OURS
from kernelforge.bench.results import Change, Results, Row
from kernelforge.bench.statistics import median_interval, verdict

MARKS = {"faster": "faster", "slower": "slower", "same": "no difference is certain"}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table with columns of even width."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(n) for cell, n in zip(line, widths)) + " |" for line in lines)


def speeds(results: Results) -> tuple[list[str], list[list[str]]]:
    """Head and rows: each side's median, and how many times faster kernelforge is, where that is certain."""
    told = dict.fromkeys(side for row in results.rows for side in (*row.seconds, *row.notes))
    sides = [side for side in MODULES if side in told]
    peers = [side for side in sides if side != OURS]
    head = ["subject", *(f"{side}, ms" for side in sides), *(f"against {side}" for side in peers), "of ceiling"]
    return head, [_speed(row, sides, peers) for row in results.rows]


def _speed(row: Row, sides: Sequence[str], peers: Sequence[str]) -> list[str]:
    cells = [row.subject, *(_milliseconds(row, side) for side in sides)]
    for side in peers:
        times = row.times(side)
        cells.append("-" if times is None else f"{times} {MARKS[verdict(times)]}")
    return [*cells, "-" if row.share is None else f"{row.share:.0%}"]


def _milliseconds(row: Row, side: str) -> str:
    if side not in row.seconds:
        return "-"
    found = median_interval(row.seconds[side])
    return f"{found.middle * 1e3:.4g}" + (" *" if side in row.notes else "")


def costs(results: Results) -> tuple[list[str], list[list[str]]]:
    """Head and rows: what a call of kernelforge is made of, and what first calls take."""
    head = ["subject", "kernels", "device, ms", "host, ms", "result to host, ms", "GFLOP/s", "GB/s"]
    head += ["first call, s", "of it compiling, s", "in a second process, s"]
    return head, [_cost(row) for row in results.rows]


def _cost(row: Row) -> list[str]:
    p, s = row.parts, row.starts
    device = p.get("device") or float("inf")
    cells = [f"{p[name] * 1e3:.4g}" if name in p else "-" for name in ("device", "host", "transfer")]
    rates = [f"{p[name] / device / 1e9:.1f}" if name in p else "-" for name in ("flops", "bytes")]
    starts = [f"{s[name]:.2f}" if name in s else "-" for name in ("cold", "compile", "warm")]
    return [row.subject, f"{p['kernels']:.0f}" if "kernels" in p else "-", *cells, *rates, *starts]


def compared(changes: Sequence[Change]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: what became faster or slower."""
    return ["subject", "times faster than before", ""], [
        [change.subject, str(change.times), MARKS[change.verdict]] for change in changes
    ]


def notes(results: Results) -> list[str]:
    """What went wrong."""
    return [f"{row.subject}, {side}: {note}" for row in results.rows for side, note in row.notes.items()]


def text(results: Results, changes: Sequence[Change] = ()) -> str:
    """Everything, for a terminal."""
    parts = ["\n".join(f"{name}: {value}" for name, value in results.environment.items())]
    parts += [table(*found) for found in _tables(results, changes)]
    parts += [f"* {note}" for note in notes(results)]
    return "\n\n".join(parts)


def _tables(results: Results, changes: Sequence[Change]) -> list[tuple[list[str], list[list[str]]]]:
    return [speeds(results), costs(results), *([compared(changes)] if changes else [])]


STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1.5rem 0;display:block;overflow-x:auto}td,th{padding:.3rem .7rem;text-align:right;
border-bottom:1px solid #ddd;white-space:nowrap}td:first-child,th:first-child{text-align:left}
.bar{fill:#4a7}.bar.peer{fill:#99b}h2{font-size:1rem}"""


def page(results: Results, changes: Sequence[Change] = ()) -> str:
    """Everything, as one HTML file that needs no other."""
    head = "".join(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in results.environment.items())
    bars = "".join(_bars(row) for row in results.rows)
    tables = "".join(_html(*found) for found in _tables(results, changes))
    said = "".join(f"<p>{escape(note)}</p>" for note in notes(results))
    return (
        f'<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>kernelforge bench</title><style>{STYLE}</style><h1>kernelforge bench</h1><ul>{head}</ul>"
        f"{bars}{tables}{said}\n"
    )


def _html(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _bars(row: Row) -> str:
    """The sides' medians as bars, with the bounds as a line."""
    found = {side: median_interval(values) for side, values in row.seconds.items()}
    longest = max((interval.middle for interval in found.values()), default=1.0)
    lines = []
    for number, (side, interval) in enumerate(found.items()):
        y, width = 24 * number, 360 * interval.middle / longest
        kind = "bar" if side == OURS else "bar peer"
        lines.append(
            f'<text x="0" y="{y + 15}">{escape(side)}</text>'
            f'<rect class="{kind}" x="130" y="{y + 3}" width="{width:.1f}" height="16"/>'
            f'<text x="{136 + width:.1f}" y="{y + 15}">{interval.middle * 1e3:.4g} ms</text>'
        )
    height = 24 * len(found) + 4
    return f'<h2>{escape(row.subject)}</h2><svg width="600" height="{height}" font-size="13">{"".join(lines)}</svg>'
