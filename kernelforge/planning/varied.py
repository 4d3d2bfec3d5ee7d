"""What the numbers of a graph would be if a dimension of its arrays had another size.

Comes in: a graph taken apart.  Goes out: its numbers with one size changed, and those that follow from it.  Sizes are
followed from operation to operation: two arrays that are added are as long as each other, and a dimension that others
are put together in has their sizes as factors, in order.  It is a guess where a part of an array might be as long as
before or longer with it: the smaller of both, the part and the rest, is taken to stay.  Whoever asks compares every
graph that comes with what was guessed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from math import prod

from codegen.ops import SCALAR_OPS
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.errors import KernelForgeError
from kernelforge.graph import Node
from kernelforge.planning.numbered import Numbered, Record, rebuilt

SAME = frozenset((*SCALAR_OPS, "cast", "bitcast", "flip", "scan", "contiguous", "detach", "surrogate", "copy",
                  "real", "imag", "complex"))  # fmt: skip
FLAT = 3  # dimensions of arrays of batch, sequence and features
MOST_SHARES = 4  # parts of equal length that are all of an array
MOST_ROUNDS = 16  # in which sizes follow from each other


class Factor:
    """Of a dimension's size: all of it, or what one of the dimensions it was put together from has.

    parts    the factors it turned out to be made of, one alone where it is another
    rigid    it never changes
    """

    __slots__ = ("parts", "rigid", "value")

    def __init__(self, value: int, rigid: bool = False) -> None:
        self.value, self.rigid = value, rigid
        self.parts: list[Factor] = []


Dim = list[Factor]


def likely_places(met: Numbered, seen: Sequence[Sequence[int]]) -> dict[int, list[int]]:
    """For each leaf of which some dimension changed among all graphs seen those that did not and are likely to: batches
    and sequences, which are the first two, but of arrays of more than three dimensions, whose first is meant alone."""
    changed = [len(set(column)) > 1 for column in zip(*seen)]
    found: dict[int, list[int]] = {}
    for record in met.records:
        if record.leaf >= 0 and any(changed[at] for at in record.numbers):
            first = record.numbers[: 2 if len(record.numbers) <= FLAT else 1]
            found.setdefault(record.leaf, []).extend([i for i, at in enumerate(first) if not changed[at]])
    return found


def guesses(met: Numbered, wanted: Mapping[int, Sequence[int]], most: int) -> tuple[list[list[int]], set[int]]:
    """The numbers of a graph for other sizes of some dimensions of its leaves, and numbers of elements that change with
    these.  Nothing that leaves which are not among them, weights, are as long as changes.  A leaf may have several
    shapes, and fewer dimensions in some of them."""
    found, counts = dict[tuple[int, ...], None](), set[int]()
    if not any(wanted.values()):
        return [], counts
    followed = Followed(met, wanted)
    for i, record in enumerate(met.records):
        for place in wanted.get(record.leaf, ()) if record.leaf >= 0 else ():
            own = record.numbers[place : place + 1]
            if own and met.numbers[own[0]] > 1 and len(found) < most:
                numbers = followed.numbers(i, place)
                if numbers is not None:
                    found[tuple(numbers)] = None
                    counts |= followed.counts(i, place)
    return [list(numbers) for numbers in found], counts


def factors(dim: Iterable[Factor]) -> Dim:
    """What a dimension is made of as far as is known."""
    found: Dim = []
    stack = list(dim)[::-1]
    while stack:
        factor = stack.pop()
        if factor.parts:
            stack += factor.parts[::-1]
        else:
            found.append(factor)
    return found


def dim_of(value: int, rigid: bool = False) -> Dim:
    return [Factor(value, rigid)] if value != 1 else []


def _next(dim: Dim) -> Factor:
    """Takes off the last of some factors, which may have turned out to be others meanwhile."""
    while dim[-1].parts:
        dim += dim.pop().parts[::-1]
    return dim.pop()


def equate(first: Iterable[Factor], second: Iterable[Factor]) -> None:
    """Makes dimensions of one size, or several of as many elements, have the same factors in order; those that do not
    go into each other never change."""
    a, b = factors(first)[::-1], factors(second)[::-1]
    while a and b:
        x, y = _next(a), _next(b)
        if x is y:
            continue
        if x.value == y.value:
            y.rigid |= x.rigid
            x.parts = [y]
            continue
        if x.value < y.value:
            x, y, a, b = y, x, b, a
        if y.value and x.value % y.value == 0:
            rest = Factor(x.value // y.value, x.rigid)
            y.rigid |= x.rigid
            x.parts = [y, rest]
            a.append(rest)
        else:
            for factor in (x, y, *a, *b):
                factor.rigid = True
            return


class Followed:
    """The dimensions of every record of a graph, and how some follow from others.

    data   the leaves that are known to be of other sizes at times
    kept   of dimensions that grow and shrink with others: both, and how many times as much the second does
    """

    def __init__(self, met: Numbered, data: Container[int]) -> None:
        self.met, self.data = met, data
        self.dims: list[list[Dim]] = []
        self.kept: list[tuple[Dim, Dim, int]] = []
        for record in met.records:
            self.dims.append(self._of(record))

    def numbers(self, leaf: int, place: int) -> list[int] | None:
        """The numbers where a dimension of a leaf's record has another size; None where this is no size of its own."""
        found = factors(self.dims[leaf][place])
        if len(found) != 1 or found[0].rigid:
            return None
        changed = self._changed(found[0])
        if changed is None or self._moves_what_stays(place, changed) or self._is_taken_apart(changed):
            return None
        numbers = list(self.met.numbers)
        for number, record in enumerate(self.met.records):
            for at, value in zip(record.numbers, self._own(number, record, changed)):
                numbers[at] = value
        return numbers if self._is_one(numbers) else None

    def counts(self, leaf: int, place: int) -> set[int]:
        """The numbers of elements, of arrays and of those added up in each, that change with a dimension."""
        changed = self._changed(factors(self.dims[leaf][place])[0]) or {}
        found = set()
        for record, dims in zip(self.met.records, self.dims):
            sizes = [dims]
            if record.node.op == "reduce" and record.leaf < 0:
                source = self.dims[record.sources[0]]
                sizes.append([source[axis] for axis in record.node.attr[1]])
            for some in (*sizes, *([dim] for dim in dims)):
                if any(factor in changed for dim in some for factor in factors(dim)):
                    found.add(prod(factor.value for dim in some for factor in factors(dim)))
        return found

    def _changed(self, factor: Factor) -> dict[Factor, int] | None:
        """The new value of every factor that changes with one."""
        changed = {factor: 2 * factor.value + 1}
        for _ in range(MOST_ROUNDS):
            before = len(changed)
            for source, target, times in self.kept:
                self._follow(changed, source, target, times)
            if len(changed) == before:
                return None if any(x.rigid for x in changed) else changed
        return None

    def _follow(self, changed: dict[Factor, int], source: Dim, target: Dim, times: int) -> None:
        a, b = factors(source), factors(target)
        more, other = _more(changed, a), _more(changed, b)
        if more and not other:
            changed |= _grown(b, more * times)
        elif other and not more and other % times == 0:
            changed |= _grown(a, other // times)

    def _moves_what_stays(self, place: int, changed: dict[Factor, int]) -> bool:
        """True where a leaf changes that is likely a weight: none that is known to be data, nor one of which the first
        dimension alone does, with the first of another."""
        first = 0 if place else 1
        return any(
            any(x in changed for dim in dims[first:] for x in factors(dim))
            for record, dims in zip(self.met.records, self.dims)
            if record.leaf >= 0 and record.leaf not in self.data
        )

    def _is_taken_apart(self, changed: dict[Factor, int]) -> bool:
        """True where all elements of a dimension that changes are taken one by one, as in a loop that was spelled out:
        with another size it would be another graph."""
        taken: dict[tuple[int, int], set[int]] = {}
        for record in self.met.records:
            if record.node.op == "shrink" and record.leaf < 0:
                (source,) = record.sources
                for axis, (start, stop) in enumerate(record.node.attr):
                    if stop - start == 1 and any(x in changed for x in factors(self.dims[source][axis])):
                        taken.setdefault((source, axis), set()).add(start)
        return any(len(starts) == self.met.records[place[0]].node.shape[place[1]] for place, starts in taken.items())

    def _is_one(self, numbers: Sequence[int]) -> bool:
        """True when there is a graph with such numbers."""
        buffers: dict[int, Buffer] = {}

        def leaf(record: Record, shape: tuple[int, ...]) -> Node:
            node = record.node
            stored = node.attr if node.op == "buffer" else node.realized
            assert stored is not None
            found = buffers.setdefault(record.leaf, Buffer(prod(shape), stored.dtype, stored.device))
            return graph.buffer(found, shape, node.dtype)

        try:
            rebuilt(self.met, numbers, leaf, lambda record: record.node)
        except (KernelForgeError, IndexError, ValueError):
            return False
        return True

    # ------------------------------------------------------------------------------------- dimensions of a record

    def _of(self, record: Record) -> list[Dim]:
        """The dimensions of what an operation gives."""
        node, op = record.node, record.node.op
        sources = [self.dims[i] for i in record.sources]
        if record.leaf >= 0 or op in ("iota", "input", "const"):
            return [dim_of(n) for n in node.shape]
        if op == "reshape":
            dims = [dim_of(n) for n in node.shape]
            equate([x for dim in sources[0] for x in dim], [x for dim in dims for x in dim])
            return dims
        if op == "expand":
            before = record.node.src[0].shape
            return [dim if m == n else dim_of(n) for dim, m, n in zip(sources[0], before, node.shape)]
        if op in ("pad", "shrink"):
            return [self._part(op, dim, own) for dim, own in zip(sources[0], node.attr)]
        if op in _MOVES:
            return _MOVES[op](self, node, sources)
        if op == "loop":
            return self._loop(record, sources)
        if op in SAME and all(x.shape == node.shape for x in node.src):
            for other in sources[1:]:
                for a, b in zip(sources[0], other):
                    equate(a, b)
            return sources[0]
        for dim in (dim for dims in sources for dim in dims):
            for factor in factors(dim):
                factor.rigid = True
        return [dim_of(n, rigid=True) for n in node.shape]

    def _part(self, op: str, dim: Dim, own: tuple[int, int]) -> Dim:
        size = prod(x.value for x in factors(dim))
        if own == ((0, 0) if op == "pad" else (0, size)):
            return dim
        if op == "shrink":
            length = own[1] - own[0]
            if length > size - length:
                return self._follows(dim, length)
            found = dim_of(length)
            if _is_share(own, size):
                self.kept.append((found, dim, size // length))
            return found
        times = 1 + (own[0] == size) + (own[1] == size) if size > 1 else 1
        return self._follows(dim, size + sum(own), times) if times > 1 or size > sum(own) else dim_of(size + sum(own))

    def _follows(self, dim: Dim, value: int, times: int = 1) -> Dim:
        found = dim_of(value)
        self.kept.append((dim, found, times))
        return found

    def _permute(self, node: Node, sources: list[list[Dim]]) -> list[Dim]:
        return [sources[0][i] for i in node.attr]

    def _reduce(self, node: Node, sources: list[list[Dim]]) -> list[Dim]:
        return [dim for i, dim in enumerate(sources[0]) if i not in node.attr[1]]

    def _window(self, node: Node, sources: list[list[Dim]]) -> list[Dim]:
        at, size, stride, _ = node.attr
        dims, count = sources[0], node.shape[at]
        made = self._follows(dims[at], count) if stride == 1 else dim_of(count, rigid=True)
        if stride != 1:
            _stiffen(dims[at])
        return [*dims[:at], made, dim_of(size, rigid=True), *dims[at + 1 :]]

    def _unwindow(self, node: Node, sources: list[list[Dim]]) -> list[Dim]:
        at, size, stride, _ = node.attr
        dims = sources[0]
        made = self._follows(dims[at], size) if stride == 1 else dim_of(size, rigid=True)
        if stride != 1:
            _stiffen(dims[at])
        return [*dims[:at], made, *dims[at + 1 :]]

    def _gather(self, node: Node, sources: list[list[Dim]]) -> list[Dim]:
        x, index = node.src
        for i, (a, b) in enumerate(zip(sources[0], sources[1])):
            if i != node.attr and x.shape[i] == index.shape[i]:
                equate(a, b)
        return sources[1]

    def _scatter(self, node: Node, sources: list[list[Dim]]) -> list[Dim]:
        base, index, _ = node.src
        for i, (a, b, c) in enumerate(zip(*sources)):
            equate(b, c)
            if i != node.attr[0] and base.shape[i] == index.shape[i]:
                equate(a, b)
        return sources[0]

    def _stack(self, node: Node, sources: list[list[Dim]]) -> list[Dim]:
        for other in sources[1:]:
            for a, b in zip(sources[0], other):
                equate(a, b)
        dims = list(sources[0])
        for at, size in node.attr:
            dims.insert(at, dim_of(size, rigid=True))
        return dims

    def _loop(self, record: Record, sources: list[list[Dim]]) -> list[Dim]:
        last = record.node.attr.sequences
        steps = sources[1][0]
        for i, dims in enumerate(sources):
            if 0 < i <= last:
                equate(steps, dims[0])
                dims = dims[1:]
            for _, inputs, _ in record.steps:
                for a, b in zip(dims, self.dims[inputs[i]]):
                    equate(a, b)
        for a, b in zip(sources[0], self.dims[record.steps[0][2]]):
            equate(a, b)
        return [steps, *self.dims[record.steps[-1][2]]]

    # ---------------------------------------------------------------------------------------- numbers of a record

    def _own(self, number: int, record: Record, changed: dict[Factor, int]) -> Iterator[int]:
        """The numbers of a record where factors have changed."""
        op, dims = record.node.op, self.dims[number]
        if record.leaf >= 0 or op in ("iota", "input", "reshape", "expand"):
            yield from (_size(changed, dim) for dim in dims)
        elif op == "unwindow":
            yield _size(changed, dims[record.node.attr[0]])
        elif op in ("pad", "shrink"):
            for own, before, after in zip(record.node.attr, self.dims[record.sources[0]], dims):
                old, of, size = _size({}, before), _size(changed, before), _size(changed, after)
                yield from _margins(own, size - of) if op == "pad" else _bounds(own, old, of, size)


_MOVES = {
    "permute": Followed._permute, "reduce": Followed._reduce, "window": Followed._window,
    "unwindow": Followed._unwindow, "gather": Followed._gather, "scatter": Followed._scatter, "stack": Followed._stack,
}  # fmt: skip


def _stiffen(dim: Dim) -> None:
    for factor in factors(dim):
        factor.rigid = True


def _size(changed: dict[Factor, int], dim: Dim) -> int:
    return prod(changed.get(x, x.value) for x in factors(dim))


def _more(changed: dict[Factor, int], dim: Dim) -> int:
    return _size(changed, dim) - prod(x.value for x in dim)


def _is_share(own: tuple[int, int], size: int) -> bool:
    """True for the first or another of a few parts of equal length that an array is made of."""
    length = own[1] - own[0]
    return length > 1 and size % length == own[0] % length == 0 and size // length <= MOST_SHARES


def _grown(dim: Dim, more: int) -> dict[Factor, int]:
    """The first factor of a dimension that can make it longer by so much, and what it is then."""
    size = prod(x.value for x in dim)
    for factor in dim:
        rest = size // factor.value
        if (size + more) % rest == 0:
            return {factor: (size + more) // rest}
    return {}


def _margins(own: tuple[int, int], total: int) -> tuple[int, int]:
    """The margins of a pad that are so much together: the larger grows."""
    more = total - sum(own)
    if own[0] == own[1]:
        return own[0] + more // 2, own[1] + more - more // 2
    return (own[0] + more, own[1]) if own[0] > own[1] else (own[0], own[1] + more)


def _bounds(own: tuple[int, int], old: int, of: int, size: int) -> tuple[int, int]:
    """Where a part begins and ends that is of a size: as far from the end of the array that is nearer as it was."""
    start, stop = own
    if _is_share(own, old) and size != stop - start:
        return start // (stop - start) * size, (start // (stop - start) + 1) * size
    if start <= old - stop:
        return start, start + size
    return of - (old - stop) - size, of - (old - stop)
