"""Which function of ours stands for an operation of torch's database.

Comes in: an operation's name, `add`, `nn.functional.gelu`, `linalg.norm`.  Goes out: our function, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import kernelforge.fft
from kernelforge import Tensor, functions, linalg, signal
from kernelforge.nn import functional

_HOMES: Final = {
    "nn.functional": functional, "fft": kernelforge.fft, "linalg": linalg, "signal.windows": signal.windows,
    "": kernelforge,
}  # fmt: skip
_OF_TORCHS_FORM: Final = frozenset(["gradient", "max", "min", "normal", "randint"])  # the methods are as tinygrad's
_FILLING: Final = frozenset(["cauchy", "exponential", "geometric", "log_normal", "normal", "uniform"])


def _of_each(name: str) -> Callable[..., Any]:
    """A method of one tensor, for one or for several."""
    return lambda x, *args: tuple(getattr(Tensor, name)(y) for y in x) if isinstance(x, list | tuple) else (
        getattr(Tensor, name)(x, *args)
    )


def _of_product(name: str) -> Callable[..., Any]:
    """A method of the product of two matrices, of which the database speaks."""
    method = name.removeprefix("linalg.").partition(":")[0]
    return lambda x, y, *args, **kwargs: getattr(Tensor, method)(x @ y.mT, *args, **kwargs)


def _svd(x: Tensor, some: bool, compute_uv: bool) -> Any:
    """torch.svd() by torch.linalg.svd(), whose last result is the transpose of the other's."""
    u, s, v = linalg.svd(x, full_matrices=not some)
    return (u, s, v.mH) if compute_uv else (x.new_zeros(u.shape), s, x.new_zeros(v.mT.shape))


_ADAPTED: Final[dict[str, Callable[..., Any]]] = {
    "einsum": lambda tensors, equation: Tensor.einsum(equation, *tensors),
    "where": lambda x, condition, other: Tensor.where(condition, x, other),
    "nn.functional.embedding": lambda weight, index, **kwargs: functional.embedding(index, weight, **kwargs),
    "nn.functional.embedding_bag": lambda weight, index, **kwargs: functional.embedding_bag(index, weight, **kwargs),
    "meshgrid": lambda *tensors, indexing="ij": Tensor.meshgrid(
        *(tensors[0] if isinstance(tensors[0], list | tuple) else tensors), indexing=indexing
    ),
    "to": lambda x, *args, **kwargs: x.to(*[None if isinstance(y, str) else y for y in args], **kwargs),
    "linalg.vander": linalg.vander,
    "linalg.multi_dot": linalg.multi_dot, "linalg.lu": linalg.lu, "linalg.lu_solve": linalg.lu_solve,
    "linalg.norm": lambda x, ord=None, dim=None, keepdim=False, dtype=None: (
        x.norm(ord, dim, keepdim, dtype) if ord is None or isinstance(dim, int) or (x.ndim == 1 and dim is None)
        else x.matrix_norm(ord, (-2, -1) if dim is None else dim, keepdim)
    ),
    "linalg.cross": linalg.cross,
    "svd": lambda x, some=True, compute_uv=True: _svd(x, some, compute_uv),
    **{name: _of_product(name) for name in ("svd_lowrank", "pca_lowrank", "linalg.pinv:singular")},
    "__rdiv__": Tensor.__rtruediv__, "zero_": lambda x: x.clone().zero_(),
    **{name: _of_each(name) for name in ("atleast_1d", "atleast_2d", "atleast_3d")},
}


def ours(name: str) -> Callable[..., Any] | None:
    """Our function of a name: of nn.functional or fft if it is theirs, else the tensor method, else the function.

    `..._copy` is what it copies, and a distribution (`exponential`) the method that fills a tensor with it.
    """
    place, _, last = name.rpartition(".")
    if name in _ADAPTED:
        return _ADAPTED[name]
    if place in ("masked", "sparse") or last[0] == "_" != name[:2][-1]:
        return None
    if name == "normal:in_place":
        return Tensor.normal_
    if name in _OF_TORCHS_FORM:
        return getattr(functions, name)  # type: ignore[no-any-return]
    home = _HOMES.get(place)
    if place in ("nn.functional", "fft", "signal.windows") and hasattr(home, last):
        return getattr(home, last)  # type: ignore[no-any-return]
    spellings = (f"{last}_",) if last in _FILLING else (last, last.removesuffix("_copy"))
    for spelling in spellings:
        found = getattr(Tensor, spelling, None)
        if found is not None:
            return found.fget if isinstance(found, property) else found
    return getattr(home, last, None)


def function(name: str) -> Callable[..., Any] | None:
    """Our function, not a method, of a name: the one that is called where the first argument is no tensor."""
    place, _, last = name.rpartition(".")
    home = _HOMES.get(place, kernelforge.special if place == "special" else None)
    return None if last[0] == "_" else getattr(home, last, None)


def in_place(name: str) -> Callable[..., Any] | None:
    """Our method that changes the tensor itself."""
    return getattr(Tensor, f"{name}_", None)
