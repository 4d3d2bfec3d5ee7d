"""Random valid kernels and arrays to run them on, for every test of the form "for all kernels".

`random_kernel(seed)` is a small kernel of one of the families below; `random_arrays(kernel, seed)` are its arguments;
`run(kernel, arrays)` is what the interpreter makes of them.  Values are built so that rounding cannot decide anything:
floats stay moderate, only integers and loaded floats are compared.  `kernels()` is the hypothesis strategy.

    elementwise  several stores, casts, where, views: flips, strides, pads, windows, flattened and split axes, gathers
    reduction    nested and sibling reduces of any operation     contraction  with batch, prologue and epilogue
    softmax      a max and sums that hang on it, streams         window       sums of products over windows
    masked       sums of products, and streams, where one operand is masked outside a band
    again        masked sums of masked sums over the same axis
    accumulate   stores that add, take the max, raise flags
    scan         scans of scans and of reduces, and reduces of them, along any axis
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.bounds import bounds
from codegen.dtypes import ALL, DType, dtypes, to_storage
from codegen.index import Axis, Guard, Index, constant, dynamic
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, const, coord, load, reduce, scan, valid
from codegen.rewrites.merging import flattened
from codegen.rewrites.phases import phased
from codegen.rewrites.scanning import forward

SIZES = (1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 12, 17)
FLOATS = (dtypes.float32, dtypes.float16, dtypes.bfloat16, dtypes.float64)
INTEGERS = tuple(d for d in ALL if d.is_int)


def kernels(*families: str, sizes: Sequence[int] = SIZES) -> st.SearchStrategy[Kernel]:
    """A strategy for random kernels, of the named families or of all."""
    return st.builds(lambda seed: random_kernel(seed, *families, sizes=sizes), st.integers(0, 1 << 32))


def random_kernel(seed: int, *families: str, sizes: Sequence[int] = SIZES) -> Kernel:
    """A random valid kernel of one of the named families, or of any; the same for the same arguments."""
    make = _Maker(random.Random(seed), sizes)
    family = make.rng.choice(families or tuple(FAMILIES))
    stores = FAMILIES[family](make)
    kernel = forward(Kernel(family, tuple(make.params), tuple(stores)))
    return phased(kernel) if make.rng.random() < 0.5 else kernel


def random_arrays(kernel: Kernel, seed: int = 0) -> dict[str, NDArray]:
    """Arguments for a kernel: floats in (-2, 2), integers around 0 (some outside the range of a gather)."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for param in kernel.params:
        if param.dtype.is_float:
            values = rng.uniform(-2, 2, param.size)
        elif param.dtype is dtypes.bool:
            values = rng.integers(0, 2, param.size)
        else:
            values = rng.integers(0 if param.dtype.kind == "u" else -3, 12, param.size)
        arrays[param.name] = to_storage(values, param.dtype)
    return arrays


def run(kernel: Kernel, arrays: dict[str, NDArray]) -> dict[str, NDArray]:
    """The written arrays after the kernel ran on copies of the arguments."""
    copies = {param.name: arrays[param.name].copy() for param in kernel.params}
    interpret(kernel, copies)
    return {name: copies[name] for name in sorted(kernel.written)}


class _Maker:
    """Random pieces of one kernel; its parameters grow as loads are made."""

    def __init__(self, rng: random.Random, sizes: Sequence[int]) -> None:
        self.rng, self.sizes = rng, sizes
        self.params: list[Param] = []
        self.loadable: list[Param] = []
        self.axis_count = 0
        self.backward: dict[Axis, bool] = {}  # the axes scanned, and which way

    # ------------------------------------------------------------------------------------------- small choices

    def axis(self, size: int | None = None) -> Axis:
        self.axis_count += 1
        return Axis(f"a{self.axis_count}", size or self.rng.choice(self.sizes))

    def axes(self, least: int, most: int, volume: int = 600) -> list[Axis]:
        """Fresh axes with a bounded product of sizes."""
        found: list[Axis] = []
        for _ in range(self.rng.randint(least, most)):
            room = volume // prod(a.size for a in found)
            found.append(self.axis(self.rng.choice([s for s in self.sizes if s <= room] or [1])))
        return found

    def some(self, axes: Sequence[Axis]) -> list[Axis]:
        """A random subset in random order, mostly large."""
        chosen = [a for a in axes if self.rng.random() < 0.8]
        self.rng.shuffle(chosen)
        return chosen

    def param(self, dtype: DType, size: int) -> Param:
        made = Param(f"p{len(self.params)}", dtype, size)
        self.params.append(made)
        return made

    # ------------------------------------------------------------------------------------------------- places

    def place(self, axes: Sequence[Axis], depth: int = 1) -> tuple[Index, set[Guard], int]:
        """A random view: an index over axes, its guards, and the size of a parameter that holds it."""
        index, guards = constant(0), set()
        for dim in self.dims(axes):
            low, high = dim.lo, dim.hi
            view = self.rng.random()
            if view < 0.1:
                dim = constant(dim.hi) - dim
            elif view < 0.2:
                dim = dim * 2 + self.rng.randint(0, 2)
            elif view < 0.35:
                dim = dim - self.rng.randint(1, 2)
                high = max(0, high - self.rng.randint(0, 2))
                guards.add(Guard(dim, 0, high + 1))
                index = index * (high + 1) + dim
                continue
            elif view < 0.42 and depth:
                picked = dynamic(self.integer(axes), high + 1)
                guards.add(Guard(picked, 0, high + 1))
                dim = picked
            high = max(dim.hi, low)
            index = index * (high + 1) + dim
        _, highest = bounds(index, frozenset(guards))
        return index, guards, max(1, highest + 1 + self.rng.randint(0, 1))

    def dims(self, axes: Sequence[Axis]) -> list[Index]:
        """One index per dimension: an axis, a window over two, or a reshape of the flattened axes."""
        dims = [a.index for a in axes]
        if len(dims) >= 2 and self.rng.random() < 0.2:
            first, second, *rest = dims
            return [first + second, *rest]
        if len(axes) >= 2 and self.rng.random() < 0.25:
            total = prod(a.size for a in axes)
            inner = self.rng.choice([d for d in range(1, total + 1) if total % d == 0])
            flat = flattened(axes)
            return [flat // inner, flat % inner][:: self.rng.choice((1, -1))]
        return dims

    # ------------------------------------------------------------------------------------------------- values

    def loaded(self, axes: Sequence[Axis], dtype: DType, depth: int = 1) -> Expr:
        """A load of a random storage type, cast to dtype."""
        index, guards, size = self.place(axes, depth)
        stored = self.stored(dtype)
        known = [p for p in self.loadable if p.dtype is stored and p.size >= size and self.rng.random() < 0.5]
        if not known:
            known.append(self.param(stored, size))
            self.loadable.append(known[0])
        return self.cast(load(known[0], index, guards), dtype)

    def piece(self, axis: Axis, rest: Sequence[Axis], dtype: DType, start: int, end: int) -> Expr:
        """What is read where start <= axis < end alone, or a constant."""
        if self.rng.random() < 0.2:
            return const(self.rng.randint(0, 2), dtype)
        stored, width, index = self.stored(dtype), end - start, axis.index - start
        for a in rest:
            index = index + a.index * width
        param = self.param(stored, width * prod(a.size for a in rest))
        return self.cast(load(param, index, (Guard(axis.index, start, end),)), dtype)

    def narrow(self, axes: Sequence[Axis], stored: DType, dtype: DType) -> Expr:
        """A value of a narrow type, loaded or perhaps computed, widened to dtype."""
        index, guards, size = self.place(axes, 0)
        value = load(self.param(stored, size), index, guards)
        if self.rng.random() < 0.2:
            value = self.cast(apply("neg", self.cast(value, dtype)), stored)
        return self.cast(value, dtype)

    def stored(self, dtype: DType) -> DType:
        """A storage type whose values dtype holds."""
        if self.rng.random() < 0.6:
            return dtype
        if dtype.is_float:
            return self.rng.choice(FLOATS[:3])
        return self.rng.choice((dtypes.bool, dtypes.int8, dtypes.uint8, dtype))

    def cast(self, e: Expr, dtype: DType) -> Expr:
        return apply("cast", e, dtype=dtype)

    def integer(self, axes: Sequence[Axis]) -> Expr:
        """A small int32 value."""
        if axes and self.rng.random() < 0.3:
            return coord(self.rng.choice(list(axes)).index + self.rng.randint(-1, 1))
        return self.loaded(self.some(axes), dtypes.int32, depth=0)

    def condition(self, axes: Sequence[Axis]) -> Expr:
        if axes and self.rng.random() < 0.4:
            axis = self.rng.choice(list(axes))
            return valid([Guard(axis.index, self.rng.randint(0, 1), self.rng.randint(1, axis.size))])
        name = self.rng.choice(("lt", "le", "eq", "ne"))
        return apply(name, self.integer(axes), const(self.rng.randint(0, 4), dtypes.int32))

    def band(self, row: Axis, column: Axis) -> Expr:
        """A condition that holds on one side of a diagonal, between two, or outside."""
        shifts = [const(self.rng.randint(-9, 9), dtypes.int32) for _ in range(2)]
        places = [apply("add", coord(axis.index), shift) for axis, shift in zip((row, column), shifts)]
        condition = apply(self.rng.choice(("lt", "le")), *self.rng.sample(places, 2))
        if self.rng.random() < 0.5:
            shifted = [coord(axis.index + self.rng.randint(-9, 9)) for axis in (row, column)]
            other = apply(self.rng.choice(("lt", "le", "ne")), *self.rng.sample(shifted, 2))
            condition = apply(self.rng.choice(("and", "and", "or")), condition, other)
        if self.rng.random() < 0.2:
            condition = apply("and", condition, valid([Guard(column.index, 0, self.rng.randint(1, column.size))]))
        return apply("not", condition) if self.rng.random() < 0.3 else condition

    def value(self, axes: Sequence[Axis], dtype: DType, depth: int) -> Expr:
        """A random expression over (some of) the axes."""
        if depth == 0 or self.rng.random() < 0.15:
            leaf = self.rng.random()
            if leaf < 0.1:
                return const(self.rng.randint(0, 3), dtype)
            if leaf < 0.2 and axes:
                return self.cast(coord(self.rng.choice(list(axes)).index), dtype)
            return self.loaded(self.some(axes), dtype)
        if self.rng.random() < 0.15:
            branches = (self.value(axes, dtype, depth - 1), self.value(axes, dtype, depth - 1))
            return apply("where", self.condition(axes), *branches)
        x = self.value(axes, dtype, depth - 1)
        if self.rng.random() < 0.4:
            return self.float_unary(x) if dtype.is_float else self.integer_unary(x)
        y = x if self.rng.random() < 0.15 else self.value(axes, dtype, depth - 1)
        return self.float_binary(x, y) if dtype.is_float else self.integer_binary(x, y)

    def float_unary(self, x: Expr) -> Expr:
        name = self.rng.choice(("neg", "abs", "sin", "cos", "tanh", "erf", "exp", "sqrt", "rsqrt", "log"))
        if name == "exp":
            return apply("exp", apply("tanh", x))
        if name in ("sqrt", "rsqrt", "log"):
            return apply(name, apply("add", apply("abs", x), const(1, x.dtype)))
        return apply(name, x)

    def float_binary(self, x: Expr, y: Expr) -> Expr:
        name = self.rng.choice(("add", "add", "sub", "mul", "mul", "div", "max", "min"))
        if name == "div":
            y = apply("add", apply("abs", y), const(1, y.dtype))
        if name == "mul":
            y = apply("tanh", y)
        return apply(name, x, y)

    def integer_unary(self, x: Expr) -> Expr:
        name = self.rng.choice(("neg", "not", "shl", "shr", *(["abs"] if x.dtype.kind == "i" else [])))
        if name in ("shl", "shr"):
            return apply(name, x, const(self.rng.choice((0, 1, x.dtype.bits - 1, x.dtype.bits)), x.dtype))
        return apply(name, x)

    def integer_binary(self, x: Expr, y: Expr) -> Expr:
        names = ("add", "sub", "mul", "floordiv", "mod", "max", "min", "and", "or", "xor")
        return apply(self.rng.choice(names), x, y)

    def reduced(self, axes: Sequence[Axis], dtype: DType, depth: int) -> Expr:
        """A random reduce over fresh axes, perhaps of a value that holds another."""
        bound = self.axes(1, 2, volume=40)
        names = ("add", "add", "max", "min") if dtype.is_float else ("add", "mul", "max", "min", "and", "or", "xor")
        body = self.value([*axes, *bound], dtype, depth)
        if self.rng.random() < 0.4:
            body = apply("add", body, self.reduced(self.some([*axes, *bound]), dtype, 1))
        return reduce(self.rng.choice(names), body, bound)

    def scanned(self, axes: Sequence[Axis], dtype: DType, depth: int) -> Expr:
        """A random scan along one of the axes, always one way, perhaps of a value that holds a reduce or a scan."""
        names = ("add", "add", "max", "min") if dtype.is_float else ("add", "mul", "max", "min", "and", "or", "xor")
        body = self.value(axes, dtype, depth)
        inner = self.rng.random()
        if inner < 0.3:
            body = apply("add", body, self.scanned(axes, dtype, 1))
        elif inner < 0.5:
            body = apply("add", body, self.reduced(self.some(axes), dtype, 1))
        axis = self.rng.choice(list(axes))
        return scan(self.rng.choice(names), body, axis, self.backward.setdefault(axis, self.rng.random() < 0.3))

    # ------------------------------------------------------------------------------------------------- stores

    def store(self, axes: Sequence[Axis], value: Expr) -> Store:
        """A plain store over axes in a random memory order."""
        memory = list(axes)
        if self.rng.random() < 0.3:
            self.rng.shuffle(memory)
        index = flattened(memory) + self.rng.choice((0, 0, 1))
        stored = value.dtype
        if value.dtype is dtypes.float32 and self.rng.random() < 0.3:
            stored = self.rng.choice((dtypes.float16, dtypes.bfloat16))
        guards = frozenset[Guard]()
        if memory and self.rng.random() < 0.15:
            guards = frozenset([Guard(memory[0].index, 0, max(1, memory[0].size - 1))])
        return Store(self.param(stored, index.hi + 1), index, value, guards, order=tuple(axes))

    def accumulation(self, axes: Sequence[Axis], value: Expr) -> Store:
        """A store at whose places points meet: some axes are missing in its index, or the place is gathered."""
        index, guards = flattened([a for a in axes if self.rng.random() < 0.5]), frozenset[Guard]()
        if self.rng.random() < 0.4:
            picked = dynamic(self.integer(axes), 9)
            index, guards = index * 9 + picked, frozenset([Guard(picked, 0, 9)])
        mode = self.rng.choice(("add", "max", "min"))
        return Store(self.param(value.dtype, index.hi + 1), index, value, guards, mode, tuple(axes))

    def dtype(self) -> DType:
        return self.rng.choice((dtypes.float32,) * 6 + (dtypes.float64, dtypes.int32, dtypes.int32, *INTEGERS))


# ------------------------------------------------------------------------------------------------------ families


def _elementwise(make: _Maker) -> list[Store]:
    axes = make.axes(0, 3)
    values = [make.value(axes, make.dtype(), make.rng.randint(0, 4)) for _ in range(make.rng.randint(1, 3))]
    stores = [make.store(axes, value) for value in values]
    if make.rng.random() < 0.3:
        stores.append(make.store(axes, make.condition(axes)))
    return stores


def _reduction(make: _Maker) -> list[Store]:
    stores = []
    for _ in range(make.rng.randint(1, 2)):
        axes, dtype = make.axes(0, 2, volume=60), make.dtype()
        value = make.reduced(axes, dtype, 2)
        for _ in range(make.rng.randint(0, 2)):
            value = apply("add", value, make.rng.choice((make.reduced, make.value))(axes, dtype, 1))
        stores.append(make.store(axes, value))
    return stores


def _scan(make: _Maker) -> list[Store]:
    stores = []
    axes, dtype = make.axes(1, 3, volume=300), make.dtype()
    for _ in range(make.rng.randint(1, 2)):
        value = make.scanned(axes, dtype, 2)
        chance = make.rng.random()
        if chance < 0.4:
            value = apply("add", value, make.rng.choice((make.scanned, make.value))(axes, dtype, 1))
        if chance > 0.8:
            bound = make.some(axes)
            total = reduce(make.rng.choice(("add", "max")), value, bound)
            rest = [a for a in axes if a not in bound]
            stores.append(make.store(*make.rng.choice(((rest, total), (axes, apply("sub", value, total))))))
        else:
            stores.append(make.store(axes, value))
    return stores


def _contraction(make: _Maker) -> list[Store]:
    batch, rows, columns = make.axes(0, 1, 3), make.axes(1, 2, 20), make.axes(1, 2, 20)
    summed, dtype = make.axes(1, 2, 20), make.rng.choice((dtypes.float32, dtypes.float32, dtypes.float64, dtypes.int32))
    narrow = {dtypes.float32: (dtypes.bfloat16, dtypes.float16), dtypes.int32: (dtypes.int8, dtypes.uint8)}.get(dtype)
    narrow = narrow if make.rng.random() < 0.4 else None
    operands = []
    for own in (rows, columns):
        axes = [*batch, *own, *summed]
        make.rng.shuffle(axes)
        operand = make.narrow(axes, make.rng.choice(narrow), dtype) if narrow else make.loaded(axes, dtype, depth=0)
        if make.rng.random() < 0.3 and dtype.is_float:
            operand = make.float_unary(operand)
        operands.append(operand)
    value = reduce("add", apply("mul", *operands), summed)
    axes = [*batch, *rows, *columns]
    if make.rng.random() < 0.5:
        value = apply("add", value, make.loaded(columns, dtype, depth=0))
    if make.rng.random() < 0.3 and dtype.is_float:
        value = make.float_unary(value)
    return [make.store(axes, value)]


def _window(make: _Maker) -> list[Store]:
    """Sums of products over windows: over the places within them, or over where they are."""
    rank = make.rng.choice((1, 1, 2))
    places, taps = (make.axes(rank, rank, volume=volume) for volume in (60, 9))
    others, columns = make.axes(0, 2, volume=12), make.axes(1, 1, volume=40)
    dtype = make.rng.choice((dtypes.float32, dtypes.float32, dtypes.float64, dtypes.int32))
    index, guards = flattened(others), set()
    for place, tap in zip(places, taps):
        at = place.index * make.rng.choice((1, 1, 2)) + tap.index * make.rng.choice((1, 1, -1, 2))
        at -= make.rng.randint(0, 2) + min(0, at.lo)
        if make.rng.random() < 0.4:
            guards.add(Guard(at % 2, 0, 1))
            at = at // 2
        size = at.hi + 1 - make.rng.randint(0, 2)
        guards.add(Guard(at, 0, max(1, size)))
        index = index * max(1, size) + at
    stored = make.stored(dtype)
    _, highest = bounds(index, frozenset(guards))
    seen = make.cast(load(make.param(stored, max(1, highest + 1)), index, guards), dtype)
    summed, free = ([*taps], [*places]) if make.rng.random() < 0.6 else ([*places], [*taps])
    for axis in others:
        (summed if make.rng.random() < 0.6 else free).append(axis)
    value = reduce("add", apply("mul", seen, make.loaded([*columns, *summed], dtype, depth=0)), summed)
    return [make.store([*free, *columns], value)]


def _softmax(make: _Maker) -> list[Store]:
    """Statistics of rows: exp(c * (s - max s)), its sum, weighted sums, the log of the sum."""
    rows, summed = make.axes(0, 2, volume=20), make.axes(1, 2, volume=30)
    dtype = make.rng.choice((dtypes.float32, dtypes.float32, dtypes.float64))
    score = make.value([*rows, *summed], dtype, 1)
    if make.rng.random() < 0.4:
        masked = make.condition([*rows, *summed])
        score = apply("where", masked, score, const(-1e4, dtype))
    top = reduce("max", score, summed)
    if make.rng.random() < 0.4:
        finite = apply("lt", apply("abs", top), const(float("inf"), dtype))
        top = apply("where", finite, top, const(0, dtype))
    weight = apply("exp", apply("mul", apply("sub", score, top), const(make.rng.choice((1, 1, 2, 0.5)), dtype)))
    total = reduce("add", weight, summed)
    results: list[Callable[[], tuple[list[Axis], Expr]]] = [
        lambda: ([*rows, *summed], apply("div", weight, total)),
        lambda: (rows, apply("add", apply("log", total), top)),
    ]

    def weighted() -> tuple[list[Axis], Expr]:
        columns = make.axes(0, 1, volume=8)
        product = apply("mul", apply("div", weight, total), make.loaded([*summed, *columns], dtype, depth=0))
        return [*rows, *columns], reduce("add", product, summed)

    chosen = make.rng.sample([*results, weighted], make.rng.randint(1, 3))
    return [make.store(*result()) for result in chosen]


def _masked(make: _Maker) -> list[Store]:
    """What attention with a mask and its gradients are made of: weights that are 0 outside a band, summed both ways."""
    rows, keys = (make.axis(make.rng.choice((3, 7, 16, 33, 40, 64))) for _ in range(2))
    depth, columns, band = make.axes(1, 1, 5), make.axes(1, 1, 20), make.band(rows, keys)
    dtype = make.rng.choice((dtypes.float32, dtypes.float32, dtypes.float64))
    product = apply("mul", make.loaded([rows, *depth], dtype, depth=0), make.loaded([keys, *depth], dtype, depth=0))
    score = reduce("add", product, depth)
    weight, finite = apply("where", band, score, const(0, dtype)), True
    if make.rng.random() < 0.6:
        hidden = apply("where", band, score, const(float("-inf"), dtype))
        top, finite = reduce("max", hidden, [keys]), make.rng.random() < 0.7
        if finite:  # else a row outside the band is nan
            empty = apply("eq", top, const(float("-inf"), dtype))
            top = apply("where", empty, const(0, dtype), top)
        weight = apply("exp", apply("sub", hidden, top))

    def weighted(summed: Axis, kept: Axis) -> Store:
        other = make.loaded([summed, *columns], dtype, depth=0)
        return make.store([kept, *columns], reduce("add", apply("mul", weight, other), [summed]))

    results = [lambda: weighted(keys, rows), lambda: make.store([rows], reduce("add", weight, [keys]))]
    results += [lambda: weighted(rows, keys)] if finite else []
    return [result() for result in make.rng.sample(results, make.rng.randint(1, 2))]


def _again(make: _Maker) -> list[Store]:
    """Sums along diagonals of sums along diagonals, as of windows put back twice: each binds the same axis."""
    rows, dtype = make.axes(0, 2, 20), make.rng.choice((dtypes.float32, dtypes.int32))
    place, *taps = (make.axis(make.rng.choice((2, 3, 3, 5))) for _ in range(4))
    value, zero = make.loaded([*rows, *taps], dtype, depth=0), const(0, dtype)
    for tap in taps:
        inside = make.band(place, tap) if make.rng.random() < 0.5 else apply("eq", coord(place.index), coord(tap.index))
        value = apply("where", inside, value, zero)
        if make.rng.random() < 0.8:
            value = reduce("add", value, [place, tap])
        else:
            value = reduce("max", reduce("add", value, [tap]), [place])
    return [make.store(make.rng.choice((rows, [*rows, place])), value)]


def _joined(make: _Maker) -> list[Store]:
    """Pieces side by side along an axis, guarded or not, as they come out of joining, padding and rolling."""
    axis, rest, dtype = make.axis(make.rng.choice((40, 61, 97, 128))), make.axes(0, 1, 6), make.dtype()
    ends = sorted(make.rng.sample(range(1, axis.size), make.rng.randint(1, 3)))
    value, position = make.piece(axis, rest, dtype, ends[-1], axis.size), coord(axis.index)
    for start, end in reversed(list(pairwise((0, *ends)))):
        inside = apply("lt", position, const(end, dtypes.int32))
        value = apply("where", inside, make.piece(axis, rest, dtype, start, end), value)
    value = apply("add", value, make.value([axis, *rest], dtype, 1))
    if make.rng.random() < 0.7:
        return [make.store([*rest, axis], value)]
    return [make.store(rest, reduce("max", value, [axis]))]


def _accumulate(make: _Maker) -> list[Store]:
    stores = []
    for _ in range(make.rng.randint(1, 2)):
        axes = make.axes(1, 3, volume=200)
        stores.append(make.accumulation(axes, make.value(axes, make.dtype(), 2)))
    if make.rng.random() < 0.5:
        stores.append(Store(make.param(dtypes.int32, 1), constant(0), make.condition(make.axes(1, 2)), mode="flag"))
    return stores


FAMILIES: dict[str, Callable[[_Maker], list[Store]]] = {
    "elementwise": _elementwise,
    "reduction": _reduction,
    "scan": _scan,
    "contraction": _contraction,
    "window": _window,
    "softmax": _softmax,
    "masked": _masked,
    "again": _again,
    "joined": _joined,
    "accumulate": _accumulate,
}
