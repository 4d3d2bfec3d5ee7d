"""The switches: one table, each readable from the environment and changeable for a while by `Context`.

    name         environment    default  meaning
    DEBUG        KF_DEBUG       0        1..5: print plans, launches, groups, kernels, sources
    DEVICE       KF_DEVICE      CPU      the default device
    OPENCL       KF_OPENCL      ""       part of the name of the OpenCL platform to use: "intel", "pocl"
    THREADS      KF_THREADS     0        threads of a CPU device; 0: all cores.  Read before the first device is opened
    CACHE        KF_CACHE       1        0: compile anew, keep nothing on disk
    CACHE_DIR    KF_CACHE_DIR   ""       where compiled kernels are kept; "": the user's cache directory
    CACHE_SIZE   KF_CACHE_SIZE  1024     most megabytes kept there
    POOL_SIZE    KF_POOL_SIZE   4096     most megabytes of freed device memory kept for reuse, per device
    TRAINING     TRAINING       0        1: dropout drops, batch normalisation uses the batch's statistics

    with Context(DEBUG=2):
        x.realize()
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Final


class Setting:
    """One switch: a number or a text, taken from the environment when the library is imported."""

    def __init__(self, name: str, environment: str, default: int | str) -> None:
        self.name = name
        text = os.environ.get(environment)
        self.value: int | str = default
        if text is not None and text != "":
            try:
                self.value = int(text) if isinstance(default, int) else text
            except ValueError:
                raise ValueError(f"{environment}={text!r}: a whole number is expected") from None

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __str__(self) -> str:
        return str(self.value)

    def __repr__(self) -> str:
        return f"{self.name}={self.value!r}"


DEBUG: Final = Setting("DEBUG", "KF_DEBUG", 0)
DEVICE: Final = Setting("DEVICE", "KF_DEVICE", "CPU")
OPENCL: Final = Setting("OPENCL", "KF_OPENCL", "")
THREADS: Final = Setting("THREADS", "KF_THREADS", 0)
CACHE: Final = Setting("CACHE", "KF_CACHE", 1)
CACHE_DIR: Final = Setting("CACHE_DIR", "KF_CACHE_DIR", "")
CACHE_SIZE: Final = Setting("CACHE_SIZE", "KF_CACHE_SIZE", 1024)
POOL_SIZE: Final = Setting("POOL_SIZE", "KF_POOL_SIZE", 4096)
TRAINING: Final = Setting("TRAINING", "TRAINING", 0)

SETTINGS: Final = {
    s.name: s for s in (DEBUG, DEVICE, OPENCL, THREADS, CACHE, CACHE_DIR, CACHE_SIZE, POOL_SIZE, TRAINING)
}


class Context:
    """Sets switches for the duration of a `with` block.

    raises KeyError for a name that is no switch

    >>> with Context(TRAINING=1):
    ...     print(TRAINING)
    1
    """

    def __init__(self, **values: int | str) -> None:
        unknown = values.keys() - SETTINGS.keys()
        if unknown:
            raise KeyError(f"no setting {', '.join(sorted(unknown))}; there are {', '.join(SETTINGS)}")
        self.values = values
        self._before: list[dict[str, int | str]] = []

    def __enter__(self) -> Context:
        self._before.append({name: SETTINGS[name].value for name in self.values})
        for name, value in self.values.items():
            SETTINGS[name].value = value
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, value in self._before.pop().items():
            SETTINGS[name].value = value
