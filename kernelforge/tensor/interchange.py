"""Tensors and the arrays of other libraries: NumPy's protocol and DLPack, without copies where that can be.

Comes in: tensors, or arrays of any library that speaks DLPack.  Goes out: the other.  Memory that is shared has the
elements as long as either side needs it; what the other side writes into it is seen by tensors not yet computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codegen.dtypes import DType, dtypes
from kernelforge import dlpack, graph
from kernelforge.buffer import Buffer
from kernelforge.errors import ArgumentError, DTypeError
from kernelforge.kernels import Device
from kernelforge.kinds import as_dtype
from kernelforge.later import later
from kernelforge.recording import recorder
from kernelforge.tensor.convert import Convert, realize_tensors
from kernelforge.tensor.core import Core

if TYPE_CHECKING:
    from kernelforge import realize
    from kernelforge.execution import running
else:
    later(globals(), realize="kernelforge.realize", running="kernelforge.execution.running")


class Interchange(Convert):
    """What other libraries need of a tensor, and how a tensor is made of theirs."""

    __slots__ = ()

    # Giving -----------------------------------------------------------------------------------------------------

    def _shared(self) -> tuple[NDArray, object] | None:
        """The computed elements in place, in storage form, and what keeps them; None if the host cannot reach them."""
        if (active := recorder.get()) is not None:
            active.refuse("gives the memory of a tensor to another library")
        realize_tensors((self,))
        stored = self._stored
        assert stored is not None
        if not stored.size:
            return np.empty(0, self.dtype.numpy), None
        realize.synchronize(stored.device)
        memory = running.resident(stored)
        return None if memory.host is None else (memory.host.view(self.dtype.numpy)[: self.numel()], memory)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        """The values for NumPy: a copy, unless copy is False, which gives a read-only view of the tensor's memory.

        raises ArgumentError when copy is False and the values are elsewhere or of another type
        """
        if copy is not False:
            return self.numpy() if dtype is None else self.numpy().astype(dtype, copy=False)
        own = self.dtype.numpy
        found = None if self.dtype.shown != own or dtype not in (None, own) else self._shared()
        if found is None:
            raise ArgumentError(f"a tensor of {self.dtype} on {self.device} cannot be shown as an array without a copy")
        view = np.asarray(_Kept(*found))
        view.flags.writeable = False
        return view.reshape(self.shape)

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """A DLPack capsule of the computed values in the tensor's own memory; in a copy when asked for, or if that is
        not the host's.

        raises BufferError when only a copy would do and copy is False, or for another device than the host
        """
        if dl_device not in (None, dlpack.CPU):
            raise BufferError(f"a tensor is given to others in the host's memory, not on device {dl_device}")
        found, copied = (None if copy else self._shared()), False
        if found is None:
            if copy is False:
                raise BufferError(f"a tensor on {self.device} cannot be given to others without a copy")
            self.realize()
            assert self._stored is not None
            found = realize.contents(self._stored), None
            copied = True
        elif self._stored is not None:
            self._stored.shared = True
        versioned = max_version is not None and tuple(max_version) >= dlpack.VERSION
        return dlpack.capsule(found[0], self.dtype, self.shape, found[1], versioned, copied)

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's kind and number of the device: the host, whose memory values are given in."""
        return dlpack.CPU

    # Taking -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_dlpack(cls, ext_tensor: Any, /, *, device: str | None = None, copy: bool | None = None) -> Self:
        """A tensor of another library's array, in the same memory where the device can work in it.

        device   the default device when None
        copy     True: never the same memory; False: an error instead of a copy

        >>> import numpy as np
        >>> Tensor.from_dlpack(np.arange(3)).tolist()
        [0, 1, 2]

        raises BufferError for memory that is not the host's, for types no tensor has, and if copy is False
        """
        array, dtype = dlpack.taken(dlpack.asked(ext_tensor))
        return cls._of_storage(array, dtype, device, copy)

    @classmethod
    def from_numpy(cls, array: NDArray, /, *, device: str | None = None, copy: bool | None = None) -> Self:
        """A tensor of a NumPy array, in the same memory where the device can work in it; see from_dlpack()."""
        try:
            dtype = as_dtype(array.dtype)
        except TypeError:
            raise DTypeError(f"a tensor cannot hold NumPy's {array.dtype}; convert it with .astype(...)") from None
        return cls._of_storage(array, dtype, device, copy)

    @classmethod
    def as_tensor(cls, data: Any, dtype: DType | str | None = None, device: str | None = None) -> Self:
        """Data as a tensor: itself if it is one, over the same memory if it is an array, else a copy.

        >>> x = Tensor([1, 2])
        >>> Tensor.as_tensor(x) is x
        True
        """
        if not isinstance(data, Core):
            if not isinstance(data, np.ndarray):
                return cls(data, device=device, dtype=dtype)
            data = cls.from_numpy(data, device=device)
        made = data if device is None or Device.canonicalize(device) == data.device else data.to(device)
        return made if dtype is None else made.cast(dtype)

    asarray = as_tensor

    @classmethod
    def scalar_tensor(
        cls,
        s: complex,
        *,
        dtype: DType | str | None = None,
        device: str | None = None,
        requires_grad: bool | None = None,
    ) -> Self:
        """A number as a tensor without dimensions, of the default float type unless another is given."""
        kind = dtype or (dtypes.default_float.complex if s.imag else dtypes.default_float)
        return cls(s, device, kind, requires_grad)

    @classmethod
    def frombuffer(
        cls, buffer: Any, *, dtype: DType | str, count: int = -1, offset: int = 0, requires_grad: bool | None = None
    ) -> Self:
        """A vector of the numbers in an object's memory, over that memory where it may be written to.

        count    how many; all when -1
        offset   bytes to leave out in front

        >>> Tensor.frombuffer(bytearray(b"abc"), dtype="uint8", offset=1).tolist()
        [98, 99]
        """
        kind = as_dtype(dtype)
        made = cls._of_storage(np.frombuffer(buffer, kind.numpy, count, offset), kind, None, None)
        return made if requires_grad is None else made.requires_grad_(requires_grad)

    @classmethod
    def _of_storage(cls, array: NDArray, dtype: DType, device: str | None, copy: bool | None) -> Self:
        """A tensor over an array in storage form, or over a copy of it."""
        place = Device.canonicalize(device)
        in_place = not copy and array.size > 0 and array.flags.c_contiguous and array.flags.writeable
        memory = Device[place].adopt(array) if in_place else None
        if memory is None and copy is False:
            raise BufferError(f"device {place} cannot work in the memory of this array: it must be copied")
        if memory is None:
            flat = np.array(array, order="C").reshape(-1).view(dtype.stored.numpy)
            buffer = Buffer(flat.size, dtype.stored, place, flat)
        else:
            buffer = Buffer(array.size * dtype.parts, dtype.stored, place, None, memory)
            buffer.shared = True
            if (active := recorder.get()) is not None:
                active.shared(array)
        return cls._made(graph.buffer(buffer, tuple(array.shape), dtype), None, None)


class _Kept:
    """Memory as NumPy sees it; arrays made from it keep what keeps it."""

    def __init__(self, array: NDArray, keeper: object) -> None:
        self.__array_interface__, self._keeper = array.__array_interface__, (array, keeper)
