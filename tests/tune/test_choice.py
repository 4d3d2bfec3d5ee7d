"""Tuning from outside: winners are kept and used again, the same lock gives the same bits, bad entries do no harm."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.ir import apply
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from kernelforge import Tensor
from kernelforge.kernels import Device
from kernelforge.settings import Context
from kernelforge.tune import choice, state
from kernelforge.tune.lock import lock_at
from tests.codegen import written_kernels as written

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib
import numpy as np
from kernelforge import Tensor
x = Tensor(np.random.default_rng(0).standard_normal((65, 190), np.float32))
for y in (x @ x.transpose(0, 1), x.softmax(), x.sum(0)):
    print(hashlib.sha256(y.numpy().tobytes()).hexdigest())
"""


def run(folder: Path, **switches: str) -> subprocess.CompletedProcess[str]:
    more = {"KF_CACHE_DIR": str(folder / "cache"), "KF_TUNE_LOCK": str(folder / "tune.lock"), "PYTHONPATH": str(ROOT)}
    environment = os.environ | more | {"KF_TUNE_SECONDS": "1"} | switches
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=600, check=True
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a lock file that a tuning process wrote, and what the process printed."""
    if Device["CPU"].target.language == "interpreted":
        pytest.skip("the interpreter has no schedules")
    folder = tmp_path_factory.mktemp("tuned")
    return folder, run(folder, KF_TUNE="1", KF_DEBUG="1").stdout


def test_the_same_lock_gives_the_same_bits(tuned: tuple[Path, str]) -> None:
    folder, printed = tuned
    assert len(re.findall(r"^\[.+\]$", (folder / "tune.lock").read_text(), re.MULTILINE)) == 3
    assert run(folder).stdout == printed
    again = run(folder, KF_TUNE="1", KF_DEBUG="1")
    assert again.stdout == printed
    assert "candidates" not in again.stderr


def test_entries_that_are_not_legal_are_ignored_with_a_notice(tuned: tuple[Path, str], tmp_path: Path) -> None:
    text = (tuned[0] / "tune.lock").read_text()
    (tmp_path / "tune.lock").write_text(re.sub(r"^vector .*$", "vector   nothing", text, flags=re.MULTILINE))
    bad, plain = run(tmp_path), run(tmp_path, KF_TUNE_LOCK="none")
    assert bad.stdout == plain.stdout
    assert len(re.findall("is ignored: the kernel has no 'nothing'", bad.stderr)) == 3


def test_tuning_measures_checks_and_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process: progress is shown, the result is right, plans made before tuning are not used after it."""
    if Device["CPU"].target.language == "interpreted":
        pytest.skip("the interpreter has no schedules")
    array = np.random.default_rng(1).standard_normal((37, 91)).astype(np.float32)
    x, path = Tensor(array, device="CPU").realize(), tmp_path / "tune.lock"
    with Context(TUNE_LOCK=str(path), TUNE_SECONDS=1):
        before = state()
        np.testing.assert_allclose(x.exp().sum(0).numpy(), np.exp(array).sum(0), rtol=1e-5)
        assert not path.exists()
        with Context(TUNE=1, DEBUG=1):
            np.testing.assert_allclose(x.exp().sum(0).numpy(), np.exp(array).sum(0), rtol=1e-5)
        assert "candidates in" in capsys.readouterr().err
        assert len(lock_at(path).sections) == 1
        assert state() != before


def test_the_interpreter_is_not_tuned(tmp_path: Path, numpy_device: None) -> None:
    with Context(TUNE=1, TUNE_LOCK=str(tmp_path / "tune.lock")):
        assert float((Tensor([1.0, 2.0]) * 3).sum().numpy()) == 9
    assert not (tmp_path / "tune.lock").exists()


def test_large_kernels_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_fits", lambda kernel, runtime: False)
    with Context(TUNE=1, TUNE_LOCK=str(tmp_path / "tune.lock")):
        np.testing.assert_array_equal((Tensor(np.ones(23, np.float32)) * 5).numpy(), np.full(23, 5.0))
    assert not (tmp_path / "tune.lock").exists()


def test_a_kernel_in_another_form_is_found_again(tmp_path: Path) -> None:
    """Products of bytes alike, where the processor multiplies unlike ones."""
    target = Device["CPU"].target
    if "int8" not in target.dots:
        pytest.skip("no such products here")
    a, b = (np.random.default_rng(seed).integers(-128, 128, (100, 100), np.int8) for seed in (0, 1))
    x, y, path = Tensor(a, device="CPU").realize(), Tensor(b, device="CPU").realize(), tmp_path / "tune.lock"
    with Context(TUNE_LOCK=str(path), TUNE_SECONDS=0.1):
        for tune in (1, 0):
            with Context(TUNE=tune):
                found = x.matmul(y, dtype="int32").numpy()
                np.testing.assert_array_equal(found, a.astype(np.int32) @ b.astype(np.int32))
    (section,) = lock_at(path).sections.values()
    assert "form     unlike" in section.splitlines()


def test_an_unknown_form_is_ignored_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    x = written.tensor("x", 31)
    kernel = prepare(written.kernel("double", (31,), lambda i: apply("add", x(i), x(i))))
    assert choice._locked(kernel, CPU, "form     strange\nvector   i", "tune.lock: [k]") is None
    assert "tune.lock: [k] is ignored: the kernel has no form 'strange'" in capsys.readouterr().err
