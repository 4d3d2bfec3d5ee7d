"""Modules that are a function with arguments, and nothing more.

Comes in: a function of nn.functional and its arguments.  Goes out: a module that keeps the arguments as attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from kernelforge.nn.module import Module


class FunctionModule(Module):
    """A module that calls `function` with its input and what `_keep` was given.

    named      whether repr() says the names of the arguments
    trains     whether the function takes `training`
    """

    function: ClassVar[Callable[..., Any]]
    named: ClassVar[bool] = True
    trains: ClassVar[bool] = False
    _arguments: tuple[str, ...] = ()

    def _keep(self, **arguments: Any) -> None:
        """Keep the function's further arguments."""
        self._arguments = tuple(arguments)
        vars(self).update(arguments)

    def forward(self, *inputs: Any) -> Any:
        """What the function gives."""
        attributes = vars(self)
        given = {name: attributes[name] for name in self._arguments}
        return type(self).function(*inputs, **given, **({"training": self.training} if self.trains else {}))

    def extra_repr(self) -> str:
        """The arguments."""
        shown = [(name, getattr(self, name)) for name in self._arguments]
        shown = [(name, value) for name, value in shown if name != "inplace" or value]
        names = [f"{name}=" if self.named or name == "inplace" else "" for name, _ in shown]
        return ", ".join(f"{name}{value!r}" for name, (_, value) in zip(names, shown))
