"""Random tensors: a counter-based generator written as integer arithmetic on positions.

Comes in: shapes and distribution parameters.  Goes out: expressions of a four-word leaf buffer (key and call counter)
and of each element's position, so that random numbers are computed inside the kernel that uses them, and a repeated
program has the same graph at every call.

Numbers are the same on every device to the last digit, of every distribution: whole numbers and fractions are exact,
and the others are made of them by `alike`.  This takes products and sums that are rounded one by one, which OpenCL's
kernels ask for, as Triton's do that draw floats, and square roots and quotients that are rounded correctly, which
OpenCL asks of processors, not of each GPU.  What is computed of such numbers afterwards is the device's: the softmax in
gumbel_softmax(), and sums of weights, by which multinomial() with replacement may choose a neighbour.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Final, Self

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.checked import ODDS
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.graph import Node
from kernelforge.held import hold
from kernelforge.kernels import Device
from kernelforge.kinds import as_dtype
from kernelforge.tensor.aliases import numbers
from kernelforge.tensor.alike import Alike
from kernelforge.tensor.broadcasting import expanded
from kernelforge.tensor.composite import composite
from kernelforge.tensor.create import as_shape, kept
from kernelforge.tensor.draws import drawn_buffer, next_state, permutation
from kernelforge.tensor.generators import Generator, current, default, drawing

FRACTION_BITS: Final = {dtypes.float16: 11, dtypes.bfloat16: 8, dtypes.float32: 24}


def _countable(shape: tuple[int, ...], dtype: DType | None = None) -> tuple[int, ...]:
    """The shape itself, or that of the parts of complex numbers.

    raises ShapeError for 2^32 elements or more
    """
    if dtype is not None and dtype.is_complex:
        shape = (*shape, 2)
    if math.prod(shape) >= 1 << 32:
        raise ShapeError(
            f"a random tensor of {shape} has {math.prod(shape)} elements, more than 2^32; make it in parts"
        )
    return shape


def _words_of(state: Node, shape: tuple[int, ...]) -> tuple[Node, Node]:
    """The words of a call's key and counter."""
    words = [graph.reshape(graph.shrink(state, ((i, i + 1),)), ()) for i in range(4)]
    first, second, call, calls = (expanded(word, shape) for word in words)
    places = graph.reshape(graph.cast(graph.iota(math.prod(shape)), dtypes.uint32), shape)
    operands = (places, call, first, graph.elementwise("xor", second, calls))
    return graph.elementwise("random", *operands), graph.elementwise("random2", *operands)


class Random(Alike):
    """Random tensors and the operations that draw random numbers."""

    __slots__ = ()

    @staticmethod
    def manual_seed(seed: int = 0) -> None:
        """Make the random numbers that follow the ones that follow this seed, on every device."""
        default.manual_seed(seed)

    @staticmethod
    def seed() -> int:
        """Make the random numbers that follow some that nobody knows, and give the seed that leads to them."""
        return default.seed()

    @staticmethod
    def initial_seed() -> int:
        """The seed of the random numbers that follow."""
        return default.initial_seed()

    @classmethod
    def _drawn(cls, node: Node, dtype: DType, contiguous: bool, requires_grad: bool | None) -> Self:
        node = graph.cast(node, dtype)
        return cls._kept_if(contiguous, graph.contiguous(node) if contiguous else node, requires_grad)

    @classmethod
    def _kept_if(cls, contiguous: bool, node: Node, requires_grad: bool | None) -> Self:
        """A tensor of a node; contiguous: computed once, also where several graphs read it one after another."""
        tensor = cls._made(node, None, requires_grad)
        if contiguous:
            hold(tensor)
        return tensor

    @classmethod
    def _state(cls, device: str | None) -> Self:
        """The key and the counter of a call, four uint32 words."""
        return cls._wrap(next_state(device), None)

    @classmethod
    def _fraction(cls, word: Node, other: Node, dtype: DType) -> Self:
        """Uniform in [0, 1): every multiple of the smallest fraction the dtype resolves just below 1."""
        if dtype is dtypes.float64:
            high, low = cls._wrap(word, None).rshift(5).double(), cls._wrap(other, None).rshift(6).double()
            return (high * 2.0**26 + low) * 2.0**-53
        bits = FRACTION_BITS[dtype]
        return cls._wrap(word, None).rshift(32 - bits).float() * 2.0**-bits

    @classmethod
    @kept
    @drawing
    def rand(
        cls,
        *shape: Any,
        device: str | None = None,
        dtype: DType | str | type | None = None,
        contiguous: bool = True,
        requires_grad: bool | None = None,
        generator: Generator | None = None,
    ) -> Self:
        """Uniform random numbers in [0, 1), of complex types in both parts.

        contiguous   True: computed once, into memory; False: computed inside the kernels that use them
        """
        kind = _inexact(dtype)
        sizes = _countable(as_shape(shape), kind)  # looked at first: what fails draws nothing
        values = cls._state(device)._uniform(sizes, kind, contiguous)
        return cls._kept_if(contiguous, values._node, requires_grad)

    @composite
    def _uniform(self, shape: tuple[int, ...], dtype: DType, contiguous: bool) -> Self:
        """Uniform numbers of a call's key and counter, the parts of complex ones one after the other."""
        values = self._fraction(*_words_of(self._node, shape), dtype.real)
        return self._drawn(_joined(values._node, dtype), dtype, contiguous, None)

    @classmethod
    @kept
    @drawing
    def randn(
        cls,
        *shape: Any,
        device: str | None = None,
        dtype: DType | str | type | None = None,
        contiguous: bool = True,
        requires_grad: bool | None = None,
        generator: Generator | None = None,
    ) -> Self:
        """Normally distributed random numbers of mean 0 and variance 1, by the Box-Muller transform.

        The parts of complex numbers have a variance of 1/2 each.
        """
        kind = _inexact(dtype)
        sizes = _countable(as_shape(shape), kind)
        values = cls._state(device)._normal(sizes, kind, contiguous)
        return cls._kept_if(contiguous, values._node, requires_grad)

    @composite
    def _normal(self, shape: tuple[int, ...], dtype: DType, contiguous: bool) -> Self:
        """Normally distributed numbers of a call's key and counter, each from two words."""
        radius, turn = (self._fraction(word, word, dtype.real.arithmetic) for word in _words_of(self._node, shape))
        values = ((1 - radius)._log_alike() * (-1 if dtype.is_complex else -2)).sqrt()
        values = values * ((turn - 0.5).abs() - 0.25)._sine_of_turn()
        return self._drawn(_joined(values._node, dtype), dtype, contiguous, None)

    @classmethod
    @kept
    def _of_words(cls, how: str, shape: tuple[int, ...], dtype: DType, device: str | None, *numbers: float) -> Self:
        """What one of the methods below makes of the next call's key and counter."""
        _countable(shape, dtype)
        values: Self = getattr(cls._state(device), how)(shape, dtype, *numbers)
        return values

    @composite
    def _uniform_from(self, shape: tuple[int, ...], dtype: DType, low: float, high: float) -> Self:
        """Uniform numbers in [low, high) of a type, or of one that no value of the type is."""
        kind = _drawn_type(dtype)
        drawn = self._uniform(_countable(shape, kind), kind, False)
        return self._fitted(drawn * (high - low) + _of_both_parts(low, dtype), dtype)

    @composite
    def _normal_around(self, shape: tuple[int, ...], dtype: DType, mean: float, std: float) -> Self:
        """Normally distributed numbers, likewise."""
        kind = _drawn_type(dtype)
        drawn = self._normal(_countable(shape, kind), kind, False)
        return self._fitted(drawn * std + _of_both_parts(mean, dtype), dtype)

    @composite
    def _ones_with(self, shape: tuple[int, ...], dtype: DType, p: float) -> Self:
        """1 with a probability, else 0."""
        kind = dtypes.default_float if dtype.is_complex else _drawn_type(dtype)
        return self._fitted((self._uniform(shape, kind, False) < p).cast(dtype), dtype)

    def _fitted(self, values: Self, dtype: DType) -> Self:
        """Drawn values in a type that holds their kind, else in their own, as a result of its own."""
        kind = dtype if "biufc".index(values.dtype.kind) <= "biufc".index(dtype.kind) else values.dtype
        return self._drawn(values._node, kind, True, None)

    @classmethod
    def uniform(cls, *shape: Any, low: float = 0.0, high: float = 1.0, **kwargs: Any) -> Self:
        """Uniform random numbers in [low, high)."""
        return cls._scaled("rand", shape, high - low, low, kwargs)

    @classmethod
    def normal(cls, *shape: Any, mean: float = 0.0, std: float = 1.0, **kwargs: Any) -> Self:
        """Normally distributed random numbers; std is at least 0."""
        if isinstance(std, int | float) and std < 0:
            raise ArgumentError(f"normal() takes a standard deviation of at least 0, got {std}")
        return cls._scaled("randn", shape, std, mean, kwargs)

    @classmethod
    def _scaled(cls, method: str, shape: Any, scale: float, offset: float, kwargs: dict[str, Any]) -> Self:
        """Numbers of rand() or randn(), times scale plus offset, rounded to their dtype once."""
        kind, contiguous = _inexact(kwargs.pop("dtype", None)), kwargs.pop("contiguous", True)
        requires_grad = kwargs.pop("requires_grad", None)
        values = getattr(cls, method)(*shape, dtype=kind.arithmetic, contiguous=False, **kwargs) * scale + offset
        return cls._drawn(values._node, kind, contiguous, requires_grad)

    @classmethod
    @kept
    @drawing
    def randint(
        cls,
        *shape: Any,
        low: int = 0,
        high: int = 10,
        device: str | None = None,
        dtype: DType | str | type | None = None,
        requires_grad: bool | None = None,
        generator: Generator | None = None,
    ) -> Self:
        """Uniform random integers in [low, high), of any real type; rounded where a float type does not hold them.

        raises DTypeError for limits that the type does not reach
        """
        kind = as_dtype(dtype or dtypes.default_int)
        least, most = _integers_of(kind)
        if not least <= low < high <= most + 1:
            raise DTypeError(
                f"randint() of {kind} from {low} to below {high}: they must be in order and fit the type, a real one"
            )
        sizes = _countable(as_shape(shape))
        values = cls._state(device)._integers_from(sizes, low, high - low, kind)
        return cls._kept_if(True, values._node, requires_grad)

    @composite
    def _integers_from(self, shape: tuple[int, ...], low: int, span: int, dtype: DType) -> Self:
        """Integers from low to below low + span of a call's key and counter."""
        first, second = (self._wrap(word, None).cast(dtypes.uint64) for word in _words_of(self._node, shape))
        if span <= 1 << 32:
            drawn = (first * span).rshift(32)
        else:
            drawn = first.lshift(32) | second
            drawn = drawn if span == 1 << 64 else drawn % span
        whole = dtype if dtype.is_int else dtypes.int64
        return self._drawn((drawn.cast(whole) + low).cast(dtype)._node, dtype, True, None)

    @classmethod
    @drawing
    def randperm(
        cls,
        n: int,
        device: str | None = None,
        dtype: DType | str | type | None = None,
        generator: Generator | None = None,
    ) -> Self:
        """The integers 0 .. n-1 in random order."""
        kind = as_dtype(dtype or dtypes.default_int)
        order = drawn_buffer(partial(permutation, n, kind, current()), kind, Device.canonicalize(device))
        return cls(graph.buffer(order))

    @classmethod
    def scaled_uniform(cls, *shape: Any, **kwargs: Any) -> Self:
        """Uniform in (-1, 1) / sqrt(number of elements)."""
        bound = max(1, math.prod(as_shape(shape))) ** -0.5
        return cls.uniform(*shape, low=-bound, high=bound, **kwargs)

    @classmethod
    def glorot_uniform(cls, *shape: Any, **kwargs: Any) -> Self:
        """Uniform within sqrt(6 / (inputs + outputs)); shape is (outputs, inputs, window ...)."""
        sizes = as_shape(shape)
        bound = math.sqrt(6 / (sizes[0] + math.prod(sizes[1:])))
        return cls.uniform(*shape, low=-bound, high=bound, **kwargs)

    @classmethod
    def xavier_uniform(cls, *shape: Any, **kwargs: Any) -> Self:
        """Another name of glorot_uniform()."""
        return cls.glorot_uniform(*shape, **kwargs)

    @classmethod
    def kaiming_uniform(cls, *shape: Any, a: float = 0.01, **kwargs: Any) -> Self:
        """Uniform within sqrt(6 / ((1 + a^2) inputs)), for layers before a leaky ReLU of slope a."""
        bound = math.sqrt(6 / ((1 + a * a) * max(1, math.prod(as_shape(shape)[1:]))))
        return cls.uniform(*shape, low=-bound, high=bound, **kwargs)

    @classmethod
    def kaiming_normal(cls, *shape: Any, a: float = 0.01, **kwargs: Any) -> Self:
        """Normal with standard deviation sqrt(2 / ((1 + a^2) inputs)), for layers before a leaky ReLU of slope a."""
        std = math.sqrt(2 / ((1 + a * a) * max(1, math.prod(as_shape(shape)[1:]))))
        return cls.normal(*shape, std=std, **kwargs)

    def rand_like(self, **kwargs: Any) -> Self:
        """rand() of this tensor's shape, dtype and device."""
        return type(self).rand(self.shape, **self._likeness(kwargs))

    def randn_like(self, **kwargs: Any) -> Self:
        """randn() of this tensor's shape, dtype and device."""
        return type(self).randn(self.shape, **self._likeness(kwargs))

    def randint_like(self, low: int, high: int | None = None, **kwargs: Any) -> Self:
        """Uniform random integers in [low, high), or in [0, low), in this tensor's shape, dtype and device.

        >>> Tensor.zeros(2).randint_like(3, 4).tolist()
        [3.0, 3.0]
        """
        start, stop = (0, low) if high is None else (low, high)
        likeness = self._likeness(kwargs)
        return type(self).randint(self.shape, low=start, high=stop, **likeness)

    def _kept(self, drop: float) -> Self:
        """A bool tensor of this one's shape, each element False with the given probability below 1."""
        return type(self)._state(self._node.device)._passed(_countable(self.shape), drop)

    @composite
    def _passed(self, shape: tuple[int, ...], drop: float) -> Self:
        """`_kept` of a call's key and counter."""
        word, _ = _words_of(self._node, shape)
        return self._wrap(word, None) >= min(round(drop * 2**32), 2**32 - 1)

    @drawing
    def bernoulli(self, p: float | None = None, *, generator: Generator | None = None) -> Self:
        """1 with each element's probability, or with p, else 0, in this tensor's dtype.

        raises ArgumentError for a p that is not in 0 to 1, or, when the values are next synchronised, for such elements
        """
        _countable(self.shape)
        if p is not None:
            check_probability("bernoulli", p)
        return self._flipped(type(self)._state(self._node.device), p)

    @composite
    def _flipped(self, state: Self, p: float | None) -> Self:
        """bernoulli() of a call's key and counter."""
        drawn = self._fraction(*_words_of(state._node, self.shape), dtypes.float32)
        found = (drawn < (self._odds() if p is None else p)).cast(self.dtype)
        return found._in_steps_of(self)

    def _odds(self) -> Self:
        """Probabilities; to compute them is an error where they are none."""
        p = self.detach()
        return p._where_allowed((p >= 0) & (p <= 1), ODDS)  # type: ignore[attr-defined]


def check_probability(what: str, p: float) -> None:
    """raises ArgumentError for what is no probability"""
    if not 0 <= p <= 1:
        raise ArgumentError(f"{what}() takes a probability from 0 to 1, got {p}")


def _integers_of(dtype: DType) -> tuple[int, int]:
    """The least and the largest integer a real type reaches, of those of 64 bits; none of complex numbers."""
    if dtype.is_complex:
        return 0, -1
    if dtype.is_float:
        most = int(dtype.largest)
        return max(-most, int(dtypes.int64.min)), min(most, int(dtypes.int64.max))
    return (0, 1) if dtype is dtypes.bool else (int(dtype.min), int(dtype.max))


def _inexact(dtype: DType | str | type | None) -> DType:
    kind = as_dtype(dtype or dtypes.default_float)
    if not kind.is_float and not kind.is_complex:
        raise DTypeError(f"random numbers of this distribution are floats, not {kind}; randint() makes integers")
    return kind


def _drawn_type(dtype: DType) -> DType:
    """The type numbers are drawn in for a type: float32 at least, of both parts of complex numbers."""
    return dtype.arithmetic if dtype.is_float or dtype.is_complex else dtypes.default_float


def _of_both_parts(value: float, dtype: DType) -> float | complex:
    return complex(value, value) if dtype.is_complex else value


def _joined(values: Node, dtype: DType) -> Node:
    """Values, two of them side by side in the last dimension as one number where the type is complex."""
    return numbers(values) if dtype.is_complex else values
