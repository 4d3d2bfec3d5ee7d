"""Methods of both libraries on the same random arguments: the same values, shapes and types, or an error of each.

What differs by design is said in `expected_type` and `MORE`, or not tried: a tensor without dimensions has as much to
say about a result's type as any other, unlike torch's, and no dimensions to exchange; the sign of NaN is NaN; numbers
an integer type cannot hold are refused, and 32 bits wrap; x ** -0.5 is x.rsqrt(); any() and all() of uint8 are bool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import Context, Tensor

torch = pytest.importorskip("torch")

Draw = Callable[[st.SearchStrategy], Any]
TYPES = {
    "b": ["bool"], "u": ["uint8"], "i": ["int8", "int16", "int32", "int64"], "f": ["float16", "float32", "float64"],
}  # fmt: skip
ALL = [name for names in TYPES.values() for name in names]
TOLERANCE = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-9}


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


def named(kinds: str, name: str, arguments: Callable[..., tuple] | None = None, theirs: str | None = None) -> Case:
    """A method both libraries have under one name, or torch under another."""
    reference = None if theirs is None else lambda x, *rest: getattr(x, theirs)(*rest)
    options = {} if arguments is None else {"arguments": arguments}
    return Case(kinds, lambda x, *rest: getattr(x, name)(*rest), theirs=reference, **options)


FUNCTIONS = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "sin", "cos", "tan", "sinh",
    "cosh", "tanh", "erf", "asin", "acos", "atan", "asinh", "acosh", "atanh", "sigmoid", "reciprocal", "isnan",
    "isinf", "isfinite", "logical_not",
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
    "floor_divide": Case("biuf", lambda x, y: x // y, divisor),
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
    "lerp": named("f", "lerp", lambda d, s, t: (values(d, s, t), 0.25)),
}  # fmt: skip
REDUCTIONS: dict[str, Case] = {
    **{name: named("bif", name, dims_keep) for name in ("any", "all")},
    "sum": named("biuf", "sum", dims_keep),
    **{f"{name} of everything": named("biuf", name) for name in ("sum", "max", "min")},
    "prod of everything": named("bf", "prod"),
    **{f"{name} of everything": named("bif", name) for name in ("any", "all", "argmax", "argmin")},
    **{name: named("iuf", name, dims_keep, f"a{name}") for name in ("max", "min")},
    **{name: named("iuf", name, dim_keep) for name in ("argmax", "argmin")},
    "prod": named("biuf", "prod", dim_keep),
    "mean": named("f", "mean", dims_keep),
    "var": Case("f", lambda x, axes, keep: x.var(axes, keepdim=keep), dims_keep),
    "std": Case("f", lambda x, axes, keep: x.std(axes, keepdim=keep), dims_keep),
    "std of everything": named("f", "std"),
    "var with correction": Case("f", lambda x, d, c: x.var(d, correction=c),
                                lambda d, s, t: (a_dim(d, s), d(st.integers(0, 1)))),
    "norm": Case("f", lambda x: x.norm()),
    **{name: named("f", name, dim) for name in ("softmax", "log_softmax", "logsumexp")},
    **{name: named("biuf", name, dim) for name in ("cumsum", "cumprod")},
    "cummax": Case("iuf", lambda x, d: x.cummax(d), dim, lambda x, d: x.cummax(d)[0]),
    "cummin": Case("iuf", lambda x, d: x.cummin(d), dim, lambda x, d: x.cummin(d)[0]),
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
    "diag": named("if", "diag"),
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


PLACES = {"argmax", "argmin", "argmax of everything", "argmin of everything", "nonzero"}
MORE = {"sub", "floor_divide", "argmax of everything", "argmin of everything"}  # also take bool


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


def expected_type(name: str, theirs: Any, inputs: list[str]) -> set[str]:
    """The types a result may have: torch's; for places, and where torch widens to int64, 32 bits."""
    dtype = str(theirs.dtype).removeprefix("torch.")
    places = name in PLACES or (name == "sort" and "int64" in inputs)
    if dtype == "int64" and (places or "int64" not in inputs):
        return {"int64", "int32"} if name == "sort" else {"int32", "uint32"} if inputs[0] == "uint8" else {"int32"}
    return {dtype}


def outcome(call: Callable[..., Any], arguments: list[Any]) -> Any:
    """The results as a tuple, or the error."""
    try:
        found = call(*arguments)
        found = tuple(found) if isinstance(found, tuple | list) else (found,)
        for x in found:
            if isinstance(x, Tensor):
                x.realize()
    except Exception as error:
        return error
    return found


@pytest.mark.parametrize("cases", [ARITHMETIC, REDUCTIONS, SHAPES, PICKS], ids=lambda cases: next(iter(cases)))
@given(data=st.data())
def test_as_in_torch(cases: dict[str, Case], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(cases)))
    case = cases[name]
    shape = a_shape(data.draw, least=name in ("transpose", "movedim", "unfold"))
    dtype = data.draw(st.sampled_from([t for kind in case.kinds for t in TYPES[kind]]))
    arguments = [values(data.draw, shape, dtype), *case.arguments(data.draw, shape, dtype)]
    inputs = [str(a.dtype) for a in arguments if isinstance(a, np.ndarray)]
    with Context(DEVICE="NUMPY"):
        found = outcome(case.call, [Tensor(a) if isinstance(a, np.ndarray) else a for a in arguments])
        tensors = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
        expected = outcome(case.theirs or case.call, tensors)
        if isinstance(expected, Exception) or isinstance(found, Exception):
            refused = isinstance(found, Exception) or (name in MORE and "bool" in inputs)
            assert isinstance(expected, Exception) and refused, (found, expected)
            return
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected):
            assert ours.shape == tuple(theirs.shape)
            assert str(ours.dtype) in expected_type(name, theirs, inputs)
            tolerance = TOLERANCE.get(str(ours.dtype), 0)
            reference = theirs.numpy().astype(np.float64)
            np.testing.assert_allclose(ours.numpy().astype(np.float64), reference, tolerance, tolerance, equal_nan=True)
