"""Dropout of every kind as modules: active while they are training.

Comes in: a probability.  Goes out: modules.
"""

from __future__ import annotations

from kernelforge.errors import ArgumentError
from kernelforge.nn import functional as F
from kernelforge.nn.function import FunctionModule


class _Dropout(FunctionModule):
    """What dropout modules share."""

    p: float
    inplace: bool

    trains = True

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"dropout probability has to be between 0 and 1, but got {p}")
        self._keep(p=p, inplace=inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Dropout of elements."""

    function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """Dropout of channels of [N, C, L] or [C, L]."""

    function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """Dropout of channels of [N, C, H, W]."""

    function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """Dropout of channels of [N, C, D, H, W] or [C, D, H, W]."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout of elements, keeping mean 0 and variance 1."""

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """Dropout of channels, keeping mean 0 and variance 1."""

    function = staticmethod(F.feature_alpha_dropout)
