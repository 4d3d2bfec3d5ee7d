"""Plans on disk: found by the next process, for the same graph alone, and doing the same."""

import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernelforge import Tensor, graph, met, realize
from kernelforge.execution import saved
from kernelforge.kernels import Device
from kernelforge.kernels.cache import load, save
from kernelforge.planning import kept, plan
from kernelforge.settings import Context
from kernelforge.structure import structure
from tests.random_graphs import Options, random_graph

ROOT = Path(__file__).parents[2]
PROGRAM = """
import numpy as np
from kernelforge import Tensor
from kernelforge.execution import saved
from kernelforge.planning import plan
saved.WORTHWHILE = 0
made, make_plan = [], plan.make_plan
plan.make_plan = lambda *args: made.append(1) or make_plan(*args)
x = Tensor(np.arange(600, dtype=np.float32).reshape(20, 30) / 100, requires_grad=True)
loss = x.layernorm().softmax().square().sum() + x[np.array([3, 1])].mean()
loss.backward()
print(float(x.grad.numpy().sum()).hex(), len(made))
"""


@pytest.fixture(scope="module", autouse=True)
def saved_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All plans are saved, in a directory of these tests."""
    if Device["CPU"].target.language == "interpreted":
        pytest.skip("plans of the interpreter are not saved")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved, "WORTHWHILE", 0)
        with Context(CACHE_PLANS=1, CACHE_DIR=str(tmp_path_factory.mktemp("plans"))):
            yield


def name(x: Tensor) -> str | None:
    return saved.name_of(structure([x._node]), "CPU")


def test_a_second_process_makes_no_plan(tmp_path: Path) -> None:
    environment = os.environ | {"KF_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT), "KF_DEVICE": "CPU"}

    def printed(program: str) -> list[str]:
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    first, second, moved = printed(PROGRAM), printed(PROGRAM), printed("\n" + PROGRAM)
    assert int(first[1]) > 0 and second == [first[0], "0"]
    assert int(moved[1]) > 0, "messages quote the user's lines"


@given(st.integers(0, 1 << 32))
def test_a_plan_from_disk_computes_the_same(seed: int) -> None:
    def values() -> list[NDArray]:
        made = random_graph(random.Random(seed), Options(device="CPU"))
        nodes = [node for node in made if node.device is not None]  # constants stay computed
        realize.realize(nodes)
        return [realize.read(node) for node in nodes]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(met, "plans_of", {})
        first = values()
        patch.setattr(met, "plans_of", {})
        patch.setattr(plan, "make_plan", None)
        for one, other in zip(first, values(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_names_tell_graphs_apart() -> None:
    x = Tensor(np.ones((3, 4), np.float32))
    tensors = [x + 1, x + 2, x + 1.5, x * 1, x.sum(0), x.sum(1), x.softmax(), x.softmax(0), x.cast("int32"), x.relu()]
    names = [name(tensor) for tensor in tensors]
    assert None not in names and len(set(names)) == len(names)
    assert name(x + 1) != name(Tensor(np.ones((4, 3), np.float32)) + 1)


def test_constants_of_composites_are_part_of_the_name() -> None:
    x = Tensor(np.ones((3, 4), np.float32))
    rates = {name(x.leaky_relu(rate)) for rate in (0.1, 0.2)}
    assert len(rates) == 2


def test_what_another_device_takes_part_in_is_not_saved() -> None:
    x = Tensor(np.ones(3, np.float32), device="NUMPY")
    assert saved.name_of(structure([(x + 1)._node]), "NUMPY") is None
    assert name(x.to("CPU") + 1) is None


def test_attributes_that_mean_nothing_elsewhere_are_refused() -> None:
    x = Tensor(np.ones(3, np.float32))._node
    strange = graph.node_of("exp", (x,), object(), x.shape, x.dtype)
    assert saved.name_of(structure([strange]), "CPU") is None


def test_what_plans_share_is_shared_with_a_plan_from_disk() -> None:
    kind = kept.kind_of((("step", 1), 2))
    assert pickle.loads(pickle.dumps(kind)) is kind


class Trap:
    """An object whose pickle calls a function."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("made-by-a-file",)


def test_files_call_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save("2" * 64, pickle.dumps([Trap()]))
    assert saved.recall("2" * 64) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps("not a plan")])
def test_bad_files_are_removed(content: bytes) -> None:
    key = "1" * 64
    save(key, content)
    assert saved.recall(key) is None
    assert load(key) is None
