"""Every layer and every loss against torch's of the same name: parameters, text, values, gradients, running state."""

from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, nn
from tests.nn.cases import LAYERS, LOSSES, Case, values

torch = pytest.importorskip("torch")


def assert_same(found: Any, expected: Any, tolerance: float = 2e-4) -> None:
    """Tensors, or tuples of them, of one shape with the same values."""
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for x, y in zip(found, expected):
            assert_same(x, y, tolerance)
    elif expected is None:
        assert found is None
    else:
        array = expected.detach().numpy()
        assert found.shape == array.shape
        np.testing.assert_allclose(found.numpy(), array, rtol=tolerance, atol=tolerance)


def both(name: str, case: Case) -> tuple[Any, Any]:
    """The layer of both libraries with the same parameters."""
    arguments, options, _ = case
    ours, theirs = (
        getattr(library, name.split()[0])(
            *arguments, **{k: as_tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        )
        for library, as_tensor in ((nn, Tensor), (torch.nn, torch.tensor))
    )
    state = theirs.state_dict()
    for i, value in enumerate(state.values()):
        if value.is_floating_point():
            value.copy_(torch.tensor(np.random.default_rng(i).uniform(0.3, 1.0, tuple(value.shape))) ** (1 + i % 2))
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: tuple(v.shape) for k, v in state.items()}
    assert list(ours.state_dict()) == list(state)
    assert not any(ours.load_state_dict({key: value.numpy() for key, value in state.items()}))
    return ours, theirs


def inputs_of(case: Case) -> list[tuple[Any, Any]]:
    """Each input as a tensor of both libraries; floats require gradients."""
    arrays = [values(*x, seed=i) if isinstance(x, tuple) else x for i, x in enumerate(case[2])]
    wanted = [isinstance(x, tuple) or (i == 0 and y.dtype.kind == "f") for i, (x, y) in enumerate(zip(case[2], arrays))]
    return [
        (Tensor(x, requires_grad=w), torch.tensor(x, requires_grad=w)) for x, w in zip(arrays, wanted)
    ]


def parts(result: Any) -> list[Any]:
    """The tensors of a nest of tuples."""
    if isinstance(result, tuple):
        return [x for item in result for x in parts(item)]
    return [] if result is None else [result]


def backward(result: Any, as_tensor: Any) -> None:
    """Gradients of all results, each element with a weight of its own."""
    total = 0
    for i, x in enumerate(parts(result)):
        total = total + (x * as_tensor(values(*x.shape, seed=i))).sum()
    total.backward()


def compare(name: str, case: Case, ours: Any, theirs: Any) -> None:
    pairs = inputs_of(case)
    found, expected = ours(*[x for x, _ in pairs]), theirs(*[y for _, y in pairs])
    assert_same(found, expected)
    backward(found, Tensor)
    backward(expected, torch.tensor)
    for x, y in pairs:
        if y.grad is not None:
            assert_same(x.grad, y.grad, 1e-3)
    named = dict(theirs.named_parameters())
    assert list(dict(ours.named_parameters())) == list(named)
    for key, p in ours.named_parameters():
        if named[key].grad is not None:
            assert_same(p.grad, named[key].grad, 2e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    case = LAYERS[name]
    ours, theirs = both(name, case)
    training = not name.endswith("eval")
    ours.train(training)
    theirs.train(training)
    compare(name, case, ours, theirs)
    for key, value in theirs.state_dict().items():
        assert_same(ours.state_dict()[key], value)
    pairs = inputs_of(case)
    assert_same(ours.eval()(*[x for x, _ in pairs]), theirs.eval()(*[y for _, y in pairs]))
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str, reduction: str) -> None:
    arguments, options, inputs = LOSSES[name]
    case = (arguments, {**options, "reduction": reduction}, inputs)
    ours, theirs = both_losses(name, case)
    pairs = inputs_of(case)
    found, expected = ours(*[x for x, _ in pairs]), theirs(*[y for _, y in pairs])
    assert_same(found, expected, 1e-5)
    backward(found, Tensor)
    backward(expected, torch.tensor)
    assert_same(pairs[0][0].grad, pairs[0][1].grad, 1e-5)


def both_losses(name: str, case: Case) -> tuple[Any, Any]:
    """The loss of both libraries with the same options."""
    arguments, options, _ = case
    return tuple(
        getattr(library, name.split()[0])(
            *arguments, **{k: as_tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        )
        for library, as_tensor in ((nn, Tensor), (torch.nn, torch.tensor))
    )  # type: ignore[return-value]
