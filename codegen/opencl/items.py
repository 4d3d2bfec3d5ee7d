"""Groups of many work-items, for GPUs: each holds one lane of what a processor keeps in a vector register.

Comes in: what the other printing modules ask of vectors.  Goes out: text in which a vector is a scalar that differs
from item to item, and everything that crosses lanes goes through the group's local memory.  Control flow is the same
for all items of a group, so a barrier may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Final

from codegen.dtypes import DType, dtypes
from codegen.index import Axis, separated
from codegen.ir import Expr, Load, Store
from codegen.nodes import (
    Advance,
    Box,
    Declare,
    Finish,
    Keep,
    Node,
    Pack,
    Scale,
    Settle,
    Shift,
    Update,
    WriteBack,
)
from codegen.opencl.boxes import Boxes, Local, lane_steps
from codegen.opencl.prelude import ITEM, element, helper_name
from codegen.opencl.text import Speller, literal
from codegen.ops import ScalarOp
from codegen.schedule import Step

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves
    from codegen.opencl.masks import Conditions

BARRIER: Final = "barrier(CLK_LOCAL_MEM_FENCE);"
GLOBAL_BARRIER: Final = "barrier(CLK_GLOBAL_MEM_FENCE);"
SHARED: Final = "kf_shared"  # an element for each item, for what crosses lanes


class ItemSpeller(Speller):
    """Spells operations where a vector is a scalar of each item: widths only tell what differs from item to item."""

    def type(self, dtype: DType, width: int) -> str:
        return element(dtype)

    def splat(self, text: str, dtype: DType) -> str:
        return text

    def operation(self, op: ScalarOp, dtype: DType, args: list[tuple[str, int]], width: int) -> str:
        return super().operation(op, dtype, [(text, 1) for text, _ in args], 1)

    def cast(self, text: str, source: DType, to: DType, width: int) -> str:
        return super().cast(text, source, to, 1)

    def bitcast(self, text: str, source: DType, to: DType, width: int) -> str:
        return super().bitcast(text, source, to, 1)

    def load(self, name: str, index: str, dtype: DType, width: int) -> str:
        return super().load(name, index, dtype, 1)

    def store(self, name: str, index: str, value: str, dtype: DType, width: int) -> str:
        return super().store(name, index, value, dtype, 1)

    def element_of(self, text: str, lane: int, dtype: DType) -> str:
        """What the item of a lane holds, for all."""
        t = element(dtype)
        body = f"{BARRIER} if ((int)get_local_id(0) == lane) *s = v; {BARRIER} return *s;"
        self.prelude.define("kf_from", t, f"{t} v, int lane, __local {t} *s", body)
        return f"kf_from({text}, {lane}, {self.shared(dtype)})"

    def gathered(self, texts: list[str], dtype: DType) -> str:
        """Each item takes the text of its lane; all are evaluated by all, as barriers may be among them."""
        t = element(dtype)
        self.prelude.define("kf_pick", t, f"int lane, {t} v, {t} w", "return (int)get_local_id(0) == lane ? v : w;")
        found = texts[-1]
        for lane, text in reversed(list(enumerate(texts[:-1]))):
            found = f"kf_pick({lane}, {text}, {found})"
        return found

    def fold(self, name: str, dtype: DType, text: str) -> str:
        """The lanes combined, by halves."""
        t, helper = element(dtype), f"{helper_name(f'fold_{name}', dtype)}_{self.lanes}"
        steps = [f"const int i = get_local_id(0); {BARRIER} s[i] = v; {BARRIER}"]
        for half in _distances(self.lanes)[::-1]:
            step = self.combine(name, dtype, "s[i]", f"s[i + {half}]", 1)
            steps.append(f"if (i < {half}) s[i] = {step}; {BARRIER}")
        self.prelude.define(helper, t, f"{t} v, __local {t} *s", " ".join([*steps, "return *s;"]))
        return f"{helper}({text}, {self.shared(dtype)})"

    def prefixes(self, name: str, dtype: DType, identity: int | float | bool, text: str) -> str:
        """The lanes, each combined with all before it, in log2 steps."""
        t, helper = element(dtype), f"{helper_name(f'scan_{name}', dtype)}_{self.lanes}"
        steps = [f"const int i = get_local_id(0); {BARRIER} s[i] = v; {BARRIER}"]
        for distance in _distances(self.lanes):
            steps.append(f"const {t} m{distance} = i < {distance} ? {literal(identity, dtype)} : s[i - {distance}];")
            step = self.combine(name, dtype, f"m{distance}", "v", 1)
            steps.append(f"v = {step}; {BARRIER} s[i] = v; {BARRIER}")
        self.prelude.define(helper, t, f"{t} v, __local {t} *s", " ".join([*steps, "return v;"]))
        return f"{helper}({text}, {self.shared(dtype)})"

    def shared(self, dtype: DType) -> str:
        return f"(__local {element(dtype)} *){SHARED}"


def _distances(lanes: int) -> list[int]:
    """1, 2, 4, ... below the number of lanes, a power of two."""
    return [1 << step for step in range(lanes.bit_length() - 1)]


class ItemBoxes(Boxes):
    """Accesses to boxes where lanes are items: what items exchange lies in local memory.

    declared  the declarations of boxes in local memory, which C wants at the head of the kernel
    """

    def __init__(self, speller: Speller, vector: tuple[Axis, ...]) -> None:
        super().__init__(speller, vector)
        self.declared: dict[str, str] = {}

    def is_shared(self, box: Box) -> bool:
        """True for an array in local memory; of others each item has its own, and all are the same."""
        return box.array and (box.layout is not None or any(box.tile.get(a, 1) > 1 for a in self.vector))

    def array(self, box: Box) -> str:
        text = super().array(box)
        if not self.is_shared(box):
            return text
        self.declared[box.name] = f"__local {text}"
        return ""

    def passes(self, box: Box) -> tuple[str, int, int]:
        return (ITEM, self.lanes, 1) if self.is_shared(box) else ("0", 1, 1)

    def halves(self, box: Box) -> str:
        return f"((__local const half *){box.name})" if box.of.dtype is dtypes.float16 else box.name

    def read_vector(self, box: Box, at: Mapping[Axis, Local], lane: Axis) -> str:
        return self.read_element(box, self._own(at, lane_steps(box, lane)))

    def write(self, box: Box, at: Mapping[Axis, Local], value: str, width: int, lane: Axis | None) -> list[str]:
        if lane is not None:
            at = self._own(at, {lane: 1})
        place = f"{box.name}[{self.address(box, at)}]"
        if lane is not None or not self.is_shared(box):
            return [f"{place} = {value};"]
        # all write the same, which may be made of what stands there: none may read what another has written already
        held = f"{{ const {element(self.written(box))} held = {value};"
        return [held, f"  {BARRIER}", f"  {place} = held;", f"  {BARRIER}", "}"]

    def _own(self, at: Mapping[Axis, Local], steps: Mapping[Axis, int]) -> dict[Axis, Local]:
        """The coordinates of an item's own lane."""
        found = dict(at)
        for axis, step in steps.items():
            moved = ITEM if step == 1 else f"{ITEM} * {step}"
            text, _, const = at[axis]
            found[axis] = Local(f"({moved})" if text is None else f"({text} + {moved})", 1, const)
        return found


def shares(node: Node, boxes: ItemBoxes) -> bool:
    """True for a node that changes what other items may read, or have not read yet: barriers stand around it."""
    if isinstance(node, Settle):
        changed = [box for _, box in node.factors]
    elif isinstance(node, Shift):
        changed = [node.running, node.center, *(box for _, box in node.factors)]
    elif isinstance(node, Advance):
        changed = [node.box, node.carry]
    elif isinstance(node, WriteBack):
        changed = [node.outer]
    elif isinstance(node, Finish):
        changed = [node.to]
    elif isinstance(node, Declare | Pack | Update | Keep | Scale):
        changed = [node.box]
    else:
        return False
    return any(map(boxes.is_shared, changed))


# ------------------------------------------------------------------------------------------------ loads and stores


def item_load(leaves: Leaves, e: Load, name: str, when: Conditions, coords: Coords, lane: Axis) -> str:
    """The text of a load of each item's own lane."""
    index = leaves.indices.vector(e.index, coords, lane)
    text = leaves.speller.load(name, index, e.param.dtype, 1)
    return f"(({leaves.masks.mask(when)}) ? {text} : {literal(0, e.param.dtype)})" if when.by_lane else text


def item_store(
    leaves: Leaves, store: Store, when: Conditions, value: str, lane: Axis, statement: str
) -> list[str]:
    """The statements by which each item stores its own lane; one after the other where several may go to one place."""
    conditions = [*when.scalars, *([f"({leaves.masks.mask(when)})"] if when.by_lane else [])]
    conditions += [value] if store.mode == "flag" else []
    if store.mode in ("set", "flag") or (lane in separated(store.index) and not is_met_again(leaves, store)):
        return [f"if ({' && '.join(conditions)}) {statement}" if conditions else statement]
    turn = " && ".join(["turn == kf_item", *conditions])
    each = f"kf_for (int turn = 0; turn < {leaves.lanes}; turn++) {{ if ({turn}) {statement} {GLOBAL_BARRIER} }}"
    return [GLOBAL_BARRIER, each]


def is_met_again(leaves: Leaves, store: Store) -> bool:
    """True where places a store accumulates into are another store's, too."""
    return sum(other.param is store.param for other in leaves.kernel.stores) > 1


# ------------------------------------------------------------------------------------------------ packing


def fill_together(leaves: Leaves, node: Pack, filling: Expr, order: list[Axis]) -> None:
    """The items fill a packed box together, those side by side along the last of the axes."""
    box, boxes, lines, base = node.box, leaves.boxes, leaves.lines, leaves.indices.base
    loose = frozenset(a for a in order if a in node.place.loose)
    place = replace(
        node.place, taken=(*node.place.taken, *(Step(a, 1) for a in order)), loose=node.place.loose | loose
    )
    leaves.forget()
    leaves.enter(place, node.env)
    number, total = lines.fresh("element"), prod(box.tile[a] for a in order)
    with lines.block(f"kf_for (int {number} = {ITEM}; {number} < {total}; {number} += {leaves.lanes})"):
        after = total
        for axis in order:
            after //= box.tile[axis]
            text = f"{number} / {after}" if after > 1 else number
            text = f"{text} % {box.tile[axis]}" if axis is not order[0] else text
            start = node.place.var(axis)
            lines.add(f"const {base} {place.var(axis)} = {text if start is None else f'{start} + {text}'};")
        value, _ = leaves.value(filling, {}, None)
        lines.add(f"{box.name}[{boxes.address(box, boxes.locals(box, place, {}))}] = {value};")
    leaves.forget()
