"""The tuner: how long the default, the tuned and the best schedule take, and how long the search.

The three are timed in turn.  The best is what a search of EXHAUSTIVE seconds finds.  "of best" is its time by the tuned
schedule's: 95 % is what BUDGET seconds should reach.
"""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import numpy as np
import pytest

from bench.measure import table
from codegen.choose.candidates import Candidate
from codegen.generate import render
from codegen.ir import Kernel
from kernelforge import Context, Device, Tensor
from kernelforge.kernels import Runtime
from kernelforge.kernels.workers import crew
from kernelforge.planning.plan import make_plan
from kernelforge.structure import structure
from kernelforge.tune.search import Search
from kernelforge.tune.trial import Trial

BUDGET = 5.0
EXHAUSTIVE = 15.0
ROUNDS = 60
HEAD = ("kernel", "default", "tuned", "best", "gain", "of best", "search", "candidates", "of", "departures of the best")


def values(*shape: int) -> Tensor:
    return Tensor(np.zeros(shape, np.float32)).realize()


def product(batch: int, m: int, n: int, k: int, form: str) -> Tensor:
    """A batch of matrix products; T in the form says that the operand lies transposed in memory."""
    x = values(batch, k, m).transpose(1, 2) if form[0] == "T" else values(batch, m, k)
    return x @ (values(batch, n, k).transpose(1, 2) if form[1] == "T" else values(batch, k, n))


def random_products(count: int, seed: int = 1) -> dict[str, Callable[[], Tensor]]:
    """Matrix products of sizes, layouts and batches drawn at random, the same in every run."""
    draw, found = Random(seed), dict[str, Callable[[], Tensor]]()
    while len(found) < count:
        sizes = (draw.choice((1, 1, 1, 8)), *(round(2 ** draw.uniform(4, 10)) for _ in range(3)))
        form = draw.choice(("NN", "NT", "TN"))
        found["x".join(map(str, sizes)) + f" {form}"] = partial(product, *sizes, form)
    return found


KERNELS: dict[str, Callable[[], Tensor]] = {
    "matmul 127x129x131": lambda: values(127, 131) @ values(131, 129),
    "matmul 512": lambda: values(512, 512) @ values(512, 512),
    "matmul 32x1024x4096": lambda: values(32, 4096) @ values(4096, 1024),
    "softmax 1000x1000": lambda: values(1000, 1000).softmax(),
    "layer norm 128x32000": lambda: values(128, 32000).layernorm(),
    "column sum 4096x64": lambda: values(4096, 64).sum(0),
    "convolution 64x56x56 3x3": lambda: values(1, 64, 56, 56).conv2d(values(64, 64, 3, 3), padding=1),
    **random_products(10),
}


def kernel_of(result: Tensor) -> Kernel:
    """The heaviest kernel that computes a tensor."""
    with Context(DUMP_LANGUAGE="opencl", TUNE_LOCK="none"):
        plan = make_plan([result._node], structure([result._node]).leaves, Device.DEFAULT)
    launch = max(plan.launches, key=lambda step: (step.program.flops, step.program.nbytes))
    assert launch.program.kernel is not None
    return launch.program.kernel


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[list[str]]]:
    """The lines of a table that is printed when all kernels are done."""
    found: list[list[str]] = []
    yield found
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + table(HEAD, found))


@pytest.mark.parametrize("name", KERNELS)
def bench_tune(name: str, rows: list[list[str]]) -> None:
    runtime, kernel = Device[Device.DEFAULT], kernel_of(KERNELS[name]())
    workers = crew(runtime.name, runtime.target)
    search = Search(kernel, runtime, workers, BUDGET)
    found, best = search.run(), Search(kernel, runtime, workers, EXHAUSTIVE).run()
    default, tuned, optimum = timed(runtime, kernel, search.space.first, found.winner, best.winner)
    times = [f"{taken * 1e3:.4g} ms" for taken in (default, tuned, optimum)]
    shares = [f"{default / tuned:.2f}", f"{min(optimum, tuned) / tuned:.0%}", f"{found.spent:.1f} s"]
    rows.append([name, *times, *shares, str(found.tried), str(best.tried), str(best.winner)])


def timed(runtime: Runtime, kernel: Kernel, *candidates: Candidate) -> list[float]:
    """The best seconds of each candidate, timed in turn."""
    trial = Trial(runtime, kernel)
    executables = runtime.compile([render(candidate.nest) for candidate in candidates])
    repeats = [trial.repeats(min(trial.seconds(executable) for _ in range(3))) for executable in executables]
    taken = [[trial.seconds(e, n) for e, n in zip(executables, repeats)] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*taken)]
