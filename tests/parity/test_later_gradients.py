"""Gradients that backward() gave are constants to later gradients, computed or not, unless create_graph=True."""

import pytest

import kernelforge

torch = pytest.importorskip("torch")

USES = {
    "read": lambda lib, x: x.grad.tolist(),
    "unread": lambda lib, x: None,
    "changed": lambda lib, x: x.grad.mul_(0.5),
    "replaced": lambda lib, x: setattr(x, "grad", x.grad * 2),
    "added to": lambda lib, x: (x**2).sum().backward(),
    "clipped": lambda lib, x: lib.nn.utils.clip_grad_norm_([x], 1.0),
}


def cubes(x):
    return (x**3).sum()


def of_a_product(lib, x):
    (x.grad * x).sum().backward()


def of_a_target(lib, x):
    x.grad = lib.autograd.grad((x.grad * x).sum(), x)[0]


def of_a_penalty(lib, x):
    cubes(x).backward(create_graph=True)
    (x.grad**2).sum().backward()


def gradient_after(lib, use, then):
    x = lib.tensor([2.0, 3.0], requires_grad=True)
    cubes(x).backward()
    use(lib, x)
    then(lib, x)
    return x.grad.detach().tolist()


@pytest.mark.parametrize("then", [of_a_product, of_a_target, of_a_penalty])
@pytest.mark.parametrize("use", USES)
@pytest.mark.filterwarnings("ignore:Using backward")
def test_as_in_torch(use, then, numpy_device):
    found, expected = (gradient_after(lib, USES[use], then) for lib in (kernelforge, torch))
    assert found == pytest.approx(expected, rel=1e-5)


def test_gradients_that_are_kept_between(numpy_device):
    def kept(lib):
        x = lib.tensor([2.0, 3.0], requires_grad=True)
        y = x**2
        y.retain_grad()
        (y * y).sum().backward()
        x.grad = None
        (y.grad * x).sum().backward()
        return x.grad.tolist()

    assert kept(kernelforge) == kept(torch)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.filterwarnings("ignore:Using backward")
def test_what_hooks_give(create_graph, numpy_device):
    def given(lib):
        x = lib.tensor([2.0, 3.0], requires_grad=True)
        x.register_hook(lambda gradient: gradient * x)
        cubes(x).backward(create_graph=create_graph)
        first, x.grad = x.grad, None
        (first * x).sum().backward()
        return bool(first.requires_grad), x.grad.tolist()

    assert given(kernelforge) == given(torch)
