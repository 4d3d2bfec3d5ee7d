"""Functions with their own backward, hooks, checks and anomalies, held against torch where it has them."""

from contextlib import nullcontext

import numpy as np
import pytest

from kernelforge import Context, Tensor, autograd, jit
from kernelforge.errors import AnomalyError, ShapeError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")


def cubed_and_doubled(base, log):
    """The same function in either library."""

    class CubedAndDoubled(base):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x * x * x * factor, x * 2

        @staticmethod
        def backward(ctx, dy, dz):
            log.append(ctx.needs_input_grad)
            (x,) = ctx.saved_tensors
            return dy * 3 * x * x * ctx.factor + dz * 2, None

    return CubedAndDoubled


def used(library, base, make):
    log = []
    apply = cubed_and_doubled(base, log).apply
    x = make([1.0, 2.0, -3.0])
    y, z = apply(x * 1.5, 2.0)
    again, _ = apply(y, 1.0)
    (y.sum() + z.sum() + again.sum() * 0.01).backward()
    return x.grad.tolist(), log


def test_a_function_is_differentiated_by_its_backward():
    ours = used(None, autograd.Function, lambda v: Tensor(v, requires_grad=True))
    theirs = used(None, torch.autograd.Function, lambda v: torch.tensor(v, requires_grad=True))
    assert ours == (pytest.approx(theirs[0], rel=1e-5), theirs[1])


def test_backward_is_called_each_time_and_once():
    log = []
    apply = cubed_and_doubled(autograd.Function, log).apply
    x = Tensor([1.0], requires_grad=True)
    for count in (1, 2, 3):
        apply(x, 1.0)[0].sum().backward()
        assert len(log) == count and x.grad.item() == 3 * count


def test_equal_expressions_outside_keep_their_gradient():
    class Nothing(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * 0

    x = Tensor([1.0], requires_grad=True)
    (Nothing.apply(x) + x * 2).sum().backward()
    assert x.grad.item() == 2


def test_setup_context_and_results_without_gradient():
    class Parts(autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2, x.floor()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.mark_non_differentiable(output[1])

        @staticmethod
        def backward(ctx, dy, dz):
            assert dz.tolist() == [0.0]
            return dy * 5

    x = Tensor([1.5], requires_grad=True)
    y, z = Parts.apply(x)
    assert y.requires_grad and not z.requires_grad
    assert y.sum().gradient(x)[0].item() == 5
    with autograd.no_grad():
        assert not Parts.apply(x)[0].requires_grad


def test_a_backward_that_fits_nothing():
    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum()

        @staticmethod
        def backward(ctx, dy):
            return dy

    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ShapeError, match=r"Wrong.backward\(\) gave a gradient of \(\) for an argument of \(2,\)"):
        Wrong.apply(x).backward()


def hooked(make):
    x, log = make([1.0, 2.0, 3.0]), []
    y = x * 2
    y.register_hook(lambda g: (log.append(g.tolist()), g * 10)[1])
    w = y + 1
    w.retain_grad()
    w.register_hook(lambda g: g + 1)
    total = (y * y).sum() + (x * x * x).sum() + (w * w).sum()
    removed = x.register_hook(lambda g: g * 0)
    removed.remove()
    x.register_hook(lambda g: g + 0.5)
    total.backward()
    return x.grad.tolist(), w.grad.tolist(), log, w.retains_grad


def test_hooks_as_in_torch():
    assert hooked(lambda v: Tensor(v, requires_grad=True)) == hooked(lambda v: torch.tensor(v, requires_grad=True))


def test_hooks_after_accumulation():
    x, seen = Tensor([1.0], requires_grad=True), []
    handle = x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.item()))
    for _ in range(2):
        (x * 3).sum().backward()
    handle.remove()
    x.sum().backward()
    assert seen == [3.0, 6.0]
    for call in (lambda: Tensor([1.0]).register_hook(print), lambda: (x * 2).register_post_accumulate_grad_hook(print)):
        with pytest.raises(RuntimeError):
            call()


def test_a_gradient_in_memory_of_its_own():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x.contiguous_backward() * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize(
    "function", [lambda x: x.sin() * x, lambda x: (x @ x.T).softmax(-1), lambda x: x.cumsum(0).exp()]
)
def test_gradcheck(function):
    x = Tensor(np.random.default_rng(1).normal(size=(2, 3)), requires_grad=True)
    assert autograd.gradcheck(function, x) and autograd.gradgradcheck(function, (x,))


def test_gradcheck_finds_a_wrong_derivative():
    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return dy

    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    with pytest.raises(RuntimeError, match="differences say"):
        autograd.gradcheck(Wrong.apply, x)
    assert not autograd.gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(RuntimeError, match="float64"):
        autograd.gradcheck(Wrong.apply, Tensor([1.0], requires_grad=True))


def test_derivatives_of_functions():
    functional = autograd.functional
    x = np.array([1.0, 2.0, 0.5])
    reference = torch.autograd.functional

    def both(name, function, *rest):
        ours = getattr(functional, name)(function, Tensor(x), *map(Tensor, rest))
        theirs = getattr(reference, name)(function, torch.tensor(x), *map(torch.tensor, rest))
        for found, expected in zip(autograd.functional.several(ours), autograd.functional.several(theirs)):
            np.testing.assert_allclose(found.detach().numpy(), expected.numpy())

    both("jacobian", lambda v: v.exp() * v.sum())
    both("hessian", lambda v: (v.exp() * v.sum()).sum())
    both("vjp", lambda v: v * v, np.array([1.0, -1.0, 2.0]))
    both("jvp", lambda v: v * v * v.sum(), np.array([1.0, -1.0, 2.0]))


def test_grad_takes_several_outputs():
    x, y = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    found = autograd.grad([(x * x).sum(), x * y], [x, y], [None, Tensor([1.0, 1.0])])
    assert [part.tolist() for part in found] == [[5.0, 7.0], [3.0]]
    assert autograd.grad(x.sum(), y, allow_unused=True) == (None,)
    with pytest.raises(RuntimeError):
        autograd.grad(x.sum(), y)
    with pytest.raises(RuntimeError, match="cotangent"):
        autograd.grad(x, x)


def test_an_anomaly_names_operation_and_line():
    def wrong(x):
        middle = x * 3 + 1
        return middle.log().softmax(0) * 2

    with pytest.raises(AnomalyError) as caught, autograd.detect_anomaly():
        wrong(Tensor([1.0, -1.0])).sum().item()
    line = wrong.__code__.co_firstlineno + 2
    assert "NaN first appeared in log" in str(caught.value) and f"{__file__}:{line}" in str(caught.value)
    assert "at [1]" in str(caught.value) and "values from -2.0 to 4.0, there -2.0" in str(caught.value)
    assert wrong(Tensor([1.0, -1.0])).isnan().all().item()


def test_infinity_is_an_anomaly_where_asked_for():
    def wrong(x):
        return (x * 100).exp() + 1

    for level, fine in ((1, True), (2, False)):
        with Context(NAN=level), nullcontext() if fine else pytest.raises(AnomalyError) as caught:
            wrong(Tensor([[0.0, 1.0, 2.0]])).numpy()
    line = wrong.__code__.co_firstlineno + 1
    assert "infinity first appeared in exp" in str(caught.value) and f"{__file__}:{line}" in str(caught.value)
    assert "at [0, 1]" in str(caught.value) and "there 100.0" in str(caught.value)
    with Context(NAN=2, EAGER=0):  # each operation that runs as it is made gives a result
        assert Tensor([1.0, 2.0]).masked_fill(Tensor([True, False]), -float("inf")).max().item() == 2.0


def test_captured_steps_are_looked_into():
    step = jit(lambda x: (x - 1).log() * 2)
    for _ in range(3):
        step(Tensor([2.0, 3.0]))
    with pytest.raises(AnomalyError, match="first appeared in log"), Context(NAN=1):
        step(Tensor([0.5, 3.0])).numpy()


def test_an_anomaly_in_a_gradient_and_in_what_was_given():
    x = Tensor([0.0, 1.0], requires_grad=True)
    with pytest.raises(AnomalyError, match="first appeared in div"), autograd.detect_anomaly():
        ((x * 0).sqrt() * x).sum().backward()
        x.grad.realize()
    with pytest.raises(AnomalyError, match="that were given"), autograd.detect_anomaly():
        (Tensor([float("nan"), 1.0]) + 1).numpy()


def test_modes():
    assert autograd.is_grad_enabled() and not autograd.is_anomaly_enabled()
    with autograd.set_grad_enabled(False):
        assert not autograd.is_grad_enabled()
    with autograd.set_detect_anomaly(True):
        assert autograd.is_anomaly_enabled()

    @autograd.set_grad_enabled(False)
    def inside():
        return autograd.is_grad_enabled()

    assert not inside() and autograd.is_grad_enabled() and not autograd.is_anomaly_enabled()
