"""Adam and what is made of it: AdamW, NAdam, RAdam, Adamax, LAMB.

Comes in: parameters, learning rate, decay rates of the averages.  Goes out: optimisers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from codegen.dtypes import dtypes
from kernelforge.optim.optimizer import Optimizer, Params, zeros_like
from kernelforge.optim.options import Number, Options, check_betas, check_not_negative, logarithm, stored, used
from kernelforge.optim.updates import of_arguments_alone
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import composite


@composite
def averaged(average: Tensor, new: Tensor, rate: Number) -> Tensor:
    """rate * average + (1 - rate) * new."""
    return average * rate + new * (1 - rate)


def correction(t: Tensor, rate: Number) -> Tensor:
    """1 - rate^t, without the cancellation of that form."""
    return -(t * logarithm(rate)).expm1() if used(rate) else Tensor(1.0)


@composite
def _direction(m: Tensor, v: Tensor, t: Tensor, b1: Number, b2: Number, eps: Number) -> Tensor:
    """The averages without their bias towards their start at 0, divided; one division for each element."""
    return m * (1 / correction(t, b1)) / (v.sqrt() * correction(t, b2).rsqrt() + eps)


@composite
def _moved(value: Tensor, step: Tensor, lr: Tensor, weight_decay: Number) -> Tensor:
    """The value after weight decay and a step against the direction."""
    return value * (1 - lr * weight_decay) - lr * step if used(weight_decay) else value - lr * step


class _Averaging(Optimizer):
    """What optimisers with averages of the gradient and of its square share.

    averages   the names of the state
    """

    averages: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        check_betas(self, group["betas"])

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        return {name: zeros_like(tensor) for name in self.averages}

    @staticmethod
    def _decayed(options: Options, value: Tensor, gradient: Tensor, decoupled: bool) -> tuple[Tensor, Tensor]:
        """The value after decoupled weight decay, or the gradient after that of the other kind."""
        decay = options["weight_decay"]
        if not used(decay):
            return value, gradient
        if decoupled:
            return value * (1 - options["lr"] * decay), gradient
        return value, gradient + value * decay

    @staticmethod
    def _followed(options: Options, state: dict[str, Tensor], gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The two averages, which follow the gradient."""
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.assign(averaged(m, gradient, options["betas_0"]))
        v.assign(averaged(v, gradient.square(), options["betas_1"]))
        return m, v


class Adam(_Averaging):
    """Gradient descent with averages of the gradient and of its square.

        g = grad + weight_decay * p
        m = b1 * m + (1 - b1) * g            v = b2 * v + (1 - b2) * g^2
        p = p - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    betas     (b1, b2); tinygrad's spelling b1=, b2= works as well
    amsgrad   divide by the largest v so far

    source  Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1
    """

    decoupled: ClassVar[bool] = False
    default_decay: ClassVar[float] = 0.0

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | None = None,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool | None = None,
        b1: float | None = None,
        b2: float | None = None,
    ) -> None:
        rates = (betas[0] if b1 is None else b1, betas[1] if b2 is None else b2)
        super().__init__(
            params,
            {
                "lr": lr, "betas": rates, "eps": eps,
                "weight_decay": self.default_decay if weight_decay is None else weight_decay, "amsgrad": amsgrad,
                "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": self.decoupled if decoupled_weight_decay is None else decoupled_weight_decay,
            },
        )  # fmt: skip

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        more = {"max_exp_avg_sq": zeros_like(tensor)} if options["amsgrad"] else {}
        return {**super()._begin(options, tensor), **more}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        decoupled = options["decoupled_weight_decay"]
        if not decoupled:
            value, gradient = self._decayed(options, value, gradient, False)
        m, v = self._followed(options, state, gradient)
        if options["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            largest.assign(largest.maximum(v))
            v = largest
        step = _direction(m, v, state["step"], options["betas_0"], options["betas_1"], options["eps"])
        return _moved(value, step, options["lr"], options["weight_decay"] if decoupled else 0.0)


class AdamW(Adam):
    """Adam whose weight decay acts on the parameters, p * (1 - lr * weight_decay), not on the gradients.

    source  Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2
    """

    decoupled = True
    default_decay = 0.01


class SparseAdam(Adam):
    """Adam; gradients are never sparse here, so it is the same for all parameters."""

    of_parts = False

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, maximize=maximize)


class NAdam(_Averaging):
    """Adam with Nesterov's momentum, whose rate grows from b1 / 2 to b1.

        mu_t = b1 * (1 - 0.5 * 0.96^(t * momentum_decay));  M_t = mu_1 * ... * mu_t
        p = p - lr * (mu_{t+1} * m / (1 - M_{t+1}) + (1 - mu_t) * g / (1 - M_t)) / (sqrt(v / (1 - b2^t)) + eps)

    source  Dozat, "Incorporating Nesterov Momentum into Adam", 2016
    """

    numbers = ("mu_product",)

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
                "capturable": capturable, "differentiable": differentiable,
            },
        )  # fmt: skip

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        check_not_negative(self, momentum_decay=group["momentum_decay"])

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        return {"mu_product": stored((), 1.0, tensor.device), **super()._begin(options, tensor)}

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        value, gradient = self._decayed(options, value, gradient, options["decoupled_weight_decay"])
        m, v = self._followed(options, state, gradient)
        product, t, b1 = state["mu_product"], state["step"], options["betas_0"]
        rate = _momentum_at(t, b1, options["momentum_decay"])
        product.assign(product * rate)
        return _nesterov_moved(
            value, gradient, m, v, product, t, options["lr"], b1, options["betas_1"], options["eps"],
            options["momentum_decay"],
        )  # fmt: skip


@composite
def _momentum_at(t: Tensor, b1: Number, decay: Number) -> Tensor:
    """mu_t."""
    return (1 - 0.5 * (t * decay * logarithm(0.96)).exp()) * b1


@composite
def _nesterov_moved(
    value: Tensor, gradient: Tensor, m: Tensor, v: Tensor, product: Tensor, t: Tensor, lr: Tensor, b1: Number,
    b2: Number, eps: Number, decay: Number,
) -> Tensor:  # fmt: skip
    """The value after a step of NAdam."""
    now, then = _momentum_at(t, b1, decay), _momentum_at(t + 1, b1, decay)
    ahead = m * (lr * then / (1 - product * then)) + gradient * (lr * (1 - now) / (1 - product))
    return value - ahead / (v.sqrt() * correction(t, b2).rsqrt() + eps)


class RAdam(_Averaging):
    """Adam that divides by sqrt(v) only once v is known well enough, and then by how well.

        rho = 2 / (1 - b2) - 1;  rho_t = rho - 2 t b2^t / (1 - b2^t)
        r_t = sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)) where rho_t > 5

    source  Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020, algorithm 2
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
                "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )  # fmt: skip

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        value, gradient = self._decayed(options, value, gradient, options["decoupled_weight_decay"])
        m, v = self._followed(options, state, gradient)
        b1, b2, t = options["betas_0"], options["betas_1"], state["step"]
        return value - _rectified(m, v, t, b1, b2, options["eps"]) * options["lr"]


@composite
def _rectified(m: Tensor, v: Tensor, t: Tensor, b1: Number, b2: Number, eps: Number) -> Tensor:
    """The direction of a step of RAdam; what follows from the step's number is computed in float64."""
    wide = t.cast(dtypes.float64)
    most = 2 / (1 - b2) - 1
    bias = correction(wide, b2)
    length = most - 2 * wide * (1 - bias) / bias
    above = length.maximum(5.0)
    share = ((above - 4) * (above - 2) * most / ((most - 4) * (most - 2) * above) * bias).sqrt().cast(m.dtype)
    scaled = share / (v.sqrt() + eps)
    return m * (1 / correction(t, b1)) * (length > 5.0).where(scaled, 1.0)


class Adamax(_Averaging):
    """Adam with the largest recent gradient in the place of the root of the average square.

        u = max(b2 * u, |g| + eps);  p = p - lr / (1 - b1^t) * m / u

    source  Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 2
    """

    averages = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
                "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
            },
        )  # fmt: skip

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        value, gradient = self._decayed(options, value, gradient, False)
        m, largest = state["exp_avg"], state["exp_inf"]
        m.assign(averaged(m, gradient, options["betas_0"]))
        largest.assign((largest * options["betas_1"]).maximum(gradient.abs() + options["eps"]))
        return value - m / largest * (options["lr"] / correction(state["step"], options["betas_0"]))


@composite
def _layer_ratio(value: Tensor, step: Tensor) -> Tensor:
    """|p| / |step|, 1 where one is 0; stored, for every element is scaled by it."""
    own, other = value.square().sum().sqrt(), step.square().sum().sqrt()
    return ((own > 0) & (other > 0)).where(own / other, 1.0).contiguous()


class LAMB(_Averaging):
    """AdamW whose steps are, layer by layer, in proportion to the norm of the parameter.

        u = m' / (sqrt(v') + eps) + weight_decay * p;  p = p - lr * |p| / |u| * u

    adam   True: without the proportion

    source  You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", 2020
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        adam: bool = False,
        *,
        maximize: bool = False,
        b1: float | None = None,
        b2: float | None = None,
    ) -> None:
        rates = (betas[0] if b1 is None else b1, betas[1] if b2 is None else b2)
        super().__init__(
            params,
            {
                "lr": lr, "betas": rates, "eps": eps, "weight_decay": weight_decay, "adam": adam,
                "maximize": maximize,
            },
        )  # fmt: skip

    @of_arguments_alone
    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        m, v = self._followed(options, state, gradient)
        step = _direction(m, v, state["step"], options["betas_0"], options["betas_1"], options["eps"])
        if used(options["weight_decay"]):
            step = step + value * options["weight_decay"]
        return value - step * options["lr"] * (1.0 if options["adam"] else _layer_ratio(value, step))
