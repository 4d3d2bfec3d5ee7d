"""Results in the places of operands: which may be, and that every schedule then gives what the interpreter gives."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.choose.default import choose
from codegen.dtypes import DType, dtypes, to_storage
from codegen.generate import generate
from codegen.index import Axis, Guard, Index
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, load, reduce
from codegen.nest import check
from codegen.overwriting import overwritable, overwriting, overwritten, paired
from codegen.rewrites.merging import flattened
from codegen.schedule import Inner, Schedule, ScheduleError, Stage, Step
from codegen.target import CPU, SM90
from codegen.verify import verify
from tests.codegen.opencl_harness import difference, run_all, target
from tests.codegen.random_schedules import random_schedule

TYPES = (dtypes.float32, dtypes.float32, dtypes.float16, dtypes.bfloat16, dtypes.float64, dtypes.int32, dtypes.uint8)


def random_update(rng: random.Random) -> Kernel:
    """Several results over the same axes, of operands some of which are read in other orders too."""
    axes = [Axis(f"a{i}", rng.choice((1, 2, 3, 5, 16, 17, 31, 64, 130))) for i in range(rng.choice((1, 1, 2, 2, 3)))]
    here = flattened(axes)
    size = here.hi + 1
    cut = rng.choice((size, size, rng.randint(1, size)))
    guards = frozenset((Guard(here, 0, cut),)) if cut < size else frozenset()
    places = [here] * 4 + [flattened(axes[::-1]) if len({a.size for a in axes}) == 1 else here, here * -1 + (size - 1)]
    dtype = rng.choice(TYPES)
    params = [Param(f"x{i}", dtype, size) for i in range(rng.randint(1, 4))]
    results = [Param(f"out{i}", dtype, size) for i in range(rng.randint(1, 3))]

    def operand(param: Param) -> Expr:
        place: Index = rng.choice(places)
        value = load(param, place, guards if place is here else ())
        return apply("cast", value, dtype=dtype.arithmetic)

    stores = []
    for result in results:
        value = operand(rng.choice(params))
        for _ in range(rng.randint(0, 3)):
            value = apply(rng.choice(("add", "sub", "max", "mul")), value, operand(rng.choice(params)))
        stores.append(Store(result, here, apply("cast", value, dtype=dtype), guards, order=tuple(axes)))
    used = {e.param for s in stores for e in Kernel("", (), (s,)).loads}
    return Kernel("update", (*results, *(p for p in params if p in used)), tuple(stores))


def random_sums(rng: random.Random) -> Kernel:
    """Several results of sums and of operands read in place, in any order of memory: updates by their gradients.

    Sums may read the operands as well, and results may have fewer axes, or more.
    """
    axes = [Axis(f"a{i}", rng.choice((1, 2, 3, 5, 16, 17, 31, 33, 48, 70))) for i in range(rng.choice((1, 2, 2, 2)))]
    summed = Axis("k", rng.choice((1, 3, 16, 17, 40, axes[0].size)))
    dtype = rng.choice((dtypes.float32, dtypes.float32, dtypes.float32, dtypes.bfloat16, dtypes.float64, dtypes.int32))
    here = flattened(rng.sample(axes, len(axes)))
    operands = [Param(f"x{i}", dtype, here.hi + 1) for i in range(rng.randint(1, 3))]
    made: list[Param] = []

    def read(param: Param, place: Index) -> Expr:
        return apply("cast", load(param, place), dtype=dtype.arithmetic)

    def factor(over: list[Axis]) -> Expr:
        """A factor of a sum: of an array of its own, or of an operand that happens to have as many elements."""
        place = flattened(rng.sample([*over, summed], len(over) + 1))
        alike = [x for x in operands if x.size == place.hi + 1 and rng.random() < 0.5]
        made.append(rng.choice(alike) if alike else Param(f"y{len(made)}", dtype, place.hi + 1))
        return read(made[-1], place)

    def total(over: list[Axis]) -> Expr:
        cut = rng.randint(0, len(over))
        return reduce("add", apply("mul", factor(over[:cut]), factor(over[cut:])), [summed])

    stores = []
    for i in range(rng.randint(1, 3)):
        less = i > 0 and rng.random() < 0.2
        over, place = (axes[:1], axes[0].index) if less else (axes, here)
        value = total(over) if rng.random() < 0.8 else read(rng.choice(operands), here) if not less else total(over)
        for _ in range(rng.randint(0 if less else 1, 2)):
            with_sum = stores and not less and rng.random() < 0.4
            other = stores[0].value.args[0] if with_sum and stores[0].value.args else None
            other = other if other is not None and other.dtype is value.dtype else total(over)
            other = other if less or rng.random() < 0.3 else read(rng.choice(operands), here)
            value = apply(rng.choice(("add", "sub", "max")), value, other)
        result = Param(f"out{i}", dtype, place.hi + 1)
        stores.append(Store(result, place, apply("cast", value, dtype=dtype), order=tuple(over)))
    if rng.random() < 0.3:
        more = Axis("e", rng.choice((2, 5, 20)))
        place = here * more.size + more.index
        value = apply("add", total([*axes, more]), read(rng.choice(operands), here))
        result = Param("wide", dtype, place.hi + 1)
        stores.append(Store(result, place, apply("cast", value, dtype=dtype), order=(*axes, more)))
    used = dict.fromkeys(e.param for e in Kernel("", (), tuple(stores)).loads)
    return Kernel("sums", (*(s.param for s in stores), *used), tuple(stores))


def same_loops(kernel: Kernel, schedule: Schedule, rng: random.Random) -> Schedule:
    """The schedule with equal loops of its own for every store, as long ones after a sum have."""
    axes = list(dict.fromkeys(a for s in kernel.stores for a in s.axes))
    lane = schedule.vector[0] if schedule.vector else None
    loops = tuple(Step(a, rng.choice((16, 32)) if a is lane else 1) for a in axes)
    depth = schedule.grid
    tiles = dict(schedule.loops[:depth])
    loops = tuple(step for step in loops if tiles.get(step.axis, step.tile) % step.tile == 0)
    return replace(schedule, inner={s: Inner(depth, loops) for s in kernel.stores})


def chosen(kernel: Kernel, rng: random.Random) -> dict[Param, Param]:
    """Some of the pairs that are possible, no operand twice."""
    pairs: dict[Param, Param] = {}
    for result, operands in overwritable(kernel).items():
        free = [x for x in operands if x not in pairs.values()]
        if free and rng.random() < 0.8:
            pairs[result] = rng.choice(free)
    return pairs


def arrays(kernel: Kernel, seed: int) -> dict[str, NDArray]:
    rng = np.random.default_rng(seed)
    return {p.name: to_storage(rng.integers(0, 5, p.size), p.dtype) for p in kernel.params}


def expected(kernel: Kernel, pairs: dict[Param, Param], given: dict[str, NDArray]) -> dict[str, NDArray]:
    """What the kernel leaves in each result, by the name of the array that holds it after overwriting."""
    left = {name: array.copy() for name, array in given.items()}
    interpret(kernel, left)
    found = {}
    for store in kernel.stores:
        taken = pairs.get(store.param)
        found[taken.name if taken else store.param.name] = left[store.param.name]
    return found


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 1 << 32), st.sampled_from((random_update, random_sums)))
def test_overwriting_keeps_the_meaning(seed: int, make: Callable[[random.Random], Kernel]) -> None:
    rng = random.Random(seed)
    kernel = make(rng)
    pairs = chosen(kernel, rng)
    changed = overwriting(kernel, pairs)
    verify(changed)
    given = arrays(kernel, seed)
    left = {p.name: given[p.name].copy() for p in changed.params}
    for name in changed.written - {p.name for p in pairs.values()}:
        left[name][:] = given[name]
    interpret(changed, left)
    for name, values in expected(kernel, pairs, given).items():
        held = next((s for s in changed.stores if s.param.name == name), None)
        assert held is not None
        np.testing.assert_array_equal(left[name], _merged(held, values, given[name]))


def _merged(store: Store, values: NDArray, before: NDArray) -> NDArray:
    """The values where the store's guard holds, and what was there before elsewhere."""
    (cut,) = [g.hi for g in store.guards] or [values.size]
    return np.concatenate([values[:cut], before[cut:]])


@pytest.mark.parametrize(("make", "cases"), [(random_update, 80), (random_sums, 240)])
def test_schedules_keep_the_meaning(make: Callable[[random.Random], Kernel], cases: int) -> None:
    """On the device, under the default schedule and under random ones, whatever the tails."""
    programs, inputs, wanted = [], [], []
    for seed in range(cases):
        rng = random.Random(seed)
        kernel = make(rng)
        pairs = chosen(kernel, rng)
        changed = overwriting(kernel, pairs)
        if not pairs:
            continue
        schedule = choose(changed, CPU) if seed % 4 == 0 else random_schedule(changed, CPU, seed)
        if seed % 4 == 1:
            together = same_loops(changed, schedule, rng)
            schedule = together if is_legal(changed, together) else schedule
        changed = Kernel(f"{changed.name}{seed}", changed.params, changed.stores)
        programs.append(generate(changed, target(), schedule))
        inputs.append({p.name: a for p, a in ((p, arrays(kernel, seed)[p.name]) for p in changed.params)})
        wanted.append({s.param.name: (s, expected(kernel, pairs, arrays(kernel, seed))[s.param.name])
                       for s in changed.stores})  # fmt: skip
    for given_arrays, left, results in zip(inputs, run_all(programs, inputs), wanted):
        for name, (store, values) in results.items():
            correct = _merged(store, values, given_arrays[name])
            assert difference(left[name], correct, store.param.dtype) is None


def is_legal(kernel: Kernel, schedule: Schedule) -> bool:
    try:
        check(kernel, schedule, CPU)
    except ScheduleError:
        return False
    return True


def two_places(dtype: DType = dtypes.float32) -> tuple[Kernel, Param, Param]:
    """out[i] = x[i] + x[n-1-i] * y[i]"""
    i = Axis("i", 100)
    x, y, out = (Param(name, dtype, 100) for name in ("x", "y", "out"))
    value = apply("add", load(x, i.index), apply("mul", load(x, i.index * -1 + 99), load(y, i.index)))
    return Kernel("two", (out, x, y), (Store(out, i.index, value, order=(i,)),)), x, y


def test_what_is_read_elsewhere_is_not_overwritten() -> None:
    kernel, _, y = two_places()
    assert overwritable(kernel) == {kernel.params[0]: (y,)}


def test_what_is_summed_is_not_overwritten() -> None:
    """out[i] = y[i] * sum over r (x[r]) may take the place of y alone."""
    i, r = Axis("i", 10), Axis("r", 10)
    x, y, out = (Param(name, dtypes.float32, 10) for name in ("x", "y", "out"))
    value = apply("mul", load(y, i.index), reduce("add", load(x, r.index), [r]))
    assert overwritable(Kernel("row", (out, x, y), (Store(out, i.index, value, order=(i,)),))) == {out: (y,)}
    inside = reduce("add", apply("mul", load(x, r.index), load(y, i.index)), [r])
    assert not overwritable(Kernel("row", (out, x, y), (Store(out, i.index, inside, order=(i,)),)))


def momentum() -> tuple[Kernel, Kernel, Axis, Axis]:
    """m1 = m + x.T @ g, w1 = w - m1; and the same in place."""
    i, j, k = Axis("i", 50), Axis("j", 70), Axis("k", 40)
    x, g = Param("x", dtypes.float32, 2000), Param("g", dtypes.float32, 2800)
    w, m, w1, m1 = (Param(name, dtypes.float32, 3500) for name in ("w", "m", "w1", "m1"))
    here = flattened([i, j])
    gradient = reduce("add", apply("mul", load(x, flattened([k, i])), load(g, flattened([k, j]))), [k])
    average = apply("add", load(m, here), gradient)
    moved = apply("sub", load(w, here), average)
    stores = (Store(m1, here, average, order=(i, j)), Store(w1, here, moved, order=(i, j)))
    kernel = Kernel("momentum", (w1, m1, w, m, x, g), stores)
    assert paired(kernel, overwritable(kernel)) == {w1: w, m1: m}
    return kernel, overwriting(kernel, {w1: w, m1: m}), i, j


def test_loops_of_their_own_are_refused_where_one_store_reads_what_another_replaces() -> None:
    kernel, changed, i, j = momentum()
    (total,) = kernel.reduces
    steps = (Step(i, 10), Step(i, 1), Step(j, 16), Step(total.bound[0], 1))

    def apart(some: Kernel, *tiles: int) -> Schedule:
        inner = {s: Inner(1, (Step(i, 1), Step(j, tile))) for s, tile in zip(some.stores, tiles)}
        return Schedule(steps, 1, (j,), (Stage(total, 1),), inner)

    with pytest.raises(ScheduleError, match="loops of its own"):
        check(changed, apart(changed, 16, 32), CPU)
    assert is_legal(kernel, apart(kernel, 16, 32))
    assert is_legal(changed, apart(changed, 16, 16))  # equal ones are shared


def test_updates_keep_the_schedule_of_their_product() -> None:
    kernel, changed, _, _ = momentum()
    before, after = choose(kernel, CPU), choose(changed, CPU)
    assert (before.loops, before.grid, before.vector) == (after.loops, after.grid, after.vector)


def test_other_sizes_and_types_do_not_fit() -> None:
    i = Axis("i", 10)
    wide, long, out = Param("w", dtypes.float64, 10), Param("l", dtypes.float32, 11), Param("out", dtypes.float32, 10)
    value = apply("add", apply("cast", load(wide, i.index), dtype=dtypes.float32), load(long, i.index))
    assert not overwritable(Kernel("k", (out, wide, long), (Store(out, i.index, value, order=(i,)),)))


def test_what_is_kept_apart_is_refused() -> None:
    kernel, _, y = two_places()
    changed = overwriting(kernel, {kernel.params[0]: y})
    (i,) = changed.axes
    assert overwritten(changed) == {y}
    (loaded,) = [e for e in changed.loads if e.param is y]
    early = Schedule((Step(i, 16), Step(i, 1)), 1, (), (Stage(loaded, 1),))
    with pytest.raises(ScheduleError, match="kept"):
        check(changed, early, CPU)
    with pytest.raises(ScheduleError, match="Triton"):
        check(changed, Schedule((Step(i, 16),), 1), SM90)


def test_results_take_what_they_are_computed_from() -> None:
    """m = m + g, v = v + g*g, p = p - m / v: each stays in its place."""
    i = Axis("i", 8)
    p, m, v, g = (Param(name, dtypes.float32, 8) for name in "pmvg")
    p1, m1, v1 = (Param(f"{name}1", dtypes.float32, 8) for name in "pmv")
    at = {x: load(x, i.index) for x in (p, m, v, g)}
    average, square = apply("add", at[m], at[g]), apply("add", at[v], apply("mul", at[g], at[g]))
    moved = apply("sub", at[p], apply("div", average, square))
    stores = [Store(x, i.index, value, order=(i,)) for x, value in ((p1, moved), (v1, square), (m1, average))]
    kernel = Kernel("step", (p1, v1, m1, p, m, v, g), tuple(stores))
    assert paired(kernel, overwritable(kernel)) == {p1: p, m1: m, v1: v}


def test_gradients_leave_weights_where_they_are() -> None:
    """g = x.T @ y, w = w - g: the weight takes the weight's place, whichever comes first."""
    i, j, k = Axis("i", 8), Axis("j", 8), Axis("k", 5)
    x, y = Param("x", dtypes.float32, 40), Param("y", dtypes.float32, 40)
    w, w1, g = (Param(name, dtypes.float32, 64) for name in ("w", "w1", "g"))
    here = flattened([i, j])
    gradient = reduce("add", apply("mul", load(x, flattened([k, i])), load(y, flattened([k, j]))), [k])
    stores = [Store(g, here, gradient, order=(i, j)),
              Store(w1, here, apply("sub", load(w, here), gradient), order=(i, j))]  # fmt: skip
    for order in (stores, stores[::-1]):
        kernel = Kernel("step", (g, w1, w, x, y), tuple(order))
        assert overwritable(kernel) == {g: (w,), w1: (w,)}
        assert paired(kernel, overwritable(kernel)) == {w1: w}
