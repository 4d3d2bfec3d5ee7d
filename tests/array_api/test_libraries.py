"""Other libraries' functions on tensors: SciPy's, scikit-learn's and einops'.  Results have the values NumPy's give."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernelforge import Tensor

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("library", "version"), [("scipy", "1.17"), ("sklearn", "1.9")])
def test_other_libraries(library: str, version: str) -> None:
    pytest.importorskip(library, minversion=version)
    setting = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.array_api.libraries", library]
    ran = subprocess.run(command, capture_output=True, text=True, env=setting, cwd=ROOT, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert not found["failed"]
    told = (ROOT / "docs" / "arrays.md").read_text()
    assert f"{found['count']} of " + {"scipy": "SciPy", "sklearn": "scikit-learn"}[library] in told


@pytest.mark.parametrize(
    ("function", "pattern", "sizes"),
    [
        ("rearrange", "b h w c -> b c h w", {}),
        ("rearrange", "b (h1 h2) (w1 w2) c -> (b h1 w1) h2 w2 c", {"h1": 2, "w1": 2}),
        ("rearrange", "... c -> c ...", {}),
        ("repeat", "b h w c -> b (h 2) w c k", {"k": 3}),
        *[("reduce", "b (h 2) w c -> b h 1 c", {"reduction": name}) for name in ("min", "max", "sum", "mean", "prod")],
        ("reduce", "b h w c -> ()", {"reduction": "sum"}),
    ],
)
def test_einops(function: str, pattern: str, sizes: dict, numpy_device: str) -> None:
    einops = pytest.importorskip("einops")
    array_api = pytest.importorskip("einops.array_api")
    x = np.random.default_rng(0).normal(size=(4, 6, 8, 3))
    found = getattr(array_api, function)(Tensor(x), pattern, **sizes)
    assert isinstance(found, Tensor)
    np.testing.assert_allclose(found.numpy(), getattr(einops, function)(x, pattern, **sizes), 1e-9)


def test_einops_packs(numpy_device: str) -> None:
    einops = pytest.importorskip("einops.array_api")
    x = Tensor(np.random.default_rng(0).normal(size=(4, 6, 8, 3)))
    packed, shapes = einops.pack([x[:, 0], x[:, :2]], "b * w c")
    assert packed.shape == (4, 3, 8, 3)
    first, second = einops.unpack(packed, shapes, "b * w c")
    assert first.equal(x[:, 0]) and second.equal(x[:, :2])
