"""Options of optimisers: constants of a step's graph, or tensors once they change.

Comes in: the dicts of parameter groups.  Goes out: the same options with numbers that a step can use; the learning
rate, and whatever was changed between steps, is a tensor, so that changing it needs no new plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from kernelforge.errors import ArgumentError
from kernelforge.tensor import Tensor

Number = float | Tensor
Options = dict[str, Any]
Required: Final = object()


def stored(shape: tuple[int, ...], value: float, device: str | None = None) -> Tensor:
    """A float32 tensor in memory of its own, whose value the graph does not show."""
    return Tensor(np.full(shape, value, np.float32), device=device, requires_grad=False)


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


class Numbers:
    """The numbers among the options of all groups, by group and name: their last values, and their tensors."""

    def __init__(self) -> None:
        self.last: dict[tuple[Any, ...], float] = {}
        self.tensors: dict[tuple[Any, ...], Tensor] = {}

    def tensor(self, group: int, name: str, value: Number, device: str | None) -> Tensor:
        """A number's tensor."""
        if isinstance(value, Tensor):
            return value
        key = (group, name)
        if key not in self.tensors:
            self.tensors[key] = stored((), value, device)
        elif self.last[key] != value:
            self.tensors[key].replace(stored((), value, device))
        self.last[key] = value
        return self.tensors[key]

    def options(self, number: int, group: Mapping[str, Any], device: str | None) -> Options:
        """A group's options; a tuple's items one by one under (name, place)."""
        found: Options = {}
        for name, value in group.items():
            if name == "lr":
                found[name] = self.tensor(number, name, value, device)
            elif isinstance(value, tuple | list) and name not in ("params", "param_names"):
                for place, item in enumerate(value):
                    found[f"{name}_{place}"] = self._number((number, name, place), item, device)
            elif name not in ("params", "param_names"):
                found[name] = self._number((number, name), value, device)
        return found

    def _number(self, key: tuple[Any, ...], value: Any, device: str | None) -> Any:
        """A value, or its tensor if it is a float that was another before."""
        if not isinstance(value, float):
            return value
        known = self.last.get(key, value)
        self.last[key] = value
        if known != value:
            if key in self.tensors:
                self.tensors[key].replace(stored((), value, device))
            else:
                self.tensors[key] = stored((), value, device)
        return self.tensors.get(key, value)
