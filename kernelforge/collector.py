"""Python's collector of cyclic garbage, paused where much is made that stays.

Comes in: nothing.  Goes out: a context.  The collector looks at all there is whenever a quarter more of
it has been made, so it takes a third of the time to plan a large graph, and finds nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """A context in which nothing is collected; one in which somebody else has paused it as well stays so."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
