"""Facts about a machine that kernels adapt to; a CPU and a GPU are described by the same record.

Comes in: a runtime's probe, or one of the named targets below.  Goes out: to `choose` and the printers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Target:
    """What a printer and the default schedules need to know.

    language      "opencl" | "triton"
    name          "cpu", "gpu", or an architecture such as "sm_90"
    cores         processors that run work-groups at a time (CPU cores, SMs)
    vector_bytes  width of the vector registers the printer expands tiles into
    scratch       bytes of private (CPU) or shared (GPU) memory a group may use
    l1, l2, l3    bytes of the caches, the nearest first; of the last that all cores share
    dots          kinds of products of narrow values it multiplies and adds several at a time: see `codegen.dots`
    items         work-items of a group, each of which holds one lane; 1: one holds all, in vector registers
    by_lane       scalar operations that the driver gets wrong on vectors of float64, and right on scalars
    aligned_halves  its driver takes vectors of float16 in memory to be aligned
    doubles       the matrix unit's language knows products of float64
    copies        it brings tiles of arrays into shared memory by itself (NVIDIA's tensor memory accelerator)
    """

    language: str
    name: str
    cores: int
    vector_bytes: int = 64
    scratch: int = 2 << 20
    l1: int = 32 << 10
    l2: int = 1 << 20
    l3: int = 32 << 20
    float64: bool = True
    dots: tuple[str, ...] = ()
    items: int = 1
    by_lane: tuple[str, ...] = ()
    aligned_halves: bool = field(default=False, repr=False)
    doubles: bool = field(default=True, repr=False)
    copies: bool = field(default=False, repr=False)

    @property
    def lanes(self) -> int:
        """32-bit values in one vector register, or the work-items of a group that share lanes out."""
        return self.items if self.items > 1 else self.vector_bytes // 4

    @property
    def is_amd(self) -> bool:
        """True for a GPU of AMD's."""
        return self.name.startswith("gfx")

    @property
    def warp(self) -> int:
        """Threads of a GPU that run in step."""
        return 64 if self.name.startswith("gfx9") else 32

    @property
    def has_warpgroups(self) -> bool:
        """True when the matrix unit reads its operands from shared memory, which leaves more registers: Hopper and the
        server GPUs after it, but not the desktop GPUs that came with them (sm_120)."""
        return self.name.startswith("sm_") and 90 <= int(self.name[3:]) < 120

    @property
    def has_tensor_memory(self) -> bool:
        """True when the matrix unit keeps its results in memory of its own, from where registers get them."""
        return self.has_warpgroups and int(self.name[3:]) >= 100


CPU: Final = Target("opencl", "cpu", cores=2)
SM80: Final = Target(
    "triton", "sm_80", cores=108, vector_bytes=16, scratch=166_912, l1=166_912, l2=40 << 20
)
SM90: Final = Target(
    "triton", "sm_90", cores=132, vector_bytes=16, scratch=232_448, l1=232_448, l2=50 << 20, copies=True
)
SM100: Final = Target(
    "triton", "sm_100", cores=148, vector_bytes=16, scratch=232_448, l1=232_448, l2=126 << 20, copies=True
)
GFX942: Final = Target("triton", "gfx942", cores=304, vector_bytes=16, scratch=64 << 10, l1=32 << 10, l2=4 << 20)
