"""Arguments that other libraries name otherwise.

Comes in: a class.  Goes out: the same class, whose methods take `dim` and `axis` as two names of one argument, and
likewise the other pairs below.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from types import FunctionType
from typing import Any, Final, TypeVar

OTHER_NAMES: Final = {
    "axis": "dim",
    "dim": "axis",
    "keepdim": "keepdims",
    "min_": "min",
    "max_": "max",
    "neg_slope": "negative_slope",
}

C = TypeVar("C", bound=type)


def with_other_names(cls: C) -> C:
    """The class, with each public method wrapped that has an argument known by another name."""
    for name in dir(cls):
        method = getattr(cls, name)
        if isinstance(method, FunctionType) and not name.startswith("_"):
            renamed = {OTHER_NAMES[given]: given for given in signature(method).parameters if given in OTHER_NAMES}
            if renamed:
                setattr(cls, name, _renaming(method, renamed))
    return cls


def _renaming(method: Callable[..., Any], renamed: dict[str, str]) -> Callable[..., Any]:
    """The method, its named arguments also known by the keys of renamed."""

    @wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.keys().isdisjoint(renamed):
            ours = {renamed.get(name, name): value for name, value in kwargs.items()}
            if len(ours) < len(kwargs):
                raise TypeError(f"{method.__name__}() got one argument by two names among {', '.join(kwargs)}")
            return method(*args, **ours)
        return method(*args, **kwargs)

    return called
