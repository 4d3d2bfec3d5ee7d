"""Contractions on the matrix unit: when a reduce at some place is a `tl.dot`, and its text.

Comes in: a reduce and the blocks at its place.  Goes out: `Dot`, or None when the tile is no product of two matrices.
Nothing here asks what the kernel computes: a sum of a product is a dot when, of the axes that are dimensions of its
tile, one is bound and in both factors and each factor has one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce as fold
from typing import Final

from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.ir import Apply, Const, Expr, Reduce, apply
from codegen.nodes import Environment
from codegen.triton.scope import Axes, Value
from codegen.triton.tiles import Blocks, Rank

_LEAST: Final = 16  # the least block of a dot along any axis; 32 along the bound one for 8-bit operands


Ranked = tuple[tuple[Expr, Rank], tuple[Expr, Rank]]


@dataclass(frozen=True)
class Dot:
    """A reduce done as left[rows, inner] . right[inner, columns].

    axes      rows and columns
    operands  what to evaluate for each factor, with the order of axes to evaluate it in; 16-bit floats and int8 as they
              are in memory
    narrow    the 16-bit type of the factors that have one; None when both are of the reduce's type
    mixed     the side that is not narrow when the other is, or None
    """

    reduce: Reduce
    axes: Axes
    operands: Ranked
    narrow: DType | None = None
    mixed: int | None = None


def find_dot(r: Reduce, blocks: Blocks, env: Environment) -> Dot | None:
    """The dot that computes r's tile, or None."""
    if r.op.name != "add" or r.arg in env:
        return None
    bound = blocks.order(r.bound)
    free = blocks.order(r.axes)
    if len(bound) != 1 or len(free) != 2:
        return None
    sides = _sides(_factors(r.arg, env), bound[0], free, env)
    if sides is None or any(blocks.block(a) < _LEAST for a in (*bound, *free)):
        return None
    ranks: tuple[Rank, Rank] = (
        {**blocks.rank, free[0]: -2, bound[0]: -1},
        {**blocks.rank, bound[0]: -2, free[1]: -1},
    )
    return _typed(r, free, sides, ranks, env, blocks.block(bound[0]))


def dot_text(dot: Dot, left: Value, right: Value, into: str, options: Mapping[str, int | str]) -> str:
    """The text of into + left . right; with an empty `into` that of left . right."""
    precise = str(options.get("precision", "tf32x3"))
    rounded = options.get("narrow") == "round"
    is_bfloat = dot.narrow is dtypes.bfloat16
    texts = [left.text, right.text]
    if dot.mixed is not None and is_bfloat:
        if not rounded:
            start = into or f"tl.zeros([{left.operand}.shape[0], {right.operand}.shape[1]], tl.float32)"
            return f"kf_dot_split_{'right' if dot.mixed else 'left'}({left.text}, {right.text}, {start})"
        texts[dot.mixed] = f"{(left, right)[dot.mixed].operand}.to(tl.bfloat16)"
    elif dot.mixed is not None and rounded and precise == "tf32x3":
        precise = "tf32"
    parts = [*texts, *([into] if into else [])]
    if dot.narrow is dtypes.int8:
        parts.append("out_dtype=tl.int32")
    elif dot.reduce.dtype is dtypes.float32 and (dot.narrow is None or (dot.mixed is not None and not is_bfloat)):
        parts.append(f'input_precision="{precise}"')
    return f"tl.dot({', '.join(parts)})"


def _factors(e: Expr, env: Environment) -> list[Expr]:
    """The factors of a product of any depth; of a quotient, what is divided and the divisor's reciprocal."""
    found, pending = [], [e]
    while pending:
        x = pending.pop()
        if isinstance(x, Apply) and x.op.name == "mul" and x not in env:
            pending.extend(reversed(x.args))
        elif isinstance(x, Apply) and x.op.name == "div" and x not in env and not isinstance(x.args[0], Const):
            pending.extend((apply("div", Const(1.0, x.dtype), x.args[1]), x.args[0]))
        else:
            found.append(x)
    return found


def _sides(factors: Sequence[Expr], bound: Axis, free: Axes, env: Environment) -> tuple[Expr, Expr] | None:
    """The factors multiplied into two: those along the first free axis and those along the second.

    Those along neither go to a side that is computed anyway.
    """
    groups: tuple[list[Expr], list[Expr]] = ([], [])
    neutral = []
    for factor in factors:
        own = [a in factor.axes for a in free]
        if all(own):
            return None
        if any(own):
            groups[own.index(True)].append(factor)
        else:
            neutral.append(factor)
    is_stored = [len(group) == 1 and _storage(group[0], env) is not None for group in groups]
    groups[is_stored == [True, False]].extend(neutral)
    if not all(any(bound in x.axes for x in group) for group in groups):
        return None
    left, right = (fold(lambda a, b: apply("mul", a, b), group) for group in groups)
    return left, right


def _typed(
    r: Reduce, free: Axes, sides: tuple[Expr, Expr], ranks: tuple[Rank, Rank], env: Environment, depth: int
) -> Dot | None:
    """The dot with its operands in the types the matrix unit takes; None for integers it does not."""
    left, right = sides
    stored = (_storage(left, env), _storage(right, env))
    types = [None if e is None else e.dtype for e in stored]
    if r.dtype is dtypes.int32 and types == [dtypes.int8, dtypes.int8] and depth >= 2 * _LEAST:
        return Dot(r, free, _ranked(stored, sides, ranks), dtypes.int8)
    if not r.dtype.is_float:
        return None
    narrow = [t is not None and t.is_narrow_float and r.dtype is dtypes.float32 for t in types]
    if not any(narrow) or (all(narrow) and types[0] is not types[1]):
        return Dot(r, free, _ranked((None, None), sides, ranks))
    kind = types[narrow.index(True)]
    if all(narrow):
        return Dot(r, free, _ranked(stored, sides, ranks), kind)
    kept = stored if kind is dtypes.bfloat16 else (None, None)
    kept = (kept[0] if narrow[0] else None, kept[1] if narrow[1] else None)
    return Dot(r, free, _ranked(kept, sides, ranks), kind, narrow.index(False))


def _ranked(stored: tuple[Expr | None, Expr | None], sides: tuple[Expr, Expr], ranks: tuple[Rank, Rank]) -> Ranked:
    """Each side as it is stored, where that is given, with its order of axes."""
    return (stored[0] or sides[0], ranks[0]), (stored[1] or sides[1], ranks[1])


def _storage(e: Expr, env: Environment) -> Expr | None:
    """The 8- or 16-bit value that e widens without loss, or None."""
    if isinstance(e, Apply) and e.op.name == "cast" and e not in env:
        source = e.args[0]
        if source.dtype.is_narrow_float or source.dtype is dtypes.int8:
            return source
    return None
