"""Triton's words: types, literals, spellings of operations and the helper functions they call.

Comes in: element types, rows of the operation table.  Goes out: text.  It knows neither kernels nor nests.  A helper is
printed into a source only when that source calls it; every helper is inlined by Triton's compiler.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isinf, isnan
from typing import Final

from codegen import threefry
from codegen.dtypes import DType, dtypes
from codegen.ops import ReduceOp, ScalarOp

_SHORT: Final[dict[DType, str]] = {
    dtypes.bool: "i1", dtypes.int8: "i8", dtypes.uint8: "u8", dtypes.int16: "i16", dtypes.uint16: "u16",
    dtypes.int32: "i32", dtypes.uint32: "u32", dtypes.int64: "i64", dtypes.uint64: "u64",
    dtypes.float16: "fp16", dtypes.bfloat16: "bf16", dtypes.float32: "fp32", dtypes.float64: "fp64",
}  # fmt: skip


def type_name(dtype: DType) -> str:
    """The type inside a kernel: "tl.float32"; a bool is one bit there."""
    return "tl.int1" if dtype is dtypes.bool else f"tl.{dtype.name}"


def short_name(dtype: DType) -> str:
    """The type in a signature: "fp32"; a pointer to it is "*fp32"."""
    return _SHORT[dtype]


def literal(value: int | float | bool, dtype: DType) -> str:
    """A constant as Python text, which takes its type from the operand beside it.

    >>> literal(2, dtypes.float32), literal(float("inf"), dtypes.float32), literal(-3, dtypes.int8)
    ('2.0', 'float("inf")', '-3')
    """
    if dtype.is_float:
        return f'float("{float(value)}")' if isnan(value) or isinf(value) else repr(float(value))
    return repr(bool(value)) if dtype is dtypes.bool else repr(int(value))


def full(shape: Iterable[int], value: int | float | bool, dtype: DType) -> str:
    """A block, or with an empty shape a scalar, of one value and a definite type."""
    return f"tl.full([{', '.join(map(str, shape))}], {literal(value, dtype)}, {type_name(dtype)})"


def spelling(op: ScalarOp, dtype: DType) -> str:
    """The format string of an operation on operands of a type."""
    kind = dtype.kind
    if op.name in ("max", "min") and kind != "f":
        bits = {"max": "{0} | {1}", "min": "{0} & {1}"}[op.name]
        return bits if kind == "b" else f"tl.{op.name}imum({{0}}, {{1}})"
    if op.name in ("floordiv", "mod", "shr"):
        variant = {"i": "", "u": "_unsigned", "f": "_float"}[kind]
        return f"kf_{op.name}{variant}({{0}}, {{1}})"
    if op.name == "sqrt" and dtype.bits == 64:
        return "tl.sqrt({0})"  # the rounded square root there is only one; sqrt_rn takes float32 alone
    return op.triton


def reduction(op: ReduceOp, dtype: DType, x: str, position: int) -> str:
    """The text that combines a block along one of its dimensions."""
    if op.name == "add":
        total = f"tl.sum({x}, {position})"
        return f"{total}.to({type_name(dtype)})" if dtype.is_int and dtype.bits < 32 else total
    return f"tl.reduce({x}, {position}, {combine_name(op, dtype)})"


def combine_name(op: ReduceOp, dtype: DType) -> str:
    """The helper function that combines two values of a reduction."""
    if op.name in ("max", "min"):
        variant = {"f": "", "b": "_bool"}.get(dtype.kind, "_int")
        return f"kf_{op.name}{variant}"
    return f"kf_{op.name}"


def helpers_used(text: str) -> list[str]:
    """The sources of the helpers a text calls, those they call first."""
    found: dict[str, None] = {}
    pending = sorted(_HELPERS.keys() & set(re.findall(r"\bkf_\w+", text)), reverse=True)
    while pending:
        name = pending[-1]
        inner = [n for n in re.findall(r"\bkf_\w+", _HELPERS[name]) if n != name and n not in found]
        if inner:
            pending += inner
        else:
            found[pending.pop()] = None
    return [f"@triton.jit\ndef {name}{_HELPERS[name]}" for name in found]


_BINARY: Final = "(a, b):\n    return {}\n"
_NAN: Final = "propagate_nan=tl.PropagateNan.ALL"

# The body of each helper, from its parameter list on.
_HELPERS: Final[dict[str, str]] = {
    "kf_max": _BINARY.format(f"tl.maximum(a, b, {_NAN})"),
    "kf_min": _BINARY.format(f"tl.minimum(a, b, {_NAN})"),
    "kf_max_int": _BINARY.format("tl.maximum(a, b)"),
    "kf_min_int": _BINARY.format("tl.minimum(a, b)"),
    "kf_max_bool": _BINARY.format("a | b"),
    "kf_min_bool": _BINARY.format("a & b"),
    "kf_add": _BINARY.format("a + b"),
    "kf_mul": _BINARY.format("a * b"),
    "kf_and": _BINARY.format("a & b"),
    "kf_or": _BINARY.format("a | b"),
    "kf_xor": _BINARY.format("a ^ b"),
    # Rounds down; 0 where b is 0; the division itself never sees 0, nor -1, where the smallest value would overflow.
    "kf_floordiv": """(a, b):
    divisor = tl.where((b == 0) | (b == -1), 1, b)
    quotient = a // divisor
    rest = a - quotient * divisor
    quotient = tl.where((rest != 0) & ((rest < 0) != (divisor < 0)), quotient - 1, quotient)
    return tl.where(b == 0, 0, tl.where(b == -1, -a, quotient))
""",
    "kf_mod": """(a, b):
    divisor = tl.where((b == 0) | (b == -1), 1, b)
    rest = a % divisor
    return tl.where((rest != 0) & ((rest < 0) != (divisor < 0)), rest + divisor, rest)
""",
    "kf_floordiv_unsigned": """(a, b):
    return tl.where(b == 0, 0, a // tl.where(b == 0, 1, b))
""",
    "kf_mod_unsigned": """(a, b):
    return tl.where(b == 0, 0, a % tl.where(b == 0, 1, b))
""",
    # The remainder has the divisor's sign, also when it is zero.
    "kf_mod_float": """(a, b):
    rest = libdevice.fmod(a, b)
    moved = tl.where((rest < 0) != (b < 0), rest + b, rest)
    return tl.where(rest == 0, libdevice.copysign(rest, b), moved)
""",
    # Shifts by the width or more, or by less than nothing, leave nothing of the value but, to the right, its sign.
    "kf_shl": """(a, b):
    inside = (b >= 0) & (b < a.dtype.primitive_bitwidth)
    return tl.where(inside, a << (b & (a.dtype.primitive_bitwidth - 1)), 0)
""",
    "kf_shr": """(a, b):
    inside = (b >= 0) & (b < a.dtype.primitive_bitwidth)
    return a >> tl.where(inside, b, a.dtype.primitive_bitwidth - 1)
""",
    "kf_shr_unsigned": """(a, b):
    return tl.where(b < a.dtype.primitive_bitwidth, a >> (b & (a.dtype.primitive_bitwidth - 1)), 0)
""",
    # float32 in three parts of 16 bits, each exact on the matrix unit; what overflows has no rest.
    "kf_rest": """(a, part):
    return tl.where(tl.abs(part) < float("inf"), a - part, 0.0)
""",
    "kf_dot_split_left": """(a, b, into):
    high = a.to(b.dtype)
    rest = kf_rest(a, high.to(tl.float32))
    middle = rest.to(b.dtype)
    low = (rest - middle.to(tl.float32)).to(b.dtype)
    return tl.dot(high, b, tl.dot(middle, b, tl.dot(low, b, into)))
""",
    "kf_dot_split_right": """(a, b, into):
    high = b.to(a.dtype)
    rest = kf_rest(b, high.to(tl.float32))
    middle = rest.to(a.dtype)
    low = (rest - middle.to(tl.float32)).to(a.dtype)
    return tl.dot(a, high, tl.dot(a, middle, tl.dot(a, low, into)))
""",
    "kf_random": threefry.triton("x"),
    "kf_random2": threefry.triton("y"),
    "kf_pow": _BINARY.format("libdevice.pow(a, b)"),
    "kf_logaddexp": """(a, b):
    near = tl.where(a == b, 0.0, tl.abs(a - b))
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL) + libdevice.log1p(tl.exp(-near))
""",
    "kf_expm1": "(a):\n    return libdevice.expm1(a)\n",
    "kf_log1p": "(a):\n    return libdevice.log1p(a)\n",
    "kf_asin": "(a):\n    return libdevice.asin(a)\n",
    "kf_acos": "(a):\n    return libdevice.acos(a)\n",
    "kf_asinh": "(a):\n    return libdevice.asinh(a)\n",
    "kf_acosh": "(a):\n    return libdevice.acosh(a)\n",
    "kf_atan": "(a):\n    return libdevice.atan(a)\n",
    "kf_tanh": "(a):\n    return libdevice.tanh(a)\n",
    "kf_trunc": "(a):\n    return libdevice.trunc(a)\n",
    "kf_round": "(a):\n    return libdevice.rint(a)\n",
    # Hardware orders floats as integers of the same bits; a NaN must be the greatest (or least) of them to win.
    "kf_atomic_max_float": """(pointers, values, mask):
    values = tl.where(values != values, float("nan"), values)
    tl.atomic_max(pointers, values, mask=mask, sem="relaxed")
""",
    "kf_atomic_min_float": """(pointers, values, mask):
    values = tl.where(values != values, -libdevice.abs(tl.where(values != values, float("nan"), values)), values)
    tl.atomic_min(pointers, values, mask=mask, sem="relaxed")
""",
}
