"""What would save most time, and how to get it.

Comes in: a manifest.  Goes out: `Win`s, the largest first.  Each is an estimate from what was measured: kernels that
are far from the ceiling that binds them, values that leave one kernel for another, time the host takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LEAST: Final = 0.01  # of the kernels' time: less is not worth a line
GOOD: Final = 0.8  # of its ceiling: what a kernel is expected to reach
SHORT: Final = 20e-6  # seconds of a launch that is mostly overhead


@dataclass(frozen=True)
class Win:
    """Seconds that could be saved in all, by what, and how."""

    seconds: float
    what: str
    how: str


def wins(manifest: dict[str, Any]) -> list[Win]:
    """The largest wins first; of each kernel and each boundary at most one."""
    found = [*_kernels(manifest), *_boundaries(manifest), *_host(manifest)]
    least = LEAST * sum(kernel["best"] * kernel["launches"] for kernel in manifest["kernels"] if kernel["launches"])
    return sorted((win for win in found if win.seconds > least), key=lambda win: -win.seconds)


def _kernels(manifest: dict[str, Any]) -> list[Win]:
    """Kernels below their ceiling."""
    found = []
    for kernel in manifest["kernels"]:
        top = manifest["devices"][kernel["device"]]["ceilings"]
        if not kernel["launches"] or not top:
            continue
        each = kernel["best"]  # others were disturbed, by the first touch of memory or by the machine
        ideal = max(kernel["flops"] / top["flops"], kernel["bytes"] / top["copy"]) / GOOD
        saved = (each - max(ideal, 2e-6)) * kernel["launches"]
        share = f"{100 * GOOD * ideal / each:.0f} % of its ceiling"
        if each < SHORT:
            how = "its launches are short: give it more at a time (a larger batch), or fuse what comes before and after"
        else:
            how = "KF_TUNE=1 measures other schedules; `kernelforge edit` tries a change of your own"
        found.append(Win(saved, f"{kernel['name']}{_where(kernel['lines'])} reaches {share}", how))
    return found


def _boundaries(manifest: dict[str, Any]) -> list[Win]:
    """Values that are written by one kernel and read by another."""
    found = []
    launches: dict[int, int] = {}
    for _, plan, _, _ in manifest["launches"]:
        launches[plan] = launches.get(plan, 0) + 1
    tops = [device["ceilings"]["copy"] for device in manifest["devices"].values() if device["ceilings"]]
    for number, plan in enumerate(manifest["plans"]):
        runs = launches.get(number, 0) / max(1, len(plan["kernels"]))
        for boundary in plan["boundaries"]:
            if not tops:
                continue
            reason = boundary["reasons"][0]
            where = _where([boundary["line"]] if boundary["line"] else [])
            what = f"{boundary['value']}{where} is stored and read again: {reason}"
            found.append(Win(runs * boundary["nbytes"] / tops[0], what, manifest["advice"][reason]))
    return found


def _host(manifest: dict[str, Any]) -> list[Win]:
    """What passes before launches that are repeated, but for those that a captured function replays."""
    host, before, runs = 0.0, 0.0, dict[int, int]()
    for _, number, start, took in manifest["launches"]:
        if number >= 0 and not (plan := manifest["plans"][number])["captured"]:
            runs[number] = runs.get(number, 0) + 1
            host += max(0.0, start - before) if runs[number] > len(plan["kernels"]) else 0.0
        before = start + took
    if not host:
        return []
    how = "wrap the step in kernelforge.jit: it is replayed without Python's part"
    what = f"Python, copies and all else take {host * 1e3:.0f} ms between launches that are repeated"
    return [Win(host / 2, what, how)]


def _where(lines: list[Any]) -> str:
    if not lines:
        return ""
    file, line = lines[-1]
    return f" ({Path(file).name}:{line})"
