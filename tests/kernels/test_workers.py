"""Workers: what they compile is in the disk cache; refused programs and workers that die are no obstacle."""

import subprocess
import sys
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


def test_the_end_of_a_worker_is_no_signal_to_the_program() -> None:
    """Of a program that ends where its own output does, as filters do."""
    script = (
        "import signal\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "from kernelforge.kernels.workers import Order, Worker\n"
        "worker = Worker('CPU')\n"
        "worker.process.kill()\n"
        "worker.process.wait()\n"
        "print(worker.send([Order('f', 'text', (), (), ())]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


@pytest.mark.parametrize("of", ["socket.socketpair", "subprocess.Popen"])
def test_workers_that_cannot_be_started_are_done_without(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **named: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(f"kernelforge.kernels.workers.{of}", fail)
    wanted, crew = programs(2), Crew("CPU", 2)
    crew.start()
    assert list(crew.compile(wanted, lambda program: True, time.perf_counter() + 60)) == wanted
