"""Single values as OpenCL C text: literals, operations, conversions, memory accesses.

Comes in: element types, widths (1 or the number of lanes) and the texts of operands, each a name or a literal.  Goes
out:
an expression's text.  Helpers it needs are defined in the prelude.  It knows no tiles and no loops.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from codegen.dtypes import DType, dtypes
from codegen.ir import Param
from codegen.opencl.prelude import Prelude, element, helper_name, mask_element, memory_element
from codegen.ops import SCALAR_OPS, ScalarOp

_SUFFIX = {"uint32": "u", "int64": "l", "uint64": "ul"}
_ALWAYS_HELPED = frozenset(
    (
        "max",
        "min",
        "abs",
        "not",
        "shl",
        "shr",
        "rsqrt",
        "sin",
        "cos",
        "erf",
        "mod",
        "floordiv",
        "random",
        "random2",
        "logaddexp",
    )
)
_NUMBER = re.compile(r"(?:\([a-z]+\))?[-\d(][-\d() ul]*")  # what literal() writes of an integer
_SOMETIMES_HELPED = frozenset(("add", "sub", "mul", "neg", "lt", "le"))


def literal(value: int | float | bool, dtype: DType) -> str:
    """A constant of the type values of dtype are computed in."""
    if dtype.is_float:
        return _float_literal(float(value), dtype)
    value = int(value)
    if dtype is dtypes.bool:
        return str(int(bool(value)))
    if value == dtype.min and value < 0:
        text = f"({value + 1}{_SUFFIX.get(dtype.name, '')} - 1)"
    else:
        text = f"{value}{_SUFFIX.get(dtype.name, '')}"
    return text if dtype.bits >= 32 else f"({element(dtype)}){text}" if value >= 0 else f"({element(dtype)})({text})"


def _float_literal(value: float, dtype: DType) -> str:
    double = dtype is dtypes.float64
    if math.isnan(value):
        return "(double)NAN" if double else "NAN"
    if math.isinf(value):
        text = "INFINITY" if value > 0 else "-INFINITY"
        return f"(double)({text})" if double else text
    if double:
        return repr(value)
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    if np.isinf(rounded):
        return _float_literal(float(rounded), dtype)
    return f"{rounded!s}f" if "e" in str(rounded) or "." in str(rounded) else f"{rounded!s}.0f"


FAR = "kf_far"  # an argument of kernels for open sizes: whether results are to go around the caches


class Speller:
    """Spells operations on names, for one number of lanes.

    far  the condition under which results go around the caches, as text before others
    """

    def __init__(self, prelude: Prelude) -> None:
        self.prelude = prelude
        self.lanes = prelude.lanes
        self.far = ""

    def type(self, dtype: DType, width: int) -> str:
        """The type of a value: `float`, `float16`; masks are int vectors."""
        return self.prelude.vector(element(dtype), width)

    def splat(self, text: str, dtype: DType) -> str:
        """A scalar in every lane."""
        return f"({self.type(dtype, self.lanes)})({'-' if dtype is dtypes.bool else ''}{text})"

    def element_of(self, text: str, lane: int, dtype: DType) -> str:
        """One lane of a vector as a scalar."""
        digit = "0123456789abcdef"[lane]
        return f"({text}.s{digit} & 1)" if dtype is dtypes.bool else f"{text}.s{digit}"

    def gathered(self, texts: list[str], dtype: DType) -> str:
        """A vector made of scalars."""
        sign = "-" if dtype is dtypes.bool else ""
        return f"({self.type(dtype, self.lanes)})({', '.join(sign + x for x in texts)})"

    def every_other(self, near: str, far: str, dtype: DType) -> str:
        """Lanes 2 apart, of the vectors that begin and end with the first and the last of them."""
        return f"({self.type(dtype, self.lanes)})(({near}).even, ({far}).odd)"

    def chosen(self, parts: Sequence[tuple[str, int]], dtype: DType) -> str:
        """A vector that begins with elements of vectors, (name, place) each, and ends with zeros."""
        texts = [f"{name}.s{place:x}" for name, place in parts] + [literal(0, dtype)] * (self.lanes - len(parts))
        return f"({self.type(dtype, self.lanes)})({', '.join(texts)})"

    def turned(self, text: str, count: int) -> str:
        """A vector with its first lanes in reverse order."""
        order = (*reversed(range(count)), *range(count, self.lanes))
        return f"({text}).s{''.join(f'{lane:x}' for lane in order)}"

    def operation(self, op: ScalarOp, dtype: DType, args: list[tuple[str, int]], width: int) -> str:
        """op on operands of type dtype (for `where` that of the branches), each a text with its width."""
        if op.name == "where":
            return self._where(dtype, args, width)
        if width > 1 and dtype is dtypes.float64 and op.name in self.prelude.by_lane:
            return self._by_lane(op, dtype, args, width)
        helped = op.name in _ALWAYS_HELPED or (
            op.name in _SOMETIMES_HELPED and self.prelude.scalar_op(op.name, dtype, width)
        )
        call = helped or "(" in op.opencl
        texts = [self.widened(x, w, dtype, width, call or i == 0) for i, (x, w) in enumerate(args)]
        if width > 1 and not call and dtype is dtypes.bool:
            texts = [self.widened(x, w, dtype, width, True) for x, w in args]
        if width == 1 and dtype.kind in "iu" and op.name in ("max", "min") and any(map(_NUMBER.fullmatch, texts)):
            text = f"{self.prelude.bound(op.name, dtype)}({', '.join(texts)})"
        elif helped:
            self.prelude.scalar_op(op.name, dtype, width)
            text = f"{helper_name(op.name, dtype)}({', '.join(texts)})"
        else:
            text = op.opencl.format(*texts)
        if op.rule == "compare" and width > 1 and mask_element(dtype) != "int":
            return f"convert_int{width}({text})"
        return text

    def _by_lane(self, op: ScalarOp, dtype: DType, args: list[tuple[str, int]], width: int) -> str:
        def one(lanes: list[str]) -> str:
            return self.operation(op, dtype, [(x, 1) for x in lanes], 1)

        name = self.prelude.lanewise(op.name, dtype, width, one, op.arity)
        return f"{name}({', '.join(self.widened(x, w, dtype, width) for x, w in args)})"

    def widened(self, text: str, have: int, dtype: DType, width: int, needed: bool = True) -> str:
        """An operand as a vector if the operation is one; scalars widen by themselves beside a vector operand."""
        return self.splat(text, dtype) if width > 1 and have == 1 and needed else text

    def _where(self, dtype: DType, args: list[tuple[str, int]], width: int) -> str:
        (condition, wide), *branches = args
        if wide == 1:
            a, b = (self.widened(x, w, dtype, width) for x, w in branches)
            return f"{condition} ? {a} : {b}"
        a, b = (self.widened(x, w, dtype, width) for x, w in branches)
        mask = mask_element(dtype)
        condition = condition if mask == "int" else f"convert_{mask}{width}({condition})"
        return f"select({b}, {a}, {condition})"

    def combine(self, name: str, dtype: DType, a: str, b: str, width: int) -> str:
        """One step of a reduction on two operands of the same width."""
        text = self.operation(SCALAR_OPS[name], dtype, [(a, width), (b, width)], width)
        return text if text.startswith("kf_") else f"({text})"

    def fold(self, name: str, dtype: DType, text: str) -> str:
        """The lanes of a vector combined to a scalar."""
        self.prelude.fold(name, dtype, lambda a, b, width: self.combine(name, dtype, a, b, width))
        return f"{helper_name(f'fold_{name}', dtype)}({text})"

    def prefixes(self, name: str, dtype: DType, identity: int | float | bool, text: str) -> str:
        """The lanes of a vector, each combined with all before it."""
        self.prelude.prefixes(
            name,
            dtype,
            self.splat(literal(identity, dtype), dtype),
            lambda a, b: self.combine(name, dtype, a, b, self.lanes),
        )
        return f"{helper_name(f'scan_{name}', dtype)}({text})"

    # -------------------------------------------------------------------------------------------- conversions

    def cast(self, text: str, source: DType, to: DType, width: int) -> str:
        """A value converted; 16-bit floats are rounded and held as float."""
        if to is dtypes.bool:
            zero = literal(0, source)
            compared = f"{text} != {zero if width == 1 else self.splat(zero, source)}"
            return compared if width == 1 or mask_element(source) == "int" else f"convert_int{width}({compared})"
        if to.is_narrow_float:
            text = self.cast(text, source, dtypes.float32, width)
            if to is dtypes.float16:
                return f"{self.prelude.narrow('round_half', width)}({text})"
            bits = self.prelude.narrow("bfloat_bits", width)
            return f"{self.prelude.narrow('bfloat_value', width)}({bits}({text}))"
        if source is dtypes.bool:
            text = text if width == 1 else f"({text} & 1)"
            return text if element(to) == "int" else f"convert_{self.type(to, width)}({text})"
        if element(source) == element(to):
            return text
        return f"convert_{self.type(to, width)}({text})"

    def bitcast(self, text: str, source: DType, to: DType, width: int) -> str:
        """The same bits as another type."""
        if source.is_narrow_float:
            kind = "half" if source is dtypes.float16 else "bfloat"
            text, source = f"{self.prelude.narrow(kind + '_bits', width)}({text})", dtypes.uint16
        if to.is_narrow_float:
            kind = "half" if to is dtypes.float16 else "bfloat"
            bits = text if source is dtypes.uint16 else f"as_{self.type(dtypes.uint16, width)}({text})"
            return f"{self.prelude.narrow(kind + '_value', width)}({bits})"
        return text if source is to else f"as_{self.type(to, width)}({text})"

    # -------------------------------------------------------------------------------------------- memory

    def load(self, name: str, index: str, dtype: DType, width: int) -> str:
        """Elements of a parameter, consecutive ones for a vector."""
        if width == 1:
            if dtype is dtypes.float16:
                return f"vload_half({index}, {name})"
            if dtype is dtypes.bfloat16:
                return f"{self.prelude.narrow('bfloat_value', 1)}({name}[{index}])"
            return f"({name}[{index}] != 0)" if dtype is dtypes.bool else f"{name}[{index}]"
        return self._vector_load(_pointer(name, index), dtype, width)

    def _vector_load(self, pointer: str, dtype: DType, width: int = 0) -> str:
        n = width or self.lanes
        if dtype is dtypes.float16:
            return f"{self.prelude.halves(n)}({pointer})" if self.prelude.aligned else f"vload_half{n}(0, {pointer})"
        text = f"vload{n}(0, {pointer})"
        if dtype is dtypes.bfloat16:
            return f"{self.prelude.narrow('bfloat_value', n)}({text})"
        return f"(convert_int{n}({text}) != 0)" if dtype is dtypes.bool else text

    def store(self, name: str, index: str, value: str, dtype: DType, width: int) -> str:
        """The statement that writes a value to a parameter."""
        if width == 1:
            if dtype is dtypes.float16:
                return f"vstore_half_rte({value}, {index}, {name});"
            if dtype is dtypes.bfloat16:
                value = f"{self.prelude.narrow('bfloat_bits', 1)}({value})"
            return f"{name}[{index}] = {value};"
        return self._vector_store(_pointer(name, index), value, dtype, width)

    def _vector_store(self, pointer: str, value: str, dtype: DType, width: int = 0) -> str:
        n = width or self.lanes
        if dtype is dtypes.float16:
            if self.prelude.aligned:
                return f"{self.prelude.halves(n)}({pointer}, {value});"
            return f"vstore_half{n}_rte({value}, 0, {pointer});"
        if dtype is dtypes.bfloat16:
            value = f"{self.prelude.narrow('bfloat_bits', n)}({value})"
        if dtype is dtypes.bool:
            value = f"convert_uchar{n}({value} & 1)"
        return f"vstore{n}({value}, 0, {pointer});"

    def bypassing_store(self, name: str, index: str, value: str, dtype: DType) -> str:
        """The statement that writes a vector around the caches where it fills whole lines, else like any other."""
        vector, helper = self.type(dtype, self.lanes), f"kf_bypass{'_if' if self.far else ''}_{dtype}"
        body = (
            f"if ({self.far}((ulong)p & {self.lanes * dtype.itemsize - 1}) == 0) "
            f"__builtin_nontemporal_store(v, (__global {vector} *)p); else {self._vector_store('p', 'v', dtype)}"
        )
        own, argument = (f", int {FAR}", f", {FAR}") if self.far else ("", "")
        self.prelude.define(helper, "void", f"{vector} v, __global {memory_element(dtype)} *p{own}", body)
        return f"{helper}({value}, {_pointer(name, index)}{argument});"

    def first_load(self, name: str, index: str, count: int, dtype: DType) -> str:
        """The first `count` of a vector of consecutive elements; 0 in the other lanes, whose memory is not touched."""
        parts = []
        for start, width in _pieces(count):
            one = self.load("p", str(start), dtype, 1)
            scalar = f"-{one}" if dtype is dtypes.bool else one
            parts.append(scalar if width == 1 else self._vector_load(_pointer("p", str(start)), dtype, width))
        parts += ["0"] * (self.lanes - count)
        vector, helper = self.type(dtype, self.lanes), f"kf_load{count}_{dtype}"
        body = f"return ({vector})({', '.join(parts)});"
        self.prelude.define(helper, vector, f"__global const {memory_element(dtype)} *p", body)
        return f"{helper}({_pointer(name, index)})"

    def first_store(self, name: str, index: str, value: str, count: int, dtype: DType) -> str:
        """The statement that writes the first `count` lanes of a vector to consecutive elements."""
        lines = []
        for start, width in _pieces(count):
            lanes = "".join(f"{lane:x}" for lane in range(start, start + width))
            if width == 1:
                one = self.element_of("v", start, dtype)
                lines.append(self.store("p", str(start), one, dtype, 1))
            else:
                lines.append(self._vector_store(_pointer("p", str(start)), f"v.s{lanes}", dtype, width))
        vector, helper = self.type(dtype, self.lanes), f"kf_store{count}_{dtype}"
        self.prelude.define(helper, "void", f"{vector} v, __global {memory_element(dtype)} *p", " ".join(lines))
        return f"{helper}({value}, {_pointer(name, index)});"

    def bounded_load(self, param: Param, name: str, index: str, first: str, last: str) -> str:
        """The lanes first <= l < last of consecutive elements of an array; 0 elsewhere.

        A vector that lies inside the array is loaded whole; of others only the lanes asked for are touched.
        """
        dtype = param.dtype
        if first == "0" and last.isdigit():
            return self.first_load(name, index, int(last), dtype)
        n, vector = self.lanes, self.type(dtype, self.lanes)
        one = self.load("p", "at + l", dtype, 1)
        one = f"-{one}" if dtype is dtypes.bool else one
        body = f"if (first <= 0 && last >= {n}) return {self._vector_load('p + at', dtype)}; "
        ramp, mask = self.prelude.lanes_constant("int"), mask_element(dtype)
        inside = f"({ramp} >= first) & ({ramp} < last)"
        inside = inside if mask == "int" else f"convert_{mask}{n}({inside})"
        body += (
            f"if (at >= 0 && at + {n} <= size) return select(({vector})(0), {self._vector_load('p + at', dtype)}, "
            f"{inside}); "
            f"{element(dtype)} t[{n}]; kf_for (int l = 0; l < {n}; l++) t[l] = first <= l && l < last ? {one} : 0; "
            f"return vload{n}(0, t);"
        )
        helper = f"kf_load_{dtype}"
        pointer = f"__global const {memory_element(dtype)} *p"
        self.prelude.define(helper, vector, f"{pointer}, long at, long size, int first, int last", body)
        return f"{helper}({name}, {index}, {param.size}, {first}, {last})"

    def bounded_store(self, name: str, index: str, value: str, first: str, last: str, dtype: DType) -> str:
        """The statement that writes the lanes first <= l < last of a vector to consecutive elements."""
        if first == "0" and last.isdigit():
            return self.first_store(name, index, value, int(last), dtype)
        n, vector = self.lanes, self.type(dtype, self.lanes)
        one = self.store("p", "l", "(t[l] & 1)" if dtype is dtypes.bool else "t[l]", dtype, 1)
        body = (
            f"if (first <= 0 && last >= {n}) {{ {self._vector_store('p', 'v', dtype)} return; }} "
            f"{element(dtype)} t[{n}]; vstore{n}(v, 0, t); "
            f"kf_for (int l = max(first, 0); l < min(last, {n}); l++) {one}"
        )
        helper = f"kf_store_{dtype}"
        self.prelude.define(
            helper, "void", f"{vector} v, __global {memory_element(dtype)} *p, int first, int last", body
        )
        return f"{helper}({value}, {_pointer(name, index)}, {first}, {last});"


def _pieces(count: int) -> Iterator[tuple[int, int]]:
    """Starts and widths of the vectors that make up `count` elements, the widest first."""
    start, width = 0, 1 << max(0, count.bit_length() - 1)
    while start < count:
        while width > count - start:
            width //= 2
        yield start, width
        start += width


def _pointer(name: str, index: str) -> str:
    return name if index == "0" else f"{name} + {index}"
