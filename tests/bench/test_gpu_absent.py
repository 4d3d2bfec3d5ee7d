"""The report on kernels for a GPU that is not here: all of a step's kernels are in it, and what is wrong with them."""

import pytest

from bench.gpu import absent
from bench.gpu.figures import Figures
from bench.gpu.gpt2 import Sizes
from codegen.program import Program
from codegen.target import SM90
from kernelforge.errors import CompileError
from kernelforge.execution import faults
from kernelforge.kernels import device

GOOD = Figures(64, 128, 0, 0, 1024, 100, 4, 0, 8, 8, 0)


def test_a_step_is_planned_for_a_gpu_that_is_not_here() -> None:
    opened = dict(device._opened)
    launches = absent.step(Sizes.tiny(), SM90)
    assert {program.language for program in launches} == {"triton"} and launches.total() > len(launches) > 20
    assert any("tl.dot(" in program.source for program in launches)
    assert device._opened == opened and absent.DEVICE not in device._OPENERS
    assert not faults._pending, "the device that is gone would be asked for them"


def test_the_report_names_every_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = [Program("triton", source, name, (1,), (), frozenset()) for name, source in
                (("good", "tl.dot("), ("plain", ""), ("bad", "tl.dot("), ("refused", ""))]  # fmt: skip

    def compiled(program: Program, target: object) -> tuple[None, Figures]:
        if program.entry == "refused":
            raise CompileError("refused", "sm_90", None, "error: no")
        return None, GOOD if program.entry == "good" else Figures(64, 128, 0, 0, 1024, 100, 0, 4, 8, 8, 0)

    monkeypatch.setattr(absent, "machine_of", compiled)
    monkeypatch.setattr(absent, "step", lambda sizes, target: absent.Counter(programs))
    page, faulty = absent.report(Sizes.tiny(), SM90)
    text = " ".join(page.split())
    assert faulty == 2 and "never run on hardware" in text
    assert "4 launches of 4 different kernels; 2 with faults" in text
    assert "the older instructions" in text and "cannot compile kernel refused" in text
