"""Modules around others that torch has for its own purposes.

Comes in: modules.  Goes out: modules that do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernelforge.nn.module import Module


class DataParallel(Module):
    """The module itself, on one device: what torch's does where there is one."""

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        self.module, self.dim = module, dim

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's output."""
        return self.module(*args, **kwargs)


class Container(Module):
    """Modules by name."""

    def __init__(self, **kwargs: Module) -> None:
        for name, module in kwargs.items():
            self.add_module(name, module)
