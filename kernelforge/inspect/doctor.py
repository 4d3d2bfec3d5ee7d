"""The state of this machine: drivers, devices, caches, optional packages, and the command that fixes what is missing.

Comes in: nothing.  Goes out: a text.  Every device is tried with a small kernel, not only listed.
"""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Final

import numpy as np

from kernelforge import native, settings
from kernelforge.errors import KernelForgeError
from kernelforge.kernels import Device
from kernelforge.kernels.cache import cache_directory
from kernelforge.kernels.cuda_driver import absence
from kernelforge.tensor import Tensor

PACKAGES: Final = {
    "numpy": "a hard dependency: pip install numpy",
    "pyopencl": "a hard dependency: pip install pyopencl",
    "intel-opencl-rt": "an OpenCL runtime for the CPU: pip install 'kernelforge[cpu]'",
    "triton": "compiles for NVIDIA GPUs: pip install 'kernelforge[cuda]'",
    "cuda-bindings": "launches on NVIDIA GPUs: pip install 'kernelforge[cuda]'",
}


def report() -> str:
    """What is here and what is missing, as text."""
    with settings.Context(OPENCL=settings.OPENCL.value or "all"):
        return _report()


def _report() -> str:
    sections = [
        ("system", [f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"]),
        ("packages", [package(name, use) for name, use in PACKAGES.items()]),
        ("native module", [native.state()]),
        ("devices", [*(device(name) for name in Device.available()), *cuda()]),
        ("cache", [str(cache_directory())]),
        ("switches", settings.describe().splitlines()),
    ]
    return "\n".join(f"{title}\n" + "\n".join(f"  {line}" for line in lines) for title, lines in sections)


def cuda() -> list[str]:
    """What keeps CUDA from working here, and what puts it right; nothing where it works."""
    reason = absence()
    return [] if reason is None else [f"CUDA   is not available: {reason}"]


def package(name: str, use: str) -> str:
    """One package: its version, or what it is for and how to get it."""
    try:
        return f"{name:16} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{name:16} missing; {use}"


def device(name: str) -> str:
    """One device: what it is, and whether a small kernel gives the right answer on it."""
    try:
        facts = Device[name].facts
        values = np.arange(1000, dtype=np.float32)
        right = np.array_equal((Tensor(values, device=name) * 2 + 1).numpy(), values * 2 + 1)
    except KernelForgeError as error:
        return f"{name:6} fails: {error}"
    kind = ", ".join(text for text in (facts.device, facts.platform, facts.driver) if text)
    return f"{name:6} {'works' if right else 'GIVES WRONG RESULTS'}: {kind}"
