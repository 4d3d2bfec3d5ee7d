"""GGUF: every block layout against its definition element by element, plain tensors, settings, and broken files."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.errors import FileFormatError
from kernelforge.io import gguf_load
from kernelforge.io.blocks import CODEBOOK, FP4, KINDS, decoded
from tests.io.damage import damaged, survives

# Blocks: value i of a block, spelled out one element at a time --------------------------------------------------------


def half(b: bytes, place: int) -> float:
    return float(np.frombuffer(b, np.float16, 1, place)[0])


def nibble(b: bytes, start: int, i: int, run: int) -> int:
    """Number i of 4 bits where a byte holds numbers i and i + run of each 2 * run."""
    group, within = divmod(i, 2 * run)
    return b[start + group * run + within % run] >> (4 if within >= run else 0) & 15


def pair(b: bytes, start: int, i: int) -> int:
    """Number i of 2 bits where a byte holds numbers i, i + 32, i + 64 and i + 96 of each 128."""
    group, within = divmod(i, 128)
    return b[start + group * 32 + within % 32] >> (2 * (within // 32)) & 3


def bit(b: bytes, start: int, i: int) -> int:
    return b[start + i // 8] >> (i % 8) & 1


def plane(b: bytes, start: int, i: int) -> int:
    """Bit i where byte i % 32 holds those of i, i + 32, ..."""
    return b[start + i % 32] >> (i // 32) & 1


def signed(value: int, bits: int = 8) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def six(b: bytes, group: int) -> tuple[int, int]:
    """Scale and offset of a group of a Q4_K or Q5_K block."""
    if group < 4:
        return b[4 + group] & 63, b[8 + group] & 63
    high = b[group], b[4 + group]
    return b[8 + group] & 15 | high[0] >> 6 << 4, b[8 + group] >> 4 | high[1] >> 6 << 4


def q3_scale(b: bytes, group: int) -> int:
    low = b[96 + group % 8] >> (4 if group >= 8 else 0) & 15
    return (low | (b[104 + group % 4] >> (2 * (group // 4)) & 3) << 4) - 32


def k_value(b: bytes, i: int, q: int) -> float:
    scale, offset = six(b, i // 32)
    return half(b, 0) * scale * q - half(b, 2) * offset


def xs_value(b: bytes, i: int) -> float:
    group = i // 32
    low = b[4 + group // 2] >> (4 * (group % 2)) & 15
    scale = (low | (struct.unpack_from("<H", b, 2)[0] >> (2 * group) & 3) << 4) - 32
    return half(b, 0) * scale * CODEBOOK[nibble(b, 8, i, 16)]


DEFINITIONS: dict[str, Callable[[bytes, int], float]] = {
    "Q4_0": lambda b, i: half(b, 0) * (nibble(b, 2, i, 16) - 8),
    "Q4_1": lambda b, i: half(b, 0) * nibble(b, 4, i, 16) + half(b, 2),
    "Q5_0": lambda b, i: half(b, 0) * ((nibble(b, 6, i, 16) | bit(b, 2, i) << 4) - 16),
    "Q5_1": lambda b, i: half(b, 0) * (nibble(b, 8, i, 16) | bit(b, 4, i) << 4) + half(b, 2),
    "Q8_0": lambda b, i: half(b, 0) * signed(b[2 + i]),
    "Q2_K": lambda b, i: half(b, 80) * (b[i // 16] & 15) * pair(b, 16, i) - half(b, 82) * (b[i // 16] >> 4),
    "Q3_K": lambda b, i: half(b, 108) * q3_scale(b, i // 16) * ((pair(b, 32, i) | plane(b, 0, i) << 2) - 4),
    "Q4_K": lambda b, i: k_value(b, i, nibble(b, 16, i, 32)),
    "Q5_K": lambda b, i: k_value(b, i, nibble(b, 48, i, 32) | plane(b, 16, i) << 4),
    "Q6_K": lambda b, i: half(b, 208) * signed(b[192 + i // 16]) * ((nibble(b, 0, i, 64) | pair(b, 128, i) << 4) - 32),
    "Q8_K": lambda b, i: float(np.frombuffer(b, np.float32, 1)[0]) * signed(b[4 + i]),
    "IQ4_NL": lambda b, i: half(b, 0) * CODEBOOK[nibble(b, 2, i, 16)],
    "IQ4_XS": xs_value,
    "MXFP4": lambda b, i: 2.0 ** (b[0] - 128) * FP4[nibble(b, 1, i, 16)],
}


def blocks(number: int, count: int, seed: int) -> np.ndarray:
    """Random blocks whose scales are small numbers."""
    kind, generator = KINDS[number], np.random.default_rng(seed)
    data = generator.integers(0, 256, (count, kind.size), np.uint8)
    places = {"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,), "MXFP4": (), "Q8_K": ()}.get(kind.name, (0, 2))
    halves = places if kind.name in ("Q2_K", "Q4_1", "Q5_1", "Q4_K", "Q5_K") else places[:1]
    for place in halves:
        data[:, place : place + 2] = generator.normal(0, 0.1, (count, 1)).astype(np.float16).view(np.uint8)
    if kind.name == "Q8_K":
        data[:, :4] = generator.normal(0, 0.1, (count, 1)).astype(np.float32).view(np.uint8)
    if kind.name == "MXFP4":
        data[:, 0] = generator.integers(120, 134, count)
    return data


@pytest.mark.parametrize("number", KINDS, ids=lambda number: KINDS[number].name)
def test_blocks_follow_their_definition(number: int) -> None:
    kind, data = KINDS[number], blocks(number, 5, number)
    found = decoded(kind, data.reshape(-1))
    expected = [DEFINITIONS[kind.name](row.tobytes(), i) for row in data for i in range(kind.values)]
    np.testing.assert_allclose(found, np.array(expected, np.float32), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", KINDS, ids=lambda number: KINDS[number].name)
def test_blocks_are_what_ggufs_own_package_makes_of_them(number: int) -> None:
    quants = pytest.importorskip("gguf.quants")
    gguf = pytest.importorskip("gguf")
    data = blocks(number, 5, number)
    try:
        expected = quants.dequantize(data, gguf.GGMLQuantizationType(number)).reshape(-1)
    except (NotImplementedError, KeyError):
        pytest.skip("the package does not know it")
    np.testing.assert_allclose(decoded(KINDS[number], data.reshape(-1)), expected, rtol=1e-6, atol=1e-6)


# Files --------------------------------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def setting(kind: int, value: Any) -> bytes:
    if kind == 8:
        return text(value)
    if kind == 9:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(setting(inner, item) for item in values)
    return struct.pack("<" + {4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 0: "B"}[kind], value)


def file_of(settings: dict[str, tuple[int, Any]], tensors: dict[str, tuple[int, tuple[int, ...], bytes]]) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(settings))
    for name, (kind, value) in settings.items():
        head += text(name) + struct.pack("<I", kind) + setting(kind, value)
    data = b""
    for name, (kind, shape, content) in tensors.items():
        sizes = b"".join(struct.pack("<Q", size) for size in shape[::-1])
        head += text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, len(data))
        data += content + bytes(-len(content) % 32)
    return head + bytes(-len(head) % 32) + data


SETTINGS = {
    "general.name": (8, "small é"),
    "layers": (4, 3),
    "rate": (6, 0.5),
    "flag": (7, True),
    "words": (9, (8, ["a", "bc"])),
    "ids": (9, (5, [1, -2, 3])),
    "nested": (9, (9, [(4, [1]), (4, [])])),
}
Q8 = blocks(8, 4, 1)
TENSORS = {
    "plain": (0, (2, 3), np.arange(6, dtype=np.float32).tobytes()),
    "half": (1, (2,), np.array([1.5, -2], np.float16).tobytes()),
    "brain": (30, (1,), struct.pack("<H", 0x3FC0)),
    "packed": (8, (2, 64), Q8.tobytes()),
    "none": (0, (0, 4), b""),
}
SAMPLE = file_of(SETTINGS, TENSORS)


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(SAMPLE)
    settings, tensors = gguf_load(tmp_path / "x.gguf")
    assert settings == {
        "general.name": "small é", "layers": 3, "rate": 0.5, "flag": True, "words": ["a", "bc"], "ids": [1, -2, 3],
        "nested": [[1], []],
    }  # fmt: skip
    assert tensors["plain"].tolist() == [[0, 1, 2], [3, 4, 5]] and tensors["half"].tolist() == [1.5, -2]
    assert tensors["brain"].tolist() == [1.5] and str(tensors["brain"].dtype) == "bfloat16"
    assert tensors["none"].shape == (0, 4)
    np.testing.assert_array_equal(tensors["packed"].numpy(), decoded(KINDS[8], Q8.reshape(-1)).reshape(2, 64))


def test_a_model_in_several_files(tmp_path: Path) -> None:
    for i in range(2):
        content = file_of({"split.count": (4, 2), "split.no": (4, i)}, {f"t{i}": (0, (1,), struct.pack("<f", i))})
        (tmp_path / f"m-0000{i + 1}-of-00002.gguf").write_bytes(content)
    _, tensors = gguf_load(tmp_path / "m-00001-of-00002.gguf")
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {"t0": [0], "t1": [1]}
    with pytest.raises(FileFormatError, match="load the first"):
        gguf_load(tmp_path / "m-00002-of-00002.gguf")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGML" + SAMPLE[4:], "does not begin with GGUF"),
        (b"GGUF\x01" + SAMPLE[5:], "version 1"),
        (SAMPLE[:60], "truncated"),
        (SAMPLE[:-64], "truncated or corrupt: tensor"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "truncated"),
        (file_of({}, {"t": (19, (256,), bytes(300))}), "blocks of type 19; known are Q4_0"),
        (file_of({}, {"t": (8, (33,), bytes(300))}), "not made of Q8_0 blocks of 32"),
        (file_of({"general.alignment": (4, 0)}, {}), "alignment of 0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        gguf_load(tmp_path / "x")


@given(data=damaged(SAMPLE))
def test_damaged_files_give_values_or_the_error(tmp_path_factory, data: bytes) -> None:
    survives(gguf_load, tmp_path_factory.mktemp("damaged") / "x", data)


@given(count=st.integers(0, 40), number=st.sampled_from([8, 12]))
def test_blocks_are_decoded_in_pieces_of_any_number(count: int, number: int) -> None:
    data = blocks(number, count, 3)
    whole = decoded(KINDS[number], data.reshape(-1))
    parts = [decoded(KINDS[number], row) for row in data]
    assert whole.tolist() == [value for part in parts for value in part.tolist()]
