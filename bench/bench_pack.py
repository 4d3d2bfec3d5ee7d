"""A pack file made by one process and used by another that has an empty cache: what either plans and compiles.

    pytest bench/bench_pack.py -s
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, time
from contextlib import nullcontext
import numpy as np
from kernelforge import GlobalCounters, Tensor, jit, nn, no_grad
from kernelforge.kernels import cache, pack

way, file = sys.argv[1:]
start = time.perf_counter()
if way == "load":
    pack.load(file)
Tensor.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 10)).eval()
x = Tensor(np.linspace(-1, 1, 2 * 3 * 16 * 16, dtype=np.float32).reshape(2, 3, 16, 16))
with no_grad(), pack.collecting(file) if way == "collect" else nullcontext():
    step = jit(lambda x: model(x).softmax())
    found = [step(x).numpy() for _ in range(3)][-1]
print(f"{time.perf_counter() - start:.2f} s, {GlobalCounters.plans} plans, {cache.statistics.compiled} kernels "
      f"compiled, {cache.statistics.disk} loaded, sum {found[:, 0].sum():.6f}")
"""


def bench_pack(tmp_path: Path) -> None:
    file = tmp_path / "model.pack"
    print()
    for name, way in (("collecting", "collect"), ("with the pack", "load"), ("without it", "plain")):
        environment = {**os.environ, "KF_CACHE_DIR": str(tmp_path / name), "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", PROGRAM, way, str(file)]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
        print(f"{name:14}{found}")
    print(f"the pack is {file.stat().st_size:,} bytes")
