"""What results depend on beside values: switches and modes.

Comes in: nothing.  Goes out: all of them at this moment, to be compared, and what to call each.
"""

from __future__ import annotations

from typing import Any, Final

from codegen.dtypes import dtypes
from kernelforge.kernels import Device
from kernelforge.met import circumstances
from kernelforge.settings import JIT, NAN, TRAINING, remembered
from kernelforge.tensor.core import grad_enabled, narrow_type

MODES: Final = (
    "no_grad", "the default float type", "the default integer type", "autocast()", "the switches or Tensor.training",
)  # fmt: skip


@remembered
def _switches() -> tuple[object, ...]:
    return circumstances(), (TRAINING.value, TRAINING.asked), Device.DEFAULT, JIT.value and not NAN.value


def mode_of() -> tuple[object, ...]:
    """The modes by place, as `MODES` calls them; the last of the last says whether calls are captured."""
    return grad_enabled.get(), dtypes.default_float, dtypes.default_int, narrow_type.get(), _switches()


def lasting(mode: tuple[Any, ...]) -> list[object]:
    """A mode, but for whether somebody has spoken of training, which a context that ends leaves behind."""
    *others, (circumstances, (training, _), *rest) = mode
    return [*others, (circumstances, training, *rest)]
