"""`kernelforge bench`: subjects, comparisons, files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kernelforge.bench import command, report
from kernelforge.bench.contest import apart, contest
from kernelforge.bench.libraries import installed, load
from kernelforge.bench.onnx import operation
from kernelforge.bench.results import Results, Row, changes
from kernelforge.bench.sides import Refused, Side
from kernelforge.bench.statistics import Interval
from kernelforge.bench.subjects import Subject, shapes_of
from kernelforge.cli import main
from kernelforge.errors import ArgumentError, FileFormatError

NAMES = {"double": lambda x, by=2: x * by}


@pytest.mark.parametrize("text", ["double", "double(3)", "double(by=3)", "a * 3", "a + b"])
def test_subjects_are_names_calls_and_expressions(text: str) -> None:
    subject = Subject(text, ((2, 3), (2, 3)) if "b" in text[-1] else ((2, 3),))
    x, *more = subject.inputs()
    expected = x + more[0] if more else x * (2 if text == "double" else 3)
    np.testing.assert_array_equal(subject.call(NAMES.__getitem__)(x, *more), expected)


def test_functions_of_scripts(tmp_path: Path) -> None:
    script = tmp_path / "model.py"
    script.write_text("def forward(x):\n    return x + 1\n\nif __name__ == '__main__':\n    raise SystemExit\n")
    x = np.ones(3)
    np.testing.assert_array_equal(Subject(f"{script}::forward", ((3,),)).call(NAMES.__getitem__)(x), x + 1)
    with pytest.raises(ArgumentError, match="no function backward"):
        Subject(f"{script}::backward", ((3,),)).call(NAMES.__getitem__)


def test_inputs_are_the_same_every_time() -> None:
    for dtype in ("float32", "bfloat16", "int8", "bool"):
        first, second = (Subject("double", ((5, 4),), dtype).inputs()[0] for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == (5, 4)


def test_shapes() -> None:
    assert shapes_of("2x3,3x4") == ((2, 3), (3, 4)) and shapes_of("7") == ((7,),)
    with pytest.raises(ArgumentError, match="512x256"):
        shapes_of("two by three")


class Scripted(Side):
    """A side without a process: its results and times are given."""

    def __init__(self, name: str, result: float = 1.0, times: tuple[float, ...] = (1.0,) * 4, refuses: bool = False):
        super().__init__(name, dict)
        self.result, self.times, self.refuses = result, list(times), refuses

    def do(self, request: str, *arguments: object) -> object:
        if self.refuses:
            raise Refused("out of order")
        told = {"prepare": np.array([self.result, 2.0]), "parts": {"device": 0.5}}
        return self.times.pop(0) if request == "round" else told[request]


def test_who_differs_or_refuses_is_noted() -> None:
    sides = [Scripted("kernelforge"), Scripted("torch", result=1.5), Scripted("jax", refuses=True)]
    row = contest(sides, Subject("double", ((2,),)), 4)
    assert row.seconds == {"kernelforge": [1.0] * 4, "torch": [1.0] * 4} and row.parts == {"device": 0.5}
    assert "differs from kernelforge's by 2.5e-01" in row.notes["torch"] and row.notes["jax"] == "out of order"


def test_shapes_that_differ_are_infinitely_apart() -> None:
    assert apart(np.ones(2), np.ones(3)) == np.inf


def made(seconds: float, spread: float = 0.01) -> Results:
    random = np.random.default_rng(0)
    row = Row("some", {"kernelforge": list(seconds * (1 + spread * random.random(40)))})
    return Results({"device": "D"}, [row])


@pytest.mark.parametrize(
    ("now", "verdict", "fails"),
    [(1.0, "same", False), (1.1, "slower", True), (1.04, "slower", False), (0.8, "faster", False)],
)
def test_comparisons(now: float, verdict: str, fails: bool) -> None:
    (change,) = changes(made(1.0), made(now))
    assert change.verdict == verdict and change.is_slower_by(0.05) == fails


def test_noise_is_no_regression() -> None:
    (change,) = changes(made(1.0, spread=0.5), made(1.05, spread=0.5))
    assert change.verdict == "same" and not change.is_slower_by(0.0)


@pytest.mark.parametrize(("now", "verdict"), [
    ([[2.0, 1.0], [2.2, 1.0], [2.1, 1.0], [2.3, 1.0]], "slower"),
    ([[0.5, 1.0], [0.4, 1.0], [0.6, 1.0], [0.5, 1.0]], "same"),  # in turns it was slower
    ([[2.0, 1.0], [2.2, 1.0], [1.0, 1.0], [2.3, 1.0]], "same"),  # one process was as fast as those before
    ([[2.0, 2.0], [2.2, 2.1], [2.1, 2.0], [2.3, 2.2]], "same"),  # all work took longer
])  # fmt: skip
def test_what_differs_from_process_to_process_is_no_change(now: list[list[float]], verdict: str) -> None:
    before, after = made(1.0), made(2.0)
    before.rows[0].sittings, after.rows[0].sittings = [[1.0, 1.0], [1.1, 1.0], [1.0, 0.9], [1.1, 1.1]], now
    (change,) = changes(before, after)
    assert change.verdict == verdict
    before.rows[0].sittings = []  # saved without: medians are all there is
    assert changes(before, after)[0].verdict == "slower"


def test_results_survive_the_disk(tmp_path: Path) -> None:
    results, path = made(1.0), tmp_path / "results.json"
    results.save(path)
    assert Results.read(path) == results and [p.name for p in tmp_path.iterdir()] == ["results.json"]
    for text in ("", "[]", '{"version": 99}', path.read_text()[:-40]):
        path.write_text(text)
        with pytest.raises(FileFormatError, match="no results of kernelforge bench"):
            Results.read(path)


def test_reports_say_only_what_is_certain() -> None:
    times = {"kernelforge": [1.0] * 16, "torch": [2.0] * 16, "jax": [1.0] * 16}
    parts = {"device": 0.5, "flops": 1e9, "most_flops": 4e9, "bytes": 0, "most_copy": 1}
    row = Row("some", times, {"cold": 1.5}, parts)
    text = report.text(Results({"device": "D"}, [row]))
    assert "2.00 (2.00-2.00) faster" in text and "1.00 (1.00-1.00) no difference is certain" in text and "50%" in text
    page = report.page(Results({"device": "<D>"}, [row]))
    assert "&lt;D&gt;" in page and page.count("<svg") == 1 and "http" not in page


def test_the_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SITTINGS", 2)
    saved = tmp_path / "before.json"
    arguments = ["bench", "a * 2", "--shapes", "16x16", "--rounds", "2", "--no-first"]
    assert main([*arguments, "--save", str(saved), "--html", str(tmp_path / "page.html")]) == 0
    assert "a * 2 of 16x16 float32" in capfd.readouterr().out and (tmp_path / "page.html").exists()
    assert main([*arguments, "--json", "--compare", str(saved), "--fail-on", "400%"]) == 0
    (row,) = json.loads(capfd.readouterr().out)["rows"]
    assert len(row["sittings"]) == 2 and all(took > 0 and yard > 0 for took, yard in row["sittings"])
    assert row["parts"]["kernels"] == 1 and row["parts"]["bytes"] == 2048


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["softmax(", "--shapes", "4"], "neither an operation"),
        (["gelu", "--shapes", "4y4"], "shapes are written"),
        (["gelu", "--against", "numpy"], "there is no peer numpy"),
        (["gelu", "--fail-on", "much"], "percents"),
        (["gelu", "--compare", "/nowhere/at/all"], "no results of kernelforge bench"),
        (["gelu", "--device", "TPU"], "TPU"),
    ],
)
def test_what_cannot_be_measured(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_intervals_are_written_with_their_bounds() -> None:
    assert str(Interval(1.0, 1.25, 1.5)) == "1.25 (1.00-1.50)"


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("softmax(-1)", ((5, 7),)),
        ("gelu", ((5, 7),)),
        ("layernorm", ((5, 7),)),
        ("sum(0)", ((5, 7),)),
        ("cumsum(1)", ((5, 7),)),
        ("silu", ((5, 7),)),
        ("(a @ b).relu() * 2 + 1", ((5, 7), (7, 3))),
        ("1 - (-a).exp().max(1, keepdim=True) / b", ((5, 7), (5, 7))),
        ("conv2d(padding=1)", ((2, 3, 8, 8), (4, 3, 3, 3))),
    ],
)
def test_onnx_models_compute_the_same(text: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    if not installed("onnxruntime"):
        pytest.skip("onnxruntime or onnx is not installed")
    subject = Subject(text, shapes)
    found = []
    for name in ("kernelforge", "onnxruntime"):
        library = load(name, "CPU")
        values = [library.tensor(array, "float32") for array in subject.inputs()]
        found.append(library.array(library.ready(subject.call(library.find))(*values)))
    assert apart(*found) < 1e-5


def test_onnx_models_are_refused_where_there_is_no_operation() -> None:
    with pytest.raises(ArgumentError, match="not made of frobnicate"):
        operation("frobnicate")
