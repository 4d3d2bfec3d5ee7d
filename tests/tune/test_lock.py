"""The lock file: what is put in comes out, in any process, whatever else happens to the file."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.rewrites.rewrite import prepare
from codegen.target import CPU, SM90
from kernelforge.kernels.cache import cache_directory
from kernelforge.settings import Context
from kernelforge.tune import lock
from kernelforge.tune.lock import Lock, key_of, lock_path
from tests.codegen.random_kernels import random_kernel

WORDS = st.text("abcxyz0189_ ", min_size=1, max_size=20).map(str.strip).filter(bool)
TEXTS = st.lists(st.sampled_from(["# 1.2 ms", "grid     m by 8", "loop     k by 1, m by 1", "vector   n"]), min_size=1)


@given(st.dictionaries(WORDS, TEXTS, max_size=5))
def test_entries_return(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, list[str]]) -> None:
    path = tmp_path_factory.mktemp("lock") / "deeper" / "tune.lock"
    kept = Lock(path)
    for key, lines in entries.items():
        kept.put(key, "\n".join(lines))
    again = Lock(path)
    assert again.sections == kept.sections == {key: "\n".join(lines) for key, lines in entries.items()}
    assert kept.digest == Lock(kept.path).digest != (Lock(kept.path.with_name("none")).digest if entries else "")
    assert kept.get("no such key") is None


def test_the_file_depends_on_its_entries_alone(tmp_path: Path) -> None:
    for name, keys in (("one", "abc"), ("two", "cab")):
        kept = Lock(tmp_path / name)
        for key in keys:
            kept.put(key, f"grid     {key} by 1")
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()


def test_entries_of_other_processes_are_kept(tmp_path: Path) -> None:
    one, two = Lock(tmp_path / "tune.lock"), Lock(tmp_path / "tune.lock")
    one.put("a", "grid     a by 1")
    two.put("b", "grid     b by 1")
    assert Lock(tmp_path / "tune.lock").sections.keys() == {"a", "b"}


def test_readers_see_whole_files(tmp_path: Path) -> None:
    """A reader never meets a file that is being written."""
    path, entries = tmp_path / "tune.lock", {str(n): f"grid     a by {n + 1}" for n in range(100)}
    seen: list[int] = []
    writer = Lock(path)
    thread = threading.Thread(target=lambda: [writer.put(key, text) for key, text in entries.items()])
    thread.start()
    while thread.is_alive():
        found = Lock(path).sections
        assert found.items() <= entries.items()
        seen.append(len(found))
    assert seen == sorted(seen)


def test_interrupted_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tune.lock"
    Lock(path).put("a", "grid     a by 1")
    before = path.read_text()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lock.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Lock(path).put("b", "grid     b by 1")
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["tune.lock"]


def test_unreadable_and_unwritable_files_cost_a_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert Lock(binary).sections == {}
    assert "ignored" in capsys.readouterr().err
    nowhere = Lock(binary / "tune.lock")
    nowhere.put("a", "grid     a by 1")
    assert nowhere.get("a")
    assert "not kept" in capsys.readouterr().err


def test_keys_tell_kernels_and_machines_apart() -> None:
    kernels = [prepare(random_kernel(seed)) for seed in range(20)]
    keys = {key_of(kernel, target) for kernel in kernels for target in (CPU, SM90)}
    assert keys == {key_of(prepare(random_kernel(seed)), target) for seed in range(20) for target in (CPU, SM90)}
    assert len(keys) == 2 * len({key_of(kernel, CPU) for kernel in kernels}) > 20


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock._located.cache_clear()
    inner = tmp_path / "project" / "scripts"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    try:
        with Context(TUNE_LOCK=""):
            assert lock_path() == cache_directory() / "tune.lock"
            lock._located.cache_clear()
            (tmp_path / "project" / "tune.lock").touch()
            assert lock_path() == tmp_path / "project" / "tune.lock"
        with Context(TUNE_LOCK="my.lock"):
            assert lock_path() == inner / "my.lock"
        with Context(TUNE_LOCK="none"):
            assert lock_path() is None
    finally:
        lock._located.cache_clear()
