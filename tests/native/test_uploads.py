"""Arrays that come from the host again and again are copied to where nobody reads any more."""

import random

import numpy as np
import pytest

from kernelforge import Tensor


@pytest.mark.parametrize("size", [1, 7, 64, 5003])
def test_new_values_leave_the_old_ones_alone(size: int) -> None:
    rng = random.Random(size)
    alive: list[tuple[Tensor, np.ndarray]] = []
    for _ in range(60):
        values = np.asarray([rng.random() for _ in range(2 * size)], np.float32)[:: rng.choice((1, 2))][:size]
        x, y = Tensor(values), Tensor(values[::-1])
        z = (x * 2 + y).realize()
        alive += [(x, values), (y, values[::-1]), (z, values * np.float32(2) + values[::-1])]
        rng.shuffle(alive)
        del alive[rng.randint(0, 12) :]
        for tensor, expected in alive:
            np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-6)


def test_changes_in_place_of_what_came_from_the_host() -> None:
    kept: list[Tensor] = []
    for i in range(20):
        x = Tensor(np.full(11, i, np.float32))
        x += 1
        x.realize()
        kept.append(x)
        del kept[:-3]
        assert [float(t.numpy()[0]) for t in kept] == [float(j + 1) for j in range(max(0, i - 2), i + 1)]
