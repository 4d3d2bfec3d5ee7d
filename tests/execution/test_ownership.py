"""Results take memory only where nobody needs what was there: random programs with aliases against NumPy."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernelforge import Context, Tensor, met, no_grad
from kernelforge.kernels import Device

N = 48


@pytest.fixture(scope="module", autouse=True)
def small_operands_count() -> Iterator[None]:
    """Results also take the places of operands so small that nobody would look for them."""
    with pytest.MonkeyPatch.context() as patch, Context(OPEN=0):  # kernels for open sizes never take memory
        patch.setattr(met, "LEAST_SPARED", 0)
        patch.setattr(met, "plans_of", {})
        patch.setattr(met, "single", {})
        yield


def address(x: Tensor) -> int:
    """Which block of memory a computed tensor is in."""
    stored = x._stored
    assert stored is not None
    return int(stored.memory.block.serial)


def new(shape: tuple[int, ...] = (N,), **options: bool) -> Tensor:
    """A tensor whose elements are on the device."""
    return (Tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), **options).detach() * 1).realize()


class Program:
    """Tensors, under one name or several, and what NumPy says they are."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.names: list[Tensor] = []
        self.values: dict[int, NDArray] = {}
        for _ in range(3):
            values = np.array([self.rng.randint(-9, 9) for _ in range(N)], np.float32)
            self.add(Tensor(values, device="NUMPY").realize(), values)

    def add(self, x: Tensor, values: NDArray) -> None:
        self.names.append(x)
        self.values[id(x)] = values

    def step(self) -> None:
        """One statement of a program: an update, an alias, a view, something lazy; or something is computed or lost."""
        x, y = self.rng.choice(self.names), self.rng.choice(self.names)
        values, others = self.values[id(x)], self.values[id(y)]
        kind = self.rng.randrange(9)
        if kind <= 2:
            x.assign(x + y * 2 - 1)
            self.values[id(x)] = values + others * 2 - 1
        elif kind == 3:
            x.assign(y.flip(0) + x)
            self.values[id(x)] = others[::-1] + values
        elif kind == 4:
            other = Tensor(x)
            self.add(self.rng.choice((other, other.detach(), other.reshape(4, 12).reshape(N))), values)
        elif kind == 5:
            self.add(x.flip(0) + y, values[::-1] + others)
        elif kind == 6:
            self.names.append(x)
        elif kind == 7:
            chosen = self.rng.sample(self.names, self.rng.randint(1, len(self.names)))
            chosen[0].realize(*chosen[1:])
        elif len(self.names) > 2:
            del self.names[0]

    def check(self) -> None:
        self.rng.shuffle(self.names)
        for x in self.names:
            np.testing.assert_array_equal(x.numpy(), self.values[id(x)])


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 1 << 32))
def test_random_programs(seed: int) -> None:
    program = Program(seed)
    for _ in range(14):
        program.step()
    program.check()


def test_an_update_stays_where_it_is() -> None:
    x = new()
    first = address(x)
    for _ in range(3):
        x.assign(x * 2 + 1).realize()
        assert address(x) == first
    np.testing.assert_array_equal(x.numpy(), np.arange(N) * 8 + 7)


def test_two_results_in_the_places_of_two_operands() -> None:
    x, y = new(), new()
    before = {address(x), address(y)}
    total, difference = x + y, x - y
    x.assign(total), y.assign(difference)
    del total, difference
    x.realize(y)
    assert {address(x), address(y)} == before
    np.testing.assert_array_equal(x.numpy(), np.arange(N) * 2)
    np.testing.assert_array_equal(y.numpy(), np.zeros(N))


ALIASES = {
    "another name for its value": lambda x: Tensor(x.detach()),
    "a tensor of the tensor": Tensor,
    "a view": lambda x: Tensor(x).reshape(4, 12)[1:, ::2],
    "a graph that reads it": lambda x: x.exp().sum(),
    "a history for gradients": lambda x: Tensor(np.ones(N, np.float32), requires_grad=True) * x,
}


@pytest.mark.parametrize("alias", ALIASES.values(), ids=list(ALIASES))
def test_what_something_else_needs_stays(alias: object) -> None:
    x = new()
    first, values = address(x), x.numpy()
    other = alias(x)  # type: ignore[operator]
    x.assign(x + 1).realize()
    assert address(x) != first
    expected = alias(Tensor(values)).numpy()  # type: ignore[operator]
    np.testing.assert_array_equal(other.detach().numpy(), expected)


def test_an_operand_computed_with_the_result_stays() -> None:
    x = new()
    y = x + 1
    y.realize(x)
    np.testing.assert_array_equal(x.numpy(), np.arange(N))
    np.testing.assert_array_equal(y.numpy(), np.arange(N) + 1)


def test_an_operand_given_back_as_a_result_stays() -> None:
    x, y = new(), new()
    y.assign(x.contiguous())
    x.assign(x + 1)
    x.realize(y)
    np.testing.assert_array_equal(y.numpy(), np.arange(N))
    np.testing.assert_array_equal(x.numpy(), np.arange(N) + 1)


def test_what_another_kernel_still_reads_stays() -> None:
    x, y = new((6, 8)), new((6, 8))
    y.assign(y @ x.transpose(0, 1) @ x)
    x.assign(x + 1)
    y.realize(x)
    matrix = np.arange(48, dtype=np.float32).reshape(6, 8)
    np.testing.assert_allclose(y.numpy(), matrix @ matrix.T @ matrix, rtol=1e-5)
    np.testing.assert_array_equal(x.numpy(), matrix + 1)


def test_a_tracked_result_keeps_its_operand() -> None:
    x = new()
    x.requires_grad = True
    y = (x * x).sum()
    values = y.numpy()
    with no_grad():
        x.assign(x.detach() * 3).realize()
    np.testing.assert_array_equal(x.numpy(), np.arange(N) * 3)
    y.backward()
    np.testing.assert_array_equal(y.numpy(), values)
    assert x.grad is None or x.grad.shape == (N,)


def test_memory_that_is_held_is_not_overwritten() -> None:
    x = new()
    stored = x._stored
    assert stored is not None
    held = stored.memory
    del stored
    x.assign(x + 1).realize()
    assert x._stored is not None and x._stored.memory is not held


def test_an_interrupted_step_is_not_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was launched the old value remains, and the next step starts from it."""
    x = new()
    x.assign(x + 1).realize()
    x.assign(x + 1)
    runtime = type(Device[Device.DEFAULT])

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runtime, "launch_all", interrupted)
        with pytest.raises(KeyboardInterrupt):
            x.realize()
    np.testing.assert_array_equal(x.numpy(), np.arange(N) + 1)
    np.testing.assert_array_equal(x.assign(x + 1).numpy(), np.arange(N) + 2)


def test_little_memory_is_only_saved_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that overwrites is never met by a graph whose operands something else needs."""
    monkeypatch.setattr(met, "LEAST_SPARED", 1 << 20)
    monkeypatch.setattr(met, "plans_of", {})
    monkeypatch.setattr(met, "single", {})
    x = new()
    first = address(x)
    x.assign(x + 1).realize()
    assert address(x) != first
    held = Tensor(x.detach())
    x.assign(x + 1).realize()
    np.testing.assert_array_equal(held.numpy(), np.arange(N) + 1)
    np.testing.assert_array_equal(x.numpy(), np.arange(N) + 2)


def test_one_operation_that_was_met_before_takes_only_what_nobody_holds() -> None:
    for held in (False, True, True, False, True):
        x = new()
        first, kept, y = address(x), x if held else None, x + 1
        del x
        y.realize()
        assert (address(y) == first) is not held
        np.testing.assert_array_equal(y.numpy(), np.arange(N) + 1)
        if kept is not None:
            np.testing.assert_array_equal(kept.numpy(), np.arange(N))


def repeated(shape: tuple[int, ...], times: int = 8) -> Tensor:
    """A tensor whose update by two kernels, in its own place, has run so often that it is a function."""
    x = new(shape)
    for _ in range(times):
        updated(x).realize()
    return x


def updated(x: Tensor) -> Tensor:
    """Something that takes several kernels and writes the last result where the operand was."""
    return x.assign(x - x.contiguous().softmax(0).contiguous().sum() / x.size)


def functions() -> list[bool]:
    """Of the plans that overwrite an operand, whether they are functions."""
    plans = [plan for plans in met.plans_of.values() for plan in plans.made.values()]
    return [plan.single is not None for plan in plans if plan.takes]


def test_a_plan_that_overwrites_becomes_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(met, "plans_of", {})
    x = repeated((8, 6))
    first = address(x)
    if not all(functions()):
        pytest.skip("the device makes no functions of plans")
    runtime = type(Device[Device.DEFAULT])
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "launch_all", None)
        updated(x).realize()
    assert address(x) == first and len(functions()) == 1
    np.testing.assert_allclose(x.numpy(), np.arange(48).reshape(8, 6) - 9 * 6 / 48, rtol=1e-5)


@pytest.mark.parametrize("times", [1, 8])
def test_memory_that_runs_out_changes_nothing(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was to be overwritten is whole where there is no memory for another result, launched or called."""
    x, y, values = new((16, 12)), new((7, 3)), np.arange(192, dtype=np.float32).reshape(16, 12)
    pool = Device[Device.DEFAULT].pool  # type: ignore[attr-defined]
    for _ in range(times):
        z = y.exp()
        x.assign(x + 1).realize(z)
    x.assign(x + 1)
    del z
    pool.clear()

    def refused(*_: object) -> None:
        raise MemoryError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(pool, "_make", refused)
        with pytest.raises(MemoryError):
            x.realize(y.exp())
    others = [new((16, 12)) for _ in range(2)]  # in whatever memory is free
    np.testing.assert_array_equal(x.numpy(), values + times + 1)
    assert [other.numpy()[0, 1] for other in others] == [1, 1]


def test_a_step_interrupted_behind_its_kernels_is_not_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(met, "plans_of", {})
    x = repeated((8, 6))
    (plan,) = [plan for plans in met.plans_of.values() for plan in plans.made.values() if plan.takes]
    single = plan.single
    if single is None:
        pytest.skip("the device makes no functions of plans")

    def interrupted(*given: object) -> None:
        single(*given)
        raise KeyboardInterrupt

    updated(x)
    plan.single = interrupted
    with pytest.raises(KeyboardInterrupt):
        x.realize()
    plan.single = single
    np.testing.assert_allclose(x.numpy(), np.arange(48).reshape(8, 6) - 9 * 6 / 48, rtol=1e-5)
