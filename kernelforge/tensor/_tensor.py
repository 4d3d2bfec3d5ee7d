"""The class users know: `Tensor`, assembled from one class for each subject.

Each subject's class builds on the one before; `__init__.py` lists them in order.
"""

from __future__ import annotations

from kernelforge.tensor.autocast import Autocast
from kernelforge.tensor.composite import following, with_shortcuts
from kernelforge.tensor.core import Core
from kernelforge.tensor.spelling import with_other_names


class _Core(Core):
    """Core as the first base: to free a tensor, Python goes from first base to first base, or through all subjects."""

    __slots__ = ()


@following
@with_shortcuts
@with_other_names
class Tensor(_Core, Autocast):
    """A multi-dimensional array that is computed when its values are needed.

        Tensor(data, device=None, dtype=None, requires_grad=None)

    Operations return new tensors and compute nothing.  numpy(), item(), tolist() and realize() compute; what they need
    is joined into as few kernels as possible.  A tensor and its views (reshapes, transposes, slices) show the same
    elements: what changes in place shows in all of them, while everything computed before keeps its value.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (x @ x).sum(axis=1).tolist()
    [17.0, 37.0]
    """

    __slots__ = ()
