"""Where NaN is an error: in the body of a `with`, or from now on; what looks for it is `nans`."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from kernelforge.settings import NAN, Context


class detect_anomaly(Context):
    """A context in which computing NaN is an error that names the operation and the line it first appeared in.

        with detect_anomaly():
            loss.backward()
            optimiser.step()

    Everything that is computed is looked at, so it is slow.
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(NAN=int(check_nan))


class set_detect_anomaly:
    """detect_anomaly(), or its opposite, from now on; as a context, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = NAN.value
        NAN.set(int(mode and check_nan))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        NAN.set(self._before)


def is_anomaly_enabled() -> bool:
    """True while NaN is an error."""
    return bool(NAN)
