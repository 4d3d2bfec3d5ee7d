"""kernelforge as its users write it: lazy tensors, realised and waited for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.suite.workload import Step, Work
from kernelforge import Device, Tensor, optim
from kernelforge.nn import functional


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x.rmsnorm(eps=1e-5) * weight


def batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor | None = None, var: Tensor | None = None
) -> Tensor:
    """With the batch's own mean and variance where none are given."""
    if mean is None or var is None:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    return x.batchnorm(weight, bias, mean, (var + 1e-5).rsqrt())


def dropout(seed: Tensor, x: Tensor, p: float) -> Tensor:
    with Tensor.train():
        return x.dropout(p)


F = SimpleNamespace(
    exp=Tensor.exp,
    tanh=Tensor.tanh,
    relu=Tensor.relu,
    gelu=Tensor.gelu,
    softmax=Tensor.softmax,
    log_softmax=Tensor.log_softmax,
    layer_norm=lambda x, weight, bias: x.layernorm() * weight + bias,
    rms_norm=rms_norm,
    group_norm=functional.group_norm,
    silu=Tensor.silu,
    batch_norm=batch_norm,
    cross_entropy=lambda x, labels: x.cross_entropy(labels),
    sum=Tensor.sum,
    mean=Tensor.mean,
    max=Tensor.max,
    argmax=Tensor.argmax,
    cumsum=Tensor.cumsum,
    logcumsumexp=Tensor.logcumsumexp,
    sort=lambda x: x.sort()[0],
    topk=lambda x, k: x.topk(k)[0],
    searchsorted=Tensor.searchsorted,
    bincount=lambda x, length: x.bincount(minlength=length),
    transpose=Tensor.permute,
    byte_product=lambda a, b: a.matmul(b, dtype="int32"),
    copy=Tensor.contiguous,
    take=lambda table, index: table[index],
    take_along=lambda x, index: x.gather(-1, index),
    attention=lambda q, k, v, causal, bias=None: q.scaled_dot_product_attention(
        k, v, bias, is_causal=causal, enable_gqa=k.shape[1] < q.shape[1]
    ),
    conv2d=lambda x, w, stride=1, padding=0, groups=1: x.conv2d(w, stride=stride, padding=padding, groups=groups),
    max_pool=lambda x, size, stride, padding=0: x.max_pool2d(size, stride, padding=padding),
    avg_pool=lambda x, size, stride: x.avg_pool2d(size, stride),
    randn=lambda seed, shape: Tensor.randn(*shape),
    dropout=dropout,
)


class Kernelforge:
    f = F

    def wake(self) -> None:
        Device[Device.DEFAULT].synchronize()

    def tensor(self, array: NDArray, differentiable: bool = False, stored: str = "") -> Tensor:
        value = Tensor(array, requires_grad=differentiable)
        return (value.cast(stored) if stored and array.dtype == np.float32 else value).realize()

    def arrays(self, values: Any) -> list[NDArray]:
        found = [value.numpy() for value in (values if isinstance(values, tuple) else (values,))]
        return [value.astype(np.float32) if value.itemsize == 2 else value for value in found]

    def function(self, work: Work) -> Any:
        def call(*values: Tensor) -> Any:
            return finished(work(F, *values))

        return call

    def gradient(self, work: Work, wrt: tuple[int, ...]) -> Any:
        def call(*values: Tensor) -> Any:
            result = work(F, *values[:-1])
            return finished((result, *result.gradient(*(values[place] for place in wrt), gradient=values[-1])))

        return call

    def step(self, step: Step, parameters: dict[str, Tensor]) -> Any:
        optimizer = optim.AdamW(parameters.values(), lr=step.rate)

        def train(*batch: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = step.loss(F, parameters, *batch)
            loss.backward()
            optimizer.step()
            return finished(loss)

        def apply(*gradients: Tensor) -> Tensor:
            for parameter, gradient in zip(optimizer.params, gradients):
                parameter.grad = gradient
            optimizer.step()
            return finished(optimizer.params[0])

        return train if step.loss else apply


def finished(values: Any) -> Any:
    """The tensor or tensors, computed."""
    first, *others = values if isinstance(values, tuple) else (values,)
    first.realize(*others)
    Device[Device.DEFAULT].synchronize()
    return values


def side(name: str) -> Kernelforge:
    """The one side there is."""
    return Kernelforge()
