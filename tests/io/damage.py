"""Files with something wrong in them, and what every reader must do with those."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from kernelforge.errors import FileFormatError
from kernelforge.tensor import Tensor


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A file cut off, or with a few bytes changed, put in or left out."""
    if draw(st.booleans()):
        return good[: draw(st.integers(0, len(good) - 1))]
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        end = place + draw(st.integers(0, 4))
        data[place:end] = draw(st.binary(max_size=4) | st.sampled_from([b"\xff" * 8, b"\x00" * 8, b"-1", b"1e9"]))
    return bytes(data)


def survives(read: Callable[[Path], Any], path: Path, data: bytes) -> None:
    """The reader gives values that can be computed, or a FileFormatError that names the file; nothing else."""
    path.write_bytes(data)
    try:
        value = read(path)
    except FileFormatError as error:
        assert str(path) in str(error)
        return
    compute(value)


def compute(value: Any) -> None:
    """Computes every tensor of moderate size in a nested value."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor) and value.numel() < 1 << 20:
            value.numpy()
        elif isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
