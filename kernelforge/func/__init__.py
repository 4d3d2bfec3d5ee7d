"""Functions of functions of tensors: derivatives, batches and loops that compose with each other.

    trees         tensors inside lists, tuples and dicts
    derivatives   grad, value_and_grad, vjp, jvp, jacrev, jacfwd, jacobian, hessian, checkpoint
    batching      vmap
    once          what a function recorded once for all rounds cannot do
    loops         cond, scan
    repeating     while_loop
    stateless     functional_call, stack_module_state
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
    linearize,
    value_and_grad,
    vjp,
)
from kernelforge.func.loops import cond, scan
from kernelforge.func.repeating import while_loop
from kernelforge.func.stateless import functional_call, stack_module_state

__all__ = [
    "checkpoint",
    "cond",
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linearize",
    "scan",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
