"""The benchmarks of a GPU, tried on tiny sizes with a driver of host memory, and with torch on the processor."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.gpu import __main__ as main
from bench.gpu import attention, ceilings, checks, gpt2, host, products, rows, sizes, timing
from bench.gpu.__main__ import environment
from bench.gpu.lab import DEVICE, Case, Lab, Operand
from bench.gpu.table import Results, Row
from kernelforge import Device
from kernelforge.kernels.cuda import CudaRuntime
from kernelforge.settings import Context
from tests.fake_cuda import FakeDriver, installed

SECTIONS = [ceilings.measure, host.calls, products.narrow, products.single, products.epilogue, attention.both]
SECTIONS += [rows.all_rows, gpt2.training, sizes.drawn]
SLOW = {gpt2.training}  # for torch's optimisers take their time to import
COMPARED = [pytest.param(section, marks=[pytest.mark.slow] * (section in SLOW)) for section in SECTIONS]


@pytest.fixture
def cuda(tmp_path: Path) -> Iterator[FakeDriver]:
    """A driver of host memory."""
    with installed(FakeDriver(), str(tmp_path / "cache")) as fake:
        yield fake


@pytest.fixture
def lab(cuda: FakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A laboratory with a GPU of host memory, whose clock always says the same."""
    monkeypatch.setattr(timing, "SAMPLE", 0.0)
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(host, "ROUNDS", 1)
    with Context(DEVICE=DEVICE):
        runtime = Device[DEVICE]
        assert isinstance(runtime, CudaRuntime)
        yield Lab(runtime, None, Results(tmp_path, environment()), minutes=5, small=True)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: f"{section.__module__}.{section.__name__}")
def test_sections_give_rows(section, lab: Lab) -> None:
    section(lab, "some")
    assert lab.results.rows and not lab.results.details
    assert all(row.ours and not row.note.count("Error") for row in lab.results.rows)
    (kept,) = lab.results.folder.glob("*.json")
    assert len(json.loads(kept.read_text())["rows"]) == len(lab.results.rows)
    assert Results.read(lab.results.folder, lab.results.environment).rows == [
        Row(**json.loads(json.dumps(vars(row)))) for row in Results.read(lab.results.folder, environment()).rows
    ]


class Torch:
    """torch, with a processor that passes for a GPU and nothing compiled."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self.cuda = SimpleNamespace(synchronize=lambda: None)
        self.compile = lambda function, dynamic: function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torch, name)


@pytest.mark.parametrize("section", COMPARED, ids=lambda section: f"{section.__module__}.{section.__name__}")
def test_sections_compare_with_torch(section, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def once(torch: Any, work: Callable[[], Any]) -> float:
        work()
        return 1.0

    lab.torch, lab.place = Torch(pytest.importorskip("torch")), "cpu"
    for module in (timing, ceilings):
        monkeypatch.setattr(module, "theirs", once)
    monkeypatch.setattr(gpt2, "torch_elapsed", lambda torch, work, times: once(torch, work))
    section(lab, "some")
    assert not lab.results.details
    for row in lab.results.rows:
        assert "WRONG" not in row.note and (row.error is None or row.error < 1e-2), (row.name, row.error, row.note)
    assert sum(row.theirs is not None for row in lab.results.rows) >= 2


def test_wrong_results_are_marked(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.torch, lab.place = Torch(pytest.importorskip("torch")), "cpu"
    monkeypatch.setattr(timing, "theirs", lambda torch, work: 1.0)
    lab.run("some", [Case("wrong", (Operand((8, 8)),), lambda x: x + 1, lambda x: x * 2)])
    assert "WRONG RESULT" in lab.results.rows[-1].note


def test_a_case_that_fails_costs_its_row_only(lab: Lab) -> None:
    good = Case("good", (Operand((8, 8)),), lambda x: x + 1, lambda x: x + 1)
    bad = Case("bad", (Operand((8, 8)),), lambda x: x @ x.reshape(4, 16), lambda x: x)
    lab.run("some", [bad, good])
    found = {row.name: row for row in lab.results.rows}
    assert "ShapeError" in found["bad"].note and found["bad"].ours is None and found["good"].ours
    assert any("bad" in name for name in lab.results.details)


CHILD = """
import os, sys, tempfile
from bench.gpu import __main__, timing
from tests.fake_cuda import FakeDriver, installed
timing.SAMPLE, timing.ROUNDS = 0.0, 1
__main__.SECTIONS["attention"] = (lambda lab, section: os._exit(7), 30)
__main__.imported_torch = lambda: None
with tempfile.TemporaryDirectory() as folder, installed(FakeDriver(), folder):
    sys.exit(__main__.main())
"""


def test_a_section_that_ends_its_process_does_not_end_the_run(
    cuda: FakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    sections = ["ceilings", "attention", "fused products"]
    monkeypatch.setattr(main, "CHILD", [sys.executable, "-c", CHILD, "--child"])
    monkeypatch.setattr(sys, "argv", ["gpu", "-o", str(tmp_path / "out"), "--small", "--only", *sections])
    assert main.main() == 0
    found = Results.read(tmp_path / "out", environment())
    assert found.begun == sections
    notes = {row.section: row.note for row in found.rows}
    assert notes["attention"] == "its process ended with 7" and notes["fused products"] == ""
    assert (tmp_path / "out" / "fake-gpu.md").read_text().count("## ") == 3


LOST = """
import os, sys, tempfile, time
from bench.gpu import __main__, lab, timing
from tests.fake_cuda import FakeDriver, installed
timing.SAMPLE, timing.ROUNDS = 0.0, 1
def case(name, work):
    return lab.Case(name, (lab.Operand((8, 8)),), work, work)
def crash(x):
    os._exit(7)
def fault(x):
    fake.culprit = "cast_add_64_bf16"
    return x + 1
def slow(x):
    time.sleep(600)
def good(x):
    return x * 2
cases = [case("first", good), case("crash", crash), case("fault", fault), case("slow", slow), case("last", good)]
__main__.SECTIONS["attention"] = (lambda it, section: it.run(section, cases), 300)
__main__.imported_torch = lambda: None
lab.Lab.compile_together = lambda it, section, cases: it.results.add(lab.Row(section, lab.TOGETHER))
with tempfile.TemporaryDirectory() as folder, installed(FakeDriver(), folder) as fake:
    sys.exit(__main__.main())
"""


def test_a_section_goes_on_behind_a_case_that_ends_its_process(
    cuda: FakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One that crashes, one that loses the device, one that never ends."""
    monkeypatch.setattr(main, "CHILD", [sys.executable, "-c", LOST, "--child"])
    monkeypatch.setattr(main, "CASE", 10.0)
    monkeypatch.setattr(sys, "argv", ["gpu", "-o", str(tmp_path), "--small", "--only", "attention", "ceilings"])
    assert main.main() == 0
    found = Results.read(tmp_path, environment())
    rows = {row.name: row for row in found.rows if row.section == "attention"}
    assert list(rows) == ["compiling together", "first", "crash", "fault", "slow", "last"]
    assert rows["first"].ours and rows["last"].ours and found.begun == ["attention", "ceilings"]
    assert rows["crash"].note == "its process ended with 7" and rows["slow"].note == "its process ended with -9"
    assert "destroyed its context" in rows["fault"].note
    assert found.spent["attention"] > 10 and not found.case


CLOSED = """
import os, sys
from bench.gpu import __main__
from bench.gpu.table import Results
from bench.gpu.__main__ import Path
print("tried with", os.environ.get("KF_TMA"), file=sys.stderr)
if os.environ.get("KF_TMA") != "0" or "--never" in sys.argv:
    sys.exit(9)
results = Results.read(Path(sys.argv[sys.argv.index("-o") + 1]), {"device": "Fake GPU"})
results.begun += sys.argv[sys.argv.index("--only") + 1:]
results.write()
"""


@pytest.mark.parametrize("never", [False, True])
def test_a_device_that_cannot_be_opened_is_tried_without_its_copy_engine(
    never: bool, cuda: FakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.delenv("KF_TMA", raising=False)
    monkeypatch.setattr(main, "CHILD", [sys.executable, "-c", CLOSED, *(["--never"] if never else [])])
    monkeypatch.setattr(sys, "argv", ["gpu", "-o", str(tmp_path), "--only", "attention", "rows"])
    assert main.main() == int(never)
    assert capfd.readouterr().err.split("\n")[:2] == ["tried with None", "tried with 0"]
    found = Results.read(tmp_path, environment())
    assert [row.name for row in found.rows] == ["opening it"] * (2 if never else 1)
    assert found.begun == ([] if never else ["attention", "rows"])


def test_tests_that_take_too_long_end_with_what_they_started() -> None:
    """Whatever still ran would disturb the timings that follow."""
    number, note = checks.output_of(["sh", "-c", "sleep 1000 & echo $!; wait"], 3.0).split(maxsplit=1)
    assert note == "stopped after 3 s"
    with suppress(FileNotFoundError, ProcessLookupError):
        while Path(f"/proc/{number}/stat").read_text().split()[2] != "Z":  # it was told to end, which may take a while
            time.sleep(0.01)
    assert checks.output_of(["sh", "-c", "echo done"], 1000.0) == "done\n"


def test_without_a_gpu_there_is_nothing_to_measure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(main, "absence", lambda: "no GPU")
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert main.main() == 0 and "no GPU" in capsys.readouterr().err


def test_nothing_is_begun_when_time_is_over(lab: Lab) -> None:
    lab.deadline = 0
    lab.run("some", [Case("late", (Operand((8, 8)),), lambda x: x + 1, lambda x: x + 1)])
    assert lab.results.rows[-1].note == "not run: out of time"


def test_large_operands_repeat_their_rows(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.gpu.lab.DRAWN", 16)
    operand = Operand((8, 4), "float32")
    drawn = operand.drawn(3)
    assert drawn.shape == (4, 4)
    assert lab.tensor(operand, 3).numpy().tolist() == [*drawn.tolist(), *drawn.tolist()]
    assert set(lab.tensor(Operand((50,), high=3), 0).tolist()) == {0, 1, 2}


def test_ratios_and_shares_are_shown(tmp_path: Path) -> None:
    results = Results(tmp_path, {"device": "Some GPU"}, {"flops": 1e12, "copy": 1e9})
    results.add(Row("products", "a", ours=1.0, theirs=2.0, peer="torch", flops=5e11))
    results.add(Row("products", "b", ours=1.0, theirs=0.5, peer="torch", nbytes=1e8, note="a | b"))
    text = (tmp_path / "some-gpu.md").read_text()
    assert "2 ratios, geometric mean 1.000, least 0.500." in text
    assert "| a | 1.00 s | 0.5 TFLOP/s | 50% | 2.00 s (torch) |" in text and "| 10% |" in text and "a / b" in text
