"""Arguments by place: functions that torch has, too, take them in torch's order."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import kernelforge
import kernelforge.fft
import kernelforge.linalg
import kernelforge.nn.functional
import kernelforge.special

torch = pytest.importorskip("torch")
overrides = pytest.importorskip("torch.overrides")

ROOMS = {
    "torch": (torch, kernelforge),
    "nn.functional": (torch.nn.functional, kernelforge.nn.functional),
    "linalg": (torch.linalg, kernelforge.linalg),
    "special": (torch.special, kernelforge.special),
    "fft": (torch.fft, kernelforge.fft),
}
WORDS = {  # one argument by several names; torch's own description of its functions has others than they have
    "axis": "dim", "axes": "dim", "names": "dim", "axis0": "dim0", "axis1": "dim1", "keepdims": "keepdim",
    "x2": "other", "vec2": "other", "te": "other", "x": "other", "test_elements": "other", "y": "other", "w": "other",
    "b": "other",
    "B": "other", "exponent": "other", "parts": "sections", "sizes": "sections", "indices_or_sections": "sections",
    "split_size_or_sections": "sections", "offset": "diagonal", "LU_pivots": "pivots", "ang": "angle", "ord": "p",
    "tau": "input2", "L": "input2", "input3": "other", "output_adding": "output_padding", "cond": "rcond",
    "values": "input",
}  # fmt: skip
BY_NAME = {  # what follows the first so many is given by name alone in torch, or is of a form of its own
    "bernoulli": 1, "bucketize": 2, "div": 2, "divide": 2, "dot": 2, "embedding_bag": 3, "histogram": 2, "isin": 2,
    "lstsq": 2, "matrix_rank": 1, "nonzero": 1, "nuclear_norm": 1, "prod": 1, "qr": 1, "repeat_interleave": 1,
    "searchsorted": 2, "solve": 2, "solve_triangular": 2, "svd": 1, "topk": 3, "feature_alpha_dropout": 2,
    "cosine_embedding_loss": 2, "margin_ranking_loss": 2, "lstm": 0, "batch_norm": 1, "instance_norm": 1,
    "polygamma": 0, "max_pool3d": 5,
}  # fmt: skip


def _by_place(function: Callable[..., Any]) -> list[str]:
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in given):
        return []
    names = [p.name.rstrip("_") for p in given if p.kind in kinds and p.name != "out"]
    return [WORDS.get(name, name) for name in names]


def _functions() -> list[Any]:
    described = overrides.get_testing_overrides()
    found = []
    for room, (theirs, ours) in ROOMS.items():
        for name in sorted(dir(theirs)):
            function, mine = getattr(theirs, name), getattr(ours, name, None)
            if name[0] != "_" and name[-1] != "_" and inspect.isroutine(function) and function in described and mine:
                found.append(pytest.param(described[function], mine, id=f"{room}.{name}"))
    return found


@pytest.mark.parametrize(("theirs", "mine"), _functions())
def test_arguments_by_place_are_in_the_order_of_torch(theirs, mine, request):
    name = request.node.callspec.id.rpartition(".")[2]
    wanted, found = _by_place(theirs)[1:], _by_place(mine)[1:]
    least = BY_NAME.get(name, len(wanted)) - 1 if name in BY_NAME else len(wanted)
    pairs = list(zip(wanted, found))[: max(least, 0)]
    assert [a for a, _ in pairs] == [b for _, b in pairs]


def test_norms_of_batches_take_weights_before_statistics():
    x, weight, bias = kernelforge.rand(4, 3), kernelforge.rand(3), kernelforge.rand(3)
    mean, var = kernelforge.zeros(3), kernelforge.full((3,), 4.0)
    functional = kernelforge.nn.functional
    found = kernelforge.batch_norm(x, weight, bias, mean, var, False, 0.1, 0.0)
    assert found.allclose(functional.batch_norm(x, mean, var, weight, bias, False, 0.1, 0.0))
    x = x.unsqueeze(-1).expand(4, 3, 2)
    found = kernelforge.instance_norm(x, weight, bias, mean, var, False, 0.1, 0.0)
    assert found.allclose(functional.instance_norm(x, mean, var, weight, bias, False, 0.1, 0.0))
