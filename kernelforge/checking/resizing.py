"""A graph on smaller arrays.

Comes in: a sketch.  Goes out: sketches of the same operations in which one dimension is shorter, and with it all that
are as long or follow from it.  `_Sizes` collects what the operations demand: which dimensions are equal, a multiple of
another and a little, a product of others; what it cannot express keeps its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Final

from codegen.ops import SCALAR_OPS
from kernelforge.checking.sketch import Item, Sketch
from kernelforge.graph import Shape

Dim = tuple[int, int]  # an item, and one of its dimensions
ALIKE: Final = frozenset((*SCALAR_OPS, "contiguous", "detach", "copy", "surrogate", "scan", "flip"))


def smaller(sketch: Sketch) -> Iterator[Sketch]:
    """The sketch with one dimension shorter, for each dimension and a few sizes, the smallest first."""
    sizes = _Sizes(sketch)
    for dim in sizes.free:
        size = sizes.size[dim]
        for shorter in dict.fromkeys((1, 2, 3, size // 4, size // 2, size - 1)):
            if 0 < shorter < size and (found := sizes.with_size(dim, shorter)) is not None:
                yield _resized(sketch, found)


class _Sizes:
    """What the dimensions of a sketch have to do with each other.

    size    of the dimension that stands for all that are equal to it
    free    those that may change, the largest first
    scaled  (a, b, k, c): the size of a is k times that of b, and c
    parts   (a, b): the size of a is the product of those of b
    """

    def __init__(self, sketch: Sketch) -> None:
        self.parent: dict[Dim, Dim] = {}
        self.fixed: set[Dim] = set()
        self.scaled: list[tuple[Dim, Dim, int, int]] = []
        self.parts: list[tuple[Dim, tuple[Dim, ...]]] = []
        self.items = sketch.items
        for i, item in enumerate(sketch.items):
            self._bind(i, item)
        self.scaled = [(self.of(a), self.of(b), k, c) for a, b, k, c in self.scaled]
        self.parts = [(self.of(a), tuple(map(self.of, b))) for a, b in self.parts]
        dims = [(i, d) for i, item in enumerate(sketch.items) for d in range(len(item.shape))]
        self.size = {self.of((i, d)): sketch.items[i].shape[d] for i, d in dims}
        self.fixed = {self.of(dim) for dim in self.fixed}
        free = (dim for dim in self.size if dim not in self.fixed and self.size[dim] > 1)
        self.free = sorted(free, key=lambda dim: -self.size[dim])

    def of(self, dim: Dim) -> Dim:
        while dim in self.parent:
            dim = self.parent[dim]
        return dim

    def with_size(self, dim: Dim, size: int) -> list[Shape] | None:
        """The shapes of all items once a dimension has another size; None where that cannot be."""
        new = {dim: size}
        for _ in range(len(self.scaled) + len(self.parts) + 1):
            if not any([*map(self._follow, self.scaled, [new] * len(self.scaled))]) and not any(
                [*map(self._follow_product, self.parts, [new] * len(self.parts))]
            ):
                break
        sizes = self.size | new
        holds = all(sizes[a] == k * sizes[b] + c for a, b, k, c in self.scaled)
        holds = holds and all(sizes[a] == prod(sizes[x] for x in b) for a, b in self.parts)
        if not holds or min(new.values()) < 1 or self.fixed & {x for x in new if new[x] != self.size[x]}:
            return None
        return [tuple([sizes[self.of((i, d))] for d in range(len(x.shape))]) for i, x in enumerate(self.items)]

    def _follow(self, relation: tuple[Dim, Dim, int, int], new: dict[Dim, int]) -> bool:
        a, b, k, c = relation
        if b in new and a not in new:
            new[a] = k * new[b] + c
        elif a in new and b not in new:
            new[b] = (new[a] - c) // k
        else:
            return False
        return True

    def _follow_product(self, relation: tuple[Dim, tuple[Dim, ...]], new: dict[Dim, int]) -> bool:
        a, parts = relation
        if a not in new and any(x in new for x in parts):
            new[a] = prod(new.get(x, self.size[x]) for x in parts)
            return True
        rest = [x for x in parts if x not in new and x not in self.fixed]
        if a not in new or not rest or prod(new.get(x, self.size[x]) for x in parts) == new[a]:
            return False
        first = max(rest, key=lambda x: self.size[x])
        others = prod(new.get(x, self.size[x]) for x in parts if x != first)
        if others < 1:  # a dimension that was cut to nothing: `with_size` refuses it
            return False
        new[first] = new[a] // others
        return True

    # ------------------------------------------------------------------------------------- what operations demand

    def _same(self, a: Dim, b: Dim) -> None:
        a, b = self.of(a), self.of(b)
        if a != b:
            self.parent[a] = b

    def _fix(self, i: int) -> None:
        self.fixed.update((i, d) for d in range(len(self.items[i].shape)))

    def _bind(self, i: int, item: Item) -> None:
        rank, src = len(item.shape), item.src
        if item.op in ALIKE:
            for x in src:
                for d in range(rank):
                    self._same((x, d), (i, d))
        elif rule := getattr(self, f"_{item.op}", None):
            rule(i, item, item.attr)
        elif src:
            for x in (i, *src):
                self._fix(x)

    def _permute(self, i: int, item: Item, order: Shape) -> None:
        for d, x in enumerate(order):
            self._same((item.src[0], x), (i, d))

    def _reduce(self, i: int, item: Item, attr: tuple[str, Shape]) -> None:
        kept = [d for d in range(len(self.items[item.src[0]].shape)) if d not in attr[1]]
        for d, x in enumerate(kept):
            self._same((item.src[0], x), (i, d))

    def _expand(self, i: int, item: Item, shape: Shape) -> None:
        for d, (m, n) in enumerate(zip(self.items[item.src[0]].shape, shape)):
            if m == n:
                self._same((item.src[0], d), (i, d))
            else:
                self.fixed.add((item.src[0], d))

    def _pad(self, i: int, item: Item, pads: Any) -> None:
        for d, (low, high) in enumerate(pads):
            if low or high:
                self.scaled.append(((i, d), (item.src[0], d), 1, low + high))
            else:
                self._same((item.src[0], d), (i, d))

    def _shrink(self, i: int, item: Item, bounds: Any) -> None:
        for d, (m, n) in enumerate(zip(self.items[item.src[0]].shape, item.shape)):
            if m == n:
                self._same((item.src[0], d), (i, d))
            else:
                self.scaled.append(((item.src[0], d), (i, d), 1, m - n))

    def _window(self, i: int, item: Item, attr: Shape) -> None:
        dim, _, stride, _ = attr
        old = self.items[item.src[0]].shape
        self.fixed.add((i, dim + 1))
        self.scaled.append(((item.src[0], dim), (i, dim), stride, old[dim] - stride * item.shape[dim]))
        for d in range(len(old)):
            if d != dim:
                self._same((item.src[0], d), (i, d + (d > dim)))

    def _gather(self, i: int, item: Item, dim: int) -> None:
        x, index = item.src
        self.fixed.add((x, dim))
        for d, n in enumerate(item.shape):
            self._same((index, d), (i, d))
            if d != dim and self.items[x].shape[d] == n:
                self._same((x, d), (i, d))
            else:
                self.fixed.add((x, d))

    def _scatter(self, i: int, item: Item, attr: tuple[int, str]) -> None:
        base, index, x = item.src
        for d, n in enumerate(item.shape):
            self._same((base, d), (i, d))
            self._same((index, d), (x, d))
            if d == attr[0]:
                self.fixed.add((i, d))
            elif self.items[x].shape[d] == n:
                self._same((x, d), (i, d))
            else:
                self.fixed.update(((i, d), (x, d)))

    def _stack(self, i: int, item: Item, places: Any) -> None:
        new = [d for d, _ in places]
        self.fixed.update((i, d) for d in new)
        kept = [d for d in range(len(item.shape)) if d not in new]
        for x in item.src:
            for d, k in enumerate(kept):
                self._same((x, d), (i, k))

    def _reshape(self, i: int, item: Item, shape: Shape) -> None:
        source = item.src[0]
        for old, new in _groups(self.items[source].shape, shape):
            if len(old) == len(new) == 1:
                self._same((source, old[0]), (i, new[0]))
            elif len(old) == 1:
                self.parts.append(((source, old[0]), tuple((i, d) for d in new)))
            elif len(new) == 1:
                self.parts.append(((i, new[0]), tuple((source, d) for d in old)))
            else:
                self.fixed.update({(source, d) for d in old} | {(i, d) for d in new})


def _groups(old: Shape, new: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Runs of dimensions of as many elements, of two shapes of one size; dimensions of size 1 are left out."""
    olds, news = ([d for d, n in enumerate(shape) if n != 1] for shape in (old, new))
    while olds:
        a, b = [olds.pop(0)], [news.pop(0)]
        while (m := prod(old[d] for d in a)) != (n := prod(new[d] for d in b)):
            (a if m < n else b).append((olds if m < n else news).pop(0))
        yield a, b


def _resized(sketch: Sketch, shapes: list[Shape]) -> Sketch:
    """The sketch with other shapes; what is given is cut off."""
    items = []
    for item, shape in zip(sketch.items, shapes):
        values = None if item.values is None else item.values[tuple(map(slice, shape))]
        attr = shape if item.op in ("reshape", "expand") else item.attr
        if item.op == "shrink":
            attr = tuple([(low, low + n) for (low, _), n in zip(item.attr, shape)])
        items.append(item._replace(shape=shape, attr=attr, values=values))
    return sketch._replace(items=tuple(items))
