"""Which loads a CPU should be asked for before they are met.

Comes in: a kernel, its lane axis, the axis of its rows and the target's facts.  Goes out: loads and the axis along
which they are a step ahead.
"""

from __future__ import annotations

from collections import Counter

from codegen.access import loads_of, passes
from codegen.index import Atom, Axis
from codegen.ir import Kernel, Load
from codegen.schedule import Ahead
from codegen.target import Target

SHARE = 4  # of the larger cache: what is asked for must stay until it is read
LONG = 1 << 13  # bytes of a row that is looked up at most: of a longer one the processor foresees most by itself
LINES = 2  # vectors of a row at least: less is read before a request could help


def rows_again(kernel: Kernel, target: Target, lane: Axis, row: Axis, together: int) -> tuple[Ahead, ...]:
    """Rows that several cheap passes read from the cache: during the first, memory can bring the next row.  And rows
    that are scanned, if results are too large for any cache: what waits for the place before comes late to the next
    row.  So many rows are done together."""
    if target.name != "cpu":
        return ()
    large = any(store.param.nbytes >= target.l3 for store in kernel.stores)
    scanned = {e for scan in kernel.scans if large and scan.axis is lane for e in loads_of(scan.arg)}
    uses = Counter(e for root in passes(kernel) for e in dict.fromkeys(loads_of(root)))
    return tuple(
        Ahead(e, row)
        for e, count in uses.items()
        if (count > 1 or e in scanned)
        and e.index.stride(lane) == 1
        and e.index.stride(row)
        and together * lane.size * e.dtype.itemsize <= target.l2 // SHARE
    )


def places(kernel: Kernel, target: Target, lane: Axis, row: Axis) -> tuple[Ahead, ...]:
    """Rows, or elements of rows, at places that are looked up in arrays too large for the cache: no processor foresees
    these."""
    if target.name != "cpu":
        return ()
    large = (e for e in kernel.loads if e.param.nbytes > target.l2)
    return tuple(Ahead(e, row) for e in large if _is_looked_up(e, target, lane, row))


def _is_looked_up(e: Load, target: Target, lane: Axis, row: Axis) -> bool:
    """True when the next row tells where to read, or a window that moves with the rows and is no longer than they are
    does."""
    looked = [(atom, k) for atom, k in e.index.terms if isinstance(atom, Atom)]
    if len(looked) != 1:
        return False
    ((atom, factor),) = looked
    if atom.kind != "dynamic":
        return False
    if lane not in atom.axes:
        is_short = lane.size * e.dtype.itemsize <= LONG
        return is_short and row in atom.axes and e.index.coefficient(lane) == 1 and lane.size >= LINES * target.lanes
    fits = atom.by <= lane.size and atom.by * e.dtype.itemsize <= target.l2 // SHARE
    return fits and factor == 1 and e.index.coefficient(row) != 0 and e.index.coefficient(lane) == 0
