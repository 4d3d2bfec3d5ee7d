"""How much more memory is in use than when somebody last looked at what waits for it.

Comes in: bytes, of arrays given by the host and of blocks of devices that are taken or given back.  Goes out: `due`,
which holds something when it is time to look again.
"""

from __future__ import annotations

from typing import Final

from kernelforge.native import compiled

ROOM: Final = 64 << 20  # bytes more before the next look

due: Final[list[int]] = []
_grown: Final = [0]


def grew(nbytes: int) -> None:
    """So much more memory is in use; less where that is negative.

    What was given back since the last look, up to the room there is, may be taken again: a program that makes and
    drops the same large result over and over would be looked at each time.
    """
    grown = _grown[0] + nbytes
    if grown >= ROOM:
        due.append(grown)
        grown = 0
    _grown[0] = max(grown, -ROOM)


if compiled is not None:
    compiled.heed(due)  # a graph that is known is not computed by C alone then
