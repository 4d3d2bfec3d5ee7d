"""The OpenCL devices of this machine, and what they can do.

Comes in: the drivers' answers, and the processor's own description where the device is the processor.  Goes out: a
`Candidate` per device with its `Facts`, and the `Target` that code generation needs.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from codegen.target import Target
from kernelforge.errors import SettingError
from kernelforge.kernels.icd import opencl
from kernelforge.kernels.runtime import Facts
from kernelforge.settings import ITEMS, OPENCL, THREADS

PREFERRED: Final = ("intel", "portable computing language")
ALIASES: Final = {"pocl": "portable computing language", "all": ""}
POCL_BY_LANE: Final = ("mod", "pow")  # its vectors of doubles are wrong with zeros or infinities among them
DOTS: Final = {"bfloat16": "avx512_bf16", "int8": "avx512_vnni"}  # kinds of products, with the instructions they take
GPU_ITEMS: Final = 64  # work-items of a group: one or two of those that run in step
MOST_ITEMS: Final = 1024  # what crosses lanes takes 8 bytes of local memory for each
GPU_LOCAL: Final = 32 << 10  # bytes of local memory of a group, so that a processor has several
GPU_PRIVATE: Final = 16 << 10  # bytes of a work-item that is alone: beyond its registers they are slow memory
GPU_GROUPS: Final = 8  # groups that one of its processors has at a time


@dataclass(frozen=True)
class Candidate:
    """A device that can be opened; handle is the driver's name of it."""

    facts: Facts
    handle: Any = field(repr=False)

    @property
    def is_pocl(self) -> bool:
        return ALIASES["pocl"] in self.facts.platform.lower()

    @property
    def is_intel_cpu(self) -> bool:
        return self.facts.kind == "cpu" and "intel" in self.facts.platform.lower()

    @property
    def shares_memory(self) -> bool:
        """True when the device works on the host's memory in place."""
        return self.facts.kind == "cpu"

    @property
    def identity(self) -> tuple[str, ...]:
        """Everything about the device that a binary may depend on: machines that share a home directory may have the
        same device name and other instructions."""
        facts = self.facts
        return facts.platform, facts.device, facts.driver, _instructions() if self.shares_memory else ""

    @property
    def target(self) -> Target:
        """The device as code generation sees it.

        raises SettingError where KF_ITEMS asks for groups it cannot have
        """
        facts = self.facts
        on_cpu = facts.kind == "cpu"
        items = ITEMS.value or (1 if on_cpu else 1 << min(GPU_ITEMS, facts.work_group).bit_length() - 1)
        most = min(MOST_ITEMS, facts.work_group)
        if items < 1 or items & (items - 1) or items > most:
            raise SettingError(
                f"ITEMS (KF_ITEMS), the work-items of a group, must be a power of two of at most {most} "
                f"on {facts.device}, not {items}"
            )
        plain = on_cpu and items == 1
        local = min(facts.local_memory, GPU_LOCAL) - items * 8 if items > 1 else GPU_PRIVATE
        return Target(
            "opencl",
            "cpu" if plain else "gpu",
            cores=facts.compute_units * (1 if on_cpu or items == 1 else GPU_GROUPS),
            vector_bytes=facts.vector_bytes,
            scratch=Target.scratch if plain else local,
            l1=facts.l1,
            l2=facts.l2,
            float64=facts.float64,
            dots=dots(facts.platform) if plain and facts.vector_bytes == 64 else (),
            items=items,
            by_lane=POCL_BY_LANE if self.is_pocl else (),
            aligned_halves=self.is_pocl,
        )


def candidates() -> list[Candidate]:
    """The devices of the platforms KF_OPENCL allows, preferred platforms first."""
    wanted = OPENCL.value.lower()
    wanted = ALIASES.get(wanted, wanted)
    return [candidate for candidate in _all() if wanted in candidate.facts.platform.lower()]


def platforms() -> list[str]:
    """The names of all platforms that have a device."""
    return list(dict.fromkeys(candidate.facts.platform for candidate in _all()))


@cache
def _all() -> tuple[Candidate, ...]:
    cl = opencl()
    if cl is None:
        return ()
    try:
        handles = [(platform, handle) for platform in cl.get_platforms() for handle in _devices(cl, platform)]
    except cl.Error:  # the loader found no driver
        return ()
    found = [Candidate(_facts(cl, platform, handle), handle) for platform, handle in handles]
    return tuple(sorted(found, key=_preference))


def _devices(cl: Any, platform: Any) -> list[Any]:
    try:
        return list(platform.get_devices())
    except cl.Error:  # a platform without devices
        return []


def _preference(candidate: Candidate) -> int:
    platform = candidate.facts.platform.lower()
    return next((place for place, name in enumerate(PREFERRED) if name in platform), len(PREFERRED))


def _facts(cl: Any, platform: Any, handle: Any) -> Facts:
    kinds = {cl.device_type.CPU: "cpu", cl.device_type.GPU: "gpu"}
    kind = next((name for bit, name in kinds.items() if handle.type & bit), "other")
    units = max(1, handle.max_compute_units)
    if kind == "cpu" and THREADS.value > 0:  # PoCL reports all cores however few it uses
        units = min(units, THREADS.value)
    l1, l2 = _caches() if kind == "cpu" else (Facts.l1, Facts.l2)
    return Facts(
        device=handle.name.strip(),
        platform=platform.name.strip(),
        vendor=handle.vendor.strip(),
        driver=handle.driver_version.strip(),
        kind=kind,
        compute_units=units,
        memory=handle.global_mem_size,
        max_allocation=handle.max_mem_alloc_size,
        local_memory=handle.local_mem_size,
        work_group=handle.max_work_group_size,
        float64=bool(handle.double_fp_config),
        float16="cl_khr_fp16" in handle.extensions.split(),
        vector_bytes=min(64, max(16, 4 * handle.native_vector_width_float)),
        l1=l1,
        l2=l2,
    )


# ------------------------------------------------------------------------------------------------- the processor


@cache
def _description() -> list[str]:
    """The lines in which the system describes the processors; none where it does not."""
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def dots(platform: str) -> tuple[str, ...]:
    """The kinds of products of narrow values that all processors multiply and add several at a time.

    Only one driver is known to take an instruction by the compiler's name for it, where it compiles for what is there.
    """
    if "intel" not in platform.lower() or "CL_CONFIG_CPU_TARGET_ARCH" in os.environ:
        return ()
    flags = [set(line.split(":", 1)[1].split()) for line in _description() if line.startswith("flags")]
    common = set.intersection(*flags) if flags else set()
    return tuple(kind for kind, flag in DOTS.items() if flag in common)


@cache
def _instructions() -> str:
    """A digest of the instruction sets of this processor."""
    lines = _description()
    kept = sorted({line for line in lines if line.startswith(("flags", "Features", "model name", "CPU part"))})
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


@cache
def _caches() -> tuple[int, int]:
    """Bytes of the first core's L1 data cache and L2 cache; those of a common processor where the system tells none."""
    found: dict[str, int] = {}
    for entry in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            level, kind, size = ((entry / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K") and size[:-1].isdigit():
            found[level] = int(size[:-1]) << 10
    return found.get("1", Facts.l1), found.get("2", Facts.l2)
