"""A process that has met no graph yet, for tests that count plans, break what makes them, or run them elsewhere."""

from __future__ import annotations

import pytest

from kernelforge import realize
from kernelforge.planning import open_plans


def forget_plans(patch: pytest.MonkeyPatch) -> None:
    """Nothing is known of any graph, of its like or of its sizes, until what is patched comes back."""
    for name in ("_plans", "_single"):
        patch.setattr(realize, name, {})
    for name in ("_families", "_kinds"):
        patch.setattr(open_plans, name, {})
