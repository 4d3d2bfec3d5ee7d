"""Scaled dot product attention in bfloat16: forward, and forward with backward; causal and not."""

from typing import Any

from bench.gpu.lab import Case, Lab, Operand
from kernelforge import Tensor

SHAPES = [  # batch, heads, length, width
    (16, 16, 1024, 128), (8, 16, 2048, 128), (4, 16, 4096, 128), (2, 16, 8192, 128), (1, 16, 16_384, 128),
    (4, 32, 4096, 64), (16, 12, 1024, 64),
]  # fmt: skip
SMALL = [(1, 2, 64, 32)]


def attention(batch: int, heads: int, length: int, width: int, causal: bool, backward: bool) -> Case:
    """Of operations two products count forward, five backward; half of them where half is masked."""

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q.scaled_dot_product_attention(k, v, is_causal=causal)

    def theirs(q: Any, k: Any, v: Any) -> Any:
        import torch

        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    kinds = "".join(text for text, given in ((", causal", causal), (", backward", backward)) if given)
    name = f"{batch} x {heads} x {length} x {width}{kinds}"
    flops = (7 if backward else 2) * 2 * batch * heads * length * length * width / (2 if causal else 1)
    operands = (Operand((batch, heads, length, width)),) * (4 if backward else 3)
    wrt = (0, 1, 2) if backward else ()
    return Case(name, operands, ours, theirs, flops, 0, wrt, backward, exact=length <= 2048 and batch <= 8)


def both(lab: Lab, section: str) -> None:
    kinds = [(causal, backward) for backward in (False, True) for causal in (True, False)]
    lab.run(section, [attention(*shape, *kind) for kind in kinds for shape in (SMALL if lab.small else SHAPES)])
