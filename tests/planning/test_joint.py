"""Joined launches: the same results as one after the other, and as few as there can be."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.program import Program
from kernelforge import GlobalCounters, Tensor
from kernelforge.kernels import Device
from kernelforge.planning import joint as module
from kernelforge.planning.joint import MOST_PARAMS, SMALL, joint
from kernelforge.planning.steps import Launch, Transfer
from tests.effort import effort

SLOTS = 12
together: dict[str, list[tuple[str, tuple[int, ...]]]] = {}


def launch(name: str, writes: Sequence[int], reads: Sequence[int], large: bool, is_plain: bool) -> Launch:
    slots = [*writes, *(slot for slot in reads if slot not in writes)]
    params = tuple(Param(f"a{i}", dtypes.float32, 4) for i in range(len(slots)))
    written = frozenset(f"a{i}" for i in range(len(writes)))
    program = Program("opencl", name, name, (1,), params, written, nbytes=2 * SMALL if large else 16)
    return Launch("CPU", program, tuple(slots), is_plain=is_plain)


@pytest.fixture(autouse=True)
def _recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joint programs name their parts instead of holding their text."""

    def record(programs: Sequence[Program], arguments: Sequence[tuple[int, ...]]) -> tuple[Program, tuple[int, ...]]:
        name = "+".join(program.entry for program in programs)
        slots = dict.fromkeys(slot for own in arguments for slot in own)
        params = tuple(Param(f"p{slot}", dtypes.float32, 4) for slot in slots)
        together[name] = [(program.entry, own) for program, own in zip(programs, arguments)]
        return Program("opencl", name, name, (1,), params, frozenset()), tuple(slots)

    monkeypatch.setattr(module, "together", record)


def random_steps(rng: random.Random) -> list[Launch | Transfer]:
    steps: list[Launch | Transfer] = []
    for i in range(rng.randint(1, 14)):
        if rng.random() < 0.1:
            steps.append(Transfer(*rng.sample(range(SLOTS), 2)))
            continue
        writes = rng.sample(range(SLOTS), rng.choice((1, 1, 2)))
        reads = rng.sample(range(SLOTS), rng.randint(0, 3))
        steps.append(launch(f"k{i}", writes, reads, rng.random() < 0.3, rng.random() < 0.7))
    return steps


def run(steps: Sequence[Launch | Transfer], memory: Sequence[int], rng: random.Random) -> list[object]:
    """What is in every place at last; the parts of a joint launch run in any order, each place being a history."""
    places: list[object] = list(range(SLOTS))
    for step in steps:
        if isinstance(step, Transfer):
            places[memory[step.target]] = ("copy", places[memory[step.source]])
            continue
        parts = list(together.get(step.program.entry, [(step.program.entry, step.arguments)]))
        rng.shuffle(parts)
        for name, slots in parts:
            written = NUMBER[name]
            before = tuple(places[memory[slot]] for slot in slots)
            for slot in slots[:written]:
                places[memory[slot]] = (name, before)
    return places


NUMBER: dict[str, int] = {}


@given(st.integers(0, 1 << 32))
def test_joined_steps_do_the_same(seed: int) -> None:
    rng = random.Random(seed)
    steps = random_steps(rng)
    NUMBER.update({s.program.entry: len(s.writes) for s in steps if isinstance(s, Launch)})
    memory = [rng.choice((slot, slot, slot, rng.randrange(SLOTS))) for slot in range(SLOTS)]
    memory = [place if memory[place] == place else slot for slot, place in enumerate(memory)]
    together.clear()
    expected = run(steps, memory, rng)
    apart = frozenset(i for i in range(len(steps)) if rng.random() < 0.1)
    found, moved = joint(steps, apart, memory)
    assert run(found, memory, rng) == expected
    assert all(found[moved[position]] is steps[position] for position in apart)
    assert len(found) <= len(steps)


def test_independent_launches_are_one() -> None:
    found, _ = joint([launch(f"k{i}", [i], [11], i % 2 == 0, True) for i in range(10)], frozenset(), range(SLOTS))
    assert len(found) == 1


def test_a_small_launch_waits_and_a_large_one_does_not() -> None:
    steps = [
        launch("small", [0], [9], False, True),
        launch("large", [1], [9], True, True),
        launch("product", [2], [9], True, False),
        launch("later", [3], [9], False, True),
    ]
    found, moved = joint(steps, frozenset(), range(SLOTS))
    assert [step.program.entry for step in found if isinstance(step, Launch)] == ["large+small", "product", "later"]
    assert moved == {2: 1}
    found, _ = joint([steps[0], *steps[2:]], frozenset(), range(SLOTS))
    assert [step.program.entry for step in found if isinstance(step, Launch)] == ["product", "small+later"]


def test_what_depends_on_others_waits_with_its_like() -> None:
    """Two sums in two stages each: two launches."""
    steps = [launch(f"k{i}", [i], [i - 1] if i % 2 else [10], False, True) for i in range(4)]
    found, _ = joint(steps, frozenset(), range(SLOTS))
    assert [step.program.entry for step in found if isinstance(step, Launch)] == ["k0+k2", "k1+k3"]


def test_one_launch_takes_so_many_arrays() -> None:
    steps = [launch(f"k{i}", [i], [1000 + i], False, True) for i in range(MOST_PARAMS)]
    found, _ = joint(steps, frozenset(), range(2000))
    assert [len(step.arguments) for step in found] == [MOST_PARAMS, MOST_PARAMS]


@pytest.mark.skipif(Device["CPU"].target.language == "interpreted", reason="the interpreter joins nothing")
def test_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    values = [np.random.default_rng(i).normal(size=(i % 5 + 1, 70)).astype(np.float32) for i in range(30)]
    tensors = [Tensor(value, device="CPU") for value in values]
    results = [x * 2 + 1 if i % 2 else x.exp().sqrt() for i, x in enumerate(tensors)]
    before = GlobalCounters.kernel_count
    results[0].realize(*results[1:])
    assert GlobalCounters.kernel_count - before == 1
    for i, (result, value) in enumerate(zip(results, values)):
        np.testing.assert_allclose(result.numpy(), value * 2 + 1 if i % 2 else np.exp(value / 2), rtol=2e-6)


def test_a_launch_of_more_arguments_than_one_may_hold_stays_alone() -> None:
    many = launch("many", [0], range(1, 2 * MOST_PARAMS), False, True)
    few = launch("few", [1000], [1001], False, True)
    found, _ = joint([many, few], frozenset(), range(2000))
    assert sorted(step.program.entry for step in found if isinstance(step, Launch)) == ["few", "many"]


def test_a_long_chain_takes_as_much_work_for_each_launch_as_a_short_one() -> None:
    def chained(length: int) -> int:
        steps = [launch(f"k{i}", [i + 1], [i], False, True) for i in range(length)]
        return effort(lambda: joint(steps, frozenset(), range(length + 1)))

    assert chained(2000) < 12 * chained(200)
