"""Fifty steps of every optimiser are torch's to 1e-5, under all options; so are its saved states."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernelforge import Device, DeviceError, GlobalCounters, Tensor, optim

torch = pytest.importorskip("torch")

SHAPES = [(3, 4), (5,), (2, 3)]
OPTIONS: dict[str, dict[str, list[Any]]] = {
    "SGD": {"lr": [0.05], "momentum": [0, 0.9], "weight_decay": [0, 0.1], "dampening": [0, 0.3],
            "maximize": [False, True]},
    "Adam": {"lr": [0.05], "betas": [(0.9, 0.999), (0.8, 0.95)], "weight_decay": [0, 0.1], "amsgrad": [False, True],
             "maximize": [False, True]},
    "AdamW": {"lr": [0.05], "weight_decay": [0.01, 0.3], "amsgrad": [False, True]},
    "NAdam": {"lr": [0.05], "weight_decay": [0, 0.1], "decoupled_weight_decay": [False, True],
              "momentum_decay": [4e-3, 0.1]},
    "RAdam": {"lr": [0.05], "weight_decay": [0, 0.1], "decoupled_weight_decay": [False, True],
              "betas": [(0.9, 0.999), (0.9, 0.9)]},
    "Adamax": {"lr": [0.05], "weight_decay": [0, 0.1]},
    "Adagrad": {"lr": [0.1], "lr_decay": [0, 0.1], "weight_decay": [0, 0.1], "initial_accumulator_value": [0, 0.5]},
    "Adadelta": {"lr": [1.0, 0.3], "rho": [0.9, 0.5], "weight_decay": [0, 0.1]},
    "RMSprop": {"lr": [0.02], "alpha": [0.99, 0.8], "momentum": [0, 0.9], "centered": [False, True],
                "weight_decay": [0, 0.1]},
    "Rprop": {"lr": [0.05], "etas": [(0.5, 1.2), (0.3, 1.5)], "step_sizes": [(1e-6, 50), (1e-3, 0.2)]},
    "ASGD": {"lr": [0.05], "lambd": [1e-4, 0.1], "t0": [1e6, 5.0], "weight_decay": [0, 0.1]},
    "Adafactor": {"lr": [0.05], "weight_decay": [0, 0.1], "d": [1.0, 2.0]},
}  # fmt: skip


def gradients(seed: int, step: int) -> list[NDArray]:
    """Gradients of one step, of sizes that differ."""
    rng = np.random.default_rng((seed, step))
    return [(rng.normal(size=shape) * rng.uniform(0.2, 2)).astype(np.float32) for shape in SHAPES]


def start(seed: int) -> list[NDArray]:
    return [np.random.default_rng((seed, i)).normal(size=shape).astype(np.float32) for i, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> Iterator[None]:
    """Fifty steps are many for the interpreter: compiled kernels, where there is a device for them."""
    before = Device.DEFAULT
    try:
        Device["CPU"]
        Device.DEFAULT = "CPU"
    except DeviceError:
        pass
    yield
    Device.DEFAULT = before


class Pair:
    """An optimiser of ours and torch's on equal parameters."""

    def __init__(self, kind: str, options: dict[str, Any], seed: int, shapes: int = 3) -> None:
        self.seed = seed
        self.ours = [Tensor(x, requires_grad=True) for x in start(seed)[:shapes]]
        self.theirs = [torch.tensor(x, requires_grad=True) for x in start(seed)[:shapes]]
        self.optimizer = getattr(optim, kind)(self.ours, **options)
        self.reference = getattr(torch.optim, kind)(self.theirs, **options)

    def step(self, number: int, without: int = -1) -> None:
        for i, g in enumerate(gradients(self.seed, number)[: len(self.ours)]):
            self.ours[i].grad = None if i == without else Tensor(g).realize()
            self.theirs[i].grad = None if i == without else torch.tensor(g)
        self.optimizer.step()
        self.reference.step()

    def check(self, tolerance: float = 1e-5) -> None:
        for x, y in zip(self.ours, self.theirs):
            np.testing.assert_allclose(x.numpy(), y.detach().numpy(), rtol=tolerance, atol=tolerance)


@settings(deadline=None, max_examples=4)
@pytest.mark.parametrize("kind", OPTIONS)
@given(data=st.data())
def test_fifty_steps(kind: str, data: st.DataObject) -> None:
    options = {name: data.draw(st.sampled_from(values), label=name) for name, values in OPTIONS[kind].items()}
    pair = Pair(kind, options, data.draw(st.integers(0, 1000)))
    for number in range(50):
        pair.step(number)
        if number == 5:
            before = GlobalCounters.plans
    assert GlobalCounters.plans == before
    pair.check()


def test_fifty_steps_of_muon() -> None:
    options = {"lr": 0.02, "weight_decay": 0.1}
    ours, theirs = Tensor(start(1)[0], requires_grad=True), torch.tensor(start(1)[0], requires_grad=True)
    optimizer, reference = optim.Muon([ours], **options), torch.optim.Muon([theirs], **options)
    for number in range(50):
        ours.grad, theirs.grad = Tensor(gradients(1, number)[0]), torch.tensor(gradients(1, number)[0])
        optimizer.step()
        reference.step()
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=0.02, atol=0.02)  # bfloat16 inside


@pytest.mark.parametrize("kind", ["Adam", "NAdam", "SGD"])
def test_parameters_without_gradients_count_their_own_steps(kind: str) -> None:
    pair = Pair(kind, {"lr": 0.05} | ({"momentum": 0.9} if kind == "SGD" else {}), 3)
    for number in range(12):
        pair.step(number, number % 4 - 1)
    pair.check()


def test_groups_and_their_options_change_at_any_time() -> None:
    pair = Pair("Adam", {"lr": 0.05}, 4)
    ours, theirs = pair.ours, pair.theirs
    groups = [[{"params": xs[:1], "weight_decay": 0.1}, {"params": xs[1:], "lr": 0.01}] for xs in (ours, theirs)]
    pair.optimizer, pair.reference = optim.Adam(groups[0], lr=0.05), torch.optim.Adam(groups[1], lr=0.05)
    for number in range(12):
        for each in (pair.optimizer, pair.reference):
            each.param_groups[1]["lr"] = 0.01 * (number + 1)
            each.param_groups[0]["betas"] = (0.9 - 0.01 * number, 0.99)
        before = GlobalCounters.plans
        pair.step(number)
        assert number < 4 or GlobalCounters.plans == before
    pair.check()


@pytest.mark.parametrize("kind", OPTIONS)
def test_states_go_to_torch_and_come_back(kind: str) -> None:
    options = {name: values[-1] for name, values in OPTIONS[kind].items() if name != "maximize"}
    pair = Pair(kind, options, 5)
    for number in range(5):
        pair.step(number)
    ours, theirs = pair.optimizer.state_dict(), pair.reference.state_dict()
    assert set(ours["state"]) == set(theirs["state"])
    for number, state in theirs["state"].items():
        for name, value in state.items():
            if value is not None:
                np.testing.assert_allclose(ours["state"][number][name].numpy(), value.numpy(), rtol=1e-4, atol=1e-5)
    for group, reference in zip(ours["param_groups"], theirs["param_groups"]):
        assert {name: group[name] for name in reference} == dict(reference)
    other = Pair(kind, options, 5)
    for mine, model in zip(other.ours, pair.theirs):
        mine.assign(Tensor(model.detach().numpy()))
    other.optimizer.load_state_dict(theirs)
    pair.ours, pair.optimizer = other.ours, other.optimizer
    for number in range(5, 10):
        pair.step(number)
    pair.check()


@pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}, {"history_size": 2, "max_iter": 7}])
def test_lbfgs(options: dict[str, Any]) -> None:
    def rosenbrock(x: Any) -> Any:
        a, b = x[1:] - x[:-1] * x[:-1], 1 - x[:-1]
        return (100 * a * a + b * b).sum() if options.get("line_search_fn") else (a * a + b * b).sum()

    ours = Tensor(np.array([-1.0, 0.5, 1.5], np.float64), requires_grad=True)
    theirs = torch.tensor([-1.0, 0.5, 1.5], dtype=torch.float64, requires_grad=True)
    for x, library in ((ours, optim), (theirs, torch.optim)):
        optimizer = library.LBFGS([x], lr=0.5, **options)

        def closure(x=x, optimizer=optimizer):
            optimizer.zero_grad()
            loss = rosenbrock(x)
            loss.backward()
            return loss

        for _ in range(4):
            optimizer.step(closure)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", [optim.LAMB, optim.LARS, optim.Lion])
def test_those_torch_has_not_find_a_minimum(make: Any) -> None:
    x = Tensor(np.array([2.0, -3.0], np.float32), requires_grad=True)
    options = {"LARS": {"lr": 0.9, "tcoef": 0.02}, "LAMB": {"lr": 0.02}, "Lion": {"lr": 0.06}}
    optimizer = make([x], **options[make.__name__])
    first = last = None
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((x - 1) ** 2).sum()
        loss.backward()
        optimizer.step()
        first, last = first or loss.item(), loss.item()
    assert last < 0.3 * first
