"""The command line and what it shows: sources of a script, the state of the machine, explanations."""

import ast
import subprocess
import sys

import numpy as np
import pytest

from codegen.program import Program
from kernelforge import Context, Tensor
from kernelforge.cli import main
from kernelforge.dumping import close
from kernelforge.dumping.sources import sources
from kernelforge.planning.steps import Launch

SCRIPT = """
import sys
import numpy as np
from kernelforge import Tensor
x, w = (Tensor(np.ones((64, 64), np.float32)) for _ in range(2))
print(sys.argv[1:], (x @ w).softmax().numpy().sum())
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(SCRIPT)
    return path


def test_dump_writes_every_kernel_in_both_languages(script, tmp_path, capsys):
    folder = tmp_path / "sources"
    assert main(["dump", str(script), "-o", str(folder), "--language", "both", "--steps", "3"]) == 0
    assert "['--steps', '3'] 64.0" in capsys.readouterr().out
    sources = [path for path in folder.iterdir() if path.suffix in (".cl", ".py")]
    assert {path.suffix for path in sources} == {".cl", ".py"}
    assert any(path.name.startswith("contract_64x64_k64") for path in sources), "a name tells the content"
    for path in sources:
        text = path.read_text()
        assert "kernel" in text.splitlines()[0]
        if path.suffix == ".py":
            ast.parse(text)


def test_dump_of_a_missing_script_says_so(tmp_path, capsys):
    assert main(["dump", str(tmp_path / "none.py")]) == 2
    assert "none.py" in capsys.readouterr().err


def test_dump_passes_on_errors_of_the_script(tmp_path, capsys):
    path = tmp_path / "bad.py"
    path.write_text("raise RuntimeError('mine')")
    assert main(["dump", str(path), "-o", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert f'File "{path}", line 1' in told and "RuntimeError: mine" in told and "cli.py" not in told


def test_output_nobody_reads_any_more_is_no_fault():
    command = [sys.executable, "-m", "kernelforge", "source", "x + 1", "--shape", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 1


def test_unknown_arguments_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["doctor", "--nonsense"])
    assert "--nonsense" in capsys.readouterr().err


def test_doctor_tries_every_device(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "NUMPY" in text and "works" in text and "WRONG" not in text and "KF_DEBUG" in text


def test_sources_of_one_name_and_different_text_both_stay(tmp_path):
    x = Tensor(np.ones(64, np.float32))
    with Context(DUMP=str(tmp_path)):
        (x * 2 + 1).realize()
        (x * 3 + 1).realize()
    close(str(tmp_path))
    texts = {path.read_text() for path in tmp_path.glob("*.cl")}
    assert len(texts) == len(list(tmp_path.glob("*.cl"))) == 2


def test_explain_names_boundaries_lines_and_sources():
    x = Tensor(np.ones((8, 8), np.float32))
    text = (x @ x).relu().explain()
    assert text.startswith("1 kernels") and "output" in text and "test_cli.py" in text
    assert x.realize().explain().startswith("0 kernels")


def test_a_program_without_its_kernel_is_shown_in_its_own_language():
    program = Program("opencl", "text", "entry", (1,), (), frozenset())
    assert list(sources(Launch("CPU", program, ()), "both")) == ["opencl"]
