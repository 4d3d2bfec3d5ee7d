"""Methods that change the tensor they are called on, in torch's spelling with a final underscore.

Comes in: tensors.  Goes out: the same tensors, standing for the results of the methods without the underscore, cast to
their own types.  Their views change with them; what was computed from them before keeps its value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from math import prod
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ArgumentError, DTypeError, StateError
from kernelforge.native import compiled
from kernelforge.tensor.composite import shortcut
from kernelforge.tensor.core import Core, Operand, grad_enabled
from kernelforge.tensor.create import as_shape
from kernelforge.tensor.generators import Generator, drawing
from kernelforge.tensor.names import Names
from kernelforge.tensor.protocols import Protocols
from kernelforge.tensor.random import FRACTION_BITS, check_probability

P = ParamSpec("P")
T = TypeVar("T", bound="InPlace")


def in_place(method: Callable[Concatenate[Any, P], Any]) -> Callable[Concatenate[T, P], T]:
    """A method whose tensor takes the value of its result."""

    called = shortcut(method, method.__module__, method.__qualname__) if hasattr(method, "recipes") else method

    @wraps(method, updated=())  # without a composite's recipes, which give its result alone
    def changed(self: T, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._in_place(called(self, *args, **kwargs))

    changed.__doc__ = f"Itself, with the value {method.__name__}() gives."
    changed.__name__ += "_"
    changed.value = called  # type: ignore[attr-defined]
    return changed


def reshaped(method: Callable[Concatenate[Any, P], Any]) -> Callable[Concatenate[T, P], T]:
    """A method whose tensor becomes the view it gives."""

    @wraps(method, updated=())
    def changed(self: T, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._become_view(method(self, *args, **kwargs))

    changed.__doc__ = f"Itself, as what {method.__name__}() gives."
    changed.__name__ += "_"
    return changed


def _count_from_zero(dtype: DType) -> int:
    """How many integers from 0 on a type tells apart."""
    most = min(1 << FRACTION_BITS.get(dtype, 53), int(dtype.largest)) if dtype.is_float else int(dtype.max)
    return most + 1


def _check_spread(method: str, value: float, fits: bool) -> None:
    """Raises ArgumentError unless the width of a distribution is one."""
    if not fits:
        raise ArgumentError(f"{method}() takes a positive width, got {value}")


class InPlace(Protocols):
    """Operations in place."""

    __slots__ = ()

    if TYPE_CHECKING or compiled is None:  # else in native/inplace.c, which leaves what is not usual to the next one

        def _in_place(self, result: Self) -> Self:
            return self._any_in_place(result)

    def _any_in_place(self, result: Self) -> Self:
        """This tensor with the value of an operation's result, cast to its own dtype if that holds the kind."""
        mine, node = self._node, result._node
        if node.dtype is not mine.dtype:
            result = self._fitting(result)
            node = result._node
        if node.shape != mine.shape or node.dtype is not mine.dtype:
            return self.assign(result)  # which says why not
        return self._become(result)

    def _fitting(self, result: Self) -> Self:
        """A result in this tensor's dtype where that holds its kind."""
        if "biufc".index(result.dtype.kind) <= "biufc".index(self.dtype.kind):
            return result.cast(self.dtype)
        return result

    # Operators --------------------------------------------------------------------------------------------------

    __iadd__ = add_ = in_place(Names.add)
    __isub__ = sub_ = subtract_ = in_place(Names.sub)
    __imul__ = mul_ = multiply_ = in_place(Names.mul)
    __itruediv__ = div_ = divide_ = true_divide_ = in_place(Names.div)
    __ifloordiv__ = in_place(Names.__floordiv__)
    floor_divide_ = in_place(Names.floor_divide)
    __imod__ = remainder_ = in_place(Names.mod)
    __ipow__ = pow_ = in_place(Names.pow)
    __imatmul__ = in_place(Names.dot)
    __iand__ = bitwise_and_ = in_place(Names.bitwise_and)
    __ior__ = bitwise_or_ = in_place(Names.bitwise_or)
    __ixor__ = bitwise_xor_ = in_place(Names.bitwise_xor)
    __ilshift__ = bitwise_left_shift_ = in_place(Names.lshift)
    __irshift__ = bitwise_right_shift_ = in_place(Names.rshift)

    # Values -----------------------------------------------------------------------------------------------------

    def zero_(self) -> Self:
        """Itself, with zeros."""
        return self._in_place(self._constant(0))

    fill_ = in_place(Names.fill)

    def copy_(self, src: Operand, non_blocking: bool = False) -> Self:
        """Itself, with the values of src, broadcast and cast; non_blocking is of no account."""
        return self._in_place(self._as_tensor(src).cast(self.dtype).expand(self.shape))

    @drawing
    def uniform_(self, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Self:
        """Itself, with uniform random numbers in [from_, to), both parts of complex ones."""
        if to < from_:
            raise ArgumentError(f"uniform_() takes numbers from {from_} to below {to}: the second is the smaller one")
        return self._in_place(self._drawn_by("_uniform_from", float(from_), float(to)))

    @drawing
    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Self:
        """Itself, with normally distributed random numbers; both parts of complex ones have the mean."""
        _check_spread("normal_", std, std >= 0)
        return self._in_place(self._drawn_by("_normal_around", float(mean), float(std)))

    @drawing
    def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Self:
        """Itself, with random numbers of density lambd exp(-lambd x)."""
        _check_spread("exponential_", lambd, lambd > 0)
        return self._drawn_in_place((1 - self._random("rand"))._log_alike() * (-1 / lambd))

    @drawing
    def log_normal_(self, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Self:
        """Itself, with random numbers whose logarithms are distributed normally."""
        _check_spread("log_normal_", std, std > 0)
        return self._drawn_in_place((self._random("randn") * std + mean)._exp_alike())

    @drawing
    def cauchy_(self, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Self:
        """Itself, with random numbers of Cauchy's distribution."""
        _check_spread("cauchy_", sigma, sigma > 0)
        drawn = self._random("rand")
        middle = 2.0**-54 if drawn.dtype is dtypes.float64 else 2.0**-25  # of the numbers that each stands for
        turn = ((drawn - 0.5) + middle) * 0.5
        tangent = turn._sine_of_turn()._quotient_alike((0.25 - turn.abs())._sine_of_turn())
        return self._drawn_in_place(tangent * sigma + median)

    @drawing
    def geometric_(self, p: float, *, generator: Generator | None = None) -> Self:
        """Itself, with the random number of tries up to the first that succeeds, each with probability p."""
        if not 0 < p < 1:
            raise ArgumentError(f"geometric_() takes a probability between 0 and 1, got {p}")
        tries = (1 - self._random("rand"))._log_alike() * (1 / math.log1p(-p))
        return self._drawn_in_place(tries.ceil().clamp(1).cast(self.dtype))

    @drawing
    def bernoulli_(self, p: float | Self = 0.5, *, generator: Generator | None = None) -> Self:
        """Itself, with 1 in each place with probability p, else 0; p may be a tensor of them.

        raises ArgumentError for what is no probability, for elements of a tensor when the values are next synchronised
        """
        if isinstance(p, Core):
            odds = p.expand(self.shape)._wide()
            return self._in_place(odds.bernoulli().cast(self.dtype))
        check_probability("bernoulli_", p)
        return self._in_place(self._drawn_by("_ones_with", p))

    @drawing
    def random_(self, from_: int = 0, to: int | None = None, *, generator: Generator | None = None) -> Self:
        """Itself, with random integers in [from_, to), in [0, from_), or of all the type holds from 0 on.

        Of floats, that is up to the number below which all integers are told apart.
        """
        if to is None:
            from_, to = (0, from_) if from_ else (0, _count_from_zero(self.dtype))
        return self._in_place(self.randint_like(from_, to))

    def apply_(self, callable: Callable[[Any], Any]) -> Self:
        """Itself, with what a function of Python makes of each element: computes the tensor, one by one."""
        return self.map_((), callable)

    def map_(self, others: Self | tuple[Self, ...], callable: Callable[..., Any]) -> Self:
        """apply_() of a function that takes the elements of another tensor, or of several, as well."""
        tensors = (self, *(others if isinstance(others, tuple) else (others,)))
        values = [x.expand(self.shape).flatten().tolist() for x in tensors]
        found = [callable(*row) for row in zip(*values)]
        return self._in_place(self.new_tensor(found).reshape(self.shape))

    def map2_(self, x: Self, y: Self, callable: Callable[[Any, Any, Any], Any]) -> Self:
        """map_() with two other tensors."""
        return self.map_((x, y), callable)

    def _random(self, method: str) -> Self:
        """Random numbers of this tensor's shape, float32 at least."""
        kind = self.dtype.arithmetic if self.dtype.is_float else None
        values: Self = getattr(type(self), method)(self.shape, device=self._node.device, dtype=kind, contiguous=False)
        return values

    def _drawn_in_place(self, values: Self) -> Self:
        """_in_place() of random numbers, which one kernel draws and keeps."""
        values = self._fitting(values)
        return self._in_place(type(self)._drawn(values._node, values.dtype, True, None))

    def _drawn_by(self, how: str, *numbers: float) -> Self:
        """What a method of a call's key and counter makes of numbers, in this tensor's shape and dtype."""
        node = self._node
        return type(self)._of_words(how, node.shape, node.dtype, node.device, *numbers)

    # Elementwise ------------------------------------------------------------------------------------------------

    def abs_(self) -> Self:
        """Itself, with the value abs() gives.

        raises DTypeError for complex numbers, whose absolute values are real
        """
        if self.dtype.is_complex:
            raise DTypeError(f"abs_() of {self.dtype}: absolute values are real numbers; abs() gives them")
        return self._in_place(self.abs())

    absolute_ = abs_

    def float_power_(self, exponent: Operand) -> Self:
        """Itself, with the value float_power() gives.

        raises DTypeError unless it holds that value's type, float64 or complex128
        """
        result = self.float_power(exponent)
        if result.dtype is not self.dtype:
            raise DTypeError(f"float_power_() of {self.dtype}: its result is {result.dtype}; pow_() keeps the type")
        return self._in_place(result)

    neg_ = negative_ = in_place(Names.neg)
    sign_ = sgn_ = in_place(Names.sign)
    conj_physical_ = in_place(Names.conj)
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
    fmod_ = in_place(Names.fmod)
    gcd_ = in_place(Names.gcd)
    heaviside_ = in_place(Names.heaviside)
    nextafter_ = in_place(Names.nextafter)
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
    igamma_ = in_place(Names.igamma)
    igammac_ = in_place(Names.igammac)

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
    renorm_ = in_place(Names.renorm)
    index_put_ = in_place(Names.index_put)
    index_reduce_ = in_place(Names.index_reduce)
    put_ = in_place(Names.put)
    fill_diagonal_ = in_place(Names.fill_diagonal)
    tril_ = in_place(Names.tril)
    triu_ = in_place(Names.triu)

    # Shapes -----------------------------------------------------------------------------------------------------

    t_ = reshaped(Names.t)
    transpose_ = swapaxes_ = swapdims_ = reshaped(Names.transpose)
    squeeze_ = reshaped(Names.squeeze)
    unsqueeze_ = reshaped(Names.unsqueeze)
    as_strided_ = reshaped(Names.as_strided)

    def detach_(self) -> Self:
        """Itself, as a constant: gradients do not flow through it any more."""
        if self._leaf:
            self.requires_grad = None
            return self
        return self._become_view(self.detach())

    def _become_view(self, view: Self) -> Self:
        """This tensor in the place of a view of it: it shows the elements the view shows, and changes with them."""
        if self._leaf and grad_enabled.get():
            raise StateError("a leaf that requires grad cannot change in place; use no_grad(), or a view of it")
        self._take(view._node, view._tracked)
        if hasattr(view, "_place"):
            self._place = view._place
        elif hasattr(self, "_place") and view is not self:
            del self._place
        return self

    def resize_(self, *sizes: Any, size: Any = None) -> Self:
        """Itself, in another shape: with its first elements in row-major order, and zeros where there are too few."""
        if self._tracked:
            raise StateError(f"resize_() of a tensor of {self.shape} that requires grad; resize its detach()")
        shape = as_shape(sizes if size is None else (size,))
        missing, flat = prod(shape) - self.numel(), self.flatten()
        flat = flat.pad((0, missing)) if missing > 0 else flat[: prod(shape)]
        return self.replace(flat.reshape(shape))

    def resize_as_(self, tensor: Self) -> Self:
        """resize_() to another tensor's shape."""
        return self.resize_(tensor.shape)

    # Products ---------------------------------------------------------------------------------------------------

    addbmm_ = in_place(Names.addbmm)
    addmm_ = in_place(Names.addmm)
    addmv_ = in_place(Names.addmv)
    addr_ = in_place(Names.addr)
    baddbmm_ = in_place(Names.baddbmm)
