"""L-BFGS: steps along an estimate of Newton's direction, with a line search if wanted.

Comes in: parameters and a function that computes the loss and its gradients, called as often as needed.  Goes out:
`LBFGS`.  The vectors of the history are the host's: they are few, and every iteration depends on their products.

source  Nocedal and Wright, "Numerical Optimization", 2006, algorithms 7.4, 3.5 and 3.6
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelforge.errors import ArgumentError, KindError, StateError
from kernelforge.optim.optimizer import Optimizer, Params
from kernelforge.optim.wolfe import Point, wolfe_point
from kernelforge.tensor import Tensor, enable_grad, no_grad


class LBFGS(Optimizer):
    """Limited-memory BFGS.

    max_iter           iterations per step; max_eval: calls of the function, 5/4 of that when None
    tolerance_grad     stop where no element of the gradient is larger
    tolerance_change   stop where neither loss nor parameters change by more
    history_size       how many changes of the gradient are remembered
    line_search_fn     None: steps of length lr; "strong_wolfe": of a length that is searched

    raises ValueError for more than one group
    """

    counts = False

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise StateError("only 'strong_wolfe' is supported")
        super().__init__(
            params,
            {
                "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )  # fmt: skip
        if len(self.param_groups) != 1:
            raise ArgumentError("LBFGS doesn't support per-parameter options (parameter groups)")

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Iterate; the loss before."""
        if closure is None:
            raise KindError("LBFGS.step() needs a closure that computes the loss and its gradients")
        group, state = self.param_groups[0], self.state.setdefault(self.params[0], {"func_evals": 0, "n_iter": 0})
        first = self._evaluated(closure, None)
        evaluations = 1
        state["func_evals"] += 1
        point = first
        if np.abs(point.gradient).max(initial=0) <= group["tolerance_grad"]:
            return first.result
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, point.gradient, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = point.gradient, point.loss
            slope, lr = float(point.gradient @ direction), float(self.lr.item())
            length = lr * min(1.0, 1.0 / float(np.abs(point.gradient).sum())) if state["n_iter"] == 1 else lr
            if slope > -group["tolerance_change"]:
                break
            before, origin = point, self._flat()
            if group["line_search_fn"] is None:
                self._move(origin + length * direction)
                if iteration != group["max_iter"]:
                    point = self._evaluated(closure, None)
                    evaluations += 1
            else:
                limit = group["max_eval"] - evaluations
                along = self._line(closure, origin, direction)
                length, point, more = wolfe_point(along, length, before, direction, limit)
                self._move(origin + length * direction)
                evaluations += more
            state["t"] = length
            if self._is_done(group, iteration, evaluations, before, point, length * direction):
                break
        state["func_evals"] += evaluations - 1
        return first.result

    @staticmethod
    def _is_done(
        group: dict[str, Any], iteration: int, evaluations: int, before: Point, point: Point, change: NDArray
    ) -> bool:
        return bool(
            iteration == group["max_iter"]
            or evaluations >= group["max_eval"]
            or np.abs(point.gradient).max(initial=0) <= group["tolerance_grad"]
            or np.abs(change).max(initial=0) <= group["tolerance_change"]
            or abs(point.loss - before.loss) < group["tolerance_change"]
        )

    def _direction(self, state: dict[str, Any], gradient: NDArray, history: int) -> NDArray:
        """Minus the estimated inverse of the Hessian times the gradient; the history grows by the last change."""
        if state["n_iter"] == 1:
            state.update(d=-gradient, old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return state["d"]
        change, moved = gradient - state["prev_flat_grad"], state["d"] * gradient.dtype.type(state["t"])
        product = float(change @ moved)
        directions, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        if product > 1e-10:
            if len(directions) == history:
                for items in (directions, steps, inverses):
                    items.pop(0)
            directions.append(change)
            steps.append(moved)
            inverses.append(1.0 / product)
            state["H_diag"] = product / float(change @ change)
        q, shares = -gradient, []
        for y, s, inverse in zip(reversed(directions), reversed(steps), reversed(inverses)):
            shares.append(float(s @ q) * inverse)
            q = q - gradient.dtype.type(shares[-1]) * y
        r = q * gradient.dtype.type(state["H_diag"])
        for y, s, inverse, share in zip(directions, steps, inverses, reversed(shares)):
            r = r + gradient.dtype.type(share - float(y @ r) * inverse) * s
        state["d"] = r
        return r

    def _line(self, closure: Callable[[], Any], origin: NDArray, direction: NDArray) -> Callable[[float], Point]:
        """The loss and its gradient as a function of the length of a step."""

        def along(length: float) -> Point:
            found = self._evaluated(closure, origin + length * direction)
            self._move(origin)
            return found

        return along

    def _evaluated(self, closure: Callable[[], Any], values: NDArray | None) -> Point:
        """The loss and its gradient, at other values of the parameters if they are given."""
        if values is not None:
            self._move(values)
        with enable_grad():
            result = closure()
        parts = [_numbers(np.zeros(p.shape, p.dtype.numpy) if p.grad is None else p.grad.numpy()) for p in self.params]
        return Point(float(result.item() if isinstance(result, Tensor) else result), np.concatenate(parts), result)

    def _flat(self) -> NDArray:
        """The parameters as one vector."""
        return np.concatenate([_numbers(tensor.numpy()) for tensor in self.params])

    def _move(self, values: NDArray) -> None:
        """Give the parameters the values of one vector."""
        start = 0
        for tensor in self.params:
            kind = tensor.dtype
            count = tensor.numel() * kind.parts
            part = np.ascontiguousarray(values[start : start + count], kind.real.numpy)
            tensor.assign(Tensor(part.view(kind.numpy).reshape(tensor.shape), device=tensor.device))
            start += count


def _numbers(values: NDArray) -> NDArray:
    """Values as one vector of real numbers, the parts of complex ones side by side."""
    flat = np.ascontiguousarray(values).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat
