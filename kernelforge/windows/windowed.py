"""Sums over windows, recognised: a contraction one factor of which is read at places plus taps.

Comes in: a node.  Goes out: `Windowed`, the two factors as arrays of a standard form, or None.  A convolution is told
by where its elements lie in memory, found by the demand walk, whatever views it was written with; so is its gradient
with respect to the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.index import Axis, Guards
from kernelforge import graph
from kernelforge.fusion.demand import Demand, Demands
from kernelforge.graph import Node, Shape


@dataclass(frozen=True)
class Windowed:
    """A node's value as  out[b.., y.., o] = sum over c and taps t.. of image[b.., y + t - lead.., c] weight[c, t.., o],
    with zeros where the image ends.

    image    [batch.., plane.., channels]
    weight   [channels, taps.., outputs], or [outputs, taps.., channels] as `crossed` says: the dimension with larger
             steps in memory is last, so that a copy in this order transposes a matrix
    turned   for each tap, whether the weight has it from last to first
    leads    per dimension of the plane the place of the first tap before the first result
    places   the results along each dimension of the plane
    order    the dimensions of the result in the order of `shape`, without those of size 1
    shape    the node's
    """

    image: Node
    weight: Node
    crossed: bool
    turned: tuple[bool, ...]
    leads: tuple[int, ...]
    places: tuple[int, ...]
    order: tuple[int, ...]
    shape: Shape

    @property
    def taps(self) -> tuple[int, ...]:
        """The length of the window along each dimension of the plane."""
        return self.weight.shape[1:-1]

    @property
    def channels(self) -> int:
        """The length of the sum at each tap."""
        return self.image.shape[-1]

    @property
    def outputs(self) -> int:
        """The results at each place."""
        return self.weight.shape[0 if self.crossed else -1]

    @property
    def batch(self) -> Shape:
        """The dimensions in front of the plane."""
        return self.image.shape[: -1 - len(self.places)]


@dataclass(frozen=True)
class _Dim:
    """A dimension of a factor in memory: its size, the axes that walk it with their signs, and where they start."""

    size: int
    signs: dict[Axis, int]
    start: int

    def is_whole(self) -> bool:
        """True when one axis walks all of it, forward or backward."""
        if len(self.signs) != 1:
            return False
        ((axis, sign),) = self.signs.items()
        return axis.size == self.size and self.start == (0 if sign > 0 else self.size - 1)


def windowed(node: Node, factors: Sequence[Node]) -> Windowed | None:
    """A sum of products of two factors as a sum over windows, at stride 1 and dilation 1; None when it is none."""
    demands = Demands(frozenset(factors))
    axes = demands.add_store([node])
    order = demands.order()
    found = _loads(order)
    if found is None or len(axes) != len(node.shape):
        return None
    bound = frozenset(axis for demand in order for axis in demand.bound)
    for x, w in (found, found[::-1]):
        dims, others = _dimensions(x), _dimensions(w)
        if dims is not None and others is not None and all(d.is_whole() for d in others):
            result = _standard(node, axes, bound, (x.node, dims), (w.node, others))
            if result is not None:
                return result
    return None


def _loads(order: Sequence[Demand]) -> tuple[Demand, Demand] | None:
    """The two loads of a sum of products, everything else being sums and zeros around."""
    products = [demand for demand in order if demand.kind == "apply"]
    loads = [demand for demand in order if demand.kind == "load"]
    sums = [demand for demand in order if demand.kind == "reduce"]
    if len(products) != 1 or products[0].node.op != "mul" or len(loads) != 2 or not sums:
        return None
    if any(demand.kind not in ("apply", "load", "reduce", "pad") for demand in order):
        return None
    return (loads[0], loads[1]) if all(demand.node.attr[0] == "add" for demand in sums) else None


def _dimensions(load: Demand) -> list[_Dim] | None:
    """The dimensions of a loaded array, large steps first, as its index tells; None for an index of another kind."""
    flat, guards = load.flat, load.all_guards
    if flat is None or not all(isinstance(axis, Axis) for axis, _ in flat.terms):
        return None
    by_step: dict[int, dict[Axis, int]] = {}
    for axis, k in flat.terms:
        assert isinstance(axis, Axis)
        by_step.setdefault(abs(k), {})[axis] = 1 if k > 0 else -1
    steps = sorted(by_step, reverse=True)
    if not steps or steps[-1] != 1 or any(a % b for a, b in zip([load.node.size, *steps], steps)):
        return None
    sizes = [a // b for a, b in zip([load.node.size, *steps], steps)]
    starts = _starts([by_step[step] for step in steps], steps, sizes, flat.const, guards)
    return None if starts is None else [_Dim(*dim) for dim in zip(sizes, [by_step[step] for step in steps], starts)]


def _starts(
    signs: Sequence[dict[Axis, int]], steps: Sequence[int], sizes: Sequence[int], const: int, guards: Guards
) -> list[int] | None:
    """The constant part of the index along each dimension; None unless it stays inside, or is guarded by both ends."""
    guarded = {i: guard for i, own in enumerate(signs) for guard in guards if dict(guard.index.terms) == own}
    if len(guarded) != len(guards) or any((g.lo, g.hi) != (0, sizes[i]) for i, g in guarded.items()):
        return None
    const -= sum(guard.index.const * steps[i] for i, guard in guarded.items())
    starts = []
    for i, step in enumerate(steps):
        if i in guarded:
            starts.append(guarded[i].index.const)
            continue
        start, const = divmod(const, step)
        ends = [sign * (axis.size - 1) for axis, sign in signs[i].items()]
        if start + sum(min(0, end) for end in ends) < 0 or start + sum(max(0, end) for end in ends) >= sizes[i]:
            return None
        starts.append(start)
    return starts if not const else None


def _standard(
    node: Node,
    axes: Sequence[Axis],
    bound: frozenset[Axis],
    x: tuple[Node, list[_Dim]],
    w: tuple[Node, list[_Dim]],
) -> Windowed | None:
    """The standard form, when the roles of all axes fit it."""
    (image, dims), (weight, others) = x, w
    of_weight = {axis: i for i, dim in enumerate(others) for axis in dim.signs}
    plane: list[tuple[int, Axis]] = []
    batch: list[int] = []
    channel: list[int] = []
    for i, dim in enumerate(dims):
        tap = next((a for a in dim.signs if a in bound and a in of_weight), None)
        if len(dim.signs) == 2 and tap is not None:
            plane.append((i, tap))
        elif not dim.is_whole() or min(dim.signs.values()) < 0:
            return None
        else:
            (channel if tap is not None else batch).append(i)
    outputs = [a for a in of_weight if a not in bound]
    if not plane or len(channel) != 1 or len(outputs) != 1 or len(of_weight) != len(plane) + 2:
        return None
    (channels,) = dims[channel[0]].signs
    places, leads, turned = [], [], []
    for i, tap in plane:
        (place,) = dims[i].signs.keys() - {tap}
        sign = dims[i].signs[tap]
        if dims[i].signs[place] < 0 or place in bound or place in of_weight:
            return None
        places.append(place)
        leads.append(-dims[i].start if sign > 0 else tap.size - 1 - dims[i].start)
        turned.append(sign != others[of_weight[tap]].signs[tap])
    results = [*(next(iter(dims[i].signs)) for i in batch), *places, *outputs]
    ends = [of_weight[channels], of_weight[outputs[0]]]
    if {axis for axis in axes if axis.size > 1} != set(results) or len(set(results)) < len(results):
        return None
    if any(min(others[i].signs.values()) < 0 for i in ends):
        return None
    shaped = graph.reshape(weight, tuple(dim.size for dim in others))
    inner = [of_weight[tap] for _, tap in plane]
    return Windowed(
        graph.permute(
            graph.reshape(image, tuple(dim.size for dim in dims)), (*batch, *(i for i, _ in plane), *channel)
        ),
        graph.permute(shaped, (max(ends), *inner, min(ends))),
        ends[0] < ends[1],
        tuple(turned),
        tuple(leads),
        tuple(place.size for place in places),
        tuple(results.index(axis) for axis in axes if axis.size > 1),
        node.shape,
    )
