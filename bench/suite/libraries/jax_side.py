"""JAX on the processor, everything under jit; a step's old parameters are given up for the new ones."""

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from numpy.typing import NDArray

from bench.suite.workload import Step, Work

Array = jax.Array


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5) * weight + bias


def batch_norm(x: Array, weight: Array, bias: Array, mean: Array | None = None, var: Array | None = None) -> Array:
    mean, var = (x.mean((0, 2, 3)), x.var((0, 2, 3))) if mean is None or var is None else (mean, var)
    scale, mean, bias = (v[:, None, None] for v in (weight * lax.rsqrt(var + 1e-5), mean, bias))
    return (x - mean) * scale + bias


def cross_entropy(x: Array, labels: Array) -> Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], -1).mean()


def group_norm(x: Array, groups: int, weight: Array, bias: Array) -> Array:
    parts = x.reshape(x.shape[0], groups, -1)
    centred = parts - parts.mean(-1, keepdims=True)
    found = (centred * lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5)).reshape(x.shape)
    return found * weight[:, None, None] + bias[:, None, None]


def attention(q: Array, k: Array, v: Array, causal: bool, bias: Array | None = None) -> Array:
    if k.shape[1] < q.shape[1]:
        k, v = (jnp.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = (q @ jnp.swapaxes(k, -1, -2)) * q.shape[-1] ** -0.5
    if bias is not None:
        scores += bias
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)
    return jax.nn.softmax(scores) @ v


def conv2d(x: Array, w: Array, stride: int = 1, padding: int = 0, groups: int = 1) -> Array:
    return lax.conv_general_dilated(x, w, (stride, stride), [(padding, padding)] * 2, feature_group_count=groups)


def max_pool(x: Array, size: int, stride: int, padding: int = 0) -> Array:
    pads = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, size, size), (1, 1, stride, stride), pads)


def avg_pool(x: Array, size: int, stride: int) -> Array:
    total = lax.reduce_window(x, 0.0, lax.add, (1, 1, size, size), (1, 1, stride, stride), "VALID")
    return total / (size * size)


def dropout(seed: Array, x: Array, p: float) -> Array:
    return jnp.where(jax.random.bernoulli(jax.random.wrap_key_data(seed), 1 - p, x.shape), x / (1 - p), 0)


F = SimpleNamespace(
    exp=jnp.exp,
    tanh=jnp.tanh,
    relu=jax.nn.relu,
    gelu=jax.nn.gelu,
    softmax=jax.nn.softmax,
    log_softmax=jax.nn.log_softmax,
    layer_norm=layer_norm,
    rms_norm=lambda x, weight: x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5) * weight,
    group_norm=group_norm,
    silu=jax.nn.silu,
    batch_norm=batch_norm,
    cross_entropy=cross_entropy,
    sum=jnp.sum,
    mean=jnp.mean,
    max=jnp.max,
    argmax=jnp.argmax,
    cumsum=jnp.cumsum,
    logcumsumexp=lax.cumlogsumexp,
    sort=jnp.sort,
    topk=lambda x, k: lax.top_k(x, k)[0],
    searchsorted=jnp.searchsorted,
    bincount=lambda x, length: jnp.bincount(x, length=length),
    transpose=jnp.transpose,
    byte_product=lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.int32),
    copy=lambda x: x,  # what jit returns is an array of its own
    take=lambda table, index: jnp.take(table, index, axis=0),
    take_along=lambda x, index: jnp.take_along_axis(x, index, -1),
    attention=attention,
    conv2d=conv2d,
    max_pool=max_pool,
    avg_pool=avg_pool,
    randn=lambda seed, shape: jax.random.normal(jax.random.wrap_key_data(seed), shape),
    dropout=dropout,
)


class Jax:
    f = F

    def wake(self) -> None:
        jnp.ones(16).block_until_ready()

    def tensor(self, array: NDArray, differentiable: bool = False, stored: str = "") -> Array:
        return jnp.array(array, stored if stored and array.dtype == np.float32 else None)

    def arrays(self, values: Any) -> list[NDArray]:
        found = [np.asarray(value) for value in (values if isinstance(values, tuple) else (values,))]
        return [value.astype(np.float32) if value.itemsize == 2 else value for value in found]

    def function(self, work: Work) -> Any:
        compiled = jax.jit(lambda *values: work(F, *values))
        return lambda *values: jax.block_until_ready(compiled(*values))

    def gradient(self, work: Work, wrt: tuple[int, ...]) -> Any:
        def both(*values: Array) -> Any:
            def of_targets(*targets: Array) -> Array:
                chosen = dict(zip(wrt, targets))
                return work(F, *(chosen.get(place, value) for place, value in enumerate(values[:-1])))

            result, pull = jax.vjp(of_targets, *(values[place] for place in wrt))
            return result, *pull(values[-1])

        compiled = jax.jit(both)
        return lambda *values: jax.block_until_ready(compiled(*values))

    def step(self, step: Step, parameters: dict[str, Array]) -> Any:
        names = list(parameters)

        def adamw(p: Any, m: Any, v: Any, t: Array, g: Any) -> Any:
            m = {name: 0.9 * m[name] + 0.1 * g[name] for name in names}
            v = {name: 0.999 * v[name] + 0.001 * g[name] ** 2 for name in names}
            first, second = 1 - 0.9**t, 1 - 0.999**t
            moved = {
                name: p[name] * (1 - step.rate * 0.01)
                - step.rate * (m[name] / first) / (jnp.sqrt(v[name] / second) + 1e-8)
                for name in names
            }
            return moved, m, v

        def train(p: Any, m: Any, v: Any, t: Array, *batch: Array) -> Any:
            if step.loss is None:
                return None, *adamw(p, m, v, t, dict(zip(names, batch))), t + 1
            loss, g = jax.value_and_grad(lambda p: step.loss(F, p, *batch))(p)
            return loss, *adamw(p, m, v, t, g), t + 1

        compiled = jax.jit(train, donate_argnums=(0, 1, 2, 3))
        zeros = [{name: jnp.zeros_like(value) for name, value in parameters.items()} for _ in range(2)]
        state = [parameters, *zeros, jnp.ones(())]

        def call(*batch: Array) -> Array:
            loss, *state[:] = jax.block_until_ready(compiled(*state, *batch))
            return state[0][names[0]] if loss is None else loss

        return call


def side(name: str) -> Jax:
    """The one side there is."""
    return Jax()
