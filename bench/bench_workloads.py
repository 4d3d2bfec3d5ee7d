"""The workloads of the suite one by one, as benchmarks of pytest.

    pytest bench/bench_workloads.py -k softmax
    pytest bench/bench_workloads.py -k "softmax and 4096x4096" --side kernelforge --side torch

`python -m bench.suite` compares the sides more fairly, in processes of their own.
"""

import pytest

from bench.suite.libraries import OURS, load
from bench.suite.worker import ready
from bench.suite.workloads import ALL


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("name", ALL)
    metafunc.parametrize("side", metafunc.config.getoption("--side") or [OURS])


def bench_workload(benchmark, name, side):
    benchmark.group = name
    benchmark(ready(load(side), name))
