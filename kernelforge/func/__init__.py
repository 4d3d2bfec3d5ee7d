"""Functions of functions of tensors: derivatives, batches and loops that compose with each other.

    trees         tensors inside lists, tuples and dicts
    derivatives   grad, value_and_grad, vjp, jvp, jacrev, jacfwd, jacobian, hessian, checkpoint
    batching      vmap
    once          what a function recorded once for all rounds cannot do
    loops         cond, scan
    repeating     while_loop
"""

from kernelforge.func.batching import vmap
from kernelforge.func.derivatives import (
    checkpoint,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    value_and_grad,
    vjp,
)
from kernelforge.func.loops import cond, scan
from kernelforge.func.repeating import while_loop

__all__ = [
    "checkpoint",
    "cond",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "scan",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
