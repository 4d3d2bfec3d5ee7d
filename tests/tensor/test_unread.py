"""Values nobody reads: the memory they keep is bounded, and results are the same."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from kernelforge import Context, GlobalCounters, Tensor, graph, growth
from kernelforge.errors import StateError

SIZE, ROUNDS = 1 << 18, 24  # floats in an array; as many rounds take several times what there is room for


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch, numpy_device: None) -> None:
    monkeypatch.setattr(growth, "ROOM", 3 << 20)
    monkeypatch.setattr("kernelforge.tensor.unread.WORTHWHILE", 2 << 20)
    growth._grown[0] = 0


def held() -> int:
    """The bytes of all buffers that nodes keep."""
    buffers = {x.attr if x.op == "buffer" else x.realized for x in graph.alive()} - {None}
    return sum(buffer.nbytes for buffer in buffers)


def data(i: int) -> Tensor:
    return Tensor(np.full(SIZE, i % 5, np.float32))


def averaged() -> Iterator[tuple[Tensor, float]]:
    """A mean of what comes, and nobody asks for it."""
    mean, wanted = Tensor(np.zeros(SIZE, np.float32)), 0.0
    for i in range(ROUNDS):
        mean, wanted = 0.5 * mean + data(i), 0.5 * wanted + i % 5
        yield mean, wanted


def averaged_weights() -> Iterator[tuple[Tensor, float]]:
    """A mean of weights that are made anew in each round, and read."""
    weight, mean, wanted = Tensor(np.full(SIZE, 2.0, np.float32)), Tensor(np.zeros(SIZE, np.float32)), (2.0, 0.0)
    for _ in range(ROUNDS):
        weight.requires_grad = True
        (slope,) = weight.square().sum().gradient(weight)
        weight = (weight - 0.25 * slope).detach()
        mean = 0.5 * mean + weight
        wanted = wanted[0] * 0.5, 0.5 * wanted[1] + wanted[0] * 0.5
        assert abs(weight.sum().item() - SIZE * wanted[0]) < 1
        yield mean, wanted[1]


def collected() -> Iterator[tuple[Tensor, float]]:
    """Losses in a list."""
    losses: list[Tensor] = []
    for i in range(ROUNDS):
        losses.append(data(i).square().mean())
        yield losses[i // 2], ((i // 2) % 5) ** 2


def summed_with_weights() -> Iterator[tuple[Tensor, float]]:
    """A sum of losses of weights that take no part in gradients."""
    weight, total, wanted = Tensor(np.full(SIZE, 2.0, np.float32)), Tensor(0.0), 0.0
    for i in range(ROUNDS):
        total, wanted = total + (weight * data(i)).mean(), wanted + 2 * (i % 5)
        yield total, wanted


def halved() -> Iterator[tuple[Tensor, float]]:
    """A value that changes, and nothing comes from the host."""
    value = Tensor(np.full(SIZE, 1.0, np.float32))
    for i in range(ROUNDS):
        value = value * 0.5
        yield value, 0.5 ** (i + 1)


@pytest.mark.parametrize("eager", [False, True], ids=["lazily", "eagerly"])
@pytest.mark.parametrize("program", [averaged, averaged_weights, collected, summed_with_weights, halved])
def test_what_nobody_asks_for_keeps_a_bounded_part_of_its_past(
    program: Callable[[], Iterator[tuple[Tensor, float]]], eager: bool
) -> None:
    before, most, value, wanted = held(), 0, Tensor(0.0), 0.0
    with Context(EAGER=eager):
        for value, wanted in program():  # noqa: B007
            most = max(most, held() - before)
    assert value[...].numpy().reshape(-1)[0] == pytest.approx(wanted, rel=1e-5)
    assert most < 14 << 20


def test_nothing_is_computed_where_little_is_kept() -> None:
    whole = Tensor(np.ones(SIZE, np.float32))
    kept = [whole * i for i in range(2, 5)]
    before = GlobalCounters.kernel_count
    for i in range(ROUNDS):
        data(i)
    assert GlobalCounters.kernel_count == before and all(x._stored is None for x in kept)


@pytest.mark.parametrize("eager", [False, True], ids=["lazily", "eagerly"])
def test_gradients_of_leaves_there_still_are_go_through(eager: bool) -> None:
    weight = Tensor(np.ones(SIZE, np.float32), requires_grad=True)
    total = Tensor(0.0)
    with Context(EAGER=eager):
        for i in range(ROUNDS):
            total = total + (weight * data(i)).sum()
        total.backward()
    assert weight.grad is not None
    assert weight.grad.numpy()[0] == sum(i % 5 for i in range(ROUNDS))


@pytest.mark.parametrize("eager", [False, True], ids=["lazily", "eagerly"])
def test_a_gradient_of_what_was_let_go_is_an_error(eager: bool) -> None:
    weight = Tensor(np.ones(SIZE, np.float32))
    total = Tensor(0.0)
    with Context(EAGER=eager):
        for i in range(ROUNDS):
            total = total + (weight * data(i)).sum()
    with pytest.raises(StateError, match="requires_grad=True"):
        total.backward()
    with pytest.raises(StateError, match="requires_grad=True"):
        total.gradient(weight)  # of which some rounds are still known
    with pytest.raises(StateError, match="requires_grad=True"):
        total.gradient(Tensor(np.ones(SIZE, np.float32)))


def test_all_waits_where_that_is_asked_for() -> None:
    with Context(PENDING=0):
        losses = [data(i).square().mean() for i in range(ROUNDS)]
        assert all(x._stored is None for x in losses)
    assert [x.item() for x in losses] == [(i % 5) ** 2 for i in range(ROUNDS)]


@pytest.mark.parametrize("count", [1, 2])
def test_a_graph_that_is_known_is_computed_after_the_look_that_is_due(count: int) -> None:
    """Or calls of small graphs would do without C from then on."""
    x = Tensor(np.ones(5, np.float32)).realize()

    def compute() -> None:
        first, *others = [x + number for number in range(count)]
        first.realize(*others)

    for _ in range(3):
        compute()
    growth.grew(growth.ROOM)
    assert growth.due
    compute()
    assert not growth.due


def test_what_is_given_back_and_taken_again_is_no_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "due", [])
    growth.grew(growth.ROOM)
    assert len(growth.due) == 1
    for _ in range(10):
        growth.grew(-growth.ROOM)
        growth.grew(growth.ROOM)
    assert len(growth.due) == 1
    growth.grew(growth.ROOM)
    assert len(growth.due) == 2
