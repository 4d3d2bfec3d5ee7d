"""The results of a run.

Comes in: rows, one at a time.  Goes out: a JSON file with everything and a Markdown file for people, written anew after
every row.  It knows no workload.
"""

import json
from dataclasses import asdict, dataclass, field
from math import exp, log
from pathlib import Path

from bench.measure import table
from bench.suite.record import rounded

KEPT = ("environment", "ceilings", "begun", "case", "spent", "details")  # with the rows, what the JSON file holds
HEAD = ["case", "kernelforge", "rate", "of ceiling", "torch", "torch's rate", "times faster", "error", "note"]


@dataclass
class Row:
    """One measurement.

    ours, theirs  seconds, None where there is none; peer: who theirs is
    flops, nbytes of one run: operations, and bytes that must at least move
    error         of our result, relative to its norm; peer_error: of theirs
    note          what went wrong, or what else is to be known
    """

    section: str
    name: str
    ours: float | None = None
    theirs: float | None = None
    peer: str = ""
    flops: float = 0
    nbytes: float = 0
    error: float | None = None
    peer_error: float | None = None
    note: str = ""

    @property
    def times(self) -> float | None:
        """How many times as fast as the peer."""
        return self.theirs / self.ours if self.ours and self.theirs else None


@dataclass
class Results:
    """What was measured on one device, and where it is kept.

    environment  the device's product name, driver, versions
    ceilings     "flops": operations per second of a product of bfloat16; "copy": bytes per second, read plus written
    begun        the sections that were begun, whatever became of them
    case         what is under way in the last of them, where another process can go on behind it; else nothing
    spent        seconds that sections took whose process ended
    details      longer texts by name: what tests printed, tracebacks
    """

    folder: Path
    environment: dict[str, str]
    ceilings: dict[str, float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    details: dict[str, str] = field(default_factory=dict)
    case: str = ""
    spent: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, environment: dict[str, str]) -> "Results":
        """What an earlier process of the same run left, if any."""
        path = folder / f"{slug(environment)}.json"
        if not path.exists():
            return cls(folder, environment)
        data = json.loads(path.read_text())
        rows = [Row(**row) for row in data["rows"]]
        return cls(folder, rows=rows, **{name: data[name] for name in KEPT})

    def row(self, section: str, name: str) -> Row | None:
        """What was measured under a name, if anything."""
        return next((row for row in self.rows if (row.section, row.name) == (section, name)), None)

    def begin(self, case: str) -> None:
        """Tells whoever watches what is under way; nothing where it is no case."""
        self.case = case
        self.write()

    def keep(self, row: Row) -> None:
        """Keeps a row, on disk too, also one that was kept before and is more complete now."""
        if not any(other is row for other in self.rows):
            self.rows.append(row)
        self.write()

    def add(self, row: Row) -> Row:
        """Keeps a row and shows it."""
        self.keep(row)
        print(f"{row.section}: " + " | ".join(cell for cell in self.cells(row) if cell), flush=True)
        return row

    def write(self) -> None:
        """Puts everything so far into the two files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        data = {
            "rows": [rounded(asdict(row)) for row in self.rows],
            **{name: rounded(getattr(self, name)) for name in KEPT},
        }
        self._replace(".json", json.dumps(data, indent=1) + "\n")
        self._replace(".md", self.markdown())

    def _replace(self, suffix: str, text: str) -> None:
        """A run that is killed leaves the file of before or after, never half of one."""
        name = slug(self.environment)
        aside = self.folder / f".{name}{suffix}"
        aside.write_text(text)
        aside.replace(self.folder / f"{name}{suffix}")

    def markdown(self) -> str:
        """The tables, by section, with the geometric mean of the ratios of each."""
        parts = [f"# {self.environment['device']}", "Made by `python -m bench.gpu`."]
        parts.append("\n".join(f"- {name}: {value}" for name, value in self.environment.items()))
        if self.ceilings:
            parts.append("\n".join(f"- ceiling, {name}: {most:.4g} per second" for name, most in self.ceilings.items()))
        for section in dict.fromkeys(row.section for row in self.rows):
            parts += self.part(section)
        return "\n\n".join(parts) + "\n"

    def part(self, section: str) -> list[str]:
        """A section's heading, mean and table."""
        rows = [row for row in self.rows if row.section == section]
        ratios = [row.times for row in rows if row.times]
        found = [f"## {section}", table(HEAD, [self.cells(row) for row in rows])]
        if ratios:
            mean = exp(sum(map(log, ratios)) / len(ratios))
            found.insert(1, f"{len(ratios)} ratios, geometric mean {mean:.3f}, least {min(ratios):.3f}.")
        return found

    def cells(self, row: Row) -> list[str]:
        """A row as people read it."""
        theirs = f"{duration(row.theirs)} ({row.peer})" if row.theirs else ""
        errors = [f"{error:.1e}" for error in (row.error, row.peer_error) if error is not None]
        return [
            row.name,
            duration(row.ours),
            rate(row, row.ours),
            self.share(row),
            theirs,
            rate(row, row.theirs),
            f"{row.times:.2f}" if row.times else "",
            " / ".join(errors),
            row.note.replace("|", "/").replace("\n", " ")[:200],
        ]

    def share(self, row: Row) -> str:
        """The least time the work could take at the ceilings, over ours."""
        if not row.ours or not self.ceilings:
            return ""
        least = [
            amount / self.ceilings[name]
            for name, amount in (("flops", row.flops), ("copy", row.nbytes))
            if amount and name in self.ceilings
        ]
        return f"{max(least) / row.ours:.0%}" if least else ""


def slug(environment: dict[str, str]) -> str:
    """The name of a run's files: the device's."""
    return "-".join(environment["device"].lower().split())


def duration(seconds: float | None) -> str:
    """Seconds for people.

    >>> duration(0.00123), duration(4.5e-6), duration(12), duration(None)
    ('1.230 ms', '4.50 us', '12.00 s', '')
    """
    if seconds is None:
        return ""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.2f} us"


def rate(row: Row, seconds: float | None) -> str:
    """Operations or bytes per second."""
    if not seconds or not (row.flops or row.nbytes):
        return ""
    if row.flops:
        return f"{row.flops / seconds / 1e12:.1f} TFLOP/s"
    return f"{row.nbytes / seconds / 1e9:.0f} GB/s"
