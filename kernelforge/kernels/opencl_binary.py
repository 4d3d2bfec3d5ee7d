"""Binaries of Intel's CPU driver without what they were compiled from.

Comes in: the binary of a program.  Goes out: the same without the compiler's intermediate code, or None where its form
is another.  The driver parses that code when it takes a binary and when it makes a kernel, and keeps it; the machine
code beside it is all that runs.  It is nine tenths of a binary, and each MiB of it takes 30 of memory.  A binary must
have some, so it gets another program's: a very small one's.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

HEADER: Final = 64  # bytes of an ELF file's header, and of a section's
SECTION: Final = struct.Struct("<IIQQQQIIQQ")  # name, type, flags, address, offset, size, link, info, alignment, entry
CODE: Final = b".ocl.ir"  # the compiler's intermediate code
MACHINE: Final = b".ocl.obj"


class Section(NamedTuple):
    """A section's name, header and content."""

    name: bytes
    header: tuple[int, ...]
    content: bytes


def without_code(binary: bytes, donor: bytes) -> bytes | None:
    """A binary with another one's intermediate code in the place of its own; None unless both are what is expected."""
    try:
        sections = _sections(binary)
        (given,) = (section.content for section in _sections(donor) if section.name == CODE)
    except (ValueError, struct.error):
        return None
    if not {CODE, MACHINE} <= {section.name for section in sections}:
        return None
    offset, headers, contents = HEADER + SECTION.size * len(sections), [], []
    for name, header, content in sections:
        contents.append(given if name == CODE else content)
        headers.append(SECTION.pack(*header[:4], offset, len(contents[-1]), *header[6:]))
        offset += len(contents[-1])
    return b"".join((binary[:HEADER], *headers, *contents))


def machine_code(binary: bytes) -> bytes | None:
    """The object file in a binary; None where its form is another."""
    try:
        return next(section.content for section in _sections(binary) if section.name == MACHINE)
    except (ValueError, struct.error, StopIteration):
        return None


def _sections(binary: bytes) -> list[Section]:
    """The sections of a binary.

    raises ValueError, struct.error for anything but a 64-bit ELF file of sections alone, behind their headers
    """
    (table,) = struct.unpack_from("<Q", binary, 0x28)
    count, names = struct.unpack_from("<HH", binary, 0x3C)
    if binary[:6] != b"\x7fELF\x02\x01" or table != HEADER or names >= count:
        raise ValueError("not the file that is expected")
    headers = [SECTION.unpack_from(binary, table + SECTION.size * number) for number in range(count)]
    contents = [binary[header[4] : header[4] + header[5]] for header in headers]
    if sum(map(len, contents)) + HEADER + SECTION.size * count != len(binary):
        raise ValueError("something lies between the sections")
    text = contents[names]
    names_of = [text[header[0] : text.index(b"\0", header[0])] for header in headers]
    return [Section(*section) for section in zip(names_of, headers, contents)]
