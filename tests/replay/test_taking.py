"""Updates written where the old values were: only while nothing else needs them, with the same results."""

from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit
from kernelforge.replay.taking import are_alone

SIZE = 600  # float32 matrices of this size are large enough to save


def test_memory_stays_where_it_was(device: str) -> None:
    w, m = Tensor(np.ones((SIZE, SIZE), np.float32)).realize(), Tensor(np.zeros((SIZE, SIZE), np.float32)).realize()

    @jit
    def step(x: Tensor) -> Tensor:
        m.assign(m * 0.5 + x)
        w.assign(w - m * 0.25)
        return x * 2

    expected_w, expected_m = np.ones((SIZE, SIZE)), np.zeros((SIZE, SIZE))
    places, views = [], []
    for i in range(7):
        if i == 4:
            views.append((Tensor(w), w.numpy()))  # now somebody else needs the old values
        found = step(Tensor([float(i)]))
        expected_m = expected_m * 0.5 + i
        expected_w = expected_w - expected_m * 0.25
        assert found.item() == 2 * i
        np.testing.assert_allclose(w.numpy()[0, :3], expected_w[0, :3], rtol=1e-5)
        assert w._stored is not None and w._stored.memory is not None
        places.append(w._stored.memory.block.serial)
    assert step._entries[0].capture.taken
    assert places[1] == places[2] == places[3]
    assert places[4] != places[3] and places[5] == places[4]
    for view, values in views:
        np.testing.assert_array_equal(view.numpy(), values)


def test_old_values_that_are_returned_stay() -> None:
    w = Tensor(np.ones((SIZE, SIZE), np.float32)).realize()

    @jit
    def step() -> Tensor:
        old = Tensor(w)
        w.assign(w + 1)
        return old

    assert [step()[0, 0].item() for _ in range(4)] == [1, 2, 3, 4]


@pytest.mark.parametrize("hold", [lambda x: x.detach(), lambda x: x * 2, lambda x: x[:1], lambda x: x._stored])
def test_what_holds_values(hold: Any) -> None:
    x = (Tensor(np.ones(3, np.float32)) * 2).realize()
    assert are_alone([x])
    held = hold(x)
    assert not are_alone([x])
    del held
    assert are_alone([x])
