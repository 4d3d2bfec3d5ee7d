"""What goes wrong with captured functions elsewhere: each gives the right answer here, or an error that names it.

Every case calls a function and its captured twin with the same arguments, several times, and compares everything.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from kernelforge import Context, JitError, Tensor, jit, nn, no_grad, optim
from kernelforge.replay import TinyJit

pytestmark = pytest.mark.usefixtures("numpy_device")

SCALE = 2.0
TABLE = {"scale": 3.0}
WEIGHT = None


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def values(x: Any) -> Any:
    """A result with arrays for tensors."""
    if isinstance(x, Tensor):
        return x.numpy().tolist(), str(x.dtype)
    if isinstance(x, dict):
        return {key: values(item) for key, item in x.items()}
    if isinstance(x, list | tuple):
        return [values(item) for item in x]
    return values(vars(x)) if hasattr(x, "__dict__") else x


def agrees(make: Callable[[], Callable[..., Any]], calls: list[tuple[Any, ...]], captures: int | None = None) -> None:
    """A function and its captured twin, made anew, give equal results for every call."""
    plain, inner = make(), make()
    captured = jit(inner)
    for args in calls:
        assert values(captured(*args)) == values(plain(*args))
    if captures is not None:
        assert len(captured._entries) == captures


# ----------------------------------------------------------------------------------------------------- arguments


def test_another_length() -> None:
    calls = [(tensor(*range(n)),) for n in (3, 5, 3, 1, 5)]
    agrees(lambda: lambda x: (x * 2).sum(), calls, captures=3)


def test_another_dtype() -> None:
    agrees(lambda: lambda x: x / 2, [(tensor(1, 2),), (Tensor([1, 2]),), (tensor(3, 4),)], captures=2)


def test_scalar_arguments() -> None:
    calls = [(tensor(1, 2), n) for n in (2, 3, 2.0, 2, True, 0.0, -0.0)]
    agrees(lambda: lambda x, n: x * n, calls, captures=6)


def test_equal_scalars_of_other_types() -> None:
    agrees(lambda: lambda x, n: x * n, [(Tensor([1, 2]), n) for n in (1, 1.0, True)], captures=3)


def test_containers() -> None:
    def make() -> Callable[..., Any]:
        return lambda state: {"sum": state["a"] + state["b"][0] * state["k"], "same": state["a"]}

    calls = [({"a": tensor(1), "b": [tensor(i)], "k": k},) for i, k in ((1, 2), (5, 2), (1, 3))]
    agrees(make, calls, captures=2)


def test_keyword_arguments() -> None:
    captured = jit(lambda x, scale=1, shift=0: x * scale + shift)
    x = tensor(2)
    assert captured(x, scale=3).item() == 6
    assert captured(x, shift=3).item() == 5
    assert captured(x, shift=3, scale=2).item() == captured(x, scale=2, shift=3).item() == 7


def test_arrays_as_arguments() -> None:
    array = np.array([1.0, 2.0], np.float32)
    captured = jit(lambda a: Tensor(a) * 2)
    assert captured(array).tolist() == [2, 4]
    array[0] = 5
    assert captured(array).tolist() == [10, 4]


def test_the_same_tensor_twice() -> None:
    def make() -> Callable[..., Any]:
        def add(x: Tensor, y: Tensor) -> Tensor:
            x += 1
            return x * 10 + y

        return add

    captured, plain = jit(make()), make()
    for same in (False, True, False, True):
        found = []
        for function in (captured, plain):
            x = tensor(1)
            found.append([function(x, x if same else tensor(1)).tolist(), x.tolist()])
        assert found[0] == found[1]


def test_a_lazy_argument() -> None:
    a = tensor(1, 2)
    agrees(lambda: lambda x: x + 1, [(a * n,) for n in (1, 2, 3)], captures=1)


def test_a_constant_argument() -> None:
    agrees(lambda: lambda x: x + 1, [(Tensor.zeros(2),), (Tensor.ones(2),), (tensor(4, 5),)], captures=1)


def test_an_iterator_is_refused() -> None:
    batches = iter([tensor(1), tensor(2)])
    with pytest.raises(JitError, match="batches, an iterator"):
        jit(lambda: next(batches) * 2)()
    with pytest.raises(JitError, match="an iterator"):
        jit(lambda source: next(source) * 2)(tensor(i) for i in range(3))


def test_a_generator_of_batches() -> None:
    captured = jit(lambda x: (x * x).sum())
    batches = (tensor(*range(n)) for n in (2, 3, 2, 3))
    assert [captured(batch).item() for batch in batches] == [1, 5, 1, 5]


def test_a_list_that_is_changed_is_refused() -> None:
    with pytest.raises(JitError, match="changes a list"):
        jit(lambda xs: xs.append(xs[0] * 2))([tensor(1)])


def test_a_generator_function_is_refused() -> None:
    with pytest.raises(JitError, match="generator"):

        @jit
        def steps(x: Tensor) -> Iterator[Tensor]:
            yield x


# ------------------------------------------------------------------------------------------------ what it can see


def test_a_closure_value() -> None:
    factor = 2

    @jit
    def scaled(x: Tensor) -> Tensor:
        return x * factor

    assert scaled(tensor(1)).item() == 2
    factor = 3
    assert scaled(tensor(1)).item() == 3


def test_a_global(monkeypatch: pytest.MonkeyPatch) -> None:
    captured = jit(lambda x: x * SCALE * TABLE["scale"])
    assert captured(tensor(1)).item() == 6
    monkeypatch.setitem(TABLE, "scale", 4.0)
    assert captured(tensor(1)).item() == 8
    monkeypatch.setitem(globals(), "SCALE", 10.0)
    assert captured(tensor(1)).item() == 40


def helper(x: Tensor) -> Tensor:
    return x * SCALE


def test_a_global_of_a_function_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    captured = jit(lambda x: helper(x) + 1)
    assert captured(tensor(1)).item() == 3
    monkeypatch.setitem(globals(), "SCALE", 10.0)
    assert captured(tensor(1)).item() == 11
    monkeypatch.setitem(globals(), "helper", lambda x: x * 0)
    assert captured(tensor(1)).item() == 1


def test_a_global_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "WEIGHT", tensor(1, 2))
    captured = jit(lambda x: x + WEIGHT)
    assert captured(tensor(0, 0)).tolist() == [1, 2]
    monkeypatch.setitem(globals(), "WEIGHT", tensor(5, 6))
    assert captured(tensor(0, 0)).tolist() == [5, 6]
    WEIGHT.assign(tensor(7, 8))  # type: ignore[attr-defined]
    assert captured(tensor(0, 0)).tolist() == [7, 8]
    assert len(captured._entries) == 1


def test_a_number_that_is_counted() -> None:
    state = SimpleNamespace(calls=0, total=tensor(0))

    @jit
    def counted(x: Tensor) -> Tensor:
        state.calls += 1
        state.total = state.total + x
        return x * state.calls

    assert [counted(tensor(1)).item() for _ in range(20)] == list(range(1, 21))
    assert (state.calls, state.total.item(), len(counted._entries)) == (20, 20, 4)
    assert "16 calls ran uncaptured" in counted.explain()


def test_a_rate_that_changes_each_time() -> None:
    state = SimpleNamespace(rate=1.0)

    @jit
    def decayed(x: Tensor) -> Tensor:
        state.rate *= 0.5
        return x * state.rate

    found = []
    with pytest.raises(JitError, match=r"captured 16 times.*closure variable state\.rate"):
        for _ in range(20):
            found.append(decayed(tensor(1)).item())
    assert found == [0.5**i for i in range(1, 17)]


def test_an_attribute_that_is_set() -> None:
    class Holder:
        def __init__(self) -> None:
            self.last, self.mode, self.items = None, "start", [tensor(0), tensor(0)]

        def step(self, x: Tensor) -> Tensor:
            self.last, self.mode = x * 2, "running"
            self.items[1] = self.items[0] + x
            return x + 1

    plain, captured = Holder(), Holder()
    step = jit(captured.step)
    for i in range(6):
        assert step(tensor(i)).item() == plain.step(tensor(i)).item()
        assert values(captured) == values(plain)


def test_a_list_that_grows_is_named() -> None:
    losses: list[Tensor] = []

    @jit
    def step(x: Tensor) -> None:
        losses.append(x * 2)

    with pytest.raises(JitError, match="losses"):
        for i in range(20):
            step(tensor(i))
    assert [loss.item() for loss in losses] == [2 * i for i in range(16)]


def test_what_it_never_looks_at_may_change() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.scale, self.history = tensor(3), []

        def step(self, x: Tensor) -> Tensor:
            return x * self.scale

        def train(self) -> list[float]:
            step = jit(self.step)
            for i in range(20):
                self.history.append(step(tensor(i)).item())
            assert len(step._entries) == 1
            return self.history

    assert Trainer().train() == [3.0 * i for i in range(20)]


def test_a_mutated_array() -> None:
    table = np.array([1.0, 2.0], np.float32)
    captured = jit(lambda x: x * Tensor(table))
    assert captured(tensor(1, 1)).tolist() == [1, 2]
    table[1] = 7
    assert captured(tensor(1, 1)).tolist() == [1, 7]


def test_an_attribute_read_by_name() -> None:
    config = SimpleNamespace(scale=2.0)
    captured = jit(lambda x: x * getattr(config, "sc" + "ale"))
    assert captured(tensor(1)).item() == 2
    config.scale = 5.0
    assert captured(tensor(1)).item() == 5


def test_a_class_attribute() -> None:
    class Config:
        scale = 2.0

    captured = jit(lambda x: x * Config.scale)
    assert captured(tensor(1)).item() == 2
    Config.scale = 5.0
    assert captured(tensor(1)).item() == 5


def test_a_hidden_builtin(monkeypatch: pytest.MonkeyPatch) -> None:
    captured = jit(lambda x: x * abs(-2))
    assert captured(tensor(1)).item() == 2
    monkeypatch.setitem(globals(), "abs", lambda x: x)
    assert captured(tensor(1)).item() == -2


def test_a_tensor_nobody_names_is_refused() -> None:
    weight = tensor(4)
    hidden = [weight].__getitem__
    with pytest.raises(JitError, match="neither an argument nor found"):
        jit(lambda x: x + hidden(0))(tensor(1))
    with pytest.raises(JitError, match="neither an argument nor found"):
        jit(lambda x: hidden(0).assign(x))(tensor(1))


# ----------------------------------------------------------------------------------------------- modes and branches


def test_training_mode() -> None:
    layer = nn.Dropout(0.5)
    captured = jit(layer)
    x = Tensor.ones(100)
    with Tensor.train():
        assert set(captured(x).tolist()) == {0.0, 2.0}
    assert set(captured(x).tolist()) == {1.0}
    layer.train()
    assert set(captured(x).tolist()) == {0.0, 2.0}
    layer.eval()
    assert set(captured(x).tolist()) == {1.0}


def test_a_branch_on_a_value() -> None:
    def make() -> Callable[..., Any]:
        return lambda x: x * 2 if x.sum() > 0 else x - 1

    agrees(make, [(tensor(v),) for v in (1, -1, 2, -2, 3)], captures=2)


def test_a_value_that_always_differs_is_named() -> None:
    captured = jit(lambda x: x * x.sum().item())
    with pytest.raises(JitError, match=r"a value read in .*test_footguns.py, line \d+ was"):
        for i in range(20):
            assert captured(tensor(i)).item() == i * i


def test_a_loop_until_a_value_is_small() -> None:
    def make() -> Callable[..., Any]:
        def halved(x: Tensor) -> Tensor:
            while x.max() > 1:
                x = x / 2
            return x

        return halved

    agrees(make, [(tensor(v),) for v in (5, 9, 0.5, 7, 10)], captures=4 - 1)


def test_a_method_of_two_objects() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.weight = tensor(scale)

        @TinyJit
        def __call__(self, x: Tensor) -> Tensor:
            return x * self.weight

    first, second = Model(2), Model(3)
    for _ in range(3):
        assert (first(tensor(1)).item(), second(tensor(1)).item()) == (2, 3)


def test_an_object_as_argument() -> None:
    captured = jit(lambda model, x: model.weight * x)
    first, second = SimpleNamespace(weight=tensor(2)), SimpleNamespace(weight=tensor(3))
    for _ in range(3):
        assert (captured(first, tensor(1)).item(), captured(second, tensor(1)).item()) == (2, 3)
    first.weight.assign(tensor(9))
    assert captured(first, tensor(1)).item() == 9


def test_settings() -> None:
    captured = jit(lambda x: x * (2 if Tensor.training else 3))
    assert captured(tensor(1)).item() == 3
    with Context(TRAINING=1):
        assert captured(tensor(1)).item() == 2
    with Context(JIT=0):
        assert captured(tensor(1)).item() == 3


# ---------------------------------------------------------------------------------------------- changes and results


def test_a_returned_argument() -> None:
    captured = jit(lambda x, y: (x, y + 1, x))
    for i in range(3):
        x = tensor(i)
        first, _, third = captured(x, tensor(5))
        assert first is x and third is x


def test_an_argument_changed_in_place() -> None:
    def make() -> Callable[..., Any]:
        def step(x: Tensor, y: Tensor) -> Tensor:
            old = x * 1
            x[0] = 7
            x += y
            return old

        return step

    plain, captured = make(), jit(make())
    for i in range(4):
        found = []
        for function in (plain, captured):
            x = tensor(i, i + 1)
            view = x[1:]
            found.append([function(x, tensor(1, 2)).tolist(), x.tolist(), view.tolist()])
        assert found[0] == found[1]


def test_two_tensors_exchanged() -> None:
    a, b = tensor(1), tensor(2)

    @jit
    def swap() -> None:
        old = a * 1
        a.assign(b)
        b.assign(old)

    for i in range(5):
        swap()
        assert (a.item(), b.item()) == ((2, 1) if i % 2 == 0 else (1, 2))


def test_results_stay_after_the_next_call() -> None:
    captured = jit(lambda x: x + 1)
    found = [captured(tensor(i)) for i in range(5)]
    assert [x.item() for x in found] == [1, 2, 3, 4, 5]


def test_structures_returned() -> None:
    class Pair(NamedTuple):
        a: Any
        b: Any

    @dataclass
    class State:
        x: Tensor
        step: int

    def make() -> Callable[..., Any]:
        return lambda x: {"pair": Pair(x + 1, (x, 3)), "state": State(x * 2, 7), "none": None, "list": [x - 1]}

    captured = jit(make())
    for i in range(3):
        found = captured(tensor(i))
        assert type(found["pair"]) is Pair and type(found["state"]) is State
        assert values(found) == values(make()(tensor(i)))


def test_an_unknown_kind_of_result_is_refused() -> None:
    class Box:
        def __init__(self, x: Tensor) -> None:
            self.x = x

    with pytest.raises(JitError, match="returns an object of Box"):
        jit(lambda x: Box(x + 1))(tensor(1))


def test_constants_made_inside() -> None:
    agrees(lambda: lambda x: x * Tensor([1.0, 2.0, 3.0]) + Tensor.arange(3), [(tensor(i, 1, 2),) for i in range(4)], 1)
    agrees(lambda: lambda: (Tensor([1, 2]), Tensor.zeros(2), Tensor.arange(3)), [()] * 3, captures=1)


def test_a_constant_that_is_read_and_returned() -> None:
    def make() -> Callable[..., Any]:
        def function(x: Tensor) -> Any:
            c, one = tensor(1, 2), tensor(5)
            early = (x + c).realize()
            return early * (c * 1).realize(), c.reshape(2, 1).contiguous(), x + one, one.sum(), c.detach() * 1

        return function

    agrees(make, [(tensor(i, 1),) for i in range(4)], captures=1)


def test_a_tensor_replaced_together_with_a_number() -> None:
    places = {"x": tensor(1), "n": 2.0}
    captured = jit(lambda: places["x"] * places["n"])
    first, second, found = places["x"], tensor(10), []
    for x, n in ((first, 2.0), (first, 2.0), (second, 3.0), (first, 2.0), (second, 2.0), (first, 3.0)):
        places.update(x=x, n=n)
        found.append(captured().item())
    assert found == [2, 2, 30, 2, 20, 3]


def test_a_constant_result_is_not_shared() -> None:
    captured = jit(lambda x: (x * 2, Tensor([1.0])))
    _, one = captured(tensor(1))
    one += 5
    assert captured(tensor(1))[1].item() == 1


# ------------------------------------------------------------------------------------------------------- nesting


def test_nested() -> None:
    inner = jit(lambda x: x * 2)
    outer = jit(lambda x: inner(x) + inner(x + 1))
    for i in range(3):
        assert outer(tensor(i)).item() == 4 * i + 2
        assert inner(tensor(i)).item() == 2 * i


def test_a_partial_function() -> None:
    captured = jit(functools.partial(lambda scale, x: x * scale, 3))
    assert [captured(tensor(i)).item() for i in range(3)] == [0, 3, 6]


def test_an_error_leaves_everything_as_it_was() -> None:
    total = tensor(0)

    @jit
    def step(x: Tensor) -> Tensor:
        nonlocal total
        if x.shape[0] > 1:
            raise ValueError("too long")
        total.assign(total + x)
        return total * 2

    for i in range(4):
        assert step(tensor(i)).tolist() == [2.0 * sum(range(i + 1))]
        with pytest.raises(ValueError, match="too long"):
            step(tensor(1, 2))
    assert total.tolist() == [6]


# ------------------------------------------------------------------------------------------------------ gradients


def test_gradients_inside() -> None:
    def make() -> Callable[..., Any]:
        def slope(x: Tensor, w: Tensor) -> Tensor:
            return (x * w * w).sum().gradient(w)[0]

        return slope

    w = tensor(2, 3).requires_grad_()
    agrees(make, [(tensor(i, 1), w) for i in range(3)], captures=1)


def test_gradients_through() -> None:
    weight = tensor(2, 3).requires_grad_()
    captured = jit(lambda x: (x * weight * weight).sum())
    for i in range(1, 4):
        x = tensor(i, 1).requires_grad_()
        (captured(x * 2) * 3).backward()
        assert x.grad is not None and weight.grad is not None
        assert x.grad.tolist() == [24, 54]
        assert weight.grad.tolist() == [i * 24, 36]
        weight.grad = None


def test_backward_of_a_history_from_outside_is_refused() -> None:
    w = tensor(1).requires_grad_()
    with pytest.raises(JitError, match="backward"):
        jit(lambda x: x.sum().backward())(w * 2)


def test_gradients_left_with_arguments() -> None:
    def make() -> Callable[..., Any]:
        return lambda x: (x * x).sum().backward() and None

    plain, captured = make(), jit(make())
    for function in (plain, captured):
        x = tensor(1, 2).requires_grad_()
        for times in range(1, 5):
            function(x)
            assert x.grad is not None and x.grad.tolist() == [2 * times, 4 * times]


def test_no_grad_is_a_mode() -> None:
    w = tensor(2).requires_grad_()
    captured = jit(lambda x: x * w)
    with no_grad():
        assert captured(tensor(1)).requires_grad is None
    assert captured(tensor(1)).requires_grad


def test_training() -> None:
    def run(captures: bool) -> tuple[list[float], list[float]]:
        Tensor.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 4), Tensor.relu, nn.Dropout(0.2), nn.Linear(4, 1))
        optimizer = optim.Adam(model.parameters(), lr=0.1)

        def step(x: Tensor, y: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        function = jit(step) if captures else step
        rng, losses = np.random.default_rng(0), []
        with Tensor.train():
            for i in range(6):
                x, y = (Tensor(rng.normal(size=(5 - (i == 3), n)).astype(np.float32)) for n in (3, 1))
                losses.append(function(x, y).item())
                optimizer.lr = 0.1 / (i + 1)
        return losses, [x for tensor in model.state_dict().values() for x in tensor.flatten().tolist()]

    found, expected = run(True), run(False)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------ costs


def test_explain_says_what_happened() -> None:
    captured = jit(lambda x, n: x * n)
    for n in (1, 2, 1, 1):
        captured(tensor(3), n)
    text = captured.explain()
    assert "2 of at most 16 captures" in text
    assert "replayed 2 times" in text
    assert "missed: argument 1 was 1, now it is 2" in text


def test_bounded_captures() -> None:
    captured = jit(lambda x, n: x * n, captures=3)
    for n in itertools.islice(itertools.cycle((0.5, 1.5, 2.5)), 9):
        captured(tensor(1), n)
    with pytest.raises(JitError, match=r"captured 3 times.*argument 1 was 2.5, now it is 3.5"):
        captured(tensor(1), 3.5)
    captured.reset()
    assert captured(tensor(1), 3.5).item() == 3.5


def test_bounded_captures_of_integers() -> None:
    captured = jit(lambda x, n: x * n, captures=3)
    assert [captured(tensor(1), n).item() for n in (*range(6), *range(6))] == [*range(6), *range(6)]
    assert len(captured._entries) == 3
    assert "6 calls ran uncaptured" in captured.explain()


def test_threads() -> None:
    weight = tensor(2)
    captured = jit(lambda x, n: x * weight + n)

    def work(start: int) -> list[float]:
        return [captured(tensor(i), i % 3).item() for i in range(start, start + 12)]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(work, (0, 100, 200)))
    assert found == [[2 * i + i % 3 for i in range(start, start + 12)] for start in (0, 100, 200)]
