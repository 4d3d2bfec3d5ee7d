"""The record of measurements as a page and as the table in README.md.

Comes in: a record. Goes out: text. Everything shown is computed from the record, so the tables can be made again
without measuring.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.measure import table
from bench.suite.libraries import MODULES, OURS
from bench.suite.record import Record, Row, best_peer, mean_ratio, ratio, share
from bench.suite.workload import Step, Workload

ROOT = Path(__file__).parents[2]
PAGE, RECORD, README = ROOT / "docs/benchmarks/cpu.md", ROOT / "docs/benchmarks/cpu.json", ROOT / "README.md"
CEILINGS = {
    "flops": "{} GFLOP/s",
    "copy": "copying {} GB/s",
    "read": "reading {} GB/s",
    "fill": "filling {} GB/s",
}
BEGIN, END = "<!-- python -m bench.suite writes this table -->\n", "<!-- end of the table -->\n"
HIGHLIGHTS = (
    "1024x1024x1024 NN", "127x129x131 NN", "1x4096x4096 NT", "linear + gelu 1024x1024x1024", "add 64x64",
    "chain of 10 on 16777216", "softmax 4096x4096", "layer norm 4096x4096 forward + backward",
    "cross entropy 512x32000 forward + backward", "sum of columns 4096x4096", "transposed copy 4096x4096",
    "embedding 8192 of 50000x512 gradient", "attention 1x16x512x64 causal",
    "attention 1x16x512x64 causal forward + backward", "conv 8x64x56x56 to 64, 3x3",
    "conv 8x64x56x56 to 64, 3x3 forward + backward", "sort rows 1024x1024", "ResNet-18 inference, batch 8",
    "GPT training step, 8x128 tokens", "MLP training step, batch 256",
)  # fmt: skip


# Tables -----------------------------------------------------------------------------------------------------------


def milliseconds(row: Row, side: str) -> str:
    """A side's time, marked where its result is another; a dash where there is none."""
    if side not in row.seconds:
        return "–"
    return f"{row.seconds[side] * 1e3:.3f}" + (" ≠" if side in row.notes else "")


def line(name: str, row: Row, workload: Workload | Step, sides: list[str]) -> list[str]:
    """A row of a table: times, ratio, share of the ceiling."""
    times, reached = ratio(row), share(row, workload)
    last = [f"{times:.2f}" if times else "–", f"{reached:.0%}" if reached else ""]
    return [name, *(milliseconds(row, side) for side in sides), *last]


def page(record: Record, workloads: Mapping[str, Workload | Step]) -> str:
    """docs/benchmarks/cpu.md."""
    sides = [side for side in MODULES if any(side in row.seconds for row in record.rows.values())]
    parts = ["# CPU benchmarks", INTRODUCTION.strip(), described(record)]
    head = ["workload", *(f"{side}, ms" for side in sides), "times faster", "of ceiling"]
    known = {name: record.rows[name] for name in workloads if name in record.rows}
    parts.append(summary(known, workloads))
    for group in dict.fromkeys(workload.group for workload in workloads.values()):
        rows = {name: row for name, row in known.items() if workloads[name].group == group}
        if rows:
            lines = [line(name, row, workloads[name], sides) for name, row in rows.items()]
            parts += [f"## {group.capitalize()}", table(head, lines)]
    if record.starts:
        parts += ["## First results and memory", FIRST.strip(), starts(record.starts)]
    notes = [f"- {name}, {side}: {note}" for name, row in known.items() for side, note in row.notes.items()]
    if notes:
        parts += ["## What did not work", "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


def summary(rows: Mapping[str, Row], workloads: Mapping[str, Workload | Step]) -> str:
    """Geometric means by group, and how many rows are won."""
    lines = []
    for group in dict.fromkeys(workloads[name].group for name in rows):
        found = [row for name, row in rows.items() if workloads[name].group == group]
        lines.append([group, *counted(found)])
    return table(["group", "rows", "at least as fast", "geometric mean"], [*lines, ["all", *counted(rows.values())]])


def counted(rows: Iterable[Row]) -> list[str]:
    """How many there are, how many are not slower than the best peer, their mean ratio."""
    found = list(rows)
    return [str(len(found)), str(sum((ratio(row) or 0) >= 1 for row in found)), f"{mean_ratio(found):.2f}"]


def described(record: Record) -> str:
    """The environment and the ceilings, as a list."""
    lines = [f"- {name}: {value}" for name, value in record.environment.items()]
    measured = [row.ceilings for row in record.rows.values() if row.ceilings]
    if measured:
        lines.append("- ceilings, from their lowest to their highest: " + ", ".join(spans(measured)))
    return "\n".join(lines)


def spans(ceilings: list[dict[str, float]]) -> Iterator[str]:
    """What the ceilings were at the least and at the most."""
    for what, words in CEILINGS.items():
        values = sorted(found[what] / 1e9 for found in ceilings)
        yield words.format(f"{values[0]:.0f}-{values[-1]:.0f}")


def starts(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """One line for each workload and side."""
    lines = [
        [name, side, *(f"{told[what]:.2f}" for what in ("cold", "warm", "process")), f"{told['memory'] / 2**20:.0f}"]
        for name, sides in found.items()
        for side, told in sides.items()
    ]
    return table(
        ["workload", "side", "first call, s", "in a second process, s", "whole process, s", "memory, MiB"], lines
    )


def readme_table(record: Record, workloads: Mapping[str, Workload | Step]) -> str:
    """A few rows for README.md, kernelforge beside the best of its peers."""
    lines = []
    for name in HIGHLIGHTS:
        row = record.rows.get(name, Row())
        peer, times = best_peer(row), ratio(row)
        if peer and times:
            lines.append([name, milliseconds(row, OURS), f"{milliseconds(row, peer)} ({peer})", f"{times:.2f}"])
    count, won, mean = counted(record.rows.values())
    total = f"Of {count} rows kernelforge is at least as fast in {won}; the geometric mean is {mean} times faster."
    where = ", ".join(f"{name} {value}" for name, value in record.environment.items() if name != "processor")
    head = ["workload", "kernelforge, ms", "best peer, ms", "times faster"]
    return f"{record.environment['processor']}; {where}.\n\n{table(head, lines)}\n\n{total}\n"


def replaced(text: str, inner: str) -> str:
    """A text with what stands between the two marks replaced."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{README.name} has lost the marks {BEGIN.strip()!r} and {END.strip()!r}")
    return before + BEGIN + inner + END + after


def publish(record: Record, workloads: Mapping[str, Workload | Step]) -> None:
    """Write the page, the record and the table of README.md."""
    record.write(RECORD)
    record = Record.read(RECORD)
    PAGE.write_text(page(record, workloads))
    README.write_text(replaced(README.read_text(), readme_table(record, workloads)))


INTRODUCTION = """
Made by `python -m bench.suite`. Times are the best of several rounds, in which the sides take turns, each in a process
of its own with the same number of threads; they include everything a user waits for: tracing, launching and the wait
for the result. A peer 2.5 times as slow as another after two rounds is not measured further. The same inputs
go in everywhere and the results are compared. *Times faster* is the best peer's time over kernelforge's: above 1
kernelforge is faster. *Of ceiling* is the time the least possible work would take at the
speeds measured in the same minute, over kernelforge's; it is left out where data may stay in caches and memory would
be the limit. Memory for results is each library's own affair: one that asks the system for fresh pages at every call
pays for them.
"""
FIRST = """
The first call with nothing in any cache on disk; the first call of a second process, and all of that process up to its
result, imports and drawing of random weights included; and the most memory a process takes during four more calls,
beyond what it took, its drivers loaded, before it had inputs, the pages of program files not counted.
"""
