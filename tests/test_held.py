"""Random numbers and parameters are computed once, and no longer than the program holds them."""

import numpy as np

from kernelforge import GlobalCounters, Tensor, held, nn


def launches(make: Tensor) -> int:
    before = GlobalCounters.kernel_count
    make.numpy()
    return GlobalCounters.kernel_count - before


def test_a_fresh_model_draws_its_weights_once() -> None:
    model, x = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)), Tensor(np.ones((2, 5), np.float32))
    first, counts = model(x).numpy(), [launches(model(x)) for _ in range(3)]
    assert counts[0] == counts[1] == counts[2]
    assert all(parameter._stored is not None for parameter in model.parameters())
    np.testing.assert_array_equal(model(x).numpy(), first)


def test_random_numbers_stay_while_they_are_held() -> None:
    x = Tensor.rand(64)
    total = (x * 2).sum().item()
    assert x._stored is not None and np.isclose((x.numpy() * 2).sum(), total)


def test_random_numbers_nobody_holds_are_forgotten() -> None:
    x = Tensor.rand(64)
    node = x._node
    assert held.held_among([node], []) == [node]
    made = x * 2
    del x
    assert held.held_among([node], []) == [] and node not in held._held
    made.numpy()
    assert node.realized is None


def test_a_tensor_that_stands_for_something_else_by_now_is_not_computed() -> None:
    x = Tensor.rand(37)
    node, doubled = x._node, x * 2
    x.assign(Tensor.ones(37))
    doubled.numpy()
    assert node.realized is None and x._stored is None
