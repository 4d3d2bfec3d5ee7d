"""A kernel that is called again and again, each time for a new result: as little beside the call as can be.

Comes in: a kernel known to be short that can be called, and what its arguments are.  Goes out: a function from the
buffers it reads to the memory it has written, or to None where a launch has to do it: while another one is running, and
for buffers that have no memory yet.

No lock is taken: arguments are packed anew for each call, and what is running is looked at once the result has its
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
from kernelforge.kernels.runtime import Memory

Single = Callable[[Sequence[Buffer]], Memory | None]
_TEXT = """
def called(leaves):
    memory = take()
    try:
        arguments = pack({addresses})
    except AttributeError:
        return None
    if queues.launched > queues.finished or executable.direct is None:
        return None
    {calls}
    return memory
"""


def single(pool: Pool, queues: Queues, executable: Compiled, places: Sequence[int], nbytes: int) -> Single:
    """A function that calls a kernel, spelled out for its arguments: a loop over them would take as long as the rest.

    places  for each parameter the place among the buffers read; what is written, of nbytes, comes after them
    """
    direct, written = executable.direct, max(places)
    if direct is None:
        return lambda leaves: None
    addresses = [("memory" if x == written else f"leaves[{x}].memory") + ".block.address" for x in places]
    calls = [f"call(arguments, {group}, None)" for group in direct.groups]
    names: dict[str, Any] = {"call": direct.call, "executable": executable, "queues": queues}
    names |= {"pack": Struct(f"{len(places)}Q").pack, "take": pool.taker(nbytes)}
    exec(_TEXT.format(addresses=", ".join(addresses), calls="; ".join(calls)), names)
    called: Single = names["called"]
    return called
