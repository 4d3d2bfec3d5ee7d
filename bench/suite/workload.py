"""What is measured: work over named inputs, written once for every library.

Comes in: nothing. Goes out: the records `Workload` and `Step` that the lists in workloads/ are made of. They know no
library: `f` below is the table of functions that libraries/ define alike, and values are whatever that library
computes with; NumPy's operators and `reshape` work on all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator
Work = Callable[..., Any]  # (f, *values) -> value or tuple of values


@dataclass(frozen=True)
class Workload:
    """A function of arrays, perhaps with its gradient.

    name, group  of the row, and of the rows it stands with
    inputs       the arguments, drawn from a generator
    work         work(f, *values) -> value or values
    wrt          positions of the arguments to differentiate by; the last input is then the cotangent of the result,
                 which `work` does not see, and the outcome is (result, gradients..)
    flops        operations one call needs at least; only what can be the limit is counted
    read, write  bytes one call must read and write at least, if no cache helped
    tolerance    how far results may be apart, as a part of the largest; None where they are random: then only mean
                 and deviation must agree
    stored       the type inputs of float32 are converted to before anything is timed, when it is another
    """

    name: str
    group: str
    inputs: Callable[[Random], Sequence[NDArray]]
    work: Work
    wrt: tuple[int, ...] = ()
    flops: float = 0
    read: float = 0
    write: float = 0
    tolerance: float | None = 1e-3
    stored: str = ""


@dataclass(frozen=True)
class Step:
    """An optimiser's step on parameters: of a model on a batch, or with gradients that are given.

    parameters   name -> array, drawn from a generator
    batch        the loss's arguments; for `loss=None`, one gradient for each parameter
    loss         loss(f, parameters, *batch) -> value without dimensions
    The outcome is the loss, or without one the first parameter.
    """

    name: str
    group: str
    parameters: Callable[[Random], Mapping[str, NDArray]]
    batch: Callable[[Random], Sequence[NDArray]]
    loss: Work | None
    flops: float = 0
    read: float = 0
    write: float = 0
    tolerance: float | None = 1e-3
    rate: float = field(default=1e-3, kw_only=True)


def floats(*shapes: tuple[int, ...]) -> Callable[[Random], list[NDArray]]:
    """Inputs: normally distributed float32 arrays of these shapes."""
    return lambda random: [random.standard_normal(shape, np.float32) for shape in shapes]
