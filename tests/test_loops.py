"""Loops in the graph are what their steps are one after the other: values, gradients, batches, and their plans."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import GlobalCounters, Tensor, jit
from kernelforge.calls import expanded
from kernelforge.errors import ShapeError
from kernelforge.func import grad, scan, vmap
from kernelforge.graph import toposort
from kernelforge.planning.steps import Launch
from kernelforge.realize import planned
from kernelforge.tensor.walking import side_by_side, walk

Step = Callable[..., Tensor]


def recurrent(h: Tensor, x: Tensor, w: Tensor) -> Tensor:
    return (x + h @ w).tanh()


def scaled(h: Tensor, x: Tensor, w: Tensor) -> Tensor:
    """A step with a costly value that only the gradient needs, and pieces side by side."""
    a, b = (h * (w * w).sum(0).softmax(-1) + x).chunk(2, -1)
    return side_by_side([a.sigmoid() * b, a - b])


def apart(function: Step, state: Tensor, x: Tensor, w: Tensor, reverse: bool) -> Tensor:
    """walk(), step by step."""
    found = []
    for i in range(x.shape[0])[:: -1 if reverse else 1]:
        state = function(state, x[i], w)
        found.append(state)
    return Tensor.stack(*found[:: -1 if reverse else 1])


def arguments(seed: int, steps: int, rows: int, size: int) -> list[Tensor]:
    random = np.random.default_rng(seed)
    shapes = ((rows, size), (steps, rows, size), (size, size))
    return [Tensor(random.normal(0, 0.5, shape).astype(np.float32), requires_grad=True) for shape in shapes]


def results(walked: Callable[[Tensor, Tensor, Tensor], Tensor], given: list[Tensor]) -> list[np.ndarray]:
    """The states and the gradients of a function of them."""
    states = walked(*given)
    gradients = (states.sin() * states).sum().gradient(*given)
    return [x.numpy() for x in (states, *gradients)]


@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 3), st.sampled_from([2, 6, 32, 128]), st.booleans())
@pytest.mark.parametrize("step", [recurrent, scaled])
@pytest.mark.usefixtures("numpy_device")
def test_values_and_gradients(step: Step, seed: int, steps: int, rows: int, size: int, reverse: bool) -> None:
    given = arguments(seed, steps, rows, size)
    found = results(lambda h, x, w: walk(step, h, [x], [w], reverse), given)
    expected = results(lambda h, x, w: apart(step, h, x, w, reverse), given)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [5, 128])
def test_on_a_device(size: int, reverse: bool) -> None:
    given = arguments(0, 7, 2, size)
    expected = results(lambda h, x, w: apart(recurrent, h, x, w, reverse), given)
    step = jit(lambda h, x, w: walk(recurrent, h, [x], [w], reverse))
    for walked in (lambda h, x, w: walk(recurrent, h, [x], [w], reverse), *[step] * 4):
        for x, y in zip(results(walked, given), expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


@pytest.mark.usefixtures("numpy_device")
def test_a_gradient_of_a_gradient() -> None:
    def second(walked: Callable[..., Tensor]) -> np.ndarray:
        given = arguments(1, 5, 2, 4)
        (first,) = walked(*given).square().sum().gradient(given[2])
        (again,) = first.sin().sum().gradient(given[2])
        return again.numpy()

    found = second(lambda h, x, w: walk(recurrent, h, [x], [w]))
    np.testing.assert_allclose(found, second(lambda h, x, w: apart(recurrent, h, x, w, False)), rtol=1e-3, atol=1e-5)


def apart_of(step: Callable[..., Any], state: Tensor, sequence: Tensor) -> Tensor:
    """The states of scan(), one step after the other."""
    states = []
    for i in range(sequence.shape[0]):
        state, _ = step(state, sequence[i])
        states.append(state)
    return Tensor.stack(*states)


CELLS = {
    "sum": lambda c, x: ((c * (c * x).sum()).tanh() + c, c),
    "gates": lambda c, x: ((c * x).sigmoid() * c + (c - x).tanh() * (x * c.sum()).sin(), c),
    "product": lambda c, x: ((c.reshape(1, -1) @ (x.reshape(-1, 1) * c)).reshape(-1).tanh(), c * x),
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.usefixtures("numpy_device")
def test_second_gradients_of_what_rounds_store(cell: str) -> None:
    """A round's sources are computed from one another: no path from one to the other counts twice."""
    step = CELLS[cell]

    def second(states: Callable[[Tensor, Tensor], Tensor]) -> list[np.ndarray]:
        x = Tensor(np.linspace(0.1, 1, 10).reshape(5, 2), requires_grad=True)
        c = Tensor(np.array([0.3, 0.4]), requires_grad=True)
        first = states(c, x).square().sum().gradient(c, x)
        return [again.numpy() for again in sum(part.square().sum() for part in first).gradient(c, x)]

    found = second(lambda c, x: scan(lambda c, x: (step(c, x)[0],) * 2, c, x)[1])
    for one, wanted in zip(found, second(lambda c, x: apart_of(step, c, x))):
        np.testing.assert_allclose(one, wanted, rtol=1e-9)


@pytest.mark.usefixtures("numpy_device")
def test_many_examples() -> None:
    h, x, w = arguments(2, 6, 3, 4)
    sequences = x.detach().unsqueeze(1) * Tensor.arange(1, 4).reshape(1, 3, 1, 1)
    found = vmap(lambda h, x: walk(recurrent, h, [x], [w]), in_dims=(None, 1), out_dims=1)(h.detach(), sequences)
    one_by_one = [apart(recurrent, h.detach(), sequences[:, i], w, False) for i in range(3)]
    np.testing.assert_allclose(found.numpy(), Tensor.stack(*one_by_one, dim=1).numpy(), rtol=1e-5, atol=1e-6)


def programs(steps: int) -> tuple[int, int]:
    """Launches of a training step, and how many programs they are of."""
    given = [x.realize() for x in arguments(0, steps, 4, 128)]
    states = walk(recurrent, given[0], [given[1]], [given[2]])
    nodes = [x._node for x in states.square().sum().gradient(*given)]
    launches = [step for step in planned(nodes) if isinstance(step, Launch)]
    return len(launches), len({step.program for step in launches})


def test_more_steps_need_no_more_programs() -> None:
    few, many = programs(8), programs(64)
    assert many[0] - few[0] <= 56 * 4, "a product and its epilogue there, and two or three on the way back"
    assert many[1] <= few[1] + 1


def test_a_weights_gradient_is_one_product() -> None:
    given = [x.realize() for x in arguments(0, 8, 4, 128)]
    (gradient,) = walk(recurrent, given[0], [given[1]], [given[2]]).sum().gradient(given[2])
    (node,) = expanded([gradient._node])
    sums = [x for x in toposort([node]) if x.op == "reduce" and x.size == 128 * 128]
    assert [x.attr for x in sums] == [("add", (0, 1))]


@pytest.mark.usefixtures("numpy_device")
def test_states_that_only_move() -> None:
    x = Tensor.arange(12.0).reshape(6, 2)
    assert walk(lambda h, x: x, Tensor.zeros(2), [x]).tolist() == x.tolist()
    assert walk(lambda h, x: h, Tensor.ones(2), [x]).tolist() == [[1, 1]] * 6
    assert walk(lambda h, x: h.flip(0), Tensor([1.0, 2.0]), [x])[:2].tolist() == [[2, 1], [1, 2]]
    assert walk(lambda h, x: h + 1, Tensor([1.0, 2.0]), [x]).tolist() == [[i + 2, i + 3] for i in range(6)]


@pytest.mark.usefixtures("numpy_device")
def test_a_state_that_changes_its_shape() -> None:
    with pytest.raises(ShapeError, match="a step takes a state"):
        walk(lambda h, x: x.sum(), Tensor.zeros(2), [Tensor.ones(6, 2)])


@pytest.mark.usefixtures("numpy_device")
@pytest.mark.parametrize("size", [4, 128])
@pytest.mark.parametrize("step", [recurrent, scaled])
def test_gradients_of_many_examples(step: Step, size: int) -> None:
    """What a loop's steps compute on their way for its gradient is of each example, too."""
    h, x, w = (x.detach() for x in arguments(3, 5, 2, size))
    examples = x * Tensor.arange(1, 4).reshape(3, 1, 1, 1)

    def gradient(walked: Callable[..., Tensor], x: Tensor) -> Tensor:
        return grad(lambda w: walked(step, h, x, w).square().sum())(w)

    found = vmap(lambda x: gradient(lambda f, h, x, w: walk(f, h, [x], [w]), x))(examples)
    one_by_one = [gradient(lambda f, h, x, w: apart(f, h, x, w, False), examples[i]) for i in range(3)]
    np.testing.assert_allclose(found.numpy(), Tensor.stack(*one_by_one).numpy(), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("size", [100, 128])
def test_a_gradient_computes_nothing_of_the_loop_again(size: int) -> None:
    """A product in each step, one in each step of the gradient, and one for the weight."""
    given = [x.realize() for x in arguments(0, 16, 4, size)]
    states = walk(recurrent, given[0], [given[1]], [given[2]])
    nodes = [x._node for x in (states, states.square().sum().gradient(given[2])[0])]
    launches = [step for step in planned(nodes) if isinstance(step, Launch)]
    assert sum(step.program.flops >= 2 * 4 * size * size for step in launches) == 16 + 16 + 1


def test_a_step_is_run_on_parts_of_what_is_there() -> None:
    """The sequence is not copied: one launch for each step and nothing else."""
    x, h = Tensor.ones(16, 128).realize(), Tensor.zeros(128).realize()
    states: Any = walk(lambda h, x: (h + x).sin(), h, [x])
    before = GlobalCounters.kernel_count
    states.realize()
    assert GlobalCounters.kernel_count - before == 16
