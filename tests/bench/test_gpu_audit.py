"""The audit of all kernels that are timed: whose they are, what is wrong with them, what the assembler says of them."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.gpu import audit
from bench.gpu.__main__ import SECTIONS
from bench.gpu.catalogue import CATALOGUE
from bench.gpu.figures import Figures, faults
from codegen.program import Program
from codegen.target import Target
from kernelforge import Context
from kernelforge.kernels.triton_compile import triton_version

ROOT = Path(__file__).parents[2]
GOOD = Figures(64, 128, 0, 0, 1024, 100, 4, 0, 8, 8, 0)


def test_all_that_is_timed_as_cases_is_audited() -> None:
    found = audit.sections()
    assert found.keys() - {"catalogue"} <= SECTIONS.keys()
    assert len(found["products of bfloat16"]) == len(found["products of float32"]) == 40
    assert len(found["catalogue"]) == len(CATALOGUE)
    for name, works in found.items():
        assert len(dict(works)) == len(works), f"{name}: a name for each"


def test_the_audit_tells_kernels_with_faults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def told(program: Program, target: Target) -> tuple[Figures, list[str]]:
        figures = replace(GOOD, serialised=int("64x64x64" in program.entry))
        return figures, faults(figures, target)

    monkeypatch.setattr(audit, "examined", told)
    command = ["audit", "--only", "products of bfloat16", "--every", "3", "-o", str(tmp_path / "page.md")]
    monkeypatch.setattr(sys, "argv", command)
    with Context(EAGER=0):
        assert audit.main() == 1
    page = (tmp_path / "page.md").read_text()
    assert f"Compiled for sm_90 with Triton {triton_version()}, never run" in page
    assert re.search(r"\| products of bfloat16 \| 14 \| \d+ \| \d+ \| 1 \|", page)
    assert "1 times matrix instructions wait for each other" in page


WAITS = """
import re
from dataclasses import replace
from bench.gpu.figures import machine_of, programs_of, serialised
from codegen.target import SM90
from kernelforge import Tensor
a, b = (Tensor.empty(512, 512, dtype="float16") for _ in range(2))
(program,) = programs_of(SM90, a @ b)
machine, figures = machine_of(program, SM90)
early = replace(machine, ptx=re.sub(r"wgmma\\.wait_group[^;]*;", "", machine.ptx))
print(figures.matrix > 0, figures.serialised, serialised(early, SM90) > 0)
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_matrix_instructions_that_wait_for_each_other_are_found() -> None:
    """Without its waits the text of a kernel reads results too early: the assembler says where it puts some in."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRITON_INTERPRET": "0"}  # here Triton may interpret
    done = subprocess.run([sys.executable, "-c", WAITS], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "0", "True"], done.stderr
