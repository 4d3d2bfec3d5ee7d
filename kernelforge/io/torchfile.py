"""torch's files: the zip archives it writes since version 1.6, and the single stream it wrote before.

Comes in: a `.pt` or `.pth` file.  Goes out: what was saved, with tensors for torch's tensors.  Nothing in a file is run
(see pickled.py), and tensors are mapped like those of safetensors.
"""

from __future__ import annotations

import codecs
import math
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import STORED, DType, dtypes
from kernelforge.errors import FileFormatError
from kernelforge.io.mapped import Mapped, PathLike, tensor_of
from kernelforge.io.pickled import Named, Refused, described
from kernelforge.tensor import Tensor

MAGIC: Final = 0x1950A86A20F9469CFC6C
LOCAL_HEADER: Final = 30  # bytes of a zip entry's header before its name
STORAGES: Final[dict[str, DType]] = {
    "FloatStorage": dtypes.float32, "DoubleStorage": dtypes.float64, "HalfStorage": dtypes.float16,
    "BFloat16Storage": dtypes.bfloat16, "LongStorage": dtypes.int64, "IntStorage": dtypes.int32,
    "ShortStorage": dtypes.int16, "CharStorage": dtypes.int8, "ByteStorage": dtypes.uint8, "BoolStorage": dtypes.bool,
    "ComplexFloatStorage": dtypes.complex64, "ComplexDoubleStorage": dtypes.complex128,
}  # fmt: skip
DTYPES: Final = {dtype.name: dtype for dtype in STORED}


def torch_load(fn: PathLike | Tensor, device: str | None = None) -> Any:
    """What torch.save wrote: a state dict, or any nesting of dicts, lists, numbers and tensors.

    No code runs whatever the file says; it can hold tensors, parameters and plain data, not modules.

    raises FileFormatError for files that are truncated, corrupt or need anything else
    """
    file = Mapped(fn)
    try:
        if file.part(0, min(4, len(file)), "the file").tobytes() == b"PK\x03\x04":
            return _Archive(file, device).value()
        if len(file) and tarfile.is_tarfile(BytesIO(file.part(0, min(1024, len(file)), "the file").tobytes())):
            raise Refused("torch's format before version 0.1.10; load and save it again with a newer torch")
        return _Stream(file, device).value()
    except FileFormatError:
        raise
    except (Refused, zipfile.BadZipFile, ValueError, EOFError, OverflowError, RuntimeError, struct.error) as error:
        raise file.wrong(f"torch_load: {error}") from None


@dataclass(frozen=True)
class Storage:
    """A run of elements of one type, which tensors are windows on; the bytes are found when they are asked for.

    dtype  None: of the type of the tensor that looks at it
    """

    key: str
    dtype: DType | None
    size: int


class _Reader:
    """What both formats share: the names a pickle may use, and tensors over storages."""

    def __init__(self, file: Mapped, device: str | None) -> None:
        self.file, self.device = file, device
        tensors: dict[str, Callable[..., Any]] = {
            "_rebuild_tensor": self._tensor,
            "_rebuild_tensor_v2": self._tensor,
            "_rebuild_tensor_v3": self._typed_tensor,
            "_rebuild_parameter": self._parameter,
            "_rebuild_parameter_with_state": self._parameter,
        }
        self.names: dict[tuple[str, str], Any] = _PLAIN | {
            ("torch._utils", name): Named(make) for name, make in tensors.items()
        }

    def bytes_of(self, storage: Storage, itemsize: int) -> NDArray[np.uint8]:
        """The bytes of a storage."""
        raise NotImplementedError

    def _tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
        if not isinstance(storage, Storage) or storage.dtype is None:
            raise Refused("no valid tensor: it has no storage of a known type")
        return self._window(storage, storage.dtype, storage.size, offset, shape, strides)

    def _typed_tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, _: Any, __: Any, dtype: Any) -> Tensor:
        """A tensor that brings the type its storage lacks."""
        if not isinstance(storage, Storage) or not isinstance(dtype, DType):
            raise Refused("no valid tensor: it has no storage and type")
        size = storage.size if storage.dtype is not None else storage.size // dtype.itemsize
        return self._window(storage, dtype, size, offset, shape, strides)

    def _window(self, storage: Storage, dtype: DType, size: int, offset: Any, shape: Any, strides: Any) -> Tensor:
        """The elements of a storage at offset + sum(index * stride)."""
        numbers = (offset, *shape, *strides)
        if len(shape) != len(strides) or not all(type(number) is int and number >= 0 for number in numbers):
            raise Refused(f"no valid tensor: offset {offset}, shape {shape}, strides {strides}")
        if not math.prod(shape):
            return Tensor.empty(*shape, dtype=dtype, device=self.device)
        # What is repeated (stride 0) is repeated by the tensor, so that it costs no memory here.
        own = tuple(length if step else 1 for length, step in zip(shape, strides))
        last = offset + sum((length - 1) * step for length, step in zip(own, strides))
        if last >= size or math.prod(own) > size:
            raise Refused(f"no valid tensor: element {last:,} of a storage of {size:,}, shape {shape}")
        elements = self.bytes_of(storage, dtype.itemsize)[: size * dtype.itemsize].view(dtype.numpy)[offset:]
        steps = tuple(step * dtype.itemsize for step in strides)
        window = np.lib.stride_tricks.as_strided(elements, own, steps, writeable=False)
        stored = window if window.flags.c_contiguous else np.ascontiguousarray(window)
        tensor = tensor_of(stored, dtype, own, self.device)
        return tensor if own == tuple(shape) else tensor.expand(*shape)

    def _parameter(self, data: Any, requires_grad: Any = True, *_: Any) -> Tensor:
        if not isinstance(data, Tensor):
            raise Refused("no valid parameter: it has no tensor")
        if requires_grad and data.dtype.is_float:
            data.requires_grad = True
        return data


class _Archive(_Reader):
    """A zip archive: data.pkl, and one uncompressed entry a storage."""

    def __init__(self, file: Mapped, device: str | None) -> None:
        super().__init__(file, device)
        with zipfile.ZipFile(BytesIO(file.memory) if isinstance(file.memory, bytes) else file.path) as archive:
            self.entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in self.entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Refused("a zip archive without data.pkl: TorchScript and other archives are not read")
        self.prefix = pickles[0].removesuffix("data.pkl")
        if f"{self.prefix}constants.pkl" in self.entries:
            raise Refused("a TorchScript archive, which is a program; save its state_dict() with torch.save")
        order = f"{self.prefix}byteorder"
        if order in self.entries and self._entry(order).tobytes() != b"little":
            raise Refused("it was written on a machine with another byte order")

    def value(self) -> Any:
        """What was saved."""
        return described(BytesIO(self._entry(f"{self.prefix}data.pkl").tobytes()), self.names, self._storage)

    def _entry(self, name: str) -> NDArray[np.uint8]:
        """The bytes of an entry, where they lie in the file."""
        entry = self.entries.get(name)
        if entry is None:
            raise Refused(f"{name} is missing in the archive")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise Refused(f"{name} is compressed or encrypted, which torch never writes")
        lengths = self.file.part(entry.header_offset + 26, 4, f"the header of {name}").view("<u2")
        start = entry.header_offset + LOCAL_HEADER + int(lengths.sum())
        return self.file.part(start, entry.file_size, name)

    def _storage(self, identity: Any) -> Storage:
        match identity:
            case ("storage", DType() | None as dtype, str(key), str(), int(size)) if size >= 0:
                return Storage(key, dtype, size)
        raise Refused(f"no valid storage: {str(identity)[:80]}")

    def bytes_of(self, storage: Storage, itemsize: int) -> NDArray[np.uint8]:
        found = self._entry(f"{self.prefix}data/{storage.key}")
        needed = storage.size * (storage.dtype.itemsize if storage.dtype else 1)
        if found.size < needed:
            raise Refused(f"storage {storage.key} has {found.size:,} bytes, {needed:,} are needed")
        return found


class _Stream(_Reader):
    """Five pickles one after the other (magic number, version, machine, value, storages' keys), then the storages.

    The value comes before the place of its storages is known, so it is read twice: for their sizes, then for tensors.
    """

    def __init__(self, file: Mapped, device: str | None) -> None:
        super().__init__(file, device)
        self.storages: dict[str, Storage] = {}
        self.starts: dict[str, int] | None = None

    def value(self) -> Any:
        """What was saved."""
        stream: Any = BytesIO() if isinstance(self.file.memory, bytes) else self.file.memory
        stream.seek(0)
        if self._next(stream) != MAGIC:
            raise Refused("neither of torch's formats: no zip archive, and no magic number")
        self._next(stream)
        machine = self._next(stream)
        if not isinstance(machine, dict) or machine.get("little_endian", True) is not True:
            raise Refused("it was written on a machine with another byte order")
        place = stream.tell()
        self._next(stream)
        keys = self._next(stream)
        self.starts = self._places(stream.tell(), keys)
        stream.seek(place)
        return self._next(stream)

    def _next(self, stream: Any) -> Any:
        return described(stream, self.names, self._storage)

    def _places(self, place: int, keys: Any) -> dict[str, int]:
        """Where each storage's bytes begin; before them stands their number of elements."""
        starts: dict[str, int] = {}
        for key in keys if isinstance(keys, list) else ():
            storage = self.storages.get(key) if isinstance(key, str) else None
            if storage is None or storage.dtype is None:
                raise Refused(f"storage {str(key)[:40]!r} is listed, but not used")
            count = int(self.file.part(place, 8, f"the length of storage {key}").view("<i8")[0])
            if count < storage.size:
                raise Refused(f"storage {key} has {count:,} elements, {storage.size:,} are needed")
            starts[key] = place + 8
            place += 8 + count * storage.dtype.itemsize
        return starts

    def _storage(self, identity: Any) -> Storage:
        match identity:
            case ("storage", DType() as dtype, str(key), str(), int(size), None) if size >= 0:
                return self.storages.setdefault(key, Storage(key, dtype, size))
        raise Refused(f"no valid storage: {str(identity)[:80]}")

    def _window(self, storage: Storage, dtype: DType, size: int, offset: Any, shape: Any, strides: Any) -> Tensor:
        if self.starts is None:
            return Tensor.empty(0)  # the first reading only asks which storages there are
        return super()._window(storage, dtype, size, offset, shape, strides)

    def bytes_of(self, storage: Storage, itemsize: int) -> NDArray[np.uint8]:
        assert self.starts is not None
        if storage.key not in self.starts:
            raise Refused(f"storage {storage.key} is not in the file")
        return self.file.part(self.starts[storage.key], storage.size * itemsize, f"storage {storage.key}")


# Plain data ---------------------------------------------------------------------------------------------------------


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    pairs = list(items) if isinstance(items, list | tuple) else None
    if pairs is None or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise Refused("no valid OrderedDict")
    if not all(isinstance(key, str | int) for key, _ in pairs):
        raise Refused("an OrderedDict with keys that are no strings or numbers")
    return OrderedDict((key, value) for key, value in pairs)


def _set(items: Any = ()) -> set[Any]:
    if not isinstance(items, list | tuple) or not all(isinstance(item, str | int | float | bytes) for item in items):
        raise Refused("a set of other things than strings and numbers")
    return set(items)


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocol 2 spells bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("bytes in an encoding that pickles do not use")
    return codecs.encode(text, "latin1")


def _numpy_type(name: Any, *_: Any) -> np.dtype:
    if not isinstance(name, str) or name.lstrip("<=|") not in _NUMPY_TYPES:
        raise Refused(f"a NumPy type {str(name)[:20]!r} that holds no numbers")
    return np.dtype(name)


def _numpy_scalar(kind: Any, data: Any = b"") -> Any:
    if not isinstance(kind, np.dtype) or not isinstance(data, bytes) or len(data) != kind.itemsize:
        raise Refused("no valid NumPy number")
    return np.frombuffer(data, kind)[0]


def _same(value: Any = None, *_: Any) -> Any:
    """Devices and shapes: their name, and the tuple."""
    return value


_NUMPY_TYPES: Final = frozenset(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1"])
_MAKERS: Final[dict[str, Callable[..., Any]]] = {
    "collections.OrderedDict": _ordered,
    "builtins.set": _set,
    "__builtin__.set": _set,
    "_codecs.encode": _encoded,
    "torch.Size": _same,
    "torch.device": _same,
    "numpy.dtype": _numpy_type,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy._core.multiarray.scalar": _numpy_scalar,
}
_PLAIN: Final[dict[tuple[str, str], Any]] = {
    **{(name.rpartition(".")[0], name.rpartition(".")[2]): Named(make) for name, make in _MAKERS.items()},
    **{("torch", name): dtype for name, dtype in (STORAGES | DTYPES).items()},
    ("torch.storage", "UntypedStorage"): None,
    ("torch", "UntypedStorage"): None,
}
