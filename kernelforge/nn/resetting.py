"""Layers whose parameters can be given new initial values.

Comes in: nothing.  Goes out: `Uniform`, the base of layers whose parameters are all uniform within one bound.
"""

from __future__ import annotations

from kernelforge.nn.init import uniform_
from kernelforge.nn.module import Module


class Uniform(Module):
    """A layer whose parameters are uniform within a bound that its sizes tell."""

    def _bound(self) -> float:
        """How large a parameter may be at first."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Give each parameter new random values, as those it was made with."""
        bound = self._bound()
        for _, parameter in self._own(True):
            uniform_(parameter, -bound, bound)
