"""The default schedule of a kernel: one choice per language.

Comes in: a kernel and a target.  Goes out: a `Schedule` that is legal for both.  What suits a CPU and what suits a GPU
differ too much for one recipe; each has files of its own, and the plain schedule stands behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from codegen.choose import cpu as choose_cpu
from codegen.choose import items as choose_items
from codegen.choose.picks import Pick, first
from codegen.ir import Kernel
from codegen.nest import build
from codegen.nodes import Nest
from codegen.rewrites.apart import bound_apart
from codegen.rewrites.unlike import unlike
from codegen.schedule import Schedule, ScheduleError
from codegen.target import Target


def placed(kernel: Kernel, target: Target) -> Nest:
    """The kernel placed by the first of the target's recipes that is legal for it.

    When there is none, the same is tried with its bound axes apart from the stored ones.
    """
    refused = []
    for _, form in forms(kernel, target):
        for schedule in recipes(form, target):
            try:
                return build(form, schedule, target)
            except ScheduleError as error:
                refused.append(str(error))
    raise ScheduleError(f"no recipe for {kernel.name} is legal on {target.name}: {'; '.join(refused)}")


def is_preferred(kernel: Kernel, target: Target) -> bool:
    """True when the first recipe for a kernel is legal for it."""
    form = next(form for _, form in forms(kernel, target))
    try:
        build(form, next(recipes(form, target)), target)
    except ScheduleError:
        return False
    return True


def recipes(kernel: Kernel, target: Target, pick: Pick = first) -> Iterator[Schedule]:
    """Schedules for a kernel, the preferred one first; the last is what is left where no other is legal."""
    if target.language == "triton":
        found: Iterator[Schedule] = import_module("codegen.choose.triton").recipes(kernel, target, pick)
        return found  # loaded when first needed: most programs never ask for it
    return (choose_cpu if target.items == 1 else choose_items).recipes(kernel, target, pick)


def forms(kernel: Kernel, target: Target) -> Iterator[tuple[str, Kernel]]:
    """The kernels of the same meaning that schedules are sought for, the preferred one first, each with a name.

    Products of bytes alike made "unlike" where the target multiplies those; the kernel itself, ""; and with its bound
    axes "apart" from the stored ones.  Only what differs from the kernel has a name.
    """
    mixed = unlike(kernel, target)
    if mixed is not kernel:
        yield "unlike", mixed
    yield "", kernel
    apart = bound_apart(kernel)
    if apart is not kernel:
        yield "apart", apart


def choose(kernel: Kernel, target: Target) -> Schedule:
    """The default schedule of a kernel for a target."""
    return placed(kernel, target).schedule
