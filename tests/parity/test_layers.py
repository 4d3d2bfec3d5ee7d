"""Every layer and optimiser of torch's databases: some samples in float64, and the calls that must fail."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="torch's databases need it")

import torch
from torch.testing._internal.common_modules import module_db
from torch.testing._internal.common_optimizers import optim_db

from kernelforge import Tensor, optim
from tests.parity.matrix.comparison import difference
from tests.parity.matrix.layers import differences, unraised
from tests.parity.matrix.translation import translated

KEPT = {
    "HuberLoss": "delta must be",  # found at the first call
    "NLLLoss": "expected scalar type",  # weights of another type are converted
    "LPPool": "nan",  # gradients of NaN are 0 or NaN
    "RNN|GRU|LSTM": "does not match weight dtype",  # the wider type is the result's
}
LONG = re.compile("GRU|LSTM|Transformer.*")
LENIENT = "duplicate parameters|foreach|both floats or both"  # one given twice is changed once; tensors are numbers


@pytest.mark.parametrize("info", module_db, ids=lambda info: info.module_cls.__name__)
def test_a_layer_is_torchs(info: Any, numpy_device: None) -> None:
    name = info.module_cls.__name__
    kept = next((words for names, words in KEPT.items() if re.match(names, name)), "\0")
    wrong = [*differences(info, 1 if LONG.fullmatch(name) else 3), *unraised(info)]
    assert [each for each in wrong if kept not in each] == []


def trained(cls: Any, kwargs: dict[str, Any], tensors: list[Any], gradients: list[list[Any]]) -> list[Any]:
    """Parameters after steps with gradients that are given, one missing and one of zeros among them."""
    optimizer = cls(tensors, **kwargs)
    for given in gradients:
        for tensor, gradient in zip(tensors, given):
            tensor.grad = gradient
        optimizer.step()
    return tensors


@pytest.mark.parametrize("info", optim_db, ids=lambda info: info.optim_cls.__name__)
def test_an_optimiser_is_torchs(info: Any, numpy_device: None) -> None:
    name = info.optim_cls.__name__
    if name in ("LBFGS", "SparseAdam", "Muon"):
        pytest.skip("calls its closure; sparse; rounds to bfloat16")
    rng = torch.Generator().manual_seed(0)
    start, *steps = [
        [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in ((3, 4), (4,), ())] for _ in range(5)
    ]
    steps[1][1], steps[2][0] = None, torch.zeros(3, 4, dtype=torch.float64)
    for sample in info.optim_inputs_func("cpu"):
        theirs = [torch.nn.Parameter(x.clone()) for x in start]
        expected = trained(info.optim_cls, sample.kwargs, theirs, steps)
        ours = [translated(x).requires_grad_() for x in start]
        given = [[x if x is None else translated(x) for x in step] for step in steps]
        found = trained(getattr(optim, name), translated(sample.kwargs), ours, given)
        assert difference(found, [x.detach() for x in expected]) is None, sample.desc


def parameters(given: Any, made: dict[int, Tensor]) -> Any:
    """The parameters of a wrong call."""
    if isinstance(given, torch.Tensor):
        return made.setdefault(id(given), translated(given.detach()).requires_grad_())
    if isinstance(given, dict):
        return {name: parameters(part, made) for name, part in given.items()}
    return type(given)(parameters(part, made) for part in given) if type(given) in (list, tuple) else given


@pytest.mark.parametrize("info", optim_db, ids=lambda info: info.optim_cls.__name__)
def test_wrong_options_of_an_optimiser_are_errors(info: Any, numpy_device: None) -> None:
    for case in info.optim_error_inputs_func("cpu", torch.float32):
        sample = case.optimizer_error_input
        if re.search(LENIENT, case.error_regex) or "dense" in case.error_regex:
            continue
        given = [Tensor.ones(2, 3).requires_grad_()] if sample.params is None else parameters(sample.params, {})
        with pytest.raises((ValueError, TypeError, RuntimeError)):
            getattr(optim, info.optim_cls.__name__)(given, **translated(sample.kwargs)).step()


def test_results_of_operations_are_no_parameters(numpy_device: None) -> None:
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([Tensor.ones(3, requires_grad=True) * 2], 0.1)
