"""torch, as it is and with torch.compile."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from bench.measure import THREADS
from bench.suite.workload import Step, Work

Torch = torch.Tensor


def batch_norm(x: Torch, weight: Torch, bias: Torch, mean: Torch | None = None, var: Torch | None = None) -> Torch:
    return functional.batch_norm(x, mean, var, weight, bias, training=mean is None)


F = SimpleNamespace(
    exp=torch.exp,
    tanh=torch.tanh,
    relu=torch.relu,
    gelu=lambda x: functional.gelu(x, approximate="tanh"),
    softmax=lambda x: x.softmax(-1),
    log_softmax=lambda x: x.log_softmax(-1),
    layer_norm=lambda x, weight, bias: functional.layer_norm(x, (x.shape[-1],), weight, bias),
    rms_norm=lambda x, weight: functional.rms_norm(x, (x.shape[-1],), weight, 1e-5),
    group_norm=functional.group_norm,
    silu=functional.silu,
    batch_norm=batch_norm,
    cross_entropy=functional.cross_entropy,
    sum=torch.sum,
    mean=torch.mean,
    max=torch.amax,
    argmax=torch.argmax,
    cumsum=torch.cumsum,
    logcumsumexp=torch.logcumsumexp,
    sort=lambda x: x.sort()[0],
    topk=lambda x, k: x.topk(k)[0],
    searchsorted=torch.searchsorted,
    bincount=lambda x, length: torch.bincount(x, minlength=length),
    transpose=torch.permute,
    byte_product=torch._int_mm,
    copy=lambda x: x.clone(memory_format=torch.contiguous_format),
    take=lambda table, index: functional.embedding(index, table),
    take_along=lambda x, index: x.gather(-1, index),
    attention=lambda q, k, v, causal, bias=None: functional.scaled_dot_product_attention(
        q, k, v, bias, is_causal=causal, enable_gqa=k.shape[1] < q.shape[1]
    ),
    conv2d=lambda x, w, stride=1, padding=0, groups=1: functional.conv2d(x, w, None, stride, padding, 1, groups),
    max_pool=functional.max_pool2d,
    avg_pool=functional.avg_pool2d,
    randn=lambda seed, shape: torch.randn(shape),
    dropout=lambda seed, x, p: functional.dropout(x, p),
)


class Eager:
    f = F

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return function

    def wake(self) -> None:
        torch.ones(16) + 1

    def tensor(self, array: NDArray, differentiable: bool = False, stored: str = "") -> Torch:
        value = torch.from_numpy(array.astype(np.int64) if array.dtype == np.int32 else array)
        value = value.to(getattr(torch, stored)) if stored and array.dtype == np.float32 else value
        return value.requires_grad_() if differentiable else value

    def arrays(self, values: Any) -> list[NDArray]:
        found = [value.detach() for value in (values if isinstance(values, tuple) else (values,))]
        return [(value.float() if value.itemsize == 2 else value).numpy() for value in found]

    def function(self, work: Work) -> Any:
        return torch.no_grad()(self.compiled(lambda *values: work(F, *values)))

    def gradient(self, work: Work, wrt: tuple[int, ...]) -> Any:
        forward = self.compiled(lambda *values: work(F, *values))

        def call(*values: Torch) -> Any:
            result = forward(*values[:-1])
            return result, *torch.autograd.grad(result, [values[place] for place in wrt], values[-1])

        return call

    def step(self, step: Step, parameters: dict[str, Torch]) -> Any:
        leaves = list(parameters.values())
        optimizer = torch.optim.AdamW(leaves, lr=step.rate, fused=True)  # the fastest of its forms on a processor
        forward = self.compiled(lambda *batch: step.loss(F, parameters, *batch))

        def train(*batch: Torch) -> Torch:
            optimizer.zero_grad()
            loss = forward(*batch)
            loss.backward()
            optimizer.step()
            return loss

        def apply(*gradients: Torch) -> Torch:
            for parameter, gradient in zip(leaves, gradients):
                parameter.grad = gradient
            optimizer.step()
            return leaves[0]

        return train if step.loss else apply


class Compiled(Eager):
    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function by torch.compile, which forgets earlier ones, lest it take this for one of them."""
        torch._dynamo.reset()
        return torch.compile(function)


def side(name: str) -> Eager:
    """ "torch" or "torch.compile"."""
    torch.set_num_threads(THREADS)
    return Compiled() if name == "torch.compile" else Eager()
