"""What is compiled, when, and how often; the driver is counted, not trusted."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from multiprocessing.connection import wait
from pathlib import Path
from weakref import ref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.program import Program
from kernelforge.errors import CompileError
from kernelforge.kernels import cache, opencl_build
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_build import Builder, batched, renamed
from kernelforge.kernels.opencl_devices import Candidate, candidates
from kernelforge.kernels.workers import Crew
from kernelforge.settings import Context
from tests.kernels.conftest import increment

CPUS = [candidate for candidate in candidates() if candidate.facts.kind == "cpu"]


@pytest.fixture(params=CPUS, ids=lambda candidate: candidate.facts.platform)
def candidate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Candidate]:
    """Each CPU driver in turn, with an empty cache on disk."""
    with Context(CACHE_DIR=str(tmp_path)):
        yield request.param


@pytest.fixture
def intel(tmp_path: Path) -> Iterator[Candidate]:
    """A driver whose binaries are kept on disk, with an empty cache."""
    keeping = [candidate for candidate in CPUS if not candidate.is_pocl]
    if not keeping:
        pytest.skip("no driver here has binaries worth keeping")
    with Context(CACHE_DIR=str(tmp_path)):
        yield keeping[0]


class Counted:
    """What happened to kernels in the body of a `with`."""

    def __enter__(self) -> "Counted":
        self._before = asdict(cache.statistics)
        return self

    def __exit__(self, *_: object) -> None:
        now = asdict(cache.statistics)
        self.compiled, self.disk, self.memory, self.healed = (now[name] - self._before[name] for name in now)


def result(runtime: OpenCLRuntime, program: Program) -> list[float]:
    """What the program makes of 0, 1, 2, ..."""
    (executable,) = runtime.compile([program])
    x = np.arange(program.grid[0], dtype=np.float32)
    memories = [runtime.allocate(x.nbytes), runtime.allocate(x.nbytes)]
    runtime.copy_in(memories[1], x)
    runtime.launch(executable, memories)
    y = np.empty_like(x)
    runtime.copy_out(memories[0], y)
    return y.tolist()


def plus(amount: int, name: str = "plus") -> Program:
    """out = x + amount."""
    program = increment(4, name)
    return replace(program, source=program.source.replace("1.0f", f"{amount}.0f"))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry per call of the driver's compiler or loader."""
    calls: list[int] = []
    original = Builder._quietly
    monkeypatch.setattr(Builder, "_quietly", lambda self, program: calls.append(1) or original(self, program))
    return calls


def test_many_programs_of_one_name_are_one_build(candidate: Candidate, builds: list[int]) -> None:
    runtime = OpenCLRuntime("CPU", candidate)
    builds.clear()
    programs = [plus(amount) for amount in range(20)]
    with Counted() as counted:
        runtime.compile([*programs, *programs])
    assert len(builds) == 1  # Intel's driver takes what another process compiled
    assert counted.compiled == 20
    assert [result(runtime, program)[0] for program in programs] == list(range(20))


def test_equal_programs_share_an_executable(candidate: Candidate) -> None:
    runtime = OpenCLRuntime("CPU", candidate)
    with Counted() as counted:
        first, second = runtime.compile([plus(1), plus(1)])
        (third,) = runtime.compile([plus(1)])
    assert first is second is third and first.program == plus(1)
    assert (counted.compiled, counted.memory) == (1, 2)


def test_one_source_with_two_grids_is_compiled_once(candidate: Candidate) -> None:
    runtime = OpenCLRuntime("CPU", candidate)
    small = plus(1)
    large = replace(small, grid=(9,), params=tuple(replace(param, size=9) for param in small.params))
    with Counted() as counted:
        assert result(runtime, small) == [1, 2, 3, 4]
        assert result(runtime, large) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert counted.compiled == 1


def test_helpers_of_one_name_that_differ_do_not_mix(candidate: Candidate) -> None:
    runtime = OpenCLRuntime("CPU", candidate)
    programs = []
    for amount in (3, 5):
        helper = f"static float more(float x) {{ return x + {amount}.0f; }}\n"
        source = helper + plus(0).source.replace("x[i] + 0.0f", "more(x[i])")
        programs.append(replace(plus(0), source=source))
    runtime.compile(programs)
    assert [result(runtime, program)[0] for program in programs] == [3, 5]


@pytest.fixture
def helped(intel: Candidate, monkeypatch: pytest.MonkeyPatch) -> tuple[OpenCLRuntime, Crew]:
    """A device whose programs another process, which has started, helps to compile, however few and small."""
    monkeypatch.setattr(opencl_build, "SHARED", 0)
    monkeypatch.setattr(opencl_build, "BATCH", 1)
    runtime, crew = OpenCLRuntime("CPU", intel), Crew("CPU", 1)
    runtime._builder._helpers = lambda: crew
    crew.start()
    assert wait([worker.answers for worker in crew.starting], timeout=600)
    return runtime, crew


def test_other_processes_help_with_many_programs(helped: tuple[OpenCLRuntime, Crew]) -> None:
    runtime, crew = helped
    process, programs = crew.starting[0].process, [plus(amount) for amount in range(12)]
    with Counted() as counted:
        runtime.compile(programs)
    assert counted.disk > 0 and counted.compiled + counted.disk == 12
    assert [result(runtime, program)[0] for program in programs] == list(range(12))
    assert process.wait(600) == 0, "helpers end when they are done"


def test_a_helper_that_dies_is_no_obstacle(helped: tuple[OpenCLRuntime, Crew]) -> None:
    runtime, crew = helped
    crew.starting[0].process.kill()
    assert [result(runtime, plus(amount))[0] for amount in range(4)] == list(range(4))


def test_a_program_that_a_helper_refuses_raises_here(helped: tuple[OpenCLRuntime, Crew]) -> None:
    runtime, _ = helped
    bad = [replace(plus(amount, f"bad{amount}"), source=f"__kernel void bad{amount}() {{ y }}") for amount in range(4)]
    with pytest.raises(CompileError, match="bad"):
        runtime.compile([*bad, plus(1)])
    assert result(runtime, plus(1)) == [1, 2, 3, 4]


@given(st.lists(st.integers(1, 70_000), max_size=30))
def test_batches_hold_every_program_once(sizes: list[int]) -> None:
    programs = [replace(plus(number), source=" " * size) for number, size in enumerate(sizes)]
    found = [program for batch in batched(programs) for program in batch]
    assert sorted(map(id, found)) == sorted(map(id, programs))
    assert all(batched(programs))


def test_a_second_runtime_loads_from_disk(intel: Candidate, builds: list[int]) -> None:
    programs = [plus(amount) for amount in range(5)]
    OpenCLRuntime("CPU", intel).compile(programs)
    builds.clear()
    with Counted() as counted:
        again = OpenCLRuntime("CPU", intel)
        assert [result(again, program)[0] for program in programs] == list(range(5))
    assert counted.compiled == 0 and counted.disk == 6  # the probe too
    assert len(builds) == 2, "the five share a binary"


def test_nothing_is_kept_when_told_so(intel: Candidate, tmp_path: Path) -> None:
    with Context(CACHE=0):
        OpenCLRuntime("CPU", intel).compile([plus(1)])
        assert not (tmp_path / "kernels").exists()
        with Counted() as counted:
            OpenCLRuntime("CPU", intel)
    assert counted.compiled == 1


def test_a_binary_the_driver_refuses_is_built_again(intel: Candidate, tmp_path: Path) -> None:
    OpenCLRuntime("CPU", intel).compile([plus(1)])
    for path in (tmp_path / "kernels").glob("*/*"):
        if path.stat().st_size > 500:  # a binary, not the record that names it
            cache.save(path.name, b"no binary at all, but with the right checksum")
    with Counted() as counted:
        runtime = OpenCLRuntime("CPU", intel)
        assert result(runtime, plus(1)) == [1, 2, 3, 4]
    assert counted.compiled == counted.healed == 2
    with Counted() as counted:
        OpenCLRuntime("CPU", intel).compile([plus(1)])
    assert counted.compiled == 0


def test_a_binary_that_was_evicted_is_built_again(intel: Candidate, tmp_path: Path) -> None:
    OpenCLRuntime("CPU", intel).compile([plus(1)])
    for path in (tmp_path / "kernels").glob("*/*"):
        if path.stat().st_size > 500:
            path.unlink()
    with Counted() as counted:
        assert result(OpenCLRuntime("CPU", intel), plus(1)) == [1, 2, 3, 4]
    assert counted.compiled == 2


def test_binaries_of_one_processor_are_not_used_on_another(intel: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    OpenCLRuntime("CPU", intel)
    monkeypatch.setattr("kernelforge.kernels.opencl_devices._instructions", lambda: "another")
    with Counted() as counted:
        OpenCLRuntime("CPU", intel)
    assert counted.disk == 0 and counted.compiled == 1


def test_programs_that_nobody_has_are_let_go_of(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those made last, and for what has a function of one."""
    monkeypatch.setattr(opencl_build, "RECENT", 2)
    runtime = OpenCLRuntime("CPU", candidate)
    (first,), x = runtime.compile([plus(1)]), np.arange(4, dtype=np.float32)
    memories = [runtime.allocate(x.nbytes), runtime.allocate(x.nbytes)]
    runtime.copy_in(memories[1], x)
    native = None if first.native is None else first.native.on((4,), True, ())
    alone = ref(first.built.binary)
    gone = [ref(made.built.binary) for amount in range(2, 9) for made in runtime.compile([plus(amount)])]
    assert sum(binary() is not None for binary in gone) == 2 and alone() is not None
    del first
    if native is not None:  # whose kernel is the driver's
        native.run(*[memory.block.address for memory in memories])
        y = np.empty_like(x)
        runtime.copy_out(memories[0], y)
        assert y.tolist() == [1, 2, 3, 4]
        del native
    assert alone() is None


def test_a_program_that_was_let_go_of_is_loaded_again(intel: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencl_build, "RECENT", 1)
    runtime = OpenCLRuntime("CPU", intel)
    programs = [plus(amount) for amount in range(4)]
    for program in programs:
        runtime.compile([program])
    with Counted() as counted:
        assert [result(runtime, program)[0] for program in programs] == list(range(4))
    assert (counted.compiled, counted.disk) == (0, 4)
    with Counted() as counted:
        (kept,) = runtime.compile([programs[0]])
        runtime.compile(programs[1:])
        assert runtime.compile([programs[0]]) == [kept] and result(runtime, programs[0]) == [0, 1, 2, 3]
    assert (counted.compiled, counted.disk, counted.memory) == (0, 4, 2)


def test_the_bad_program_is_named_and_the_good_ones_stay(candidate: Candidate, tmp_path: Path) -> None:
    runtime = OpenCLRuntime("CPU", candidate)
    bad = replace(plus(1, "bad"), source=plus(1, "bad").source.replace("x[i]", "nowhere[i]"))
    with pytest.raises(CompileError) as caught:
        runtime.compile([plus(1), bad, plus(2)])
    error = caught.value
    assert (error.kernel, error.device) == ("bad", "CPU") and "nowhere" in str(error)
    assert error.path is not None and Path(error.path).read_text() == bad.source
    assert Path(error.path).parent == tmp_path / "failed"
    with Counted() as counted:
        assert result(runtime, plus(1)) == [1, 2, 3, 4]
    assert counted.compiled == 0
    assert result(runtime, plus(2)) == [2, 3, 4, 5]


@pytest.mark.parametrize("source", ["", "garbage {", "__kernel void other(__global float *x) { x[0] = 1; }"])
def test_sources_without_the_kernel_are_refused(candidate: Candidate, source: str) -> None:
    runtime = OpenCLRuntime("CPU", candidate)
    with pytest.raises(CompileError, match="plus"):
        runtime.compile([plus(1), replace(plus(2), source=source)])
    assert result(runtime, plus(1)) == [1, 2, 3, 4]


def test_only_the_kernel_is_renamed() -> None:
    source = "static float f_(float f) { return f; }\n__kernel\nvoid  f (__global float *f1) { f1[0] = f_(1.0f); } // f"
    assert renamed(source, "f", "g") == source.replace("void  f (", "void  g (")
