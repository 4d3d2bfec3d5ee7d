"""Pack files: another process with an empty cache plans and compiles nothing; damaged files are told from packs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelforge.errors import PackError
from kernelforge.kernels import Device, cache, pack
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.settings import Context

PROGRAM = """
import sys
from kernelforge import GlobalCounters, Tensor
from kernelforge.kernels import cache, pack
def run():
    x = Tensor.arange(4000).float().reshape(40, 100)
    for _ in range(4):
        x = (x @ Tensor.ones(100, 100)).softmax().cumsum(1)
    return round(x.sum().item())
if sys.argv[1] == "collect":
    with pack.collecting(sys.argv[2]):
        print(run())
else:
    pack.load(sys.argv[2])
    print(run(), cache.statistics.compiled)
"""


def ran(way: str, file: Path, cache_directory: Path) -> list[str]:
    environment = {**os.environ, "KF_CACHE_DIR": str(cache_directory), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, way, str(file)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_another_process_compiles_nothing(tmp_path: Path) -> None:
    if not isinstance(Device["CPU"], OpenCLRuntime):
        pytest.skip("the interpreter compiles nothing")
    if "portable computing" in Device["CPU"].facts.platform.lower():
        pytest.skip("PoCL keeps what it compiles itself")
    file = tmp_path / "model.pack"
    (expected,) = ran("collect", file, tmp_path / "one")
    assert ran("load", file, tmp_path / "two") == [expected, "0"]


def test_entries(tmp_path: Path) -> None:
    file, keys = tmp_path / "some.pack", [cache.key_of(str(i)) for i in range(3)]
    with Context(CACHE=1, CACHE_DIR=str(tmp_path / "one")), pack.collecting(file):
        for i, key in enumerate(keys):
            cache.save(key, bytes([i]) * i)
    with Context(CACHE_DIR=str(tmp_path / "two")):
        assert cache.load(keys[1]) is None
        assert pack.load(file) == 3
        assert [cache.load(key) for key in keys] == [b"", b"\1", b"\2\2"]
        cache.forget(keys[1])
        assert cache.load(keys[1]) is None


@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data[:-1], lambda data: b"X" + data[1:]])
def test_damaged_files(tmp_path: Path, change: object) -> None:
    file = tmp_path / "some.pack"
    with Context(CACHE=1, CACHE_DIR=str(tmp_path)), pack.collecting(file):
        cache.save(cache.key_of("damaged"), b"content")
    file.write_bytes(change(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(PackError):
        pack.load(file)
