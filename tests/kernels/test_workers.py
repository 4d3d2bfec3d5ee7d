"""Workers: what they compile is in the disk cache; refused programs and workers that die are no obstacle."""

import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from codegen.generate import generate
from codegen.program import Program
from codegen.rewrites.rewrite import prepare
from kernelforge.kernels import Device, cache
from kernelforge.kernels.workers import Crew
from kernelforge.settings import Context
from tests.codegen.random_kernels import random_kernel


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    """A crew with one worker that has started, and an empty disk cache."""
    if "Intel" not in Device["CPU"].facts.platform:
        pytest.skip("needs a driver whose binaries the disk cache keeps")
    with Context(CACHE_DIR=str(tmp_path)):
        made = Crew("CPU", 1)
        start(made)
        yield made
        for worker in made.idle:
            worker.process.kill()


def start(crew: Crew) -> None:
    """Start the missing workers and wait for them."""
    crew.start()
    assert wait([worker.answers for worker in crew.starting], timeout=600)
    crew._welcome()
    assert crew.idle


def programs(count: int) -> list[Program]:
    return [generate(prepare(random_kernel(seed)), Device["CPU"].target) for seed in range(count)]


def compiled(crew: Crew, wanted: list[Program], seconds: float = 60) -> list[Program]:
    """What the worker alone compiles."""
    return list(crew.compile(wanted, lambda program: False, time.perf_counter() + seconds))


def test_binaries_are_in_the_cache(crew: Crew) -> None:
    wanted, before = programs(6), cache.statistics.compiled
    found = compiled(crew, wanted)
    assert found
    Device["CPU"].compile(found)
    assert cache.statistics.compiled == before


def test_this_process_compiles_as_well() -> None:
    wanted = programs(4)
    assert list(Crew("CPU", 0).compile(wanted, lambda p: p is not wanted[1], time.perf_counter() + 60)) == [
        wanted[0],
        *wanted[2:],
    ]


def test_refused_programs_are_left_out(crew: Crew) -> None:
    (good,) = programs(1)
    assert compiled(crew, [replace(good, source="no program")]) == []
    assert compiled(crew, [good]) == [good]


def test_nothing_begins_after_the_deadline(crew: Crew) -> None:
    assert compiled(crew, programs(3), seconds=-1) == []


def test_workers_that_died_are_replaced(crew: Crew) -> None:
    crew.idle[0].process.kill()
    crew.idle[0].process.wait()
    assert compiled(crew, programs(1)) == []
    start(crew)
    assert compiled(crew, programs(1)) == programs(1)
