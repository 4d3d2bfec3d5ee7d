"""Other names of methods: those of torch and NumPy that are neither tinygrad's nor this library's own.

Comes in: nothing.  Goes out: the methods of the classes below under second names, and the sizes of a tensor as calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Self

from kernelforge import graph
from kernelforge.errors import KindError, ShapeError
from kernelforge.shape import broadcast_shapes, sequence
from kernelforge.tensor.autograd import Autograd
from kernelforge.tensor.composite import of_tensors
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.spent import either


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

    @staticmethod
    def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
        """The shape that tensors of several shapes have when they are combined; a number is a vector's.

        >>> Tensor.broadcast_shapes((2, 1), 3)
        (2, 3)

        raises ShapeError
        """
        return broadcast_shapes((), *map(sequence, shapes))

    @staticmethod
    def is_tensor(obj: Any) -> bool:
        """True for tensors."""
        return isinstance(obj, Core)

    def get_device(self) -> int:
        """The number of the GPU it is on, -1 for none."""
        kind, _, number = self.device.partition(":")
        return int(number or 0) if kind in ("CUDA", "GPU") else -1

    @property
    def is_cuda(self) -> bool:
        """True on an NVIDIA GPU."""
        return self.device.startswith("CUDA")

    @property
    def is_cpu(self) -> bool:
        """True on the processor."""
        return self.device in ("CPU", "NUMPY")

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
    conj_physical = Autograd.conj
    arccos = Autograd.acos
    arccosh = Autograd.acosh
    arcsin = Autograd.asin
    arcsinh = Autograd.asinh
    arctan = Autograd.atan
    arctan2 = Autograd.atan2
    arctanh = Autograd.atanh
    log_sigmoid = Autograd.logsigmoid
    split_with_sizes = unsafe_split_with_sizes = unsafe_split = Autograd.split
    unsafe_chunk = Autograd.chunk
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
        tracked = either(*[x._tracked for x in tensors])
        return self._wrap(graph.elementwise(op, *[x._node for x in tensors]), tracked)

    def fill(self, value: Operand) -> Self:
        """A tensor of this one's shape, dtype and device with one value everywhere."""
        return self.full_like(value)

    def positive(self) -> Self:
        """The values as they are."""
        return self

    @of_tensors
    def floor_divide(self, other: Operand) -> Self:
        """The quotient rounded down; where an infinity takes part NaN or -1, as Python has it."""
        return self.div(other, rounding_mode="floor")

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

    def constant_pad_nd(self, pad: Sequence[int], value: float = 0.0) -> Self:
        """pad() with one value, the last dimension's two counts first."""
        return self.pad(tuple(pad), value=value)

    def nonzero_static(self, *, size: int, fill_value: int = -1) -> Self:
        """nonzero() of a known number of rows, those after the last of fill_value; computes nothing.

        raises ShapeError for a negative size
        """
        if size < 0:
            raise ShapeError(f"nonzero_static(size={size}) of {self.shape}: a size is at least 0")
        return self.nonzero(size, fill_value)

    # Making -----------------------------------------------------------------------------------------------------

    invalids = Autograd.empty

    @property
    def is_param(self) -> bool:
        """Whether optimisers change this tensor: it is a leaf that requires gradients."""
        return self._leaf

    def is_param_(self, is_param: bool = True) -> Self:
        """Itself, with requires_grad set: optimisers change it."""
        return self.requires_grad_(is_param)

    def __delitem__(self, index: Any) -> None:
        """raises TypeError"""
        raise KindError(f"a tensor of {self.shape} has no elements to delete; index what is to stay")

    # Sums -------------------------------------------------------------------------------------------------------

    def frobenius_norm(self, dim: int | Sequence[int] = (), keepdim: bool = False) -> Self:
        """The square root of the sum of squares, over all dimensions or some."""
        return self.norm(2.0, None if dim == () else dim, keepdim)

    def nuclear_norm(self, dim: Sequence[int] = (-2, -1), keepdim: bool = False) -> Self:
        """The sum of the singular values of matrices."""
        return self.matrix_norm("nuc", dim, keepdim)

    def norm_except_dim(self, pow: float = 2, dim: int = 0) -> Self:
        """The norms of order pow of the slices of dimension dim, in place of the other dimensions; of all for -1."""
        dims = None if dim == -1 else [i for i in range(self.ndim) if i != self._dim(dim, "norm_except_dim")]
        return self.norm(pow, dims, dims is not None)

    # Products ---------------------------------------------------------------------------------------------------

    ger = Autograd.outer
    chain_matmul = Autograd.multi_dot
    image_dot = Autograd.dot
    image_conv2d = Autograd.conv2d
