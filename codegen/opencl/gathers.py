"""Loads whose lanes lie apart as OpenCL C: every other element of two vectors, else lane by lane.

Comes in: a load with a step from lane to lane, the printer of leaves it belongs to, what is known of its lanes.  Goes
out: its text; nothing is read but elements of the array.  Where lanes look up their places in an array, each reads its
place from there: to take it out of a vector takes longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codegen.index import Atom, Axis, Index, combination, dynamic
from codegen.ir import Apply, Const, Expr, Load
from codegen.opencl.text import literal
from codegen.ops import SCALAR_OPS

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves
    from codegen.opencl.masks import Conditions


def gathered(leaves: Leaves, e: Load, when: Conditions, mask: str | None, coords: Coords, lane: Axis) -> str:
    """The text of a load.

    mask  a variable that holds the conditions on lanes, if there are any
    """
    step = leaves.indices.stride(e.index, coords, lane)
    if _is_close(leaves, e, lane):
        return _out_of_a_vector(leaves, e, mask, coords, lane)
    if step not in (2, -2) or when.masks or not e.param.size:
        return _lane_by_lane(leaves, e, mask, step, coords, lane)
    first, last = leaves.masks.bounds(when) if mask is not None else ("0", str(leaves.lanes))
    count = min(int(last), leaves.lanes) if first == "0" and last.isdigit() and not when.scalars else 0
    if count > 1 and (step < 0 or count < leaves.lanes):
        return _some(leaves, e, coords, count, step)
    if step < 0:
        return _lane_by_lane(leaves, e, mask, step, coords, lane)
    text = _every_other(leaves, e, coords)
    if mask is None:
        return text
    inside = [f"{first} <= 0"] if first != "0" else []
    inside += [f"{last} >= {leaves.lanes}"] if last != str(leaves.lanes) else []
    return f"({' && '.join(inside)}) ? {text} : {_lane_by_lane(leaves, e, mask, step, coords, lane)}"


def _every_other(leaves: Leaves, e: Load, coords: Coords) -> str:
    """Lanes 2 apart: of the vector that begins and of the one that ends with an element asked for those that count."""
    near, far = (
        leaves.speller.load(
            leaves.source(e.param), leaves.indices.scalar(e.index + offset, coords), e.dtype, leaves.lanes
        )
        for offset in (0, leaves.lanes - 1)
    )
    return leaves.speller.every_other(near, far, e.dtype)


def _some(leaves: Leaves, e: Load, coords: Coords, count: int, step: int) -> str:
    """The first `count` lanes, 2 apart, the last of them first where the step is -2; 0 in the others.

    They lie in the vectors that begin and end with the outermost of them, which hold no element beyond.
    """
    span = 2 * count - 1
    size = min(leaves.lanes, 1 << span.bit_length() - 1)
    start = e.index + (step * (count - 1) if step < 0 else 0)
    names, kind = [], leaves.speller.type(e.dtype, size)
    for offset in (0, span - size):
        text = leaves.speller.load(leaves.source(e.param), leaves.indices.scalar(start + offset, coords), e.dtype, size)
        names.append(leaves.fresh("near"))
        leaves.lines.add(f"const {kind} {names[-1]} = {text};")
    parts = [(names[0], 2 * i) if 2 * i < size else (names[1], 2 * i - span + size) for i in range(count)]
    return leaves.speller.chosen(parts if step > 0 else parts[::-1], e.dtype)


def _is_close(leaves: Leaves, e: Load, lane: Axis) -> bool:
    """True where all lanes find their elements in one vector, in their order: quotients grow by less than lanes do."""
    moving = [(atom, k) for atom, k in e.index.terms if lane in atom.axes]
    (atom, k), lanes = moving[0], leaves.lanes
    if len(moving) > 1 or k < 1 or isinstance(atom, Axis) or atom.kind != "div" or e.dtype.bits != 32:
        return False
    inner = [(x, c) for x, c in atom.inner.terms if lane in x.axes]
    if len(inner) > 1 or inner[0][0] is not lane or inner[0][1] < 1 or e.param.dtype is not e.dtype:
        return False
    return e.param.size >= lanes and k * ((lanes - 1) * inner[0][1] // atom.by + 1) < lanes


def _out_of_a_vector(leaves: Leaves, e: Load, mask: str | None, coords: Coords, lane: Axis) -> str:
    """Lanes whose elements lie within one vector: it begins with the first one's, if there is as much behind."""
    base, lanes, dtype = leaves.indices.base, leaves.lanes, e.dtype
    start, found = leaves.fresh("start"), leaves.fresh("near")
    first = f"clamp({leaves.indices.scalar(e.index, coords)}, ({base})0, ({base}){e.param.size - lanes})"
    leaves.lines.add(f"const {base} {start} = {first};")
    leaves.requests.ask(leaves, e, coords, lane, start)
    near = leaves.speller.load(leaves.source(e.param), start, dtype, lanes)
    places = f"convert_uint{lanes}({leaves.indices.vector(e.index, coords, lane)} - {start})"
    text = f"shuffle({near}, {places})"
    if mask is None:
        return text
    leaves.lines.add(f"const {leaves.speller.type(dtype, lanes)} {found} = {text};")
    operands = [(x, lanes) for x in (mask, found, leaves.speller.splat(literal(0, dtype), dtype))]
    return leaves.speller.operation(SCALAR_OPS["where"], dtype, operands, lanes)


def _lane_by_lane(leaves: Leaves, e: Load, mask: str | None, step: int | None, coords: Coords, lane: Axis) -> str:
    dtype, name, speller = e.dtype, leaves.source(e.param), leaves.speller
    leaves.requests.ask(leaves, e, coords, lane, "")

    def elements(indices: list[str]) -> str:
        return speller.gathered([speller.load(name, index, dtype, 1) for index in indices], dtype)

    stored = _stored_indices(leaves, e.index, coords, lane)
    if mask is None or not e.param.size:
        if stored is not None and not stored.condition:
            return elements(stored.texts)
        return elements(leaves.lane_indices(e.index, step, coords, lane))
    # a branch per lane costs more than reading an element that is surely there where nothing may be read
    found = elements(_safe_indices(leaves, e.index, mask, coords, lane))
    operands = [(text, leaves.lanes) for text in (mask, found, speller.splat(literal(0, dtype), dtype))]
    chosen = speller.operation(SCALAR_OPS["where"], dtype, operands, leaves.lanes)
    if stored is None:
        return chosen
    usual = " && ".join(f"all({x})" for x in (mask, stored.condition) if x)
    return f"({usual}) ? {elements(stored.texts)} : {chosen}"


class _Stored(NamedTuple):
    """The index of every lane by way of an array that holds what is looked up.

    condition  a mask of the lanes for which it is so; empty where it always is
    """

    texts: list[str]
    condition: str


def _stored_indices(leaves: Leaves, index: Index, coords: Coords, lane: Axis) -> _Stored | None:
    """The lanes' indices where what they look up lies side by side in an array and is, as a rule, used as it is."""
    moving = [(atom, k) for atom, k in index.terms if lane in atom.axes]
    atom, k = moving[0]
    if len(moving) > 1 or not isinstance(atom, Atom) or not isinstance(atom.of, Expr):
        return None
    e = atom.of
    source = as_stored(e)
    if source is None or leaves.indices.stride(source.index, coords, lane) != 1:
        return None
    when = leaves.masks.conditions(source.guards, source.axes, coords, lane)
    if source in leaves.env or when.never or when.scalars or when.by_lane:
        return None
    condition, dtype = "", source.dtype
    if source is not e:
        value = leaves.value(source, coords, lane)
        condition = leaves.speller.operation(SCALAR_OPS["le"], dtype, [(literal(0, dtype), 1), value], leaves.lanes)
    first = leaves.indices.scalar(source.index, coords)
    rest = leaves.indices.scalar(combination([(index, 1), (dynamic(e, atom.by), -k)]), coords)
    texts = []
    for i in range(leaves.lanes):
        place = leaves.speller.load(leaves.source(source.param), f"{first} + {i}", dtype, 1)
        texts.append(f"{rest} + ({leaves.indices.base}){place}{'' if k == 1 else f' * {k}'}")
    return _Stored(texts, condition)


def as_stored(e: Expr) -> Load | None:
    """The load of integers whose element an integer expression is equal to, if that element is not negative.

    where(x[i] < 0, x[i] + n, x[i])  ->  x[i]
    """
    while isinstance(e, Apply):
        if e.op.name == "cast" and e.args[0].dtype.is_int:
            e = e.args[0]
        elif e.op.name == "where" and (kept := _if_not_negative(e.args[0])) is not None:
            e = e.args[1] if kept else e.args[2]
        else:
            return None
    return e if isinstance(e, Load) and e.dtype.is_int else None


def _if_not_negative(condition: Expr) -> bool | None:
    """What a comparison with 0, or for a difference from a number below, comes to if what is compared is at least 0."""
    if not isinstance(condition, Apply) or len(condition.args) != 2 or as_stored(condition.args[0]) is None:
        return None
    limit = condition.args[1]
    if not isinstance(limit, Const):
        return None
    if condition.op.name == "lt" and limit.value <= 0:
        return False
    return True if condition.op.name == "ne" and limit.value < 0 else None


def _safe_indices(leaves: Leaves, index: Index, mask: str, coords: Coords, lane: Axis) -> list[str]:
    """The index of every lane the mask has, 0 of the others."""
    base, name, lanes = leaves.indices.base, leaves.fresh("safe"), leaves.lanes
    mask = mask if base == "int" else f"convert_{base}{lanes}({mask})"
    text = f"select(({base}{lanes})(0), {leaves.indices.vector(index, coords, lane)}, {mask})"
    leaves.lines.add(f"const {base}{lanes} {name} = {text};")
    return [f"{name}.s{i:x}" for i in range(lanes)]
