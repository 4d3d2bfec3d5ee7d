"""Modules as functions of their parameters: torch.func.functional_call, stack_module_state, linearize."""

import numpy as np
import pytest

from kernelforge import Tensor, func, nn
from kernelforge.errors import ArgumentError, ShapeError


class Shared(nn.Module):
    """Two names of one weight, and layers in a plain list."""

    def __init__(self):
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.more = [nn.Linear(3, 2)]

    def forward(self, x):
        return self.more[0](self.second(self.first(x)))


def test_other_parameters(numpy_device):
    model, x = Shared(), Tensor.randn(4, 3)
    before = model(x).numpy()
    given = {"first.weight": Tensor.eye(3) * 2, "more.0.bias": Tensor([5.0, 6.0])}
    found = func.functional_call(model, given, x)
    expected = (x.numpy() * 4) @ model.more[0].weight.numpy().T + np.array([5.0, 6.0])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    alone = func.functional_call(model, given, x, tie_weights=False)
    assert not np.allclose(alone.numpy(), expected)
    assert np.array_equal(model(x).numpy(), before)


def test_what_is_not_there(numpy_device):
    model = nn.Linear(3, 2)
    with pytest.raises(ArgumentError, match="it has no .*weights"):
        func.functional_call(model, {"weights": Tensor.ones(2, 3)}, Tensor.ones(3))
    with pytest.raises(ArgumentError, match="bias.* not given"):
        func.functional_call(model, {"weight": Tensor.ones(2, 3)}, Tensor.ones(3), strict=True)
    with pytest.raises(ShapeError):
        func.stack_module_state([nn.Linear(3, 2), nn.Linear(3, 4)])


def test_gradients_and_batches_of_models(numpy_device):
    models = [nn.Linear(3, 2) for _ in range(4)]
    parameters, buffers = func.stack_module_state(models)
    x = Tensor.randn(4, 5, 3)
    found = func.vmap(lambda p, b, x: func.functional_call(models[0], [p, b], (x,)))(parameters, buffers, x)
    for i, model in enumerate(models):
        np.testing.assert_allclose(found.numpy()[i], model(x[i]).numpy(), rtol=1e-5, atol=1e-6)
    slopes = func.grad(lambda p: func.functional_call(models[0], p, (x[0],)).sum())(dict(models[0].named_parameters()))
    np.testing.assert_allclose(slopes["bias"].numpy(), [5.0, 5.0])


def test_linearize(numpy_device):
    y, push = func.linearize(lambda x: x * x, Tensor([1.0, 3.0]))
    assert y.tolist() == [1.0, 9.0]
    assert push(Tensor([1.0, 0.5])).tolist() == [2.0, 3.0]
