"""The disk cache: damage heals, processes share it, a home that cannot be written is no obstacle."""

import os
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
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
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=600)


def keeps_binaries() -> bool:
    """PoCL has a cache of its own, and the interpreter compiles nothing."""
    from kernelforge.kernels import Device

    return "Intel" in Device["CPU"].facts.platform


@given(st.binary(max_size=300), st.data())
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


@pytest.mark.parametrize("position", range(cache.HEADER.size))
def test_every_byte_of_the_header_counts(tmp_path, position):
    with Context(CACHE_DIR=str(tmp_path)):
        key = cache.key_of("x")
        cache.save(key, b"content")
        (path,) = tmp_path.glob("kernels/*/*")
        data = bytearray(path.read_bytes())
        data[position] ^= 0xFF
        path.write_bytes(data)
        assert cache.load(key) is None


def test_entries_unused_for_longest_go_first(tmp_path):
    with Context(CACHE_DIR=str(tmp_path)):
        keys = [cache.key_of(str(number)) for number in range(80)]
        for age, key in enumerate(reversed(keys)):
            cache.save(key, bytes(16 << 10))
            os.utime(cache._path(key), (1000 - age, 1000 - age))
        assert cache.load(keys[0]) is not None, "used now, though written first"
        with Context(CACHE_SIZE=1):
            cache.sweep()
        kept = [key for key in keys if cache._path(key).exists()]
        assert keys[0] in kept and kept[1:] == keys[-len(kept) + 1 :]
        assert (1 << 19) < sum(path.stat().st_size for path in tmp_path.glob("kernels/*/*")) <= 3 << 18


def test_saving_sweeps_now_and_then(tmp_path):
    with Context(CACHE_DIR=str(tmp_path), CACHE_SIZE=1):
        for number in range(2 * cache.SAVES_PER_SWEEP):
            cache.save(cache.key_of(str(number)), bytes(64 << 10))
        most = (1 << 20) + cache.SAVES_PER_SWEEP * (65 << 10)
        assert sum(path.stat().st_size for path in tmp_path.glob("kernels/*/*")) <= most


def test_the_first_save_of_a_process_sweeps_unless_another_did_lately(tmp_path, monkeypatch):
    def stored() -> int:
        return sum(path.stat().st_size for path in tmp_path.glob("kernels/*/*"))

    with Context(CACHE_DIR=str(tmp_path), CACHE_SIZE=1):
        monkeypatch.setattr(cache, "_saves", count(1))
        for number in range(20):
            cache.save(cache.key_of(str(number)), bytes(64 << 10))
        (tmp_path / cache.SWEPT).touch()
        for age, most in ((0, 2 << 20), (2 * cache.LATELY, 1 << 20)):
            then = time.time() - age
            os.utime(tmp_path / cache.SWEPT, (then, then))
            monkeypatch.setattr(cache, "_saves", count())
            cache.save(cache.key_of("more"), b"content")
            assert most >> 1 < stored() <= most


def test_what_a_dead_process_left_is_swept_up_and_what_a_living_one_writes_is_not(tmp_path):
    with Context(CACHE_DIR=str(tmp_path)):
        cache.save(cache.key_of("x"), b"content")
        (entry,) = tmp_path.glob("kernels/*/*")
        left, fresh = entry.with_name(".left"), entry.with_name(".fresh")
        left.touch()
        fresh.touch()
        os.utime(left, (0, 0))
        cache.sweep()
        assert (left.exists(), fresh.exists(), entry.exists()) == (False, True, True)


def test_an_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with Context(CACHE_DIR=str(tmp_path)):
        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.save(cache.key_of("x"), b"content")
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_disk_that_fills_up_is_said_once_and_is_no_error(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with Context(CACHE_DIR=str(tmp_path)):
        cache.cache_directory()
        monkeypatch.setattr(tempfile, "mkstemp", full)
        for name in "ab":
            cache.save(cache.key_of(name), b"content")
        assert cache.load(cache.key_of("a")) is None
    assert capsys.readouterr().err.count("No space left") == 1


def test_an_entry_that_vanishes_while_it_is_read_is_still_good(tmp_path, monkeypatch):
    with Context(CACHE_DIR=str(tmp_path)):
        cache.save(cache.key_of("x"), b"content")

        def vanish(path):
            path.unlink()
            raise FileNotFoundError(path)

        monkeypatch.setattr(os, "utime", vanish)
        assert cache.load(cache.key_of("x")) == b"content"


def test_without_the_cache_nothing_is_read_or_written(tmp_path):
    with Context(CACHE_DIR=str(tmp_path)):
        with Context(CACHE=0):
            cache.save(cache.key_of("x"), b"content")
        assert cache.load(cache.key_of("x")) is None
        cache.save(cache.key_of("x"), b"content")
        with Context(CACHE=0):
            assert cache.load(cache.key_of("x")) is None


def test_a_temporary_directory_that_others_can_write_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = cache._temporary()
    assert own == cache._temporary() and own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)
    assert cache._temporary() != own
    own.rmdir()
    own.symlink_to(tmp_path)
    assert cache._temporary() != own


def test_failed_sources_are_bounded(tmp_path):
    with Context(CACHE_DIR=str(tmp_path)):
        for number in range(cache.FAILED_KEPT + 9):
            path = cache.write_source("k" * 300, f"source {number}", ".cl")
            assert path is not None and path.read_text() == f"source {number}"
        assert len(list((tmp_path / "failed").iterdir())) == cache.FAILED_KEPT


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
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(8)
    ]
    for process in running:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors.decode()
    assert not list(tmp_path.glob("kernels/*/.*"))


def test_a_home_that_cannot_be_written_is_said_once(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    result = run(blocked / "cache")
    assert result.returncode == 0, result.stderr
    said = result.stderr.count("cannot be written")
    assert said == 1 if keeps_binaries() else said <= 1  # otherwise only the tuner's lock file is looked for there
