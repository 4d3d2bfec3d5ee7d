"""What a value is, whatever it says: no code of its class decides.

Comes in: a value and classes.  Goes out: whether it is of one of them, and what attributes it has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from kernelforge.errors import JitError

T = TypeVar("T")

if TYPE_CHECKING:
    from builtins import isinstance as is_a
else:

    def is_a(value: Any, kinds: Any) -> bool:
        """isinstance() by the class a value has: `__class__` may be a property, that raises or names another class.

        >>> class Stand:
        ...     __class__ = dict
        >>> isinstance(Stand(), dict), is_a(Stand(), dict)
        (True, False)
        """
        try:
            return issubclass(type(value), kinds)
        except Exception:  # abstract classes ask a class what it has, which its own class may refuse
            return False


def attribute(value: Any, name: str, otherwise: Any = None) -> Any:
    """An attribute of a value; something else where there is none, or where it refuses to be asked, in whatever way."""
    try:
        return getattr(value, name)
    except Exception:
        return otherwise


def looking(parts: Callable[[Any, str], T]) -> Callable[[Any, str], T]:
    """A function of a value and its path, made to raise a JitError that names both where the value's class raises."""

    @wraps(parts)
    def found(value: Any, path: str) -> T:
        try:
            return parts(value, path)
        except JitError:
            raise
        except Exception as error:
            kind = type.__getattribute__(type(value), "__qualname__")
            told = f"a captured function comes to {path}, whose class {kind} does not let itself be looked into"
            raise JitError(f"{told} ({error!r}): use what is in it instead, or call it outside") from error

    return found


def attributes_in(value: Any) -> Any:
    """The dict of a value's attributes, also of one whose class keeps it to itself; None where it has none.

    >>> class Hidden:
    ...     def __getattribute__(self, name):
    ...         raise AttributeError(name)
    >>> hasattr(Hidden(), "__dict__"), attributes_in(Hidden())
    (False, {})
    """
    try:
        return value.__dict__
    except Exception:
        try:
            return object.__getattribute__(value, "__dict__")
        except AttributeError:
            return None


__all__ = ["attribute", "attributes_in", "is_a", "looking"]
