"""Tests marked `alone` run in a process of their own: they look at what is known, which other tests change."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_WITHIN = "KF_TEST_ALONE"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Has a marked test's body stand for a run of that test in a new process."""
    if item.get_closest_marker("alone") is None or _WITHIN in os.environ or not isinstance(item, pytest.Function):
        return
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", item.nodeid]

    def run(**_: object) -> None:
        found = subprocess.run(
            command, cwd=item.config.rootpath, env={**kept, _WITHIN: "1"}, capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]

    item.obj = run
