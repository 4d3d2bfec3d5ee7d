"""Functions and their captured twins: called with the same arguments they give the same, which is compared."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelforge import Tensor, jit


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def values(x: Any) -> Any:
    """A result with arrays for tensors."""
    if isinstance(x, Tensor):
        return x.numpy().tolist(), str(x.dtype)
    if isinstance(x, dict):
        return {key: values(item) for key, item in x.items()}
    if isinstance(x, list | tuple):
        return [values(item) for item in x]
    return values(vars(x)) if hasattr(x, "__dict__") else x


def agrees(make: Callable[[], Callable[..., Any]], calls: list[tuple[Any, ...]], captures: int | None = None) -> None:
    """A function and its captured twin, made anew, give equal results for every call."""
    plain, inner = make(), make()
    captured = jit(inner)
    for args in calls:
        assert values(captured(*args)) == values(plain(*args))
    if captures is not None:
        assert len(captured._entries) == captures
