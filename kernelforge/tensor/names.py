"""Other names of methods: those of torch and NumPy that are neither tinygrad's nor this library's own.

Comes in: nothing.  Goes out: the methods of the classes below under second names, and the sizes of a tensor as calls.
"""

from __future__ import annotations

from math import prod
from typing import Any, Self

from kernelforge import graph
from kernelforge.errors import KindError, ShapeError
from kernelforge.tensor.autograd import Autograd
from kernelforge.tensor.core import Operand


class Names(Autograd):
    """Second names."""

    __slots__ = ()

    # What it is -------------------------------------------------------------------------------------------------

    nelement = Autograd.numel

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    ndimension = dim

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.element_size()

    def stride(self, dim: int | None = None) -> tuple[int, ...] | int:
        """How many elements apart neighbours of each dimension, or of one, are in memory: always row-major."""
        steps = tuple([prod(self.shape[i + 1 :]) for i in range(self.ndim)])
        return steps if dim is None else steps[self._dim(dim, "stride")]

    def is_contiguous(self) -> bool:
        """True: elements are in row-major order, whatever views a tensor was made by."""
        return True

    def is_signed(self) -> bool:
        """True for types with negative numbers."""
        return self.dtype.kind in "if"

    def is_same_size(self, other: Self) -> bool:
        """True if both have one shape."""
        return self.shape == other.shape

    def cpu(self) -> Self:
        """The same values on the CPU device."""
        return self.to("CPU")

    # Elementwise ------------------------------------------------------------------------------------------------

    absolute = Autograd.abs
    negative = Autograd.neg
    fix = Autograd.trunc
    sgn = Autograd.sign
    subtract = Autograd.sub
    multiply = Autograd.mul
    divide = true_divide = Autograd.div
    remainder = Autograd.mod
    greater = Autograd.gt
    greater_equal = Autograd.ge
    less = Autograd.lt
    less_equal = Autograd.le
    not_equal = Autograd.ne
    bitwise_left_shift = Autograd.lshift
    bitwise_right_shift = Autograd.rshift
    arccos = Autograd.acos
    arccosh = Autograd.acosh
    arcsin = Autograd.asin
    arcsinh = Autograd.asinh
    arctan = Autograd.atan
    arctan2 = Autograd.atan2
    arctanh = Autograd.atanh
    log_sigmoid = Autograd.logsigmoid
    split_with_sizes = Autograd.split
    narrow_copy = Autograd.narrow
    binary_cross_entropy = Autograd.binary_crossentropy
    modified_bessel_i0 = Autograd.i0
    modified_bessel_i1 = Autograd.i1
    upsample = Autograd.interpolate

    gammaln = Autograd.lgamma
    psi = Autograd.digamma
    multigammaln = Autograd.mvlgamma
    expit = Autograd.sigmoid
    trapz = Autograd.trapezoid

    def alu(self, op: str, *others: Self) -> Self:
        """The scalar operation of a name of codegen.ops.SCALAR_OPS, on tensors of one shape and fitting types."""
        tensors = (self, *others)
        tracked = any(x._tracked for x in tensors) or None
        return self._wrap(graph.elementwise(op, *[x._node for x in tensors]), tracked)

    def positive(self) -> Self:
        """The values as they are."""
        return self

    def floor_divide(self, other: Operand) -> Self:
        """The quotient rounded down."""
        return self // other

    def rsub(self, other: Operand, *, alpha: float = 1) -> Self:
        """The difference other - alpha * self."""
        return self.sub(other, reverse=True, alpha=alpha)

    # Movement ---------------------------------------------------------------------------------------------------

    broadcast_to = Autograd.expand
    view_as = Autograd.reshape_as
    swapaxes = swapdims = Autograd.transpose
    moveaxis = Autograd.movedim
    concat = concatenate = Autograd.cat

    def fliplr(self) -> Self:
        """Reversed along dimension 1."""
        return self.flip(1)

    def flipud(self) -> Self:
        """Reversed along dimension 0."""
        if not self.ndim:
            raise ShapeError("flipud() takes a tensor of one dimension at least, got ()")
        return self.flip(0)

    # Making -----------------------------------------------------------------------------------------------------

    invalids = Autograd.empty

    def is_param_(self, is_param: bool = True) -> Self:
        """Itself, with requires_grad set: optimisers change it."""
        return self.requires_grad_(is_param)

    def __delitem__(self, index: Any) -> None:
        """raises TypeError"""
        raise KindError(f"a tensor of {self.shape} has no elements to delete; index what is to stay")

    # Products ---------------------------------------------------------------------------------------------------

    ger = Autograd.outer
    chain_matmul = Autograd.multi_dot
    image_dot = Autograd.dot
    image_conv2d = Autograd.conv2d
