"""Programs that the command line runs: what fails is told as Python would, functions are called and computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelforge.cli import main

FUNCTIONS = """
from kernelforge import Tensor, jit

def lazy():
    return {"sum": [Tensor.ones(30, 40).exp().sum()]}

def needs(x):
    return x

def wrong():
    return Tensor.ones(4, 5) @ Tensor.ones(4, 5)

def steps(step=lambda x: (x * 2).exp().sum()):
    return [step(Tensor([1.0, float(i)])).item() for i in range(5)]

def captured():
    return steps(jit(lambda x: (x * 2).exp().sum()))

value = 3
"""


@pytest.fixture(autouse=True)
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_EAGER", "0")


@pytest.mark.parametrize(("name", "told"), [
    ("needs", "some_functions:needs is called without arguments: missing a required argument: 'x'"),
    ("value", "some_functions:value is no function, but of type int"),
    ("nothing", "there is no function some_functions:nothing"),
])  # fmt: skip
def test_what_is_no_function_is_told(name: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", f"some_functions:{name}"]) == 2
    assert told in capsys.readouterr().err


def test_what_a_function_gives_is_computed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "some_functions:lazy"]) == 0
    assert "kernels   1 different ones in 1 launches" in capsys.readouterr().out


def test_an_error_begins_at_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "some_functions:wrong"]) == 1
    told = capsys.readouterr().err
    assert told.splitlines()[1].endswith("some_functions.py\", line 11, in wrong")
    assert "cli.py" not in told and "During handling" not in told and "ShapeError: matmul of (4, 5)" in told
    Path("broken.py").write_text("def f(:\n")
    assert main(["profile", "broken.py"]) == 1
    assert capsys.readouterr().err.lstrip().startswith('File "')


def test_a_program_that_computes_nothing_is_told_how(capsys: pytest.CaptureFixture[str]) -> None:
    Path("nothing.py").write_text("")
    assert main(["explain", "nothing.py"]) == 0
    assert "nothing was computed: values are when they are read" in capsys.readouterr().out


def test_jit_is_advised_where_it_is_not_used(capsys: pytest.CaptureFixture[str]) -> None:
    advice = "wrap the step in kernelforge.jit"
    assert main(["explain", "some_functions:steps"]) == 0 and advice in capsys.readouterr().out
    assert main(["explain", "some_functions:captured"]) == 0 and advice not in capsys.readouterr().out
