"""Learning rate schedules against torch's."""

import pytest

from kernelforge import Tensor, optim

CASES = {
    "StepLR": {"step_size": 2, "gamma": 0.5},
    "MultiStepLR": {"milestones": [1, 4], "gamma": 0.5},
    "CosineAnnealingLR": {"T_max": 5, "eta_min": 0.01},
    "LinearLR": {"start_factor": 0.25, "total_iters": 4},
    "LambdaLR": {"lr_lambda": lambda epoch: 0.9**epoch},
}


@pytest.mark.parametrize("name", CASES)
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    ours = optim.SGD([Tensor([1.0])], lr=0.2)
    theirs = torch.optim.SGD([torch.tensor([1.0], requires_grad=True)], lr=0.2)
    schedule = getattr(optim, name)(ours, **CASES[name])
    reference = getattr(torch.optim.lr_scheduler, name)(theirs, **CASES[name])
    for _ in range(6):
        assert ours.lr.item() == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-5)
        assert schedule.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-5)
        theirs.step()
        reference.step()
        schedule.step()
