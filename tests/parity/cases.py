"""Methods of both libraries and the arguments to try them with.

A case is a call both libraries understand, or one of each; its arguments are drawn for a shape and a type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
F = torch.nn.functional

Draw = Callable[[st.SearchStrategy], Any]
TYPES = {
    "b": ["bool"], "u": ["uint8"], "i": ["int8", "int16", "int32", "int64"], "f": ["float16", "float32", "float64"],
}  # fmt: skip
ALL = [name for names in TYPES.values() for name in names]


@dataclass(frozen=True)
class Case:
    """A call to compare.

    kinds      of the types it is tried with
    arguments  (draw, shape, dtype) -> what follows the tensor; arrays become tensors of each library
    call       (tensor, *arguments) -> result, in both libraries unless `theirs` is given
    """

    kinds: str
    call: Callable[..., Any]
    arguments: Callable[[Draw, tuple[int, ...], str], tuple] = lambda draw, shape, dtype: ()
    theirs: Callable[..., Any] | None = None


def values(draw: Draw, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Small numbers of a type: halves for floats, and now and then the values with rules of their own."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    numbers = rng.integers(0, 2, shape) if dtype == "bool" else rng.integers(0 if dtype == "uint8" else -6, 7, shape)
    array = np.asarray(numbers / 2 if dtype.startswith("f") else numbers, dtype)
    if dtype.startswith("f") and array.size and draw(st.integers(0, 3)) == 0:
        array.flat[rng.integers(array.size)] = rng.choice([np.inf, -np.inf, np.nan, -0.0])
    return array


def numbers(x: Any) -> Any:
    """A tensor of either library without NaN and infinities: torch's largest distance is 0 where there is one."""
    return x.nan_to_num(0, 0, 0)


def a_shape(draw: Draw, least: int = 0) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.sampled_from([0, 1, 1, 2, 3, 5]), min_size=least, max_size=3)))


def a_dim(draw: Draw, shape: tuple[int, ...], extra: int = 0) -> int:
    rank = max(1, len(shape) + extra)
    return draw(st.integers(-rank, rank - 1))


def dim(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    return (a_dim(draw, shape),)


def dim_keep(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    return a_dim(draw, shape), draw(st.booleans())


def dims_keep(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    """Some dimensions; torch takes the empty tuple for all."""
    chosen = draw(st.lists(st.integers(0, max(0, len(shape) - 1)), unique=True, min_size=1))
    return tuple(chosen), draw(st.booleans())


def other(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    """A tensor that broadcasts, of any type, or a number."""
    if draw(st.integers(0, 3)) == 0:
        return (draw(st.sampled_from([2, 1, True, 0.5] if dtype == "uint8" else [2, -3, 1, True, 0.5, -2.0])),)
    second = tuple(draw(st.sampled_from([1, n])) for n in shape[draw(st.integers(0, max(0, len(shape) - 1))) :])
    return (values(draw, second, draw(st.sampled_from(ALL)) if shape else dtype),)


def another(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    """A tensor of any type, no number."""
    return same_type(draw, shape, draw(st.sampled_from(ALL)) if shape else dtype)


def divisor(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    """As `other`, without zeros."""
    (found,) = other(draw, shape, dtype)
    return (np.asarray(np.where(found == 0, np.ones_like(found), found)) if isinstance(found, np.ndarray) else found,)


def same_type(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    return (values(draw, shape, dtype),)


def integer(low: int, high: int) -> Callable[[Draw, tuple[int, ...], str], tuple]:
    return lambda draw, shape, dtype: (draw(st.integers(low, high)),)


def integer_and_dim(low: int, high: int) -> Callable[[Draw, tuple[int, ...], str], tuple]:
    return lambda draw, shape, dtype: (draw(st.integers(low, high)), a_dim(draw, shape))


def an_index(draw: Draw, shape: tuple[int, ...]) -> tuple:
    """Integers, slices, None, ... and lists, in and out of range."""
    items: list[Any] = []
    for _ in range(draw(st.integers(0, len(shape)))):
        bound = st.one_of(st.none(), st.integers(-4, 4))
        part = st.builds(slice, bound, bound, st.one_of(st.none(), st.integers(1, 3)))
        items.append(draw(st.one_of(st.integers(-3, 3), part, st.lists(st.integers(-2, 1), min_size=1, max_size=3))))
        if draw(st.integers(0, 4)) == 0:
            items.append(None)
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), Ellipsis)
    return tuple(items)


def scalar(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    return (draw(st.sampled_from([0, 1, 2])),)


def two_alike(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    """Two tensors that broadcast, of the same type."""
    return values(draw, shape, dtype), values(draw, shape[1:], dtype)


def two_factors(draw: Draw) -> tuple[float, float]:
    return draw(st.sampled_from([1, 0.5, -2])), draw(st.sampled_from([0, 1, 2]))


def order_and_dim(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    return draw(st.sampled_from([1.0, 2.0, 3.0])), a_dim(draw, shape)


def places(draw: Draw, shape: tuple[int, ...], n: int) -> np.ndarray:
    """Indices into n elements."""
    return np.abs(values(draw, shape, "int64")) % max(1, n)


def some_slices(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    """A dimension, distinct places in it, and slices to put there."""
    dim = draw(st.integers(0, max(0, len(shape) - 1)))
    count = draw(st.integers(0, (shape or (1,))[dim]))
    chosen = np.random.default_rng(count).permutation((shape or (1,))[dim])[:count]
    return dim, chosen, values(draw, (*shape[:dim], count, *shape[dim + 1 :]), dtype)


def functional(kinds: str, name: str, arguments: Callable[..., tuple] | None = None) -> Case:
    """A method that is a function of torch.nn.functional."""
    options = {} if arguments is None else {"arguments": arguments}
    return Case(kinds, lambda x, *rest: getattr(x, name)(*rest), theirs=getattr(F, name), **options)


def named(kinds: str, name: str, arguments: Callable[..., tuple] | None = None, theirs: str | None = None) -> Case:
    """A method both libraries have under one name, or torch under another."""
    reference = None if theirs is None else lambda x, *rest: getattr(x, theirs)(*rest)
    options = {} if arguments is None else {"arguments": arguments}
    return Case(kinds, lambda x, *rest: getattr(x, name)(*rest), theirs=reference, **options)


FUNCTIONS = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "sin", "cos", "tan", "sinh",
    "cosh", "tanh", "erf", "asin", "acos", "atan", "asinh", "acosh", "atanh", "sigmoid", "reciprocal", "isnan",
    "isinf", "isfinite", "logical_not", "erfc", "logit", "sinc", "deg2rad", "rad2deg", "signbit", "isposinf",
    "isneginf", "nan_to_num",
]  # fmt: skip
EXACT = ["abs", "neg", "square", "floor", "ceil", "trunc", "round", "relu"]
ARITHMETIC: dict[str, Case] = {
    **{name: named("biuf", name) for name in FUNCTIONS},
    **{name: named("iuf", name) for name in EXACT},
    **{name: named("biuf", name, other) for name in ["add", "sub", "mul", "eq", "ne", "lt", "le", "gt", "ge"]},
    **{name: named("biuf", name, another) for name in ("maximum", "minimum")},
    "sign": named("biu", "sign"),
    **{name: named("biu", name, other) for name in ["bitwise_and", "bitwise_or", "bitwise_xor"]},
    "bitwise_not": named("biu", "bitwise_not"),
    "div": named("biuf", "div", divisor),
    "floor_divide": named("biuf", "floor_divide", divisor),  # of infinities the operator gives something else
    "remainder": Case("biuf", lambda x, y: x % y, divisor),
    "fmod": named("biuf", "fmod", divisor),
    "radd": Case("biuf", lambda x, y: y + x, other),
    "pow": named("f", "pow", lambda draw, shape, dtype: (draw(st.sampled_from([0, 1, 2, 3, -1, -2, 0.5, 1.5])),)),
    "integer pow": named("iu", "pow", integer(0, 3)),
    "where": Case("b", lambda c, x, y: c.where(x, y), lambda d, s, t: other(d, s, t) + other(d, s, t),
                  torch.where),
    "masked_fill": Case("iuf", lambda x, m, v: x.masked_fill(m, v),
                        lambda d, s, t: (values(d, s, "bool"), d(st.sampled_from([0, 1, 2])))),
    "clamp": named("if", "clamp", lambda d, s, t: (d(st.sampled_from([None, -2, -1])), d(st.sampled_from([0, 1])))),
    "clamp by tensors": named("iuf", "clamp", lambda d, s, t: (values(d, s, t), values(d, s, t))),
    **{name: named("biuf", name, another) for name in ("logical_and", "logical_or", "logical_xor", "fmax", "fmin")},
    **{name: named("iuf", name, another) for name in ("atan2",)},
    **{name: named("f", name, same_type) for name in ("hypot", "logaddexp", "logaddexp2")},
    **{name: named("biuf", name, other) for name in ("xlogy", "copysign", "float_power")},
    **{name: named("iuf", name, scalar) for name in ("clamp_min", "clamp_max")},
    "rsub": Case("iuf", lambda x, y: x.rsub(y, alpha=2), same_type, lambda x, y: torch.rsub(x, y, alpha=2)),
    "heaviside": named("iuf", "heaviside", same_type),
    "frac": named("f", "frac"),
    "add scaled": Case("iuf", lambda x, y: x.add(y, alpha=2), same_type),
    "sub scaled": Case("iuf", lambda x, y: x.sub(y, alpha=2), same_type),
    "addcmul": Case("iuf", lambda x, y, z: x.addcmul(y, z, value=2), two_alike),
    "addcdiv": Case("f", lambda x, y, z: x.addcdiv(y, z, value=0.5), two_alike),
    "logit limited": named("f", "logit", lambda d, s, t: (0.25,)),
    "nan_to_num to given": named("f", "nan_to_num", lambda d, s, t: (1.0, 2.0, -3.0)),
    **{name: functional("f", name) for name in ("hardshrink", "softshrink", "softsign", "tanhshrink", "mish", "selu")},
    "prelu": functional("f", "prelu", lambda d, s, t: (values(d, (s[1] if len(s) > 1 else 1,), t),)),
    "glu": functional("f", "glu", dim),
    "lerp": named("f", "lerp", lambda d, s, t: (values(d, s, t), 0.25)),
}  # fmt: skip
REDUCTIONS: dict[str, Case] = {
    **{name: named("bif", name, dims_keep) for name in ("any", "all")},
    "sum": named("biuf", "sum", dims_keep),
    **{f"{name} of everything": named("biuf", name) for name in ("sum", "max", "min")},
    "prod of everything": named("bf", "prod"),
    **{f"{name} of everything": named("bif", name) for name in ("any", "all", "argmax", "argmin")},
    **{name: named("iuf", name, dims_keep, f"a{name}") for name in ("max", "min")},
    **{name: named("iuf", name, dims_keep) for name in ("amax", "amin")},
    **{name: named("iuf", name, dim_keep) for name in ("argmax", "argmin")},
    "aminmax": Case("iuf", lambda x, d, k: x.aminmax(dim=d, keepdim=k), dim_keep),
    "nansum": named("iuf", "nansum", dims_keep),
    "nanmean": named("f", "nanmean", dims_keep),
    "count_nonzero": named("biuf", "count_nonzero", dim),
    "count_nonzero of everything": named("biuf", "count_nonzero"),
    "normalize": Case("f", lambda x, p, d: x.normalize(p, d), order_and_dim, F.normalize),
    "cosine_similarity": Case("f", lambda x, y, d: x.double().cosine_similarity(y.double(), d),
                              lambda d, s, t: (*same_type(d, s, t), a_dim(d, s)),
                              lambda x, y, d: F.cosine_similarity(x.double(), y.double(), d)),
    "pairwise_distance": functional("f", "pairwise_distance", lambda d, s, t: (*same_type(d, s, t), 2.0)),
    "dist": named("f", "dist", same_type),
    "prod": named("biuf", "prod", dim_keep),
    "mean": named("f", "mean", dims_keep),
    "var": Case("f", lambda x, axes, keep: x.var(axes, keepdim=keep), dims_keep),
    "std": Case("f", lambda x, axes, keep: x.std(axes, keepdim=keep), dims_keep),
    "std of everything": named("f", "std"),
    "var with correction": Case("f", lambda x, d, c: x.var(d, correction=c),
                                lambda d, s, t: (a_dim(d, s), d(st.integers(0, 1)))),
    "norm": Case("f", lambda x: x.norm()),
    **{name: named("f", name, dim) for name in ("softmax", "log_softmax", "logsumexp", "logcumsumexp")},
    **{name: named("biuf", name, dim) for name in ("cumsum", "cumprod")},
    "cummax": Case("iuf", lambda x, d: x.cummax(d), dim),
    "cummin": Case("iuf", lambda x, d: x.cummin(d), dim),
}  # fmt: skip
SHAPES: dict[str, Case] = {
    "reshape": named("iuf", "reshape", lambda d, s, t: (tuple(d(st.sampled_from([-1, 1, n])) for n in (2, 3)),)),
    "flatten": named("if", "flatten", lambda d, s, t: (a_dim(d, s), a_dim(d, s))),
    "squeeze": named("if", "squeeze", dim),
    "squeeze all": named("if", "squeeze"),
    "unsqueeze": named("if", "unsqueeze", lambda d, s, t: (a_dim(d, s, 1),)),
    "expand": named("if", "expand", lambda d, s, t: (tuple(d(st.sampled_from([-1, n, 2])) for n in (1, *s)),)),
    "transpose": named("if", "transpose", lambda d, s, t: (a_dim(d, s), a_dim(d, s))),
    "permute": named("if", "permute", lambda d, s, t: (tuple(d(st.permutations(range(len(s))))),)),
    "movedim": named("if", "movedim", lambda d, s, t: (a_dim(d, s), a_dim(d, s))),
    "movedim of several": named("if", "movedim", lambda d, s, t: (
        tuple(d(st.lists(st.integers(0, max(0, len(s) - 1)), min_size=2, max_size=2))), (0, -1))),
    "t": named("if", "t"),
    "ravel": named("if", "ravel"),
    "fliplr": named("if", "fliplr"),
    "flipud": named("if", "flipud"),
    "rot90": named("if", "rot90", lambda d, s, t: (d(st.integers(-5, 5)), (a_dim(d, s), a_dim(d, s)))),
    "broadcast_to": named("if", "broadcast_to", lambda d, s, t: ((2, *(d(st.sampled_from([n, 2])) for n in s)),)),
    "select": named("if", "select", lambda d, s, t: (a_dim(d, s), d(st.integers(-3, 3)))),
    "unbind": named("if", "unbind", dim),
    "tile": named("if", "tile", lambda d, s, t: (tuple(d(st.lists(st.integers(0, 2), min_size=1, max_size=4))),)),
    "diff": named("bif", "diff", lambda d, s, t: (d(st.integers(0, 3)), a_dim(d, s))),
    "diff after another": Case("if", lambda x, y, d: x.diff(1, d, y), lambda d, s, t: (
        *same_type(d, s, t), a_dim(d, s))),
    "pixel_shuffle": functional("if", "pixel_shuffle", integer(1, 2)),
    "pixel_unshuffle": functional("if", "pixel_unshuffle", integer(1, 2)),
    "flip": named("if", "flip", lambda d, s, t: ((a_dim(d, s),),)),
    "roll": named("if", "roll", integer_and_dim(-4, 4)),
    "roll all": named("if", "roll", integer(-4, 4)),
    "repeat": named("if", "repeat", lambda d, s, t: (tuple(d(st.integers(0, 2)) for _ in (1, *s)),)),
    "repeat_interleave": named("if", "repeat_interleave", integer_and_dim(0, 3)),
    "repeat_interleave all": named("if", "repeat_interleave", integer(0, 3)),
    "split": named("if", "split", integer_and_dim(1, 4)),
    "chunk": named("if", "chunk", integer_and_dim(1, 4)),
    "tensor_split": named("if", "tensor_split", integer_and_dim(0, 4)),
    "tensor_split at places": named("if", "tensor_split", lambda d, s, t: (
        tuple(d(st.lists(st.integers(-6, 6), max_size=3))), a_dim(d, s))),
    "narrow": named("if", "narrow", lambda d, s, t: (a_dim(d, s), d(st.integers(-2, 2)), d(st.integers(0, 2)))),
    "unfold": named("if", "unfold", lambda d, s, t: (a_dim(d, s), d(st.integers(1, 3)), d(st.integers(1, 2)))),
    "diagonal": named("if", "diagonal", lambda d, s, t: (d(st.integers(-2, 2)), a_dim(d, s), a_dim(d, s))),
    "diag": named("if", "diag", integer(-2, 2)),
    "diagflat": named("if", "diagflat", integer(-2, 2)),
    "diag_embed": named("if", "diag_embed", lambda d, s, t: (d(st.integers(-2, 2)), a_dim(d, s, 1), a_dim(d, s, 1))),
    "tril": named("bif", "tril", integer(-3, 3)),
    "triu": named("bif", "triu", integer(-3, 3)),
    "cat": Case("biuf", lambda x, y, d: x.cat(y, dim=d),
                lambda d, s, t: (values(d, s, d(st.sampled_from(ALL))), a_dim(d, s)),
                lambda x, y, d: torch.cat([x, y], d)),
    "stack": Case("biuf", lambda x, y, d: x.stack(y, dim=d), lambda d, s, t: (*same_type(d, s, t), a_dim(d, s, 1)),
                  lambda x, y, d: torch.stack([x, y], d)),
    "meshgrid": Case("if", lambda x, y, i: x.flatten().meshgrid(y.flatten(), indexing=i),
                     lambda d, s, t: (*same_type(d, s, t), d(st.sampled_from(["ij", "xy"]))),
                     lambda x, y, i: torch.meshgrid(x.flatten(), y.flatten(), indexing=i)),
}  # fmt: skip
PICKS: dict[str, Case] = {
    "matmul": Case("f", lambda x, y: x @ y,
                   lambda d, s, t: (values(d, (*s[:-2], s[-1] if s else 1, d(st.integers(0, 3))), t),)),
    "mm": named("f", "mm", lambda d, s, t: (values(d, (s[-1] if s else 1, 2), t),)),
    "mv": named("f", "mv", lambda d, s, t: (values(d, s[-1:], t),)),
    "bmm": named("f", "bmm", lambda d, s, t: (values(d, (*s[:1], s[-1] if s else 1, 2), t),)),
    "vdot": named("if", "vdot", same_type),
    "inner": named("if", "inner", lambda d, s, t: (values(d, (2, *s[-1:]), t),)),
    "addmm": Case("f", lambda x, y, z, a, b: x.addmm(y, z, alpha=a, beta=b), lambda d, s, t: (
        values(d, (*s[:1], 2), t), values(d, (2, *s[1:]), t), *two_factors(d))),
    "addmv": Case("f", lambda x, y, z, a, b: x.addmv(y, z, alpha=a, beta=b), lambda d, s, t: (
        values(d, (*s, 2), t), values(d, (2,), t), *two_factors(d))),
    "addr": Case("f", lambda x, y, z, a, b: x.addr(y, z, alpha=a, beta=b), lambda d, s, t: (
        values(d, s[:1], t), values(d, s[1:], t), *two_factors(d))),
    "baddbmm": Case("f", lambda x, y, z, a, b: x.baddbmm(y, z, alpha=a, beta=b), lambda d, s, t: (
        values(d, (*s[:2], 2), t), values(d, (*s[:1], 2, *s[2:]), t), *two_factors(d))),
    "addbmm": Case("f", lambda x, y, z, a, b: x.addbmm(y, z, alpha=a, beta=b), lambda d, s, t: (
        values(d, (2, *s[:1], 3), t), values(d, (2, 3, *s[1:]), t), *two_factors(d))),
    "tensordot": Case("f", lambda x, y, n: x.tensordot(y, n),
                      lambda d, s, t: (values(d, (*s[-1:], 2), t), d(st.integers(0, 1))), torch.tensordot),
    "tensordot over all": Case("f", lambda x, y: x.tensordot(y, (range(x.ndim), range(x.ndim)[::-1])),
                      lambda d, s, t: (values(d, s[::-1], t),),
                      lambda x, y: torch.tensordot(x, y, (list(range(x.ndim)), list(range(x.ndim))[::-1]))),
    "kron": named("if", "kron", lambda d, s, t: (values(d, s[d(st.integers(0, 1)):], t),)),
    "cross": Case("f", lambda x, y, d: x.unsqueeze(-1).expand(*x.shape, 3).cross(y, d),
                  lambda d, s, t: (values(d, (*s, 3), t), -1)),
    "trace": named("f", "trace"),
    "matrix_power": named("f", "matrix_power", integer(0, 5)),
    "cdist": Case("f", lambda x, y, p: numbers(x).cdist(numbers(y), p), lambda d, s, t: (
        values(d, (*s[:-2], 2, *s[-1:]), t), d(st.sampled_from([1.0, 2.0, math.inf]))),
        lambda x, y, p: torch.cdist(numbers(x), numbers(y), p)),
    "take": Case("if", lambda x, i: x.take(i), lambda d, s, t: (places(d, (2, 2), math.prod(s)),)),
    "take_along_dim": named("if", "take_along_dim", lambda d, s, t: (
        k := a_dim(d, s), places(d, tuple(d(st.sampled_from([1, n])) for n in s), (s or (1,))[k]))[::-1]),
    "index_add": Case("if", lambda x, k, i, y: x.index_add(k, i, y, alpha=2), some_slices),
    "index_copy": named("if", "index_copy", some_slices),
    "index_fill": named("if", "index_fill", lambda d, s, t: (*some_slices(d, s, t)[:2], 3)),
    "masked_scatter": named("if", "masked_scatter", lambda d, s, t: (values(d, s, "bool"), *same_type(d, s, t))),
    "nonzero as a tuple": Case("bif", lambda x: x.nonzero(as_tuple=True)),
    "argwhere": named("bif", "argwhere"),
    "outer": Case("f", lambda x, y: x.flatten().outer(y.flatten()), same_type),
    "gather": Case("if", lambda x, d, i: x.gather(d, i),
                   lambda d, s, t: (k := a_dim(d, s), np.abs(values(d, s, "int64")) % max(1, (s or (1,))[k]))),
    "index_select": Case("if", lambda x, d, i: x.index_select(d, i),
                         lambda d, s, t: (k := a_dim(d, s), np.abs(values(d, (4,), "int64")) % max(1, (s or (1,))[k]))),
    "masked_select": named("if", "masked_select", lambda d, s, t: (values(d, s, "bool"),)),
    "nonzero": named("bif", "nonzero"),
    "sort": named("iuf", "sort", lambda d, s, t: (a_dim(d, s), d(st.booleans()))),
    "index": Case("if", lambda x, i: x[i], lambda d, s, t: (an_index(d, s),)),
}  # fmt: skip
