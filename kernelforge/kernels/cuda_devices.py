"""The CUDA devices of this machine, and what they can do.

Comes in: the driver's answers.  Goes out: a `CudaDevice` per GPU with its `Facts`, and the `Target` that code
generation needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from codegen.target import Target
from kernelforge.kernels.cuda_driver import checked, driver
from kernelforge.kernels.runtime import Facts
from kernelforge.kernels.triton_compile import triton_version
from kernelforge.settings import TMA

OLDEST: Final = 80  # the first compute capability with bfloat16 and asynchronous copies to shared memory
COPIES: Final = 90  # the first with an engine that copies tiles into shared memory
DOUBLES: Final = (3, 9)  # the first Triton with products of float64 on the matrix unit
ACCESS: Final = 16  # bytes of a thread's widest access
KERNEL_MODULE: Final = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class CudaDevice:
    """A GPU as the driver counts them.

    number      in the order of CUDA_VISIBLE_DEVICES
    capability  90 for compute capability 9.0
    pools       True when it has memory pools ordered by streams
    """

    number: int
    capability: int
    pools: bool
    facts: Facts

    @property
    def target(self) -> Target:
        """The device as code generation sees it."""
        facts = self.facts
        return Target(
            "triton",
            f"sm_{self.capability}",
            cores=facts.compute_units,
            vector_bytes=facts.vector_bytes,
            scratch=facts.local_memory,
            l1=facts.l1,
            l2=facts.l2,
            doubles=multiplies_doubles(triton_version()),
            copies=self.capability >= COPIES and TMA.value,
        )


@cache
def devices() -> tuple[CudaDevice, ...]:
    """The GPUs this process may use; none where something is missing, which `absence` tells."""
    cuda = driver()
    if cuda is None:
        return ()
    return tuple(_device(cuda, number) for number in range(checked(cuda.cuDeviceGetCount(), "count the devices")))


def _device(cuda: Any, number: int) -> CudaDevice:
    handle = checked(cuda.cuDeviceGet(number), f"find device {number}")

    def attribute(name: str) -> int:
        key = getattr(cuda.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(checked(cuda.cuDeviceGetAttribute(key, handle), f"tell {name}"))

    memory = int(checked(cuda.cuDeviceTotalMem(handle), "tell its memory"))
    shared = attribute("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN")
    version = checked(cuda.cuDriverGetVersion(), "tell its version")
    facts = Facts(
        device=checked(cuda.cuDeviceGetName(128, handle), "tell its name").split(b"\0")[0].decode(),
        platform="CUDA",
        vendor="NVIDIA",
        driver=f"CUDA {version // 1000}.{version % 1000 // 10}{_kernel_module()}",
        kind="gpu",
        compute_units=attribute("MULTIPROCESSOR_COUNT"),
        memory=memory,
        max_allocation=memory,
        local_memory=shared,
        work_group=attribute("MAX_THREADS_PER_BLOCK"),
        vector_bytes=ACCESS,
        l1=shared,
        l2=attribute("L2_CACHE_SIZE"),
    )
    capability = 10 * attribute("COMPUTE_CAPABILITY_MAJOR") + attribute("COMPUTE_CAPABILITY_MINOR")
    return CudaDevice(number, capability, bool(attribute("MEMORY_POOLS_SUPPORTED")), facts)


def multiplies_doubles(version: str) -> bool:
    """True when a Triton knows products of float64.

    >>> multiplies_doubles("3.6.0"), multiplies_doubles("3.10.0rc1")
    (False, True)
    """
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= DOUBLES


def _kernel_module() -> str:
    """The version of the driver's kernel module, where the system tells it."""
    text = KERNEL_MODULE.read_text() if KERNEL_MODULE.exists() else ""
    found = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)", text)
    return f", driver {found.group(1)}" if found else ""
