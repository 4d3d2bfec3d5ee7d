"""Derivatives held against differences.

Comes in: a function of tensors, and inputs in float64.  Goes out: True, or an error that says which derivative
is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge.autograd.functional import Tensors, grad, several
from kernelforge.errors import StateError
from kernelforge.tensor import Tensor

_SEED: Final = 7


class GradcheckError(RuntimeError):
    """A derivative that is not what differences say."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensors,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """True when the derivatives of a function are what central differences say, for each input that requires one.

    raises GradcheckError, RuntimeError for inputs none of which requires a gradient, or that are not float64
    """
    xs = several(inputs)
    chosen = [i for i, x in enumerate(xs) if isinstance(x, Tensor) and x.requires_grad]
    if not chosen or any(xs[i].dtype is not dtypes.float64 for i in chosen):
        raise StateError("gradcheck() takes inputs of float64, one or more of which require gradients")
    ys = [y for y in several(func(*xs)) if y.is_floating_point()]
    for number, y in enumerate(ys):
        weights = np.random.default_rng(_SEED).normal(size=y.shape)
        found = grad(y, [xs[i] for i in chosen], Tensor(weights), materialize_grads=True)
        for i, dx in zip(chosen, found):
            expected = _differences(func, xs, i, number, weights, eps)
            if not np.allclose(dx.numpy(), expected, rtol, atol):  # type: ignore[union-attr]
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"the gradient of result {number} with respect to argument {i} of {xs[i].shape} is\n{dx.numpy()}\n"  # type: ignore[union-attr]
                    f"while differences say\n{expected}"
                )
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Tensors, **options: Any) -> bool:
    """gradcheck() of the function's gradients."""
    xs = several(inputs)
    chosen = [i for i, x in enumerate(xs) if isinstance(x, Tensor) and x.requires_grad]

    def gradients(*given: Any) -> Any:
        ys = [y for y in several(func(*given)) if y.is_floating_point()]
        weights = [Tensor(np.random.default_rng(_SEED + 1).normal(size=y.shape)) for y in ys]
        return grad(ys, [given[i] for i in chosen], weights, create_graph=True, materialize_grads=True)

    return gradcheck(gradients, xs, **options)


def _differences(
    func: Callable[..., Any], xs: tuple[Any, ...], place: int, number: int, weights: NDArray, eps: float
) -> NDArray:
    """The derivative of the weighted sum of one result by central differences in each element of one argument."""
    start = xs[place].numpy()
    found = np.zeros(start.size)
    for i in range(start.size):
        ends = []
        for step in (eps, -eps):
            moved = start.copy()
            moved.flat[i] += step
            given = [Tensor(moved, requires_grad=True) if j == place else x for j, x in enumerate(xs)]
            y = [y for y in several(func(*given)) if y.is_floating_point()][number]
            ends.append(float((y.numpy() * weights).sum()))
        found[i] = (ends[0] - ends[1]) / (2 * eps)
    return found.reshape(start.shape)
