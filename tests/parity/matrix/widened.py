"""Samples the database leaves out: views, no dimensions, no elements, many elements, all options of reductions.

Comes in: an operation of torch's database and an element type, or one of its samples.  Goes out: samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Final

import torch
from torch.testing import make_tensor
from torch.testing._internal.opinfo.core import BinaryUfuncInfo, ReductionOpInfo, SampleInput, UnaryUfuncInfo

from tests.parity.matrix.translation import as_view

LARGE: Final = (torch.float32, torch.int64, torch.bool)  # the types of which many elements are tried
SHAPES: Final = ((), (1,), (0,), (3, 0, 2), (7,), (2, 1, 5))
PAIRS: Final = (
    ((), ()), ((), (3,)), ((0,), (1,)), ((3, 0), (1,)), ((2, 1, 3), (4, 1)), ((5,), ()), ((1, 1), (2, 3, 4)),
)  # fmt: skip
MANY: Final = (317, 331)  # elements that fill no vector, 104,927 of them
AXES: Final = ((), (3,), (0,), (2, 0, 3), (4, 3, 2))


def _tensor(shape: tuple[int, ...], dtype: torch.dtype, **bounds: Any) -> torch.Tensor:
    return make_tensor(shape, device="cpu", dtype=dtype, **bounds)


def more_samples(op: Any, dtype: torch.dtype) -> Iterator[Any]:
    """Samples of shapes and options that follow from the kind of operation."""
    torch.manual_seed(1)
    if isinstance(op, UnaryUfuncInfo):
        low, high = op.domain
        for shape in (*SHAPES, *[MANY] * (dtype in LARGE)):
            x = _tensor(shape, dtype, low=low, high=high)
            yield SampleInput(x, kwargs=op.sample_kwargs("cpu", dtype, x)[0])
    elif isinstance(op, BinaryUfuncInfo):
        left, right = op.lhs_make_tensor_kwargs or {}, op.rhs_make_tensor_kwargs or {}
        for one, other in (*PAIRS, *[(MANY, MANY[1:])] * (dtype in LARGE)):
            x, y = _tensor(one, dtype, **left), _tensor(other, dtype, **right)
            if dtype is not torch.bool and not dtype.is_floating_point and not dtype.is_complex:
                y = torch.where(y == 0, torch.ones_like(y), y)  # divided by in some
            yield SampleInput(x, args=(y,), kwargs=op.sample_kwargs("cpu", dtype, x)[0])
    elif isinstance(op, ReductionOpInfo):
        yield from _reductions(op, dtype)


def _reductions(op: Any, dtype: torch.dtype) -> Iterator[Any]:
    """Every dimension, several at once where an operation takes them, kept or not; other types of results."""
    for shape in (*AXES, *[MANY] * (dtype in LARGE)):
        dims: list[Any] = [None, 0, -1] if shape else [None]
        if op.supports_multiple_dims and len(shape) > 1:
            dims += [(0, -1), tuple(range(len(shape)))]
        for dim, keepdim in product(dims, (False, True)):
            named = {} if dim is None else {"dim": dim, "keepdim": keepdim}
            if dim is not None or not keepdim:
                yield SampleInput(_tensor(shape, dtype), kwargs=named)
    if op.name in ("sum", "prod", "mean", "nansum", "nanmean"):
        for kind in (torch.float64, torch.float32, torch.float16, torch.int64, torch.int32):
            yield SampleInput(_tensor((4, 3), dtype, low=0, high=2), kwargs={"dim": 0, "dtype": kind})


def _turned(x: Any) -> Any:
    """A tensor of either library with every dimension from its end."""
    return x.flip(*range(x.ndim))


VIEWS: Final[tuple[tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[Any], Any]], ...]] = (
    (_turned, _turned),
    (lambda x: x.transpose(0, -1), lambda x: x.transpose(0, -1)),
    (lambda x: torch.stack([x, x.flip(0)], -1), lambda x: x[..., 0]),
    (lambda x: torch.cat([x[:1], x, x[-1:]], 0), lambda x: x[1:-1]),
)  # what a view is of, and the view: turned, transposed, with steps, a part


def viewed(sample: Any) -> Any:
    """The sample, each tensor a view of another kind of some other tensor."""
    count = iter(range(1000))

    def one(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.ndim and value.numel() and value.layout is torch.strided:
            base, view = VIEWS[next(count) % len(VIEWS)]
            return as_view(base(value.detach()).contiguous().requires_grad_(value.requires_grad), view)
        if type(value) in (tuple, list):
            return type(value)([one(part) for part in value])
        return {name: one(part) for name, part in value.items()} if type(value) is dict else value

    made = SampleInput(one(sample.input), args=one(tuple(sample.args)), kwargs=one(sample.kwargs),
                       output_process_fn_grad=sample.output_process_fn_grad)  # fmt: skip
    made.broadcasts_input = sample.broadcasts_input
    return made
