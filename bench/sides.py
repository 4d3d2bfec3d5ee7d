"""The two sides of a case beside torch: equal values, sizes at random, calls that wait, gradients of both.

Comes in: torch, shapes, functions of both libraries.  Goes out: pairs of callables to be timed in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kernelforge import Tensor
from kernelforge.nn import functional as F
from kernelforge.realize import synchronize

Call = Callable[[], Any]
Case = tuple[str, Call, Call]  # its name, ours and torch's


def both(torch: Any, *shape: int, gradient: bool = False) -> tuple[Tensor, Any]:
    """The same normal numbers in both libraries."""
    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return Tensor(values, requires_grad=gradient).realize(), torch.from_numpy(values).requires_grad_(gradient)


def computed(*tensors: Tensor) -> None:
    """Compute tensors and wait."""
    Tensor.realize(*tensors)
    synchronize()


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    """One of several."""
    return choices[rng.integers(len(choices))]


def log(rng: np.random.Generator, low: int, high: int) -> int:
    """A size between two, its logarithm as likely everywhere."""
    return round(math.exp(rng.uniform(math.log(low), math.log(high))))


def differentiated(
    torch: Any, shapes: list[tuple[int, ...]], ours: Call, theirs: Call, of: Any = None
) -> tuple[Call, Call]:
    """The function of tensors of these shapes and its gradients, or those with respect to some only."""
    needed = [of is None or i in of for i in range(len(shapes))]
    pairs = [both(torch, *shape, gradient=need) for shape, need in zip(shapes, needed)]
    mine, others = [a for a, _ in pairs], [b for _, b in pairs]
    with torch.no_grad():
        dy, dt = both(torch, *theirs(*others).shape)

    def ours_step() -> None:
        for x in mine:
            x.grad = None
        y = ours(*mine)
        y.backward(dy)
        computed(y, *(x.grad for x, need in zip(mine, needed) if need))

    def their_step() -> None:
        for x in others:
            x.grad = None
        theirs(*others).backward(dt)

    return ours_step, their_step


def applied(torch: Any, name: str, shapes: list[tuple[int, ...]], of: Any = None, **options: Any) -> tuple[Call, Call]:
    """differentiated(), of the function of both libraries that has a name."""
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    return differentiated(torch, shapes, lambda *x: ours(*x, **options), lambda *x: theirs(*x, **options), of)
