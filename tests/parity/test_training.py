"""The page of layers and optimisers is true, and nothing is missing from it."""

import pytest

pytest.importorskip("torch")
from tests.parity.training import PAGE, PLACES, missing, text


def test_the_page_is_what_the_library_has() -> None:
    assert PAGE.read_text() == text(), "python -m tests.parity.training writes it"


@pytest.mark.parametrize("title", PLACES)
def test_nothing_is_missing(title: str) -> None:
    assert missing(title) == []
