"""Optimisers against torch's, and what a step promises."""

import numpy as np
import pytest

from kernelforge import GlobalCounters, Tensor, nn, optim
from kernelforge.nn.state import get_state_dict

CASES = {
    "SGD": {"lr": 0.1},
    "SGD momentum": {"lr": 0.1, "momentum": 0.9},
    "SGD nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "Adam": {"lr": 0.1},
    "Adam decay": {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "AdamW": {"lr": 0.1, "weight_decay": 0.2},
}
SHAPES = [(3, 4), (5,), ()]


def start():
    return [np.random.default_rng(i).normal(size=shape).astype(np.float32) for i, shape in enumerate(SHAPES)]


def loss(parameters):
    """Something all parameters and no two places share a gradient in."""
    a, b, c = parameters
    return ((a * a).sum() * 0.5 + (b * b * b).sum() + a.mean() * c * c) * 0.3


@pytest.mark.parametrize("name", CASES)
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    kind, options = name.split()[0], CASES[name]
    ours = [Tensor(x, requires_grad=True) for x in start()]
    theirs = [torch.tensor(x, requires_grad=True) for x in start()]
    optimizer, reference = getattr(optim, kind)(ours, **options), getattr(torch.optim, kind)(theirs, **options)
    for _ in range(5):
        for made, parameters in ((optimizer, ours), (reference, theirs)):
            made.zero_grad()
            loss(parameters).backward()
            made.step()
        for x, y in zip(ours, theirs):
            np.testing.assert_allclose(x.numpy(), y.detach().numpy(), rtol=1e-4, atol=1e-5)


def trained(make, steps=4):
    """A small network's optimiser, and its losses."""
    Tensor.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm(8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 3))
    optimizer = make(model.parameters())
    x, y = Tensor.randn(16, 4), Tensor.randint(16, high=3)
    x.realize(y, *model.parameters())  # random numbers have a plan of their own before the first step
    losses, plans = [], []
    with Tensor.train():
        for _ in range(steps):
            before = GlobalCounters.plans
            optimizer.zero_grad()
            value = model(x).cross_entropy(y)
            value.backward()
            optimizer.step()
            losses.append(value.item())
            plans.append(GlobalCounters.plans - before)
    return optimizer, losses, plans, model


@pytest.mark.parametrize("make", [optim.SGD, lambda p: optim.Adam(p, 0.05), lambda p: optim.SGD(p, 0.1, momentum=0.9)])
def test_every_step_has_the_same_plan_and_computes_all_of_it(make):
    _, losses, plans, model = trained(make)
    assert losses[-1] < losses[0]
    assert plans == [1, 0, 0, 0]
    assert "lazy" not in repr(model[1].running_mean) + repr(model[0].weight)


def test_history_is_freed():
    optimizer, _, _, model = trained(optim.Adam, steps=2)
    for tensor in (*model.state_dict().values(), *get_state_dict(optimizer).values()):
        assert tensor._node.op == "buffer" or tensor._node.src[0].op == "buffer"


def test_learning_rate_is_a_tensor():
    x = Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.5)
    assert optimizer.lr.item() == 0.5
    optimizer.lr = 0.25
    x.sum().backward()
    optimizer.step()
    assert x.item() == 0.75
    optimizer.lr.assign(Tensor(0.5))
    optimizer.step()
    assert x.item() == 0.25


def test_parameters_get_and_keep_gradients():
    unsaid, frozen, twice = Tensor([1.0]), Tensor([1.0], requires_grad=False), Tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([unsaid, frozen, twice, twice], lr=1.0)
    assert unsaid.requires_grad and optimizer.params == [unsaid, twice] and optimizer.buffers == [frozen]
    unsaid.sum().backward()
    optimizer.step()
    assert (unsaid.item(), frozen.item(), twice.item()) == (0, 1, 2)
    assert unsaid.requires_grad and unsaid.is_leaf
    optimizer.zero_grad()
    assert unsaid.grad is None


def test_narrow_parameters_have_wide_averages():
    x = Tensor([1.0], dtype="float16", requires_grad=True)
    optimizer = optim.Adam([x])
    (x * 2).sum().backward()
    optimizer.step()
    assert str(x.dtype) == "float16" and str(optimizer.state[x]["exp_avg"].dtype) == "float32"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {"lr": -1}),
        ("SGD", {"lr": 1, "momentum": -1}),
        ("SGD", {"lr": 1, "weight_decay": -1}),
        ("Adam", {"lr": float("nan")}),
        ("Adam", {"eps": -1}),
        ("Adam", {"betas": (0.9, 1)}),
        ("AdamW", {"betas": (-0.1, 0.9)}),
        ("AdamW", {"weight_decay": -1}),
    ],
)
def test_senseless_options_are_refused_as_torch_does(kind, options):
    with pytest.raises(ValueError, match=kind):
        getattr(optim, kind)([Tensor([1.0])], **options)
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="Invalid"):
        getattr(torch.optim, kind)([torch.ones(1)], **options)


def test_a_learning_rate_stays_at_least_zero():
    optimizer = optim.SGD([Tensor([1.0])], lr=0.5)
    with pytest.raises(ValueError, match="lr=-1"):
        optimizer.lr = -1


def test_default_weight_decay():
    made = [make([Tensor([1.0])]) for make in (optim.SGD, optim.Adam, optim.AdamW)]
    assert [optimizer.param_groups[0]["weight_decay"] for optimizer in made] == [0, 0, 0.01]


def test_errors():
    with pytest.raises(ValueError, match="at least one parameter"):
        optim.SGD([Tensor([1.0], requires_grad=False)])
    with pytest.raises(ValueError, match="momentum"):
        optim.SGD([Tensor([1.0])], nesterov=True)
    assert nn.optim is optim


def test_muon_says_what_it_takes():
    weight = Tensor.zeros(2, 2, requires_grad=True)
    with pytest.raises(ValueError, match="three of them"):
        optim.Muon([weight], ns_coefficients=(1.0, 2.0))
    with pytest.raises(ValueError, match="fewer than 100"):
        optim.Muon([weight], ns_steps=100)
