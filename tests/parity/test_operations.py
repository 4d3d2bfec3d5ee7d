"""The page that lists torch's operations says what is there, and nothing is missing without being listed."""

import pytest

torch = pytest.importorskip("torch")

from tests.parity import operations  # noqa: E402


def test_nothing_is_missing_unlisted():
    assert operations.unexplained() == []


def test_the_page_is_up_to_date():
    """If not: python -m tests.parity.operations."""
    assert operations.PAGE.read_text() == operations.text()
