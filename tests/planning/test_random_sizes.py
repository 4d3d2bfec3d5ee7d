"""Kernels for open sizes give what NumPy's kernels give: random functions, called with ever other sizes.

There is a program for five of `--cases`; `--cases 5000` takes half an hour.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge.settings import Context
from tests.forgotten import forget
from tests.random_sizes import Program, program

FAULTY = (89,)  # programs that are wrong where sizes are served for which something taken for granted does not hold
SHARE = 5  # of cases, each of which is quicker in other tests


def outcome(made: Program, visit: int, device: str) -> list[NDArray] | str:
    """What a program gives, or the error where there is no such part of what it is given."""
    with Context(DEVICE=device):
        try:
            return [x.numpy() for x in made(made.given(visit))]
        except IndexError as error:
            return str(error)


def check(seed: int) -> None:
    forget()
    made = program(seed)
    for visit in range(len(made.visits)):
        expected = outcome(made, visit, "NUMPY")
        if isinstance(expected, str):
            continue
        found = outcome(made, visit, "CPU")
        told = f"program {seed}: {' | '.join(made.names)} of {made.dtype}, {made.visits[: visit + 1]}"
        assert not isinstance(found, str), f"{told}: {found}"
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=told)


@pytest.mark.parametrize("seed", FAULTY)
def test_programs_that_would_be_wrong(seed: int) -> None:
    check(seed)


def test_random_programs_of_any_sizes(request: pytest.FixtureRequest) -> None:
    for seed in range(request.config.getoption("--cases") // SHARE):
        check(seed)
