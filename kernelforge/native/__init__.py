"""The part of the library that is C: nodes and tensors as they are made, and calls of kernels by several threads.

Comes in: nothing.  Goes out: the module `_native`, or None where it was not built, was built from other sources than
those here, or where KF_NATIVE=0 says to do without.  What it does Python and the driver can do as well, more slowly:
nothing needs it.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any, Final

from kernelforge.native.sources import digest
from kernelforge.settings import NATIVE

try:
    from kernelforge.native import _native
except ImportError:
    _native = None  # type: ignore[assignment]


def _is_of_these_sources(module: ModuleType) -> bool:
    """Whether the module was built from what is here; where no sources are, it came along with the rest."""
    here = digest()
    if here in (0, getattr(module, "SOURCES", None)):
        return True
    warnings.warn(
        "kernelforge's C module was built from other sources and is left out, which makes calls slower; "
        "build it again: python -m kernelforge.native.build",
        RuntimeWarning,
        stacklevel=2,
    )
    return False


BUILT: Final = _native is not None and _is_of_these_sources(_native)
compiled: Final[Any] = _native if BUILT and NATIVE.value else None
"""The module as the library is built on it: objects are of its types, or of Python's, as long as the process lives."""


NO_MORE: Final[tuple[str, ...]] = ()
"""The slots of a class that has those of its base alone."""


def record(name: str, *fields: str) -> Any:
    """The base of a class of objects whose fields C reads as well: its type of that name, else one with such slots."""
    return getattr(compiled, name) if compiled is not None else type(name, (), {"__slots__": ("__weakref__", *fields)})


def native() -> ModuleType | None:
    """The module, where it may be used."""
    return _native if BUILT and NATIVE.value else None


def state() -> str:
    """What there is of it, in words."""
    if not BUILT:
        other = "" if _native is None else "of other sources: "
        return f"{other}not built (python -m kernelforge.native.build): kernels are handed over to the driver's threads"
    return "built; kernels are called by threads of its own" if NATIVE.value else "built, but KF_NATIVE=0"
