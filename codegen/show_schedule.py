"""The readable form of schedules, and the way back.

Comes in: a kernel with a schedule, or with the text of one.  Goes out: the other.  The text calls values as `show`
does, so it depends on the kernel and the choices alone: what one process wrote down another can use.

    grid     m by 256, n by 256
    loop     k by 384, n by 32, m by 8, k by 1
    vector   n
    stage    pack x0[m*768+k] at 3 as (m,1)(k,1) pad 16
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar, cast

from codegen.image import Image, image_of
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Load, Reduce, Store
from codegen.schedule import Ahead, Inner, Schedule, ScheduleError, Stage, Step
from codegen.show import COLUMN, Text
from codegen.streaming import Stream, find_streams

T = TypeVar("T")

_KEEP: Final = re.compile(r"keep (.*) at (\d+)")
_PACK: Final = re.compile(r"pack (.*) at (\d+) as (\S+) pad (\d+)")
_INNER: Final = re.compile(r"(.*) from (\d+):(.*)")
_AHEAD: Final = re.compile(r"(.*) along (\S+)")
_STEP: Final = re.compile(r"(\S+) by (\d+)")
_LAYOUT: Final = re.compile(r"\(([^,()]+),(\d+)\)")


def show_schedule(kernel: Kernel, schedule: Schedule) -> str:
    """The schedule's choices, one a line, with the names `show` gives the kernel's values."""
    return _Words(kernel).written(schedule)


def read_schedule(kernel: Kernel, text: str) -> Schedule:
    """The schedule that `show_schedule` wrote for an equal kernel.

    raises ScheduleError for text that is none, or that names what the kernel lacks
    """
    return _Words(kernel).read(text)


def carried(kernel: Kernel, schedule: Schedule, values: Mapping[Expr, int], other: Kernel) -> Schedule:
    """The same choices for another kernel, whose axes and stores come in the same order.

    values  the places of the kernel's values among those of the other

    raises ScheduleError where the other kernel has nothing of the kind
    """
    ours = _Words(kernel, {e: f"t{place}" for e, place in values.items()})
    theirs = _Words(other, {e: f"t{place}" for place, e in enumerate(other.exprs)})
    return theirs.read(ours.written(schedule))


class _Words:
    """What a kernel's axes, values, stores and streams are called in the text; every name is one thing's alone.

    places  names of values that do not depend on sizes; all else is then called by its place, too
    """

    def __init__(self, kernel: Kernel, places: Mapping[Expr, str] | None = None) -> None:
        self.by_place = places is not None
        if places is None:
            text = Text(kernel)
            self.axes = _named((axis.name, axis) for axis in kernel.axes)
            self.values = _named((text.name(e), e) for e in kernel.exprs)
            self.stores = _named((f"store {store.param.name}", store) for store in kernel.stores)
        else:
            self.axes = {f"a{place}": axis for place, axis in enumerate(kernel.axes)}
            self.values = {name: e for e, name in places.items()}
            self.stores = {f"store {place}": store for place, store in enumerate(kernel.stores)}
        self.axis_names = {axis: name for name, axis in self.axes.items()}
        self.names: dict[Expr | Store, str] = {e: name for name, e in self.values.items()}
        self.names |= {store: name for name, store in self.stores.items()}
        self.kernel = kernel

    # ------------------------------------------------------------------------------------------------ writing

    def written(self, schedule: Schedule) -> str:
        rows = [
            ("grid", self._steps(schedule.loops[: schedule.grid])),
            ("loop", self._steps(schedule.loops[schedule.grid :])),
            ("vector", " ".join(self.axis_names[a] for a in schedule.vector)),
            *(("stage", self._stage(stage)) for stage in schedule.stages),
            *(
                ("inner", f"{self._name(sink)} from {inner.depth}: {self._steps(inner.loops)}".rstrip())
                for sink, inner in schedule.inner.items()
            ),
            ("partial", self._partial(schedule.partial)),
            *(("stream", self._stream(stream)) for stream in schedule.streams),
            *(("ahead", f"{self._name(load)} along {self.axis_names[axis]}") for load, axis in schedule.ahead),
            ("options", ", ".join(f"{key} {value}" for key, value in sorted(schedule.options.items()))),
        ]
        return "\n".join(f"{kind:<{COLUMN}}{row}" for kind, row in rows if row)

    def _name(self, value: Expr | Store) -> str:
        return self.names.get(value) or repr(value)

    def _steps(self, steps: Iterable[Step]) -> str:
        return ", ".join(f"{self.axis_names.get(axis, axis.name)} by {tile}" for axis, tile in steps)

    def _stage(self, stage: Stage) -> str:
        if stage.layout is None:
            return f"keep {self._name(stage.value)} at {stage.depth}"
        names = self.axis_names | {axis: name for name, axis in self._image_names(stage.image).items()}
        layout = "".join(f"({names[axis]},{block})" for axis, block in stage.layout)
        return f"pack {self._name(stage.value)} at {stage.depth} as {layout} pad {stage.pad}"

    def _partial(self, partial: frozenset[Reduce] | None) -> str:
        if partial is None:
            return ""
        return ", ".join(self._name(e) for e in sorted(partial, key=lambda e: e.id)) or "none"

    def _stream(self, stream: Stream) -> str:
        sums = ", ".join(f"{self._name(r)} ({degree:g})" for r, degree in stream.sums)
        return f"{self._name(stream.max)}, sums {sums}"

    # ------------------------------------------------------------------------------------------------ reading

    def read(self, text: str) -> Schedule:
        rows: dict[str, list[str]] = {}
        for line in text.splitlines():
            if line.strip():
                rows.setdefault(line[:COLUMN].strip(), []).append(line[COLUMN:].strip())
        unknown = rows.keys() - {"grid", "loop", "vector", "stage", "inner", "partial", "stream", "ahead", "options"}
        if unknown:
            raise ScheduleError(f"a schedule has no line {unknown.pop()!r}")
        grid, loop, vector, options = (" ".join(rows.get(kind, ())) for kind in ("grid", "loop", "vector", "options"))
        outer = self._read_steps(grid)
        return Schedule(
            (*outer, *self._read_steps(loop)),
            len(outer),
            tuple(_found(self.axes, name) for name in vector.split()),
            tuple(map(self._read_stage, rows.get("stage", ()))),
            dict(map(self._read_inner, rows.get("inner", ()))),
            self._read_partial(rows.get("partial", ())),
            tuple(map(self._read_stream, rows.get("stream", ()))),
            tuple(map(self._read_ahead, rows.get("ahead", ()))),
            dict(_read_option(part) for part in options.split(", ") if part),
        )

    def _read_steps(self, text: str) -> tuple[Step, ...]:
        found = (_matched(_STEP, part.strip()) for part in text.split(",") if part.strip())
        return tuple(Step(_found(self.axes, name), int(tile)) for name, tile in found)

    def _read_stage(self, text: str) -> Stage:
        if text.startswith("keep"):
            value, depth = _matched(_KEEP, text)
            return Stage(_found(self.values, value), int(depth))
        value, depth, layout, pad = _matched(_PACK, text)
        written, packed = _LAYOUT.findall(layout), _found(self.values, value)
        image = image_of(packed) if any(axis not in self.axes for axis, _ in written) else None
        axes = self.axes | self._image_names(image)
        blocks = tuple((_found(axes, axis), int(block)) for axis, block in written)
        return Stage(packed, int(depth), blocks, int(pad), image)

    def _read_inner(self, text: str) -> tuple[Expr | Store, Inner]:
        name, depth, loops = _matched(_INNER, text)
        sinks: dict[str, Expr | Store] = {**self.values, **self.stores}
        return _found(sinks, name), Inner(int(depth), self._read_steps(loops))

    def _read_partial(self, texts: Iterable[str]) -> frozenset[Reduce] | None:
        for text in texts:
            names = [] if text == "none" else text.split(", ")
            return frozenset(cast(Reduce, _found(self.values, name)) for name in names)
        return None

    def _read_stream(self, text: str) -> Stream:
        return _found({self._stream(stream): stream for stream in find_streams(self.kernel)}, text)

    def _read_ahead(self, text: str) -> Ahead:
        load, axis = _matched(_AHEAD, text)
        return Ahead(cast(Load, _found(self.values, load)), _found(self.axes, axis))

    def _image_names(self, image: Image | None) -> dict[str, Axis]:
        """The new axes of an image, called by the sums they stand for."""
        if image is None:
            return {}
        if self.by_place:
            return {f"i{place}": axis for place, axis in enumerate(image.at)}
        return _named((repr(index), axis) for axis, index in image.at.items())


def _named(things: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Names for things; the second of a name gets a number."""
    found: dict[str, T] = {}
    for name, thing in things:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}#{number}"
        found[free] = thing
    return found


def _found(things: dict[str, T], name: str) -> T:
    if name not in things:
        raise ScheduleError(f"the kernel has no {name!r}")
    return things[name]


def _matched(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ScheduleError(f"{text!r} is no part of a schedule")
    return match.groups()


def _read_option(text: str) -> tuple[str, int | str]:
    key, _, value = text.partition(" ")
    return key, int(value) if value.lstrip("-").isdigit() else value
