"""Random programs: eager, lazy, captured and NumPy agree; --programs N runs N of them (default 300)."""

from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import Context
from tests.replay.programs import Step, program, run

pytestmark = pytest.mark.usefixtures("numpy_device")
PARTS = 10


@pytest.mark.parametrize("part", range(PARTS))
def test_all_ways_agree(part: int, request: pytest.FixtureRequest) -> None:
    for seed in range(part, request.config.getoption("--programs"), PARTS):
        steps = program(seed)
        expected = run(steps, lazy=False)
        ways: dict[str, Callable[[list[Step]], list[object]]] = {
            "lazy": lambda steps: run(steps, lazy=True),
            "captured": lambda steps: run(steps, lazy=True, captures=True),
            "eager": lambda steps: eagerly(steps, captures=False),
            "eager and captured": lambda steps: eagerly(steps, captures=True),
        }
        for way, runs in ways.items():
            for found, wanted in zip(runs(steps), expected, strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5, err_msg=f"{way}, program {seed}")


def eagerly(steps: list[Step], captures: bool) -> list[object]:
    with Context(EAGER=1):
        return run(steps, lazy=True, captures=captures)
