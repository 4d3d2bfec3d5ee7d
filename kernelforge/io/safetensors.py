"""The safetensors format: a length, a header in JSON, and the tensors' bytes.

Comes in: tensors or arrays by name, or a file of them.  Goes out: the other.  Every rule of the format is checked
before a tensor is made, so a file that passes has every byte in exactly one tensor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from codegen.dtypes import DType, as_dtype, dtypes, to_storage
from kernelforge.errors import DTypeError
from kernelforge.io.atomic import written_whole
from kernelforge.io.mapped import Mapped, PathLike, tensor_of
from kernelforge.realize import contents
from kernelforge.tensor import Tensor

NAMES: Final[dict[str, DType]] = {
    "BOOL": dtypes.bool, "I8": dtypes.int8, "U8": dtypes.uint8, "I16": dtypes.int16, "U16": dtypes.uint16,
    "I32": dtypes.int32, "U32": dtypes.uint32, "I64": dtypes.int64, "U64": dtypes.uint64, "F16": dtypes.float16,
    "BF16": dtypes.bfloat16, "F32": dtypes.float32, "F64": dtypes.float64, "F8_E4M3": dtypes.float8_e4m3fn,
    "F8_E5M2": dtypes.float8_e5m2, "C64": dtypes.complex64,
}  # fmt: skip
CODES: Final = {dtype: name for name, dtype in NAMES.items()}
LONGEST_HEADER: Final = 100_000_000  # bytes, the format's own limit
ALIGNMENT: Final = 64  # where the first tensor starts in files written here


def safe_load(fn: PathLike | Tensor, device: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    The file is mapped: each tensor's bytes are read when it is first needed, straight to its device.  Instead of a path
    fn may be the file's bytes, for instance Tensor.from_url(..).

    raises FileFormatError for a file that breaks any rule of the format
    """
    file = Mapped(fn)
    start, header = _header(file)
    header.pop("__metadata__", None)
    spans = _spans(file, header, len(file) - start)
    return {
        name: tensor_of(file.part(start + begin, end - begin, f"tensor {name!r}"), dtype, shape, device)
        for name, (dtype, shape, begin, end) in spans.items()
    }


def safe_load_metadata(fn: PathLike | Tensor) -> dict[str, str]:
    """What a safetensors file says about itself: strings by name, none of them needed to read it."""
    return _metadata(file := Mapped(fn), _header(file)[1])


def safe_save(tensors: Mapping[str, Any], fn: PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors or arrays to a safetensors file, which appears whole or not at all.

    metadata  strings by name to keep with them

    raises DTypeError for arrays of types no tensor has
    """
    given = dict(tensors)
    if "__metadata__" in given or not all(isinstance(text, str) for text in (metadata or {}).values()):
        raise ValueError("a safetensors file has strings as metadata, and no tensor called __metadata__")
    lazy = [value for value in given.values() if isinstance(value, Tensor)]
    if lazy:
        lazy[0].realize(*lazy[1:])
    types = {name: _type(name, value) for name, value in given.items()}
    order = sorted(given, key=lambda name: -types[name].itemsize)  # wide elements first, so that all are aligned
    text = _described([(name, types[name], tuple(given[name].shape)) for name in order], metadata)
    with written_whole(fn) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            file.write(_bytes(given[name], types[name]))


def _type(name: str, value: Any) -> DType:
    try:
        found: DType = value.dtype if isinstance(value, Tensor) else as_dtype(value.dtype)
    except (AttributeError, TypeError):
        kind = getattr(value, "dtype", type(value).__name__)
        raise DTypeError(f"{name!r} is {kind}, which safetensors cannot hold; make it a tensor or an array") from None
    if found not in CODES:
        raise DTypeError(f"{name!r} is {found}, which safetensors cannot hold; cast it")
    return found


def _described(entries: list[tuple[str, DType, tuple[int, ...]]], metadata: Mapping[str, str] | None) -> bytes:
    """The header of a file whose tensors follow each other, padded so that the first is aligned."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name, dtype, shape in entries:
        end = offset + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": CODES[dtype], "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-(8 + len(text)) % ALIGNMENT)


def _bytes(value: Any, dtype: DType) -> bytes | memoryview:
    """The elements as they are stored, in order."""
    stored = value._stored if isinstance(value, Tensor) else None
    array = to_storage(np.asarray(value), dtype) if stored is None else contents(stored)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b""


# Reading ------------------------------------------------------------------------------------------------------------


def _header(file: Mapped) -> tuple[int, dict[str, Any]]:
    """Where the tensors' bytes start, and what the header says."""
    size = int.from_bytes(file.part(0, 8, "the header's length").tobytes(), "little")
    if size > LONGEST_HEADER:
        raise file.wrong(f"no safetensors file: its header would be {size:,} bytes, the limit is {LONGEST_HEADER:,}")
    text = file.part(8, size, "the header").tobytes()
    try:
        header = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise file.wrong(f"the header is no JSON: {error}") from None
    if not text.startswith(b"{") or not isinstance(header, dict):
        raise file.wrong("the header is not a JSON object")
    return 8 + size, header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands in it twice")
    return found


def _metadata(file: Mapped, header: dict[str, Any]) -> dict[str, str]:
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise file.wrong("__metadata__ is not made of strings")
    return metadata


def _spans(file: Mapped, header: dict[str, Any], size: int) -> dict[str, tuple[DType, tuple[int, ...], int, int]]:
    """Type, shape, begin and end of every tensor; together they are all bytes, each once."""
    found = {name: _span(file, name, entry) for name, entry in header.items()}
    place = 0
    for name, (_, _, begin, end) in sorted(found.items(), key=lambda item: item[1][2:]):
        if begin != place:
            raise file.wrong(f"tensor {name!r} begins at byte {begin:,} of the data, where {place:,} is expected")
        place = end
    if place != size:
        raise file.wrong(f"truncated or corrupt: the tensors are {place:,} bytes, the file has {size:,} for them")
    return found


def _span(file: Mapped, name: str, entry: Any) -> tuple[DType, tuple[int, ...], int, int]:
    try:
        code, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise file.wrong(f"tensor {name!r} has no dtype, shape and two data_offsets: {str(entry)[:80]}") from None
    if not isinstance(code, str) or code not in NAMES:
        raise file.wrong(f"tensor {name!r} is of type {code!r}; known are {', '.join(NAMES)}")
    if not isinstance(shape, list) or not all(type(number) is int and number >= 0 for number in [*shape, begin, end]):
        raise file.wrong(f"tensor {name!r} has shape {shape} and offsets {[begin, end]}")
    needed = math.prod(shape) * NAMES[code].itemsize
    if end - begin != needed:
        raise file.wrong(f"tensor {name!r} of {code} and shape {shape} needs {needed:,} bytes, it has {end - begin:,}")
    return NAMES[code], tuple(shape), begin, end
