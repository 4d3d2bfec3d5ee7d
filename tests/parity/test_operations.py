"""The page that lists torch's operations says what is there, and nothing is missing without being listed."""

import pytest

torch = pytest.importorskip("torch")

from tests.parity import operations, tinygrad_names  # noqa: E402


def test_nothing_is_missing_unlisted():
    assert operations.unexplained() == []


def test_tinygrads_methods_are_there_with_their_arguments():
    listed = set(" ".join(tinygrad_names.MISSING.values()).split())
    assert set(tinygrad_names.missing()) == listed
    found = {name: tinygrad_names.not_taken(name) for name in tinygrad_names.METHODS if name not in listed}
    assert {name: names for name, names in found.items() if names} == tinygrad_names.NOT_TAKEN


def test_the_page_is_up_to_date():
    """If not: python -m tests.parity.operations."""
    assert operations.PAGE.read_text() == operations.text()
