"""What a new process costs: to import a library, and to get the first result of a program of three operations.

Comes in: how often to repeat.  Goes out: rows in seconds, each the best of several processes.  Bytecode is on disk, as
it is for an installed package; a result is there when the process tells so, not when it has ended.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from time import time

from bench.host.row import Row
from bench.measure import variables

IMPORT = "from time import perf_counter; start = perf_counter(); import {module}; print(perf_counter() - start)"
TELL = "; import time; print(time.time())"
PROGRAMS = {
    "kernelforge": "from kernelforge import Tensor; x = Tensor([[1.0, 2.0], [3.0, 4.0]]); (x @ x).relu().sum().item()",
    "torch": "import torch; x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]); (x @ x).relu().sum().item()",
    "jax": "import jax; f = jax.jit(lambda x: jax.nn.relu(x @ x).sum()); f(jax.numpy.ones((2, 2))).item()",
}


def rows(rounds: int) -> Iterator[Row]:
    """Importing; first results with and without anything on disk."""
    peers = [name for name in ("torch", "jax") if find_spec(name)]
    imports = {name: min(_importing(name) for _ in range(rounds + 1)) for name in ("kernelforge", "numpy", *peers)}
    yield Row("import kernelforge, s", imports.pop("kernelforge"), 0.12, imports, "NumPy included")
    with tempfile.TemporaryDirectory() as folder:
        caches = {"KF_CACHE_DIR": folder}
        cold = min(_cold() for _ in range(min(rounds, 3)))
        _first("kernelforge", caches)
        warm = min(_first("kernelforge", caches) for _ in range(rounds))
    theirs = {name: min(_first(name) for _ in range(min(rounds, 3))) for name in peers}
    yield Row("first result of three operations, from the process's start, s", warm, 0.35, theirs)
    yield Row("the same with nothing on disk, s", cold, 1.0)


def _importing(module: str) -> float:
    return _told(IMPORT.format(module=module))


def _first(name: str, given: Mapping[str, str] | None = None) -> float:
    start = time()
    return _told(PROGRAMS[name] + TELL, given) - start


def _told(program: str, given: Mapping[str, str] | None = None) -> float:
    """The number that a program in a process of its own prints."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=variables() | dict(given or {}), capture_output=True, text=True, check=True)
    return float(done.stdout)


def _cold() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return _first("kernelforge", {"KF_CACHE_DIR": folder})
