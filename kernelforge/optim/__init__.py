"""Optimisers and learning rate schedules.

Read `optimizer.py` (what a step is), then `sgd.py` and `adam.py`; `schedulers.py` stands alone.
"""

from kernelforge.optim import lr_scheduler
from kernelforge.optim.adam import LAMB, Adam, Adamax, AdamW, NAdam, RAdam, SparseAdam
from kernelforge.optim.adaptive import ASGD, Adadelta, Adafactor, Adagrad, RMSprop, Rprop
from kernelforge.optim.lbfgs import LBFGS
from kernelforge.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from kernelforge.optim.optimizer import Optimizer
from kernelforge.optim.sgd import LARS, SGD, Lion, Muon

__all__ = [
    "ASGD",
    "LAMB",
    "LARS",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "Lion",
    "MultiStepLR",
    "MultiplicativeLR",
    "Muon",
    "NAdam",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RAdam",
    "RMSprop",
    "ReduceLROnPlateau",
    "Rprop",
    "SequentialLR",
    "SparseAdam",
    "StepLR",
    "lr_scheduler",
]
