"""Ways to compute sums over windows: what the lock file says holds, what it does not is measured and kept."""

from pathlib import Path

import numpy as np
import pytest

from codegen.generate import generate
from kernelforge import Tensor
from kernelforge.execution import tried
from kernelforge.kernels import Device
from kernelforge.realize import explain, planned
from kernelforge.settings import Context
from kernelforge.tune.lock import lock_at
from kernelforge.windows.winograd import Way

SHAPES = (2, 64, 28, 28), (64, 64, 3, 3)


def drawn() -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(3)
    return tuple(Tensor(random.standard_normal(shape).astype(np.float32), device="CPU").realize() for shape in SHAPES)


def convolution(x: Tensor, w: Tensor) -> Tensor:
    return x.relu().conv2d(w, padding=1)


@pytest.fixture
def fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A lock file in which what is measured to be fastest are blocks of 2, and its one section."""
    path = tmp_path / "tune.lock"
    monkeypatch.setattr(tried, "_times", lambda device, plans, deadline: {way: _pretended(way) for way in plans})
    monkeypatch.setattr("kernelforge.tune.program", lambda kernel, target, device: generate(kernel, target))
    monkeypatch.setattr(tried, "compile_all", lambda plan: None)
    with Context(TUNE=1, TUNE_LOCK=str(path), TUNE_SECONDS=10_000):
        planned([convolution(*drawn())._node])
    (key,) = lock_at(path).sections
    return path, key


def _pretended(way: Way) -> float:
    return 1.0 if way == Way("results", (2, 2)) else 2.0


def kernels(path: Path) -> str:
    with Context(TUNE_LOCK=str(path)):
        return explain([convolution(*drawn())._node])


def test_the_fastest_way_is_kept_and_used(fixed: tuple[Path, str]) -> None:
    path, key = fixed
    assert key.startswith("sum_2x28x28x64_3x3_64_f32 cpu ")
    assert lock_at(path).sections[key].splitlines()[-1] == "results  2 by 2"
    with Context(TUNE_LOCK="none"):
        usual = explain([convolution(*drawn())._node])
    assert "k64_f32" in kernels(path)
    assert kernels(path) != usual


def test_a_sum_may_stay_plain(fixed: tuple[Path, str], tmp_path: Path) -> None:
    path, key = tmp_path / "plain.lock", fixed[1]
    path.write_text(f"[{key}]\nplain\n")
    with Context(TUNE_LOCK="none", WINOGRAD=0):
        plainly = explain([convolution(*drawn())._node])
    assert kernels(path) == plainly


def test_what_is_no_way_of_the_sum_is_ignored(fixed: tuple[Path, str], tmp_path: Path) -> None:
    path, key = tmp_path / "other.lock", fixed[1]
    path.write_text(f"[{key}]\nresults  7 by 7\n")
    with Context(TUNE_LOCK="none"):
        usual = explain([convolution(*drawn())._node])
    assert kernels(path) == usual


def test_ways_are_run_and_results_are_right(tmp_path: Path) -> None:
    if Device["CPU"].target.language == "interpreted":
        pytest.skip("the interpreter has no schedules")
    x, w = drawn()
    with Context(WINOGRAD=0, TUNE_LOCK="none"):
        expected = convolution(x, w).numpy()
    with Context(TUNE=1, TUNE_LOCK=str(tmp_path / "tune.lock"), TUNE_SECONDS=1):
        found = convolution(x, w).numpy()
    sections = lock_at(tmp_path / "tune.lock").sections
    (text,) = (text for key, text in sections.items() if key.startswith("sum_"))
    assert text.splitlines()[-1].split()[0] in ("plain", "results", "taps")
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
