"""A dump: its files, its manifest, scripts that run on their own, names that stay, statements with their lines."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

import kernelforge as kf
from codegen.interpret import interpret
from codegen.spell import HEAD, spell
from codegen.target import SM80
from kernelforge import Tensor, jit, nn
from kernelforge.dumping.statements import mapped
from kernelforge.fusion.lower import lower
from kernelforge.graph import user_line
from kernelforge.nn import optim
from kernelforge.tune.inputs import arguments
from tests.fused import planned, tensor

FIELDS = {
    *("schema", "kernelforge", "python", "command", "devices", "totals", "kernels", "plans", "launches", "memory"),
    *("advice", "rules", "compilations", "wins"),
}


def train(steps=2):
    model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    x, y = Tensor(np.ones((8, 20), np.float32)), Tensor(np.zeros(8, np.int64))
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).cross_entropy(y).backward()
        optimizer.step()
    return [p.numpy() for p in model.parameters()]


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump")
    with kf.dump(folder) as found:
        train()
    assert found == folder
    return folder, json.loads((folder / "manifest.json").read_text())


def test_a_manifest_tells_all_that_ran(dumped):
    folder, manifest = dumped
    assert manifest.keys() == FIELDS and manifest["schema"] == 1
    assert manifest["totals"]["launches"] == len(manifest["launches"]) == len(manifest["memory"]) > 0
    names = [kernel["name"] for kernel in manifest["kernels"]]
    assert len(set(names)) == len(names)
    for kernel in manifest["kernels"]:
        assert all((folder / file).is_file() for file in kernel["files"].values())
        assert kernel["launches"] or kernel["part_of"]
        if not kernel["parts"]:
            assert kernel["algebra"].startswith("kernel") and kernel["nest"]
            assert {"opencl", "triton", "run"} <= kernel["files"].keys()
    for plan in manifest["plans"]:
        assert len(plan["groups"]) == len(plan["launch_of"]) and -1 not in plan["launch_of"]
        assert all(number < len(plan["kernels"]) for number in plan["launch_of"])


def test_a_boundary_has_reasons_advice_and_a_cost(dumped):
    _, manifest = dumped
    boundaries = [b for plan in manifest["plans"] for b in plan["boundaries"]]
    assert boundaries
    for boundary in boundaries:
        assert boundary["reasons"] and boundary["nbytes"] > 0 and boundary["earlier"] != boundary["later"]
        assert all(manifest["advice"][reason] for reason in boundary["reasons"])


def test_statements_have_the_users_lines(dumped):
    _, manifest = dumped
    assert manifest["totals"]["mapped"] >= 0.95 * manifest["totals"]["statements"] > 0


SCRIPT = """
import numpy as np
from kernelforge import Tensor
x = Tensor(np.ones((40, 30), np.float32))
for n in (3, 4):
    ((x.exp() @ x.T).softmax() * n + x.sum()).sum(0).realize()
"""


def test_names_and_sources_are_the_same_in_another_run(tmp_path):
    (tmp_path / "program.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = []
    for name in ("one", "two"):
        command = [sys.executable, str(tmp_path / "program.py")]
        subprocess.run(command, env={**environment, "KF_DUMP": str(tmp_path / name)}, check=True)
        kept = [path for path in (tmp_path / name).iterdir() if path.suffix in (".cl", ".py", ".s")]
        found.append({path.name: path.read_text() for path in kept})
    assert found[0] == found[1] and len(found[0]) >= 4
    assert (tmp_path / "one" / "index.html").is_file(), "a dump that KF_DUMP began ends with the process"


def test_a_kernels_script_runs_on_its_own(dumped):
    folder, manifest = dumped
    name = next(kernel["files"]["run"] for kernel in manifest["kernels"] if kernel["flops"] and not kernel["parts"])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(folder / name), "--rounds", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0 and done.stdout.startswith("agrees with NumPy"), done.stdout + done.stderr
    source = folder / name.replace(".run.py", ".cl")
    edited = folder / "edited.cl"
    lines = source.read_text().splitlines()
    stores = [number for number, line in enumerate(lines) if line.strip().startswith(("vstore", "out["))]
    edited.write_text("\n".join(line for number, line in enumerate(lines) if number != stores[-1]))
    done = subprocess.run([*command, "--source", str(edited)], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "WRONG" in done.stdout


def test_a_joined_launch_runs_on_its_own(dumped):
    folder, manifest = dumped
    joined = next(kernel for kernel in manifest["kernels"] if kernel["parts"])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(folder / joined["files"]["run"]), "--rounds", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0 and done.stdout.startswith("agrees with NumPy"), done.stdout + done.stderr


def test_rewrites_of_a_kernel_lead_to_its_algebra(dumped):
    _, manifest = dumped
    shown = [kernel for kernel in manifest["kernels"] if kernel.get("rewrites")]
    assert shown
    for kernel in shown:
        rules = [rule for rule, _ in kernel["rewrites"]]
        assert rules[0] == "" and set(rules[1:]) <= manifest["rules"].keys()
        assert all(before != after for (_, before), (_, after) in pairwise(kernel["rewrites"]))


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_a_dump_for_a_gpu_that_is_not_here_holds_its_machine_code(tmp_path):
    with kf.dump(tmp_path, target=SM80, assembly=True):
        (Tensor(np.ones((32, 40), np.float32)) * 3).softmax().realize()
    kernel = json.loads((tmp_path / "manifest.json").read_text())["kernels"][-1]
    assert {"ptx", "sass", "triton", "opencl"} <= kernel["files"].keys()
    machine = kernel["machine"]["triton"]
    assert machine["registers"] > 8 and machine["instructions"] > 20 and {"spills", "shared"} <= machine.keys()
    assert ".target sm_80" in (tmp_path / kernel["files"]["ptx"]).read_text()
    assert "EXIT" in (tmp_path / kernel["files"]["sass"]).read_text()


def test_what_runs_while_it_is_dumped_is_the_same(tmp_path):
    Tensor.manual_seed(0)
    plain = train(3)
    Tensor.manual_seed(0)
    with kf.dump(tmp_path):
        shown = train(3)
    assert all(np.array_equal(a, b) for a, b in zip(plain, shown))


def test_replays_of_a_captured_function_are_seen(tmp_path):
    step = jit(lambda x: (x * 2 + 1).exp().sum())
    with kf.dump(tmp_path):
        for _ in range(4):
            step(Tensor(np.ones((8, 8), np.float32))).item()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["totals"]["launches"] == 4 and manifest["totals"]["kernels"] == 1


def test_a_tensor_is_dumped(tmp_path):
    with user_line(("mine.py", 3)):
        y = Tensor(np.ones((8, 8), np.float32)).exp()
    assert (y.dump(tmp_path) / "index.html").is_file()
    assert (tmp_path / "manifest.json").is_file() and np.allclose(y.numpy(), np.e)


CASES = [
    lambda: (tensor(7, 9) @ tensor(9, 5)).softmax() * 2,
    lambda: tensor(2, 3, 9, 9).conv2d(tensor(4, 3, 3, 3), padding=1, stride=2),
    lambda: tensor(6, 8).cumsum(1).flip(0),
    lambda: tensor(6, 8)[Tensor(np.array([1, 3, 5]))],
    lambda: tensor(6, 8).half() + 1,
    lambda: Tensor.arange(7) // 2 % 3,
    lambda: tensor(5, 4).pad(((1, 1), (0, 2))).max(0),
    lambda: tensor(5, 6).argsort(1),
]


@pytest.mark.parametrize("make", CASES)
def test_a_spelled_kernel_is_the_same_kernel(make):
    for group in planned(make()):
        if group.kind in ("copy", "host"):
            continue
        kernel = lower(group).kernel
        space = {}
        exec(f"{HEAD}\n{spell(kernel)}", space)
        again = space["kernel"]
        assert [(p.name, p.dtype, p.size) for p in again.params] == [(p.name, p.dtype, p.size) for p in kernel.params]
        results = []
        for one in (kernel, again):
            arrays = arguments(kernel)
            interpret(one, arrays)
            results.append([arrays[name] for name in sorted(one.written)])
        assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(*results))


def test_a_line_is_found_for_each_statement_of_a_fused_kernel(tmp_path):
    x = Tensor(np.ones((32, 32), np.float32))
    with kf.dump(tmp_path, "opencl"):
        y = x @ x
        y = y.gelu()
        y.softmax().realize()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    kernels = [kernel for kernel in manifest["kernels"] if kernel["launches"]]
    assert len({tuple(line) for kernel in kernels for line in kernel["lines"]}) == 3
    for kernel in kernels:
        assert kernel["statements"]["opencl"]["mapped"] == kernel["statements"]["opencl"]["all"] > 10
    assert mapped([None, (), (("f", 1),)]) == (1, 2)


def test_statements_of_joined_kernels_have_the_lines_of_their_parts(dumped):
    _, manifest = dumped
    joined = [kernel for kernel in manifest["kernels"] if kernel["parts"]]
    assert joined
    for kernel in joined:
        assert kernel["statements"]["opencl"]["mapped"] == kernel["statements"]["opencl"]["all"] > 0
