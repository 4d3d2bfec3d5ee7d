"""Commands that look into dumps: explain, source, diff, edit and replay."""

import json
import os

import numpy as np
import pytest

from kernelforge import Context, Tensor
from kernelforge.cli import main
from kernelforge.dumping import close
from kernelforge.inspect.differing import difference
from kernelforge.inspect.explaining import details, explain

PROGRAM = """
import numpy as np
from kernelforge import Tensor
random = np.random.default_rng(0)
x, w = (Tensor(random.standard_normal((96, 96), np.float32)) for _ in range(2))
for _ in range(2):
    y = (x @ w).{name}()
    print("result", (y.softmax() * w).sum().item())
"""


@pytest.fixture(scope="module")
def dumps(tmp_path_factory):
    """Dumps of two programs that differ in one line."""
    folder = tmp_path_factory.mktemp("dumps")
    for name in ("gelu", "tanh"):
        (folder / f"{name}.py").write_text(PROGRAM.format(name=name))
        assert main(["dump", str(folder / f"{name}.py"), "-o", str(folder / name)]) == 0
    return folder


def test_explain_takes_ten_lines_and_tells_what_matters(dumps, capsys):
    assert main(["explain", str(dumps / "gelu.py")]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]  # after what the program prints
    assert len(lines) <= 10
    told = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert told[:4] == ["kernels", "time", "memory", "slowest"]
    manifest = json.loads((dumps / "gelu" / "manifest.json").read_text())
    assert lines[0].startswith(f"kernels   {manifest['totals']['kernels']} different")


@pytest.mark.parametrize("compiling", [0.0, 0.9])
def test_explain_takes_ten_lines_also_where_most_was_compiling(dumps, compiling):
    manifest = json.loads((dumps / "gelu" / "manifest.json").read_text())
    manifest["totals"] |= {"seconds": 1.0, "compile_seconds": compiling, "plan_seconds": 0.0}
    manifest["wins"] = [{"seconds": 1.0, "what": "this", "how": "that"}] * 4
    assert 9 <= len(explain(manifest).splitlines()) <= 10


def test_explain_of_a_dump_gives_details(dumps, capsys):
    assert main(["explain", str(dumps / "gelu"), "--details"]) == 0
    text = capsys.readouterr().out
    assert "boundaries" in text and "gelu.py:7" in text and "->" in text
    assert main(["explain", str(dumps)]) == 2
    assert "no dump" in capsys.readouterr().err


def test_explain_without_a_launch(tmp_path):
    totals = dict.fromkeys(("seconds", "kernel_seconds", "compile_seconds", "plan_seconds", "memory"), 0.0)
    manifest = {"totals": {**totals, "kernels": 0, "launches": 0}, "kernels": [], "plans": [], "wins": [], "advice": {}}
    assert explain(manifest).startswith("kernels   0") and details(manifest) == "kernels\nboundaries"


@pytest.mark.parametrize("target", ["opencl:cpu", "cuda:sm_80", "cuda:sm_90", "cuda:sm_100", "hip:gfx942", "CPU"])
def test_source_prints_kernels_for_any_target(target, capsys):
    assert main(["source", "(x @ w + b).gelu()", "--shape", "64x32", "32x48", "b=48", "--target", target]) == 0
    text = capsys.readouterr().out
    assert text.count("contract_tanh_64x48_k32_f32(") == 1
    is_triton = target.startswith(("cuda", "hip"))
    assert ("tl.dot(" in text) == is_triton and ("__kernel" in text) == (not is_triton)


def test_source_has_other_types_and_several_results(capsys):
    assert main(["source", "[x + y, Tensor.ones(3).exp()]", "--shape", "3", "3", "--dtype", "float16"]) == 0
    assert "half" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x +", "--shape", "3"], "no expression"),
        (["x @ y", "--shape", "3x4"], "shape for each of x, y"),
        (["x @ y", "--shape", "3x4", "y=5x6"], "matmul"),
        (["x", "--shape", "3by4"], "64x128"),
        (["x.nothing()", "--shape", "3"], "nothing"),
        (["x.tolist()", "--shape", "3"], "not a tensor"),
        (["x", "--shape", "3", "--target", "abacus"], "abacus"),
    ],
)
def test_source_tells_what_is_wrong(arguments, message, capsys):
    assert main(["source", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_diff_shows_what_changed_and_what_did_not(dumps, capsys):
    page = dumps / "diff.html"
    assert main(["diff", str(dumps / "gelu"), str(dumps / "tanh"), "--html", str(page)]) == 0
    text = capsys.readouterr().out
    assert "tanh(t0)" in text and "\n    -" in text and "\n    +" in text
    assert "<script" not in page.read_text() and "tanh(t0)" in page.read_text()
    same = difference(dumps / "gelu", dumps / "gelu")
    assert "the kernels are the same" in same.text() and not same.gone and not same.new and not same.boundaries
    assert main(["diff", str(dumps / "gelu"), str(dumps)]) == 2


def test_diff_names_kernels_only_one_dump_has(dumps, tmp_path, capsys):
    script = tmp_path / "other.py"
    script.write_text("from kernelforge import Tensor\nTensor.arange(7).float().exp().realize()\n")
    assert main(["dump", str(script), "-o", str(tmp_path / "other")]) == 0
    found = difference(dumps / "gelu", tmp_path / "other")
    assert found.gone and found.new and not any(change.source for change in found.changes)


def slowest(folder):
    """The kernel whose epilogue an edit can change."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return next(kernel for kernel in manifest["kernels"] if "tanh" in kernel["name"])


def test_an_edit_is_checked_and_used_in_the_whole_program(dumps, capsys, monkeypatch):
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    folder = dumps / "tanh"
    kernel = slowest(folder)
    assert main(["replay", str(folder), "--use-edited"]) == 0
    output = capsys.readouterr().out
    assert "nothing of" in output
    plain = [line for line in output.splitlines() if line.startswith("result")]
    assert main(["edit", str(folder), kernel["name"][:-2]]) == 0
    path = folder / "edited" / kernel["files"]["opencl"]
    assert path.read_text() == (folder / path.name).read_text() and str(path) in capsys.readouterr().out
    path.write_text(path.read_text().replace("= tanh(", "= 0.0f * tanh("))
    assert main(["replay", str(folder), "--use-edited"]) == 1
    output = capsys.readouterr().out
    assert "OTHER RESULTS" in output
    assert plain[0] not in output, "the program computes with the edited kernel"
    path.write_text("// a remark\n" + (folder / path.name).read_text())
    assert main(["replay", str(folder), "--use-edited"]) == 0
    output = capsys.readouterr().out
    assert "the same results" in output and plain[0] in output
    assert main(["edit", str(folder), kernel["name"], "--drop"]) == 0 and not path.exists()
    assert main(["edit", str(folder), "nobody"]) == 2


def test_edits_hold_where_the_switch_names_their_dump(tmp_path):
    x = Tensor(np.arange(8, dtype=np.float32))
    with Context(DUMP=str(tmp_path)):
        (x + 3).realize()
    close(str(tmp_path))
    (source,) = tmp_path.glob("*.cl")
    (tmp_path / "edited").mkdir()
    (tmp_path / "edited" / source.name).write_text(source.read_text().replace("3.0f", "5.0f"))
    with Context(EDITED=str(tmp_path)):
        assert np.array_equal((x + 3).numpy(), np.arange(8) + 5)
    assert np.array_equal((x + 3).numpy(), np.arange(8) + 3)


def test_a_function_of_a_module_is_a_program(tmp_path, monkeypatch, capsys):
    text = "from kernelforge import Tensor\ndef run():\n    Tensor.ones(5).exp().realize()\n"
    (tmp_path / "mine_to_dump.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(os.fspath(tmp_path))
    assert main(["dump", "mine_to_dump:run", "-o", str(tmp_path / "dump")]) == 0
    assert json.loads((tmp_path / "dump" / "manifest.json").read_text())["command"] == ["mine_to_dump:run"]
    assert main(["dump", "mine_to_dump:nothing"]) == 2
