"""Gradients of programs that read values at any time: as without reading, and as torch's, errors included."""

from __future__ import annotations

import gc
import pickle
from copy import deepcopy
from typing import Any
from weakref import ref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import Tensor, jit, no_grad, optim
from kernelforge.tensor.spent import SPENT

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")
SHAPE = 2, 3
START = np.arange(1, 7, dtype=np.float32).reshape(SHAPE) / 5
AGAIN = "a second time"

OF_ONE = [
    lambda x: x * 0.5, lambda x: x + 1, lambda x: x.tanh(), lambda x: x * x, lambda x: x.T.reshape(SHAPE), lambda x: -x,
    lambda x: x.softmax(-1), lambda x: x.clone(), lambda x: x.detach(), lambda x: x - x.mean(), lambda x: x[:],
]  # fmt: skip
OF_TWO = [lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - y.sum(), lambda x, y: (x @ y.T).sum() * y]
LOSSES = [lambda x: x.sum(), lambda x: (x * x).sum(), lambda x: x.mean() + 1, lambda x: x.exp().mean()]
READS = [lambda x: x.numpy(), lambda x: x.realize(), lambda x: x.sum().item(), lambda x: (x + 1).realize()]

NUMBER = st.integers(0, 1 << 16)
MADE = st.one_of(st.tuples(st.just("one"), NUMBER, NUMBER), st.tuples(st.just("two"), NUMBER, NUMBER, NUMBER))
LOSS = st.tuples(st.just("loss"), NUMBER, NUMBER)
BACKWARD = st.tuples(st.just("backward"), NUMBER, st.booleans())
USED = st.tuples(st.sampled_from(["used", "added", "added to", "aside"]), NUMBER, NUMBER)
PROGRAM = st.lists(st.one_of(MADE, LOSS, LOSS, BACKWARD, BACKWARD, USED, USED), min_size=4, max_size=14)


class _Run:
    """A program's values: arrays, losses, and what each backward() left behind."""

    def __init__(self, make: Any, keeps: bool, read: Any) -> None:
        self.leaves = [make(START), make(START[::-1].copy())]
        self.values, self.losses = list(self.leaves), [self.leaves[0].sum()]
        self.keeps, self.read, self.told = keeps, read, list[Any]()
        self.aside = no_grad if make is _own else torch.no_grad

    def do(self, kind: str, *numbers: Any) -> None:
        values, losses = self.values, self.losses
        if kind == "one":
            values.append(OF_ONE[numbers[0] % len(OF_ONE)](values[numbers[1] % len(values)]))
        elif kind == "two":
            first, second = (values[i % len(values)] for i in numbers[1:])
            values.append(OF_TWO[numbers[0] % len(OF_TWO)](first, second))
        elif kind == "loss":
            losses.append(LOSSES[numbers[0] % len(LOSSES)](values[numbers[1] % len(values)]))
        elif kind == "used":
            values.append(values[numbers[0] % len(values)] * losses[numbers[1] % len(losses)])
        elif kind == "added":
            losses.append(losses[numbers[0] % len(losses)] + losses[numbers[1] % len(losses)])
        elif kind == "added to":
            losses[numbers[0] % len(losses)] += losses[numbers[1] % len(losses)].clone()
        elif kind == "aside":
            with self.aside():
                losses.append(losses[numbers[0] % len(losses)] * 2)
        else:
            loss = losses[numbers[0] % len(losses)]
            if not (loss.requires_grad or getattr(loss, "_tracked", None) is SPENT):
                raise RuntimeError("no gradient")  # here all that it was computed from would get one
            loss.backward(retain_graph=numbers[1] or self.keeps)
            self.told.append([x.grad if x.grad is None else np.array(x.grad.tolist()) for x in self.leaves])

    def run(self, program: Any) -> Any:
        """What each backward() left behind, the last of them perhaps an error; reads between the steps."""
        for i, step in enumerate(program):
            try:
                self.do(*step)
            except RuntimeError as error:
                text = str(error)
                self.told.append(AGAIN if AGAIN in text or "second time" in text else "no gradient")
                break
            if self.read is not None:
                self.read(i, [*self.values, *self.losses])
        return self.told


def _own(array: Any) -> Tensor:
    return Tensor(array, requires_grad=True)


def _theirs(array: Any) -> Any:
    return torch.tensor(array, requires_grad=True)


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return a is b or a == b
    return all((x is None) == (y is None) and (x is None or np.allclose(x, y, 1e-4, 1e-4)) for x, y in zip(a, b))


@given(PROGRAM, st.lists(st.tuples(NUMBER, NUMBER, NUMBER), max_size=10))
def test_programs(program: Any, reads: Any) -> None:
    def read(i: int, values: list[Tensor]) -> None:
        for step, which, how in reads:
            if step % len(program) == i:
                READS[how % len(READS)](values[which % len(values)])

    plain = _Run(_own, False, None).run(program)
    mixed = _Run(_own, False, read).run(program)
    assert len(plain) == len(mixed) and all(map(_close, plain, mixed))
    kept, freed = (_Run(_theirs, keeps, None).run(program) for keeps in (True, False))
    done = [x for x in plain if not isinstance(x, str)]
    assert all(map(_close, done, kept)), "torch that keeps all graphs"
    assert len(done) >= len([x for x in freed if not isinstance(x, str)]), "torch goes on where this does not"


@pytest.mark.parametrize("read", [False, True])
def test_a_loss_after_its_backward(read: bool) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    loss = (x**2).sum()
    loss.backward()
    total = Tensor(0.0) + loss
    if read:
        assert loss.item() == 5 and total.item() == 5
    assert loss.requires_grad is None and total.requires_grad is None
    for later in (loss, total, loss + (x**3).sum(), total * x.sum(), deepcopy(loss) + x.sum(), loss.expand(2) * x):
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            later.sum().backward()
    with no_grad():
        aside = loss * 2
    (x.sum() * aside + x.sum() * loss.detach() + x.sum() * pickle.loads(pickle.dumps(loss))).backward()
    assert x.grad is not None and x.grad.tolist() == [2.0 + 20, 4.0 + 20]


@pytest.mark.parametrize("read", [False, True])
def test_a_graph_that_is_kept(read: bool) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    loss = (x**2).sum()
    loss.backward(retain_graph=True)
    if read:
        loss.item()
    (loss + (x**3).sum()).backward()
    assert x.grad is not None and x.grad.tolist() == [2.0 + 5, 4.0 + 16]


def test_a_sum_of_losses_keeps_none_of_their_graphs() -> None:
    """As in a loop that adds up its losses to print their mean."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    total = Tensor(0.0)
    for _ in range(3):
        loss = (x**2).sum()
        loss.backward()
        total += loss
    assert total.item() == 15
    assert not total._node.src[0].src and not loss.realize()._node.src[0].src


def test_a_captured_step_gives_a_loss_whose_graph_is_gone() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)

    @jit
    def step() -> Tensor:
        x.grad = None
        loss = (x**2).sum()
        loss.backward()
        return loss.realize()

    for _ in range(4):
        loss = step()
        with pytest.raises(RuntimeError, match="a second time"):
            (loss + x.sum()).backward()
        assert loss.item() == 5


@pytest.mark.parametrize("read", [lambda loss: None, lambda loss: loss.item(), lambda loss: loss.realize()])
@pytest.mark.parametrize("early", [False, True])
def test_a_detached_loss_holds_no_weights(read: Any, early: bool) -> None:
    w, kept, expected, weights = _own(START), list[Tensor](), list[float](), list[Any]()
    step = optim.SGD([w], lr=0.1)
    for _ in range(5):
        step.zero_grad()
        loss = (w * w).mean()
        if early:
            read(loss)
        kept.append(loss.detach())
        if not early:
            read(loss)
        expected.append(float((w.numpy() ** 2).mean()))
        weights.append(ref(w._stored))
        loss.backward()
        step.step()
    del loss
    gc.collect()
    assert not any(weight() is not None for weight in weights[:-1])
    np.testing.assert_allclose([x.item() for x in kept], expected, 1e-5)


def test_a_detached_loss_that_is_a_leaf_has_gradients_of_its_own() -> None:
    w = _own(START)
    loss = (w * w).sum()
    leaf = loss.detach().requires_grad_()
    loss.backward()
    (leaf * 3).backward()
    assert leaf.grad.item() == 3


@pytest.mark.parametrize("form", ["whole", "whole with a view", "view", "place"])
def test_a_loss_that_was_spent_is_none_to_what_shows_it_either(form: str) -> None:
    weights = Tensor([1.0, 2.0], requires_grad=True)
    loss = (weights * weights).sum()
    loss.backward()
    base = Tensor([0.0, 0.0])
    view = base[0] if form != "whole" else None
    if form == "place":
        base[0] += loss
    else:
        (view if form == "view" and view is not None else base).add_(loss)
    for shown in (base, view):
        if shown is not None:
            assert shown.max().item() == 5
            with pytest.raises(RuntimeError, match=AGAIN):
                shown.sum().backward()
    assert weights.grad is not None and weights.grad.tolist() == [2, 4]
