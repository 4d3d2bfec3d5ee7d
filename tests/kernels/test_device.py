"""Names of devices, and what happens when a device is not there or does not work."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kernelforge.errors import DeviceError
from kernelforge.kernels import Device, device, opencl, opencl_devices, workers
from kernelforge.kernels.interpreted import InterpretedRuntime
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_devices import Candidate
from kernelforge.kernels.runtime import Facts
from kernelforge.settings import Context
from kernelforge.tensor import Tensor

ROOT = Path(__file__).parents[2]
needs_opencl = pytest.mark.skipif(not opencl_devices.candidates(), reason="no OpenCL device here")


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which no device was opened yet."""
    monkeypatch.setattr(device, "_opened", {})


@pytest.mark.parametrize(
    ("written", "name"),
    [("cpu", "CPU"), ("CPU:0", "CPU"), ("numpy", "NUMPY"), ("cl", "CL:0"), ("cl:03", "CL:3")],
)
def test_names_have_one_spelling(written: str, name: str) -> None:
    assert Device.canonicalize(written) == name == Device.canonicalize(name)


@pytest.mark.parametrize("name", ["", "tpu", "CPU:1", "CL:x", "CL:-1", "CUDA:"])
def test_other_names_are_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(DeviceError, match="there is no device .*CPU.*NUMPY"):
        Device[name]


def test_the_default_is_a_setting() -> None:
    with Context(DEVICE="numpy"):
        assert Device.DEFAULT == Device.canonicalize(None) == "NUMPY"
        assert isinstance(Device[Device.DEFAULT], InterpretedRuntime)
        Device[Device.DEFAULT].synchronize()


def test_a_device_is_opened_once_however_many_threads_ask(closed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, gate, seen = [], threading.Barrier(6), []

    def open_slowly() -> InterpretedRuntime:
        opened.append(1)
        return InterpretedRuntime()

    def ask() -> None:
        gate.wait()
        seen.append(Device["NUMPY"])

    monkeypatch.setitem(device._OPENERS, "NUMPY", open_slowly)
    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1 and len({id(runtime) for runtime in seen}) == 1 and Device.opened() == ["NUMPY"]


def test_a_missing_gpu_is_said(closed: None) -> None:
    if {"GPU", "CUDA"} & set(Device.available()):
        pytest.skip("there is one")
    with pytest.raises(DeviceError, match="no OpenCL GPU, and CUDA is not available: .*NVIDIA driver"):
        Device["gpu"]
    for attempt in (lambda: Device["cuda"], lambda: Tensor([1.0]).to("cuda"), lambda: Tensor.zeros(3, device="cuda:1")):
        with pytest.raises(DeviceError, match=r"no device CUDA(:1)?: .*NVIDIA driver.*there are CPU"):
            attempt()


def test_an_opencl_name_that_matches_nothing_is_said(closed: None, capsys: pytest.CaptureFixture) -> None:
    with Context(OPENCL="no such platform"):
        assert isinstance(Device["CPU"], InterpretedRuntime)
    notice = capsys.readouterr().err
    assert "kernelforge doctor" in notice and "pip install 'kernelforge[cpu]'" in notice
    assert not opencl_devices.platforms() or "KF_OPENCL=no such platform matches none of" in notice


@needs_opencl
@pytest.mark.parametrize("candidate", opencl_devices.candidates(), ids=lambda c: c.facts.platform)
def test_a_platform_is_chosen_by_part_of_its_name(closed: None, candidate: Candidate) -> None:
    if candidate.facts.kind != "cpu":
        pytest.skip("CPU chooses among CPUs")
    with Context(OPENCL="pocl" if candidate.is_pocl else candidate.facts.platform[:5].lower()):
        assert Device["CPU"].facts == candidate.facts


@needs_opencl
def test_a_device_that_computes_wrong_results_is_not_used(closed: None, monkeypatch, capsys) -> None:
    monkeypatch.setattr(opencl, "_PROBE_SOURCE", opencl._PROBE_SOURCE.replace("0.5f", "0.25f"))
    with Context(CACHE=0):
        assert isinstance(Device["CPU"], InterpretedRuntime)
        with pytest.raises(DeviceError, match="computes wrong results"):
            Device["CL:0"]
    assert capsys.readouterr().err.count("computes wrong results") >= 1


@needs_opencl
def test_the_next_driver_takes_over_from_one_that_fails(closed: None, monkeypatch, capsys) -> None:
    working = [candidate for candidate in opencl_devices.candidates() if candidate.facts.kind == "cpu"]
    if not working:
        pytest.skip("no OpenCL device for the processor")
    refused = Candidate(replace(working[0].facts, device="refused"), working[0].handle)

    class Choosy(OpenCLRuntime):
        def __init__(self, name: str, candidate: Candidate) -> None:
            if candidate is refused:
                raise DeviceError("refused")
            super().__init__(name, candidate)

    monkeypatch.setattr(device.opencl, "OpenCLRuntime", Choosy)
    monkeypatch.setattr(device.opencl_devices, "candidates", lambda: [refused, working[0]])
    assert Device["CPU"].facts == working[0].facts and not capsys.readouterr().err


def test_targets_follow_the_facts() -> None:
    facts = Facts("some GPU", "some platform", kind="gpu", compute_units=40, float64=False, vector_bytes=16)
    target = Candidate(facts, None).target
    assert (target.language, target.name, target.cores, target.float64) == ("opencl", "gpu", 40, False)
    assert target.scratch < 1 << 20, "private memory is slow on a GPU"
    grouped = replace(facts, local_memory=48 << 10, work_group=100)
    target = Candidate(grouped, None).target
    assert (target.name, target.items, target.cores, target.dots) == ("gpu", 64, 320, ())
    assert target.scratch == (32 << 10) - 64 * 8, "what crosses lanes lies in local memory, too"
    assert Candidate(replace(grouped, work_group=48), None).target.items == 32
    assert workers.hands(target) <= (os.cpu_count() or 1), "the processor compiles for a GPU, which has more cores"
    wide, narrow = (Candidate(replace(facts, kind="cpu", vector_bytes=width), None).target for width in (64, 32))
    assert (wide.lanes, narrow.lanes) == (16, 8)


@needs_opencl
def test_a_forked_process_is_told_what_to_do(tmp_path: Path) -> None:
    program = """
import gc, os, sys
from kernelforge import Tensor
from kernelforge.errors import DeviceError
kept = Tensor([1.0] * 1000).exp().realize()
child = os.fork()
if child == 0:
    try:
        Tensor([1.0]).exp().item()
    except DeviceError as error:
        print(error)
    print(Tensor([2.0], device="NUMPY").exp().item())
    del kept
    gc.collect()
    sys.exit()
_, status = os.waitpid(child, 0)
print(status, kept.numpy().sum() > 0)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KF_DEVICE": "CL:0"}
    out = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True, timeout=600)
    assert "'spawn' or 'forkserver'" in out and "7.389" in out and "0 True" in out
