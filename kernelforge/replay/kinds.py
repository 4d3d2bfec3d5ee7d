"""What a value is, whatever it says: no code of its class runs.

Comes in: a value and classes.  Goes out: whether it is of one of them.
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


__all__ = ["is_a"]
