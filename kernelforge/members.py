"""What collections of weak references hold, as other threads add to them.

Comes in: a collection.  Goes out: a list of what it holds that is alive; to go through the collection itself is an
error where it grows meanwhile.
"""

from __future__ import annotations

from typing import TypeVar
from weakref import WeakSet, WeakValueDictionary

K = TypeVar("K")
V = TypeVar("V")


def members(found: WeakSet[V]) -> list[V]:
    """The members of a set."""
    references = list(found.data)  # type: ignore[attr-defined]  # in one go: to iterate over the set itself is many
    return [value for reference in references if (value := reference()) is not None]


def entries(found: WeakValueDictionary[K, V]) -> list[tuple[K, V]]:
    """The keys and values of a dictionary."""
    return [(reference.key, value) for reference in found.valuerefs() if (value := reference()) is not None]
