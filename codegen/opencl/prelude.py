"""The helper functions of OpenCL kernels: what the language's own operators do not mean, as text.

Comes in: requests (a helper's name, an element type, scalar or vector).  Goes out: the definitions of exactly those
helpers.
All helpers are overloaded functions whose names begin with `kf_`.

Vectors of bool are masks: int vectors of 0 and -1.  Scalars of bool are int 0 and 1.  16-bit floats are held as float.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from codegen import threefry
from codegen.dtypes import DType, dtypes
from codegen.opencl.functions import function_body

_BASES: Final[dict[str, str]] = {
    "bool": "int", "int8": "char", "uint8": "uchar", "int16": "short", "uint16": "ushort", "int32": "int",
    "uint32": "uint", "int64": "long", "uint64": "ulong", "float16": "float", "bfloat16": "float",
    "float32": "float", "float64": "double",
}  # fmt: skip
_MEMORY: Final[dict[str, str]] = {**_BASES, "bool": "uchar", "float16": "half", "bfloat16": "ushort"}
_MASKS: Final[dict[int, str]] = {8: "char", 16: "short", 32: "int", 64: "long"}

# name -> operand names, body for scalars, body for vectors.  T is the operands' type, U its unsigned form, S the signed
# integers of its width, V its uints, D doubles, C the type integer arithmetic on it is done in without overflow; W the
# bits of an element.
_SAME: Final[dict[tuple[str, str], tuple[str, str, str]]] = {
    ("max", "f"): ("a, b", "a > b || a != a ? a : b", "select(select(b, a, a > b), a, a != a)"),
    ("min", "f"): ("a, b", "a < b || a != a ? a : b", "select(select(b, a, a < b), a, a != a)"),
    ("max", "i"): ("a, b", "max(a, b)", "max(a, b)"),
    ("min", "i"): ("a, b", "min(a, b)", "min(a, b)"),
    ("max", "b"): ("a, b", "a | b", "a | b"),
    ("min", "b"): ("a, b", "a & b", "a & b"),
    ("add", "i"): ("a, b", "(T)((C)a + (C)b)", "as_T(as_U(a) + as_U(b))"),
    ("sub", "i"): ("a, b", "(T)((C)a - (C)b)", "as_T(as_U(a) - as_U(b))"),
    ("mul", "i"): ("a, b", "(T)((C)a * (C)b)", "as_T(as_U(a) * as_U(b))"),
    ("not", "i"): ("a", "(T)~a", "~a"),
    ("neg", "i"): ("a", "(T)(0 - (C)a)", "as_T((U)(0) - as_U(a))"),
    ("abs", "f"): ("a", "fabs(a)", "fabs(a)"),
    ("abs", "i"): ("a", "(T)abs(a)", "as_T(abs(a))"),
    ("not", "b"): ("a", "!a", "~a"),
    ("lt", "b"): ("a, b", "!a & b", "~a & b"),
    ("le", "b"): ("a, b", "!a | b", "~a | b"),
    ("shl", "i"): (
        "a, b",
        "(U)b < W ? (T)((C)a << b) : (T)0",
        "select(as_T(as_U(a) << as_U(b)), (T)(0), as_U(b) >= (U)(W))",
    ),
    ("shr", "u"): ("a, b", "b < W ? (T)(a >> b) : (T)0", "select(a >> b, (T)(0), b >= (T)(W))"),
    ("shr", "i"): ("a, b", "(T)(a >> ((U)b < W ? b : W - 1))", "a >> as_T(min(as_U(b), (U)(W - 1)))"),
    ("rsqrt", "f"): ("a", "(T)1 / sqrt(a)", "(T)(1) / sqrt(a)"),
    ("sin", "f"): ("a", "sin(a)", "sin(a)"),
    ("cos", "f"): ("a", "cos(a)", "cos(a)"),
    ("erf", "f"): ("a", "erf(a)", "erf(a)"),
}
# The same for helpers of several statements; they end in `return`.
_LONG: Final[dict[tuple[str, str], tuple[str, str, str]]] = {
    ("floordiv", "u"): (
        "a, b",
        "return b == 0 ? (T)0 : (T)(a / b);",
        "return select(a / select(b, (T)(1), b == (T)(0)), (T)(0), b == (T)(0));",
    ),
    ("mod", "u"): (
        "a, b",
        "return b == 0 ? (T)0 : (T)(a % b);",
        "return select(a % select(b, (T)(1), b == (T)(0)), (T)(0), b == (T)(0));",
    ),
    ("floordiv", "i"): (
        "a, b",
        "if (b == 0) return 0; if (b == -1) return (T)(0 - (C)a); "
        "const T q = a / b; return q * b != a && (a ^ b) < 0 ? q - 1 : q;",
        "const T d = select(b, (T)(1), (b == (T)(0)) | (b == (T)(-1))); const T q = a / d; "
        "const T down = q + (((q * d) != a) & ((a ^ d) < (T)(0))); "
        "return select(select(down, as_T((U)(0) - as_U(a)), b == (T)(-1)), (T)(0), b == (T)(0));",
    ),
    ("mod", "i"): (
        "a, b",
        "if (b == 0 || b == -1) return 0; const T r = a % b; return r != 0 && (r ^ b) < 0 ? r + b : r;",
        "const T d = select(b, (T)(1), (b == (T)(0)) | (b == (T)(-1))); const T r = a % d; "
        "return r + (d & ((r != (T)(0)) & ((r ^ d) < (T)(0))));",
    ),
    ("mod", "f"): (
        "a, b",
        "const T r = fmod(a, b); return r == 0 ? copysign(r, b) : (r < 0) != (b < 0) ? r + b : r;",
        "const T r = fmod(a, b); const T up = select(r, r + b, (r < (T)(0)) ^ (b < (T)(0))); "
        "return select(up, copysign(r, b), r == (T)(0));",
    ),
    ("logaddexp", "f"): (
        "a, b",
        "return a == b ? a + (T)0.6931471805599453 : fmax(a, b) + log1p(exp(-fabs(a - b)));",
        "return select(fmax(a, b) + log1p(exp(-fabs(a - b))), a + (T)(0.6931471805599453), a == b);",
    ),
    ("random", "u"): (threefry.OPERANDS, threefry.opencl("x"), threefry.opencl("x")),
    ("random2", "u"): (threefry.OPERANDS, threefry.opencl("y"), threefry.opencl("y")),
}
# Between 16-bit floats, their bits and the floats that hold them.  F is the float type, H ushort, I uint.
_HALF_TEXT: Final = {
    "round_half": (
        "F", "F",
        "ushort t[N]; vstore_halfV_rte(a, 0, (__private half *)t); return vload_halfV(0, (__private half *)t);",
    ),
    "half_bits": (
        "F", "H",
        "ushort t[N]; vstore_halfV_rte(a, 0, (__private half *)t); return LOAD(0, t);",
    ),
    "half_value": ("H", "F", "ushort t[N]; STORE(a, 0, t); return vload_halfV(0, (__private half *)t);"),
    "bfloat_bits": (
        "F", "H",
        "const I x = as_I(a); return SELECT;",
    ),
    "bfloat_value": ("H", "F", "return as_F(convert_I(a) << 16);"),
}  # fmt: skip


ITEM: Final = "kf_item"  # the number of the work-item in its group


def element(dtype: DType) -> str:
    """The C type values of dtype are computed in."""
    return _BASES[dtype.name]


def memory_element(dtype: DType) -> str:
    """The C type elements of dtype have in memory."""
    return _MEMORY[dtype.name]


def private_element(dtype: DType) -> str:
    """The C type elements of dtype have in a private array: 16-bit floats stay widened."""
    return "uchar" if dtype is dtypes.bool else _BASES[dtype.name]


def mask_element(dtype: DType) -> str:
    """The C element type of a comparison of vectors of dtype."""
    return _MASKS[dtype.arithmetic.bits] if dtype is not dtypes.bool else "int"


def helper_name(name: str, dtype: DType) -> str:
    """The helper's name; bool has its own, since its C type is int's too."""
    return f"kf_{name}_bool" if dtype is dtypes.bool else f"kf_{name}"


class Prelude:
    """Collects the helpers a kernel asks for; `text` defines each once, in the order of first use.

    wide     what a vector type's name ends with; nothing where each work-item holds a lane, which then is a scalar
    aligned  vectors of float16 are read and written as their bits, for the driver takes others to be aligned
    """

    def __init__(self, lanes: int, by_lane: tuple[str, ...] = (), items: bool = False, aligned: bool = False) -> None:
        self.lanes, self.by_lane, self.wide, self.aligned = lanes, by_lane, "" if items else str(lanes), aligned
        self.definitions: dict[str, str] = {}

    @property
    def text(self) -> str:
        return "".join(definition + "\n" for definition in self.definitions.values())

    def vector(self, base: str, width: int | None = None) -> str:
        """The vector type of an element type; the element type itself for width 1."""
        width = self.lanes if width is None else width
        return base if width == 1 else f"{base}{width}"

    def define(self, name: str, result: str, operands: str, body: str, inline: bool = True) -> None:
        """Define one overload; asking again for the same does nothing."""
        kind = "inline" if inline else "__attribute__((noinline))"
        signature = f"static {kind} {result} __attribute__((overloadable)) {name}({operands})"
        self.definitions.setdefault(signature, f"{signature} {{ {body} }}")

    def declare(self, line: str) -> None:
        """A type or a function that is defined elsewhere; asking again for the same does nothing."""
        self.definitions.setdefault(line, line)

    def bound(self, name: str, dtype: DType) -> str:
        """Define max or min of an integer and a number that is written out; its name.

        Such pairs keep an index inside of an array; they make no chains, and a call of each would cost more than they.
        """
        t = element(dtype)
        self.define(f"kf_{name}_number", t, f"{t} a, {t} b", f"return {name}(a, b);")
        return f"kf_{name}_number"

    def scalar_op(self, name: str, dtype: DType, width: int) -> bool:
        """Define the helper for an operation on values of dtype; False when the language's own operator will do."""
        kind = dtype.kind
        entry = _SAME.get((name, kind)) or _LONG.get((name, kind)) or (_SAME.get((name, "i")) if kind == "u" else None)
        if entry is None or (name == "abs" and kind == "u"):
            return False
        if width > 1 and kind == "u" and name in ("add", "sub", "mul"):
            return False
        operands, scalar, vector = entry
        body = scalar if width == 1 else vector
        body = function_body(name, dtype.arithmetic, width) or body
        if "return" not in body:
            body = f"return {body};"
        t = self.vector(element(dtype), width)
        unsigned = self.vector(f"u{_MASKS[dtype.bits]}" if dtype.is_int else "uint", width)
        mask = self.vector(_MASKS[dtype.arithmetic.bits], width)
        words = self.vector("uint", width)
        wide = "ulong" if dtype.bits == 64 else "uint"
        meanings = {"T": t, "U": unsigned, "S": mask, "V": words, "C": wide, "W": str(dtype.bits)}
        meanings["D"] = self.vector("double", width)
        for symbol, meaning in meanings.items():
            body = _replace(body, symbol, meaning)
        parameters = ", ".join(f"{t} {x}" for x in operands.split(", "))
        # One CPU compiler crashes on, or gets wrong, long scalar chains of max and min it can see into.
        seen_through = not (name in ("max", "min") and width == 1 and dtype.is_int)
        self.define(helper_name(name, dtype), t, parameters, body, seen_through)
        return True

    def lanewise(self, name: str, dtype: DType, width: int, call: Callable[[list[str]], str], operands: int) -> str:
        """Define the vector form of an operation that calls its scalar form for every lane; its name."""
        t, names, helper = self.vector(element(dtype), width), "abc"[:operands], f"{helper_name(name, dtype)}_lanes"
        lanes = ", ".join(call([f"{x}.s{lane:x}" for x in names]) for lane in range(width))
        self.define(helper, t, ", ".join(f"{t} {x}" for x in names), f"return ({t})({lanes});")
        return helper

    def fold(self, op: str, dtype: DType, combine: Callable[[str, str, int], str]) -> None:
        """Define the fold of a vector's lanes to a scalar; combine spells the operation on two operands of a width.

        Extrema of floats look for nan once, so that the steps need not.  Sums of integers begin with neighbours: where
        one compiler sees halves added, it takes products of bytes of different signs for those of an instruction that
        does not multiply so.
        """
        base, steps, value, width = element(dtype), list[str](), "v", self.lanes
        if op in ("max", "min") and dtype.is_float:
            steps.append("if (any(v != v)) return NAN;")
            combine = _greater if op == "max" else _less
        if op == "add" and not dtype.is_float and width > 2:
            width //= 2
            steps.append(f"const {base}{width} pairs = {combine('v.even', 'v.odd', width)};")
            value = "pairs"
        while width > 2:
            width //= 2
            name = f"h{width}"
            steps.append(f"const {base}{width} {name} = {combine(value + '.lo', value + '.hi', width)};")
            value = name
        last = combine(value + ".lo", value + ".hi", 1)
        if dtype is dtypes.bool:
            last = f"({last}) & 1"
        body = " ".join([*steps, f"return {last};"])
        self.define(helper_name(f"fold_{op}", dtype), base, f"{base}{self.lanes} v", body)

    def prefixes(self, op: str, dtype: DType, identity: str, combine: Callable[[str, str], str]) -> None:
        """Define the scan of a vector's lanes: in log2 steps each is combined with the one 1, 2, 4, ... before."""
        t, steps, value, distance = (
            f"{element(dtype)}{self.lanes}",
            [f"const {element(dtype)}{self.lanes} e = {identity};"],
            "v",
            1,
        )
        while distance < self.lanes:
            moved = ", ".join(f"{value}.s{i - distance:x}" if i >= distance else f"e.s{i:x}" for i in range(self.lanes))
            steps.append(f"const {t} m{distance} = ({t})({moved}), p{distance} = {combine(f'm{distance}', value)};")
            value, distance = f"p{distance}", 2 * distance
        self.define(helper_name(f"scan_{op}", dtype), t, f"{t} v", " ".join([*steps, f"return {value};"]))

    def narrow(self, name: str, width: int) -> str:
        """Define a helper between 16-bit floats, their bits and the float values that stand for them."""
        source, result, body = _HALF_TEXT[name]
        v = "" if width == 1 else str(width)
        if width == 1:
            select = "a != a ? (ushort)0x7fc0 : (ushort)((x + 0x7fffu + ((x >> 16) & 1u)) >> 16)"
            body = body.replace("LOAD(0, t)", "t[0]").replace("STORE(a, 0, t)", "t[0] = a")
        else:
            select = (
                f"select(convert_ushort{v}((x + 0x7fffu + ((x >> 16) & 1u)) >> 16), "
                f"(ushort{v})(0x7fc0), convert_short{v}(a != a))"
            )
            body = body.replace("LOAD", f"vload{v}").replace("STORE", f"vstore{v}")
        body = body.replace("SELECT", select).replace("halfV", f"half{v}").replace("t[N]", f"t[{width}]")
        types = {"F": f"float{v}", "H": f"ushort{v}", "I": f"uint{v}"}
        for symbol, meaning in types.items():
            body = _replace(body, symbol, meaning)
        self.define(f"kf_{name}", types[result], f"{types[source]} a", body)
        return f"kf_{name}"

    def halves(self, width: int) -> str:
        """Define how a vector of float16 is read, and written, wherever it lies; the name of both."""
        name, bits, value = f"kf_halves{width}", self.narrow("half_bits", width), self.narrow("half_value", width)
        loaded = f"{value}(vload{width}(0, (__global const ushort *)p))"
        self.define(name, f"float{width}", "__global const half *p", f"return {loaded};")
        stored = f"vstore{width}({bits}(v), 0, (__global ushort *)p)"
        self.define(name, "void", f"__global half *p, float{width} v", f"{stored};")
        return name

    def lanes_constant(self, base: str) -> str:
        """Define the vector 0, 1, 2, ... and return its name; where each work-item holds a lane, the lane's number."""
        if not self.wide:
            return ITEM if base == "int" else f"({base}){ITEM}"
        t = f"{base}{self.lanes}"
        name = f"kf_lanes_{base}"
        numbers = ", ".join(str(i) for i in range(self.lanes))
        self.definitions.setdefault(name, f"__constant {t} {name} = ({t})({numbers});")
        return name

    def transpose(self, base: str, rows: int) -> str:
        """Define a function that turns vectors, a power of two of them, in place by rounds of interleaving: what
        they hold at one lane becomes a run of elements.  Its name."""
        n, t = self.lanes, f"{base}{self.lanes}"
        for half, name in enumerate(("kf_low", "kf_high")):
            lanes = range(half * n // 2, (half + 1) * n // 2)
            mixed = ", ".join(f"a.s{x:x}, b.s{x:x}" for x in lanes)
            self.define(name, t, f"{t} a, {t} b", f"return ({t})({mixed});")
        vectors = [f"v[{i}]" for i in range(rows)]
        steps: list[str] = []
        for step in range(rows.bit_length() - 1):
            new = [f"r{step}_{i}" for i in range(rows)]
            for i, (a, b) in enumerate(zip(vectors, vectors[rows // 2 :])):
                steps.append(f"  const {t} {new[2 * i]} = kf_low({a}, {b}), {new[2 * i + 1]} = kf_high({a}, {b});")
            vectors = new
        steps += [f"  v[{i}] = {vector};" for i, vector in enumerate(vectors)]
        function = f"kf_transpose{rows if rows < n else ''}"
        self.define(function, "void", f"{t} *v", "\n" + "\n".join(steps) + "\n")
        return function


def _greater(a: str, b: str, width: int) -> str:
    return f"select({b}, {a}, {a} > {b})" if width > 1 else f"{a} > {b} ? {a} : {b}"


def _less(a: str, b: str, width: int) -> str:
    return f"select({b}, {a}, {a} < {b})" if width > 1 else f"{a} < {b} ? {a} : {b}"


@lru_cache(maxsize=1 << 12)
def _replace(text: str, symbol: str, meaning: str) -> str:
    """A one-letter symbol replaced where it stands alone or after `as_` and `convert_`."""
    out: list[str] = []
    for i, c in enumerate(text):
        before = text[i - 1] if i else " "
        after = text[i + 1] if i + 1 < len(text) else " "
        alone = not (before.isalnum() or before == "_") or text[max(0, i - 3) : i] == "as_"
        alone = alone or text[max(0, i - 8) : i] == "convert_"
        out.append(meaning if c == symbol and alone and not (after.isalnum() or after == "_") else c)
    return "".join(out)
