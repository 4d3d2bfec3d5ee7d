"""Gradients that wait: whoever reads one, or what it was computed from, has all of them computed together.

Comes in: the gradients of a backward pass.  Goes out: entries of `pending`.  Read one after the other, as for the norm
of each, every one would be computed from the beginning.  A step of an optimiser takes them as they are: what nobody
read need not be stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakValueDictionary

from kernelforge.members import entries
from kernelforge.tensor.core import Core
from kernelforge.tensor.registry import pending

_promised: Final[WeakValueDictionary[int, Core]] = WeakValueDictionary()


def promise(gradients: Iterable[Core | None]) -> None:
    """Has gradients wait to be computed with the first that shares work with them."""
    for tensor in gradients:
        if tensor is not None and tensor._stored is None:
            pending[id(tensor)] = _promised[id(tensor)] = tensor


def compute_promised() -> None:
    """Has the gradients that wait computed."""
    waiting: list[Any] = [tensor for _, tensor in entries(_promised) if tensor._stored is None]
    for device in dict.fromkeys([tensor.device for tensor in waiting]):
        first, *others = [tensor for tensor in waiting if tensor.device == device]
        first.realize(*others)


def take_promised() -> None:
    """Has those gradients wait no more that nobody has read."""
    for identity, _ in entries(_promised):
        pending.pop(identity, None)
    _promised.clear()
