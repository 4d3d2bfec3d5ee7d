"""Groups of graph nodes become kernels.

Comes in: a `Group`.  Goes out: `Lowered`, a kernel of the language of `codegen.ir` with the node behind each parameter
and the checks its fault flags stand for.  The demand walk chooses the axes; here every demand becomes an expression.
16-bit floats are stored as such and computed in float32; a place whose index comes from data is guarded, and a flag
tells when the guard failed.  It does not decide what belongs to a group, nor how a kernel runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Final

from codegen import ir
from codegen.assumed import assumed, largest
from codegen.bounds import bounds, value_range
from codegen.dtypes import DType, dtypes
from codegen.index import NO_GUARDS, Axis, Guard, Guards, Index, constant, dynamic, needed
from codegen.ir import Expr, Kernel, Param, Store
from codegen.ops import REDUCE_OPS, SCALAR_OPS
from codegen.origins import Origins, Rewrite, completed, following, note
from codegen.rewrites.rewrite import prepare
from kernelforge.errors import InternalError, StandInError
from kernelforge.fusion.demand import Demand, Demands, flat_index, flattened
from kernelforge.fusion.group import Group
from kernelforge.fusion.naming import kernel_name
from kernelforge.graph import Node
from kernelforge.rewrites.alongside import cuts_among

FAULT = "fault"

MOST_DEMANDS: Final = 100_000  # what fusion takes to be small, views of views may make larger


@dataclass(frozen=True)
class Check:
    """What one fault flag stands for: an index of `node` that must lie in 0 <= index < size."""

    size: int
    node: Node


@dataclass(frozen=True, eq=False)
class Lowered:
    """A kernel and its tie to the graph.

    nodes   the node behind each parameter, by name; the fault array has none
    checks  one for each element of the fault array
    origins  the nodes each expression comes from, where they are followed
    steps    likewise the rewrites of the kernel, in order
    """

    kernel: Kernel
    nodes: dict[str, Node]
    checks: tuple[Check, ...]
    origins: Origins = field(default_factory=dict)
    steps: tuple[Rewrite, ...] = ()


def lower(group: Group, follows: bool = False) -> Lowered:
    """The kernel that computes a group; `follows` tells whether to note which nodes expressions come from."""
    if not follows:
        return _lowered(group)
    origins: Origins = {}
    steps: list[Rewrite] = []
    with following(origins, steps):
        found = _lowered(group)
    return replace(found, origins=completed(found.kernel, origins), steps=tuple(steps))


def _lowered(group: Group) -> Lowered:
    lowering = Lowering(group)
    ways = {"scatter": lowering.scatter, "flat": lowering.flat_stores, "stack": lowering.stack}
    stores = ways.get(group.kind, lowering.stores)()
    stores += lowering.fault_stores()
    params = {store.param.name: store.param for store in stores} | {p.name: p for p in lowering.params.values()}
    nodes = {param.name: node for node, param in lowering.params.items()}
    kernel = prepare(Kernel("kernel", tuple(params.values()), tuple(stores)))
    kernel = Kernel(kernel_name(kernel), kernel.params, kernel.stores)
    checks = tuple(Check(size, node) for (_, size), (node, _) in lowering.checks.items())
    return Lowered(kernel, nodes, checks)


class Lowering:
    """The expressions of one group, made once per demand."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.demands = Demands(frozenset(group.inputs), MOST_DEMANDS, cuts_among(group.outputs))
        self.params: dict[Node, Param] = {}
        self.checks: dict[tuple[Expr, int], tuple[Node, Guards]] = {}
        self._exprs: dict[int, Expr] = {}
        self._positions: dict[object, tuple[Demand, Node]] = {}

    def stores(self) -> list[Store]:
        """Plain stores of every output at its own axes, in row-major order."""
        values = by_size(self.group)
        axes = [self.demands.add_store([value]) for _, value in values]
        self._build()
        found = {}
        for (node, value), order, root in zip(values, axes, self.demands.roots):
            index = flat_index(_by_dimension(order, value.shape), node.shape)
            found[node] = Store(self._output(node), index, stored(self._exprs[id(root)], node.dtype), order=order)
        return [found[node] for node in self.group.outputs]

    def flat_stores(self) -> list[Store]:
        """Stores over one axis: each output as far as it has elements."""
        axis = Axis("i", largest(*[node.size for node in self.group.outputs]))
        for node in self.group.outputs:
            self.demands.add_roots([node], *flattened(axis, node.shape))
        self._build()
        found = []
        for node, root in zip(self.group.outputs, self.demands.roots):
            guards = needed([Guard(axis.index, 0, node.size)])
            value = stored(self._exprs[id(root)], node.dtype)
            found.append(Store(self._output(node), axis.index, value, guards, order=(axis,)))
        return found

    def stack(self) -> list[Store]:
        """Plain stores of every piece at its place in the output, and of other outputs."""
        node, *others = self.group.outputs
        axes = [self.demands.add_store([value]) for value in self.group.values]
        self._build()
        dims, sizes = zip(*node.attr)
        found = []
        for number, (order, root) in enumerate(zip(axes, self.demands.roots)):
            if number >= len(node.src):
                other = others[number - len(node.src)]
                index = flat_index(_by_dimension(order, other.shape), other.shape)
                found.append(Store(self._output(other), index, stored(self._exprs[id(root)], other.dtype), order=order))
                continue
            place = _by_dimension(order, node.src[number].shape)
            for i, dim in enumerate(dims):
                place.insert(dim, constant(number // prod(sizes[i + 1 :]) % sizes[i]))
            value = stored(self._exprs[id(root)], node.dtype)
            found.append(Store(self._output(node), flat_index(place, node.shape), value, order=order))
        return found

    def scatter(self) -> list[Store]:
        """The accumulating store of a scatter, or a tally, into its base, which is in place."""
        (node,) = self.group.outputs
        dim, mode = node.attr
        base, position_node, source = node.src
        size = base.shape[dim]
        axes = self.demands.add_store([position_node, source])
        self._build()
        position = self._position(self.demands.roots[0], size, node)
        value = stored(self._exprs[id(self.demands.roots[1])], node.dtype)
        here = _by_dimension(axes, source.shape)
        place = dynamic(position, size)
        guards = frozenset() if within(position, size) else needed([Guard(place, 0, size)])
        index = flat_index((*here[:dim], place, *here[dim + 1 :]), node.shape)
        after = (*here[:dim], here[dim] + size, *here[dim + 1 :])
        before = flat_index(after, node.shape) if node.op == "tally" else None
        mode = "set" if mode == "place" else mode
        return [Store(self._output(node), index, value, guards, mode, axes, before)]

    def fault_stores(self) -> list[Store]:
        """One flag per distinct index taken from data."""
        param = Param(FAULT, dtypes.int32, max(1, len(self.checks)))
        stores = []
        for slot, ((expr, size), (_, guards)) in enumerate(self.checks.items()):
            if size > expr.dtype.max:
                expr = ir.apply("cast", expr, dtype=dtypes.int64)
            zero, end = ir.const(0, expr.dtype), ir.const(size, expr.dtype)
            outside = ir.apply("or", ir.apply("lt", expr, zero), ir.apply("le", end, expr))
            stores.append(Store(param, constant(slot), outside, guards, mode="flag"))
        return stores

    # --------------------------------------------------------------------------------------- expressions

    def _build(self) -> None:
        """Makes the expression of every demand, needs first."""
        order = self.demands.order()
        self._positions = {
            demand.needs[0].stand_in: (demand.needs[0], demand.node) for demand in order if demand.kind == "gather"
        }
        for demand in order:
            self._exprs[id(demand)] = self._expr(demand, [self._exprs[id(need)] for need in demand.needs])
            if demand.node.line is not None:
                note(self._exprs[id(demand)], demand.node)

    def _expr(self, demand: Demand, args: list[Expr]) -> Expr:
        node = demand.node
        if demand.kind == "load":
            assert demand.flat is not None
            return computed(ir.load(self._input(node), self._index(demand.flat), self._guards(demand.all_guards)))
        if demand.kind == "zero":
            identity = REDUCE_OPS[node.attr[0]].identity(node.dtype) if node.op == "reduce" else 0
            return ir.const(identity, node.dtype)
        if demand.kind == "const":
            return ir.const(node.attr, node.dtype)
        if demand.kind == "iota":
            return ir.coord(self._index(demand.index[0]), node.dtype)
        if demand.kind == "pad":
            return padded(args[0], self._guards(demand.condition))
        if demand.kind == "gather":
            # What is picked from may be computed without reading: the index is wrong all the same.
            self._position(demand.needs[0], node.src[0].shape[node.attr], node)
            return args[1]
        if demand.kind == "reduce":
            return ir.reduce(node.attr[0], args[0], demand.bound)
        if demand.kind == "scan":
            return ir.scan(node.attr[0], args[0], demand.bound[0], demand.backward)
        return applied(node, args)

    def _index(self, index: Index) -> Index:
        """An index with the values of gathered positions in place of their stand-ins."""
        if not index.is_dynamic:
            return index
        real: dict[Expr, Expr] = {}
        for atom in index.atoms():
            if isinstance(atom.of, Expr) and atom.of in self._positions:
                demand, gather = self._positions[atom.of]
                real[atom.of] = self._position(demand, atom.by, gather)
        return ir.replace(index, {}, real)

    def _guards(self, guards: Guards) -> Guards:
        """The guards with real positions; those that hold whatever the data are left out."""
        moved = [Guard(self._index(guard.index), guard.lo, guard.hi) for guard in guards]
        return frozenset(g for g in moved if not g.index.is_dynamic or not _always(g))

    def _position(self, demand: Demand, size: int, node: Node) -> Expr:
        """The value of an index taken from data; a check reports the values outside 0 <= value < size."""
        expr = self._exprs[id(demand)]
        if (expr, size) not in self.checks and not within(expr, size):
            self.checks[expr, size] = (node, self._guards(demand.all_guards))
        return expr

    def _input(self, node: Node) -> Param:
        return self.params.setdefault(node, Param(f"x{len(self.params)}", node.dtype, node.size))

    def _output(self, node: Node) -> Param:
        """The parameter of an output: out, out1, out2, ..."""
        before = sum(param.name.startswith("out") for param in self.params.values())
        return self.params.setdefault(node, Param(f"out{before or ''}", node.dtype, node.size))


def _by_dimension(axes: Sequence[Axis], shape: Sequence[int]) -> list[Index]:
    """The index along each dimension, which has one axis or several of the axes, outer first."""
    rest, found = list(axes), []
    for size in shape:
        place = rest.pop(0).index
        while place.hi + 1 < size:
            inner = rest.pop(0)
            place = place * inner.size + inner.index
        found.append(place if size > 1 else constant(0))
    return found


def by_size(group: Group) -> list[tuple[Node, Node]]:
    """The outputs of a group and their values, the largest first: the axes of the others follow from it."""
    return sorted(zip(group.outputs, group.values), key=lambda pair: -pair[0].size)


def computed(value: Expr) -> Expr:
    """A loaded value in the type it is computed in."""
    return ir.apply("cast", value, dtype=value.dtype.arithmetic)


def stored(value: Expr, dtype: DType) -> Expr:
    """A computed value in the type it is stored in."""
    return ir.apply("cast", value, dtype=dtype)


def padded(value: Expr, condition: Guards) -> Expr:
    """value where the condition holds, 0 elsewhere: a load with these guards is that already."""
    inner = value.args[0] if isinstance(value, ir.Apply) and value.op.name == "cast" else value
    if isinstance(inner, ir.Load) and condition <= inner.guards:
        return value
    if isinstance(inner, ir.Const) and not inner.value:
        return value
    return ir.apply("where", ir.valid(condition), value, ir.const(0, value.dtype))


def applied(node: Node, args: list[Expr]) -> Expr:
    """An elementwise node on computed operands; a conversion to a 16-bit float rounds, and the value is computed on."""
    if node.op == "cast":
        return computed(ir.apply("cast", args[0], dtype=node.dtype))
    if node.op == "bitcast":
        return computed(ir.apply("bitcast", stored(args[0], node.src[0].dtype), dtype=node.dtype))
    if node.op in SCALAR_OPS:
        return ir.apply(node.op, *args)
    if node.op == "input":
        raise StandInError("a tensor that stands for those of every call or step has no value; see where()")
    raise InternalError(f"{node!r} cannot be computed inside a kernel")


def _always(guard: Guard) -> bool:
    low, high = bounds(guard.index, NO_GUARDS)
    return guard.lo <= low and high < guard.hi and assumed("always", low - guard.lo, guard.hi - 1 - high)


def within(expr: Expr, size: int) -> bool:
    """True when an index is visibly in 0 <= value < size: a constant, a position, or masked by a constant."""
    low, high = value_range(expr)
    return low >= 0 and high < size and assumed("always", low, size - 1 - high)
