"""Tensors: what users call.

Read `core.py` first (a tensor is a name for a graph node), then any subject, each building on those before: operands,
create, casts, bits, elementwise, functions, pairs, special, activations, movement, joining, diagonals, reduce, linalg,
products, distances, decompositions, solving, convolution, pooling, random, convert, interchange, scatter, index,
picking, replacing, ordering, sorting, sampling, statistics, counting, unpooling, resizing, grids, windowing,
assembling, norms, neural, losses, margins, rearranging, hashing, floats, polynomials, gammas, drawing, bessels,
complex_functions, complexes, factors, fourier, lowrank, autograd, names, protocols, inplace.  `_tensor.py` puts them
together.
"""

import sys
from types import ModuleType
from typing import Any

from codegen.dtypes import DType
from kernelforge.tensor._tensor import Tensor
from kernelforge.tensor.autograd import enable_grad, no_grad

__all__ = ["Tensor", "enable_grad", "no_grad"]


class _Room(ModuleType):
    """This package, which is also the function users of PyTorch look for under its name."""

    def __call__(
        self, data: Any, *, dtype: DType | str | None = None, device: str | None = None, requires_grad: bool = False
    ) -> Tensor:
        """A tensor of numbers, nested lists or an array, which it copies; source: torch.tensor.

        >>> import kernelforge
        >>> kernelforge.tensor([[1, 2], [3, 4]]).sum().item()
        10
        """
        return Tensor(data, device=device, dtype=dtype, requires_grad=requires_grad)


sys.modules[__name__].__class__ = _Room
