"""What is compiled for a GPU, when, and how it is loaded and launched; Triton itself compiles in the last tests."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.util import find_spec
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pytest

from codegen.dtypes import dtypes
from codegen.program import Program
from kernelforge import Context
from kernelforge.errors import CompileError
from kernelforge.kernels import cache, cuda_build, device
from kernelforge.kernels.cuda_build import cache_key, compile_to_cache
from kernelforge.kernels.triton_compile import Binary, compile_program
from kernelforge.kernels.workers import Crew
from tests.fake_cuda import FakeDriver
from tests.kernels.conftest import Change, increment
from tests.kernels.test_cuda import contents, filled, opened

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
PROGRAM = increment(8, language="triton")


def happened(work: Callable[[], object]) -> dict[str, int]:
    """What happened to kernels meanwhile, without what did not."""
    before = asdict(cache.statistics)
    work()
    return {name: n - before[name] for name, n in asdict(cache.statistics).items() if n != before[name]}


def run(program: Program = PROGRAM) -> list[float]:
    """What a program makes of 0, 1, 2, ... on a device opened anew."""
    device._opened.pop("CUDA", None)
    runtime, values = opened(), np.arange(program.grid[0], dtype=np.float32)
    (executable,) = runtime.compile([program])
    x, y = filled(runtime, values), runtime.allocate(values.nbytes)
    runtime.launch(executable, [y, x])
    return contents(runtime, y, values).tolist()


# -------------------------------------------------------------------------------------------------------- the cache


def test_the_next_process_loads_what_this_one_compiled(cuda: FakeDriver) -> None:
    assert happened(run) == {"compiled": 3}, "the kernel, and those that every opening tries"
    assert happened(run) == {"disk": 3}
    assert run() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_equal_programs_share_a_kernel_and_other_grids_its_code(cuda: FakeDriver) -> None:
    runtime = opened()
    first, second, third = runtime.compile([PROGRAM, PROGRAM, replace(PROGRAM, grid=(9,))])
    assert first is second is not third and first.loaded is third.loaded and third.grid == (9, 1, 1)
    assert runtime.compile([PROGRAM]) == [first]


def test_everything_a_cubin_depends_on_is_in_its_key(cuda: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    wider = tuple(replace(param, dtype=dtypes.float64) for param in PROGRAM.params)
    changes: list[dict] = [{"options": (("num_warps", 8),)}, {"source": ""}, {"params": wider}]
    others = [replace(PROGRAM, **change) for change in changes]
    keys = [cache_key(program, 90) for program in (PROGRAM, *others)] + [cache_key(PROGRAM, 80)]
    monkeypatch.setattr(cuda_build, "triton_version", lambda: "0.1")
    keys.append(cache_key(PROGRAM, 90))
    assert len(set(keys)) == len(keys)
    assert cache_key(replace(PROGRAM, grid=(3,)), 90) == cache_key(PROGRAM, 90)


def test_a_damaged_binary_heals(cuda: FakeDriver, tmp_path: Path) -> None:
    run()
    path = cache._path(cache_key(PROGRAM, 90))
    path.write_bytes(path.read_bytes()[:-1])
    assert happened(run) == {"compiled": 1, "disk": 2, "healed": 1}


def test_without_a_disk_cache_everything_works(cuda: FakeDriver) -> None:
    with Context(CACHE=0):
        run()
        assert happened(run) == {"compiled": 3}


# ------------------------------------------------------------------------------------------------------- refusals


def test_a_refused_source_is_named_and_the_others_stay(cuda: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(program: Program, capability: int) -> Binary:
        if program.entry == "bad":
            raise CompileError("bad", "sm_90", None, "error: no such thing")
        return cuda.compile(program, capability)

    monkeypatch.setattr(cuda_build, "compile_program", compiled)
    runtime = opened()
    good, bad = (increment(4, name, language="triton") for name in ("good", "bad"))
    with pytest.raises(CompileError, match=r"cannot compile kernel bad.*\n.*no such thing") as caught:
        runtime.compile([bad, good])
    assert caught.value.path is not None and "def bad" in Path(caught.value.path).read_text()
    assert happened(lambda: runtime.compile([good])) == {}


def test_a_driver_older_than_the_assembler_is_named(binaries: Change) -> None:
    binaries(code=b"made by a newer one")
    with pytest.raises(CompileError, match=r"the driver \(CUDA 13\.0.*does not take.*INVALID_IMAGE"):
        run()


def test_a_kernel_too_large_for_the_device_is_refused(binaries: Change) -> None:
    binaries(shared=240_000)
    with pytest.raises(CompileError, match="240,000 bytes of shared memory, the device has 232,448"):
        run()
    binaries(shared=0, warps=64)
    cache.forget(cache_key(PROGRAM, 90))
    with pytest.raises(CompileError, match="2048 threads, its registers allow 1024"):
        run()


# ------------------------------------------------------------------------------------------------------- launches


def test_much_shared_memory_is_asked_for(cuda: FakeDriver, binaries: Change) -> None:
    binaries(shared=150_000, warps=8)
    assert run()[0] == 1
    call = cuda.launched[-1]
    assert call.function.settings == {"CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES": 150_000}
    assert call.shape == (8, 1, 1, 256, 1, 1) and call.shared == 150_000


def test_a_cluster_is_launched_with_its_attributes(cuda: FakeDriver, binaries: Change) -> None:
    binaries(blocks=16, overlaps=True, cooperative=True)
    assert run()[0] == 1
    call = cuda.launched[-1]
    assert call.shape[0] == 8 * 16 and "cuLaunchKernelEx" in cuda.calls
    assert call.function.settings == {"CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED": 1}
    values = {name.removeprefix("CU_LAUNCH_ATTRIBUTE_"): value for name, value in call.attributes.items()}
    assert set(values) == {
        "PROGRAMMATIC_STREAM_SERIALIZATION", "COOPERATIVE", "CLUSTER_DIMENSION", "CLUSTER_SCHEDULING_POLICY_PREFERENCE"
    }  # fmt: skip
    cluster = values["CLUSTER_DIMENSION"].clusterDim
    assert (cluster.x, cluster.y, cluster.z) == (16, 1, 1)


def test_a_graph_is_given_what_its_kernels_say_but_when_they_start(cuda: FakeDriver, binaries: Change) -> None:
    binaries(blocks=16, overlaps=True, cooperative=True)
    runtime = opened()
    (kernel,) = runtime.compile([PROGRAM])
    memories = [runtime.allocate(4 * 8) for _ in range(2)]
    graph = runtime.graph([(kernel, (0, 1))], memories)
    (node,) = cuda.graphs[-1]
    values = {name.removeprefix("CU_LAUNCH_ATTRIBUTE_") for name in node.attributes}
    assert values == {"COOPERATIVE", "CLUSTER_DIMENSION", "CLUSTER_SCHEDULING_POLICY_PREFERENCE"}
    graph.close()


def test_scratch_memory_follows_the_arguments(cuda: FakeDriver, binaries: Change) -> None:
    binaries(scratch=384, blocks=2)
    assert run()[0] == 1
    *_, scratch, profile = cuda.launched[-1].values
    assert cuda.devices[0].memory[scratch].nbytes >= 8 * 2 * 384 and profile == 0


# ------------------------------------------------------------------------------------------------- Triton itself


@needs_triton
def test_a_cubin_takes_the_arguments_that_are_packed(tmp_path: Path) -> None:
    made = compile_program(PROGRAM, 90)
    entry = made.ptx[made.ptx.index(".entry") :]
    taken = re.findall(r"\.param \.u64", entry[: entry.index(")")])
    assert len(taken) == len(PROGRAM.params) + 2, "the pointers, and two to scratch memory"
    assert made.code.startswith(b"\x7fELF") and made.name == "increment"
    assert Binary.unpacked(made.packed()) == replace(made, ptx="")


@needs_triton
def test_a_worker_compiles_without_a_gpu(tmp_path: Path) -> None:
    programs = [increment(8, f"increment_{number}", language="triton") for number in range(3)]
    with Context(CACHE_DIR=str(tmp_path)):
        crew = Crew("sm_90", 1)
        crew.start()
        assert wait([worker.answers for worker in crew.starting], timeout=600)
        bad = replace(programs[0], source=programs[0].source.replace("tl.load", "tl.loaded"))
        orders = [[program] for program in (*programs, bad)]
        done = [list(crew.compile(order, lambda program: False, math.inf)) for order in orders]
        crew.idle[0].process.kill()
        assert done == [*orders[:-1], []]
        for program in programs:
            content = cache.load(cache_key(program, 90))
            assert content is not None and Binary.unpacked(content) == replace(compile_to_cache(program, 90), ptx="")
