"""Integers compared as numbers, also where no type of integers holds both operands.

Comes in: a comparison, its operands.  Goes out: its value, a constant or a node; None where the operands' common type
will do.
"""

from __future__ import annotations

from typing import Final

from codegen.dtypes import DType, dtypes, promote
from kernelforge import graph
from kernelforge.graph import Node

COMPARISONS: Final = frozenset(("lt", "le", "eq", "ne"))


def _of_less(op: str, is_first: bool) -> bool:
    """What a comparison comes to where its first operand, or its second, is less than all the other has."""
    return op == "ne" or (op in ("lt", "le") and is_first)


def beyond(op: str, number: int, beside: DType, reverse: bool) -> bool | None:
    """What comparing integers of a type with a number comes to that the type has no place for.

    reverse  the number is the first operand
    """
    kind = dtypes.default_int if beside is dtypes.bool else beside
    if not kind.is_int or kind.min <= number <= kind.max:
        return None
    return _of_less(op, reverse == (number < kind.min))


def are_mixed(a: DType, b: DType) -> bool:
    """True for types of integers, one with a sign and one without, that no type of integers holds both of."""
    return a.is_int and b.is_int and not promote(a, b).is_int


def mixed(op: str, a: Node, b: Node) -> Node:
    """A comparison of integers of one shape whose types are mixed."""
    signed, other = (b, a) if a.dtype.kind == "u" else (a, b)
    whole = graph.cast(signed, other.dtype)
    compared = graph.elementwise(op, whole, b) if signed is a else graph.elementwise(op, a, whole)
    negative = graph.elementwise("lt", signed, graph.full(signed.shape, 0, signed.dtype))
    return graph.elementwise("where", negative, graph.full(a.shape, _of_less(op, signed is a), dtypes.bool), compared)
