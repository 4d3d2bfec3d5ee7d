"""A process that compiles OpenCL C, so that a compiler that crashes takes nobody else along.

Comes in: sources on standard input, each behind its length.  Goes out: binaries, or what the compiler says, on standard
output.  It is run as a file, by a Python that loads nothing but this: neither NumPy nor this library, which would take
longer than to compile.  It asks the driver's own library, and ends when its input closes or nobody asks for a while.
"""

import contextlib
import ctypes
import os
import select
import signal
import struct
import sys
from typing import Any

READY, MADE, REFUSED, IDLE = b"here", b"made", b"none", b"idle"
LENGTH = struct.Struct("<Q")
SECONDS = 60.0  # without a question
NAME, VERSION, LOG, SIZES, BINARIES = 0x102B, 0x102D, 0x1183, 0x1165, 0x1166
EVERY_KIND = 0xFFFFFFFF


class Driver:
    """A device of a driver with a context.

    raises LookupError where the library has no such device
    """

    def __init__(self, library: str, name: str, version: str) -> None:
        self.cl = ctypes.CDLL(library)
        for maker in ("clCreateContext", "clCreateProgramWithSource"):
            getattr(self.cl, maker).restype = ctypes.c_void_p
        self.device = self._device(name, version)
        self.context = ctypes.c_void_p(
            self.cl.clCreateContext(None, 1, ctypes.byref(self.device), None, None, ctypes.byref(ctypes.c_int()))
        )
        if not self.context:
            raise LookupError(name)

    def _device(self, name: str, version: str) -> ctypes.c_void_p:
        for platform in self._listed(self.cl.clGetPlatformIDs):
            for device in self._listed(self.cl.clGetDeviceIDs, platform, ctypes.c_uint64(EVERY_KIND)):
                told = [self._told(self.cl.clGetDeviceInfo, device, what=what) for what in (NAME, VERSION)]
                if [text.strip(b"\0 ").decode() for text in told] == [name, version]:
                    return device
        raise LookupError(name)

    def _listed(self, function: Any, *given: Any) -> list[ctypes.c_void_p]:
        count = ctypes.c_uint()
        if function(*given, 0, None, ctypes.byref(count)) or not count.value:
            return []
        found = (ctypes.c_void_p * count.value)()
        function(*given, count, found, None)
        return [ctypes.c_void_p(handle) for handle in found]

    def _told(self, function: Any, *given: Any, what: int) -> bytes:
        size = ctypes.c_size_t()
        function(*given, what, ctypes.c_size_t(0), None, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        function(*given, what, size, text, None)
        return text.raw

    def build(self, source: bytes, options: bytes) -> tuple[bytes, bytes]:
        """MADE and the binary of a source, or REFUSED and why."""
        text, code = ctypes.c_char_p(source), ctypes.c_int()
        program = ctypes.c_void_p(
            self.cl.clCreateProgramWithSource(self.context, 1, ctypes.byref(text), None, ctypes.byref(code))
        )
        if not program:
            return REFUSED, f"error {code.value}".encode()
        try:
            failed = self.cl.clBuildProgram(program, 1, ctypes.byref(self.device), options, None, None)
            if failed:
                log = self._told(self.cl.clGetProgramBuildInfo, program, self.device, what=LOG)
                return REFUSED, b"error %d: %s" % (failed, log.strip(b"\0 \n"))
            size = ctypes.c_size_t.from_buffer_copy(self._told(self.cl.clGetProgramInfo, program, what=SIZES))
            binary = ctypes.create_string_buffer(size.value)
            places = (ctypes.c_void_p * 1)(ctypes.addressof(binary))
            self.cl.clGetProgramInfo(program, BINARIES, ctypes.c_size_t(ctypes.sizeof(places)), places, None)
            return MADE, binary.raw
        finally:
            self.cl.clReleaseProgram(program)


def received(source: int, count: int) -> bytes:
    """So many bytes of a pipe or socket; fewer where it ends."""
    parts = list[bytes]()
    while count and (part := os.read(source, min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def main(options: str, name: str, version: str, *libraries: str) -> None:
    """Serve one parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it then closes the connection
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # whoever crashes here leaves no file behind
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever drivers print
    driver = None
    for library in libraries:
        with contextlib.suppress(OSError, LookupError, AttributeError):
            driver = Driver(library, name, version)
            break
    if driver is None:
        return
    answers.write(READY)
    answers.flush()
    while True:
        if not select.select([0], [], [], SECONDS)[0]:
            answers.write(IDLE)
            answers.flush()
            return
        head = received(0, LENGTH.size)
        if len(head) < LENGTH.size:
            return
        kind, content = driver.build(received(0, *LENGTH.unpack(head)), options.encode())
        answers.write(kind + LENGTH.pack(len(content)) + content)
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
