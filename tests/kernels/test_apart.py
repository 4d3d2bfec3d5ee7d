"""Compilers in processes of their own: what they make is used, and when one ends this process goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.program import Program
from kernelforge import Context, Tensor
from kernelforge.errors import CompileError
from kernelforge.kernels import Device, compiling
from kernelforge.kernels.apart import Apart, _Process
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.progress import Progress


@pytest.fixture
def runtime() -> OpenCLRuntime:
    found = Device["CPU"]
    if not isinstance(found, OpenCLRuntime) or not found._builder._keeps:
        pytest.skip("there are no binaries to hand over")
    return found


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
