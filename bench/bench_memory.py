"""The most memory a training step takes, captured and operation by operation.

    pytest bench/bench_memory.py -s

`python -m bench.memory` makes a page of these, of random models and of torch.
"""

import pytest

from bench.memory.__main__ import measured
from bench.memory.models import CASES


@pytest.mark.parametrize("name", CASES)
def bench_a_training_step(name: str) -> None:
    captured, eager = (measured(name, way)[0] for way in ("captured", "eager"))
    print(f"\n{name}: {captured / 1e6:.2f} MB captured, {eager / 1e6:.2f} MB op by op")
    assert captured <= eager
