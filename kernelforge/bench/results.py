"""What was measured, as JSON; and beside what was measured before.

Comes in: rows.  Goes out: files, which are written whole or not at all, and verdicts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from kernelforge.bench.libraries import OURS
from kernelforge.bench.statistics import Interval, median_interval, times_faster, verdict
from kernelforge.errors import FileFormatError

VERSION = 1


@dataclass
class Row:
    """One subject.

    seconds  side -> seconds of one call in each round
    starts   "cold", "warm" -> seconds of the first call in a new process, "compile": of compiling among them
    parts    device, host and transfer seconds; kernels, flops, bytes; most_...: ceilings per second
    notes    side -> what went wrong there
    sittings   for each further process seconds of one call of ours, and of work that is always the same
    """

    subject: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    sittings: list[list[float]] = field(default_factory=list)

    def times(self, side: str) -> Interval | None:
        """How many times faster we are than a side; None where either is missing."""
        ours, theirs = self.seconds.get(OURS), self.seconds.get(side)
        return times_faster(ours, theirs) if ours and theirs else None

    @property
    def share(self) -> float | None:
        """The least time at the device's ceilings over the device's."""
        if not self.parts.get("most_flops") or not self.parts.get("device"):
            return None
        least = max(
            self.parts["flops"] / self.parts["most_flops"], self.parts["bytes"] / self.parts["most_copy"]
        )  # at the speed of copying: more may be read than written
        return least / self.parts["device"]


@dataclass
class Results:
    """All rows, and where they were measured: device, processor, versions."""

    environment: dict[str, str]
    rows: list[Row] = field(default_factory=list)

    def to_json(self) -> str:
        """All of it as JSON; `read` takes it back."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1)

    def save(self, path: Path) -> None:
        """Write them to a file."""
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        scratch.write_text(self.to_json() + "\n")
        scratch.replace(path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """The results in a file.

        raises FileFormatError
        """
        try:
            data = json.loads(path.read_text())
            if data.pop("version") != VERSION:
                raise ValueError("written by another version")
            return cls(data["environment"], [Row(**row) for row in data["rows"]])
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise FileFormatError(path, f"no results of kernelforge bench: {error}") from None


@dataclass(frozen=True)
class Change:
    """A subject now and before: how many times faster it is now, and the verdict."""

    subject: str
    times: Interval
    verdict: str

    def is_slower_by(self, part: float) -> bool:
        """True where it is certain that it takes so much longer; 0.05: five percent."""
        return self.verdict == "slower" and 1 / self.times.high > 1 + part


def changes(before: Results, now: Results) -> list[Change]:
    """What became faster or slower, of the subjects in both.

    Two runs do not take turns: the bounds of both medians are set against each other, so both must be apart.  So must
    what all processes of one run took be from what those of the other did, by the clock and by the yardstick.
    """
    old = {row.subject: row for row in before.rows if OURS in row.seconds}
    return [
        Change(row.subject, times, verdict(times))
        for row in now.rows
        if OURS in row.seconds and row.subject in old
        for times in [_hull([_ratio(a, b) for a, b in zip(_spreads(old[row.subject]), _spreads(row))])]
    ]


def _spreads(row: Row) -> list[Interval]:
    """How long ours took, as it was measured in turns, and in all processes: in seconds and in yardsticks."""
    found = [median_interval(row.seconds[OURS])]
    if row.sittings:
        for values in ([took for took, _ in row.sittings], [took / yard for took, yard in row.sittings]):
            found.append(Interval(min(values), median(values), max(values)))
    return found


def _hull(found: Sequence[Interval]) -> Interval:
    """The bounds that hold all of the intervals, with the first one's middle."""
    return Interval(min(x.low for x in found), found[0].middle, max(x.high for x in found))


def _ratio(before: Interval, now: Interval) -> Interval:
    low = before.low / now.high if before.low > 0 else 0.0
    high = before.high / now.low if now.low > 0 else float("inf")
    return Interval(low, before.middle / now.middle, high)


def other_environment(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two environments, in words."""
    return [f"{key}: {before.get(key, '-')} -> {now.get(key, '-')}" for key in now if before.get(key) != now[key]]
