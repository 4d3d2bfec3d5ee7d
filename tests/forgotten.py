"""A process that has met no graph yet, for tests that count plans, break what makes them, or run them elsewhere."""

from __future__ import annotations

import pytest

from kernelforge import met
from kernelforge.interning import alive
from kernelforge.planning import open_plans


def forget() -> None:
    """Nothing is known of any graph, of its like or of its sizes.

    Nor is a constant in memory: with a mask that an earlier test computed a graph is one of another kind.
    """
    for node in alive():
        if node.device is None:
            node.realized = None
    open_plans.forget()
    met.forget()


def forget_plans(patch: pytest.MonkeyPatch) -> None:
    """Nothing is known of any graph, of its like or of its sizes, until what is patched comes back."""
    for name in ("plans_of", "single"):
        patch.setattr(met, name, {})
    for name in ("_families", "_kinds"):
        patch.setattr(open_plans, name, {})
