"""Types as users see them: the stub file is what the methods say, and ordinary programs pass a type checker."""

from pathlib import Path

import pytest

from kernelforge.tensor import _tensor
from kernelforge.tensor.inplace import InPlace
from kernelforge.tensor.spelling import stub

ROOT = Path(__file__).parent.parent


def test_the_stub_is_up_to_date():
    """If not: write what stub() gives into kernelforge/tensor/_tensor.pyi."""
    assert Path(_tensor.__file__).with_suffix(".pyi").read_text() == stub("Tensor", InPlace)


def test_ordinary_programs_pass(monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.chdir(ROOT)
    report, errors, status = api.run(["--follow-imports=silent", "tests/ordinary_use.py"])
    assert status == 0, report + errors
