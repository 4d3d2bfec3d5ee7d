"""Intermediate code goes from binaries, and nothing else does; what is left runs."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_binary import HEADER, SECTION, without_code
from kernelforge.kernels.opencl_devices import candidates
from tests.kernels.conftest import increment

INTEL = [c for c in candidates() if "intel" in c.facts.platform.lower() and c.facts.kind == "cpu"]
NAMES = (b"", b".ocl.ir", b".ocl.meta", b".ocl.obj", b".ocl.ver")


def packed(code: bytes, meta: bytes, machine: bytes, names: tuple[bytes, ...] = NAMES) -> bytes:
    """A file as the driver makes them."""
    text = b"\0".join(names) + b"\0"
    contents = [b"", code, meta, machine, b"1234", text]
    starts = [text.index(b"\0" + name + b"\0") + 1 if name else 0 for name in names] + [0]
    header = bytearray(HEADER)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", header, 0x28, HEADER)
    struct.pack_into("<HH", header, 0x3C, len(contents), len(contents) - 1)
    offset, sections = HEADER + SECTION.size * len(contents), b""
    for start, content in zip(starts, contents):
        sections += SECTION.pack(start, 1, 0, 0, offset, len(content), 0, 0, 1, 0)
        offset += len(content)
    return bytes(header) + sections + b"".join(contents)


@given(st.binary(), st.binary(), st.binary(), st.binary())
def test_the_code_is_another_ones_and_the_rest_stays(code: bytes, meta: bytes, machine: bytes, other: bytes) -> None:
    expected = packed(other, meta, machine)
    assert without_code(packed(code, meta, machine), packed(other, b"x", b"yz")) == expected


@given(st.binary(max_size=300))
def test_what_is_no_such_file_is_left_alone(content: bytes) -> None:
    good = packed(b"ab", b"c", b"def")
    assert without_code(content, good) is None and without_code(good, content) is None


@pytest.mark.parametrize("place", [1, 3])
def test_a_file_without_code_or_machine_code_is_left_alone(place: int) -> None:
    names = (*NAMES[:place], b".other", *NAMES[place + 1 :])
    assert without_code(packed(b"ab", b"c", b"def", names), packed(b"", b"", b"")) is None


def test_a_file_with_something_between_its_sections_is_left_alone() -> None:
    good = packed(b"ab", b"c", b"def")
    assert without_code(good + b"x", good) is None


@pytest.mark.skipif(not INTEL, reason="Intel's driver is not here")
def test_what_is_built_runs_without_the_code_it_was_made_from(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernelforge.kernels.cache.load", lambda key: None)
    runtime = OpenCLRuntime("CPU", INTEL[0])
    programs = [increment(size, f"f{size}") for size in (5, 1000)]
    for executable, size in zip(runtime.compile(programs), (5, 1000)):
        memories = [runtime.allocate(4 * size) for _ in range(2)]
        runtime.copy_in(memories[1], np.arange(size, dtype=np.float32))
        runtime.launch(executable, memories)
        found = np.empty(size, np.float32)
        runtime.copy_out(memories[0], found)
        np.testing.assert_array_equal(found, np.arange(size) + 1)
        builder = runtime._builder
        content = builder._content(executable.kernel.program)
        assert content == without_code(content, builder._content(builder._donor))
