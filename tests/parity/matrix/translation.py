"""torch's tensors and arguments as this library's, with the same element types and as views of the same kind.

Comes in: what a sample of torch's operation database holds.  Goes out: the arguments for our side.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from codegen.dtypes import DType, dtypes
from kernelforge import Tensor

NAMES: Final = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
)
DTYPES: Final[dict[torch.dtype, DType]] = {getattr(torch, n): getattr(dtypes, n) for n in NAMES.split()}
_AS_INTEGERS: Final = {torch.bfloat16: torch.uint16}


class Untranslatable(Exception):
    """An argument that has no counterpart: a sparse tensor, a generator, a type we lack."""


def values(x: torch.Tensor) -> np.ndarray:
    """A tensor's elements for NumPy; those of bfloat16 as float32."""
    x = x.detach().resolve_conj().resolve_neg()
    return (x.float() if x.dtype in _AS_INTEGERS else x).numpy()


def ours(x: torch.Tensor) -> Tensor:
    """A tensor of ours with the same elements, a view of the same kind: permuted, with steps, or repeated.

    raises Untranslatable
    """
    if x.dtype not in DTYPES or x.layout is not torch.strided or x.device.type != "cpu" or x.dim() > 32:
        raise Untranslatable(f"{x.dtype} {x.layout} {x.device} {x.dim()}")
    steps = x.stride()
    repeated = [n > 1 and step == 0 for n, step in zip(x.shape, steps)]
    plain = x[tuple(slice(0, 1) if again else slice(None) for again in repeated)]
    order = sorted(range(x.dim()), key=lambda i: (-steps[i], i))
    packed = np.array(values(plain).transpose(order), order="C")
    apart = x.numel() > 0 and any(n > 1 for n in packed.shape) and min(
        step for n, step in zip(plain.shape, steps) if n > 1
    ) > 1
    made = Tensor(np.stack([packed, packed], -1) if apart else packed, dtype=DTYPES[x.dtype])
    if apart:
        made = made[..., 0]
    if order != list(range(x.dim())):
        made = made.permute(*[order.index(i) for i in range(x.dim())])
    return made.expand(*x.shape) if any(repeated) else made


def translated(value: Any) -> Any:
    """An argument of torch's for our side, containers piece by piece.

    raises Untranslatable
    """
    if isinstance(value, torch.Tensor):
        made = ours(value)
        return made.requires_grad_() if value.requires_grad else made
    if isinstance(value, torch.dtype):
        if value not in DTYPES:
            raise Untranslatable(str(value))
        return DTYPES[value]
    if isinstance(value, torch.Size):
        return tuple(value)
    if type(value) in (tuple, list):
        return type(value)([translated(part) for part in value])
    if isinstance(value, dict):
        return {name: translated(part) for name, part in value.items()}
    if isinstance(value, torch.Generator | torch.layout | torch.memory_format | torch.device):
        raise Untranslatable(str(value))
    return value
