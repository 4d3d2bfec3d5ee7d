"""The array of elements behind a computed node.

Comes in: a size, a dtype and the name of a device.  Goes out: `Buffer`, which holds its elements in a NumPy array, in
device memory, or in neither until it is allocated.  How memory is reached is the runtimes' business: a buffer only
keeps the handle they gave it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, to_storage
from kernelforge.native import NO_MORE, record

if TYPE_CHECKING:
    _Fields = object
else:
    _Fields = record("Buffer", "device", "dtype", "host", "memory", "shared", "size")


class Buffer(_Fields):
    """A one-dimensional array of `size` elements of one dtype on one device.

    size    number of elements, 0 included
    host    a flat NumPy array in storage form (`dtype.numpy`) until the elements are copied to the device, else None
    memory  the runtime's handle once the buffer is allocated, else None
    shared  whether another library has the same memory, so that no result may take its place

    A graph node names a buffer by identity, so its elements must not change while a node that reads it is still to be
    computed: an assignment makes a new Buffer.

    >>> import numpy as np
    >>> from codegen.dtypes import dtypes
    >>> Buffer.from_numpy(np.arange(6).reshape(2, 3), dtypes.float32, "CPU")
    Buffer(6, float32, CPU, host)
    """

    size: int
    dtype: DType
    device: str
    host: NDArray | None
    memory: Any
    shared: bool

    __slots__ = NO_MORE

    def __init__(self, size: int, dtype: DType, device: str, host: NDArray | None = None, memory: Any = None) -> None:
        self.size, self.dtype, self.device, self.host, self.memory = size, dtype, device, host, memory
        self.shared = False

    @staticmethod
    def from_numpy(values: NDArray, dtype: DType, device: str) -> Buffer:
        """A buffer with the given values, converted to dtype and flattened; it shares no memory with values.

        Of complex numbers and 8-bit floats it holds what they are stored as.
        """
        stored = to_storage(values, dtype).reshape(-1).view(dtype.stored.numpy)  # always a copy
        return Buffer(stored.size, dtype.stored, device, host=stored)

    @staticmethod
    def filled(size: int, value: complex, dtype: DType, device: str) -> Buffer:
        """A buffer with one value everywhere, as from_numpy() makes it of so many."""
        one = to_storage(np.asarray(value, dtype.compute), dtype).reshape(-1).view(dtype.stored.numpy)
        stored = np.empty((size, one.size), one.dtype)
        stored[:] = one
        return Buffer(stored.size, dtype.stored, device, host=stored.reshape(-1))

    @property
    def nbytes(self) -> int:
        """Bytes its elements occupy."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        place = "host" if self.host is not None else "memory" if self.memory is not None else "unallocated"
        return f"Buffer({self.size}, {self.dtype}, {self.device}, {place})"
