"""Matrix products: 40 shapes in bfloat16 and float32, and products with something fused to them."""

from typing import Any

from bench.gpu.lab import Case, Lab, Operand
from kernelforge import Tensor

WIDTHS = ((4096, 4096), (11008, 4096), (4096, 11008), (14336, 4096), (2304, 768), (3072, 768), (768, 3072))
SHAPES = [  # m, n, k
    *((size, size, size) for size in (256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192)),
    *((m, n, k) for m in (1, 16, 64) for n, k in WIDTHS[:3]),
    *((m, n, k) for m in (512, 2048) for n, k in WIDTHS[:4]),
    *((16_384, n, k) for n, k in WIDTHS[4:]),
    (8192, 50_304, 768), (16_384, 768, 768), (8192, 8192, 512), (8192, 8192, 1024), (8192, 8192, 16_384),
    (8192, 28_672, 8192), (1000, 1000, 1000), (2000, 3000, 1000), (4096, 128, 4096), (128, 4096, 16_384),
    (64, 64, 65_536),
]  # fmt: skip
SMALL = [(64, 48, 32), (100, 16, 40)]
FUSED = [(8192, 4096, 4096), (16_384, 3072, 768), (4096, 11_008, 4096)]  # m, n, k


def product(m: int, n: int, k: int, dtype: str) -> Case:
    size = 2 if dtype == "bfloat16" else 4
    return Case(
        f"{m} x {n} x {k}",
        (Operand((m, k), dtype), Operand((k, n), dtype)),
        lambda a, b: a @ b,
        lambda a, b: a @ b,
        flops=2 * m * n * k,
        nbytes=size * (m * k + k * n + m * n),
    )


def fused(m: int, n: int, k: int) -> Case:
    """gelu(a b + bias) + residual, in one kernel of ours."""

    def ours(a: Tensor, b: Tensor, bias: Tensor, residual: Tensor) -> Tensor:
        return (a @ b + bias).gelu() + residual

    def theirs(a: Any, b: Any, bias: Any, residual: Any) -> Any:
        import torch

        return torch.nn.functional.gelu(a @ b + bias, approximate="tanh") + residual

    operands = (Operand((m, k)), Operand((k, n)), Operand((n,)), Operand((m, n)))
    return Case(f"gelu(a b + bias) + residual, {m} x {n} x {k}", operands, ours, theirs, 2 * m * n * k, compiled=True)


def narrow(lab: Lab, section: str) -> None:
    lab.run(section, [product(*shape, "bfloat16") for shape in (SMALL if lab.small else SHAPES)])


def single(lab: Lab, section: str) -> None:
    lab.run(section, [product(*shape, "float32") for shape in (SMALL if lab.small else SHAPES)])


def epilogue(lab: Lab, section: str) -> None:
    lab.run(section, [fused(*shape) for shape in (SMALL if lab.small else FUSED)])
