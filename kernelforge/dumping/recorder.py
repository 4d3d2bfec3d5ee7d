"""What is seen of a program while it is dumped: plans and their stories, kernels, launches, memory.

Comes in: plans as they are made and launches as they run.  Goes out: a `Recorder`'s lists, which `manifest`
writes down, and source files, written at once: a program that crashes leaves those of all kernels up to there.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from codegen.program import Program
from codegen.target import Target
from kernelforge.counters import GlobalCounters
from kernelforge.dumping.single import script
from kernelforge.dumping.sources import SUFFIX, Source, algebra_of, header, nest_of, rewrites_of, schedule_of, sources
from kernelforge.execution.observing import Observer
from kernelforge.fusion.story import Story
from kernelforge.graph import Line
from kernelforge.planning.steps import Launch, Plan

MOST_EVENTS: Final = 50_000


@dataclass
class Kernel:
    """A kernel of the program.

    name      unique in the dump, and the same in every run: the kernel's own, with a piece of its digest where another
              kernel bears it
    step      the first launch of it
    digest    of what it computes and how: equal in two dumps where the kernel is
    stores    each result with the reason why it is stored
    parts     names of the kernels it was joined from; a part is launched by what it is a part of
    files     of its sources, by language; "run" is its script
    seconds   of all launches; best: of the shortest
    """

    name: str
    step: Launch
    digest: str
    sources: dict[str, Source]
    lines: dict[Line, None] = field(default_factory=dict)
    stores: tuple[str, ...] = ()
    parts: list[str] = field(default_factory=list)
    part_of: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    launches: int = 0
    seconds: float = 0.0
    best: float = float("inf")

    @property
    def device(self) -> str:
        return self.step.device

    @property
    def program(self) -> Program:
        return self.step.program


@dataclass
class Planned:
    """A plan: when and how long it was made, its kernels by launch, and its story."""

    plan: Plan
    story: Story
    start: float
    seconds: float
    kernels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Event:
    """A launch: its kernel, the number of its plan (-1 if that was made before), when, and how long."""

    kernel: str
    plan: int
    start: float
    seconds: float


class Recorder(Observer):
    """Collects what a dump is made of.

    folder    where sources go
    language  of the sources: "both", "opencl", "triton"; "" for the device's own
    target    what those in another language than the device's are written for; None for the usual one
    """

    def __init__(self, folder: Path, language: str = "both", target: Target | None = None) -> None:
        self.folder, self.language, self.target = folder, language, target
        self.began = perf_counter()
        self.command: list[str] = []
        self.kernels: dict[str, Kernel] = {}
        self.plans: list[Planned] = []
        self.events: list[Event] = []
        self.memory: list[tuple[float, int]] = []
        self.compilations: list[tuple[float, int, float]] = []  # start, programs, seconds
        self.dropped = 0
        self._known: dict[tuple[str, Program], Kernel] = {}
        self._steps: dict[int, tuple[str, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return perf_counter() - self.began

    def planned(self, plan: Plan, story: Story, seconds: float) -> None:
        """A plan was made and compiled."""
        self.command = self.command or [*sys.argv]
        found = Planned(plan, story, self.seconds - seconds, seconds)
        for step in plan.launches:
            kernel = self._kernel(step)
            for part in step.parts:
                one = self._kernel(part)
                if kernel.name not in one.part_of:
                    one.part_of.append(kernel.name)
                    kernel.parts.append(one.name)
            found.kernels.append(kernel.name)
            self._steps[id(step)] = kernel.name, len(self.plans)
        self.plans.append(found)

    def compiled(self, count: int, seconds: float) -> None:
        self.compilations.append((self.seconds - seconds, count, seconds))

    def launched(self, step: Launch, seconds: float) -> None:
        now = self.seconds
        name, plan = self._steps.get(id(step)) or (self._kernel(step).name, -1)
        kernel = self.kernels[name]
        kernel.launches += 1
        kernel.seconds += seconds
        kernel.best = min(kernel.best, seconds)
        if len(self.events) < MOST_EVENTS:
            self.events.append(Event(name, plan, now - seconds, seconds))
            self.memory.append((now, GlobalCounters.mem_used))
        else:
            self.dropped += 1

    # -------------------------------------------------------------------------------------------------- kernels

    def _kernel(self, step: Launch) -> Kernel:
        """The record of a launch's kernel; its files are written when it is met first."""
        key = step.device, step.program
        kernel = self._known.get(key)
        if kernel is None:
            digest = hashlib.sha256(step.program.source.encode()).hexdigest()
            found = sources(step, self.language, self.target)
            name = self._name(step.program.entry, digest)
            kernel = self._known[key] = Kernel(name, step, digest, found, stores=step.reasons)
            self.kernels[name] = kernel
            kernel.lines.update(dict.fromkeys(step.lines))
            self._write(kernel)
        kernel.lines.update(dict.fromkeys(step.lines))
        return kernel

    def _name(self, entry: str, digest: str) -> str:
        """The kernel's own name while it is free."""
        return entry if entry not in self.kernels else f"{entry}-{digest[:6]}"

    def _write(self, kernel: Kernel) -> None:
        for language, source in kernel.sources.items():
            kernel.files[language] = file = kernel.name + SUFFIX[language]
            text = header(kernel.name, source.program, kernel.lines, kernel.stores) + source.program.source
            (self.folder / file).write_text(text)
        own = kernel.program
        if own.kernel is not None and own.language in kernel.files:
            kernel.files["run"] = f"{kernel.name}.run.py"
            text = script(kernel.name, own, kernel.files[own.language], kernel.device)
            (self.folder / kernel.files["run"]).write_text(text)


def _clear(folder: Path) -> None:
    """Removes the files of an earlier dump, those that its manifest names."""
    try:
        earlier = json.loads((folder / "manifest.json").read_text())
        names = [file for kernel in earlier["kernels"] for file in kernel["files"].values()]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in (*names, "manifest.json", "index.html"):
        if Path(name).name == name:
            (folder / name).unlink(missing_ok=True)


def details(kernel: Kernel) -> dict[str, Any]:
    """A kernel's algebra, what it was before each rewrite, schedule and nest as text."""
    program = kernel.program
    texts: dict[str, Any] = {"algebra": algebra_of(program)}
    if not kernel.parts:
        texts |= {"schedule": schedule_of(program), "nest": nest_of(program, kernel.device)}
        texts["rewrites"] = rewrites_of(kernel.step)
    return {name: text for name, text in texts.items() if text}
