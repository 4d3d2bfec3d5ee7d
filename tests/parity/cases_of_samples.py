"""Cases of special functions, of statistics and of assignments to parts.

Comes in: what `cases.py` draws arguments with.  Goes out: tables of cases like its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.parity.cases import Case, Draw, a_dim, another, integer, named, places, same_type, some_slices, values

torch = pytest.importorskip("torch")
S = torch.special


def special(name: str, arguments: Any = None) -> Case:
    """A method that is a function of torch.special."""
    options = {} if arguments is None else {"arguments": arguments}
    return Case("iuf", lambda x, *rest: getattr(x, name)(*rest), theirs=getattr(S, name), **options)


def of_doubles(name: str) -> Case:
    """The same where torch has no float16."""
    return Case("f", lambda x: getattr(x.double(), name)(), theirs=lambda x: getattr(S, name)(x.double()))


def share(draw: Draw) -> Any:
    return draw(st.sampled_from([0, 0.25, 0.5, 1.0])) if draw(st.booleans()) else np.array([0.0, 0.3, 1.0])


def quantiles(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    how = draw(st.sampled_from(["linear", "lower", "higher", "midpoint", "nearest"]))
    return share(draw), a_dim(draw, shape) if draw(st.booleans()) else None, draw(st.booleans()), how


def quantile(name: str) -> Case:
    def ours(x: Any, q: Any, dim: int | None, keep: bool, how: str) -> Any:
        shares = q if isinstance(q, int | float) else q.double()
        return getattr(x.double().clamp(-99, 99), name)(shares, dim, keep, interpolation=how)

    return Case("f", ours, quantiles)


SPECIAL: dict[str, Case] = {
    **{name: special(name) for name in ("i0", "i0e", "i1", "i1e", "entr", "ndtr")},
    **{name: of_doubles(name) for name in ("ndtri", "log_ndtr", "erfcx")},
    **{name: named("iuf", name) for name in ("lgamma", "digamma", "erfinv", "erfc")},
    "polygamma": Case("f", lambda x, n: (x.clamp(-8, 8) + 0.25).polygamma(n), integer(0, 3)),
    "mvlgamma": Case("f", lambda x, p: (x.abs() + 2).mvlgamma(p), integer(1, 3)),
    "xlog1py": special("xlog1py", another),
    "gcd": named("iu", "gcd", lambda d, s, t: same_type(d, s, d(st.sampled_from(["int16", "int64", "uint8"])))),
    "lcm": named("i", "lcm", same_type),
    "ldexp": named("f", "ldexp", lambda d, s, t: (values(d, s, "int32"),)),
}
SAMPLES: dict[str, Case] = {
    "quantile": quantile("quantile"),
    "nanquantile": quantile("nanquantile"),
    "median": Case("iuf", lambda x, d, k: x.median(d, k)[0], lambda d, s, t: (a_dim(d, s), d(st.booleans()))),
    "median of everything": Case("iuf", lambda x: x.median() if x.numel() else x),
    "nanmedian": Case("f", lambda x, d, k: x.nanmedian(d, k)[0], lambda d, s, t: (a_dim(d, s), d(st.booleans()))),
    "nanmedian of everything": Case("f", lambda x: x.nanmedian() if x.numel() else x),
    "mode": Case("iu", lambda x, d, k: x.mode(d, k)[0], lambda d, s, t: (a_dim(d, s), d(st.booleans()))),
    "kthvalue": Case("iuf", lambda x, k, d: x.kthvalue(k, d)[0], lambda d, s, t: (d(st.integers(1, 3)), a_dim(d, s))),
    "cov": Case("f", lambda x, c: x.double().cov(correction=c), lambda d, s, t: (d(st.integers(0, 1)),)),
    "cov with weights": Case("f", lambda x, f, a: x.double().cov(fweights=f.abs() + 1, aweights=a.double().abs() + 1)
                      if x.numel() else x,
                      lambda d, s, t: (values(d, s[-1:], "int64"), values(d, s[-1:], "int16"))),
    "trapezoid": Case("f", lambda x, y, d: x.trapezoid(y, dim=d), lambda d, s, t: (*same_type(d, s, t), a_dim(d, s)),
                      lambda x, y, d: torch.trapezoid(x, y, dim=d)),
    "cumulative_trapezoid": Case("f", lambda x, d: x.cumulative_trapezoid(dx=0.5, dim=d),
                      lambda d, s, t: (a_dim(d, s),), lambda x, d: torch.cumulative_trapezoid(x, dx=0.5, dim=d)),
}  # fmt: skip


def a_slice(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    dim = draw(st.integers(0, max(0, len(shape) - 1)))
    bound = st.one_of(st.none(), st.integers(-3, 3))
    start, stop, step = draw(bound), draw(bound), draw(st.integers(1, 2))
    part = range(*slice(start, stop, step).indices((shape or (1,))[dim]))
    return values(draw, (*shape[:dim], len(part), *shape[dim + 1 :]), dtype), dim, start, stop, step


def a_place(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    dim = draw(st.integers(0, max(0, len(shape) - 1)))
    return values(draw, (*shape[:dim], *shape[dim + 1 :]), dtype), dim, draw(st.integers(-2, 2))


def a_diagonal(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    offset, dim1, dim2 = draw(st.integers(-3, 3)), a_dim(draw, shape), a_dim(draw, shape)
    try:
        found = np.diagonal(np.zeros(shape), offset, dim1, dim2).shape
    except ValueError:
        found = shape
    return values(draw, found, dtype), offset, dim1, dim2


def puts(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    """One place for every element, as floats added up in any order would differ."""
    count = draw(st.integers(0, math.prod(shape)))
    return np.random.default_rng(count).permutation(math.prod(shape))[:count], values(draw, (count,), dtype)


def index_puts(draw: Draw, shape: tuple[int, ...], dtype: str) -> tuple:
    n, m = (shape or (1,))[0], (*shape, 1, 1)[1]
    first = np.random.default_rng(n).permutation(n)
    return first, places(draw, (n,), m), values(draw, (n, *shape[2:]) if draw(st.booleans()) else (), dtype)


PARTS: dict[str, Case] = {
    "slice_scatter": named("if", "slice_scatter", a_slice),
    "select_scatter": named("if", "select_scatter", a_place),
    "diagonal_scatter": named("if", "diagonal_scatter", a_diagonal),
    "put": Case("if", lambda x, i, y, a: x.put(i, y, accumulate=a), lambda d, s, t: (*puts(d, s, t), d(st.booleans()))),
    "index_put": Case("if", lambda x, i, j, y: x.index_put((i, j), y), index_puts),
    "index_put added": Case("if", lambda x, i, y: x.index_put((i,), y, accumulate=True), lambda d, s, t: (
        places(d, (3,), (s or (1,))[0]), values(d, s[1:], t))),
    "index_put by a mask": Case("if", lambda x, m: x.index_put((m,), x[m] * 2), lambda d, s, t: (
        values(d, s, "bool"),), theirs=lambda x, m: x.index_put((m,), x[m] * 2) if x.ndim else x.where(~m, x * 2)),
    **{f"index_reduce {name}": Case("f", lambda x, *rest, how=name: x.index_reduce(*rest, how), some_slices)
       for name in ("prod", "mean", "amax", "amin")},
    "sum_to_size": Case("f", lambda x, size: x.sum_to_size(size), lambda d, s, t: (
        tuple(d(st.sampled_from([1, n])) for n in s[d(st.integers(0, len(s))):]),)),
}  # fmt: skip
