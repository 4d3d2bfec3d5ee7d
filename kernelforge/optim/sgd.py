"""Descent along the gradient, its sign, or its average: SGD, LARS, Lion, Muon.

Comes in: parameters, learning rate, momentum, weight decay.  Goes out: optimisers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from kernelforge.errors import ArgumentError
from kernelforge.optim.optimizer import Optimizer, Params, zeros_like
from kernelforge.optim.options import Number, Options, check_betas, check_not_negative, used
from kernelforge.optim.updates import of_arguments_alone
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import composite


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

        g = grad + weight_decay * p
        b = momentum * b + (1 - dampening) * g          the first time b = g
        p = p - lr * b                                  nesterov: p - lr * (g + momentum * b)

    source  torch.optim.SGD
    """

    counts = False

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("SGD with nesterov=True needs a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                "nesterov": nesterov, "maximize": maximize, "foreach": foreach, "differentiable": differentiable,
                "fused": fused,
            },
        )  # fmt: skip

    def _begins_differently(self) -> bool:
        return any(used(group["dampening"]) for group in self.param_groups)

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        return {"momentum_buffer": zeros_like(tensor)} if used(options["momentum"]) else {}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        if used(options["weight_decay"]):
            gradient = gradient + value * options["weight_decay"]
        if "momentum_buffer" not in state:
            return value - options["lr"] * gradient
        velocity, momentum = state["momentum_buffer"], options["momentum"]
        damped = gradient if fresh or not used(options["dampening"]) else gradient * (1 - options["dampening"])
        velocity.assign(velocity * momentum + damped)
        return value - options["lr"] * (gradient + velocity * momentum if options["nesterov"] else velocity)


@composite
def _trust(value: Tensor, gradient: Tensor, weight_decay: Number, coefficient: float) -> Tensor:
    """coefficient * |p| / (|g| + weight_decay |p|), 1 where a norm is 0; stored, for every element is scaled by it."""
    own, other = value.square().sum().sqrt(), gradient.square().sum().sqrt()
    ratio = coefficient * own / (other + weight_decay * own)
    return ((own > 0) & (other > 0)).where(ratio, 1.0).contiguous()


class LARS(Optimizer):
    """SGD whose steps are, layer by layer, in proportion to the norm of the parameter.

        r = tcoef * |p| / (|grad| + weight_decay * |p|)
        g = (grad + weight_decay * p) * r * lr                    pre_wd=False: the decay acts on p at the end
        b = momentum * b + g;  p = p - b                          classic=False: lr acts behind the momentum

    source  You et al., "Large Batch Training of Convolutional Networks", 2017
    """

    counts = False

    def __init__(
        self,
        params: Params,
        lr: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        nesterov: bool = False,
        classic: bool = True,
        pre_wd: bool = True,
        tcoef: float = 0.001,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov,
                "classic": classic, "pre_wd": pre_wd, "tcoef": tcoef,
            },
        )  # fmt: skip

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        return {"momentum_buffer": zeros_like(tensor)} if used(options["momentum"]) else {}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        lr, decay, momentum = options["lr"], options["weight_decay"], options["momentum"]
        ratio: Number = _trust(value, gradient, decay, options["tcoef"]) if options["tcoef"] else 1.0
        if options["pre_wd"] and used(decay):
            gradient = gradient + value * decay
        if options["classic"]:
            gradient = gradient * ratio * lr
        if "momentum_buffer" in state:
            velocity = state["momentum_buffer"]
            velocity.assign(velocity * momentum + gradient)
            gradient = gradient + velocity * momentum if options["nesterov"] else velocity
        if not options["classic"]:
            gradient = gradient * ratio * lr
        if not options["pre_wd"] and used(decay):
            gradient = gradient + value * decay * lr
        return value - gradient


class Lion(Optimizer):
    """Steps of one size along the sign of an average.

        p = p * (1 - lr * weight_decay) - lr * sign(b1 * m + (1 - b1) * grad)
        m = b2 * m + (1 - b2) * grad

    source  Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, program 1
    """

    counts = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        check_betas(self, group["betas"])

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        return {"exp_avg": zeros_like(tensor)}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        b1, b2, lr, average = options["betas_0"], options["betas_1"], options["lr"], state["exp_avg"]
        step = (average * b1 + gradient * (1 - b1)).sign() * lr
        average.assign(average * b2 + gradient * (1 - b2))
        return (value * (1 - lr * options["weight_decay"]) if used(options["weight_decay"]) else value) - step


@composite
def _orthogonal(update: Tensor, a: float, b: float, c: float, steps: int, eps: float) -> Tensor:
    """The nearest orthogonal matrix, about, by Newton-Schulz steps a x + b (x x') x + c (x x')^2 x.

    The products are of numbers rounded to bfloat16, as in torch.
    """
    x = update.T if update.shape[0] > update.shape[1] else update
    x = x.cast("bfloat16")
    x = x / x.float().square().sum().sqrt().maximum(eps).cast("bfloat16")
    for _ in range(steps):
        gram = (x @ x.T).contiguous()
        x = (x * a + ((gram * b + (gram @ gram) * c).contiguous() @ x)).contiguous()
    return (x.T if update.shape[0] > update.shape[1] else x).cast(update.dtype)


_MOST_ROUNDS: Final = 100
_COEFFICIENTS: Final = 3


class Muon(Optimizer):
    """Momentum made orthogonal, for matrices.

        m = m + (1 - momentum) * (grad - m);  u = nearest orthogonal matrix to m, or to nesterov's look ahead
        p = p * (1 - lr * weight_decay) - lr * sqrt(max(1, rows / columns)) * u

    source  Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024
    """

    counts = False
    of_parts = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(
            params,
            {
                "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
                "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
            },
        )  # fmt: skip
        for tensor in self.params:
            if tensor.ndim != 2:
                raise ArgumentError(f"Muon only supports 2D parameters, found one of size {tensor.shape}")

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        check_not_negative(self, ns_steps=group["ns_steps"])
        if group["ns_steps"] >= _MOST_ROUNDS:
            raise ArgumentError(f"Muon with ns_steps={group['ns_steps']}: fewer than {_MOST_ROUNDS} rounds")
        if "ns_coefficients" in group and len(group["ns_coefficients"]) != _COEFFICIENTS:
            raise ArgumentError(f"Muon with ns_coefficients={group['ns_coefficients']}: a polynomial has three of them")

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        return {"momentum_buffer": zeros_like(tensor)}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        lr, momentum, average = options["lr"], options["momentum"], state["momentum_buffer"]
        average.assign(average + (gradient - average) * (1 - momentum))
        update = gradient + (average - gradient) * momentum if options["nesterov"] else average
        a, b, c = (options[f"ns_coefficients_{i}"] for i in range(3))
        direction = _orthogonal(update, a, b, c, options["ns_steps"], options["eps"])
        rows, columns = value.shape
        scale = math.sqrt(max(1, rows / columns))
        if options["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        return value * (1 - lr * options["weight_decay"]) - direction * (lr * scale)
