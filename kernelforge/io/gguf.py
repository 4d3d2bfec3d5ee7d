"""GGUF files, which hold language models: settings by name, and tensors, most of them quantised.

Comes in: a file of version 2 or 3.  Goes out: its settings and its tensors.  Plain tensors are mapped, quantised ones
become float32.  Large models in several files are read from the first.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any, Final

from codegen.dtypes import DType, dtypes
from kernelforge.io.blocks import KINDS, decoded
from kernelforge.io.mapped import Mapped, PathLike, tensor_of
from kernelforge.tensor import Tensor

PLAIN: Final[dict[int, DType]] = {
    0: dtypes.float32, 1: dtypes.float16, 24: dtypes.int8, 25: dtypes.int16,
    26: dtypes.int32, 27: dtypes.int64, 28: dtypes.float64, 30: dtypes.bfloat16,
}  # fmt: skip
NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
DEEPEST: Final = 4  # arrays inside arrays


def gguf_load(fn: PathLike | Tensor, device: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The settings and the tensors of a GGUF file.

    Shapes are in the order of torch: the last dimension is the one whose elements lie side by side.

    raises FileFormatError for files that are truncated or corrupt, and for blocks of a kind that is not known
    """
    file = Mapped(fn)
    settings, tensors = _read(file, device)
    for path in _others(file.path, settings):
        tensors |= _read(Mapped(path), device)[1]
    return settings, tensors


def _others(path: Path, settings: dict[str, Any]) -> list[Path]:
    """The other files of a model that is split."""
    count = settings.get("split.count", 1)
    if not isinstance(count, int) or count <= 1:
        return []
    name = re.fullmatch(r"(.*)-00001-of-(\d{5})\.gguf", path.name)
    if name is None or int(name[2]) != count or settings.get("split.no", 0) != 0:
        raise Mapped(path).wrong(f"a part of a model in {count} files: load the first, NAME-00001-of-{count:05}.gguf")
    return [path.with_name(f"{name[1]}-{i:05}-of-{count:05}.gguf") for i in range(2, count + 1)]


def _read(file: Mapped, device: str | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    cursor = _Cursor(file)
    if cursor.bytes(4, "the magic number") != b"GGUF":
        raise file.wrong("no GGUF file: it does not begin with GGUF")
    version = cursor.number("I")
    if version not in (2, 3):
        raise file.wrong(f"GGUF of version {version}; versions 2 and 3 of little-endian machines are read")
    tensors, count = cursor.number("Q"), cursor.number("Q")
    settings = {cursor.text(): cursor.value(cursor.number("I")) for _ in range(count)}
    entries = [_entry(cursor) for _ in range(tensors)]
    alignment = settings.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise file.wrong(f"an alignment of {alignment}")
    start = -(-cursor.place // alignment) * alignment
    found = {name: _tensor(file, name, shape, kind, start + offset, device) for name, shape, kind, offset in entries}
    if len(found) < len(entries):
        raise file.wrong("two tensors have the same name")
    return settings, found


def _entry(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    """Name, shape, type and place of a tensor."""
    name, dimensions = cursor.text(), cursor.number("I")
    if dimensions > 8:
        raise cursor.file.wrong(f"tensor {name!r} has {dimensions} dimensions")
    sizes = [cursor.number("Q") for _ in range(dimensions)]
    return name, tuple(sizes[::-1]), cursor.number("I"), cursor.number("Q")


def _tensor(file: Mapped, name: str, shape: tuple[int, ...], kind: int, place: int, device: str | None) -> Tensor:
    count, what = math.prod(shape), f"tensor {name!r}"
    if kind in PLAIN:
        dtype = PLAIN[kind]
        return tensor_of(file.part(place, count * dtype.itemsize, what), dtype, shape, device)
    block = KINDS.get(kind)
    if block is None:
        known = ", ".join(kind.name for kind in KINDS.values())
        raise file.wrong(f"{what} has blocks of type {kind}; known are {known} and plain numbers")
    if count % block.values:
        raise file.wrong(f"{what} of {shape} is not made of {block.name} blocks of {block.values}")
    values = decoded(block, file.part(place, count // block.values * block.size, what))
    return tensor_of(values, dtypes.float32, shape, device)


class _Cursor:
    """A place in the file that moves on with what is read."""

    def __init__(self, file: Mapped) -> None:
        self.file, self.place = file, 0

    def bytes(self, size: int, what: str) -> bytes:
        found = self.file.part(self.place, size, what).tobytes()
        self.place += size
        return found

    def number(self, code: str) -> Any:
        """A number of struct's type."""
        return struct.unpack("<" + code, self.bytes(struct.calcsize("<" + code), "a number"))[0]

    def text(self) -> str:
        """A string behind its length."""
        try:
            return self.bytes(self.number("Q"), "a string").decode()
        except UnicodeDecodeError:
            raise self.file.wrong(f"the string before byte {self.place:,} is no text") from None

    def value(self, kind: int, depth: int = 0) -> Any:
        """A setting: a number, a string, or a list of either."""
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == STRING:
            return self.text()
        if kind != ARRAY or depth == DEEPEST:
            raise self.file.wrong(f"a setting of type {kind} before byte {self.place:,}")
        inner, count = self.number("I"), self.number("Q")
        if inner in NUMBERS:
            size = struct.calcsize("<" + NUMBERS[inner])
            data = self.bytes(count * size, f"a list of {count:,} numbers")
            return list(struct.unpack(f"<{count}{NUMBERS[inner]}", data))
        return [self.value(inner, depth + 1) for _ in range(count)]
