"""backward(), gradient() and who takes part in them."""

import numpy as np
import pytest

from kernelforge.errors import DeviceError, DTypeError, ShapeError
from kernelforge.tensor import Tensor, enable_grad, no_grad
from tests.tensor.checks import assert_gradient, assert_same, values

pytestmark = pytest.mark.usefixtures("numpy_device")


def leaf(*data):
    return Tensor(list(data), requires_grad=True)


def test_backward_adds_up():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 7]
    x.grad = None
    x.sum().backward(gradient=Tensor(2.0))
    assert x.grad.tolist() == [2, 2]
    assert not x.grad.requires_grad


def test_tensors_without_dimensions_have_gradients():
    x = Tensor(3.0, requires_grad=True)
    (x * x).backward()
    assert x.grad.shape == () and x.grad.item() == 6


def test_only_leaves_that_require_it_get_gradients():
    x, y, z = leaf(1.0), Tensor([2.0]), Tensor([3.0], requires_grad=False)
    middle = x * y * z
    middle.sum().backward()
    assert x.grad.tolist() == [6] and y.grad is z.grad is middle.grad is None
    assert (x.is_leaf, middle.is_leaf, y.is_leaf) == (True, False, True)
    assert (x.requires_grad, middle.requires_grad, y.requires_grad, z.requires_grad) == (True, True, None, False)


def test_equal_leaves_are_different():
    a, b = Tensor.zeros(2, requires_grad=True), Tensor.zeros(2, requires_grad=True)
    c, d = (Tensor.arange(2).float().requires_grad_() for _ in range(2))
    (a * 2 + b * 3 + c * 4 + d * 5 + Tensor.zeros(2) * 7 + Tensor.arange(2).float()).sum().backward()
    assert [t.grad.tolist() for t in (a, b, c, d)] == [[k, k] for k in (2, 3, 4, 5)]
    e = leaf(1.0)
    f = Tensor(e, requires_grad=True)
    (e * 2 + f * 3).sum().backward()
    assert e.grad.tolist() == [2] and f.grad.tolist() == [3]


def test_gradient_of_named_targets():
    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    z = x * y
    dx, dy, dz = (z * z).sum().gradient(x, y, z)
    assert (dx.tolist(), dy.tolist(), dz.tolist()) == ([18, 64], [6, 32], [6, 16])
    assert (x * 2).gradient(x, gradient=Tensor([1.0, 10.0]))[0].tolist() == [2, 20]
    with pytest.raises(RuntimeError, match="does not depend"):
        x.sum().gradient(y, materialize_grads=False)
    assert [g.tolist() for g in x.sum().gradient(x, y)] == [[1, 1], [0, 0]]


def test_realizing_before_the_gradient():
    x = leaf(1.0, 2.0)
    h = x * 2
    loss = (h * h).sum()
    loss.realize(h)
    x.realize()
    loss.backward()
    assert x.grad.tolist() == [8, 16]
    p = Tensor.rand(3, requires_grad=True)
    loss = (p * p).sum()
    p.realize()
    loss.backward()
    assert_same(p.grad, 2 * p.numpy())
    t = Tensor([1.0, 2.0]) + 1
    u = (t * t).sum()
    t.realize()
    assert u.gradient(t)[0].tolist() == [4, 6]


def test_a_loss_forgets_its_history_after_backward():
    x = leaf(1.0, 2.0)
    total = Tensor(0.0)
    for _ in range(3):
        loss = (x * x).sum()
        loss.backward()
        total = (total + loss).realize()
    assert total.item() == 15 and not any(x.src for x in total._node.src)
    assert x.grad.tolist() == [6, 12]


def test_second_derivatives():
    x = Tensor(values(3, low=0.5, high=2).astype(np.float64), requires_grad=True)
    for f in (Tensor.exp, Tensor.sin, Tensor.tanh, Tensor.sigmoid, lambda t: t**3, lambda t: t.softmax(), Tensor.sqrt):
        assert_gradient(lambda t, f=f: f(t).square().sum().gradient(t)[0], x.numpy(), rtol=1e-5)
    g = (x**3).sum().gradient(x)[0]
    (g * g).sum().backward()
    assert_same(x.grad, 36 * x.numpy() ** 3)


def test_second_derivatives_of_products_and_convolutions():
    a, b = values(2, 3), values(3, 2, seed=1)
    assert_gradient(lambda x, y: (x @ y).tanh().sum().gradient(x)[0], a, b, rtol=1e-5)
    image, kernel = values(1, 2, 5), values(2, 2, 3, seed=1)
    assert_gradient(lambda x, y: x.conv1d(y, padding=1).tanh().sum().gradient(y)[0], image, kernel, rtol=1e-5)


def test_detach_stops():
    x = leaf(2.0)
    y = x.detach()
    assert not y.requires_grad
    (x * y).sum().backward()
    assert x.grad.tolist() == [2]
    z = Tensor([2.0])
    assert (z.detach() * z).sum().gradient(z)[0].tolist() == [2]


def test_no_grad():
    x = leaf(2.0)
    with no_grad():
        y = x * 3
        with enable_grad():
            w = x * 5
    assert not y.requires_grad and w.requires_grad
    (x * y + w).sum().backward()
    assert x.grad.tolist() == [6 + 5]

    @no_grad()
    def doubled(t):
        return t * 2

    assert doubled(x).requires_grad is None and doubled.__name__ == "doubled"
    with pytest.raises(RuntimeError, match="depends on no leaf"):
        doubled(x).sum().backward()


def test_turning_gradients_on_and_off():
    x = Tensor([1.0])
    x.requires_grad = True
    (x * 2).sum().backward()
    x.requires_grad_(False)
    with pytest.raises(RuntimeError, match="depends on no leaf"):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [2]


def test_assigned_leaves_stay_leaves():
    x = leaf(1.0, 2.0)
    x.assign(x.detach() * 10)
    (x * x).sum().backward()
    assert x.grad.tolist() == [20, 40]
    x.assign(Tensor.zeros(2))
    x.grad = None
    (x + Tensor.zeros(2)).sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_gradients_keep_shape_and_dtype():
    x = Tensor(values(2, 3, dtype=np.float16), requires_grad=True)
    (x.float() * 2).sum().backward()
    assert x.grad.shape == (2, 3) and str(x.grad.dtype) == "float16"


def test_ties_share_and_broadcasts_sum():
    x = leaf(1.0, 3.0, 3.0)
    x.max().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5]
    b = Tensor(1.0, requires_grad=True)
    (b + Tensor.zeros(4, 5)).sum().backward()
    assert b.grad.item() == 20


def test_long_chains():
    x = leaf(1.0)
    y = x
    for _ in range(3000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1]


def test_errors():
    with pytest.raises(ShapeError, match=r"gradient= with a tensor of its shape"):
        (leaf(1.0, 2.0) * 2).backward()
    with pytest.raises(ShapeError, match="cotangent has shape"):
        (leaf(1.0, 2.0) * 2).backward(Tensor([1.0]))
    with pytest.raises(DTypeError, match="only float tensors"):
        Tensor([1, 2], requires_grad=True)
    with pytest.raises(DTypeError, match="only floats"):
        (leaf(1.0) > 0).sum().backward()
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        Tensor([1.0]).sum().backward()


def test_without_requires_grad_everything_gets_a_gradient(numpy_device):
    x, w, fixed = Tensor([1.0, 2.0]), Tensor([3.0, -1.0]), Tensor([2.0, 2.0], requires_grad=False)
    y = x * w
    (y * fixed).sum().backward()
    assert (x.grad.tolist(), w.grad.tolist(), y.grad.tolist()) == ([6, -2], [2, 4], [2, 2])
    assert fixed.grad is None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [8, 0]
    marked = Tensor([1.0, 1.0], requires_grad=True)
    (marked * x).sum().backward()
    assert marked.grad.tolist() == [1, 2] and x.grad.tolist() == [8, 0], "as in torch where something is marked"
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        Tensor([1.0], requires_grad=False).exp().backward(Tensor([1.0]))


def test_hooks_and_retained_gradients_are_of_one_tensor():
    """What is computed alike later is another tensor, though its values are the same."""
    x = leaf(1.0, 2.0)
    hooked = x * x
    hooked.register_hook(lambda gradient: gradient * 10)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    x.grad = None
    hooked.sum().backward()
    assert x.grad.tolist() == [20, 40]
    first = x.sin()
    doubled = first * 2
    first.retain_grad()  # after it was used
    second = x.sin()
    second.retain_grad()
    (doubled + second * 3).sum().backward()
    assert first.grad.tolist() == [2, 2] and second.grad.tolist() == [3, 3]


def test_hooks_of_each_round_are_called_once():
    x, calls = leaf(1.0, 2.0), []
    for _ in range(4):
        y = x * 3
        y.register_hook(calls.append)
        y.sum().backward()
    assert len(calls) == 4 and x.grad.tolist() == [12, 12]


INTEGERS = ("int", "long", "short", "byte", "bool", "any", "all", "isfinite", "argmax", "nonzero")


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_and_truths_carry_no_gradient(name: str) -> None:
    leaf = Tensor([1.5, -2.0], requires_grad=True)
    for x in (leaf, leaf * 2):
        found = getattr(x, name)()
        assert not found.requires_grad and found.is_leaf
        assert not (found.float() * 2).requires_grad
        assert (found * x).requires_grad


def test_gradients_across_devices_tell_where_to_have_the_variable() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True, device="CPU")
    y = (x * 2).to("NUMPY").sum()
    for wrong in (y.backward, lambda: y.gradient(x)):
        with pytest.raises(DeviceError, match=r"on NUMPY with respect to one on CPU.*x.to.'NUMPY'..detach"):
            wrong()
    there = x.to("NUMPY").detach().requires_grad_()
    (there * 2).sum().backward()
    assert there.grad is not None and there.grad.tolist() == [2, 2]
    with pytest.raises(DeviceError, match=r"different devices, CPU and NUMPY: move one of them"):
        (x * 2).sum().backward(Tensor(1.0, device="NUMPY").realize())
