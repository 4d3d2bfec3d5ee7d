"""Places drawn at random, with given probabilities.

Comes in: tensors of weights.  Goes out: tensors of indices.
"""

from __future__ import annotations

import math
from typing import Self

from codegen.dtypes import dtypes
from kernelforge.checked import CHANCES
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.generators import Generator, drawing
from kernelforge.tensor.sorting import Sorting


class Sampling(Sorting):
    """Operations that draw indices."""

    __slots__ = ()

    @drawing
    def multinomial(
        self, num_samples: int = 1, replacement: bool = False, *, generator: Generator | None = None
    ) -> Self:
        """int32 indices drawn with probabilities proportional to this vector, or to each row of this matrix.

        replacement   False: each index at most once, by the largest of log(u) / weight; weights of 0 come last

        raises ShapeError, ValueError for more samples without replacement than there are weights, and when the
        values are next synchronised, if weights are negative, infinite or NaN, or none is positive
        """
        if not 1 <= self.ndim <= 2:
            raise ShapeError(f"multinomial() takes a vector or a matrix of weights, got {self.shape}")
        if num_samples < 1:
            raise ArgumentError(f"multinomial() draws at least 1 sample, not {num_samples}")
        once = not replacement and num_samples > 1
        if once and num_samples > self.shape[-1]:
            raise ArgumentError(
                f"multinomial() of {self.shape[-1]} weights has no {num_samples} samples without replacement"
            )
        return self._sampled(type(self)._state(self._node.device), num_samples, once)

    @composite
    def _sampled(self, state: Self, count: int, once: bool) -> Self:
        """multinomial() of a call's key and counter."""
        rows = self.detach()._wide().reshape(-1, self.shape[-1])
        if once:
            return self._sound(rows, self._sample_once(rows, state, count)).reshape(*self.shape[:-1], count)
        limits = rows.cumsum(1)
        total = limits._between(1, self.shape[-1] - 1, self.shape[-1])
        draws = state._uniform((rows.shape[0], count), dtypes.default_float, True) * total
        places = (limits.unsqueeze(1) <= draws.unsqueeze(2)).sum(2, dtype=dtypes.int32).minimum(self.shape[-1] - 1)
        return self._sound(rows, places).reshape(*self.shape[:-1], count)

    def _sound(self, rows: Self, places: Self) -> Self:
        """Places of weights; to compute them is an error where a row has no weights."""
        total = rows.sum(1, keepdim=True)
        sound = (rows >= 0).all(1, keepdim=True) & (total > 0) & (total < math.inf)
        return places._where_allowed(sound.expand(places.shape), CHANCES)

    def _sample_once(self, rows: Self, state: Self, count: int) -> Self:
        """int32 indices of each row, none twice.

        source  Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006
        """
        draws = 1 - state._uniform(rows.shape, dtypes.default_float, False)
        return (rows > 0).where(draws._log_alike()._quotient_alike(rows), -math.inf).topk(count)[1].cast(dtypes.int32)
