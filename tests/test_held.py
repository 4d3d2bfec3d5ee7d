"""Random numbers, parameters and what changes in place are computed once, and no longer than the program holds them."""

import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from kernelforge import GlobalCounters, Tensor, graph, held, jit, nn, no_grad
from kernelforge.tensor.registry import pending
from tests.forgotten import forget_plans

ROUNDS = 12
FEW = 5  # kernels


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


@pytest.mark.usefixtures("numpy_device")
def test_what_is_computed_needs_holding_no_more() -> None:
    """Else each graph would be looked at for it, and none be run as one that is known."""
    layer, x = nn.Linear(5, 7), Tensor(np.ones((2, 5), np.float32))
    for _ in range(2):
        layer(x).numpy()
    assert all(parameter._stored is not None for parameter in layer.parameters())
    assert not any(parameter._node in held._held for parameter in layer.parameters())


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


# ------------------------------------------------------------------------------------------- loops that change tensors


def written() -> Iterator[float]:
    """Rows of a cache are written, one each time, and all of it is read."""
    cache = Tensor(np.zeros((16, 4), np.float32))
    for i in range(ROUNDS):
        cache[i : i + 1] = np.full((1, 4), i + 1.0, np.float32)
        yield (cache * 2).sum().item() - 4 * (i + 1) * (i + 2)


def averaged() -> Iterator[float]:
    """A mean that is changed twice in place."""
    mean, wanted = Tensor(np.zeros(8, np.float32)), 0.0
    for i in range(ROUNDS):
        mean *= 0.5
        mean += Tensor(np.full(8, i, np.float32))
        wanted = wanted * 0.5 + i
        yield (mean * 2).sum().item() - 16 * wanted


def descended() -> Iterator[float]:
    """Descent by hand: the loss that is read is one the change of the weight depends on, not the other way round."""
    weight, wanted = Tensor(np.array([2.0, -1.0], np.float32)).requires_grad_(), np.array([2.0, -1.0])
    for _ in range(ROUNDS):
        loss = weight.square().sum()
        loss.backward()
        with no_grad():
            weight -= 0.25 * weight.grad
        weight.grad = None
        yield loss.item() - np.square(wanted).sum()
        wanted *= 0.5


def through_views() -> Iterator[float]:
    """One of two views that overlap is changed, the other is read; what they are views of is gone."""
    whole = Tensor(np.zeros(8, np.float32))
    first, second = whole[:5], whole[3:]
    del whole
    for i in range(ROUNDS):
        first += 1
        yield (second * 2).sum().item() - 4 * (i + 1)


@pytest.mark.parametrize("device", ["CPU"], indirect=True)
@pytest.mark.parametrize("program", [written, averaged, descended, through_views])
def test_a_loop_that_changes_tensors_compiles_no_kernel_for_each_round(
    program: Callable[[], Iterator[float]], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_plans(monkeypatch)
    before = GlobalCounters.compiled
    assert all(abs(off) < 1e-4 for off in program())
    assert GlobalCounters.compiled - before <= FEW


@pytest.mark.usefixtures("numpy_device")
def test_what_changed_is_left_alone_by_what_it_shares_nothing_with() -> None:
    x, y = Tensor(np.ones(7, np.float32)), Tensor(np.ones(7, np.float32))
    x += 1
    (y * 3).sum().item()
    assert x._stored is None
    total = (x * 3).sum().item()
    assert x._stored is not None and total == 42


@pytest.mark.usefixtures("numpy_device")
def test_constants_are_no_shared_work() -> None:
    x, y = Tensor(np.ones(1, np.float32)), Tensor(np.ones(3, np.float32))
    x[0] = 0.5
    assert (y * Tensor([0.5, 0.5, 0.5]) + Tensor.full((1,), 0.5)).sum().item() == 3
    assert x._stored is None and x.tolist() == [0.5]


@pytest.mark.usefixtures("numpy_device")
def test_a_change_that_fails_is_told_of_once_and_then_to_who_asks_for_it() -> None:
    """It shares work with what is asked for afterwards."""
    shared = Tensor(np.zeros((2, 2), np.float32)) * 2
    changed = Tensor(np.ones((2, 2), np.float32)) * 1
    changed += shared.inverse()
    with pytest.raises(np.linalg.LinAlgError):
        (shared + 1).sum().item()
    assert (shared + 1).sum().item() == 4
    with pytest.raises(np.linalg.LinAlgError):
        changed.numpy()
    assert (shared + 2).sum().item() == 8


@pytest.mark.usefixtures("numpy_device")
def test_what_a_captured_function_changed_before_it_failed_is_not_computed() -> None:
    left = []

    @jit
    def fails(x: Tensor) -> Tensor:
        made = x * 2
        made += 1
        left.append(made)
        raise ValueError("in the middle")

    waiting = Tensor(np.ones(3, np.float32))
    waiting += 1
    before = dict(pending)
    with pytest.raises(ValueError, match="in the middle") as error:
        fails(Tensor(np.ones(3, np.float32)))
    assert error.traceback and left and dict(pending) == before and id(waiting) in before


# ---------------------------------------------------------------------------------- loops that make parameters anew


def _start() -> Tensor:
    return Tensor(np.array([2.0, -1.0], np.float32)).requires_grad_()


def detached() -> Iterator[Tensor]:
    """The loss is read when the next weight is there already."""
    weight = _start()
    while True:
        loss = (weight * weight).sum()
        loss.backward()
        weight = (weight - 0.25 * weight.grad).detach().requires_grad_()
        loss.item()
        yield weight


def asked_for_nothing() -> Iterator[Tensor]:
    weight = _start()
    while True:
        (slope,) = (weight * weight).sum().gradient(weight)
        weight = (weight - 0.25 * slope).detach().requires_grad_()
        yield weight


def of_several_weights() -> Iterator[Tensor]:
    first, second = _start(), _start()
    while True:
        ((first * first).sum() + (second * second).sum()).backward()
        first, second = ((x - 0.25 * x.grad).detach().requires_grad_() for x in (first, second))
        yield second


def with_momentum() -> Iterator[Tensor]:
    """Of which nothing is left, so that the weights are what they are without."""
    weight, momentum = _start(), Tensor([0.0, 0.0])
    while True:
        (weight * weight).sum().backward()
        momentum = 0.0 * momentum + weight.grad
        weight = (weight - 0.25 * momentum).detach().requires_grad_()
        yield weight


def with_a_rate() -> Iterator[Tensor]:
    """Which changes in each round, and which no gradient is part of."""
    weight, rate = _start(), Tensor([0.25, 0.25])
    while True:
        (weight * weight).sum().backward()
        rate = rate * 1.0 + 0.0
        weight = (weight - rate * weight.grad).detach().requires_grad_()
        yield weight


def in_place() -> Iterator[Tensor]:
    weight = _start()
    while True:
        loss = (weight * weight).sum()
        loss.backward()
        loss.item()
        with no_grad():
            weight -= 0.25 * weight.grad
        weight.grad = None
        yield weight


@pytest.mark.usefixtures("numpy_device")
@pytest.mark.parametrize(
    "program", [detached, asked_for_nothing, of_several_weights, with_momentum, with_a_rate, in_place]
)
def test_weights_that_are_made_anew_cost_the_same_in_each_round(program: Callable[[], Iterator[Tensor]]) -> None:
    """As many nodes, launches and, for all rounds but the first, no plans: a round is not computed from all before."""
    rounds, counts, nodes = program(), list[tuple[int, int]](), list[int]()
    for _ in range(2 * ROUNDS):
        before = GlobalCounters.kernel_count, GlobalCounters.plans
        weight = next(rounds)
        counts.append((GlobalCounters.kernel_count - before[0], GlobalCounters.plans - before[1]))
        gc.collect()
        nodes.append(len(graph.alive()))
    assert len(set(counts[ROUNDS:])) == 1 and counts[-1][1] == 0
    assert len(set(nodes[ROUNDS:])) == 1
    np.testing.assert_allclose(weight.numpy(), np.array([2.0, -1.0]) * 0.5 ** (2 * ROUNDS))


def test_what_a_weight_is_assigned_does_not_depend_on_the_weight() -> None:
    """A leaf of the value of another tensor is a node of its own, so gradients of that tensor's results pass it by."""
    weight, x = _start(), Tensor(np.ones(2, np.float32)) * 2
    weight.assign(x)
    (x * 3).sum().backward()
    assert weight.grad is None and x.grad is not None and x.grad.tolist() == [3, 3]


@pytest.mark.usefixtures("numpy_device")
def test_data_of_a_loop_know_how_they_were_computed() -> None:
    """Weights that are made anew have what they wait for computed; what else the rounds read stays as it is."""
    x, weight = Tensor(np.array([1.0, 2.0], np.float32)), _start()
    data = x * x
    for _ in range(4):
        (weight * weight * data).sum().backward()
        weight = (weight - weight.grad * data).detach().requires_grad_()
    assert data.sum().gradient(x)[0].tolist() == [2, 4]


@pytest.mark.usefixtures("numpy_device")
@pytest.mark.parametrize("compute", [Tensor.realize, lambda weight: (weight + 1).numpy()])
def test_gradients_reach_a_leaf_from_before_it_was_computed_and_from_after(compute: Callable[[Tensor], object]) -> None:
    weight = (Tensor(np.ones(2, np.float32)) * 3).detach().requires_grad_()
    before = weight * 2
    compute(weight)
    compute(weight)
    (before + weight * 3).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [5, 5]


@pytest.mark.usefixtures("numpy_device")
def test_a_leaf_of_the_value_of_another_leaf_takes_none_of_its_gradients() -> None:
    first, second = _start(), _start()
    second.assign(first)
    second.realize()
    (first * 3 + second * 2).sum().backward()
    assert first.grad is not None and first.grad.tolist() == [3, 3]
    assert second.grad is not None and second.grad.tolist() == [2, 2]
    (slope,) = (first * 3).sum().gradient(second)
    assert slope.tolist() == [0, 0]
