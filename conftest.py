"""Names that the examples in docstrings use without importing them; modes in which some tests and examples run."""

from typing import Any

import pytest

from tests.modes import pytest_itemcollected, pytest_runtest_protocol  # noqa: F401


@pytest.fixture(autouse=True)
def _names_of_examples(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        import kernelforge  # not needed to test codegen, which knows nothing of it

        names: dict[str, Any] = request.getfixturevalue("doctest_namespace")
        names |= {name: getattr(kernelforge, name) for name in kernelforge.__all__}
