"""Candidates: all legal, all different, the default first, each computing what the kernel means."""

from itertools import islice

import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from codegen.choose.candidates import Space, identity_of
from codegen.choose.default import choose
from codegen.choose.picks import Script, either, first
from codegen.generate import generate, render
from codegen.ir import Kernel
from codegen.nest import check
from codegen.rewrites.rewrite import prepare
from codegen.schedule import ScheduleError
from codegen.target import CPU, SM90, Target
from tests.codegen.choose.test_default import convolution, product
from tests.codegen.opencl_harness import difference, run_all, target
from tests.codegen.random_kernels import kernels, random_arrays, random_kernel, run

FEW = 12
SIZES = (1, 2, 3, 5, 8, 16, 17, 33, 64)


@pytest.mark.parametrize("target", [CPU, SM90], ids=lambda t: t.name)
@given(kernel=kernels(sizes=SIZES))
def test_candidates_are_legal_and_different(target: Target, kernel: Kernel) -> None:
    try:
        space = Space(prepare(kernel), target)
    except ScheduleError:  # a few kernels are too wide for a GPU
        assert target is SM90
        reject()
    found = list(islice(space, FEW))
    for candidate in found:
        check(space.kernel, candidate.schedule, target)
    assert len({identity_of(candidate.schedule) for candidate in found}) == len(found)


@given(kernels(sizes=SIZES))
def test_the_model_comes_first(kernel: Kernel) -> None:
    kernel = prepare(kernel)
    space = Space(kernel, CPU)
    assert next(iter(space)).picks == {} == space.first.picks
    assert render(space.first.nest).source == generate(kernel, CPU).source
    if space.kernel is kernel:
        assert identity_of(space.first.schedule) == identity_of(choose(kernel, CPU))


@given(kernels(sizes=SIZES))
def test_candidates_come_in_order_of_distance(kernel: Kernel) -> None:
    found = [len(candidate.picks) for candidate in islice(Space(prepare(kernel), CPU), FEW)]
    assert found == sorted(found)


@given(st.lists(st.integers(0, 1 << 32), min_size=2, max_size=2, unique=True))
@example([0, 3821954])  # positions that nothing is loaded at
def test_candidates_compute_the_kernel(seeds: list[int]) -> None:
    """Built together, for building is what takes the time."""
    programs, arrays, wanted = [], [], []
    for seed in seeds:
        kernel = prepare(random_kernel(seed, sizes=SIZES))
        given_, space = random_arrays(kernel, seed), Space(kernel, CPU)
        for candidate in islice(space, seed % 5, FEW, 5):
            named = Kernel(f"k{len(programs)}", kernel.params, space.kernel.stores)
            programs.append(generate(named, target(), candidate.schedule))
            arrays.append(given_)
            wanted.append(run(kernel, given_))
    for program, found, expected in zip(programs, run_all(programs, arrays), wanted):
        for param in (p for p in program.params if p.name in found):
            wrong = difference(found[param.name], expected[param.name], param.dtype)
            assert not wrong, f"{wrong}\n{program.source}"


@pytest.mark.parametrize(
    "kernel",
    [product(127, 129, 131), product(512, 512, 512), product(32, 64, 4096, "NT"), convolution(1, 16, 16, 14, 3, 1)],
    ids=lambda k: k.name,
)
def test_contractions_have_many_candidates(kernel: Kernel) -> None:
    assert len(list(islice(Space(kernel, CPU), 100))) == 100


def test_around_differs_in_one_choice() -> None:
    space = Space(product(64, 64, 64), CPU)
    for picks in ({}, {"tile": 2}, {"tile": 2, "order": 1}):
        for other in space.around(picks):
            assert other != picks
            assert sum(picks.get(name, 0) != other.get(name, 0) for name in {*picks, *other}) == 1


def test_script_answers_by_position() -> None:
    script = Script({"b": 1, "c": 7})
    assert [script(name, (10, 20)) for name in "abc"] == [10, 20, 10]
    assert (script.met, script.taken) == ({"a": 2, "b": 2, "c": 2}, {"b": 1})
    script.forget("b")
    assert (script.met, script.taken) == ({"b": 2}, {"b": 1})
    assert first("x", iter((3, 4))) == 3
    assert either(4, (1, 2, 4)) == (4, 1, 2)


def test_small_spaces_end() -> None:
    """Choices that change nothing are not combined with each other."""
    kernel = prepare(random_kernel(3, "elementwise", sizes=(2, 3)))
    assert 1 <= len(list(Space(kernel, CPU))) < 1000
