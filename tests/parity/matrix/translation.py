"""torch's tensors and arguments as this library's, with the same element types and as views of the same kind.

Comes in: what a sample of torch's operation database holds.  Goes out: the arguments for our side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from codegen.dtypes import DType, dtypes
from kernelforge import Tensor, nn

NAMES: Final = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
)
DTYPES: Final[dict[torch.dtype, DType]] = {getattr(torch, n): getattr(dtypes, n) for n in NAMES.split()}
_AS_INTEGERS: Final = {torch.bfloat16: torch.uint16}


class Untranslatable(Exception):
    """An argument that has no counterpart: a sparse tensor, a generator, a type we lack."""


def values(x: torch.Tensor) -> np.ndarray:
    """A tensor's elements for NumPy; those of bfloat16 as float32."""
    x = x.detach().clone().resolve_conj().resolve_neg()  # a clone holds zeros where torch held none
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


def as_view(base: torch.Tensor, view: Callable[[Any], Any]) -> torch.Tensor:
    """A view of a tensor, which is the same view of a tensor on our side."""
    x: torch.Tensor = view(base)
    x.viewed = (base, view)  # type: ignore[attr-defined]
    return x


def origin(x: torch.Tensor) -> torch.Tensor:
    """The tensor an `as_view` is of; any other tensor itself."""
    base: torch.Tensor = getattr(x, "viewed", (x,))[0]
    return base


def anew(value: Any) -> Any:
    """Arguments with views taken again, as some of torch's are copies."""
    if isinstance(value, torch.Tensor):
        base, view = getattr(value, "viewed", (value, None))
        return value if view is None else view(base)
    if type(value) in (tuple, list):
        return type(value)([anew(part) for part in value])
    return {name: anew(part) for name, part in value.items()} if type(value) is dict else value


def translated(value: Any, made: dict[int, Tensor] | None = None) -> Any:
    """An argument of torch's for our side, containers piece by piece.

    made   our tensors of those of torch's, by identity, where gradients are of them

    raises Untranslatable
    """
    if isinstance(value, torch.Tensor):
        base, view = getattr(value, "viewed", (value, None))
        made = {} if made is None else made
        if id(base) not in made:
            made[id(base)] = ours(base).requires_grad_() if base.requires_grad else ours(base)
        return made[id(base)] if view is None else view(made[id(base)])
    if isinstance(value, torch.dtype):
        if value not in DTYPES:
            raise Untranslatable(str(value))
        return DTYPES[value]
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, torch.nn.PairwiseDistance):
        return nn.PairwiseDistance(value.norm, value.eps, value.keepdim)
    if type(value) in (tuple, list):
        return type(value)([translated(part) for part in value])
    if isinstance(value, dict):
        return {name: translated(part) for name, part in value.items()}
    if isinstance(value, torch.Generator | torch.layout | torch.memory_format | torch.device):
        raise Untranslatable(str(value))
    return value
