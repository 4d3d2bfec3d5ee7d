"""Optimisers step on the real and the imaginary parts of complex parameters as torch's do."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge import DTypeError, Tensor, optim
from tests.optim.test_trajectories import OPTIONS

torch = pytest.importorskip("torch")
KINDS = [kind for kind in OPTIONS if kind != "Adafactor"]


def drawn(seed: int, number: int) -> list[NDArray]:
    """Complex values of two types."""
    rng = np.random.default_rng((seed, number))
    shapes = ((2, 3), np.complex64), ((4,), np.complex128)
    return [(rng.normal(size=shape) + 2j * rng.normal(size=shape)).astype(kind) for shape, kind in shapes]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_and_states_are_torchs(kind: str, last: bool) -> None:
    options = {name: values[-1 if last else 0] for name, values in OPTIONS[kind].items()}
    ours = [Tensor(x, requires_grad=True) for x in drawn(0, 0)]
    theirs = [torch.tensor(x, requires_grad=True) for x in drawn(0, 0)]
    optimizer, reference = getattr(optim, kind)(ours, **options), getattr(torch.optim, kind)(theirs, **options)
    for number in range(1, 9):
        if number == 5:  # from the other's state
            optimizer = getattr(optim, kind)(ours, **options)
            optimizer.load_state_dict(reference.state_dict())
        for x, y, gradient in zip(ours, theirs, drawn(0, number)):
            x.grad, y.grad = Tensor(gradient), torch.tensor(gradient)
        optimizer.step()
        reference.step()
    for x, y in zip(ours, theirs):
        np.testing.assert_allclose(x.numpy(), y.detach().numpy(), rtol=1e-5, atol=1e-5)
    states = optimizer.state_dict()["state"]
    for number, state in reference.state_dict()["state"].items():
        for name, value in state.items():
            if value is not None:
                np.testing.assert_allclose(states[number][name].numpy(), value.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs(search: str | None) -> None:
    start = drawn(1, 0)[1]
    ours, theirs = Tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    goal = drawn(1, 1)[1]
    for x, aim, library in ((ours, Tensor(goal), optim), (theirs, torch.tensor(goal), torch.optim)):
        optimizer = library.LBFGS([x], lr=0.3, max_iter=5, line_search_fn=search)

        def closure(x: Any = x, aim: Any = aim, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            away = x * x - aim
            loss = (away * away.conj()).real.sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", [optim.Adafactor, optim.Muon])
def test_some_have_no_meaning_for_parts(kind: Any) -> None:
    with pytest.raises(DTypeError, match="complex"):
        kind([Tensor(drawn(0, 0)[0], requires_grad=True)])
