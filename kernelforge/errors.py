"""The errors users see, and the one that is never their fault.

A user error says what was attempted, the shapes and dtypes received, what was expected and the usual fix.
"""


class ShapeError(ValueError):
    """Shapes, axes or sizes that do not fit the operation."""


class DTypeError(TypeError):
    """Element types the operation is not defined for."""


class DeviceError(RuntimeError):
    """Tensors on different devices, or a device that cannot be used."""


class CompileError(RuntimeError):
    """A kernel the driver refuses; the message names the kernel, where its source lies and what the driver said."""


class InternalError(AssertionError):
    """An invariant of kernelforge itself that does not hold: a fault to report."""
