"""What only a GPU can show: sizes beyond 2^31, clocks, faults, graphs, kept cubins, torch in the same process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kernelforge import Tensor, dtypes
from kernelforge.kernels import Device
from kernelforge.kernels.cuda import CudaRuntime
from tests.kernels.conftest import increment

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
FAULT = """
import numpy as np
from dataclasses import replace
from kernelforge.errors import DeviceError
from kernelforge.kernels import Device
from tests.kernels.conftest import increment
runtime = Device["CUDA"]
good = increment(4, "good", language="triton")
bad = increment(4, "bad", language="triton")
bad = replace(bad, source=bad.source.replace("out + i", "out + (i + 1).to(tl.int64) * 1000000000000"))
kernels = runtime.compile([good, bad])
memories = [runtime.allocate(64), runtime.allocate(64)]
for kernel in kernels:
    runtime.launch(kernel, memories)
for attempt in (runtime.wait, lambda: runtime.copy_in(memories[0], np.ones(4, np.float32))):
    try:
        attempt()
    except DeviceError as error:
        print(error)
"""
FIRST = """
import time
start = time.perf_counter()
import numpy as np
from kernelforge import Tensor
x = Tensor(np.ones((256, 256), np.float32), device="CUDA")
assert abs(float((x @ x + 1).softmax().sum().item()) - 256) < 1e-3
print(time.perf_counter() - start)
"""


def process(program: str, **more: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def runtime() -> CudaRuntime:
    found = Device["CUDA"]
    assert isinstance(found, CudaRuntime)
    return found


def test_elements_beyond_two_to_the_31st(runtime: CudaRuntime) -> None:
    size = (1 << 31) + 5
    if runtime.facts.memory < 8 * size:
        pytest.skip("the device has too little memory")
    x = Tensor.full((size,), 3, dtype=dtypes.uint8, device="CUDA").contiguous().realize()
    y = (x + 1).realize()
    assert y[-3:].tolist() == [4, 4, 4] and int((y == 4).sum(dtype=dtypes.int64).item()) == size


def test_clocks_agree(runtime: CudaRuntime) -> None:
    size = 1 << 24
    program = increment(size, language="triton")  # one element a program, so it takes milliseconds
    (kernel,) = runtime.compile([program])
    memories = [runtime.allocate(4 * size) for _ in range(2)]
    runtime.launch(kernel, memories, timed=True)
    device = runtime.launch(kernel, memories, timed=True)
    start = time.perf_counter()
    runtime.launch(kernel, memories)
    runtime.wait()
    host = time.perf_counter() - start
    assert device is not None and 0.3 * device < host < 3 * device + 1e-3


def test_a_graph_is_replayed_on_other_memory(runtime: CudaRuntime) -> None:
    values = np.arange(1000, dtype=np.float32)
    (kernel,) = runtime.compile([increment(1000, language="triton")])
    memories = [runtime.allocate(values.nbytes) for _ in range(4)]
    graph = runtime.graph([(kernel, (1, 0)), (kernel, (2, 0)), (kernel, (3, 2)), (kernel, (0, 3))], memories)
    for start in range(0, 3000, 1000):
        memories[0] = runtime.allocate(values.nbytes)
        runtime.copy_in(memories[0], values + start)
        for _ in range(2):
            graph.replay(memories)
        found = np.empty_like(values)
        runtime.copy_out(memories[0], found)
        assert np.array_equal(found, values + start + 6)
    graph.close()


def test_a_fault_names_the_kernel() -> None:
    first, second = process(FAULT).strip().splitlines()
    assert "destroyed its context" in first and "bad" in first and "destroyed its context" in second


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    switches = {"KF_CACHE_DIR": str(tmp_path), "TRITON_CACHE_DIR": str(tmp_path / "triton")}
    cold, warm = (float(process(FIRST, **switches)) for _ in range(2))
    assert warm < cold
    program = FIRST + "import sys; print('triton' in sys.modules)"
    assert process(program, **switches).split()[1] == "False"


def test_torch_works_in_the_same_process(runtime: CudaRuntime) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    theirs = torch.arange(1000, device="cuda", dtype=torch.float32)
    ours = Tensor(np.arange(1000, dtype=np.float32), device="CUDA")
    for _ in range(3):
        theirs, ours = theirs * 2 + 1, (ours * 2 + 1).realize()
    assert np.array_equal(theirs.cpu().numpy(), ours.numpy())


def test_memory_runs_out_and_comes_back(runtime: CudaRuntime) -> None:
    with pytest.raises(MemoryError, match="bytes free"):
        runtime.allocate(runtime.facts.memory + (1 << 30))
    half = runtime.allocate(runtime.facts.memory // 2)
    del half
    again = runtime.allocate(runtime.facts.memory // 2 + (1 << 30))
    assert again.nbytes > runtime.facts.memory // 2
    del again
    runtime.pool.clear()
