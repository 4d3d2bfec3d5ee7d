"""Tensors computed alike, or showing the same elements, have gradients and hooks of their own, as in torch."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kernelforge
from kernelforge import GlobalCounters, Tensor, no_grad
from kernelforge.nn import functional

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")
SHAPE = 3, 4


def _functional(x: Any) -> Any:
    return functional if isinstance(x, Tensor) else torch.nn.functional


OF_ONE: dict[str, Callable[[Any], Any]] = {
    "twice": lambda x: x * 2,
    "once": lambda x: x * 1,
    "more": lambda x: x + 1,
    "no more": lambda x: x + 0,
    "turned": lambda x: -x,
    "exp": lambda x: (x * 0.1).exp(),
    "relu": lambda x: x.relu(),
    "tanh": lambda x: x.tanh(),
    "clone": lambda x: x.clone(),
    "view": lambda x: x.view(SHAPE),
    "reshape": lambda x: x.reshape(SHAPE),
    "expand": lambda x: x.expand(SHAPE),
    "there and back": lambda x: x.T.T,
    "permuted back": lambda x: x.permute(1, 0).permute(1, 0),
    "squeezed": lambda x: x.unsqueeze(0).squeeze(0),
    "flat": lambda x: x.flatten().reshape(SHAPE),
    "all of it": lambda x: x[:],
    "any of it": lambda x: x[...],
    "rolled around": lambda x: x.roll(4, 1),
    "a part": lambda x: x[:, 0:2].sum() + x,
    "centred": lambda x: x - x.mean(),
    "sum": lambda x: x + x.sum(1, keepdim=True),
    "max": lambda x: x - x.amax(1, keepdim=True),
    "deviation": lambda x: x / (x.std() + 3),
    "variance": lambda x: x * x.var(1, keepdim=True),
    "norm": lambda x: x / (x.norm() + 1),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
    "logsumexp": lambda x: x - x.logsumexp(1, keepdim=True),
    "gelu": lambda x: _functional(x).gelu(x),
    "silu": lambda x: _functional(x).silu(x),
    "layer_norm": lambda x: _functional(x).layer_norm(x, (4,)),
    "not dropped": lambda x: _functional(x).dropout(x, 0.5, training=False),
    "cumsum": lambda x: x.cumsum(1) * 0.3,
    "clamp": lambda x: x.clamp(-1, 1),
}
OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y * 0.5,
    "div": lambda x, y: x / (y * y + 1),
    "product": lambda x, y: (x @ y.T)[:, :1] * 0.1 + x,
}


def slopes(seed: int, library: Any, leaf: Callable[[Any], Any]) -> list[Any]:
    """The gradients a random program finds of all its tensors, by `.grad` with hooks or by grad()."""
    drawn, values = random.Random(seed), np.random.default_rng(seed)
    found = [leaf(values.standard_normal(SHAPE).astype(np.float32)) for _ in range(2)]
    of_one, of_two = drawn.sample(list(OF_ONE.values()), 4), drawn.sample(list(OF_TWO.values()), 2)
    for _ in range(drawn.randint(3, 9)):
        recent = drawn.randrange(max(0, len(found) - 4), len(found))
        if drawn.random() < 0.65:
            found.append(drawn.choice(of_one)(found[recent]))
        else:
            found.append(drawn.choice(of_two)(found[recent], drawn.choice(found)))
    retains, hooks = drawn.choice([(True, False), (True, True), (False, False)])
    for x in found[2:]:
        factor = drawn.choice([1.0, 2.0, -1.0, 0.5])
        if retains:
            x.retain_grad()
        if hooks:
            x.register_hook(lambda gradient, factor=factor: gradient * factor)
    computed = drawn.randrange(2, 2 * len(found))
    if computed < len(found) and isinstance(found[computed], Tensor):
        found[computed].realize()
    parts = [(x.sin() * drawn.randint(1, 5)).sum() for x in found if drawn.random() < 0.7]
    loss = sum(parts, (found[-1] * 3).sum())
    if retains:
        loss.backward()
        return [x.grad for x in found]
    return list(library.autograd.grad(loss, found, allow_unused=True))


@given(st.integers(0, 2**32 - 1))
@example(7905479)
@example(2023)
def test_gradients_of_all_tensors_are_those_of_torch(seed: int) -> None:
    wanted = slopes(seed, torch, lambda values: torch.tensor(values, requires_grad=True))
    found = slopes(seed, kernelforge, lambda values: Tensor(values, requires_grad=True))
    for number, (x, y) in enumerate(zip(wanted, found, strict=True)):
        values, others = (np.zeros(SHAPE) if z is None else z.detach().numpy() for z in (x, y))
        least = 2e-4 * max(1.0, float(np.abs(values).max()))  # elements of a gradient are sums of such as the largest
        np.testing.assert_allclose(others, values, 2e-3, least, err_msg=f"tensor {number} of program {seed}")


VIEWS: list[Callable[[Any], Any]] = [
    lambda x: x[0],
    lambda x: x[0:1],
    lambda x: x[0, 1],
    lambda x: x[0:1, 1:2],
    lambda x: x[0:1, 1],
    lambda x: x[1:3],
    lambda x: x[1:3, None],
    lambda x: x[:, ::2],
    lambda x: x[1:, ::2],
    lambda x: x[None],
    lambda x: x[None, None],
    lambda x: x.unsqueeze(0),
    lambda x: x.view(1, *SHAPE),
    lambda x: x.expand(2, *SHAPE),
    lambda x: x.expand(5, 2, *SHAPE),
    lambda x: x.narrow(0, 1, 2),
    lambda x: x.chunk(3)[0],
    lambda x: x.unbind()[0],
    lambda x: x.diagonal(),
    lambda x: x.T[0],
    lambda x: x.T,
]


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("is_leaf", [False, True])
def test_no_view_is_a_part_of_another(is_leaf: bool, computed: bool) -> None:
    for first in VIEWS:
        for second in VIEWS:
            x = Tensor(np.arange(12, dtype=np.float32).reshape(SHAPE), requires_grad=True)
            x = x if is_leaf else x * 2
            y = first(x)
            if computed:
                y.realize()
            z = second(x)
            assert kernelforge.autograd.grad(z.sum(), [y], allow_unused=True)[0] is None
            assert kernelforge.autograd.grad(y.sum(), [z], allow_unused=True)[0] is None


def test_what_is_computed_alike_is_computed_once() -> None:
    x, w = (Tensor(np.ones((8, 8), np.float32), requires_grad=True) for _ in range(2))
    before = GlobalCounters.kernel_count
    (x @ w).relu().realize()
    alone = GlobalCounters.kernel_count - before
    ((x @ w).relu() + (x @ w).relu()).realize()
    assert GlobalCounters.kernel_count - before == 2 * alone


@pytest.mark.parametrize("alike", [lambda x: (x * 2, x * 2), lambda x: (x, x.clone()), lambda x: (x.exp(), x.exp())])
@pytest.mark.parametrize("computed", [False, True])
def test_a_change_of_one_is_none_of_the_other(alike: Callable[[Tensor], tuple[Tensor, Tensor]], computed: bool) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    for changed in (0, 1):
        both = alike(x + 0)
        if computed:
            Tensor.realize(*both)
        wanted = both[0].tolist()
        with no_grad():
            both[changed].zero_()
        assert both[1 - changed].tolist() == wanted
        assert both[changed].tolist() == [0, 0]


SAME: list[Callable[[Any], Any]] = [
    lambda x: x.view(12),
    lambda x: x.view(2, 6),
    lambda x: x.T,
    lambda x: x[1:],
    lambda x: x[:, ::2],
    lambda x: x[0],
    lambda x: x.view(*x.shape),
    lambda x: x.unsqueeze(0),
    lambda x: x.narrow(1, 1, 2),
]


def slopes_of_changed(seed: int, library: Any, leaf: Callable[[Any], Any]) -> list[Any]:
    """The gradients by all tensors after some of them, which show elements of each other, were changed in place."""
    drawn, values = random.Random(seed), np.random.default_rng(seed)
    leaves = [leaf(values.standard_normal(SHAPE).astype(np.float32)) for _ in range(2)]
    found = [leaves[0] * 2]
    for _ in range(drawn.randint(1, 4)):
        at = drawn.choice(found)
        found.append(drawn.choice(SAME)(at if tuple(at.shape) == SHAPE else found[0]))
    if drawn.random() < 0.3 and library is kernelforge:
        Tensor.realize(*found)
    for _ in range(drawn.randint(1, 3)):
        changed, by = drawn.choice(found), leaves[1].mean() * drawn.randint(1, 3)
        match drawn.randrange(4):
            case 0:
                changed.mul_(2)
            case 1:
                changed.add_(by)
            case 2:
                changed.mul_(by)
            case 3:
                changed[0] = by
    loss = sum((x.sin() * drawn.randint(1, 5)).sum() for x in found)
    if not loss.requires_grad:
        return []
    return list(library.autograd.grad(loss, [*leaves, *(x for x in found if x.requires_grad)], allow_unused=True))


@given(st.integers(0, 2**32 - 1))
def test_gradients_of_what_changed_in_place_are_those_of_torch(seed: int) -> None:
    try:
        wanted = slopes_of_changed(seed, torch, lambda values: torch.tensor(values, requires_grad=True))
    except RuntimeError:  # torch leaves it at that
        return
    found = slopes_of_changed(seed, kernelforge, lambda values: Tensor(values, requires_grad=True))
    assert len(wanted) == len(found)
    for number, (x, y) in enumerate(zip(wanted, found, strict=True)):
        assert (x is None) == (y is None) or not np.any((x if y is None else y).numpy())
        if x is not None and y is not None:
            np.testing.assert_allclose(y.numpy(), x.numpy(), 2e-3, 2e-3, err_msg=f"tensor {number} of program {seed}")
