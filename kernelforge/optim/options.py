"""Options of optimisers: constants of a step's graph, or tensors once they change.

Comes in: the dicts of parameter groups.  Goes out: the same options with numbers that a step can use; the learning
rate, and whatever was changed between steps, is a tensor, so that changing it needs no new plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from kernelforge.errors import ArgumentError, JitError, KindError
from kernelforge.recording import recorder
from kernelforge.tensor import Tensor

Number = float | Tensor
Options = dict[str, Any]
Key = tuple[Any, ...]
Required: Final = object()
RATE: Final[Key] = ("lr",)
REMEDY: Final = "which would happen once and not again: do it outside, or use the tensor optimizer.lr"


def stored(shape: tuple[int, ...], value: float, device: str | None = None) -> Tensor:
    """A float32 tensor in memory of its own, whose value the graph does not show."""
    return Tensor(np.full(shape, value, np.float32), device=device, requires_grad=False)


def listed(given: Any) -> tuple[list[Tensor], list[str]]:
    """The tensors of a parameter group, each once, and their names where they come as pairs of both.

    raises ValueError, TypeError
    """
    if isinstance(given, set | frozenset):
        raise KindError("the parameters of an optimiser need an order, which a set does not have: give a list")
    items: list[Any] = [given] if isinstance(given, Tensor) else list(given)
    names = [item[0] for item in items if isinstance(item, tuple)]
    if names and len(names) < len(items):
        raise ArgumentError("all parameters of a group have names, or none of them has")
    tensors = [item[1] for item in items] if names else items
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise KindError(f"an optimiser changes tensors, but one of the parameters is {type(tensor).__name__}")
    return list({id(tensor): tensor for tensor in tensors}.values()), names


def check_not_negative(optimizer: object, **values: Any) -> None:
    """raises ValueError when a number is negative or NaN"""
    for name, value in values.items():
        if isinstance(value, int | float) and not value >= 0:
            raise ArgumentError(f"{type(optimizer).__name__} with {name}={value}: it must be at least 0")


def check_betas(optimizer: object, betas: Any) -> None:
    """raises ValueError when a decay rate is not from 0 to below 1"""
    if any(not isinstance(beta, Tensor) and not 0 <= beta < 1 for beta in betas):
        raise ArgumentError(f"{type(optimizer).__name__} with betas={tuple(betas)}: they are at least 0 and below 1")


def used(number: Number | None) -> bool:
    """False for the number 0; a tensor may become another."""
    return number is not None and (isinstance(number, Tensor) or number != 0)


def logarithm(number: Number) -> Number:
    """The natural logarithm."""
    return number.log() if isinstance(number, Tensor) else float(np.log(number))


class Group(dict[str, Any]):
    """A parameter group: options by name, as steps use them.

    The learning rate, and every number that became another, is a tensor for the steps, which follows whenever the
    option is set; so a captured step need not look at the number itself.
    """

    unguarded = ("_last",)  # attributes a captured step need not look at

    def __init__(self, options: Mapping[str, Any], device: str | None) -> None:
        super().__init__(options)
        self.device = device
        self._last: dict[Key, Any] = {}
        self._tensors: dict[Key, Tensor] = {}
        self.options()

    @property
    def followed(self) -> frozenset[str]:
        """The options that tensors follow: entries a captured step need not look at."""
        return frozenset(name for name, *_ in self.__dict__.get("_tensors", ()))

    def __getitem__(self, name: str) -> Any:
        if recorder.get() is not None and name in self.followed:
            raise JitError(f"a captured function reads the number {name!r} of an optimiser's options, {REMEDY}")
        return super().__getitem__(name)

    def __setitem__(self, name: str, value: Any) -> None:
        followed = self.followed
        if recorder.get() is not None and name in followed:
            raise JitError(f"a captured function sets {name!r} of an optimiser's options, {REMEDY}")
        super().__setitem__(name, value)
        if name in followed:
            self.options()

    def update(self, *others: Any, **options: Any) -> None:
        """Set several options."""
        for name, value in dict(*others, **options).items():
            self[name] = value

    def options(self) -> Options:
        """The options for a step; a tuple's items one by one under (name, place)."""
        found: Options = {}
        for name, value in self.items():
            if name in ("params", "param_names"):
                continue
            if isinstance(value, tuple | list):
                for place, item in enumerate(value):
                    found[f"{name}_{place}"] = self._number((name, place), item)
            else:
                found[name] = self._number((name,), value)
        return found

    def _number(self, key: Key, value: Any) -> Any:
        """A value, or its tensor if it is the learning rate or a float that was another before."""
        if not isinstance(value, float) and (key != RATE or isinstance(value, Tensor)):
            return value
        known = self._last.get(key, value)
        self._last[key] = value
        if key not in self._tensors:
            if key == RATE or known != value:
                self._tensors[key] = stored((), value, self.device)
        elif known != value:
            self._tensors[key].replace(stored((), value, self.device))
        return self._tensors.get(key, value)
