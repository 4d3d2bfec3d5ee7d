"""Where a program's time goes: every launch with its time, what it moved and computed, compilation, and memory.

Comes in: whatever runs in the body of `with profile() as p`.  Goes out: `p.table()`, `p.trace()` for Perfetto or
chrome://tracing, and `p.summary()`.  Launches are waited for one by one, so their times are the device's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from kernelforge.ceilings import ceilings
from kernelforge.counters import GlobalCounters
from kernelforge.execution import debug
from kernelforge.execution.observing import Observer, observed
from kernelforge.graph import Line
from kernelforge.planning.steps import Launch

COLUMNS: Final = ("kernel", "launches", "ms", "% of time", "GFLOP/s", "GB/s", "% of ceiling", "from")


@dataclass(frozen=True)
class Event:
    """One launch: when it began, in seconds since the profile did, and how long the device took."""

    name: str
    device: str
    start: float
    seconds: float
    flops: int
    nbytes: int
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Compilation:
    """Programs that were compiled, or taken from a cache, together."""

    count: int
    start: float
    seconds: float


@dataclass
class Profile(Observer):
    """What was seen.

    events        launches, in order
    compilations  when programs were compiled
    memory        (seconds, bytes of device memory in use) after each launch
    seconds       from beginning to end, everything included
    """

    events: list[Event] = field(default_factory=list)
    compilations: list[Compilation] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    seconds: float = 0.0
    began: float = field(default_factory=perf_counter)

    def compiled(self, count: int, seconds: float) -> None:
        self.compilations.append(Compilation(count, perf_counter() - self.began - seconds, seconds))

    def launched(self, step: Launch, seconds: float) -> None:
        now, program = perf_counter() - self.began, step.program
        self.events.append(
            Event(program.entry, step.device, now - seconds, seconds, program.flops, program.nbytes, step.lines)
        )
        self.memory.append((now, GlobalCounters.mem_used))

    @property
    def kernel_seconds(self) -> float:
        """The time of all launches together."""
        return sum(event.seconds for event in self.events)

    @property
    def compile_seconds(self) -> float:
        """The time spent on compiling, or on finding what was compiled before."""
        return sum(compilation.seconds for compilation in self.compilations)

    def rows(self) -> list[list[Event]]:
        """The launches of each kernel, the costliest kernel first."""
        found: dict[tuple[str, str], list[Event]] = {}
        for event in self.events:
            found.setdefault((event.device, event.name), []).append(event)
        return sorted(found.values(), key=lambda events: -sum(event.seconds for event in events))

    def table(self, limit: int | None = 20) -> str:
        """The costliest kernels: launches, time, speed, and the share of the ceiling that binds them.

        That is the larger one of arithmetic per second over the device's most, and bytes per second over those of a
        copy; above 100 % the data came from a cache.
        """
        lines = [_cells(events, self.kernel_seconds) for events in self.rows()[:limit]]
        left = len(self.rows()) - len(lines)
        widths = [max(len(line[i]) for line in (COLUMNS, *lines)) for i in range(len(COLUMNS))]
        shown = [_aligned(line, widths) for line in (COLUMNS, *lines)]
        return "\n".join([*shown, *([f"... and {left} kernels more"] if left else [])])

    def summary(self) -> str:
        """Kernels, time, memory and compilation in a few lines."""
        host = max(0.0, self.seconds - self.kernel_seconds - self.compile_seconds)
        different = len({(event.device, event.name) for event in self.events})
        return "\n".join((
            f"{len(self.events)} launches of {different} kernels in {self.seconds * 1e3:.1f} ms",
            f"  kernels    {self.kernel_seconds * 1e3:9.1f} ms",
            f"  compiling  {self.compile_seconds * 1e3:9.1f} ms, {sum(c.count for c in self.compilations)} programs",
            f"  host       {host * 1e3:9.1f} ms (Python, copies, everything else)",
            f"  memory     {debug.size(max((n for _, n in self.memory), default=0))} of the device at most",
        ))  # fmt: skip

    def trace(self) -> dict[str, Any]:
        """The timeline in the Trace Event Format, which Perfetto and chrome://tracing show."""
        devices = {name: i for i, name in enumerate(dict.fromkeys(event.device for event in self.events), start=2)}
        events: list[dict[str, Any]] = [_named("host", 1), *(_named(name, thread) for name, thread in devices.items())]
        for c in self.compilations:
            events.append(_slice(f"compile {c.count} programs", 1, c.start, c.seconds, {}))
        for event in self.events:
            arguments = {"flops": event.flops, "bytes": event.nbytes, "from": [f"{f}:{n}" for f, n in event.lines]}
            events.append(_slice(event.name, devices[event.device], event.start, event.seconds, arguments))
        for time, nbytes in self.memory:
            events.append({"name": "memory", "ph": "C", "pid": 1, "ts": time * 1e6, "args": {"bytes": nbytes}})
        return {"traceEvents": events, "displayTimeUnit": "ms"}

    def save(self, path: str | Path) -> None:
        """Write trace() to a file."""
        Path(path).write_text(json.dumps(self.trace()))


@contextmanager
def profile() -> Iterator[Profile]:
    """A context that watches every launch.

    >>> from kernelforge import Tensor
    >>> from kernelforge.inspect.profile import profile
    >>> with profile() as p:
    ...     _ = (Tensor.ones(64, 64) + 1).sum().item()
    >>> len(p.events)
    1
    """
    found = Profile()
    with observed(found):
        try:
            yield found
        finally:
            found.seconds = perf_counter() - found.began


def _cells(events: Sequence[Event], total: float) -> tuple[str, ...]:
    """One row of the table."""
    seconds = sum(event.seconds for event in events)
    flops, moved = (sum(e.flops for e in events) / seconds, sum(e.nbytes for e in events) / seconds)
    most = ceilings(events[0].device)
    share = f"{max(flops / most['flops'], moved / most['copy']) * 100:.0f}" if most else "-"
    file, line = events[0].lines[-1] if events[0].lines else ("", 0)
    return (
        events[0].name, str(len(events)), f"{seconds * 1e3:.3f}", f"{seconds / total * 100:.1f}", f"{flops / 1e9:.1f}",
        f"{moved / 1e9:.1f}", share, f"{Path(file).name}:{line}" if file else "",
    )  # fmt: skip


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells under each other: names to the left, numbers to the right."""
    ends = (0, len(widths) - 1)
    return "  ".join(c.ljust(w) if i in ends else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))).rstrip()


def _slice(name: str, thread: int, start: float, seconds: float, arguments: dict[str, Any]) -> dict[str, Any]:
    times = {"ts": start * 1e6, "dur": seconds * 1e6}
    return {"name": name, "ph": "X", "pid": 1, "tid": thread, **times, "args": arguments}


def _named(name: str, thread: int) -> dict[str, Any]:
    return {"name": "thread_name", "ph": "M", "pid": 1, "tid": thread, "args": {"name": name}}
