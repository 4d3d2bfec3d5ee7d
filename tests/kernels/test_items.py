"""Programs on groups of many work-items, as on OpenCL GPUs: a process of its own asks for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelforge import Device

PROGRAM = """
import numpy as np
from kernelforge import Device, Tensor

assert Device["CPU"].target.items == 16
rng = np.random.default_rng(0)
w = Tensor(rng.standard_normal((24, 20)).astype(np.float32), requires_grad=True)
for n in (3, 40, 17, 61):  # the second size and those after it share kernels for all sizes
    x = rng.standard_normal((n, 24)).astype(np.float32)
    given = Tensor(x)
    loss = ((given @ w).relu() + 1).softmax(1).log().square().sum()
    (gradient,) = loss.gradient(w)
    wanted = w.detach().to("NUMPY").requires_grad_()
    expected = ((Tensor(x, device="NUMPY") @ wanted).relu() + 1).softmax(1).log().square().sum()
    np.testing.assert_allclose(gradient.numpy(), expected.gradient(wanted)[0].numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(given.T.contiguous().numpy(), x.T)
    np.testing.assert_allclose(given.cumsum(0).numpy(), x.cumsum(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(given.sort(0)[0].numpy(), np.sort(x, 0))
print("done")
"""


def run(items: str) -> subprocess.CompletedProcess[str]:
    platform = Device["CPU"].facts.platform
    if not platform or "portable" in platform.lower():
        pytest.skip("no OpenCL runtime, or one that takes minutes to compile loops around barriers")
    environment = {**os.environ, "KF_ITEMS": items, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=600)


def test_a_program_runs_on_groups_of_many_items() -> None:
    done = run("16")
    assert done.stdout.strip() == "done", done.stderr


def test_groups_no_device_can_have_are_refused() -> None:
    done = run("12")
    assert "power of two" in done.stderr and "KF_ITEMS" in done.stderr
