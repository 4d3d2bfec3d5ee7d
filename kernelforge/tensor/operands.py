"""Two operands as nodes of one shape and type.

Comes in: tensors, NumPy's arrays, Python's and NumPy's numbers.  Goes out: nodes of the type and the shape both are
brought to, and whether gradients flow through either.
"""

from __future__ import annotations

import numpy as np

from codegen.dtypes import dtypes, promote
from kernelforge import graph
from kernelforge.graph import Node
from kernelforge.tensor.broadcasting import broadcast
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.literals import literal_dtype
from kernelforge.tensor.spent import either


class Operands(Core):
    """What operations on two tensors, or a tensor and a number, begin with."""

    __slots__ = ()

    def _operands(self, other: Operand, reverse: bool) -> tuple[Node, Node, bool | None]:
        """This tensor and other as nodes of one shape and dtype, exchanged if reverse; whether either is tracked."""
        a = self._node
        if not isinstance(other, Core):
            if isinstance(other, np.ndarray):
                return self._operands(type(self)(other, device=a.device), reverse)
            other = other.item() if isinstance(other, np.generic) else other
            dtype = a.dtype
            if other.__class__ is not float or dtype.kind != "f":
                dtype = literal_dtype(other, dtype)
                a = graph.cast(a, dtype)
            b = graph.full(a.shape, other, dtype)
            return (b, a, self._tracked) if reverse else (a, b, self._tracked)
        b = other._node
        if a.dtype is not b.dtype:
            dtype = promote(a.dtype, b.dtype)
            a, b = graph.cast(a, dtype), graph.cast(b, dtype)
        if a.shape != b.shape:
            a, b = broadcast(a, b)
        tracked = either(self._tracked, other._tracked)
        return (b, a, tracked) if reverse else (a, b, tracked)

    def _pair(self, x: Operand, y: Operand) -> tuple[Node, Node, bool | None]:
        """The nodes of two operands neither of which need be a tensor, of one shape and dtype."""
        if isinstance(x, Core | np.ndarray):
            return self._as_tensor(x)._operands(y, False)
        if isinstance(y, Core | np.ndarray):
            return self._as_tensor(y)._operands(x, True)
        first, second = (v.item() if isinstance(v, np.generic) else v for v in (x, y))
        dtype = literal_dtype(second, literal_dtype(first, dtypes.bool))
        return graph.const(first, dtype), graph.const(second, dtype), None
