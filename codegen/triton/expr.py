"""Expressions in Triton: the values one leaf of a nest needs, as named statements and a final text.

Comes in: expressions, and the boxes that already hold some of them.  Goes out: lines in a scope and `Value`s.  Loads
and values used twice get a name, the rest is written in place.  Operands are walked without recursion: a chain of any
length is fine.  It knows no nest nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from codegen.index import Axis, Index
from codegen.ir import Apply, Const, Coord, Expr, Load, Reduce, Valid, index_exprs
from codegen.nodes import Environment, Place
from codegen.triton.descriptor import copied, described
from codegen.triton.dot import Dot, dot_text, find_dot
from codegen.triton.scope import Scope, Value
from codegen.triton.text import full, literal, reduction, spelling, type_name
from codegen.triton.tiles import Rank, Tiles

LONGEST: Final = 72  # a text longer than this gets a name
_UNTYPED: Final = ("kf_max", "kf_min")  # helpers that take a literal beside an operand with a type


@dataclass(frozen=True)
class Context:
    """What every leaf of a source shares.

    exprs      the kernel's expressions
    rank       its axes in canonical order
    variables  the text of each loop variable and box
    shared     indices used more than once
    hanging    per shift of a stream, the expressions that depend on it
    options    the schedule's options
    grid       the texts of the grid's variables
    open       the axes whose size is not to be relied upon
    """

    exprs: Collection[Expr]
    rank: Rank
    variables: Mapping[str, str]
    shared: Collection[Index]
    hanging: Mapping[Expr, Collection[Expr]]
    options: Mapping[str, int | str]
    grid: Collection[str] = ()
    open: Collection[Axis] = ()


class Leaf:
    """Prints the values needed at one place of a nest; `repeated` are those that other leaves of the body need, too."""

    def __init__(
        self, context: Context, place: Place, env: Environment, scope: Scope, repeated: Collection[Expr] = ()
    ) -> None:
        self.context, self.env, self.scope, self.repeated = context, env, scope, repeated
        self.tiles = Tiles(
            context.rank, place, scope, context.variables, context.shared, self.value, context.open
        )
        self.centers = [(e, box.name) for e, box in env.items() if box.kind == "run"]
        self.written: dict[Hashable, Value] = {}
        self.dots: dict[Reduce, Dot | None] = {}
        self.operands: set[Expr] = set()

    def value(self, root: Expr, rank: Rank | None = None) -> Value:
        """The printed value of an expression, over its own axes in the order of rank."""
        rank = rank or self.context.rank
        uses, order = self._demand(root, rank)
        names = self.scope.names
        before = names.origin
        for e, ranked in order:
            key = self._key(e, ranked)
            if self._known(key) is None:
                names.origin = e
                value = self._print(e, ranked)
                if _wants_name(e, value, uses[key] + (e in self.repeated)):
                    value = self._home(e).name(key, _stem(e), value.text, value.axes)
                self.written[key] = value
        names.origin = before
        found = self._known(self._key(root, rank))
        assert found is not None
        return found

    def dot(self, r: Reduce) -> Dot | None:
        """How a reduce is done by the matrix unit here, or None."""
        if r not in self.dots:
            self.dots[r] = found = find_dot(r, self.tiles, self.env)
            self.operands.update(x for x, _ in (found.operands if found is not None else ()))
        return self.dots[r]

    def dot_update(self, dot: Dot, into: str) -> str:
        """The text of `into` + dot."""
        left, right = self._dot_operand(dot, 0), self._dot_operand(dot, 1)
        return dot_text(dot, left, right, into, self.context.options)

    def reduce_operand(self, r: Reduce, rank: Rank | None = None) -> Value:
        """The operand of a reduce; where it overhangs along the bound axes it is the identity."""
        rank = rank or self.context.rank
        value = self.value(r.arg, rank)
        identity = r.op.identity(r.dtype)
        outside = self.tiles.inside(r.bound, rank)
        if outside is None or (identity == 0 and _is_masked_load(r.arg)):
            return value
        axes = self.tiles.order(r.arg.axes, rank)
        fill = literal(identity, r.dtype)
        text = value.alone(axes) if value.const is None else full([], value.const.value, r.dtype)
        return Value(f"tl.where({outside.alone(axes)}, {text}, {fill})", axes)

    def combined(self, r: Reduce, value: Value, kept: Collection[Axis] = ()) -> Value:
        """A tile combined along the bound axes that are dimensions of it, but for those kept."""
        axes, text = value.axes, value.text
        if not any(a in r.bound and a not in kept for a in axes):
            return value
        for position in reversed(range(len(axes))):
            if axes[position] in r.bound and axes[position] not in kept:
                text = reduction(r.op, r.dtype, text, position)
        return Value(text, tuple(a for a in axes if a not in r.bound or a in kept))

    # ------------------------------------------------------------------------------------------------ the walk

    def _home(self, e: Expr) -> Scope:
        """The body a value is named in: loads leave the loops they do not depend on."""
        if not isinstance(e, Load):
            return self.scope
        return self.tiles.home(e.axes, (e.index, *(guard.index for guard in e.guards)))

    def _key(self, e: Expr, rank: Rank) -> Hashable:
        """What tells values apart: expression, block and place, and inside a stream what stands for the max."""
        hanging = self.context.hanging
        centers = tuple(name for shift, name in self.centers if e in hanging[shift] or e not in self.context.exprs)
        return (e, self.tiles.order(e.axes, rank), self.tiles.spans(e.axes), centers)

    def _known(self, key: Hashable) -> Value | None:
        return self.written.get(key) or self.scope.known.get(key)

    def _demand(self, root: Expr, rank: Rank) -> tuple[Counter[Hashable], list[tuple[Expr, Rank]]]:
        """How often each value below root is used, and the values in the order to print them."""
        uses: Counter[Hashable] = Counter()
        order: list[tuple[Expr, Rank]] = []
        stack: list[tuple[Expr, Rank, bool]] = [(root, rank, False)]
        while stack:
            e, ranked, ready = stack.pop()
            if ready:
                order.append((e, ranked))
                continue
            key = self._key(e, ranked)
            uses[key] += 1
            if uses[key] == 1 and self._known(key) is None:
                stack.append((e, ranked, True))
                stack.extend((x, r, False) for x, r in reversed(self._operands(e, ranked)))
        return uses, order

    def _operands(self, e: Expr, rank: Rank) -> Sequence[tuple[Expr, Rank]]:
        if e in self.env:
            return ()
        if isinstance(e, Reduce) and (dot := self.dot(e)) is not None:
            return dot.operands
        return [(x, rank) for x in e.args or index_exprs(e)]

    # ------------------------------------------------------------------------------------------------ one value

    def _print(self, e: Expr, rank: Rank) -> Value:
        if e in self.env:
            return self._boxed(e, rank)
        if isinstance(e, Const):
            return Value(literal(e.value, e.dtype), const=e, tight=e.value >= 0)
        if isinstance(e, Load):
            return self._load(e, rank)
        if isinstance(e, Coord):
            value = self.tiles.index(e.index, rank, wide=e.dtype.bits == 64)
            return Value(f"tl.cast({value.text}, {type_name(e.dtype)})", value.axes)
        if isinstance(e, Valid):
            return self.tiles.mask((), (), e.guards, rank) or Value("True")
        if isinstance(e, Reduce):
            return self._reduce(e, rank)
        assert isinstance(e, Apply)
        return self._apply(e, rank)

    def _boxed(self, e: Expr, rank: Rank) -> Value:
        box = self.env[e]
        value = Value(self.context.variables[box.name], self.tiles.order(box.free))
        want = self.tiles.order(box.free, rank)
        return Value(value.over(want), want)

    def _load(self, e: Load, rank: Rank) -> Value:
        if self.context.options.get("tma") and e in self.operands:
            copied = self._copied(e)
            if copied is not None:
                want = self.tiles.order(e.axes, rank)
                return Value(copied.alone(want), want)
        mask = self.tiles.mask(e.axes, (e.index,), e.guards, rank)
        want = self.tiles.order(e.index.axes if mask is None else {*e.index.axes, *mask.axes}, rank)
        pointer = self.tiles.offset(e.param, e.index, rank, want)
        masked = "" if mask is None else f", mask={mask.alone(want)}, other={literal(0, e.dtype)}"
        return Value(f"tl.load({pointer}{masked})", want)

    def _copied(self, e: Load) -> Value | None:
        """An operand of the matrix unit as the copy engine brings it; None for one it cannot bring."""
        found = described(e, self.tiles, self.context.grid)
        if found is None:
            return None
        key = ("copied", e, self.tiles.spans(e.axes))
        known = self.scope.known.get(key)
        return known or self._home(e).name(key, f"{e.param.name}_", copied(found, self.tiles), found.axes)

    def _reduce(self, e: Reduce, rank: Rank) -> Value:
        dot = self.dot(e)
        if dot is None:
            return self.combined(e, self.reduce_operand(e, rank))
        value = Value(self.dot_update(dot, ""), dot.axes)
        want = self.tiles.order(e.axes, rank)
        return Value(value.over(want), want)

    def _dot_operand(self, dot: Dot, side: int) -> Value:
        e, rank = dot.operands[side]
        value = self.value(e, rank)
        axes = self.tiles.order(e.axes, rank)
        outside = self.tiles.inside(frozenset(dot.reduce.bound) & e.axes, rank)
        if outside is None or _is_masked_load(e):
            return Value(value.alone(axes), axes, value.tight or value.axes != axes)
        return Value(f"tl.where({outside.alone(axes)}, {value.alone(axes)}, {literal(0, e.dtype)})", axes)

    def _apply(self, e: Apply, rank: Rank) -> Value:
        want = self.tiles.order(e.axes, rank)
        operands = [self._operand(x, rank) for x in e.args]
        if e.op.rule in ("cast", "bitcast"):
            x = operands[0]
            text = full([], x.const.value, e.args[0].dtype) if x.const else x.operand
            bits = ", bitcast=True" if e.op.rule == "bitcast" else ""
            return Value(f"{text}.to({type_name(e.dtype)}{bits})", x.axes)
        form = spelling(e.op, e.args[-1].dtype)
        call = form.startswith(("tl.", "kf_"))
        typed = form.startswith("kf_") and not form.startswith(_UNTYPED)
        bare = not typed and any(x.const is None for x in operands[e.op.rule == "where" :])
        texts = []
        for x, arg in zip(operands, e.args):
            if x.const is not None:
                texts.append(x.operand if bare else full([], x.const.value, arg.dtype))
            else:
                texts.append(x.alone(want) if call else x.over(want))
        return Value(form.format(*texts), want, tight=call)

    def _operand(self, e: Expr, rank: Rank) -> Value:
        value = self._known(self._key(e, rank))
        assert value is not None
        return value


def _wants_name(e: Expr, value: Value, uses: int) -> bool:
    """Loads, reduces, scalar conditions, and what is used twice or is long; constants and names never."""
    if value.const is not None or value.text.isidentifier():
        return False
    scalar_condition = isinstance(e, Valid) and not value.axes
    return uses > 1 or isinstance(e, Load | Reduce) or scalar_condition or len(value.text) > LONGEST


def _stem(e: Expr) -> str:
    """What a value's name begins with."""
    return f"{e.param.name}_" if isinstance(e, Load) else "t"


def _is_masked_load(e: Expr) -> bool:
    """True for a load under conversions: it is 0 wherever one of its axes overhangs."""
    while isinstance(e, Apply) and e.op.name == "cast":
        e = e.args[0]
    return isinstance(e, Load)
