"""What was measured, and the figures that follow from it.

Comes in: rows and first results. Goes out: the record of one environment, kept as JSON; ratios to the best peer, and
the least time the machine could take. It knows no table.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import exp, log
from pathlib import Path
from typing import Any

from bench.suite.libraries import OURS
from bench.suite.workload import Step, Workload

CACHED = 32 << 20  # bytes that may stay in caches between calls: no share of memory's speed is told for less


@dataclass
class Row:
    """The outcome of a workload: best seconds by side, notes on what went wrong there, and its minutes' ceilings."""

    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    ceilings: dict[str, float] = field(default_factory=dict)


@dataclass
class Record:
    """Everything that was measured in one environment.

    environment  processor, versions
    rows         workload -> seconds and notes by side, ceilings
    starts       workload -> side -> what start.py tells
    """

    environment: dict[str, str]
    rows: dict[str, Row] = field(default_factory=dict)
    starts: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Record":
        """The record in a file."""
        data = json.loads(path.read_text())
        return cls(**data | {"rows": {name: Row(**row) for name, row in data["rows"].items()}})

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rounded(asdict(self)), indent=1) + "\n")


def rounded(data: Any) -> Any:
    """The same with numbers to five digits, so that a file tells no more than was measured."""
    if isinstance(data, float):
        return float(f"{data:.5g}")
    return {key: rounded(value) for key, value in data.items()} if isinstance(data, dict) else data


def best_peer(row: Row) -> str | None:
    """The fastest of the others whose result is right."""
    peers = [side for side in row.seconds if side != OURS and side not in row.notes]
    return min(peers, key=lambda side: row.seconds[side]) if peers else None


def ratio(row: Row) -> float | None:
    """How many times faster than the best peer; None where a side is missing."""
    peer = best_peer(row)
    return None if peer is None or OURS not in row.seconds else row.seconds[peer] / row.seconds[OURS]


def least_seconds(workload: Workload | Step, ceilings: Mapping[str, float]) -> float | None:
    """What one call must take on this machine; None where its data may stay in caches and computing is not the limit.

    As much as is written is copied; what is read or written beyond that goes at the speed of only reading or filling.
    """
    computing = workload.flops / ceilings["flops"]
    moved = workload.read + workload.write
    if moved <= CACHED:
        return computing or None
    copied = min(workload.read, workload.write)
    moving = 2 * copied / ceilings["copy"]
    moving += (workload.read - copied) / ceilings["read"] + (workload.write - copied) / ceilings["fill"]
    return max(computing, moving)


def share(row: Row, workload: Workload | Step) -> float | None:
    """The least time over ours, by the ceilings measured beside the row; None where either is unknown."""
    least = least_seconds(workload, row.ceilings) if row.ceilings else None
    return least / row.seconds[OURS] if least and OURS in row.seconds else None


def mean_ratio(rows: Iterable[Row]) -> float:
    """The geometric mean of the rows' ratios."""
    found = [log(value) for value in map(ratio, rows) if value]
    return exp(sum(found) / len(found)) if found else float("nan")
