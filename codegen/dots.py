"""Products of narrow values that a target multiplies and adds several at a time.

Comes in: a sum of products and what the target can do.  Goes out: the narrow operands, and how many steps of the sum
one instruction takes.  The products of a group are exact; they join the sum in an order of the hardware's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.ir import Apply, Const, Expr, Load, Param, Reduce, apply, const, load
from codegen.target import Target

WORD = 32  # bits of a group of narrow values


@dataclass(frozen=True)
class Dot:
    """A sum of products of widened values, of which `group` products fit one step.

    kind         what the target calls it: "bfloat16" (summed in float32), "int8" (of any signs, summed in int32)
    left, right  the values before they are widened; of a plain sum of bytes the right one is 1
    """

    kind: str
    left: Expr
    right: Expr

    @property
    def group(self) -> int:
        """Values in a word."""
        return WORD // self.left.dtype.bits

    @property
    def axes(self) -> frozenset[Axis]:
        """The axes groups may lie along: those of both values."""
        return self.left.axes if isinstance(self.right, Const) else self.left.axes & self.right.axes

    @property
    def alike(self) -> bool:
        """True for bytes of the same kind, where the processor multiplies unsigned by signed ones."""
        return self.kind == "int8" and self.left.dtype is self.right.dtype


def dot_of(r: Reduce, target: Target) -> Dot | None:
    """The sum as one of products in groups, or None when its operands are not narrow or the target has no such step."""
    product = r.arg
    if r.op.name != "add" or not isinstance(product, Apply):
        return None
    if product.op.name == "cast":
        return _sum_of(r, product.args[0], target)
    if product.op.name != "mul":
        return None
    narrow = [e.args[0] for e in product.args if isinstance(e, Apply) and e.op.name == "cast"]
    if len(narrow) != 2:
        return None
    kind = _kind(r.dtype, narrow[0].dtype, narrow[1].dtype)
    return Dot(kind, *narrow) if kind in target.dots else None


def _sum_of(r: Reduce, value: Expr, target: Target) -> Dot | None:
    """A sum of bytes as one of their products by 1."""
    other = {dtypes.int8: dtypes.uint8, dtypes.uint8: dtypes.int8}.get(value.dtype)
    fits = other is not None and r.dtype is dtypes.int32 and "int8" in target.dots
    return Dot("int8", value, const(1, other)) if fits and other else None


def _kind(total: DType, left: DType, right: DType) -> str:
    if total is dtypes.float32 and left is right is dtypes.bfloat16:
        return "bfloat16"
    bytes_ = (dtypes.int8, dtypes.uint8)
    return "int8" if total is dtypes.int32 and left in bytes_ and right in bytes_ else ""


def bits_of(e: Expr) -> Expr:
    """The bits of a value of a 16-bit float type, read as they are where it is a load; other values as they are."""
    if not e.dtype.is_narrow_float:
        return e
    if isinstance(e, Load):
        return load(Param(e.param.name, dtypes.uint16, e.param.size), e.index, e.guards)
    return apply("bitcast", e, dtype=dtypes.uint16)
