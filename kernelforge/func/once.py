"""Functions recorded once for all the rounds of a loop.

Comes in: a context in which they are called.  Goes out: an error where a function does what is another thing in each
round, such as to ask for a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from numpy.typing import NDArray

from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.func.derivatives import Motion, moving
from kernelforge.recording import recorder


class Refused(RuntimeError):
    """A function that cannot be recorded once for all rounds."""


class Recording:
    """A recorder that tells what a function of a loop cannot do; of: which loop."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._before = set(map(id, graph.alive()))

    def changing(self, tensor: Any, by: Any = None) -> None:
        """Tensors made inside may change."""
        if id(tensor._node) in self._before and tensor._node.device is not None and tensor._node.op != "input":
            self.refuse("changes a tensor from outside: carry it as an operand")

    def drawn(self, buffer: Buffer, draw: Callable[[], NDArray]) -> None:
        self.refuse("draws random numbers, which would be the same in every round: carry what they follow from")

    def acted(self, act: Callable[[], object]) -> None:
        self.refuse("does what cannot be done on the device, such as to set a seed")

    def value(self, tensor: Any) -> NDArray:
        self.refuse("asks for the value of a tensor, which is another one in every round: use where() and its like")

    def differentiating(self) -> None:
        self.refuse("calls backward(), which adds to tensors outside: use func.grad()")

    def shared(self, array: NDArray) -> None:
        pass

    def asked(self) -> None:
        pass

    def refuse(self, what: str) -> NoReturn:
        raise Refused(f"a function of {self._of} {what}")


@contextmanager
def moved_by(motion: Motion | None) -> Iterator[None]:
    """A context in which tangents are carried beside values, or are not, where motion is None."""
    token = moving.set(motion)
    try:
        yield
    finally:
        moving.reset(token)


@contextmanager
def recording(of: str) -> Iterator[None]:
    """A context in which functions are recorded, once for all rounds.

    raises Refused where a function does what would have to be done in each round
    """
    token = recorder.set(Recording(of))
    try:
        with moved_by(None):
            yield
    finally:
        recorder.reset(token)
