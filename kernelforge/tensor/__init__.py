"""Tensors: what users call.

Read `core.py` first (a tensor is a name for a graph node), then any subject, each building on those before: create,
casts, bits, elementwise, functions, pairs, special, activations, movement, joining, diagonals, reduce, linalg,
products, distances, decompositions, solving, convolution, pooling, random, convert, interchange, scatter, index,
picking, replacing, ordering, sorting, sampling, statistics, counting, unpooling, resizing, grids, windowing,
assembling, norms, neural, losses, margins, rearranging, hashing, floats, polynomials, gammas, drawing, bessels,
complex_functions, complexes, factors, fourier, lowrank, autograd, names, protocols, inplace.  `_tensor.py` puts them
together.
"""

from kernelforge.tensor._tensor import Tensor
from kernelforge.tensor.autograd import enable_grad, no_grad

__all__ = ["Tensor", "enable_grad", "no_grad"]
