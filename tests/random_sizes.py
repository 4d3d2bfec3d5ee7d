"""Random functions of arrays of any size, for property tests of kernels that serve all sizes.

Comes in: a source of randomness.  Goes out: a `Program`: what it does is drawn once, what it is given may have any
size.  Its numbers are small whole ones, so that every order of operations gives the same result exactly.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernelforge import Tensor

Step = Callable[[Tensor, Tensor], Tensor]
"""What becomes of a tensor, and of the one the program was given."""
SHORT = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 24, 31, 32, 33, 37, 61, 64, 65, 100, 127, 128)
LONG = (257, 997, 1000, 1006, 1007, 1008, 1009, 1010, 1013, 1018, 1021, 1022, 1024, 1025, 1100)
LEAST_LONG = 200
MOST = 1 << 17  # elements of an array
TAME = 5  # numbers are brought back below this after what may have made them larger


@dataclass(frozen=True)
class Program:
    """A function of one array; `visits` are shapes to call it with, one after the other."""

    names: tuple[str, ...]
    steps: tuple[Step, ...]
    visits: tuple[tuple[int, ...], ...]
    dtype: str
    differentiated: bool

    def __call__(self, given: NDArray) -> list[Tensor]:
        """The result, and the gradient of a sum of it where the program asks for that."""
        x = Tensor(given, requires_grad=self.differentiated)
        found = x
        for step in self.steps:
            found = step(found, x)
        if not self.differentiated:
            return [found]
        weights = (Tensor.arange(found.numel()) % 5 - 2).reshape(found.shape).cast(found.dtype)
        return [found, *(found * weights).sum().gradient(x)]

    def given(self, visit: int) -> NDArray:
        numbers = np.random.default_rng(visit).integers(-3, 4, self.visits[visit])
        return np.asarray(numbers).astype(self.dtype)


def program(seed: int) -> Program:
    """The program of a number."""
    rng = random.Random(seed)
    dtype = rng.choice(("float32", "float32", "float32", "int32", "int64"))
    drawn = [rng.choice(list(STEPS)) for _ in range(rng.randint(1, 5))]
    steps = tuple([STEPS[name](rng) for name in drawn])
    return Program(tuple(drawn), steps, _visits(rng), dtype, dtype == "float32" and rng.random() < 0.5)


def _visits(rng: random.Random) -> tuple[tuple[int, ...], ...]:
    """Shapes: some dimensions change, by themselves or with another; the others stay."""
    rank = rng.choice((1, 2, 2, 3))
    fixed = [rng.choice((2, 3, 5, 8, 24)) for _ in range(rank)]
    ways = [rng.choice(("free", "free", "fixed", "tied")) for _ in range(rank)]
    ways[rng.randrange(rank)] = "free"
    tie = rng.choice((lambda n: n, lambda n: n + 1, lambda n: 2 * n))
    found: list[tuple[int, ...]] = []
    begins = rng.choice((1, 1, 8))  # small sizes may come first, or later
    while len(found) < 7:
        first = rng.choice([n for n in SHORT if n >= begins or len(found) > 1])
        first = rng.choice(LONG) if len(found) > 1 and rng.random() < 0.25 else first
        shape, has_first = [], False
        for way, n in zip(ways, fixed):
            if way == "free" and has_first:
                shape.append(rng.choice([n for n in SHORT if n >= begins or len(found) > 1]))
            elif way == "tied":  # but for the last visits, by which time a relation may have been taken for granted
                shape.append(tie(first) if len(found) < 5 else rng.choice(SHORT))
            else:
                shape.append(first if way == "free" else n)
            has_first |= way == "free"
        if np.prod(shape) <= MOST:
            found.append(tuple(shape))
    return tuple(found)


# ------------------------------------------------------------------------------------------------ what may happen


def _tame(x: Tensor) -> Tensor:
    """Numbers brought back to a few, by a function whose gradient is 0 or 1."""
    return x.clip(-TAME, TAME)


def _dim(x: Tensor, place: int) -> int:
    return place % max(1, x.ndim)


def _flat(x: Tensor) -> Tensor:
    return x.reshape(-1) if x.ndim == 0 else x


def _part(rng: random.Random) -> Step:
    """A part of a dimension, its ends told from the beginning or the end."""
    place, start, length = rng.randrange(3), rng.randrange(5), rng.randint(1, 6)
    kind = rng.choice(("both", "from first", "from last", "one", "last"))

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        d = _dim(x, place)
        n = x.shape[d]
        ends = {
            "both": (start, n - length), "from first": (start, start + length), "one": (start, start + 1),
            "from last": (n - start - length, n - start), "last": (n - length, n),
        }  # fmt: skip
        low, high = ends[kind]
        if not 0 <= low < high <= n:
            raise IndexError(f"no such part of {n}")
        return x.shrink(tuple([(low, high) if i == d else (0, m) for i, m in enumerate(x.shape)]))

    return step


def _cat(rng: random.Random) -> Step:
    place, number = rng.randrange(3), rng.randint(2, 3)
    return lambda x, _: _flat(x).cat(*[_flat(x) * (i + 2) for i in range(1, number)], dim=_dim(x, place))


def _cat_given(rng: random.Random) -> Step:
    """With a part of a fixed length before or after it."""
    place, length, first = rng.randrange(3), rng.randint(1, 5), rng.random() < 0.5

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        d = _dim(x, place)
        more = Tensor.ones(*[length if i == d else n for i, n in enumerate(x.shape)], dtype=x.dtype) * 2
        return more.cat(x, dim=d) if first else x.cat(more, dim=d)

    return step


def _stack(rng: random.Random) -> Step:
    place = rng.randrange(3)
    return lambda x, _: Tensor.stack(x, x * 2, dim=_dim(x, place))


def _pad(rng: random.Random) -> Step:
    place, before, after = rng.randrange(3), rng.randrange(4), rng.randrange(8)

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        return x.pad(tuple([(before, after) if i == _dim(x, place) else (0, 0) for i in range(x.ndim)]))

    return step


def _flip(rng: random.Random) -> Step:
    place = rng.randrange(3)
    return lambda x, _: _flat(x).flip(_dim(x, place))


def _strided(rng: random.Random) -> Step:
    place, start, step_ = rng.randrange(3), rng.randrange(2), rng.randint(2, 3)

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        return x[tuple([slice(start, None, step_) if i == _dim(x, place) else slice(None) for i in range(x.ndim)])]

    return step


def _repeat(rng: random.Random) -> Step:
    place, times = rng.randrange(3), rng.randint(2, 3)
    return lambda x, _: _flat(x).repeat(*[times if i == _dim(x, place) else 1 for i in range(max(1, x.ndim))])


def _merge(rng: random.Random) -> Step:
    place = rng.randrange(2)
    return lambda x, _: x.flatten(place % (x.ndim - 1), place % (x.ndim - 1) + 1) if x.ndim > 1 else _flat(x)


def _split(rng: random.Random) -> Step:
    """All elements as rows of as many as the given array has in a dimension."""
    place = rng.randrange(3)

    def step(x: Tensor, given: Tensor) -> Tensor:
        n = given.shape[_dim(given, place)]
        return x.reshape(-1, n) if x.numel() % n == 0 else x

    return step


def _transpose(rng: random.Random) -> Step:
    place = rng.randrange(2)
    return lambda x, _: x.transpose(place % (x.ndim - 1), x.ndim - 1) if x.ndim > 1 else x


def _roll(rng: random.Random) -> Step:
    place, by = rng.randrange(3), rng.choice((-2, -1, 1, 3))
    return lambda x, _: _flat(x).roll(by, _dim(x, place))


def _unfold(rng: random.Random) -> Step:
    place, size, stride = rng.randrange(3), rng.randint(1, 4), rng.randint(1, 2)

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        d = _dim(x, place)
        if x.shape[d] < size:
            raise IndexError("too few places")
        return _tame(x.unfold(d, size, stride).sum(-1))

    return step


def _cumsum(rng: random.Random) -> Step:
    place = rng.randrange(3)
    return lambda x, _: _tame(_tame(_flat(x)).cumsum(_dim(x, place)))


def _sort(rng: random.Random) -> Step:
    place, falling = rng.randrange(3), rng.random() < 0.5
    return lambda x, _: _flat(x).detach().sort(_dim(x, place), descending=falling)[0] + _flat(x)


def _argmax(rng: random.Random) -> Step:
    place = rng.randrange(3)
    return lambda x, _: _flat(x) + _flat(x).argmax(_dim(x, place), keepdim=True).cast(x.dtype) % 5


def _reduced(rng: random.Random) -> Step:
    place, op, keep = rng.randrange(3), rng.choice(("sum", "max", "min")), rng.random() < 0.5

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _tame(_flat(x))
        d = _dim(x, place)
        if op == "sum":
            found = _tame(x.sum(d, keepdim=True))
        else:
            found = x.detach().max(d, keepdim=True) if op == "max" else x.detach().min(d, keepdim=True)
        return x - found.cast(x.dtype) if keep else found.cast(x.dtype).squeeze(d)

    return step


def _masked(rng: random.Random) -> Step:
    """What a position tells: compared with a number, with the size less a number, or its remainder."""
    place, limit, kind = rng.randrange(3), rng.randint(1, 9), rng.choice(("first", "last", "each", "amid"))

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        d = _dim(x, place)
        n = x.shape[d]
        at = Tensor.arange(n).reshape([-1 if i == d else 1 for i in range(x.ndim)])
        masks = {
            "first": lambda: at < limit, "last": lambda: at >= n - limit, "each": lambda: at % (limit + 1) == 0,
            "amid": lambda: (at >= limit) & (at < n - limit),
        }  # fmt: skip
        return masks[kind]().where(x, x * 0 + 1)

    return step


def _triangle(rng: random.Random) -> Step:
    diagonal, upper = rng.randint(-2, 2), rng.random() < 0.5
    return lambda x, _: x if x.ndim < 2 else x.triu(diagonal) if upper else x.tril(diagonal)


def _gather(rng: random.Random) -> Step:
    """Along a dimension, at places that follow from its size, or at fixed ones."""
    place, kind, by = rng.randrange(3), rng.choice(("turned", "fixed", "data")), rng.randint(1, 4)

    def step(x: Tensor, given: Tensor) -> Tensor:
        x = _flat(x)
        d = _dim(x, place)
        n = x.shape[d]
        if kind == "data":
            return x.gather(d, (x.detach().abs() % n).cast("int64"))
        places = (Tensor.arange(n) + by) % n if kind == "turned" else Tensor([0, by, 1])
        if kind == "fixed" and by >= n:
            raise IndexError(f"no place {by} of {n}")
        return x.index_select(d, places)

    return step


def _scatter(rng: random.Random) -> Step:
    place, by = rng.randrange(3), rng.randint(1, 4)

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        d = _dim(x, place)
        n = x.shape[d]
        index = (x.detach().abs() * by % n).cast("int64")
        return _tame(Tensor.zeros(*x.shape, dtype=x.dtype).scatter_add(d, index, _tame(x)))

    return step


def _put(rng: random.Random) -> Step:
    at = rng.randrange(4)

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        if at >= x.shape[0]:
            raise IndexError(f"no place {at} of {x.shape[0]}")
        return x.index_put((Tensor([at]),), Tensor.ones(1, *x.shape[1:], dtype=x.dtype))

    return step


def _product(rng: random.Random) -> Step:
    turned = rng.random() < 0.5

    def step(x: Tensor, _: Tensor) -> Tensor:
        if x.ndim < 2:
            return x
        x = _tame(x)
        other = x.transpose(-1, -2)
        return _tame(other @ x) if turned else _tame(x @ other)

    return step


def _pooled(rng: random.Random) -> Step:
    size, stride, way = rng.randint(2, 3), rng.randint(1, 2), rng.choice(("max", "sum"))

    def step(x: Tensor, _: Tensor) -> Tensor:
        whole = _tame(x).cast("float32").reshape(1, -1, x.shape[-1] if x.ndim else 1)
        if whole.shape[2] < size:
            raise IndexError("too few places")
        found = whole.max_pool1d(size, stride) if way == "max" else whole.avg_pool1d(size, stride) * size
        return _tame((found + 0.25).floor().cast(x.dtype))[0]

    return step


def _convolved(rng: random.Random) -> Step:
    taps, padding, stride = rng.randint(1, 3), rng.randrange(2), rng.randint(1, 2)
    weight = np.asarray([[[rng.randint(-1, 2) for _ in range(taps)]]], np.float32)

    def step(x: Tensor, _: Tensor) -> Tensor:
        whole = _tame(x).cast("float32").reshape(-1, 1, 1, x.shape[-1] if x.ndim else 1)
        if whole.shape[3] + 2 * padding < taps:
            raise IndexError("too few places")
        kernel = Tensor(weight[:, :, None, :])
        found = whole.conv2d(kernel, stride=(1, stride), padding=(0, padding))
        return _tame(found.cast(x.dtype))[:, 0, 0]

    return step


def _walked(rng: random.Random) -> Step:
    """A loop that is spelled out, over as many places, or over all there are where these are few."""
    place, count, outputs = rng.randrange(3), rng.randint(2, 5), rng.random() < 0.5

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        d = _dim(x, place)
        n = x.shape[d]
        if n < 2:
            raise IndexError("too few places")
        rows = x.transpose(0, d)
        state, states = rows[0], []
        for i in range(1, min(count, n)):
            state = _tame(state - rows[i] * 2)
            states.append(state)
        return Tensor.stack(*states) if outputs else state

    return step


def _halves(rng: random.Random) -> Step:
    """The first part against the rest."""
    place, at = rng.randrange(3), rng.randint(1, 5)

    def step(x: Tensor, _: Tensor) -> Tensor:
        x = _flat(x)
        d = _dim(x, place)
        if x.shape[d] <= at:
            raise IndexError("too few places")
        first, rest = x.split([at, x.shape[d] - at], d)
        return (rest * 2).cat(first * 3, dim=d)

    return step


def _plain(rng: random.Random) -> Step:
    number = rng.randint(-2, 3)
    return lambda x, _: _tame(x * number + 1)


STEPS: dict[str, Callable[[random.Random], Step]] = {
    "part": _part, "cat": _cat, "cat given": _cat_given, "stack": _stack, "pad": _pad, "flip": _flip,
    "strided": _strided, "repeat": _repeat, "merge": _merge, "split": _split, "transpose": _transpose,
    "roll": _roll, "unfold": _unfold, "cumsum": _cumsum, "sort": _sort, "argmax": _argmax, "reduced": _reduced,
    "masked": _masked, "triangle": _triangle, "gather": _gather, "scatter": _scatter, "put": _put,
    "product": _product, "pooled": _pooled, "convolved": _convolved, "walked": _walked, "halves": _halves,
    "plain": _plain,
}  # fmt: skip
"""What may happen to a tensor, by name."""
