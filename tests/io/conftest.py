"""Files are read the same on every device; these tests compute on the interpreter."""

import pytest


@pytest.fixture(autouse=True)
def _interpreted(numpy_device: None) -> None:
    pass
