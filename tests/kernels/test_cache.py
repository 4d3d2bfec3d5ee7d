"""The disk cache: damage heals, processes share it, a home that cannot be written is no obstacle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelforge.kernels import cache
from kernelforge.settings import Context

PROGRAM = """
import numpy as np
from kernelforge import Tensor
from kernelforge.kernels import cache
x = Tensor(np.arange(1000, dtype=np.float32))
assert ((x * 3 + 1).exp2().sqrt().numpy() > 0).all()
print(cache.statistics.compiled, cache.statistics.disk, cache.statistics.healed)
"""
ROOT = Path(__file__).parents[2]


def run(folder: Path | str, program: str = PROGRAM, **more: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "KF_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT), **more}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)


def keeps_binaries() -> bool:
    """PoCL has a cache of its own, and the interpreter compiles nothing."""
    from kernelforge.kernels import Device

    return "Intel" in Device["CPU"].facts.platform


@given(st.binary(max_size=300), st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_counts_as_absence(tmp_path_factory, content, data):
    with Context(CACHE_DIR=str(tmp_path_factory.mktemp("cache"))):
        key = cache.key_of("some", "source")
        cache.save(key, content)
        assert cache.load(key) == content
        (path,) = (cache.cache_directory() / "kernels").glob("*/*")
        damaged = bytearray(path.read_bytes())
        if data.draw(st.booleans(), "truncate"):
            del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
        else:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(damaged)
        assert cache.load(key) is None and not path.exists()
        cache.save(key, content)
        assert cache.load(key) == content


def test_keys_depend_on_every_part():
    keys = {cache.key_of(*parts) for parts in [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ()]}
    assert len(keys) == 5


def test_entries_unused_for_longest_go_first(tmp_path):
    with Context(CACHE_DIR=str(tmp_path), CACHE_SIZE=1):
        for number in range(200):
            cache.save(cache.key_of(str(number)), bytes(16 << 10))
        assert sum(p.stat().st_size for p in tmp_path.glob("kernels/*/*")) <= 2 << 20


def test_a_second_process_compiles_nothing(tmp_path):
    if not keeps_binaries():
        pytest.skip("this driver keeps its own cache")
    first, second = run(tmp_path), run(tmp_path)
    assert first.stdout.split()[0] != "0", first.stderr
    assert second.stdout.split()[0] == "0" and second.stdout.split()[1] != "0", second.stderr


def test_damaged_entries_are_compiled_again(tmp_path):
    if not keeps_binaries():
        pytest.skip("this driver keeps its own cache")
    run(tmp_path)
    for path in tmp_path.glob("kernels/*/*"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    healed = run(tmp_path)
    assert healed.returncode == 0 and healed.stdout.split()[2] != "0", healed.stderr
    assert run(tmp_path).stdout.split()[0] == "0"


def test_eight_processes_at_once(tmp_path):
    environment = {**os.environ, "KF_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    for process in running:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()
    assert not list(tmp_path.glob("kernels/*/.*"))


def test_a_home_that_cannot_be_written_is_said_once(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    result = run(blocked / "cache")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("cannot be written") == 1
