"""The C module is built by whatever compiler there is; why there is none is told, and nothing is left behind."""

import os
import shutil
import subprocess
import sys
import sysconfig
import types
from pathlib import Path

import pytest

from kernelforge import native
from kernelforge.native import build, sources

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is written for Linux")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the module goes."""
    monkeypatch.setattr(build, "MADE", tmp_path / "_native.abi3.so")
    return build.MADE


def test_a_compiler_that_python_was_built_with_need_not_be_here(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: "no-such-compiler -pthread")
    compiled: list[list[str]] = []

    def run(command: list[str], **given: object) -> None:
        compiled.append(command)
        raise OSError("that is all")

    monkeypatch.setattr(build.subprocess, "run", run)
    assert build.build() == "that is all"
    assert [command[0] for command in compiled] == ["cc"]


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_compiler_that_fails_leaves_nothing(compiler: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", compiler)
    assert compiler in build.build()
    assert not list(made.parent.iterdir())


@pytest.mark.parametrize("works", [True, False])
def test_the_exit_status_tells_whether_it_was_built(works: bool, tmp_path: Path) -> None:
    script, compiler = tmp_path / "build.py", tmp_path / "compiler"
    shutil.copy(build.__file__, script)
    shutil.copy(sources.__file__, tmp_path)
    compiler.write_text("#!/bin/sh\nfor target; do :; done\n" + ('touch "$target"\n' if works else "exit 1\n"))
    compiler.chmod(0o755)
    environment = {**os.environ, "CC": str(compiler)}
    ended = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, check=False)
    assert ended.returncode == (0 if works else 1), ended.stderr
    assert (tmp_path / "_native.abi3.so").exists() == works


def test_a_module_of_other_sources_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that was built before the sources beside it changed."""
    here = types.ModuleType("here")
    here.SOURCES = sources.digest()
    assert here.SOURCES and native._is_of_these_sources(here)
    older, oldest = types.ModuleType("older"), types.ModuleType("oldest")
    older.SOURCES = here.SOURCES - 1
    for module in (older, oldest):
        with pytest.warns(RuntimeWarning, match="built from other sources.*python -m kernelforge.native.build"):
            assert not native._is_of_these_sources(module)
    monkeypatch.setattr(native, "digest", lambda: 0)  # a distribution without the sources
    assert native._is_of_these_sources(oldest)


def test_a_change_of_any_source_tells_them_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "__file__", str(tmp_path / "sources.py"))
    seen = [sources.digest()]
    for name, text in (("a.c", "1"), ("a.c", "2"), ("b.h", "1"), ("b.h", "3")):
        (tmp_path / name).write_text(text)
        seen.append(sources.digest())
    assert seen[0] == 0 and len(set(seen)) == len(seen)
