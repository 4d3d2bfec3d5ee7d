"""What captured functions see beside their arguments: closures, globals, attributes, arrays."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit
from tests.replay.footguns.twins import tensor, values

pytestmark = pytest.mark.usefixtures("numpy_device")

SCALE = 2.0
TABLE = {"scale": 3.0}
WEIGHT = None


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


def test_memory_of_an_array_it_makes() -> None:
    """Results are computed in the end: what is written into the array until then is none of theirs."""

    def step(x: Tensor, late: bool) -> Tensor:
        table = np.ones(2, np.float32)
        found = (x + Tensor.as_tensor(table)).realize()
        if late:
            table[0] = 9
        return found

    captured = jit(step)
    for _ in range(3):
        assert captured(tensor(1, 2), False).tolist() == step(tensor(1, 2), False).tolist() == [2, 3]
    with pytest.raises(JitError, match="writes into an array whose memory a tensor has"):
        captured(tensor(1, 2), True)


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
    hidden = ctypes.py_object(weight)
    with pytest.raises(JitError, match="neither an argument nor found"):
        jit(lambda x: x + hidden.value)(tensor(1))
    with pytest.raises(JitError, match="neither an argument nor found"):
        jit(lambda x: hidden.value.assign(x) * 1)(tensor(1))
