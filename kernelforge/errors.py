"""The errors users see, and the one that is never their fault.

A user error says what was attempted, the shapes and dtypes received, what was expected and the usual fix.  Every one is
a `KernelForgeError`, and also the built-in error of its kind, so that ordinary `except ValueError` works.
"""

from __future__ import annotations

import numpy as np

from kernelforge.blame import whereabouts


class KernelForgeError(Exception):
    """Anything kernelforge itself reports.

    context  the call that went wrong with its operands, and the user's line, as text
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.context = whereabouts()

    def __str__(self) -> str:
        return super().__str__() + self.context


class ShapeError(KernelForgeError, ValueError, RuntimeError):
    """Shapes, axes or sizes that do not fit the operation: NumPy's ValueError and torch's RuntimeError."""


class AxisError(ShapeError, IndexError):
    """An axis a tensor does not have, or one without elements where some are needed."""


class DTypeError(KernelForgeError, TypeError, RuntimeError):
    """Element types the operation is not defined for."""


class UnknownDTypeError(DTypeError, AttributeError):
    """A name that no element type has."""


class ArgumentError(KernelForgeError, ValueError, RuntimeError):
    """An option that has no such value."""


class ModeError(ArgumentError, NotImplementedError):
    """A way to pad or to resize that there is not: NotImplementedError too, as in torch."""


class StateError(KernelForgeError, RuntimeError):
    """Something asked for at a time or of a tensor that cannot give it."""


class StandInError(StateError):
    """The value of a tensor that stands for others, in the body of a loop for instance, and has none."""


class KindError(KernelForgeError, TypeError):
    """An argument of a Python type that has no meaning here."""


class PlaceError(KernelForgeError, IndexError, RuntimeError):
    """An index outside of what it counts: NumPy's IndexError and torch's RuntimeError."""


class DivisionError(KernelForgeError, ZeroDivisionError):
    """Integers divided by the number 0."""


class SettingError(KernelForgeError, ValueError):
    """A switch that does not exist, or a value it cannot take."""


class DeviceError(KernelForgeError, RuntimeError):
    """Tensors on different devices, or a device that cannot be used."""


class FileFormatError(KernelForgeError, ValueError):
    """A file that is not what it should be: truncated, corrupt, hostile, or of a kind that is not read.

    path    the file
    reason  what is wrong with it
    """

    def __init__(self, path: object, reason: str) -> None:
        self.path, self.reason = str(path), reason
        super().__init__(f"{path}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return (FileFormatError, (self.path, self.reason))


class LinAlgError(KernelForgeError, np.linalg.LinAlgError):
    """A matrix that has no inverse, no factor, or values an algorithm does not end for."""


class AnomalyError(KernelForgeError, RuntimeError):
    """NaN where detect_anomaly() looks for it."""


class WrongResultError(KernelForgeError, RuntimeError):
    """A kernel that computed something else than it means, found by KF_VERIFY."""


class CompileError(KernelForgeError, RuntimeError):
    """A kernel whose source the device's compiler refused.

    kernel  its entry name
    path    where its source was written, or None where nothing could be written
    log     what the compiler said
    """

    def __init__(self, kernel: str, device: str, path: str | None, log: str) -> None:
        self.kernel, self.device, self.path, self.log = kernel, device, path, log
        place = f"its source is in {path}" if path else "its source could not be written to disk"
        super().__init__(f"{device} cannot compile kernel {kernel}; {place}\n{_relevant(log)}")

    def __reduce__(self) -> tuple[object, ...]:
        return (CompileError, (self.kernel, self.device, self.path, self.log))


class JitError(KernelForgeError, RuntimeError):
    """A captured function that does what a capture cannot repeat, or is called in too many different ways."""


class PackError(KernelForgeError, ValueError):
    """A file that is no pack of plans and kernels, or a damaged one."""


class InternalError(KernelForgeError, AssertionError):
    """An invariant of kernelforge itself that does not hold: a fault to report."""


def _relevant(log: str, limit: int = 20) -> str:
    """The lines of a build log from its first error on, at most `limit` of them."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    first = next((number for number, line in enumerate(lines) if "error" in line.lower()), 0)
    chosen = lines[first : first + limit]
    rest = len(lines) - first - len(chosen)
    return "\n".join([*chosen, f"... {rest} more lines"] if rest else chosen)
