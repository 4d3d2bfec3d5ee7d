"""Mixed precision: within autocast(), products are of narrow floats and sensitive functions of float32.

Comes in: the methods users call.  Goes out: the same methods, which cast their tensors first while autocast() is on.
What methods do inside is left alone, so a composite stays one node, whatever it is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import Token
from functools import wraps
from types import FunctionType
from typing import Any, Final

from codegen.dtypes import DType, dtypes
from kernelforge.kinds import as_dtype
from kernelforge.tensor.composite import is_spelling
from kernelforge.tensor.core import Core, narrow_type
from kernelforge.tensor.inplace import InPlace

NARROW: Final = """
    dot matmul __matmul__ mm bmm mv addmm addmv addbmm baddbmm linear _linear_by_rows bilinear conv1d conv2d conv3d
    conv_transpose1d conv_transpose2d conv_transpose3d scaled_dot_product_attention"""
WIDE: Final = """
    exp expm1 exp2 log log10 log2 log1p rsqrt reciprocal pow __pow__ __rpow__ acos asin cosh sinh tan erfinv
    softmax log_softmax softmin logsumexp softplus cumsum cumprod prod sum norm layernorm layer_norm group_norm
    normalize cosine_similarity pdist renorm cross_entropy sparse_categorical_crossentropy nll_loss
    binary_crossentropy binary_crossentropy_logits mse_loss l1_loss huber_loss smooth_l1_loss kl_div
    hinge_embedding_loss margin_ranking_loss soft_margin_loss cosine_embedding_loss triplet_margin_loss
    multi_margin_loss multilabel_soft_margin_loss poisson_nll_loss gaussian_nll_loss"""


class autocast(ContextDecorator):
    """A context, or a decorator, in which products are computed of 16-bit floats.

    device_type   of no account: the same holds on every device
    dtype         bfloat16, or float16, whose gradients want a GradScaler
    enabled       False: as outside

    >>> from kernelforge import Tensor
    >>> with autocast(dtype=dtypes.bfloat16):
    ...     y = Tensor.ones(2, 2) @ Tensor.ones(2, 2)
    ...     p = y.softmax()
    >>> y.dtype.name, p.dtype.name
    ('bfloat16', 'float32')
    """

    def __init__(
        self,
        device_type: str | None = None,
        dtype: DType | str | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        self.dtype = as_dtype(dtype or dtypes.bfloat16)
        if self.dtype not in (dtypes.bfloat16, dtypes.float16):
            raise ValueError(f"autocast() takes bfloat16 or float16, got {self.dtype}")
        self.enabled = enabled
        self._tokens: list[Token[DType | None]] = []

    def __enter__(self) -> autocast:
        self._tokens.append(narrow_type.set(self.dtype if self.enabled else None))
        return self

    def __exit__(self, *_: object) -> None:
        narrow_type.reset(self._tokens.pop())


def _converted(value: Any, dtype: DType) -> Any:
    """A float tensor cast; float64 and everything else as it is."""
    if not isinstance(value, Core) or not value.dtype.is_float or value.dtype in (dtype, dtypes.float64):
        return value
    return value.cast(dtype)  # type: ignore[attr-defined]


def _casting(method: Callable[..., Any], narrow: bool) -> Callable[..., Any]:
    """A method that casts its tensors first while autocast() is on."""

    @wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        kind = narrow_type.get()
        if kind is None or is_spelling():
            return method(*args, **kwargs) if kwargs else method(*args)
        kind = kind if narrow else dtypes.float32
        args = tuple([_converted(value, kind) for value in args])
        return method(*args, **{name: _converted(value, kind) for name, value in kwargs.items()})

    return called


class Autocast(InPlace):
    """Methods that heed autocast()."""

    __slots__ = ()


for _names, _narrow in ((NARROW, True), (WIDE, False)):
    for _name in _names.split():
        _method = getattr(InPlace, _name, None)
        if isinstance(_method, FunctionType):
            setattr(Autocast, _name, _casting(_method, _narrow))
