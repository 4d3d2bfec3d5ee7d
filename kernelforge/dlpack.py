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
VERSION: Final = (1, 0)  # the newest one spoken here
_READ_ONLY: Final = 1  # a flag
_COPIED: Final = 2


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


class _DLManagedTensorVersioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", _DLTensor),
    ]


_NAMES: Final[dict[bytes, type[_DLManagedTensor | _DLManagedTensorVersioned]]] = {
    b"dltensor": _DLManagedTensor,
    b"dltensor_versioned": _DLManagedTensorVersioned,
}  # capsules by what they hold; one that was taken has another name
_USED: Final = {name: b"used_" + name for name in _NAMES}  # kept here, as capsules do not copy their names


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


def capsule(
    array: NDArray, dtype: DType, shape: tuple[int, ...], keeper: object, versioned: bool = False, copied: bool = False
) -> object:
    """A capsule over the elements of an array in storage form, which keeper keeps alive; row-major in a shape.

    versioned   it tells its version, and whether it shows a copy
    """
    sizes = (ctypes.c_int64 * max(1, len(shape)))(*shape)
    steps = [1, *accumulate(shape[:0:-1], lambda a, b: a * b)][::-1] if shape else []
    strides = (ctypes.c_int64 * max(1, len(shape)))(*steps)
    code = _CODES.get(dtype, _KINDS[dtype.kind])
    tensor = _DLTensor(array.ctypes.data, *CPU, len(shape), code, dtype.bits, 1, sizes, strides, 0)
    managed: _DLManagedTensor | _DLManagedTensorVersioned
    if versioned:
        managed = _DLManagedTensorVersioned(*VERSION, None, _release, _COPIED if copied else 0, tensor)
    else:
        managed = _DLManagedTensor(tensor, None, _release)
    address = ctypes.addressof(managed)
    _given[address] = (managed, sizes, strides, array, keeper)
    return _new(address, next(name for name, kind in _NAMES.items() if isinstance(managed, kind)), _destroy)


@_Deleter
def _release(address: int) -> None:
    """Called by whoever took a capsule, when its memory is no longer needed."""
    _given.pop(address, None)


@_Destructor
def _destroy(address: int) -> None:
    """Called when a capsule goes; one that nobody took still has its first name."""
    for name in _NAMES:
        if _is_valid(address, name):
            _release(_pointer(address, name))


# ------------------------------------------------------------------------------------------------------ taking


class _Taken:
    """Another library's memory as NumPy sees it; it goes back when no array shows it any more."""

    def __init__(self, managed: _DLManagedTensor | _DLManagedTensorVersioned, address: int) -> None:
        self._managed, self._address = managed, address
        self._read_only = bool(getattr(managed, "flags", 0) & _READ_ONLY)

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
            "data": (place or np.empty(1).ctypes.data, self._read_only),
            "shape": tuple(tensor.shape[:rank]),
            "strides": strides,
            "typestr": kind.str,
        }


def asked(array: Any) -> object:
    """A capsule of another library's array, versioned where that library knows versions.

    What torch only notes down, that values are conjugated or negated, a capsule cannot tell: it is done before.
    """
    for name in ("resolve_conj", "resolve_neg"):
        array = getattr(array, name, lambda same=array: same)()
    try:
        return array.__dlpack__(max_version=VERSION)
    except TypeError:  # a library older than versions
        return array.__dlpack__()


def taken(found: object) -> tuple[NDArray, DType]:
    """The elements a capsule holds, in place: an array in storage form, and their dtype.  The capsule is used up.

    raises BufferError for memory that is not the host's, and for elements no tensor can hold
    """
    place = id(found)
    names = [name for name in _NAMES if type(found).__name__ == "PyCapsule" and _is_valid(place, name)]
    if not names:
        raise BufferError("what __dlpack__() gave is not a fresh DLPack capsule; each can be taken once")
    address = _pointer(place, names[0])
    managed = _NAMES[names[0]].from_address(address)
    if getattr(managed, "major", 1) != VERSION[0]:
        raise BufferError(f"version {managed.major} of DLPack is not known here, but {VERSION[0]} and older ones")
    if managed.tensor.device_type != CPU[0]:
        kind = managed.tensor.device_type
        raise BufferError(f"memory of DLPack's kind of device {kind} is not the host's; copy it there")
    owner = _Taken(managed, address)
    _rename(place, _USED[names[0]])
    return np.asarray(owner), owner.dtype()
