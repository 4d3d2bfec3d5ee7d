"""Compilers in processes of their own: what they make is used, and when one ends this process goes on."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.program import Program
from kernelforge import Context, Tensor
from kernelforge.errors import CompileError
from kernelforge.kernels import Device, cache, workers
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


def test_kernels_come_from_another_process(runtime: OpenCLRuntime, tmp_path: Path) -> None:
    with Context(COMPILE_APART=1):
        before = cache.statistics.compiled
        found = (Tensor(np.arange(7, dtype=np.float32)) * 1.2345 + 6.789).exp2()
        np.testing.assert_allclose(found.numpy(), 2 ** (np.arange(7) * 1.2345 + 6.789), rtol=1e-4)
        assert cache.statistics.compiled == before


def test_a_program_that_is_refused_says_why(runtime: OpenCLRuntime) -> None:
    with Context(COMPILE_APART=1), pytest.raises(CompileError, match="error"):
        runtime.compile([program("x[0] = 1.0f;", "fine_apart"), program("this is no C;", "refused_apart")])


def test_a_compiler_that_dies(runtime: OpenCLRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    send = workers.Worker.send

    def deadly(self: workers.Worker, orders: list[workers.Order]) -> bool:
        if any("deadly" in order.entry for order in orders):
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return send(self, orders)

    monkeypatch.setattr(workers.Worker, "send", deadly)
    with Context(COMPILE_APART=1):
        with pytest.raises(CompileError, match="process ended with -9"):
            runtime.compile([program("x[0] = 2.0f;", "deadly_apart"), program("x[0] = 3.0f;", "fine_too_apart")])
        assert runtime.compile([program("x[0] = 4.0f;", "fine_after_apart")])


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
