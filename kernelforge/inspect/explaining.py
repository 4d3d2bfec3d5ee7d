"""A dump in words: ten lines first, details on demand.

Comes in: a manifest.  Goes out: text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

LINES: Final = 10
WINS: Final = 3


def explain(manifest: dict[str, Any]) -> str:
    """Kernels, time, memory, and the three largest wins with how to get them, in ten lines."""
    t = manifest["totals"]
    host = max(0.0, t["seconds"] - t["kernel_seconds"] - t["compile_seconds"] - t["plan_seconds"])
    ran = sorted((k for k in manifest["kernels"] if k["launches"]), key=lambda k: -k["seconds"])
    lines = [f"kernels   {t['kernels']:,} different ones in {t['launches']:,} launches, {seconds(t['kernel_seconds'])}"]
    lines.append(
        f"time      {seconds(t['seconds'])} in all: compiling {seconds(t['compile_seconds'])}, planning "
        f"{seconds(t['plan_seconds'])}, host and all else {seconds(host)}"
    )
    if not t["launches"]:
        lines.append("          nothing was computed: values are when they are read (numpy, item, print, realize)")
    elif t["compile_seconds"] + t["plan_seconds"] > t["seconds"] / 2:
        lines.append("          what was compiled is found on disk the next time")
    moved = sum(b["nbytes"] for plan in manifest["plans"] for b in plan["boundaries"])
    stored = sum(len(plan["boundaries"]) for plan in manifest["plans"])
    lines.append(
        f"memory    {nbytes(t['memory'])} at most; {stored:,} values pass from kernel to kernel, {nbytes(moved)} a run"
    )
    if ran:
        share = 100 * ran[0]["seconds"] / t["kernel_seconds"]
        lines.append(f"slowest   {ran[0]['name']}{where(ran[0]['lines'])}, {share:.0f} % of the kernels' time")
    room = (LINES - len(lines)) // 2
    for number, win in enumerate(manifest["wins"][: min(WINS, room)], 1):
        lines.append(f"win {number}     {seconds(win['seconds'])}: {win['what']}")
        lines.append(f"          {win['how']}")
    return "\n".join(lines)


def details(manifest: dict[str, Any], limit: int = 30) -> str:
    """Every kernel with its time and lines, and every boundary with its reasons."""
    parts = ["kernels"]
    ran = sorted((k for k in manifest["kernels"] if k["launches"]), key=lambda k: -k["seconds"])
    for k in ran[:limit]:
        rate, moved = (k[key] * k["launches"] / k["seconds"] / 1e9 for key in ("flops", "bytes"))
        parts.append(f"  {seconds(k['seconds']):>10}  {k['launches']:6} x {k['name']}{where(k['lines'])}")
        parts.append(f"{'':14}{rate:.1f} GFLOP/s, {moved:.1f} GB/s; stores {'; '.join(k['stores'][:3])}")
    parts += _left(len(ran), limit) + ["boundaries"]
    found = [(b, plan) for plan in manifest["plans"] for b in plan["boundaries"]]
    found.sort(key=lambda pair: -pair[0]["nbytes"])
    for b, plan in found[:limit]:
        names = [_kernel_of(plan, b[end]) for end in ("earlier", "later")]
        parts.append(f"  {nbytes(b['nbytes']):>10}  {b['value']}{where([b['line']] if b['line'] else [])}")
        parts.append(f"{'':14}{names[0]} -> {names[1]}")
        parts += [f"{'':14}{reason}: {manifest['advice'][reason]}" for reason in b["reasons"]]
    return "\n".join(parts + _left(len(found), limit))


def _kernel_of(plan: dict[str, Any], group: int) -> str:
    launch = plan["launch_of"][group] if group < len(plan["launch_of"]) else -1
    return plan["kernels"][launch] if launch >= 0 else "a copy or the host"


def _left(count: int, limit: int) -> list[str]:
    return [f"  ... and {count - limit} more"] if count > limit else []


def where(lines: list[Any]) -> str:
    """The last of some lines, for the end of a name; "" where there is none."""
    return f" ({Path(lines[-1][0]).name}:{lines[-1][1]})" if lines else ""


def seconds(value: float) -> str:
    """A time for people.

    >>> seconds(0.00123), seconds(2.5)
    ('1.23 ms', '2.50 s')
    """
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.1f} us"


def nbytes(value: float) -> str:
    """A number of bytes for people.

    >>> nbytes(512), nbytes(2_000_000)
    ('512 B', '2.0 MB')
    """
    for scale, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= scale:
            return f"{value / scale:.1f} {unit}"
    return f"{value:.0f} B"
