"""Kernels that leave parts of an array as they are: over fewer points, they leave the same in every array."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import dtypes, to_storage
from codegen.generate import generate
from codegen.index import Axis, Guard
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load, reduce, valid
from codegen.rewrites.changing import where_changed
from codegen.rewrites.merging import flattened
from codegen.verify import verify
from tests.codegen.opencl_harness import difference, run_all, target


def random_parts(rng: random.Random) -> Kernel:
    """Results in the places of operands that change parts of these: ranges of axes, or of sums of axes."""
    axes = [Axis(f"a{i}", rng.choice((1, 2, 3, 7, 16, 33, 70))) for i in range(rng.choice((1, 2, 2, 3)))]
    here, summed = flattened(axes), Axis("k", 5)
    params = [Param(f"x{i}", dtypes.float32, here.hi + 1) for i in range(rng.choice((1, 1, 2)))]
    other, rows = Param("y", dtypes.float32, here.hi + 1), Param("z", dtypes.float32, 5 * axes[0].size)

    def condition() -> tuple[Expr, bool]:
        """A condition, and whether it is its opposite that is asked for."""
        guards = []
        for _ in range(rng.choice((1, 1, 2))):
            index = rng.choice((*(a.index for a in axes), here, axes[0].index * 2, axes[-1].index * -1 + 3))
            low = rng.randint(index.lo - 1, index.hi)
            guards.append(Guard(index, low, rng.randint(low, index.hi + 2)))
        asked = valid(guards)
        kind = rng.choice(("plain", "plain", "chosen", "not", "opposite"))
        if kind == "chosen":
            return apply("where", asked, const(True, dtypes.bool), const(False, dtypes.bool)), False
        if kind == "opposite":
            return apply("where", asked, const(False, dtypes.bool), const(True, dtypes.bool)), True
        return (apply("not", asked), True) if kind == "not" else (asked, False)

    stores = []
    for param in params:
        own = load(param, here)
        value = rng.choice((load(other, here), apply("add", own, const(1, dtypes.float32)), const(2, dtypes.float32)))
        if rng.random() < 0.3:
            over = rng.choice((summed, axes[0]))
            place = axes[0].index * 5 + summed.index if over is summed else axes[0].index
            value = apply("add", value, reduce("add", load(rows, place), [over]))
        for _ in range(rng.choice((0, 1, 1, 2))):
            asked, is_opposite = condition()
            value = apply("where", asked, *((own, value) if is_opposite else (value, own)))
        stores.append(Store(param, here, value, order=tuple(axes)))
    used = {e.param for store in stores for e in Kernel("", (), (store,)).loads}
    return Kernel("parts", (*params, *(p for p in (other, rows) if p in used)), tuple(stores))


def arrays(kernel: Kernel, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {p.name: to_storage(rng.integers(0, 9, p.size), p.dtype) for p in kernel.params}


def left(kernel: Kernel, seed: int) -> dict[str, np.ndarray]:
    found = arrays(kernel, seed)
    interpret(kernel, found)
    return found


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 1 << 32))
def test_the_meaning_stays(seed: int) -> None:
    kernel = random_parts(random.Random(seed))
    changed = where_changed(kernel)
    verify(changed)
    for (name, values), others in zip(left(kernel, seed).items(), left(changed, seed).values()):
        np.testing.assert_array_equal(values, others, name)


def test_devices_leave_the_same() -> None:
    programs, inputs, wanted = [], [], []
    for seed in range(60):
        kernel = random_parts(random.Random(seed))
        changed = where_changed(kernel)
        programs.append(generate(Kernel(f"parts{seed}", changed.params, changed.stores), target()))
        inputs.append(arrays(kernel, seed))
        wanted.append(left(kernel, seed))
    for given_arrays, expected in zip(run_all(programs, inputs), wanted):
        for name, values in given_arrays.items():
            assert difference(values, expected[name], dtypes.float32) is None


@pytest.mark.parametrize(("low", "high"), [(0, 1), (3, 5), (99, 100)])
def test_a_row_that_is_assigned_is_all_that_is_visited(low: int, high: int) -> None:
    i, j = Axis("i", 100), Axis("j", 20)
    x, y, here = Param("x", dtypes.float32, 2000), Param("y", dtypes.float32, 20), i.index * 20 + j.index
    value = apply("where", valid([Guard(i.index, low, high)]), load(y, j.index), load(x, here))
    (store,) = where_changed(Kernel("row", (x, y), (Store(x, here, value, order=(i, j)),))).stores
    assert [a.size for a in store.axes] == [high - low, 20]
    assert (store.index.lo, store.index.hi) == (low * 20, high * 20 - 1)
