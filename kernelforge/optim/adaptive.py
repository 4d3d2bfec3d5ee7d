"""Optimisers with a step size for each element: Adagrad, Adadelta, RMSprop, Rprop, Adafactor; and averaged SGD.

Comes in: parameters, learning rate, decay rates.  Goes out: optimisers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernelforge.errors import ArgumentError
from kernelforge.optim.adam import averaged
from kernelforge.optim.optimizer import Optimizer, Params, zeros_like
from kernelforge.optim.options import Number, Options, check_not_negative, stored, used
from kernelforge.optim.updates import of_arguments_alone
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import composite


def _decayed(options: Options, value: Tensor, gradient: Tensor) -> Tensor:
    """The gradient after weight decay."""
    return gradient + value * options["weight_decay"] if used(options["weight_decay"]) else gradient


class Adagrad(Optimizer):
    """s = s + g^2;  p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps).

    source  Duchi et al., "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
                "differentiable": differentiable, "fused": fused,
            },
        )  # fmt: skip

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        names = ("lr_decay", "initial_accumulator_value")
        check_not_negative(self, **{name: group[name] for name in names})

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        return {"sum": zeros_like(tensor, value=float(options["initial_accumulator_value"]))}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        gradient, total = _decayed(options, value, gradient), state["sum"]
        total.assign(total + gradient.square())
        lr = options["lr"]
        rate = lr / (1 + (state["step"] - 1) * options["lr_decay"]) if used(options["lr_decay"]) else lr
        return value - gradient * rate / (total.sqrt() + options["eps"])


class Adadelta(Optimizer):
    """s = rho s + (1 - rho) g^2;  d = sqrt(a + eps) / sqrt(s + eps) g;  a = rho a + (1 - rho) d^2;  p = p - lr d.

    source  Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0 <= rho <= 1:
            raise ArgumentError(f"Adadelta with rho={rho}: it is from 0 to 1")
        super().__init__(
            params,
            {
                "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
                "capturable": capturable, "foreach": foreach, "differentiable": differentiable,
            },
        )  # fmt: skip

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        return {"square_avg": zeros_like(tensor), "acc_delta": zeros_like(tensor)}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        gradient, square, deltas = _decayed(options, value, gradient), state["square_avg"], state["acc_delta"]
        square.assign(averaged(square, gradient.square(), options["rho"]))
        delta = (deltas + options["eps"]).sqrt() / (square + options["eps"]).sqrt() * gradient
        deltas.assign(averaged(deltas, delta.square(), options["rho"]))
        return value - delta * options["lr"]


class RMSprop(Optimizer):
    """s = alpha s + (1 - alpha) g^2;  p = p - lr g / (sqrt(s) + eps), with momentum of what follows lr.

    centered   s less the square of an average of g

    source  Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
                "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
                "differentiable": differentiable,
            },
        )  # fmt: skip

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        names = ["square_avg"] + ["momentum_buffer"] * used(options["momentum"]) + ["grad_avg"] * options["centered"]
        return {name: zeros_like(tensor) for name in names}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        gradient, square, alpha = _decayed(options, value, gradient), state["square_avg"], options["alpha"]
        square.assign(averaged(square, gradient.square(), alpha))
        spread: Tensor = square
        if options["centered"]:
            mean = state["grad_avg"]
            mean.assign(averaged(mean, gradient, alpha))
            spread = square - mean.square()
        step = gradient / (spread.sqrt() + options["eps"])
        if "momentum_buffer" in state:
            velocity = state["momentum_buffer"]
            velocity.assign(velocity * options["momentum"] + step)
            step = velocity
        return value - step * options["lr"]


class Rprop(Optimizer):
    """Steps of a size for each element that grows while the gradient keeps its sign, and shrinks where it does not.

    etas         (shrinking factor, growing factor)
    step_sizes   (smallest, largest)

    source  Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0 < etas[0] < 1 < etas[1]:
            raise ArgumentError(f"Rprop with etas={etas}: the first is between 0 and 1, the second above 1")
        super().__init__(
            params,
            {
                "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
                "differentiable": differentiable, "capturable": capturable,
            },
        )  # fmt: skip

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        sizes = zeros_like(tensor, value=float(options["lr"].item()))
        return {"prev": zeros_like(tensor), "step_size": sizes}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        before, sizes = state["prev"], state["step_size"]
        agreement = gradient * before
        factor = (agreement > 0).where(options["etas_1"], (agreement < 0).where(options["etas_0"], 1.0))
        sizes.assign((sizes * factor).maximum(options["step_sizes_0"]).minimum(options["step_sizes_1"]))
        kept = (agreement < 0).where(0.0, gradient)
        before.assign(kept)
        return value - kept.sign() * sizes


class ASGD(Optimizer):
    """SGD with a decaying learning rate, and the average of the parameters in the state's "ax".

    source  Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992
    """

    numbers = ("eta", "mu")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach,
                "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
            },
        )  # fmt: skip

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        rate = stored((), float(options["lr"].item()), tensor.device)
        return {"eta": rate, "mu": stored((), 1.0, tensor.device), "ax": zeros_like(tensor)}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        gradient, eta, mu, mean = _decayed(options, value, gradient), state["eta"], state["mu"], state["ax"]
        new = value * (1 - eta * options["lambd"]) - gradient * eta
        mean.assign(mean + (new - mean) * mu)
        t, lr = state["step"], options["lr"]
        eta.assign(lr / (1 + lr * t * options["lambd"]) ** options["alpha"])
        mu.assign(1 / (t - options["t0"]).maximum(1.0))
        return new


@composite
def _factored(rows: Tensor, columns: Tensor, least: float) -> Tensor:
    """The matrix of which rows and columns hold the means, about."""
    return rows * columns / rows.mean(-2, keepdim=True).maximum(least)


@composite
def _adafactor_step(update: Tensor, value: Tensor, t: Tensor, lr: Tensor, d: Number, least: Number) -> Tensor:
    """The step of an update in proportion to the parameter's size, limited where the update is large."""
    rate = lr.minimum(1 / t.sqrt())
    scale = (value.square().sum().sqrt() / value.numel() ** 0.5).maximum(least).contiguous()
    size = (update.square().sum().sqrt() / (d * update.numel() ** 0.5)).maximum(1.0).contiguous()
    return update * (scale * rate / size)


class Adafactor(Optimizer):
    """Steps divided by the root of an average square that is kept as row and column means.

    beta2_decay   the averages' rate is 1 - t^beta2_decay
    eps           (least variance, its type's precision when None; least size of a parameter)
    d             updates whose root mean square is above it are scaled down

    source  Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018
    """

    of_parts = False

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options: dict[str, Any] = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize,
        }  # fmt: skip
        if beta2_decay > 0 or d < 1:
            raise ArgumentError(f"Adafactor with beta2_decay={beta2_decay}, d={d}: they are at most 0 and at least 1")
        check_not_negative(self, epsilon1=eps[0], epsilon2=eps[1])
        super().__init__(params, options)

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        shape = tensor.shape
        if len(shape) < 2:
            return {"variance": zeros_like(tensor)}
        rows, columns = zeros_like(tensor, (*shape[:-1], 1)), zeros_like(tensor, (*shape[:-2], 1, shape[-1]))
        return {"row_var": rows, "col_var": columns}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        t, lr = state["step"], options["lr"]
        least = options["eps_0"] if options["eps_0"] is not None else value.dtype.eps
        share, square = t ** options["beta2_decay"], gradient.square()
        if "variance" in state:
            variance: Tensor = state["variance"]
            variance.assign(variance + (square - variance) * share)
        else:
            for name, axis in (("row_var", -1), ("col_var", -2)):
                state[name].assign(state[name] + (square.mean(axis, keepdim=True) - state[name]) * share)
            variance = _factored(state["row_var"], state["col_var"], least)
        update = variance.maximum(least * least).rsqrt() * gradient
        step = _adafactor_step(update, value, t, lr, options["d"], options["eps_1"])
        decay = options["weight_decay"]
        return (value * (1 - lr * decay) if used(decay) else value) - step
