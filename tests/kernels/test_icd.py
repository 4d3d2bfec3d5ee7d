"""Drivers are found without any environment variable, and a user who set one is obeyed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelforge.kernels import icd
from kernelforge.settings import Context

ROOT = Path(__file__).parents[2]
SHOW = """
from kernelforge.kernels import opencl_devices
print([(c.facts.platform, c.facts.compute_units) for c in opencl_devices.candidates()])
"""


def process(program: str, **environment: str) -> str:
    """What a fresh process prints that inherits nothing but a home."""
    bare = {"HOME": os.environ.get("HOME", "/"), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return subprocess.check_output([sys.executable, "-c", program], env=bare | environment, text=True, timeout=600)


def system_files(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """A system whose driver files are these."""
    for name, text in files.items():
        (folder / f"{name}.icd").write_text(text)
    monkeypatch.setattr(icd, "SYSTEM_VENDORS", (folder, folder / "absent"))
    monkeypatch.setattr(icd, "_bundled", list)


def test_broken_entries_give_way_to_the_library_itself(tmp_path, monkeypatch) -> None:
    library = tmp_path / "libintelocl.so"
    (tmp_path / "near.so").touch()
    system_files(tmp_path, monkeypatch, intel="/nowhere/libintelocl.so\n", pocl="libpocl.so.2", near="near.so")
    monkeypatch.setattr(icd, "intel_library", lambda: library)
    found = icd.drivers()
    assert found == {
        "intel_cpu_pip.icd": str(library),
        "pocl.icd": "libpocl.so.2",
        "near.icd": str(tmp_path / "near.so"),
    }


def test_the_loader_is_shown_a_directory_with_every_driver(tmp_path, monkeypatch) -> None:
    system_files(tmp_path, monkeypatch, other="/usr/lib/other.so")
    monkeypatch.setattr(icd, "intel_library", lambda: tmp_path / "libintelocl.so")
    monkeypatch.setenv("OCL_ICD_VENDORS", "")
    with Context(CACHE_DIR=str(tmp_path / "cache")):
        icd.expose_drivers()
        directory = Path(os.environ["OCL_ICD_VENDORS"])
        assert {file.name: file.read_text().strip() for file in directory.iterdir()} == icd.drivers()
        monkeypatch.setenv("OCL_ICD_VENDORS", "")
        icd.expose_drivers()
        assert os.environ["OCL_ICD_VENDORS"] == str(directory)
        assert [path.name for path in directory.parent.iterdir()] == [directory.name]


def test_another_process_that_was_first_is_no_obstacle(tmp_path, monkeypatch) -> None:
    drivers = {"a.icd": "/a.so"}
    with Context(CACHE_DIR=str(tmp_path)):
        rename = Path.rename

        def slow(self: Path, target: Path) -> Path:
            target.mkdir()
            (target / "a.icd").write_text("/a.so\n")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", slow)
        assert (icd._directory(drivers) / "a.icd").read_text() == "/a.so\n"
        assert len(list(tmp_path.iterdir())) == 1


def test_a_user_who_directs_the_loader_is_obeyed(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))
    icd.expose_drivers()
    assert os.environ["OCL_ICD_VENDORS"] == str(tmp_path)


def test_threads_are_limited_through_the_drivers_variables(monkeypatch) -> None:
    for name in icd.THREAD_LIMITS:
        monkeypatch.setenv(name, "64")
    with Context(THREADS=0):
        icd.expose_drivers()
        assert {os.environ[name] for name in icd.THREAD_LIMITS} == {"64"}
    with Context(THREADS=3):
        icd.expose_drivers()
        assert {os.environ[name] for name in icd.THREAD_LIMITS} == {"3"}


@pytest.mark.skipif(icd.intel_library() is None, reason="Intel's runtime is not installed")
def test_a_fresh_process_finds_intels_runtime_with_nothing_set() -> None:
    assert "Intel" in process(SHOW)
    assert "Intel" in process("import pyopencl" + SHOW), "imported by the user before"
    assert "Intel" not in process(SHOW, OCL_ICD_VENDORS="/nonexistent")


@pytest.mark.skipif(icd.intel_library() is None, reason="Intel's runtime is not installed")
def test_a_fresh_process_uses_as_many_threads_as_asked() -> None:
    found = ast.literal_eval(process(SHOW, KF_THREADS="1"))
    assert found and all(units == 1 for _, units in found)


def test_a_second_driver_for_the_processor_is_there_for_those_who_ask_for_it() -> None:
    drivers = {"pocl.icd": "/lib/libpocl.so.2", "intel_cpu_pip.icd": "/lib/libintelocl.so", "gpu.icd": "libgpu.so"}
    few = {name: library for name, library in drivers.items() if name != "pocl.icd"}
    for wanted, expected in (("", few), ("intel", few), ("Int", few), ("pocl", drivers), ("all", drivers)):
        with Context(OPENCL=wanted):
            assert icd.needed(drivers) == expected


@pytest.mark.skipif(icd.intel_library() is None, reason="Intel's runtime is not installed")
def test_a_fresh_process_loads_one_driver_for_the_processor_unless_told_otherwise() -> None:
    loaded = "\nprint('libpocl' in open('/proc/self/maps').read())"
    if "True" in process(SHOW + loaded, KF_OPENCL="all"):
        assert "False" in process(SHOW + loaded)


def test_importing_the_library_loads_no_driver() -> None:
    program = """
import sys
from kernelforge import Tensor
print(Tensor([1.0], device="NUMPY").item(), "pyopencl" in sys.modules)
"""
    assert process(program).split() == ["1.0", "False"]
