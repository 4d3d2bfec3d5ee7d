"""Marks that tell a module's parameters from its other tensors.

Comes in: data.  Goes out: ordinary tensors that are known as parameters, or as buffers; `isinstance` asks for the mark.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakValueDictionary

from kernelforge.tensor import Tensor

_parameters: Final[WeakValueDictionary[int, Tensor]] = WeakValueDictionary()
_buffers: Final[WeakValueDictionary[int, Tensor]] = WeakValueDictionary()
_transient: Final[WeakValueDictionary[int, Tensor]] = WeakValueDictionary()


def _detached(data: Any) -> Tensor:
    """The data as a tensor of its own, without a history."""
    if not isinstance(data, Tensor):
        return Tensor([] if data is None else data)
    return data.detach() if data._tracked else Tensor._wrap(data._node, None)


class _Marked(type):
    """Makes isinstance(tensor, Parameter) true for tensors that were made by Parameter()."""

    marks: WeakValueDictionary[int, Tensor]

    def __instancecheck__(cls, instance: Any) -> bool:
        return cls.marks.get(id(instance)) is instance


class Parameter(metaclass=_Marked):
    """A tensor that a module it is an attribute of counts among its parameters, also while it is frozen.

    >>> p = Parameter(Tensor([1.0]), requires_grad=False)
    >>> isinstance(p, Parameter), isinstance(p, Tensor), isinstance(p * 2, Parameter)
    (True, True, False)
    """

    marks = _parameters

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Tensor:  # type: ignore[misc]
        tensor = _detached(data)
        tensor.requires_grad = requires_grad
        _parameters[id(tensor)] = tensor
        return tensor


class Buffer(metaclass=_Marked):
    """A tensor that belongs to a module without being a parameter.

    persistent   whether it is part of the module's state
    """

    marks = _buffers

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Tensor:  # type: ignore[misc]
        tensor = _detached(data)
        tensor.requires_grad = False
        _buffers[id(tensor)] = tensor
        if not persistent:
            _transient[id(tensor)] = tensor
        return tensor


def is_transient(tensor: Tensor) -> bool:
    """True for a Buffer made with persistent=False."""
    return _transient.get(id(tensor)) is tensor
