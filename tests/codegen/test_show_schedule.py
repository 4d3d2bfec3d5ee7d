"""Schedules as text: what was written is read back as the same choices, and nothing else is taken for a schedule."""

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from codegen.choose.candidates import identity_of
from codegen.choose.default import placed
from codegen.rewrites.rewrite import prepare
from codegen.schedule import Schedule, ScheduleError
from codegen.show_schedule import carried, read_schedule, show_schedule
from codegen.target import CPU, SM90, Target
from tests.codegen import written_kernels as written
from tests.codegen.random_kernels import kernels, random_kernel
from tests.codegen.random_schedules import random_schedule


def returns(kernel, schedule):
    text = show_schedule(kernel, schedule)
    back = read_schedule(kernel, text)
    assert identity_of(back) == identity_of(schedule), text
    assert show_schedule(kernel, back) == text


@given(kernels(), st.integers(0, 1 << 16))
def test_random_schedules_return(kernel, seed):
    kernel = prepare(kernel)
    returns(kernel, random_schedule(kernel, CPU, seed))


@pytest.mark.parametrize("target", [CPU, SM90], ids=lambda t: t.name)
@given(kernel=kernels())
def test_default_schedules_return(target: Target, kernel):
    try:
        nest = placed(prepare(kernel), target)
    except ScheduleError:  # a few kernels are too wide for a GPU
        assert target is SM90
        reject()
    returns(nest.kernel, nest.schedule)


@given(st.integers(0, 1 << 16), st.integers(0, 1 << 16))
def test_text_holds_for_every_equal_kernel(seed, choice):
    """Another process has other objects, with other ages, for the same kernel."""
    one = prepare(random_kernel(seed))
    text = show_schedule(one, random_schedule(one, CPU, choice))
    other = prepare(random_kernel(seed))
    assert show_schedule(other, read_schedule(other, text)) == text


@given(st.integers(0, 1 << 16), st.integers(0, 1 << 16))
def test_choices_are_carried_to_an_equal_kernel(seed, choice):
    one, other = prepare(random_kernel(seed)), prepare(random_kernel(seed))
    schedule = random_schedule(one, CPU, choice)
    found = carried(one, schedule, {e: place for place, e in enumerate(one.exprs)}, other)
    assert show_schedule(other, found) == show_schedule(one, schedule)


def test_text_of_nothing():
    kernel = written.kernel("copy", (4,), written.tensor("x", 4))
    returns(kernel, Schedule())
    returns(kernel, Schedule(partial=frozenset(), options={"num_warps": 4, "kind": "wide"}))


@pytest.mark.parametrize(
    "text",
    [
        "grid     z by 4",
        "loop     i 4",
        "loop     i by x",
        "tiles    i by 4",
        "stage    keep y[i] at 0",
        "stage    hold x[i] at 0",
        "stage    pack x[i] at 0",
        "stream   t0, sums t1 (1)",
        "ahead    x[i] beside i",
        "inner    store nothing from 0: i by 1",
    ],
)
def test_nonsense_is_refused(text):
    kernel = prepare(written.kernel("copy", (4,), written.tensor("x", 4)))
    with pytest.raises(ScheduleError):
        read_schedule(kernel, text)
