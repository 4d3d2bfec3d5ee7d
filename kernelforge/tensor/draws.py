"""What random tensors draw: the words of generators, as leaves of graphs.

Comes in: generators.  Goes out: nodes of a call's key and counter; other words whenever a recorded function runs again,
and the same where what drew them runs a second time for its gradients.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node
from kernelforge.kernels import Device
from kernelforge.native import compiled
from kernelforge.recording import recorder
from kernelforge.tensor.generators import Generator, current


def drawn_buffer(draw: Callable[[], NDArray], dtype: DType, device: str) -> Buffer:
    """A buffer of what draw() gives; other numbers whenever a recorded function runs again.

    raises the error of whoever records a function that may draw none: then none were drawn
    """
    active, generator = recorder.get(), current()
    if active is None:
        return _buffer(draw(), dtype, device)
    before = generator.reached()
    buffer = _buffer(draw(), dtype, device)
    try:
        active.drawn(buffer, draw)
    except RuntimeError:
        generator.go_on(before)
        raise
    return buffer


def _buffer(values: NDArray, dtype: DType, device: str) -> Buffer:
    """A buffer of values that nobody else has."""
    if values.dtype == dtype.numpy and dtype.stored is dtype:
        return Buffer(values.size, dtype, device, values)
    return Buffer.from_numpy(values, dtype, device)


class _Shuffling(threading.local):
    """A generator of NumPy's for each thread, which begins anew with a key: to make one takes five times as long."""

    def __init__(self) -> None:
        self.bits = np.random.Philox(key=0)
        self.generator = np.random.Generator(self.bits)
        self.start: Any = self.bits.state

    def begun(self, key: NDArray) -> np.random.Generator:
        """The generator as one that was made with a key."""
        self.start["state"]["key"] = key
        self.bits.state = self.start
        return self.generator


_shuffling: Final = _Shuffling()


def permutation(n: int, dtype: DType, generator: Generator) -> NDArray:
    """The integers 0 .. n-1 in an order that a generator's next words tell."""
    order = _shuffling.begun(generator.words().view(np.uint64)).permutation(n)
    return order.astype(dtype.compute, copy=False)


class Draws:
    """What calls drew while a function ran, so that they draw the same when it runs again."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._again: Iterator[Node] | None = None

    @contextmanager
    def noted(self, again: bool = False) -> Iterator[None]:
        """A context in which calls are noted; again: in which they draw what those noted drew."""
        self._again = iter(self._nodes) if again else None
        outer = _draws.get()
        token = _draws.set((*outer, self))
        try:
            yield
        finally:
            _draws.reset(token)

    def found(self) -> Node | None:
        """While it runs again: what the next call drew, computed anew."""
        node = None if self._again is None else next(self._again, None)
        return None if node is None else graph.node_of("contiguous", (node,), None, node.shape, node.dtype)

    def note(self, node: Node) -> None:
        """Remembers what a call drew."""
        self._nodes.append(node)


_WORDS: Final = (4,)
_draws: Final[ContextVar[tuple[Draws, ...]]] = ContextVar("draws", default=())


def next_state(device: str | None) -> Node:
    """The key and the counter of a call, four uint32 words."""
    if compiled is not None and (node := compiled.usual_words(device)) is not None:
        return node
    return _noted(lambda: graph.buffer(drawn_buffer(current().words, dtypes.uint32, Device.canonicalize(device))))


def _noted(fresh: Callable[[], Node]) -> Node:
    """What a call draws, or drew when what runs again ran for the first time."""
    draws = _draws.get()
    for place in reversed(range(len(draws))):  # the innermost that runs again; those inside it note what it gives
        if (node := draws[place].found()) is not None:
            break
    else:
        place, node = -1, fresh()
    for inner in draws[place + 1 :]:
        inner.note(node)
    return node


if compiled is not None:
    compiled.set_drawn(
        Buffer, next_state, recorder.get, _draws.get, current, Device.canonicalize, _WORDS, dtypes.uint32
    )
