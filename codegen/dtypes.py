"""Element types: names, sizes, NumPy storage and the promotion rules.

Comes in: nothing.  Goes out: `DType` values in the namespace `dtypes`, `promote`, and conversion to and from the arrays
that hold them.  NumPy has no bfloat16, so it is stored as its raw bits in uint16 and computed in float32.  Kernels know
the types of `ALL`; complex numbers and 8-bit floats are spelled in these before there is a kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class DType:
    """An element type.

    name     the field's standard name, "float32"
    kind     "b" bool, "i" signed, "u" unsigned, "f" floating, "c" complex
    bits     width of one element in memory
    numpy    the NumPy type that stores it (uint16 for bfloat16, uint8 for 8-bit floats)
    compute  the NumPy type arithmetic is done in (float32 for floats of fewer bits)
    """

    name: str
    kind: str
    bits: int
    priority: int
    numpy: np.dtype = field(repr=False)
    compute: np.dtype = field(repr=False)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return max(1, self.bits // 8)

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_inexact(self) -> bool:
        """True for floating-point and complex types: those that have gradients."""
        return self.kind in "fc"

    @property
    def stored(self) -> DType:
        """The type of the values memory holds: the parts of complex numbers, the bytes of 8-bit floats."""
        return self.real if self.kind == "c" else dtypes.uint8 if self in FLOAT8 else self

    @property
    def shown(self) -> np.dtype:
        """The NumPy type values come in: float32 where NumPy has none of these bits."""
        return self.numpy if self.kind != "f" or self.numpy.kind == "f" else self.compute

    @property
    def __numpy_dtype__(self) -> np.dtype:
        """What NumPy asks for where it is given this type in the place of one of its own."""
        return self.shown

    @property
    def parts(self) -> int:
        """How many values of type `stored` make one element: two for complex numbers."""
        return 2 if self.kind == "c" else 1

    @property
    def real(self) -> DType:
        """The type of a complex type's parts; itself otherwise."""
        return self if self.kind != "c" else dtypes.float32 if self.bits == 64 else dtypes.float64

    @property
    def complex(self) -> DType:
        """The complex type for values of this type, complex64 for narrower ones than float64."""
        return self if self.kind == "c" else dtypes.complex128 if self is dtypes.float64 else dtypes.complex64

    @property
    def is_int(self) -> bool:
        """True for signed and unsigned integers, False for bool."""
        return self.kind in "iu"

    @property
    def is_narrow_float(self) -> bool:
        """True for the float types that are only stored: arithmetic on them is done in float32."""
        return self.kind == "f" and self.bits < 32

    @property
    def arithmetic(self) -> DType:
        """The type in which values of this type are computed: float32 for narrower floats, itself otherwise."""
        return dtypes.float32 if self.is_narrow_float else self

    @property
    def min(self) -> int | float | bool:
        """The smallest value: -inf for floats."""
        if self.kind == "f":
            return float("-inf")
        return False if self.kind == "b" else 0 if self.kind == "u" else -(1 << (self.bits - 1))

    @property
    def max(self) -> int | float | bool:
        """The largest value: inf for floats."""
        if self.kind == "f":
            return float("inf")
        return True if self.kind == "b" else (1 << (self.bits - (self.kind == "i"))) - 1

    @property
    def largest(self) -> int | float | bool:
        """The largest finite value."""
        if self.kind != "f":
            return self.max
        return float(np.finfo(self.numpy).max) if self.numpy.kind == "f" else _LARGEST[self.name]

    @property
    def eps(self) -> float:
        """The distance from 1 to the next larger number of a floating-point type."""
        return float(2.0 ** -_DIGITS[self.name][0])

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number of a floating-point type that has all digits."""
        return float(2.0 ** _DIGITS[self.name][1])

    @property
    def is_floating_point(self) -> bool:
        """is_float, as torch names it."""
        return self.is_float

    def __repr__(self) -> str:
        return f"dtypes.{self.name}"

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[object, ...]:
        return (dtype_named, (self.name,))


def _make(name: str, kind: str, bits: int, priority: int, numpy: str, compute: str | None = None) -> DType:
    return DType(name, kind, bits, priority, np.dtype(numpy), np.dtype(compute or numpy))


class dtypes:
    """The namespace of element types, with the aliases users know: `dtypes.float`, `dtypes.half`, `dtypes.int`, ..."""

    bool: Final = _make("bool", "b", 8, 0, "bool")
    int8: Final = _make("int8", "i", 8, 1, "int8")
    uint8: Final = _make("uint8", "u", 8, 2, "uint8")
    int16: Final = _make("int16", "i", 16, 3, "int16")
    uint16: Final = _make("uint16", "u", 16, 4, "uint16")
    int32: Final = _make("int32", "i", 32, 5, "int32")
    uint32: Final = _make("uint32", "u", 32, 6, "uint32")
    int64: Final = _make("int64", "i", 64, 7, "int64")
    uint64: Final = _make("uint64", "u", 64, 8, "uint64")
    float16: Final = _make("float16", "f", 16, 10, "float16", "float32")
    bfloat16: Final = _make("bfloat16", "f", 16, 11, "uint16", "float32")
    float32: Final = _make("float32", "f", 32, 12, "float32")
    float64: Final = _make("float64", "f", 64, 13, "float64")
    float8_e4m3fn: Final = _make("float8_e4m3fn", "f", 8, 9, "uint8", "float32")
    float8_e5m2: Final = _make("float8_e5m2", "f", 8, 9, "uint8", "float32")
    complex64: Final = _make("complex64", "c", 64, 14, "complex64")
    complex128: Final = _make("complex128", "c", 128, 15, "complex128")

    char: Final = int8
    uchar: Final = uint8
    short: Final = int16
    ushort: Final = uint16
    int: Final = int32
    uint: Final = uint32
    long: Final = int64
    ulong: Final = uint64
    half: Final = float16
    float: Final = float32
    double: Final = float64
    cfloat: Final = complex64
    cdouble: Final = complex128
    fp8e4m3: Final = float8_e4m3fn
    fp8e5m2: Final = float8_e5m2

    default_float: DType = float32
    default_int: DType = int32

    @staticmethod
    def is_float(dtype: DType) -> bool:  # type: ignore[valid-type]
        return dtype.is_float

    @staticmethod
    def is_int(dtype: DType) -> bool:  # type: ignore[valid-type]
        return dtype.is_int

    @staticmethod
    def is_unsigned(dtype: DType) -> bool:  # type: ignore[valid-type]
        return dtype.kind == "u"


ALL: Final[tuple[DType, ...]] = (
    dtypes.bool, dtypes.int8, dtypes.uint8, dtypes.int16, dtypes.uint16, dtypes.int32, dtypes.uint32,
    dtypes.int64, dtypes.uint64, dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64,
)  # fmt: skip
COMPLEX: Final = (dtypes.complex64, dtypes.complex128)
FLOAT8: Final = (dtypes.float8_e4m3fn, dtypes.float8_e5m2)
STORED: Final = (*ALL, *FLOAT8, *COMPLEX)  # all types of elements, whether kernels know them or not
_NAMES: Final[dict[str, DType]] = {d.name: d for d in STORED}
_OF_NUMPY: Final = {np.dtype(d.name): d for d in STORED if d.name in np.sctypeDict}  # NumPy takes long to say a name
_DIGITS: Final = {  # bits behind the point, and the smallest exponent of normal numbers
    "float8_e4m3fn": (3, -6), "float8_e5m2": (2, -14), "float16": (10, -14), "bfloat16": (7, -126),
    "float32": (23, -126), "float64": (52, -1022),
}  # fmt: skip
_LARGEST: Final = {"bfloat16": (2 - 2.0**-7) * 2.0**127, "float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


def dtype_named(name: str) -> DType:
    """The element type with a name; raises KeyError when there is none."""
    return _NAMES[name]


def as_dtype(value: object) -> DType:
    """The DType meant by a DType, a name ("float32", "half"), a NumPy type or a Python type.

    raises TypeError for anything else
    """
    if isinstance(value, DType):
        return value
    if isinstance(value, np.dtype) and (of_numpy := _OF_NUMPY.get(value)) is not None:
        return of_numpy
    if isinstance(value, str):
        found = _NAMES.get(value) or getattr(dtypes, value, None)
        if isinstance(found, DType):
            return found
        raise TypeError(f"unknown dtype {value!r}; known: {', '.join(_NAMES)}")
    if value is bool:
        return dtypes.bool
    if value is int:
        return dtypes.default_int
    if value is float:
        return dtypes.default_float
    if value is complex:
        return dtypes.default_float.complex
    try:
        return _NAMES[np.dtype(value).name]  # type: ignore[call-overload]
    except (TypeError, KeyError):
        raise TypeError(f"no dtype corresponds to {value!r}; known: {', '.join(_NAMES)}") from None


# The types directly above each type; the lattice is the one torch, JAX and tinygrad share, with uint64 -> float.  An
# 8-bit float beside an integer stays what it is, as in tinygrad; it is not above integers, for int64 beside uint64.
_ABOVE: Final[dict[DType, tuple[DType, ...]]] = {
    dtypes.bool: (dtypes.int8, dtypes.uint8),
    dtypes.int8: (dtypes.int16,),
    dtypes.uint8: (dtypes.int16, dtypes.uint16),
    dtypes.int16: (dtypes.int32,),
    dtypes.uint16: (dtypes.int32, dtypes.uint32),
    dtypes.int32: (dtypes.int64,),
    dtypes.uint32: (dtypes.int64, dtypes.uint64),
    dtypes.int64: (dtypes.float16, dtypes.bfloat16),
    dtypes.uint64: (dtypes.float16, dtypes.bfloat16),
    dtypes.float8_e4m3fn: (dtypes.float16, dtypes.bfloat16),
    dtypes.float8_e5m2: (dtypes.float16, dtypes.bfloat16),
    dtypes.float16: (dtypes.float32,),
    dtypes.bfloat16: (dtypes.float32,),
    dtypes.float32: (dtypes.float64, dtypes.complex64),
    dtypes.float64: (dtypes.complex128,),
    dtypes.complex64: (dtypes.complex128,),
    dtypes.complex128: (),
}


def _upward(dtype: DType) -> frozenset[DType]:
    found, pending = {dtype}, [dtype]
    while pending:
        for above in _ABOVE[pending.pop()]:
            if above not in found:
                found.add(above)
                pending.append(above)
    return frozenset(found)


_UPWARD: Final[dict[DType, frozenset[DType]]] = {d: _upward(d) for d in STORED}
_PROMOTED: Final[dict[tuple[DType, DType], DType]] = {
    (a, b): min(_UPWARD[a] & _UPWARD[b], key=lambda d: d.priority) for a in STORED for b in STORED
} | {pair: narrow for narrow in FLOAT8 for x in STORED if x.kind in "biu" for pair in ((x, narrow), (narrow, x))}


def promote(first: DType, *rest: DType) -> DType:
    """The smallest type that holds values of all the given types.

    >>> promote(dtypes.int32, dtypes.float16), promote(dtypes.uint8, dtypes.int8)
    (dtypes.float16, dtypes.int16)
    """
    for other in rest:
        first = _PROMOTED[first, other]
    return first


def round_to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of float32 values rounded to bfloat16, to nearest even; NaN stays NaN."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def to_storage(values: NDArray, dtype: DType) -> NDArray:
    """Values converted to the array that stores them as dtype; float to int conversion truncates."""
    if dtype is dtypes.bfloat16:
        with np.errstate(all="ignore"):
            return round_to_bfloat16(np.asarray(values).astype(np.float32))
    if dtype in FLOAT8:
        with np.errstate(all="ignore"):
            return round_to_float8(np.asarray(values).astype(np.float32), dtype)
    values = np.asarray(values)
    if values.dtype == dtype.numpy:
        return values.astype(dtype.numpy)
    with np.errstate(all="ignore"):
        return (values.real if values.dtype.kind == "c" and dtype.kind in "iuf" else values).astype(dtype.numpy)


def from_storage(stored: NDArray, dtype: DType) -> NDArray:
    """The values held by a storage array, in dtype's own NumPy type, or float32 for bfloat16 and 8-bit floats.

    A flat array may hold complex numbers as their parts, one after the other.
    """
    if dtype is dtypes.bfloat16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if dtype in FLOAT8:
        return _FLOAT8_VALUES[dtype][stored]
    return stored if stored.dtype == dtype.numpy else stored.view(dtype.numpy)


_FLOAT8_DIGITS: Final = {dtypes.float8_e4m3fn: 3, dtypes.float8_e5m2: 2}


def float8_format(dtype: DType) -> tuple[int, int]:
    """The digits after the point and the exponent's bias of an 8-bit float type."""
    digits = _FLOAT8_DIGITS[dtype]
    return digits, (1 << (6 - digits)) - 1


def _float8_values(dtype: DType) -> NDArray[np.float32]:
    """The value of each byte."""
    digits, bias = float8_format(dtype)
    byte = np.arange(256)
    exponent, fraction = (byte & 127) >> digits, byte & ((1 << digits) - 1)
    normal = (1 + fraction / 2.0**digits) * 2.0 ** (exponent - bias)
    values = np.where(exponent == 0, fraction * 2.0 ** (1 - bias - digits), normal)
    if dtype is dtypes.float8_e5m2:
        values = np.where(exponent == 31, np.where(fraction == 0, np.inf, np.nan), values)
    values = np.where((byte & 127) == 127, np.nan, values)
    return np.where(byte < 128, values, -values).astype(np.float32)


_FLOAT8_VALUES: Final = {dtype: _float8_values(dtype) for dtype in FLOAT8}


def round_to_float8(values: NDArray[np.float32], dtype: DType) -> NDArray[np.uint8]:
    """The bytes of float32 values rounded to an 8-bit float, to nearest even.

    What is beyond the largest is the largest in e4m3fn, which has no infinity, and infinite in e5m2.
    """
    digits, bias = float8_format(dtype)
    size, above = np.abs(values), 2.0 * float(dtype.largest)
    size = np.where(np.isnan(size) | (size > above), np.float32(above), size)
    exponent = np.frexp(np.maximum(size, 2.0 ** (1 - bias)))[1] - 1
    steps = np.rint(np.ldexp(size, digits - exponent)) + np.ldexp(exponent + bias - 1.0, digits)
    over = 126 if dtype is dtypes.float8_e4m3fn else 124
    found = np.where(np.isnan(values), 127, np.minimum(steps, over)).astype(np.uint8)
    return (found | (np.signbit(values).astype(np.uint8) << 7)).astype(np.uint8)
