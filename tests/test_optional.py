"""Tests without torch: what needs it is left out, and nothing else fails to be imported."""

import subprocess
import sys
from pathlib import Path

from tests.optional import FOLDER, left_out

PROGRAM = """
import importlib, sys
sys.modules["torch"] = None  # as if it were not installed
import pytest
from tests.optional import FOLDER, left_out
without = left_out("torch")
assert FOLDER / "parity" / "cases.py" in without and FOLDER / "test_optional.py" not in without
for path in sorted(FOLDER.rglob("test_*.py")):
    if path not in without:
        try:
            importlib.import_module(".".join(("tests", *path.relative_to(FOLDER).with_suffix("").parts)))
        except pytest.skip.Exception:
            pass
"""


def test_what_is_not_left_out_is_imported_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=FOLDER.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_nothing_is_left_out_of_what_is_installed() -> None:
    assert left_out("numpy") == set[Path]()
