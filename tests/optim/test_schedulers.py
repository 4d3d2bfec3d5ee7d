"""Learning rate schedules are torch's, step by step, and go on from saved states."""

from typing import Any

import pytest

from kernelforge import Tensor, optim

torch = pytest.importorskip("torch")

CASES: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2, "gamma": 0.5},
    "MultiStepLR": {"milestones": [1, 4, 4], "gamma": 0.5},
    "ConstantLR": {"factor": 0.5, "total_iters": 3},
    "CosineAnnealingLR": {"T_max": 5, "eta_min": 0.01},
    "CosineAnnealingWarmRestarts": {"T_0": 3, "T_mult": 2, "eta_min": 0.01},
    "LinearLR": {"start_factor": 0.25, "total_iters": 4},
    "LambdaLR": {"lr_lambda": lambda epoch: 0.9**epoch},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.9},
    "ExponentialLR": {"gamma": 0.8},
    "PolynomialLR": {"total_iters": 6, "power": 2.0},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "step_size_down": 2},
    "CyclicLR triangular2": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2, "mode": "triangular2"},
    "CyclicLR exponential": {"base_lr": [0.01, 0.02], "max_lr": 0.1, "step_size_up": 2, "mode": "exp_range",
                             "gamma": 0.9},
    "OneCycleLR": {"max_lr": 0.5, "total_steps": 16},
    "OneCycleLR three phases": {"max_lr": [0.5, 0.1], "epochs": 4, "steps_per_epoch": 4, "three_phase": True,
                                "anneal_strategy": "linear"},
}  # fmt: skip


def optimizers(kind: str = "SGD", **options: Any) -> tuple[Any, Any]:
    """An optimiser of both libraries with two groups."""
    made = []
    for library, tensor in ((optim, Tensor([1.0, 2.0], requires_grad=True)), (torch.optim, torch.ones(2))):
        other = Tensor([1.0]) if library is optim else torch.ones(1, requires_grad=True)
        tensor.requires_grad = True
        groups = [{"params": [tensor]}, {"params": [other], "lr": 0.05}]
        made.append(getattr(library, kind)(groups, lr=0.2, **options))
    return made[0], made[1]


def compare(ours: Any, theirs: Any, schedule: Any, reference: Any, steps: int = 14) -> None:
    for _ in range(steps):
        assert ours.lr.item() == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-5)
        assert schedule.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-9)
        for group, expected in zip(ours.param_groups, theirs.param_groups):
            for name in {"momentum", "betas"} & expected.keys():
                assert group[name] == pytest.approx(expected[name], rel=1e-9)
        theirs.step()
        reference.step()
        schedule.step()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_against_torch(name: str, kind: str) -> None:
    ours, theirs = optimizers(kind, **({"momentum": 0.7} if kind == "SGD" else {}))
    kinds = [getattr(library.lr_scheduler, name.split()[0]) for library in (optim, torch.optim)]
    schedule, reference = kinds[0](ours, **CASES[name]), kinds[1](theirs, **CASES[name])
    compare(ours, theirs, schedule, reference, 7)
    state = schedule.state_dict()
    again = kinds[0](ours, **CASES[name])
    for group, expected in zip(ours.param_groups, theirs.param_groups):
        group.update({k: v for k, v in expected.items() if k != "params"})
    again.load_state_dict(state)
    compare(ours, theirs, again, reference, 7)


COMBINED = [
    lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=3), s.CosineAnnealingLR(o, 5)], [3]),
    lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)]),
    lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 0.5, 9), s.ExponentialLR(o, 0.9), s.StepLR(o, 2)], [2, 5]),
]


@pytest.mark.parametrize("make", COMBINED)
def test_schedules_of_schedules(make: Any) -> None:
    ours, theirs = optimizers()
    compare(ours, theirs, make(optim.lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs))


@pytest.mark.parametrize("options", [{}, {"mode": "max", "threshold_mode": "abs"}, {"cooldown": 2, "min_lr": 0.03}])
def test_plateaus(options: dict[str, Any]) -> None:
    ours, theirs = optimizers()
    options = {"patience": 1, "factor": 0.5, **options}
    schedule = optim.lr_scheduler.ReduceLROnPlateau(ours, **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for value in (1.0, 0.9, 0.9, 0.95, 0.8, 0.8, 0.8, 0.8, 0.7, 0.9, 0.9, 0.9, 1.2):
        schedule.step(value)
        reference.step(value)
        assert schedule.get_last_lr() == pytest.approx(reference.get_last_lr())


def test_errors() -> None:
    ours, _ = optimizers()
    with pytest.raises(ValueError, match="milestone"):
        optim.lr_scheduler.SequentialLR(ours, [optim.StepLR(ours, 1)], [1, 2])
    with pytest.raises(ValueError, match="momentum"):
        optim.OneCycleLR(optim.Adagrad([Tensor([1.0])]), 0.1, 3)
    schedule = optim.OneCycleLR(ours, 0.1, 2)
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        for _ in range(3):
            schedule.step()
