"""Optimisers and learning rate schedules.

Read `optimizer.py` (what a step is), then `sgd.py` and `adam.py`; `schedulers.py` stands alone.
"""

from kernelforge.optim.adam import Adam, AdamW
from kernelforge.optim.optimizer import Optimizer
from kernelforge.optim.schedulers import CosineAnnealingLR, LambdaLR, LinearLR, MultiStepLR, StepLR
from kernelforge.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "Optimizer",
    "StepLR",
]
