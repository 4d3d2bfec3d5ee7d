"""How much work a call is, counted so that a test may compare it: durations depend on the machine and its company."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def effort(call: Callable[[], object]) -> int:
    """The number of functions (of Python and of C) that a call runs into, in this thread.

    >>> effort(lambda: [len("ab") for _ in range(100)]) >= 100
    True
    """
    count = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return count
