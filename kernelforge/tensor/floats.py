"""What floats are made of: sign, exponent and digits, and the floats next to them.

Comes in: float tensors.  Goes out: tensors.  Results follow from the bits, so they are exact.
"""

from __future__ import annotations

from typing import Final, Self

from codegen.dtypes import dtypes
from kernelforge.errors import DTypeError
from kernelforge.tensor.core import Operand
from kernelforge.tensor.hashing import Hashing
from kernelforge.tensor.results import Exponents

_BITS: Final = {16: dtypes.int16, 32: dtypes.int32, 64: dtypes.int64}
_DIGITS: Final = {dtypes.float16: 10, dtypes.bfloat16: 7, dtypes.float32: 23, dtypes.float64: 52}


class Floats(Hashing):
    """Operations on the parts of floats."""

    __slots__ = ()

    def nextafter(self, other: Operand) -> Self:
        """The next number of the type from each element towards other; other itself where both are equal.

        >>> Tensor([1.0]).nextafter(2.0).item() - 1
        1.1920928955078125e-07
        """
        a, b, tracked = self._operands(other, False)
        if a.dtype not in _DIGITS:
            raise DTypeError(f"nextafter() of {a.dtype}: only floats have neighbours")
        x, y = self._wrap(a, None), self._wrap(b, None)
        word = _BITS[x.dtype.bits]
        bits = x.bitcast(word)
        away = (y > x).eq(x > 0)  # from zero
        moved = away.where(bits + 1, bits - 1).bitcast(x.dtype)
        least = (y > x).where(x._constant(0).bitcast(word) + 1, x._constant(0).bitcast(word) + (1 + word.min))
        found = x.eq(0).where(least.bitcast(x.dtype), moved)
        found = x.eq(y).where(y, found)
        found = (x.isnan() | y.isnan()).where(float("nan"), found)
        if not tracked:
            return found
        return found._with_slope_of(x.eq(y).where(x.detach(), self._wrap(a, tracked)))

    def frexp(self) -> Exponents[Self]:
        """m and int32 e with self = m 2^e and |m| from 0.5 to below 1; 0, infinities and NaN stay, with e = 0."""
        x = self.cast(self.dtype.arithmetic) if self.dtype in _DIGITS else self
        if x.dtype not in _DIGITS:
            raise DTypeError(f"frexp() of {self.dtype}: only floats have an exponent; cast() them")
        digits, width = _DIGITS[x.dtype], x.dtype.bits - 1 - _DIGITS[x.dtype]
        bias = (1 << (width - 1)) - 2
        small = x.abs() < x.dtype.smallest_normal
        scaled = small.where(x * 2.0 ** (digits + 1), x)
        bits = scaled.bitcast(_BITS[x.dtype.bits])
        raised = (bits >> digits) & ((1 << width) - 1)
        exponent = raised - bias - small.where(digits + 1, 0)
        plain = x.ne(0) & x.isfinite()
        mantissa = ((bits & ~(((1 << width) - 1) << digits)) | (bias << digits)).bitcast(x.dtype)
        exponent = plain.where(exponent, 0).cast(dtypes.int32).detach()
        parts = plain.where(mantissa, x.detach())._with_slope_of(x * (-exponent).cast(x.dtype).exp2())
        return Exponents(parts.cast(self.dtype), exponent)
