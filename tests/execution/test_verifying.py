"""KF_VERIFY: right kernels pass; planted faults of code generation are found, each in its kernel and on its line."""

from __future__ import annotations

import dataclasses
import inspect
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codegen import open_schedules
from codegen.program import Program
from kernelforge import Context, Device, GlobalCounters, Tensor, met, tune
from kernelforge.errors import WrongResultError
from kernelforge.execution import running
from kernelforge.planning import open_plans, templates

pytestmark = pytest.mark.skipif(Device.DEFAULT != "CPU", reason="the faults are planted in OpenCL sources for CPUs")
PROGRAMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "chain": lambda a, b: (a * 2 + 1).exp(),
    "softmax": lambda a, b: a.softmax(-1),
    "maximum": lambda a, b: (a - 9).max(1),
    "product": lambda a, b: a @ b,
    "columns": lambda a, b: a.sum(0),
    "cumsum": lambda a, b: a.cumsum(1),
    "narrow": lambda a, b: a.cast("bfloat16") * 3,
    "pad": lambda a, b: a.pad(((1, 2), (3, 4))).contiguous(),
    "rows": lambda a, b: b[Tensor([3, 1, 49])],
}
FAULTS = [  # what is wrong, the program it shows in, what is written, what is written instead
    ("a tail is one element short", "softmax", r"kf_lanes_int < 2\b", "kf_lanes_int < 1"),
    ("a sum starts at one", "softmax", r"(acc2_\d+) = \(float16\)\(0\.0f\)", r"\1 = (float16)(1.0f)"),
    ("operands are swapped", "softmax", r"(x0_\d+) - (fin\d+)", r"\2 - \1"),
    ("half of an accumulator is lost", "softmax", r"kf_fold_add\(\((\w+) \+ (\w+)\)\)", r"kf_fold_add(\1)"),
    ("another function is called", "softmax", r"= exp\(", "= exp2("),
    ("a row is left out", "softmax", r"i0 < 37\b", "i0 < 36"),
    ("a store is one place early", "softmax", r"(vstore16\(\w+, 0, out .*) \+ 16\)", r"\1 + 15)"),
    ("a quotient is a product", "softmax", r"(keep_\d+) / (fin\d+)", r"\1 * \2"),
    ("a maximum starts at zero", "maximum", r"\(-INFINITY\)", "(0.0f)"),
    ("a maximum is a minimum", "maximum", r"kf_max\((acc\w+), (acc\w+)\)\)", r"fmin(\1, \2))"),
    ("the last tile starts early", "chain", r"min\((next_\d+), 1834\)", r"min(\1, 1833)"),
    ("a constant is another", "chain", r"\* 2\.0f", "* 2.001f"),
    ("a stride is wrong", "product", r"x1 \+ k1 \* 29", "x1 + k1 * 28"),
    ("the sum ends early", "product", r"k1 < 50", "k1 < 49"),
    ("two rows share an operand", "product", r"k1 \+ 100\]", "k1 + 50]"),
    ("products are not added up", "product", r"fma\((\S+), (\w+), acc\w+\)", r"\1 * \2"),
    ("the first row is skipped", "columns", r"r1 = 0;", "r1 = 1;"),
    ("what is carried is forgotten", "cumsum", r"(carry\d_\d) = \(\1 \+ ", r"\1 = (0.0f + "),
    ("a scan is none", "cumsum", r"kf_scan_add\((\w+)\)", r"\1"),
    ("bits are cut off", "narrow", r"kf_bfloat_bits\((mul_\d+)\)", r"(kf_bfloat_bits(\1) & (ushort)0xFFF8)"),
    ("a mask is off by one", "pad", r"i0 < 38", "i0 < 37"),
    ("a margin is one too narrow", "pad", r"j1 - 53\b", "j1 - 52"),
    ("a neighbour is looked up", "rows", r"\+ (where_\d+) \* 29", r"+ (\1 ^ 1) * 29"),
]


@pytest.fixture
def operands() -> Iterator[tuple[Tensor, Tensor]]:
    """Two arrays; and no plan from before or for afterwards."""

    def forget() -> None:
        templates._templates.clear()
        met.forget()
        open_plans.forget()

    Tensor.manual_seed(0)
    forget()
    yield Tensor.randn(37, 50).realize(), Tensor.randn(50, 29).realize()
    forget()


@pytest.mark.parametrize("name", PROGRAMS)
def test_right_kernels_pass(name, operands) -> None:
    GlobalCounters.reset()
    with Context(VERIFY=1):
        PROGRAMS[name](*operands).realize()
    assert 0 < GlobalCounters.verified == GlobalCounters.kernel_count


@pytest.mark.parametrize(("what", "name", "written", "instead"), FAULTS, ids=[what for what, *_ in FAULTS])
def test_planted_faults_are_found(what, name, written, instead, operands, monkeypatch) -> None:
    right, changed = tune.program, []

    def wrong(*arguments) -> Program:
        program = right(*arguments)
        head, mark, body = program.source.rpartition("__kernel void")
        source = head + mark + re.sub(written, instead, body)
        changed.extend([program.entry] if source != program.source else [])
        return dataclasses.replace(program, source=source)

    monkeypatch.setattr(tune, "program", wrong)
    with Context(VERIFY=1), pytest.raises(WrongResultError) as caught:
        PROGRAMS[name](*operands).realize()
    assert changed, "the source does not hold what the fault is planted in"
    line = inspect.getsourcelines(PROGRAMS[name])[1]
    assert changed[0] in str(caught.value) and f"{__file__}:{line}" in str(caught.value)


def test_a_fault_is_shown_without_its_program(operands, monkeypatch, tmp_path) -> None:
    right = tune.program
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(
        tune, "program", lambda *a: dataclasses.replace(p := right(*a), source=p.source.replace("* 2.0f", "* 2.5f"))
    )
    with Context(VERIFY=1), pytest.raises(WrongResultError, match="report") as caught:
        PROGRAMS["chain"](*operands).realize()
    (folder,) = (path for path in tmp_path.iterdir() if (path / "kernel.cl").exists())
    (graph,) = (path for path in tmp_path.iterdir() if (path / "graph.py").exists())
    assert f" operations on small arrays that fail: {graph}" in str(caught.value)
    with pytest.raises(SystemExit, match="True"):
        runpy.run_path(str(graph / "graph.py"))
    assert {path.name for path in folder.iterdir()} == {
        "kernel.cl", "kernel.txt", "inputs.npz", "expected.npz", "run.py",
    }  # fmt: skip
    told = subprocess.run([sys.executable, folder / "run.py"], capture_output=True, text=True, timeout=600, check=True)
    assert "1850 of 1850 elements" in told.stdout
    assert "exp" in Path(folder / "kernel.txt").read_text()


def sums_of_rows() -> list[Tensor]:
    """Graphs of one kind, of which all but the first share a kernel."""
    return [Tensor.randn(rows, 70).realize().exp().sum(1) for rows in (30, 41, 53)]


def test_kernels_for_open_sizes_are_checked_at_the_sizes_they_have(operands, monkeypatch) -> None:
    monkeypatch.setattr(open_plans, "_families", {})
    monkeypatch.setattr(open_plans, "_kinds", {})
    graphs = sums_of_rows()
    monkeypatch.setattr(met, "plans_of", {})
    GlobalCounters.reset()
    with Context(VERIFY=1, OPEN=1):
        for x in graphs:
            x.realize()
    assert GlobalCounters.verified == GlobalCounters.kernel_count == 3
    assert sum(bool(made.sizes) for known in met.plans_of.values() for made in known.made.values()) == 2


def test_a_fault_of_a_kernel_for_open_sizes_is_found(operands, monkeypatch) -> None:
    right = open_schedules.render

    def wrong(*arguments) -> Program:
        program = right(*arguments)
        return dataclasses.replace(program, source=re.sub(r"= exp\(", "= exp2(", program.source))

    monkeypatch.setattr(open_schedules, "render", wrong)
    monkeypatch.setattr(open_plans, "_families", {})
    monkeypatch.setattr(open_plans, "_kinds", {})
    first, *others = sums_of_rows()
    with Context(VERIFY=1, OPEN=1):
        first.realize()
        for rows, x in zip((41, 53), others):
            with pytest.raises(WrongResultError, match=f"it serves several sizes, here .* = {rows}") as caught:
                x.realize()
            assert "planned again on its own, the graph does not fail; the plan that does" in str(caught.value)
            (folder,) = re.findall(r"runs it alone: (\S+)", str(caught.value))
            told = subprocess.run([sys.executable, f"{folder}/run.py"], capture_output=True, text=True, check=True)
            assert f"out: {rows} of {rows} elements" in told.stdout


def test_nothing_is_copied_when_it_is_off(operands, monkeypatch) -> None:
    monkeypatch.setattr(running.verifying, "contents", lambda *_: pytest.fail("arrays are copied"))
    PROGRAMS["softmax"](*operands).realize()
