"""Legality: what a schedule may not say, and why."""

import dataclasses

import pytest

from codegen.dtypes import dtypes
from codegen.index import Axis, dynamic, separated
from codegen.ir import Kernel, Param, Store, apply, const, load, reduce
from codegen.nest import check
from codegen.schedule import Inner, Schedule, ScheduleError, Stage, Step
from codegen.streaming import Stream
from codegen.target import CPU

ROW, COLUMN = Axis("i", 64), Axis("j", 48)
X, OUT = Param("x", dtypes.float32, 64 * 48), Param("out", dtypes.float32, 64 * 48)
SUMS = Param("sums", dtypes.float32, 64)
VALUE = load(X, ROW.index * 48 + COLUMN.index)
EXP = apply("exp", VALUE)
MAX, SUM = reduce("max", VALUE, [COLUMN]), reduce("add", EXP, [COLUMN])
COPY = Kernel("copy", (X, OUT), (Store(OUT, ROW.index * 48 + COLUMN.index, EXP),))
ROWS = Kernel("rows", (X, SUMS), (Store(SUMS, ROW.index, apply("add", MAX, SUM)),))


def steps(*loops: tuple[Axis, int]) -> tuple[Step, ...]:
    return tuple(Step(*loop) for loop in loops)


@pytest.mark.parametrize(
    ("kernel", "schedule", "reason"),
    [
        (COPY, Schedule(steps((ROW, 12), (ROW, 5))), "loop over i by 5 does not divide the enclosing tile 12"),
        (COPY, Schedule(steps((ROW, 0))), "loop over i by 0"),
        (COPY, Schedule(steps((Axis("z", 4), 1))), "a loop over z, which is no axis of the kernel"),
        (COPY, Schedule(steps((ROW, 8)), 2), "2 grid loops, but the schedule has 1"),
        (COPY, Schedule(steps((ROW, 8), (ROW, 4)), 2), "an axis has two grid loops"),
        (COPY, Schedule(vector=(Axis("z", 4),)), "a vector axis is no axis"),
        (COPY, Schedule(steps((ROW, 8)), stages=(Stage(SUM, 0),)), "is no value of the kernel"),
        (COPY, Schedule(steps((ROW, 8)), stages=(Stage(EXP, 2),)), "a stage at depth 2"),
        (
            COPY,
            Schedule(stages=(Stage(EXP, 0, ((ROW, 1), (COLUMN, 2))),)),
            "ends each axis of the staged value with block 1",
        ),
        (COPY, Schedule(stages=(Stage(EXP, 0, ((ROW, 8), (ROW, 3), (ROW, 1))),)), "block 3 of i does not divide"),
        (COPY, Schedule(steps((ROW, 8), (COLUMN, 16)), stages=(Stage(EXP, 0, ((COLUMN, 1),)),)), "lacks i"),
        (COPY, Schedule(steps((ROW, 8)), inner={SUM: Inner(0, ())}), "no value or store of the kernel"),
        (COPY, Schedule(steps((ROW, 8)), inner={EXP: Inner(3, ())}), "inner loops begin at depth 3"),
        (
            COPY,
            Schedule(steps((ROW, 8)), inner={EXP: Inner(1, steps((ROW, 3)))}),
            "does not divide the enclosing tile 8",
        ),
        (ROWS, Schedule(steps((COLUMN, 16)), 1), "grid loop over j, which a reduce binds"),
        (ROWS, Schedule(streams=(Stream(SUM, SUM, ((SUM, 1.0),)),)), "a stream is a max of floats and sums"),
        (COPY, Schedule(streams=(Stream(MAX, MAX, ((SUM, 1.0),)),)), "a stream names reduces the kernel lacks"),
        (COPY, Schedule(), "statements"),
    ],
)
def test_unlawful_schedules_are_refused_with_the_reason(kernel: Kernel, schedule: Schedule, reason: str) -> None:
    with pytest.raises(ScheduleError, match=reason):
        check(kernel, schedule, CPU)


def test_boxes_must_fit_the_scratch_memory() -> None:
    """The row sums are needed after all columns: a box of all rows outlives the loop over j."""
    schedule = Schedule(steps((COLUMN, 1), (ROW, 1)))
    check(ROWS, schedule, CPU)
    with pytest.raises(ScheduleError, match="scratch"):
        check(ROWS, schedule, dataclasses.replace(CPU, scratch=128))


def accumulation(*, gathered: bool) -> Kernel:
    """total[p[i], j] += x[i, j], or total[j] += x[i, j]."""
    p, total = Param("p", dtypes.int32, 64), Param("total", dtypes.float32, 10 * 48)
    picked = dynamic(load(p, ROW.index), 10) * 48 if gathered else ROW.index * 0
    return Kernel("scatter", (p, X, total), (Store(total, picked + COLUMN.index, VALUE, mode="add"),))


@pytest.mark.parametrize("gathered", (True, False))
def test_accumulating_programs_may_not_meet(gathered: bool) -> None:
    """Columns are separate whatever row is picked; rows may meet."""
    kernel = accumulation(gathered=gathered)
    check(kernel, Schedule(steps((COLUMN, 16), (ROW, 1), (COLUMN, 1)), 1), CPU)
    with pytest.raises(ScheduleError, match="programs along i may accumulate into the same place of total"):
        check(kernel, Schedule(steps((ROW, 8), (ROW, 1), (COLUMN, 1)), 1), CPU)


def test_several_stores_to_an_accumulated_array_keep_it_off_the_grid() -> None:
    total = Param("total", dtypes.float32, 48)
    stores = tuple(
        Store(total, COLUMN.index, value, mode="add") for value in (load(X, COLUMN.index), const(1.0, dtypes.float32))
    )
    with pytest.raises(ScheduleError, match="several stores go to total"):
        check(Kernel("twice", (X, total), stores), Schedule(steps((COLUMN, 16), (COLUMN, 1)), 1), CPU)


def test_axes_are_separate_when_the_index_is_a_mixed_radix() -> None:
    assert separated(ROW.index * 48 + COLUMN.index) == {ROW, COLUMN}
    assert separated(ROW.index * 48 - COLUMN.index) == {ROW, COLUMN}
    assert separated(ROW.index * 47 + COLUMN.index) == frozenset()
    assert separated(ROW.index // 2 * 48 + COLUMN.index) == {COLUMN}
