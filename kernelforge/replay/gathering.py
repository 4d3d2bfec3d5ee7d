"""All guards of a captured call but those of the places it can reach.

Comes in: what the call could see, and its trace.  Goes out: guards; each kind is told of in a module of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kernelforge.replay.guards import Bare, Guard
from kernelforge.replay.kinds import is_a
from kernelforge.replay.libraries import Looked, looked_in
from kernelforge.replay.registered import Registered, registered_in
from kernelforge.replay.state import Snapshot
from kernelforge.replay.trace import Trace
from kernelforge.replay.watching import Environment, Handling, environment_of
from kernelforge.replay.weakly import Weakly
from kernelforge.replay.written import (
    Absent,
    Everything,
    Imported,
    Methods,
    Written,
    absent_in,
    everything_in,
    imported_in,
    methods_in,
    written_in,
)

Looking = (
    Guard | Absent | Bare | Environment | Everything | Handling | Imported | Looked | Methods | Registered | Weakly
    | Written
)  # fmt: skip


def gathered(snapshot: Snapshot, roots: Sequence[Any], trace: Trace, reached: Iterable[Guard]) -> list[Looking]:
    """What guards the code that ran, what it looked up elsewhere, and what it asked.

    reached   the guards of the places the call can reach from roots
    """
    codes, watch = trace.codes, trace.watch
    found: list[Looking] = [*absent_in(codes.values()), *environment_of(watch)]
    found += [*written_in(snapshot, codes), *registered_in(watch.compared), *imported_in(codes.values())]
    guards = list(reached)
    values = [value for guard in guards for value in guard.contents.values() if is_a(value, type)]
    found += methods_in([*values, *[guard.holder.owner for guard in guards]], codes.values())
    found += everything_in(snapshot, roots, trace)
    return [*found, *looked_in(watch.libraries.values(), trace.mentioned)]
