"""Names that the examples in docstrings use without importing them."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _names_of_examples(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        import kernelforge  # not needed to test codegen, which knows nothing of it

        names: dict[str, Any] = request.getfixturevalue("doctest_namespace")
        names |= {name: getattr(kernelforge, name) for name in kernelforge.__all__}
