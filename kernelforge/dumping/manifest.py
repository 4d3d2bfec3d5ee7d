"""manifest.json: all that a dump knows, for programs to read.  docs/dump.md documents its schema.

Comes in: a `Recorder` whose program has ended.  Goes out: numbers, text, lists and dictionaries.  A change of what a
field means raises SCHEMA; fields that are added do not.
"""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict
from typing import Any, Final

from kernelforge.ceilings import ceilings
from kernelforge.dumping.machine import Machine
from kernelforge.dumping.recorder import Kernel, Planned, Recorder, details
from kernelforge.dumping.sources import rules
from kernelforge.dumping.statements import mapped
from kernelforge.dumping.wins import wins
from kernelforge.fusion.boundaries import advice
from kernelforge.fusion.story import Point
from kernelforge.kernels import Device

SCHEMA: Final = 1
MOST_WINS: Final = 20
MOST_NODES: Final = 20_000  # of a graph that is written down


def manifest(recorder: Recorder, machines: dict[str, dict[str, Machine]]) -> dict[str, Any]:
    """The whole dump.

    machines  by kernel and language, what is known of its machine code
    """
    kernels = list(recorder.kernels.values())
    devices = list(dict.fromkeys(kernel.device for kernel in kernels))
    reasons = {reason for planned in recorder.plans for b in planned.story.boundaries for reason in b.reasons}
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "kernelforge": importlib.metadata.version("kernelforge") if _is_installed() else "",
        "python": platform.python_version(),
        "command": recorder.command,
        "devices": {name: {**asdict(Device[name].facts), "ceilings": ceilings(name)} for name in devices},
        "totals": _totals(recorder, kernels),
        "kernels": [_kernel(kernel, machines.get(kernel.name, {})) for kernel in kernels],
        "plans": [_plan(planned) for planned in recorder.plans],
        "launches": [[e.kernel, e.plan, round(e.start, 7), round(e.seconds, 9)] for e in recorder.events],
        "memory": [[round(time, 7), nbytes] for time, nbytes in recorder.memory],
        "compilations": [[round(start, 7), count, round(took, 7)] for start, count, took in recorder.compilations],
        "rules": rules(),
        "advice": {reason: advice(reason) for reason in sorted(reasons)},
    }
    return {**found, "wins": [asdict(win) for win in wins(found)[:MOST_WINS]]}


def _is_installed() -> bool:
    try:
        importlib.metadata.version("kernelforge")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _totals(recorder: Recorder, kernels: list[Kernel]) -> dict[str, Any]:
    statements = [mapped(source.statements) for kernel in kernels for source in kernel.sources.values()]
    return {
        "seconds": recorder.seconds,
        "kernel_seconds": sum(kernel.seconds for kernel in kernels),
        "compile_seconds": sum(seconds for _, _, seconds in recorder.compilations),
        "plan_seconds": sum(planned.seconds for planned in recorder.plans),
        "launches": sum(kernel.launches for kernel in kernels),
        "kernels": sum(1 for kernel in kernels if kernel.launches),
        "compiled": sum(count for _, count, _ in recorder.compilations),
        "memory": max((nbytes for _, nbytes in recorder.memory), default=0),
        "statements": sum(every for _, every in statements),
        "mapped": sum(found for found, _ in statements),
        "dropped_launches": recorder.dropped,
    }


def _kernel(kernel: Kernel, machines: dict[str, Machine]) -> dict[str, Any]:
    program = kernel.program
    return {
        "name": kernel.name,
        "entry": program.entry,
        "device": kernel.device,
        "language": program.language,
        "digest": kernel.digest,
        "files": kernel.files,
        "lines": [list(line) for line in kernel.lines],
        "stores": list(kernel.stores),
        "parts": kernel.parts,
        "part_of": kernel.part_of,
        "params": [
            {"name": p.name, "dtype": str(p.dtype), "size": p.size, "written": p.name in program.written}
            for p in program.params
        ],
        "grid": list(program.grid),
        "local": list(program.local),
        "options": dict(program.options),
        "flops": program.flops,
        "bytes": program.nbytes,
        "launches": kernel.launches,
        "seconds": kernel.seconds,
        "best": kernel.best if kernel.launches else None,
        **details(kernel),
        "statements": {
            language: dict(zip(("mapped", "all"), mapped(source.statements)))
            for language, source in kernel.sources.items()
        },
        "machine": {language: {"kind": m.kind, **m.figures} for language, m in machines.items()},
    }


def _plan(planned: Planned) -> dict[str, Any]:
    plan, story = planned.plan, planned.story
    step_of = {id(part): number for number, step in enumerate(plan.launches) for part in step.parts or (step,)}
    launch_of = [step_of.get(id(step), -1) for step in story.steps]
    return {
        "start": planned.start,
        "seconds": planned.seconds,
        "runs": plan.runs,
        "captured": plan.is_captured,
        "kernels": planned.kernels,
        "results": sum(slot.nbytes for slot in plan.slots if slot.role == "result"),
        "scratch": sum(block.nbytes for block in plan.blocks),
        "scratch_without_reuse": sum(slot.nbytes for slot in plan.slots if slot.role == "scratch"),
        "asked": _graph(story.asked),
        "rewrites": [asdict(rewrite) for rewrite in story.rewrites],
        "graph": _graph(story.graph),
        "groups": [list(group) for group in story.groups],
        "launch_of": launch_of,
        "boundaries": [asdict(boundary) for boundary in story.boundaries],
    }


def _graph(points: list[Point]) -> list[list[Any]]:
    """Rows of operation, text, bytes, sources, line."""
    return [[p.op, p.text, p.nbytes, list(p.sources), p.line and list(p.line)] for p in points[:MOST_NODES]]
