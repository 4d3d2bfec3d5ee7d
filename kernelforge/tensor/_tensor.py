"""The class users know: `Tensor`, assembled from one class for each subject.

Each subject's class builds on the one before; `__init__.py` lists them in order.
"""

from __future__ import annotations

from kernelforge.tensor.autocast import Autocast
from kernelforge.tensor.spelling import with_other_names


@with_other_names
class Tensor(Autocast):
    """A multi-dimensional array that is computed when its values are needed.

        Tensor(data, device=None, dtype=None, requires_grad=None)

    Operations return new tensors and compute nothing.  numpy(), item(), tolist() and realize() compute; what they need
    is joined into as few kernels as possible.  Operators in place and assignments to parts make the name stand for a
    new value: a tensor made from it before, a view too, keeps the old one.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (x @ x).sum(axis=1).tolist()
    [17.0, 37.0]
    """

    __slots__ = ()
