"""Small random graphs over all operations, for property tests.

Comes in: a source of randomness and what to choose from.  Goes out: the outputs of a graph whose values are tame:
finite, at most 1000 in magnitude, and with every discontinuous operation (floor, comparison, truncation) applied only
to values that no order of rounding can change.  So two correct ways to compute a graph agree within `tolerance`.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.dtypes import ALL, DType, dtypes
from codegen.ops import REDUCE_OPS, SCALAR_OPS
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node, Shape
from tests.evaluate import evaluate, evaluate_all

LIMIT = 1000.0
POSITIVE = ("log", "log2", "log1p", "sqrt", "rsqrt")
EXACT = frozenset(("max", "min", "neg", "abs", "where", "lt", "le", "eq", "ne", "not", "and", "or", "xor"))
DISCONTINUOUS = frozenset(("mod", "lt", "le", "eq", "ne", "floor", "ceil", "trunc", "round"))
FAMILIES = {"elementwise": 5, "view": 4, "reduce": 2, "scan": 1, "cast": 1, "index": 1, "marker": 1}


@dataclass(frozen=True)
class Options:
    """What a random graph is made of.

    steps     operations to choose (each may bring a few more nodes that fit its operands)
    dtypes    element types of leaves and casts
    sizes     sizes of leaf dimensions
    rank      most dimensions of a leaf
    elements  most elements of any node
    families  kinds of operation
    outputs   most outputs
    device    where the leaves are
    """

    steps: int = 8
    dtypes: tuple[DType, ...] = ALL
    sizes: tuple[int, ...] = (1, 2, 3, 4, 5)
    rank: int = 3
    elements: int = 400
    families: tuple[str, ...] = tuple(FAMILIES)
    outputs: int = 2
    device: str = "CPU"


def graphs(**options: object) -> st.SearchStrategy[list[Node]]:
    """The outputs of random graphs; options are the fields of Options."""
    chosen = Options(**options)  # type: ignore[arg-type]
    return st.integers(0, 2**32 - 1).map(lambda seed: random_graph(random.Random(seed), chosen))


def random_graph(rng: random.Random, options: Options = Options()) -> list[Node]:
    """The outputs of one random graph."""
    return Maker(rng, options).outputs()


def tolerance(outputs: Sequence[Node]) -> float:
    """How far two correct ways to compute the outputs may differ, absolutely: 16-bit floats round or stay wider."""
    order = graph.toposort(outputs)
    floats = [node for node in order if node.dtype.is_float]
    largest = max([1.0, *(float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in evaluate_all(floats))])
    step = {dtypes.bfloat16: 2.0**-8, dtypes.float16: 2.0**-11, dtypes.float32: 2.0**-24, dtypes.float64: 2.0**-53}
    return 64 * largest * max([0.0, *(step[node.dtype] for node in floats)])


def values(rng: random.Random, shape: Shape, dtype: DType) -> NDArray:
    """Small values every dtype holds exactly: quarters for floats."""
    generator = np.random.default_rng(rng.getrandbits(32))
    if dtype is dtypes.bool:
        return generator.integers(0, 2, shape).astype(bool)
    if dtype.is_float:
        return generator.integers(-12, 13, shape) / 4
    return generator.integers(0 if dtype.kind == "u" else -6, 7, shape)


def leaf(rng: random.Random, shape: Shape, dtype: DType, device: str = "CPU") -> Node:
    """A buffer with random values, in a shape."""
    return graph.reshape(graph.buffer(Buffer.from_numpy(values(rng, shape, dtype), dtype, device)), shape)


class Maker:
    """A growing pool of nodes; `exact` are those no order of rounding changes."""

    def __init__(self, rng: random.Random, options: Options) -> None:
        self.rng, self.options = rng, options
        self.exact: set[Node] = set()
        self.pool: list[Node] = []
        leaves = rng.randint(1, 3)
        while len(self.pool) < leaves:
            self._keep(self._leaf(), True)
        steps: dict[str, Callable[[Node], Node | None]] = {
            "elementwise": self._elementwise, "view": self._view, "reduce": self._reduce,
            "scan": self._scan, "cast": self._cast, "index": self._index, "marker": self._marker,
        }  # fmt: skip
        for family in rng.choices(options.families, [FAMILIES[name] for name in options.families], k=options.steps):
            made = steps[family](rng.choice(self.pool[-4:] if rng.random() < 0.8 else self.pool))
            if made is not None:
                self._keep(made, self._is_exact(made))

    def outputs(self) -> list[Node]:
        """The last node made and perhaps some others."""
        others = self.rng.sample(self.pool, min(len(self.pool), self.rng.randint(1, self.options.outputs) - 1))
        return list(dict.fromkeys([self.pool[-1], *others]))

    def _keep(self, node: Node, exact: bool) -> None:
        if node.size > self.options.elements or len(node.shape) > 6:
            return
        if node.dtype.is_float:
            found = evaluate(node).astype(np.float64)
            if not np.all(np.abs(found) <= LIMIT):
                return
        self.pool.append(node)
        if exact:
            self.exact.add(node)

    def _is_exact(self, node: Node) -> bool:
        """True when a node repeats, compares or counts exact values."""
        if node in self.exact or node.op in graph.LEAVES:
            return True
        kept = node.op in graph.VIEWS | EXACT | {"gather", "contiguous", "detach"} or not node.dtype.is_float
        if node.op == "cast":
            kept = node.dtype.is_float <= (node.src[0].dtype.bits <= node.dtype.bits and node.src[0].dtype.is_float)
        if node.op in ("reduce", "scan"):
            kept = not node.dtype.is_float or node.attr[0] in ("max", "min")
        return kept and all(self._is_exact(x) for x in node.src)

    # ------------------------------------------------------------------------------------------------ leaves

    def _shape(self) -> Shape:
        return tuple(self.rng.choice(self.options.sizes) for _ in range(self.rng.randint(0, self.options.rank)))

    def _dtype(self) -> DType:
        floats = [dtype for dtype in self.options.dtypes if dtype.is_float]
        return self.rng.choice(floats if floats and self.rng.random() < 0.4 else self.options.dtypes)

    def _leaf(self) -> Node:
        dtype, shape = self._dtype(), self._shape()
        chance = self.rng.random()
        if chance < 0.15:
            return graph.full(shape, values(self.rng, (), dtype).item(), dtype)
        if chance < 0.25 and dtype in (dtypes.int32, dtypes.int64):
            return graph.iota(self.rng.choice(self.options.sizes), dtype)
        return leaf(self.rng, shape, dtype, self.options.device)

    def fit(self, x: Node, shape: Shape) -> Node:
        """x brought to a shape: surplus leading dimensions reduced, others expanded, shrunk or padded."""
        surplus = len(x.shape) - len(shape)
        if surplus > 0:
            x = graph.reduce("max", x, tuple(range(surplus)))
        x = graph.reshape(x, (1,) * -surplus + x.shape) if surplus < 0 else x
        x = graph.expand(x, tuple(n if m == 1 else m for m, n in zip(x.shape, shape)))
        x = graph.shrink(x, tuple((0, min(m, n)) for m, n in zip(x.shape, shape)))
        return graph.pad(x, tuple((0, n - m) for m, n in zip(x.shape, shape)))

    def _operand(self, like: Node) -> Node:
        """A node of the same shape and dtype."""
        if self.rng.random() < 0.25:
            return graph.full(like.shape, values(self.rng, (), like.dtype).item(), like.dtype)
        fitting = [x for x in self.pool if x.dtype is like.dtype]
        found = self.rng.choice(fitting) if fitting else self._cast_to(self.rng.choice(self.pool), like.dtype)
        return self.fit(found, like.shape)

    # -------------------------------------------------------------------------------------------------- steps

    def _elementwise(self, x: Node) -> Node | None:
        kind = x.dtype.kind
        names = [n for n, row in SCALAR_OPS.items() if kind in row.kinds and row.rule not in ("cast", "bitcast")]
        if kind == "f" and not self._is_exact(x):
            names = [n for n in names if n not in DISCONTINUOUS]
        name = self.rng.choice(names)
        if name == "where":
            condition = self._operand(graph.full(x.shape, False, dtypes.bool))
            return graph.elementwise("where", condition, x, self._operand(x))
        operands = [x] + [self._operand(x) for _ in range(SCALAR_OPS[name].arity - 1)]
        if kind == "f" and name in DISCONTINUOUS and not all(map(self._is_exact, operands)):
            return None
        return graph.elementwise(name, *self._within_domain(name, operands))

    def _within_domain(self, name: str, x: list[Node]) -> list[Node]:
        """Operands changed where the operation would lose precision or have no meaning."""
        if name in ("div", "mod") and x[0].dtype.is_float:
            return [x[0], self._positive(x[1])]
        if name == "pow":
            return [self._positive(x[0]), graph.elementwise("tanh", x[1])]
        if name in POSITIVE:
            return [self._positive(x[0])]
        if name in ("shl", "shr"):
            return [x[0], graph.elementwise("and", x[1], graph.full(x[1].shape, 7, x[1].dtype))]
        return x

    def _positive(self, x: Node) -> Node:
        return graph.elementwise("add", graph.elementwise("abs", x), graph.full(x.shape, 0.5, x.dtype))

    def _reduce(self, x: Node) -> Node | None:
        names = [n for n, row in REDUCE_OPS.items() if x.dtype.kind in row.combine.kinds]
        axes = tuple(d for d in range(len(x.shape)) if self.rng.random() < 0.5)
        name = self.rng.choice(names)
        if not axes or (name == "mul" and prod(x.shape[d] for d in axes) > 6):
            return None
        made = graph.reduce(name, x, axes)
        kept = tuple(1 if d in axes else n for d, n in enumerate(x.shape))
        return graph.expand(graph.reshape(made, kept), x.shape) if self.rng.random() < 0.4 else made

    def _scan(self, x: Node) -> Node | None:
        if not x.shape:
            return None
        names = [n for n, row in REDUCE_OPS.items() if x.dtype.kind in row.combine.kinds and n != "mul"]
        return graph.scan(self.rng.choice(names), x, self.rng.randrange(len(x.shape)), self.rng.random() < 0.4)

    def _cast(self, x: Node) -> Node | None:
        dtype = self._dtype()
        if x.dtype.is_float and not dtype.is_float and not self._is_exact(x):
            return None
        fits = dtype.is_int and dtype.bits == x.dtype.bits and x.dtype is not dtypes.bool
        if fits and x.op in ("reshape", "buffer") and self.rng.random() < 0.7:
            return graph.bitcast(x, dtype)
        return self._cast_to(x, dtype)

    def _cast_to(self, x: Node, dtype: DType) -> Node:
        if dtype.kind in "iu" and x.dtype.is_float:
            if not self._is_exact(x):
                x = graph.cast(graph.elementwise("lt", x, graph.full(x.shape, float("inf"), x.dtype)), dtype)
            elif dtype.kind == "u":
                x = graph.elementwise("abs", x)
            # Outside an integer's range the result of a conversion is unspecified.
            x = graph.elementwise("min", x, graph.full(x.shape, 100, x.dtype))
            x = x if dtype.kind == "u" else graph.elementwise("max", x, graph.full(x.shape, -100, x.dtype))
        return graph.cast(x, dtype)

    def _marker(self, x: Node) -> Node:
        return self.rng.choice((graph.contiguous, graph.detach))(x)

    def _index(self, x: Node) -> Node | None:
        if not x.shape or 0 in x.shape:
            return None
        rng, dim = self.rng, self.rng.randrange(len(x.shape))
        shape = tuple(rng.choice(self.options.sizes) if d == dim else rng.randint(1, n) for d, n in enumerate(x.shape))
        index = self._places(shape, x.shape[dim])
        if rng.random() < 0.5:
            return graph.gather(x, index, dim)
        mode = rng.choice([n for n, row in REDUCE_OPS.items() if x.dtype.kind in row.combine.kinds and n != "mul"])
        if rng.random() < 0.4:
            mode, index = "set", self._distinct_places(shape, dim, x.shape[dim])
        source = self._operand(graph.full(index.shape, 0, x.dtype))
        alike = all(m == n for d, (m, n) in enumerate(zip(index.shape, x.shape)) if d != dim)
        if mode != "set" and alike and not x.dtype.is_float and rng.random() < 0.5:
            return graph.tally(x, index, source, dim, mode)
        return graph.scatter(x, index, source, dim, mode)

    def _places(self, shape: Shape, size: int) -> Node:
        """An index of a shape with values 0 .. size-1: data, or computed."""
        dtype = self.rng.choice((dtypes.int32, dtypes.int64))
        index = leaf(self.rng, shape, dtype, self.options.device)
        return graph.elementwise("mod", index, graph.full(shape, size, dtype))

    def _distinct_places(self, shape: Shape, dim: int, size: int) -> Node:
        """An index whose values along dim differ."""
        count = min(shape[dim], size)
        line = graph.shrink(graph.flip(graph.iota(size), (0,)), ((0, count),))
        spread = graph.reshape(line, tuple(count if d == dim else 1 for d in range(len(shape))))
        return graph.expand(spread, tuple(count if d == dim else n for d, n in enumerate(shape)))

    def _view(self, x: Node) -> Node | None:
        view = self.rng.choice((self._reshape, self._permute, self._expand, self._pad, self._shrink, self._flip,
                                self._window, self._unwindow))  # fmt: skip
        return view(x)

    def _reshape(self, x: Node) -> Node:
        left, shape = x.size, []
        while left > 1 and self.rng.random() < 0.8:
            factor = self.rng.choice([n for n in range(1, left + 1) if left % n == 0])
            shape.append(factor)
            left //= factor
        shape.insert(self.rng.randint(0, len(shape)), left)
        return graph.reshape(x, tuple(shape))

    def _permute(self, x: Node) -> Node:
        return graph.permute(x, tuple(self.rng.sample(range(len(x.shape)), len(x.shape))))

    def _expand(self, x: Node) -> Node:
        x = graph.reshape(x, (1, *x.shape)) if 1 not in x.shape else x
        return graph.expand(x, tuple(self.rng.choice(self.options.sizes) if n == 1 else n for n in x.shape))

    def _pad(self, x: Node) -> Node:
        return graph.pad(x, tuple((self.rng.randint(0, 2), self.rng.randint(0, 2)) for _ in x.shape))

    def _shrink(self, x: Node) -> Node:
        smallest = 0 if 0 in self.options.sizes else 1
        starts = [self.rng.randint(0, max(0, n - smallest)) for n in x.shape]
        return graph.shrink(x, tuple((a, self.rng.randint(min(n, a + smallest), n)) for a, n in zip(starts, x.shape)))

    def _flip(self, x: Node) -> Node:
        return graph.flip(x, tuple(d for d in range(len(x.shape)) if self.rng.random() < 0.5))

    def _window(self, x: Node) -> Node | None:
        if not x.shape:
            return None
        dim, size = self.rng.randrange(len(x.shape)), self.rng.randint(1, 3)
        stride, dilation = self.rng.randint(1, 3), self.rng.randint(1, 2)
        fits = dilation * (size - 1) < x.shape[dim]
        return graph.window(x, dim, size, stride, dilation) if fits else None

    def _unwindow(self, x: Node) -> Node | None:
        if len(x.shape) < 2:
            return None
        dim, stride, dilation = self.rng.randrange(len(x.shape) - 1), self.rng.randint(1, 3), self.rng.randint(1, 2)
        span = (x.shape[dim] - 1) * stride + (x.shape[dim + 1] - 1) * dilation + 1
        return graph.unwindow(x, dim, max(1, span + self.rng.randint(-1, 2)), stride, dilation)
