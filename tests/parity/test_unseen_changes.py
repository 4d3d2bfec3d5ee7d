"""Changes in place that gradients do not see, under no_grad() or of what detach() gives, leave them as in torch."""

import gc

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor
from kernelforge.tensor.registry import former
from tests.parity.checks import torch

CHANGES = {
    "[0]": lambda library, w: w.__setitem__(0, 0.0),
    "[places]": lambda library, w: w.__setitem__(library.tensor([0, 2]), 7.0),
    "view": lambda library, w: w[1:].fill_(5.0),
    "view of a view": lambda library, w: w[1:][1:].zero_(),
    "clamp_": lambda library, w: w.clamp_(-0.5, 0.5),
    "copy_": lambda library, w: w.copy_(library.ones(3)),
    "zero_": lambda library, w: w.zero_(),
    "add_": lambda library, w: w.add_(1.0),
    "itself": lambda library, w: w.mul_(w),
    "masked_fill_": lambda library, w: w.masked_fill_(w > 3, 0.0),
    "detach": lambda library, w: w.detach().zero_(),
    "view of detach": lambda library, w: w.detach()[:2].mul_(3.0),
    "again": lambda library, w: [w.mul_(2.0) for _ in range(5)],
}
changes = pytest.mark.parametrize("change", CHANGES)


def start(library):
    return library.tensor([1.0, 2.0, 3.0], requires_grad=True)


def changed(library, change, w):
    with library.no_grad():
        CHANGES[change](library, w)


def of_a_leaf(library, change):
    w = start(library)
    changed(library, change, w)
    (w * w).sum().backward()
    return w, w.grad


def of_a_result(library, change):
    x = start(library)
    w = x * 2
    changed(library, change, w)
    (w * w).sum().backward()
    return w, x.grad


def of_a_view(library, change):
    x = start(library)
    w = x * 2
    part = w.reshape(3, 1)[1:]
    changed(library, change, w)
    (part * 3).sum().backward()
    return part, x.grad


def through_a_view(library, change):
    x = start(library)
    w = x.unsqueeze(0) * library.ones(2, 3) * 2
    changed(library, change, w[0])
    (w * w).sum().backward()
    return w, x.grad


def of_a_result_with_its_own(library, change):
    x = start(library)
    w = x * 2
    w.retain_grad()
    changed(library, change, w)
    (w * 3).sum().backward()
    return w.grad, x.grad


def then_seen(library, change):
    x = start(library)
    w = x * 2
    changed(library, change, w)
    w.mul_(3.0)
    (w * w).sum().backward()
    return w, x.grad


@changes
@pytest.mark.parametrize(
    "program", [of_a_leaf, of_a_result, of_a_view, through_a_view, of_a_result_with_its_own, then_seen]
)
def test_gradients_flow_as_before(program, change, device):
    found, expected = program(kernelforge, change), program(torch, change)
    assert [x.tolist() for x in found] == [x.tolist() for x in expected]


def test_many_unseen_changes_keep_no_more_than_the_first(numpy_device):
    """What gradients flow to is what was there before all of them."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    w = x * 2
    with kernelforge.no_grad():
        for _ in range(4):
            w += 1
            w.realize()
    before = w._node.src[1]
    assert before.op != "surrogate"
    w.sum().backward()
    assert w.tolist() == [6, 8] and x.grad.tolist() == [2, 2]


def of_what_a_leaf_gave_before(library, change):
    w = start(library)
    y = w.exp() + w  # torch takes gradients of what needs the old value no more
    changed(library, change, w)
    y.sum().backward()
    return w, w.grad


def asked_for_by_name(library, change):
    w = start(library)
    y = w.exp() * 2
    changed(library, change, w)
    gradient = kernelforge.autograd.grad if library is kernelforge else torch.autograd.grad
    return w, gradient(y.sum(), w)[0]


@changes
@pytest.mark.parametrize("program", [of_what_a_leaf_gave_before, asked_for_by_name])
def test_leaves_that_changed_since_they_were_used_have_gradients(program, change, device):
    found, expected = program(kernelforge, change), program(torch, change)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-6)


def test_a_leaf_that_changed_twice_gets_one_gradient_of_all_it_was(numpy_device):
    w, seen = Tensor([1.0, 2.0], requires_grad=True), []
    w.register_hook(lambda gradient: seen.append(gradient.tolist()))
    y = w * w
    with kernelforge.no_grad():
        w.add_(1)
    z = w * w
    with kernelforge.no_grad():
        w.add_(1)
    (y + z).sum().backward()
    assert w.grad.tolist() == [2 + 4, 4 + 6] and seen == [w.grad.tolist()]


def test_a_second_loss_after_a_step(numpy_device):
    w, v = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0], requires_grad=True)
    optimizer = kernelforge.optim.SGD([w, v], lr=0.5)
    first, second = (w * v).sum(), (w * w * v).sum()
    for loss, expected in ((first, ([3, 4], [1, 2])), (second, ([6, 16], [1, 4]))):
        optimizer.zero_grad()
        loss.backward()
        assert (w.grad.tolist(), v.grad.tolist()) == expected
        optimizer.step()


def test_nodes_a_leaf_had_are_let_go(numpy_device):
    w = Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        y = (w * w).sum()
        with kernelforge.no_grad():
            w.add_(1)
        w.realize()
    del y
    gc.collect()
    assert not [node for node, tensor in former.items() if tensor() is w]


def test_what_a_loop_carries_on_ends_at_the_change(numpy_device):
    w, state = Tensor([2.0], requires_grad=True), Tensor([1.0])
    for expected in (1.0, 2.0, 4.0):
        w.grad = None
        state = w * state
        state.sum().backward(retain_graph=True)
        assert w.grad.tolist() == [expected]
        with kernelforge.no_grad():
            w.add_(0)
