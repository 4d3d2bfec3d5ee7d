"""Kernels that are called again and again, each time for new results: as little beside the calls as can be.

Comes in: kernels known to be short that can be called, and where their arguments lie.  Goes out: a function from the
buffers they read to the memory they have written, or to None where launches have to do it: while another one is
running, and for buffers that have no memory yet.

No lock is taken: arguments are packed anew for each call, and what is running is looked at once the results have their
memory, so that nothing running can still use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from kernelforge.buffer import Buffer
from kernelforge.kernels.opencl_build import Compiled
from kernelforge.kernels.opencl_queues import Queues
from kernelforge.kernels.pool import Pool

Called = Callable[[Sequence[Buffer]], Any]
"""From buffers to the memory of the one result, a list of several, or None."""

Place = tuple[int, int]
"""Which memory, and where in it: buffers are counted first, then what is taken anew."""

_TEXT = """
def called(leaves):
    {takes}
    try:
        {addresses}
    except AttributeError:
        return None
    if queues.launched > queues.finished or {long}:
        return None
    {calls}
    return {results}
"""


def single(
    pool: Pool,
    queues: Queues,
    launches: Sequence[tuple[Compiled, Sequence[Place]]],
    sizes: Sequence[int],
    leaves: int,
    results: int,
) -> Called:
    """A function that calls kernels, spelled out for their arguments: a loop over them would take as long as the rest.

    launches  each kernel, with the places of its arguments
    sizes     of the memory taken anew, in bytes: results, and what only the kernels use
    leaves    how many buffers there are, and results: how many results
    """
    if any(executable.direct is None for executable, _ in launches):
        return lambda leaves: None
    names: dict[str, Any] = {"queues": queues}
    names |= {f"take{i}": pool.taker(nbytes) for i, nbytes in enumerate(sizes)}
    names |= {f"kernel{i}": executable for i, (executable, _) in enumerate(launches)}
    calls: list[str] = []
    for i, (executable, places) in enumerate(launches):
        direct = executable.direct
        assert direct is not None
        names |= {f"call{i}": direct.call, f"pack{len(places)}": Struct(f"{len(places)}Q").pack}
        arguments = ", ".join(f"at{number}" + (f" + {offset}" if offset else "") for number, offset in places)
        packed = f"pack{len(places)}({arguments})"
        if len(direct.groups) > 1:
            calls.append(f"packed = {packed}")
            packed = "packed"
        calls += [f"call{i}({packed}, {group}, None)" for group in direct.groups]
    used = sorted({number for _, places in launches for number, _ in places if number < leaves})
    addresses = [f"at{number} = leaves[{number}].memory.block.address" for number in used]
    addresses += [f"at{leaves + i} = new{i}.block.address" for i in range(len(sizes))]
    found = ", ".join(f"new{i}" for i in range(results))
    text = _TEXT.format(
        takes="\n    ".join(f"new{i} = take{i}()" for i in range(len(sizes))),
        addresses="\n        ".join(addresses),
        long=" or ".join(f"kernel{i}.direct is None" for i in range(len(launches))),
        calls="\n    ".join(calls),
        results=found if results == 1 else f"[{found}]",
    )
    exec(text, names)
    called: Called = names["called"]
    return called
