"""What a value is, whatever it says: no code of its class runs.

Comes in: a value and classes.  Goes out: whether it is of one of them, and what attributes it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        return issubclass(type(value), kinds)


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


__all__ = ["attributes_in", "is_a"]
