"""Arrays handed to and taken from other libraries in place, by the DLPack protocol.

Comes in: memory on the host with its shape, and who keeps it; or a capsule that another library made.  Goes out: a
capsule; or a NumPy array in storage form over the other library's memory.  Nothing here knows of tensors.

source  https://dmlc.github.io/dlpack/latest/c_api.html
"""

from __future__ import annotations

import ctypes
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import STORED, DType, dtypes

CPU: Final = (1, 0)  # a kind of device and its number
_KINDS: Final = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_CODES: Final = {dtypes.bfloat16: 4, dtypes.float8_e4m3fn: 10, dtypes.float8_e5m2: 12}
_NAME: Final = b"dltensor"
_USED_NAME: Final = b"used_dltensor"


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_Deleter: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _DLManagedTensor(ctypes.Structure):
    _fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]


def _python(name: str, result: Any, *arguments: Any) -> Any:
    """A function of Python's C interface; the global lock is held while it runs."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_Destructor: Final = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_new: Final = _python("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Destructor)
_is_valid: Final = _python("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
_pointer: Final = _python("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_rename: Final = _python("PyCapsule_SetName", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)

_given: Final[dict[int, tuple[Any, ...]]] = {}  # what each managed tensor given away keeps alive, by its address


# ------------------------------------------------------------------------------------------------------ giving


def capsule(array: NDArray, dtype: DType, shape: tuple[int, ...], keeper: object) -> object:
    """A capsule over the elements of an array in storage form, which keeper keeps alive; row-major in a shape."""
    sizes = (ctypes.c_int64 * max(1, len(shape)))(*shape)
    steps = [1, *accumulate(shape[:0:-1], lambda a, b: a * b)][::-1] if shape else []
    strides = (ctypes.c_int64 * max(1, len(shape)))(*steps)
    code = _CODES.get(dtype, _KINDS[dtype.kind])
    tensor = _DLTensor(array.ctypes.data, *CPU, len(shape), code, dtype.bits, 1, sizes, strides, 0)
    managed = _DLManagedTensor(tensor, None, _release)
    address = ctypes.addressof(managed)
    _given[address] = (managed, sizes, strides, array, keeper)
    return _new(address, _NAME, _destroy)


@_Deleter
def _release(address: int) -> None:
    """Called by whoever took a capsule, when its memory is no longer needed."""
    _given.pop(address, None)


@_Destructor
def _destroy(address: int) -> None:
    """Called when a capsule goes; one that nobody took still has its first name."""
    if _is_valid(address, _NAME):
        _release(_pointer(address, _NAME))


# ------------------------------------------------------------------------------------------------------ taking


class _Taken:
    """Another library's memory as NumPy sees it; it goes back when no array shows it any more."""

    def __init__(self, address: int) -> None:
        self._managed = _DLManagedTensor.from_address(address)
        self._address = address

    def __del__(self) -> None:
        if self._managed.deleter:
            self._managed.deleter(self._address)

    def dtype(self) -> DType:
        """raises BufferError for elements no tensor can hold"""
        tensor = self._managed.tensor
        for dtype in STORED:
            code = _CODES.get(dtype, _KINDS[dtype.kind])
            if (tensor.code, tensor.bits, tensor.lanes) == (code, dtype.bits, 1):
                return dtype
        raise BufferError(f"no tensor holds DLPack's type {tensor.code} of {tensor.bits} bits in {tensor.lanes} lanes")

    @property
    def __array_interface__(self) -> dict[str, Any]:
        tensor, kind = self._managed.tensor, self.dtype().numpy
        rank = tensor.ndim
        strides = tuple([step * kind.itemsize for step in tensor.strides[:rank]]) if tensor.strides else None
        place = (tensor.data or 0) + tensor.byte_offset
        return {
            "version": 3,
            "data": (place or np.empty(1).ctypes.data, False),
            "shape": tuple(tensor.shape[:rank]),
            "strides": strides,
            "typestr": kind.str,
        }


def taken(found: object) -> tuple[NDArray, DType]:
    """The elements a capsule holds, in place: an array in storage form, and their dtype.  The capsule is used up.

    raises BufferError for memory that is not the host's, and for elements no tensor can hold
    """
    place = id(found)
    if type(found).__name__ != "PyCapsule" or not _is_valid(place, _NAME):
        raise BufferError("what __dlpack__() gave is not a fresh DLPack capsule; each can be taken once")
    memory = _DLManagedTensor.from_address(_pointer(place, _NAME)).tensor
    if memory.device_type != CPU[0]:
        raise BufferError(f"memory of DLPack's kind of device {memory.device_type} is not the host's; copy it there")
    owner = _Taken(_pointer(place, _NAME))
    _rename(place, _USED_NAME)
    return np.asarray(owner), owner.dtype()
