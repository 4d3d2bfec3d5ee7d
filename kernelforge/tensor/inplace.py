"""Methods that change the tensor they are called on, in torch's spelling with a final underscore.

Comes in: tensors.  Goes out: the same tensors, standing for the results of the methods without the underscore, cast to
their own types.  Their views change with them; what was computed from them before keeps its value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from kernelforge.errors import ArgumentError
from kernelforge.tensor.core import Operand
from kernelforge.tensor.names import Names
from kernelforge.tensor.protocols import Protocols

P = ParamSpec("P")
T = TypeVar("T", bound="InPlace")


def in_place(method: Callable[Concatenate[Any, P], Any]) -> Callable[Concatenate[T, P], T]:
    """A method whose tensor takes the value of its result."""

    @wraps(method)
    def changed(self: T, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._in_place(method(self, *args, **kwargs))

    changed.__doc__ = f"Itself, with the value {method.__name__}() gives."
    changed.__name__ += "_"
    return changed


def _check_spread(method: str, value: float, fits: bool) -> None:
    """Raises ArgumentError unless the width of a distribution is one."""
    if not fits:
        raise ArgumentError(f"{method}() takes a positive width, got {value}")


class InPlace(Protocols):
    """Operations in place."""

    __slots__ = ()

    def _in_place(self, result: Self) -> Self:
        """This tensor with the value of an operation's result, cast to its own dtype if that holds the kind."""
        if result.dtype is not self.dtype and "biufc".index(result.dtype.kind) <= "biufc".index(self.dtype.kind):
            result = result.cast(self.dtype)
        if result.shape != self.shape or result.dtype is not self.dtype:
            return self.assign(result)  # which says why not
        return self._become(result)

    # Operators --------------------------------------------------------------------------------------------------

    __iadd__ = add_ = in_place(Names.add)
    __isub__ = sub_ = subtract_ = in_place(Names.sub)
    __imul__ = mul_ = multiply_ = in_place(Names.mul)
    __itruediv__ = div_ = divide_ = true_divide_ = in_place(Names.div)
    __ifloordiv__ = floor_divide_ = in_place(Names.floor_divide)
    __imod__ = remainder_ = in_place(Names.mod)
    __ipow__ = pow_ = in_place(Names.pow)
    __imatmul__ = in_place(Names.dot)
    __iand__ = bitwise_and_ = in_place(Names.bitwise_and)
    __ior__ = bitwise_or_ = in_place(Names.bitwise_or)
    __ixor__ = bitwise_xor_ = in_place(Names.bitwise_xor)
    __ilshift__ = bitwise_left_shift_ = in_place(Names.lshift)
    __irshift__ = bitwise_right_shift_ = in_place(Names.rshift)

    # Values -----------------------------------------------------------------------------------------------------

    zero_ = in_place(Names.zeros_like)
    fill_ = in_place(Names.full_like)

    def copy_(self, src: Operand) -> Self:
        """Itself, with the values of src, broadcast and cast."""
        return self._in_place(self._as_tensor(src).cast(self.dtype).expand(self.shape))

    def uniform_(self, from_: float = 0.0, to: float = 1.0) -> Self:
        """Itself, with uniform random numbers in [from_, to), both parts of complex ones."""
        if to < from_:
            raise ArgumentError(f"uniform_() takes numbers from {from_} to below {to}: the second is the smaller one")
        return self._in_place(self._random("rand", True) * (to - from_) + self._of_both_parts(from_))

    def normal_(self, mean: float = 0.0, std: float = 1.0) -> Self:
        """Itself, with normally distributed random numbers; both parts of complex ones have the mean."""
        _check_spread("normal_", std, std >= 0)
        return self._in_place(self._random("randn", True) * std + self._of_both_parts(mean))

    def exponential_(self, lambd: float = 1.0) -> Self:
        """Itself, with random numbers of density lambd exp(-lambd x)."""
        _check_spread("exponential_", lambd, lambd > 0)
        return self._in_place((1 - self._random("rand")).log() * (-1 / lambd))

    def log_normal_(self, mean: float = 1.0, std: float = 2.0) -> Self:
        """Itself, with random numbers whose logarithms are distributed normally."""
        _check_spread("log_normal_", std, std > 0)
        return self._in_place((self._random("randn") * std + mean).exp())

    def cauchy_(self, median: float = 0.0, sigma: float = 1.0) -> Self:
        """Itself, with random numbers of Cauchy's distribution."""
        _check_spread("cauchy_", sigma, sigma > 0)
        return self._in_place((math.pi * (self._random("rand") - 0.5)).tan() * sigma + median)

    def geometric_(self, p: float) -> Self:
        """Itself, with the random number of tries up to the first that succeeds, each with probability p."""
        if not 0 < p < 1:
            raise ArgumentError(f"geometric_() takes a probability between 0 and 1, got {p}")
        return self._in_place(((1 - self._random("rand")).log() / math.log1p(-p)).ceil().clamp(1).cast(self.dtype))

    def bernoulli_(self, p: float = 0.5) -> Self:
        """Itself, with 1 in each place with probability p, else 0."""
        return self._in_place((self._random("rand") < p).cast(self.dtype))

    def _random(self, method: str, parts: bool = False) -> Self:
        """Random numbers of this tensor's shape, float32 at least; parts: complex ones for a complex tensor."""
        kind = self.dtype.arithmetic if self.dtype.is_float or (parts and self.dtype.is_complex) else None
        values: Self = getattr(type(self), method)(self.shape, device=self._node.device, dtype=kind)
        return values

    def _of_both_parts(self, value: float) -> float | complex:
        return complex(value, value) if self.dtype.is_complex else value

    # Elementwise ------------------------------------------------------------------------------------------------

    abs_ = absolute_ = in_place(Names.abs)
    neg_ = negative_ = in_place(Names.neg)
    sign_ = sgn_ = in_place(Names.sign)
    frac_ = in_place(Names.frac)
    square_ = in_place(Names.square)
    reciprocal_ = in_place(Names.reciprocal)
    sqrt_ = in_place(Names.sqrt)
    rsqrt_ = in_place(Names.rsqrt)
    exp_ = in_place(Names.exp)
    exp2_ = in_place(Names.exp2)
    expm1_ = in_place(Names.expm1)
    log_ = in_place(Names.log)
    log2_ = in_place(Names.log2)
    log10_ = in_place(Names.log10)
    log1p_ = in_place(Names.log1p)
    sin_ = in_place(Names.sin)
    cos_ = in_place(Names.cos)
    tan_ = in_place(Names.tan)
    sinh_ = in_place(Names.sinh)
    cosh_ = in_place(Names.cosh)
    asin_ = arcsin_ = in_place(Names.asin)
    acos_ = arccos_ = in_place(Names.acos)
    atan_ = arctan_ = in_place(Names.atan)
    asinh_ = arcsinh_ = in_place(Names.asinh)
    acosh_ = arccosh_ = in_place(Names.acosh)
    atanh_ = arctanh_ = in_place(Names.atanh)
    deg2rad_ = in_place(Names.deg2rad)
    rad2deg_ = in_place(Names.rad2deg)
    sinc_ = in_place(Names.sinc)
    logit_ = in_place(Names.logit)
    floor_ = in_place(Names.floor)
    ceil_ = in_place(Names.ceil)
    round_ = in_place(Names.round)
    trunc_ = fix_ = in_place(Names.trunc)
    clamp_ = clip_ = in_place(Names.clamp)
    clamp_min_ = in_place(Names.clamp_min)
    clamp_max_ = in_place(Names.clamp_max)
    relu_ = in_place(Names.relu)
    sigmoid_ = in_place(Names.sigmoid)
    tanh_ = in_place(Names.tanh)
    lerp_ = in_place(Names.lerp)
    addcmul_ = in_place(Names.addcmul)
    addcdiv_ = in_place(Names.addcdiv)
    logical_not_ = in_place(Names.logical_not)
    logical_and_ = in_place(Names.logical_and)
    logical_or_ = in_place(Names.logical_or)
    logical_xor_ = in_place(Names.logical_xor)
    nan_to_num_ = in_place(Names.nan_to_num)
    bitwise_not_ = in_place(Names.bitwise_not)
    eq_ = in_place(Names.eq)
    ne_ = not_equal_ = in_place(Names.ne)
    lt_ = less_ = in_place(Names.lt)
    le_ = less_equal_ = in_place(Names.le)
    gt_ = greater_ = in_place(Names.gt)
    ge_ = greater_equal_ = in_place(Names.ge)
    atan2_ = arctan2_ = in_place(Names.atan2)
    copysign_ = in_place(Names.copysign)
    float_power_ = in_place(Names.float_power)
    fmod_ = in_place(Names.fmod)
    gcd_ = in_place(Names.gcd)
    heaviside_ = in_place(Names.heaviside)
    hypot_ = in_place(Names.hypot)
    lcm_ = in_place(Names.lcm)
    ldexp_ = in_place(Names.ldexp)
    xlogy_ = in_place(Names.xlogy)

    # Special functions ------------------------------------------------------------------------------------------

    erf_ = in_place(Names.erf)
    erfc_ = in_place(Names.erfc)
    erfinv_ = in_place(Names.erfinv)
    lgamma_ = in_place(Names.lgamma)
    digamma_ = in_place(Names.digamma)
    polygamma_ = in_place(Names.polygamma)
    mvlgamma_ = in_place(Names.mvlgamma)
    i0_ = in_place(Names.i0)

    # Cumulative -------------------------------------------------------------------------------------------------

    cumsum_ = in_place(Names.cumsum)
    cumprod_ = in_place(Names.cumprod)

    # Parts ------------------------------------------------------------------------------------------------------

    masked_fill_ = in_place(Names.masked_fill)
    masked_scatter_ = in_place(Names.masked_scatter)
    index_add_ = in_place(Names.index_add)
    index_copy_ = in_place(Names.index_copy)
    index_fill_ = in_place(Names.index_fill)
    scatter_ = in_place(Names.scatter)
    scatter_add_ = in_place(Names.scatter_add)
    scatter_reduce_ = in_place(Names.scatter_reduce)
    index_put_ = in_place(Names.index_put)
    index_reduce_ = in_place(Names.index_reduce)
    put_ = in_place(Names.put)
    fill_diagonal_ = in_place(Names.fill_diagonal)
    tril_ = in_place(Names.tril)
    triu_ = in_place(Names.triu)

    # Products ---------------------------------------------------------------------------------------------------

    addmm_ = in_place(Names.addmm)
    addmv_ = in_place(Names.addmv)
    addr_ = in_place(Names.addr)
    baddbmm_ = in_place(Names.baddbmm)
