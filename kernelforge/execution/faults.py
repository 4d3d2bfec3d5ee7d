"""Indices out of range, found by running kernels and reported when the host next waits for a device.

Comes in: the fault flags of launches.  Goes out: an IndexError with the user's line.  Between launch and report nothing
waits; a kernel reads 0 and writes nowhere where an index is out of range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np

from kernelforge.checked import CHECKED, RULES
from kernelforge.errors import ArgumentError, PlaceError
from kernelforge.graph import Line, Node, user_line
from kernelforge.kernels import Device
from kernelforge.kernels.runtime import reports
from kernelforge.native import compiled
from kernelforge.planning.steps import Check, HostCall, Launch, Plan

Located = TypeVar("Located", Check, HostCall)


class Fault:
    """The flags of one kernel: an int32 array on a device.

    checks  for each flag: the index must be in 0 <= index < size, and the user's line of the operation
    """

    __slots__ = ("_clear", "_seen", "checks", "device", "flags", "memory")

    def __init__(self, device: str, checks: Sequence[Check]) -> None:
        self.device, self.checks = device, tuple(checks)
        self.memory: Any = Device[device].allocate(4 * len(self.checks))
        self.flags = np.zeros(len(self.checks), np.int32)
        host = getattr(self.memory, "host", None)
        self._seen = None if host is None else host[: self.flags.nbytes]
        self._clear = self.flags.tobytes()
        self.clear()

    def clear(self) -> None:
        Device[self.device].copy_in(self.memory, np.zeros(len(self.checks), np.int32))

    @property
    def may_be_set(self) -> bool:
        """False where no kernel that is done has set a flag, as far as the host sees without waiting."""
        return self._seen is None or bool(self._seen.tobytes() != self._clear)

    def found(self) -> Check | None:
        """What went wrong, or None; waits for the device, and clears the flags."""
        Device[self.device].copy_out(self.memory, self.flags)
        if not self.flags.any():
            return None
        self.clear()
        return self.checks[int(np.flatnonzero(self.flags)[0])]


Told = tuple[Line | None, ...]
LATE: Final = (PlaceError, ArgumentError)  # what `raise_pending` raises
_pending: Final[dict[int, tuple[Fault, Told]]] = {}
if compiled is not None:
    compiled.heed_faults(_pending)


def locate(plan: Plan, nodes: Sequence[Node]) -> None:
    """Notes which nodes of a structure may turn out to be errors: those of the line, what looks up first of all."""
    if not any(isinstance(step, HostCall) or (isinstance(step, Launch) and step.checks) for step in plan.steps):
        return
    places: dict[Line, int] = {}
    for place, node in enumerate(nodes):
        if node.src and (node.op in CHECKED or node.line not in places) and node.line is not None:
            places[node.line] = place
    guilty: list[int] = []

    def numbered(thing: Located) -> Located:
        if thing.line not in places:
            return thing
        guilty.append(places[thing.line])
        return replace(thing, number=len(guilty) - 1)

    for i, step in enumerate(plan.steps):
        if isinstance(step, Launch):
            step.checks = tuple(map(numbered, step.checks))
        elif isinstance(step, HostCall):
            plan.steps[i] = numbered(step)
    plan.guilty = tuple(guilty)


def tell(plan: Plan, nodes: Sequence[Node]) -> None:
    """Tells a plan, before it runs, the lines of the graph it runs for.

    raises IndexError, once the device is done, for an earlier run from other lines
    """
    if plan.guilty:
        retell(plan, tuple([nodes[place].line for place in plan.guilty]))


def retell(plan: Plan, told: Told) -> None:
    """Tells a plan lines that are known; see `tell`."""
    if told != plan.told:
        if any(id(fault) in _pending for fault in plan.faults.values()):
            raise_pending()
        plan.told = told


def line_of(thing: Check | HostCall, told: Told) -> Line | None:
    """The user's line that made what turned out to be an error."""
    return told[thing.number] if 0 <= thing.number < len(told) else thing.line


def expect(fault: Fault, told: Told) -> None:
    """A kernel with these flags was launched, for nodes of these lines: look at them at the next synchronisation."""
    _pending[id(fault)] = fault, told


def look(plan: Plan) -> None:
    """A plan's kernels are done: expects those of its flags that are set."""
    for flag in plan.flags:
        fault = plan.faults[flag]
        if fault.may_be_set:
            expect(fault, plan.told)


def blame(plan: Plan) -> Callable[[tuple[Node, ...]], None]:
    """What is done when a plan's kernels are done, and the nodes that may be guilty of a flag they set are given.

    No flag was set before, and nothing else ran: what is expected of an earlier run is nothing any more.
    """

    def found(nodes: tuple[Node, ...]) -> None:
        plan.told = tuple([node.line for node in nodes])
        look(plan)

    return found


def raise_pending() -> None:
    """raises IndexError if a kernel launched since the last call found an index out of range, ValueError for a rule"""
    if not _pending:
        return
    launched = list(_pending.values())
    _pending.clear()
    failed = [(check, told) for fault, told in launched if (check := fault.found()) is not None]
    if not failed:
        return
    check, told = failed[0]
    with user_line(line_of(check, told)):
        if check.what in RULES.values():
            raise ArgumentError(check.what)
        raise PlaceError(
            f"index out of range: {check.what} found an index that is not in 0 <= index < {check.size} "
            "(negative ones count from the end); check the values of the index tensor"
        )


reports.append(raise_pending)
