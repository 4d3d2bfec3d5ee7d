"""What a random program works on: arrays that are either tensors or NumPy's, and the functions it calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernelforge import Tensor, jit

Step = Callable[["State"], None]


@dataclass
class State:
    """What a program works on: named arrays, the functions it calls again and again, and what it has read."""

    lazy: bool
    captures: bool = False
    arrays: dict[str, Any] = field(default_factory=dict)
    functions: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    seen: list[Any] = field(default_factory=list)

    def array(self, values: list[float]) -> Any:
        array = np.array(values, np.float32)
        return Tensor(array) if self.lazy else array

    def called(self, key: Any, make: Callable[[State], Callable[..., Any]]) -> Callable[..., Any]:
        """A function made once and captured where the program is to be."""
        if key not in self.functions:
            self.functions[key] = jit(make(self), captures=200) if self.captures else make(self)
        return self.functions[key]

    def rand(self, n: int) -> Any:
        """Uniform numbers: the library's own, as an array where the program runs in NumPy."""
        return Tensor.rand(n) if self.lazy else Tensor.rand(n).numpy()

    def values(self) -> list[Any]:
        found = [x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (*self.arrays.values(), *self.seen)]
        return [x.astype(np.float32) for x in found]
