"""Where in the user's program tensors are made.

Comes in: frames of Python.  Goes out: the line of the innermost one outside this package, noted of a node or told.
"""

from __future__ import annotations

from sys import _getframe
from types import FrameType

from kernelforge import graph
from kernelforge.blame import is_own
from kernelforge.graph import Node


def calling_line() -> graph.Line | None:
    """File and line of the innermost frame outside this package: the user's call."""
    frame: FrameType | None = _getframe(2)  # who calls this is not outside
    while frame is not None and is_own[frame.f_code.co_filename]:
        frame = frame.f_back
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def put_down(node: Node, frame: FrameType) -> None:
    """Makes a frame, or the next outside this package, the place where a node was made, with what it was made from."""
    while is_own[(code := frame.f_code).co_filename]:
        if frame.f_back is None:
            return
        frame = frame.f_back
    node.place = place = (code, frame.f_lasti)
    while node.src and (node := node.src[0]).place is None:
        node.place = place
