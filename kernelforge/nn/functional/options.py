"""What functional forms share: operations in place, torch's older spelling of reductions, sizes per dimension.

Comes in: options of torch's.  Goes out: the ones the tensor methods take.
"""

from __future__ import annotations

from kernelforge.errors import ArgumentError
from kernelforge.tensor import Tensor


def whole(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    """The result; the input with its value when the operation is in place."""
    return input._become(result) if inplace else result


def reduction_of(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """One of "mean", "sum" or "none", also from the two options torch had before.

    raises ValueError
    """
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    if reduction not in ("mean", "sum", "none", "batchmean"):
        raise ArgumentError(f"{reduction} is not a valid value for reduction")
    return reduction
