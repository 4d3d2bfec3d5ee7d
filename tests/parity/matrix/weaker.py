"""What must hold of our results where torch's values are not the only right ones, or others on purpose.

Comes in: a case, what we gave and what torch gave.  Goes out: what does not hold, or "".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import scipy.special
import torch

from kernelforge import Tensor
from tests.parity.matrix.calls import Case
from tests.parity.matrix.comparison import TOLERANCES, close, difference, leaves
from tests.parity.matrix.settling import widened
from tests.parity.matrix.translation import values

Check = Callable[[Case, Any, Any], str]
DRAWS: Final = 200


def _array(x: Any) -> np.ndarray:
    if isinstance(x, Tensor):
        return np.asarray((x.float() if x.dtype.name == "bfloat16" else x).numpy())
    return values(x)


def _transposed(x: np.ndarray) -> np.ndarray:
    return x.conj().swapaxes(-1, -2)


def _same(what: str, found: np.ndarray, expected: np.ndarray, kind: str) -> str:
    if found.shape != expected.shape:
        return f"values: {what}: {found.shape} for {expected.shape}"
    return "" if close(found, expected, 10 * TOLERANCES[kind]) else f"values: {what}"


def _orthonormal(what: str, q: np.ndarray, kind: str) -> str:
    """Whether a matrix's columns are orthonormal; its rows where it is wide."""
    q = q if q.shape[-2] >= q.shape[-1] else _transposed(q)
    return _same(what, _transposed(q) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*q.shape[:-2], *[q.shape[-1]] * 2)),
                 kind)  # fmt: skip


def _alike(found: Any, expected: Any) -> str:
    """Number, shapes and types of results."""
    return difference(found, expected, by_value=False) or ""


def singular(case: Case, found: Any, expected: Any) -> str:
    """U S V is the matrix, U and V are orthonormal, S is torch's: so of S alone, and of what is 0 besides."""
    mine, theirs = leaves(found), leaves(expected)
    wrong = _alike(mine, theirs)
    if wrong or len(mine) != 3:
        return wrong or "values: not three results"
    u, s, v = map(_array, mine)
    matrix, k = _array(_of_product(case)), s.shape[-1]
    if case.sample.kwargs.get("compute_uv") is False:
        return difference(mine, theirs) or ""
    wrong = difference(mine[1], theirs[1]) or _orthonormal("U", u, case.dtype) or _orthonormal("V", v, case.dtype)
    v = v if case.op.name == "linalg.svd" else _transposed(v)  # V itself
    if case.op.name == "pca_lowrank" and case.sample.kwargs.get("center", True):
        matrix = matrix - matrix.mean(-2, keepdims=True)
    return wrong or _same("U S V", u[..., :k] * s[..., None, :] @ v[..., :k, :], matrix, case.dtype)


def of_scipy(case: Case, found: Any, expected: Any) -> str:
    """What SciPy gives for the same numbers as doubles."""
    name = case.op.name.removeprefix("special.").removeprefix("bessel_")
    exact = getattr(scipy.special, name)(values(case.sample.input).astype(np.float64))
    return difference(found, torch.tensor(exact).to(expected.dtype)) or ""


def by_exponentials(case: Case, found: Any, expected: Any) -> str:
    """The exponentials are torch's."""
    return difference([x.exp() for x in leaves(found)], [x.exp() for x in leaves(expected)], loose=10) or ""


def _of_product(case: Case) -> torch.Tensor:
    """The matrix a case is about: where the database's is of two, their product."""
    x: torch.Tensor = case.sample.input
    return x @ case.sample.args[0].mT if case.op.name.endswith("lowrank") else x


def symmetric(case: Case, found: Any, expected: Any) -> str:
    """The vectors are orthonormal, and the matrix takes them to themselves times the values, which are torch's."""
    wrong = _alike(found, expected)
    if wrong:
        return wrong
    numbers, vectors = map(_array, leaves(found))
    x = _array(case.sample.input)
    upper = case.sample.kwargs.get("UPLO", "L").upper() == "U"
    half = np.triu(x, 1) if upper else np.tril(x, -1)
    diagonal = np.diagonal(x, axis1=-2, axis2=-1).real
    x = half + _transposed(half) + diagonal[..., None] * np.eye(x.shape[-1])
    return difference(leaves(found)[0], leaves(expected)[0]) or _orthonormal("vectors", vectors, case.dtype) or _same(
        "A V", x @ vectors, vectors * numbers[..., None, :], case.dtype
    )


def eigen(case: Case, found: Any, expected: Any) -> str:
    """The vectors have length 1, and the matrix takes them to themselves times the values, which are torch's."""
    wrong = _alike(found, expected)
    if wrong:
        return wrong
    numbers, vectors = map(_array, leaves(found))
    theirs, kind = _array(leaves(expected)[0]), {"float32": "complex64", "float64": "complex128"}.get(case.dtype)
    kind, x = kind or case.dtype, _array(case.sample.input)
    lengths = np.linalg.norm(vectors, axis=-2)
    if not numbers.size:
        return ""
    for mine, others in zip(numbers.reshape(-1, numbers.shape[-1]), theirs.reshape(-1, numbers.shape[-1])):
        left = list(others)
        for value in mine:
            left.pop(int(np.abs(np.array(left) - value).argmin()))
            nearest = others[np.abs(others - value).argmin()]
            if abs(nearest - value) > 100 * TOLERANCES[kind] * (1 + np.abs(others).max()):
                return f"values: {value} is none of torch's"
    return _same("A V", x @ vectors, vectors * numbers[..., None, :], kind) or _same(
        "lengths", lengths.astype(np.complex128), np.ones(lengths.shape, np.complex128), kind
    )


def orthogonal(case: Case, found: Any, expected: Any) -> str:
    """Q R is the matrix, Q is orthonormal, R is torch's up to the signs of its rows."""
    wrong = _alike(found, expected)
    if wrong:
        return wrong
    (q, r), theirs = map(_array, leaves(found)), _array(leaves(expected)[1])
    wrong = _same("R", np.abs(np.triu(r)), np.abs(theirs), case.dtype) or _same("R", np.triu(r), r, case.dtype)
    if wrong or not q.size:
        return wrong
    return _orthonormal("Q", q, case.dtype) or _same("Q R", q @ r, _array(case.sample.input), case.dtype)


def hermitian_part(case: Case, found: Any, expected: Any) -> str:
    """Gradients are the same as far as a matrix that is its own transpose, conjugated, may change."""
    for mine, theirs in zip(found, expected):
        a, b = ((x + _transposed(x)) / 2 for x in (_array(mine), _array(theirs)))
        if not close(a, b, 10 * TOLERANCES[case.dtype]):
            return "values: also those of their Hermitian parts"
    return ""


def as_floats(case: Case, found: Any, expected: Any) -> str:
    """What torch makes of the same numbers as floats."""
    wide = torch.get_default_dtype() if case.kind == "forward" else torch.float64
    sample = case.sample

    def floats(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value if value.is_floating_point() or value.is_complex() or value.dtype is torch.bool else (
                value.to(wide)
            )
        return type(value)(map(floats, value)) if type(value) in (tuple, list) else value

    kwargs = {name: floats(value) for name, value in sample.kwargs.items()}
    exact = case.op(floats(sample.input), *floats(tuple(sample.args)), **kwargs)
    return difference(found, exact) or ""


def approximate(case: Case, found: Any, expected: Any) -> str:
    """The vectors are orthonormal, S is what they make of the matrix, and at least half of its largest values."""
    mine, shift = leaves(found), case.sample.kwargs.get("M")
    if shift is None:
        return "values: S"
    u, s, v = map(_array, mine)
    matrix = _array(_of_product(case)) - _array(shift)
    exact = np.linalg.svd(matrix, compute_uv=False)[..., : s.shape[-1]]
    wrong = _alike(mine, leaves(expected)) or _orthonormal("U", u, case.dtype) or _orthonormal("V", v, case.dtype)
    made = _transposed(u) @ matrix @ v
    wrong = wrong or _same("U^H A V", s[..., None] * np.eye(s.shape[-1]), made, case.dtype)
    return wrong or ("" if (np.linalg.norm(s, axis=-1) >= 0.5 * np.linalg.norm(exact, axis=-1)).all() else "values: S")


DROPOUT: Final = {"nn.functional.multi_head_attention_forward": 9}  # where the chance is among the arguments


def dropout(op: Any, sample: Any) -> float:
    """The chance that an attention drops a weight."""
    place = DROPOUT.get(op.name, len(sample.args))
    given = sample.args[place] if place < len(sample.args) else sample.kwargs.get("dropout_p", 0.0)
    return float(given or 0.0) if sample.kwargs.get("training", True) else 0.0


def _without(sample: Any, op: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """A sample's arguments as doubles, nothing dropped."""
    place = DROPOUT.get(op.name, -1)
    args = tuple(0.0 if i == place else x for i, x in enumerate(widened(tuple(sample.args))))
    return widened(sample.input), args, {k: 0.0 if k == "dropout_p" else x for k, x in widened(sample.kwargs).items()}


def mean_of_draws(case: Case, found: Any, expected: Any) -> str:
    """The mean of many draws is the result without dropout, up to four of its deviations."""
    wrong = _alike(found, expected)
    if wrong:
        return wrong
    draws = np.stack([_array(leaves(case.ours())[0]).astype(np.float64) for _ in range(DRAWS)])
    x, args, kwargs = _without(case.sample, case.op)
    whole = _array(leaves(case.op(x, *args, **kwargs))[0])
    off = np.abs(draws.mean(0) - whole)
    return "" if (off <= 5 * draws.std(0) / DRAWS**0.5 + 2e-2 * np.abs(whole).max(initial=1)).all() else (
        f"values: the mean of {DRAWS} draws is off by {off.max()}"
    )


def scaled_or_dropped(case: Case, found: Any, expected: Any) -> str:
    """Every element is 0 or the input's over 1 - p, none is dropped where p is 0 or nothing is trained."""
    wrong = _alike(found, expected)
    x, kwargs = widened(case.sample.input).detach().numpy(), case.sample.kwargs
    p = kwargs.get("p", 0.5) if kwargs.get("training", True) else 0.0
    scaled, y = x / (1 - p) if p < 1 else x * 0, _array(found.double())
    kind = case.dtype
    one = np.isclose(y, scaled, 10 * TOLERANCES[kind], TOLERANCES[kind])
    return wrong or ("" if (one | ((y == 0) & (p > 0))).all() else "values: neither dropped nor scaled")


def picked(case: Case, found: Any, expected: Any) -> str:
    """Every element is one of the input's."""
    wrong = _alike(found, expected)
    return wrong or ("" if np.isin(_array(leaves(found)[0]), _array(case.sample.input)).all() else
                     "values: none of the input's")  # fmt: skip


def leaky(case: Case, found: Any, expected: Any) -> str:
    """Elements above 0 stay, others are multiplied by slopes between the bounds, by their mean where none is drawn."""
    wrong = _alike(found, expected)
    kwargs = {"lower": 1 / 8, "upper": 1 / 3, "training": False, **case.sample.kwargs}
    if not kwargs["training"]:
        return wrong or difference(found, expected) or ""
    x, y = widened(case.sample.input).detach().numpy(), _array(found.double())
    tiny = 10 * TOLERANCES[case.dtype] * (1 + np.abs(x))
    low, high = sorted_products(x, kwargs["lower"], kwargs["upper"])
    return wrong or ("" if ((y >= low - tiny) & (y <= high + tiny)).all() else "values: outside of the bounds")


def sorted_products(x: np.ndarray, lower: float, upper: float) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest value of elements times slopes; those above 0 stay."""
    one, other = np.where(x >= 0, x, x * lower), np.where(x >= 0, x, x * upper)
    return np.minimum(one, other), np.maximum(one, other)


INSTEAD: Final[dict[str, Check]] = {  # in place of equal values, forward
    "linalg.svd": singular, "svd": singular, "svd_lowrank": singular, "pca_lowrank": singular,
    "linalg.eigh": symmetric, "linalg.eig": eigen, "linalg.qr": orthogonal, "qr": orthogonal,
    "nn.functional.dropout": scaled_or_dropped, "nn.functional.dropout2d": scaled_or_dropped,
    "nn.functional.dropout3d": scaled_or_dropped, "nn.functional.rrelu": leaky,
    "nn.functional.fractional_max_pool2d": picked, "nn.functional.fractional_max_pool3d": picked,
}  # fmt: skip
