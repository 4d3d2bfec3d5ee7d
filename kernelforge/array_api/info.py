"""What the array API namespace can do.

Comes in: questions.  Goes out: dictionaries of devices and types.
"""

from __future__ import annotations

from typing import Any, Final

from codegen.dtypes import DType, dtypes
from kernelforge.array_api.types import isdtype
from kernelforge.kernels import Device

_TYPES: Final = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64",
    "complex128",
)  # fmt: skip


class Info:
    """What `__array_namespace_info__()` gives."""

    def capabilities(self) -> dict[str, Any]:
        """Masks index, shapes may depend on values, and there is a largest number of dimensions: none."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": None}

    def default_device(self) -> str:
        """The device of tensors that name none."""
        return Device.DEFAULT

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The types of tensors that name none."""
        return {
            "real floating": dtypes.default_float,
            "complex floating": dtypes.default_float.complex,
            "integral": dtypes.default_int,
            "indexing": dtypes.default_int,
        }

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, DType]:
        """The types there are, or those of a kind."""
        found = {name: getattr(dtypes, name) for name in _TYPES}
        return found if kind is None else {name: dtype for name, dtype in found.items() if isdtype(dtype, kind)}

    def devices(self) -> list[str]:
        """The devices there are."""
        return Device.available()


def __array_namespace_info__() -> Info:
    """What the namespace can do."""
    return Info()
