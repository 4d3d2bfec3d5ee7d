"""The matrix: every operation of torch's database that there is, compared with torch, values and gradients.

A sample by default: one call of each operation in float32, of views, in place and of shapes the database leaves out,
its gradient and the gradient of that in float64, and calls that are errors.  `--matrix full`: all types and samples,
by the interpreter; `python -m tests.parity.matrix` also on a device.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="torch's database of operations needs it")

import torch
from torch.testing._internal.common_methods_invocations import op_db

from tests.parity.matrix.cases import outcomes

NAMES = [f"{op.name}:{op.variant_test_name}".rstrip(":") for op in op_db]


@pytest.fixture
def is_full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--matrix") == "full")


@pytest.mark.parametrize("number", range(len(op_db)), ids=NAMES)
def test_an_operation_is_torchs(number: int, is_full: bool, numpy_device: None) -> None:
    op = op_db[number]
    found = list(outcomes(op) if is_full else outcomes(op, 1, "fgsview", (torch.float32, torch.float64)))
    assert not [outcome for outcome in found if outcome.fails]
