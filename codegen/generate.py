"""The whole pipeline from a kernel to its source, in one function.

Comes in: a kernel, a target and perhaps a schedule.  Goes out: a `Program`.  No kernel that breaks a law of the
language reaches a printer.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from math import prod

from codegen.access import flops
from codegen.assumed import noting
from codegen.choose.default import placed
from codegen.ir import Kernel
from codegen.nest import build
from codegen.nodes import Nest
from codegen.open_sizes import STATIC, Sizes
from codegen.opencl import printer as opencl
from codegen.program import Program
from codegen.schedule import Schedule
from codegen.show import show
from codegen.target import Target
from codegen.verify import verify


def generate(
    kernel: Kernel, target: Target, schedule: Schedule | None = None, sizes: Sizes = STATIC
) -> Program:
    """The program of a kernel for a target, under the given schedule or the default one.

    sizes  which sizes of axes are open, that is, not to be relied upon

    raises VerifyError when the kernel breaks a law of the language, ScheduleError when the given schedule is not legal
    for it in the target's language
    """
    with noting():  # what a check or the choice of a schedule depends on is nothing the program relies on
        verify(kernel)
        if target.language == "interpreted":
            text, params = show(kernel), kernel.params
            return _counted(Program("interpreted", text, kernel.name, (1,), params, kernel.written, kernel), kernel)
        nest = placed(kernel, target) if schedule is None else build(kernel, schedule, target)
    return render(nest, sizes)


def render(nest: Nest, sizes: Sizes = STATIC) -> Program:
    """The program of a placed kernel, in its target's language."""
    with noting() as noted:
        if nest.target.language == "triton":  # loaded when first needed: most programs never print it
            program = import_module("codegen.triton.printer").render(nest, sizes)
        else:
            program = opencl.render_nest(nest, sizes)
    return _counted(replace(program, assumed=frozenset(noted)) if sizes.open else program, nest.kernel)


def _counted(program: Program, kernel: Kernel) -> Program:
    return replace(program, flops=flops(kernel), nbytes=least_bytes(kernel))


def least_bytes(kernel: Kernel) -> int:
    """The bytes one launch must at least move: what it can touch of each array, once."""
    touched: dict[str, int] = {}
    places = [(e.param, e.axes) for e in kernel.loads]
    places += [(store.param, frozenset(store.axes)) for store in kernel.stores]
    for param, axes in places:
        points = prod(a.size for a in axes)
        touched[param.name] = max(touched.get(param.name, 0), min(param.size, points) * param.dtype.itemsize)
    return sum(touched.values())
