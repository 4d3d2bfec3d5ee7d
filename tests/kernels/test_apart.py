"""Compilers in processes of their own: what they make is used, and when one ends this process goes on."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.program import Program
from kernelforge import Context, Tensor
from kernelforge.errors import CompileError
from kernelforge.kernels import Device, compiling
from kernelforge.kernels.apart import Apart, Refused, _Process
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.progress import Progress


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[OpenCLRuntime]:
    """With nothing on disk, whatever was compiled before."""
    found = Device["CPU"]
    if not isinstance(found, OpenCLRuntime) or not found._builder._keeps:
        pytest.skip("there are no binaries to hand over")
    with Context(CACHE_DIR=str(tmp_path / "cache")):
        yield found


def program(body: str, name: str) -> Program:
    source = f"__kernel void {name}(__global float *restrict x) {{ {body} }}\n"
    return Program("opencl", source, name, (1,), (), frozenset())


CRASHING = """
static inline int16 __attribute__((overloadable)) load10(__global const int *p) {
  return (int16)(vload8(0, p), vload2(0, p + 8), 0, 0, 0, 0, 0, 0);
}
__constant int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void crashing(__global int *restrict out, __global const int *restrict x) {
  int16 sum = (int16)(0);
  const int16 position = (0 + lanes);
  const int16 chosen = select((int16)(0), position, load10(x) == 4);
  sum += select((int16)(0), chosen, (lanes < 10));
  const int8 pairs = sum.even + sum.odd;
  const int4 fours = pairs.lo + pairs.hi;
  out[0] = fours.x + fours.y + fours.z + fours.w;
}
"""
"""What Intel's compiler of 2026 ends the process over; others may compile it."""


def compiler_of(runtime: OpenCLRuntime) -> Apart:
    found = runtime._builder._apart
    if found is None:
        pytest.skip("this driver's compiler is not asked in a process of its own")
    return found


def test_kernels_come_from_another_process(runtime: OpenCLRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler_of(runtime)
    monkeypatch.setattr(runtime._builder, "_quietly", _of_binaries(runtime._builder._quietly))
    found = (Tensor(np.arange(7, dtype=np.float32)) * 1.2345 + 6.789).exp2()
    np.testing.assert_allclose(found.numpy(), 2 ** (np.arange(7) * 1.2345 + 6.789), rtol=1e-4)


def _of_binaries(built: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def built_of_binaries(program: Any) -> Any:
        assert "_source" not in vars(program), "compiled in this process"
        return built(program)

    return built_of_binaries


def test_one_process_is_asked_again_and_again(runtime: OpenCLRuntime) -> None:
    found = compiler_of(runtime)
    assert found.build(program("x[0] = 31.0f;", "first_one").source)
    number = found._process.number
    assert found.build(program("x[0] = 32.0f;", "second_one").source) and found._process.number == number


def test_a_program_that_is_refused_says_why(runtime: OpenCLRuntime) -> None:
    with pytest.raises(CompileError, match="identifier 'this'"):
        runtime.compile([program("x[0] = 1.0f;", "fine_apart"), program("this is no C;", "refused_apart")])
    assert runtime.compile([program("x[0] = 1.0f;", "fine_apart")])


def test_a_compiler_that_crashes(runtime: OpenCLRuntime) -> None:
    compiler_of(runtime)
    crashing = Program("opencl", CRASHING, "crashing", (1,), (), frozenset())
    fine = [program(f"x[0] = {i}.0f;", f"fine_{i}_apart") for i in range(3)]
    try:
        runtime.compile([fine[0], crashing, fine[1]])
    except CompileError as error:
        assert "crashing" in str(error) and "the compiler crashed, in a process of its own: SIG" in str(error)
    assert runtime.compile([fine[2]])


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_process_that_is_killed(runtime: OpenCLRuntime, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compiler_of(runtime)
    assert found.build("__kernel void begun(__global float *x) { x[0] = 1; }")
    asked = _Process.asked

    def deadly(self: _Process, source: bytes) -> tuple[bool, bytes]:
        if b"deadly" in source:
            assert asked(self, b"__kernel void fine(__global float *x) { x[0] = 1; }")[0]
            os.kill(self.number, signal.SIGKILL)
            if when == "before":
                os.waitid(os.P_PID, self.number, os.WEXITED | os.WNOWAIT)
        return asked(self, source)

    monkeypatch.setattr(_Process, "asked", deadly)
    with pytest.raises(CompileError, match="crashed, in a process of its own: SIGKILL"):
        runtime.compile([program("x[0] = 2.0f;", f"deadly_{when}"), program("x[0] = 3.0f;", f"fine_too_{when}")])
    assert runtime.compile([program("x[0] = 4.0f;", f"fine_after_{when}")])


def test_a_process_nobody_asks_ends(runtime: OpenCLRuntime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = compiler_of(runtime)
    script = tmp_path / "compiling.py"
    script.write_text(Path(compiling.__file__).read_text().replace("SECONDS = 60.0", "SECONDS = 0.01"))
    other = Apart([], "", "", "")
    other._command = [str(script) if part == compiling.__file__ else part for part in found._command]
    for i in range(2):
        assert other.build(f"__kernel void alone_{i}(__global float *x) {{ x[0] = {i}; }}")
        os.waitid(os.P_PID, other._process.number, os.WEXITED | os.WNOWAIT)


def test_where_there_is_no_such_process_this_one_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Apart(["libnobodyhasthis.so"], "no device", "0", "")
    assert absent.build("__kernel void f() {}") is None and not absent._there
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert Apart(["libnobodyhasthis.so"], "no device", "0", "").build("__kernel void f() {}") is None


HELPER = """
import os, signal, struct
os.write(1, b"here")
while head := os.read(0, 8):
    source = b""
    while len(source) < struct.unpack("<Q", head)[0]:
        source += os.read(0, 1 << 20)
    if b"deadly" in source:
        os.kill(os.getpid(), signal.SIGKILL)
    if source == b"half":
        os.write(1, b"made" + struct.pack("<Q", 9) + b"half")
        break
    os.write(1, b"made" + struct.pack("<Q", 3) + source[:3])
"""
"""A compiler that needs no driver."""


@pytest.fixture
def pretended(tmp_path: Path) -> Iterator[Apart]:
    script = tmp_path / "helper.py"
    script.write_text(HELPER)
    made = Apart([], "", "", "")
    if not made._there:
        pytest.skip("there can be no such process here")
    made._command = ["-I", "-S", str(script)]
    yield made
    made._process.kill()
    made._process.ended()


def opened() -> set[str]:
    """The numbers of the files this process has open."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no list of what is open")
    found = os.listdir("/proc/self/fd")
    return {number for number in found if os.path.lexists(f"/proc/self/fd/{number}")}  # not the list itself


def test_a_process_killed_while_nobody_asks_blames_no_source(pretended: Apart) -> None:
    before = opened()
    for size in (1, 5_000_000):
        assert pretended.build("abc") == b"abc"
        os.kill(pretended._process.number, signal.SIGKILL)
        os.waitid(os.P_PID, pretended._process.number, os.WEXITED | os.WNOWAIT)
        assert pretended.build("def" * size) == b"def"
    pretended._process.kill()
    pretended._lost(idle=True)
    assert opened() <= before


def test_a_source_that_crashes_twice_is_at_fault(pretended: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    start = _Process.start
    monkeypatch.setattr(_Process, "start", lambda self, command: (starts.append(1), start(self, command)))
    with pytest.raises(Refused, match="crashed, in a process of its own: SIGKILL"):
        pretended.build("deadly")
    assert len(starts) == 2
    with pytest.raises(Refused, match="crashed, in a process of its own: exit code 0"):
        pretended.build("half")
    assert pretended.build("abc") == b"abc" and pretended._process.was_there


def test_a_source_that_crashes_is_not_compiled_here_where_no_other_process_starts(
    pretended: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pretended.build("abc") == b"abc"
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(Refused, match="crashed, in a process of its own: SIGKILL"):
        pretended.build("deadly")


def test_the_end_of_the_process_is_no_signal_to_the_program(pretended: Apart, tmp_path: Path) -> None:
    """Of a program that ends where its own output does, as filters do."""
    script = (
        "import os, signal\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "from kernelforge.kernels.apart import Apart\n"
        "apart = Apart([], '', '', '')\n"
        f"apart._command = {pretended._command!r}\n"
        "assert apart.build('abc') == b'abc'\n"
        "os.kill(apart._process.number, signal.SIGKILL)\n"
        "os.waitid(os.P_PID, apart._process.number, os.WEXITED | os.WNOWAIT)\n"
        "print(apart.build('def'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "b'def'\n"), done.stderr


@pytest.mark.parametrize("of", ["socket.socketpair", "tempfile.TemporaryFile", "os.posix_spawn", "os.set_blocking"])
@pytest.mark.parametrize("error", [FileNotFoundError("no usable directory"), OSError(24, "Too many open files")])
def test_what_a_process_needs_is_not_to_be_had(
    pretended: Apart, of: str, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise error

    before = opened()
    monkeypatch.setattr(f"kernelforge.kernels.apart.{of}", fail)
    assert pretended.build("abc") is None and not pretended._there
    assert opened() <= before


def test_a_program_without_more_files_compiles_here(pretended: Apart) -> None:
    """Whatever it is that does not fit: with each number of files left."""
    script = (
        "import resource\n"
        "from kernelforge.kernels.apart import Apart\n"
        "for left in range(6):\n"
        "    apart = Apart([], '', '', '')\n"
        f"    apart._command = {pretended._command!r}\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (3 + left, 4096))\n"
        "    print(apart.build('abc'))\n"
        "    apart._process.kill()\n"
        "    apart._process.ended()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = done.stdout.split()
    assert found[0] == "None" and found[-1] == "b'abc'" and set(found) == {"None", "b'abc'"}


@pytest.mark.parametrize("says", ["", "he", "> ", "What is -I?"])
def test_a_program_that_is_no_python_is_not_waited_for(
    pretended: Apart, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Python is embedded; asked with more than fits into what it does not read."""
    marker, host = tmp_path / "ended", tmp_path / "host"
    host.write_text(
        f"#!{sys.executable}\nimport os, time, pathlib\n"
        f"os.write(1, {says.encode()!r})\ntime.sleep(20)\npathlib.Path({str(marker)!r}).touch()\n"
    )
    host.chmod(0o700)
    before = opened()
    monkeypatch.setattr("kernelforge.kernels.apart.PATIENCE", 0.2)
    monkeypatch.setattr("sys.executable", str(host))
    assert pretended.build("abc" * 1_000_000) is None and not pretended._there
    assert not marker.exists() and opened() <= before


def test_timeouts_of_sockets_are_of_no_concern(pretended: Apart) -> None:
    socket.setdefaulttimeout(0.0)
    try:
        assert pretended.build("abc" * 1_000_000) == b"abc"
    finally:
        socket.setdefaulttimeout(None)


def test_it_is_turned_off(runtime: OpenCLRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise AssertionError

    monkeypatch.setattr(_Process, "asked", fail)
    with Context(COMPILE_APART=0):
        assert runtime.compile([program("x[0] = 51.0f;", "here_1")])


def test_what_is_on_disk_starts_no_process(tmp_path: Path) -> None:
    """In a second process; a fork of one that compiles has a process of its own."""
    script = (
        "from kernelforge import Tensor, Device\n"
        "print(Tensor([1.0, 2.0]).exp().sum().item())\n"
        "apart = getattr(getattr(Device['CPU'], '_builder', None), '_apart', None)\n"
        "print('none' if apart is None else apart._process.number > 0)\n"
    )
    environment = os.environ | {"KF_CACHE_DIR": str(tmp_path), "KF_DEVICE": "CPU", "KF_OPENCL": ""}
    found = [
        subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    first, second = (done.stdout.split()[-1] for done in found)
    assert (first, second) in (("True", "False"), ("none", "none"))


def test_progress_is_shown_on_terminals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("kernelforge.kernels.progress.PATIENCE", 0.0)
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
        progress = Progress(4, 100)
        progress.advance(1, 40)
        progress.end()
        assert ("compiling 1/4" in capsys.readouterr().err) is terminal


def test_a_long_compilation_in_one_process_is_told_of(
    runtime: OpenCLRuntime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there are few cores no other process helps."""
    monkeypatch.setattr("kernelforge.kernels.progress.PATIENCE", 0.0)
    monkeypatch.setattr("kernelforge.kernels.opencl_build.BATCH", 20)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert len(runtime.compile([program(f"x[0] = {i}.25f;", f"told_{i}") for i in range(3)])) == 3
    assert "compiling 1/3" in capsys.readouterr().err
