"""Random numbers whose distribution differs from element to element: Poisson's, the binomial and the gamma one.

Comes in: tensors of parameters.  Goes out: tensors of random numbers of the same shape.  Small counts are found by
adding up their probabilities; all else is drawn by rejection, a fixed number of times, of which the first accepted one
counts.  They are computed in float64 by functions that give the same on every device, and so does a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Self

from codegen.dtypes import dtypes
from kernelforge.errors import DTypeError
from kernelforge.tensor.gammas import Gammas
from kernelforge.tensor.generators import Generator, drawing

_FEW: Final = 10.0  # means below which probabilities are added up
_TERMS: Final = 56  # probabilities that are added up: those beyond come to less than 1e-20
_TRIES: Final = 24  # each accepted with a probability above 0.75


class Drawing(Gammas):
    """Random numbers of given parameters."""

    __slots__ = ()

    @drawing
    def poisson(self, generator: Generator | None = None) -> Self:
        """Random numbers of Poisson's distribution, with this tensor's elements as means, in its dtype.

        >>> Tensor.zeros(2).poisson().tolist()
        [0.0, 0.0]

        raises DTypeError
        """
        mean = self._parameters("poisson")
        few = mean < _FEW
        small = few.where(mean, 1.0)
        counted = small._counted((-small)._exp_alike(), lambda k: small / k)
        drawn = few.where(_FEW, mean)._poisson_by_rejection()
        return (mean >= 0).where(few.where(counted, drawn), math.nan).cast(self.dtype)

    def _poisson_by_rejection(self) -> Self:
        """Numbers for means from 10 on.

        source  Hoermann, "The transformed rejection method for generating Poisson random variables", 1993, PTRS
        """
        b = 0.931 + 2.53 * self.sqrt()
        a = -0.059 + 0.02483 * b
        scale = 1.1239 + 1.1328 / (b - 3.4)
        turn, height = self._tries(), self._tries()
        near = 0.5 - turn.abs()
        k = ((2 * a / near + b) * turn + self + 0.43).floor()
        limit = k * self._log_alike() - self - k.maximum(0)._log_of_factorial()
        bound = (height + 0.5)._log_alike() + (scale / (a / near.square() + b))._log_alike()
        fits = (k >= 0) & (bound <= limit)
        return k._first_where(fits, self.floor())

    @drawing
    def binomial(self, prob: Self, generator: Generator | None = None) -> Self:
        """The number of successes in as many tries as this tensor's elements say, each with a probability of prob.

        >>> Tensor([3.0, 5.0]).binomial(Tensor([0.0, 1.0])).tolist()
        [0.0, 5.0]

        raises DTypeError
        """
        count, chance = self._parameters("binomial")._both(prob._parameters("binomial"))
        flipped = chance > 0.5
        p = flipped.where(1 - chance, chance)
        mean = count * p
        few = mean < _FEW
        n, q = few.where(count, 1.0), few.where(p, 0.0)
        odds = q / (1 - q)
        none = (n * (-q)._log1p_alike())._exp_alike()
        counted = n._counted(none, lambda k: (n - (k - 1)) / k * odds).minimum(n)
        drawn = few.where(4 * _FEW, count)._binomial_by_rejection(few.where(0.5, p))
        found = few.where(counted, drawn)
        valid = (count >= 0) & (chance >= 0) & (chance <= 1)
        return valid.where(flipped.where(count - found, found), math.nan).cast(self.dtype)

    def _binomial_by_rejection(self, p: Self) -> Self:
        """Numbers for means from 10 on and probabilities up to 1/2.

        source  Hoermann, "The generation of binomial random variates", 1993, BTRS
        """
        deviation = (self * p * (1 - p)).sqrt()
        b = 1.15 + 2.53 * deviation
        a = -0.0873 + 0.0248 * b + 0.01 * p
        scale = (2.83 + 5.1 / b) * deviation
        turn, height = self._tries(), self._tries()
        near = 0.5 - turn.abs()
        k = ((2 * a / near + b) * turn + self * p + 0.5).floor()
        middle, inside = ((self + 1) * p).floor(), (k >= 0) & (k <= self)
        x = inside.where(k, 0)
        ratio = (p / (1 - p))._log_alike() * (x - middle)
        limit = ratio + middle._ways(self) - x._ways(self)
        bound = (scale * (height + 0.5) / (a / near.square() + b))._log_alike()
        return k._first_where(inside & (bound <= limit), middle)

    def _ways(self, count: Self) -> Self:
        """log(k! (n - k)!) of k = self and n = count."""
        return self._log_of_factorial() + (count - self)._log_of_factorial()

    @drawing
    def standard_gamma(self, generator: Generator | None = None) -> Self:
        """Random numbers of the gamma distribution of scale 1, with this tensor's elements as shapes, in its dtype.

        >>> bool((Tensor([0.1, 5.0]).standard_gamma() > 0).all().item())
        True

        source  Marsaglia and Tsang, "A simple method for generating gamma variables", 2000
        raises DTypeError
        """
        shape = self._parameters("standard_gamma")
        small = shape < 1
        d = small.where(shape + 1, shape) - 1 / 3
        step = type(self).randn((_TRIES, *self.shape), dtype=dtypes.float64, device=self._node.device)
        base = 1 + step / (9 * d).sqrt()
        positive = base > 0
        base = positive.where(base, 1)
        cube = base * base * base
        limit = step.square() * 0.5 + d - d * cube + d * cube._log_alike()
        fits = positive & ((self._tries() + 0.5)._log_alike() <= limit)
        found = d * cube._first_where(fits, d * 0 + 1)
        power = (self._uniformly()._log_alike() / small.where(shape, 1))._exp_alike()
        return (shape > 0).where(small.where(found * power, found), math.nan).cast(self.dtype)

    # Parts ------------------------------------------------------------------------------------------------------

    def _parameters(self, what: str) -> Self:
        if not self.dtype.is_float:
            raise DTypeError(f"{what}() takes floats, got {self.dtype}; use .float()")
        return self.detach().double()

    def _uniformly(self, *tries: int) -> Self:
        """Uniform numbers above 0 and up to 1, one for each element, or several along new dimensions in front."""
        drawn = type(self).rand((*tries, *self.shape), dtype=dtypes.float64, device=self._node.device)
        return 1 - drawn

    def _tries(self) -> Self:
        """Uniform numbers above -1/2 and up to 1/2, many for each element."""
        return self._uniformly(_TRIES) - 0.5

    def _counted(self, first: Self, ratio: Callable[[int], Self]) -> Self:
        """How many of the sums of the first probabilities a uniform number exceeds.

        first   the probability of 0
        ratio   of k: by what the probability of k is that of k - 1
        """
        limit = self._uniformly()
        term = total = first
        count = (limit > total).double()
        for k in range(1, _TERMS):
            term = term * ratio(k)
            total = total + term
            count = count + (limit > total)
        return count

    def _first_where(self, fits: Self, otherwise: Self) -> Self:
        """The first of each element's tries that fits."""
        at = fits.int().argmax(0)
        return fits.any(0).where(self.gather(0, at.unsqueeze(0)).squeeze(0), otherwise)
