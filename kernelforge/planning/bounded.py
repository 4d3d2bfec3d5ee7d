"""What is kept of plans while the kernels they hold are few enough.

Comes in: a dictionary of what holds kernels, whenever one is added.  Goes out: what is to be let go of, that which was
used longest ago.  A driver takes half a MiB for a kernel, so a process that meets ever new graphs must forget old ones;
one that comes back to what it has let go of needs more, and gets it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Protocol, TypeVar

LEAST: Final = 512  # kernels that may be held, until more turn out to be needed
ROOM: Final = 8  # the part of these that is let go of at a time: to look for what is not used takes a while
MOST_GONE: Final = 4096  # of those let go of it is known when they come back


class Holder(Protocol):
    """Something that holds kernels.

    kernels  how many
    seen     how often it had been used when that was looked at last; 1 at first, for it is made to be used
    """

    kernels: int
    seen: int

    @property
    def uses(self) -> int:
        """How often it was used."""


K = TypeVar("K", bound=Hashable)
H = TypeVar("H", bound=Holder)


class Bound:
    """How many kernels may be held in one dictionary, and what was let go of lately.

    Several threads may use it, without a lock, for one could be held where the process is copied.
    """

    def __init__(self, least: int = LEAST) -> None:
        self.most = least
        self._held = 0  # at least so many as there are
        self._gone: OrderedDict[int, None] = OrderedDict()

    def added(self, held: dict[K, H], key: K, kernels: int) -> list[H]:
        """Notes that so many kernels were added to what is held under a key: what was let go of in exchange.

        What was used again since it was looked at last goes after all others; what was just added stays in any case.
        """
        if self._gone.pop(hash(key), self) is None:
            self.most += kernels
        self._held += kernels
        if self._held <= self.most:
            return []
        self._held = sum(holder.kernels for holder in list(held.values()))
        if self._held <= self.most:
            return []
        gone: list[H] = []
        for other in [*held, *held]:  # in the second round nothing has been used since
            if self._held <= self.most - self.most // ROOM:
                break
            holder = held.get(other)
            if holder is None or not holder.kernels or other == key:
                continue
            if holder.uses <= holder.seen:
                self._let_go(held, other, gone)
            else:
                holder.seen = holder.uses
                held[other] = held.pop(other, holder)
        return gone

    def _let_go(self, held: dict[K, H], key: K, gone: list[H]) -> None:
        holder = held.pop(key, None)
        if holder is None:  # another thread was faster
            return
        gone.append(holder)
        self._held -= holder.kernels
        self._gone[hash(key)] = None
        if len(self._gone) > MOST_GONE:
            self._gone.popitem(last=False)
