"""Differentiation beyond backward(): gradients as a function, functions with a backward of their own, and checks.

Read `function.py` (a function's own backward), `gradients.py` (derivatives as tensors), `check.py` (derivatives held
against differences), `anomaly.py` (where NaN first appeared).
"""

from kernelforge.autograd import functional
from kernelforge.autograd.anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from kernelforge.autograd.check import gradcheck, gradgradcheck
from kernelforge.autograd.function import Function
from kernelforge.autograd.functional import backward, grad
from kernelforge.tensor import enable_grad, no_grad
from kernelforge.tensor.autograd import is_grad_enabled, set_grad_enabled

inference_mode = no_grad

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
