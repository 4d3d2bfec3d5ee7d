"""The discrete Fourier transform of a few numbers, spelled out, and the short transforms a longer one is made of.

Comes in: real and imaginary parts, as tensors.  Goes out: those of the transform, as sums and differences of them: what
two results share is one node, and a factor whose parts are 0 or equal takes fewer multiplications.

source  J. Cooley, J. Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from kernelforge.tensor.elementwise import Elementwise

    T = TypeVar("T", bound=Elementwise)
    Number: TypeAlias = tuple[T, T]

MOST_DIRECT: Final = 64  # the longest transform that is one product, unless its length is prime
MOST_SPELLED: Final = 16  # numbers of a transform that is spelled out: what a kernel holds in registers, or nearly
_WIDE: Final = 16  # numbers a vector holds
_MOVE: Final = 1.5  # cycles to read or write a vector of a kernel's arrays
_STEP: Final = 2000.0  # those a kernel takes beside its work
_SCATTER: Final = 16.0  # those to write a vector whose numbers lie apart
_WOVEN: Final = (2, 4, 8, 16)  # distances of numbers written by several vectors that fill the places between


# ------------------------------------------------------------------------------------------------- spelled out


def transformed(x: Sequence[Number[T]], sign: int) -> list[Number[T]]:
    """sum_j x[j] exp(sign 2 pi i j k / n) for each k from 0 to below n."""
    n = len(x)
    if n == 1:
        return list(x)
    rows = _rows(n)
    if rows == n:
        return _of_a_pair(x) if n == 2 else _of_a_prime(x, sign)
    columns = n // rows
    parts = [transformed(x[j::columns], sign) for j in range(columns)]
    turned = [[turn(z, j * k, n, sign) for k, z in enumerate(part)] for j, part in enumerate(parts)]
    found = [transformed([part[k] for part in turned], sign) for k in range(rows)]
    return [found[k][i] for i in range(columns) for k in range(rows)]


def _rows(n: int) -> int:
    """The larger of two factors of n as near to each other as can be; n for a prime."""
    return next(n // d for d in range(math.isqrt(n), 0, -1) if n % d == 0)


def _of_a_pair(x: Sequence[Number[T]]) -> list[Number[T]]:
    (a, b), (c, d) = x
    return [(a + c, b + d), (a - c, b - d)]


def _of_a_prime(x: Sequence[Number[T]], sign: int) -> list[Number[T]]:
    """Sums and differences of what lies at either end meet cosines, and sines, alone."""
    n, (re, im) = len(x), x[0]
    half = range(1, n // 2 + 1)
    sums = [(x[k][0] + x[n - k][0], x[k][1] + x[n - k][1]) for k in half]
    rest = [(x[k][0] - x[n - k][0], x[k][1] - x[n - k][1]) for k in half]
    found: list[Number[T]] = [(re, im)] * n
    for a, b in sums:
        found[0] = found[0][0] + a, found[0][1] + b
    for j in half:
        angles = [2 * math.pi * (j * k % n) / n for k in half]
        even, odd = [
            [_combined([z[part] for z in numbers], [f(angle) for angle in angles]) for part in (0, 1)]
            for numbers, f in ((sums, math.cos), (rest, lambda angle: sign * math.sin(angle)))
        ]
        a, b = re + even[0], im + even[1]
        found[j], found[n - j] = (a - odd[1], b + odd[0]), (a + odd[1], b - odd[0])
    return found


def _combined(x: Sequence[T], factors: Sequence[float]) -> T:
    found = x[0] * factors[0]
    for value, factor in zip(x[1:], factors[1:]):
        found = found + value * factor
    return found


def turn(z: Number[T], m: int, n: int, sign: int) -> Number[T]:
    """z exp(sign 2 pi i m / n)."""
    quarter, rest = divmod(m * sign % n * 4, n)  # rest / n of a quarter is left
    re, im = z
    for _ in range(quarter):
        re, im = -im, re
    if 2 * rest == n:
        half = math.sqrt(0.5)
        return (re - im) * half, (re + im) * half
    if not rest:
        return re, im
    cos, sin = math.cos(math.pi / 2 * rest / n), math.sin(math.pi / 2 * rest / n)
    return re * cos - im * sin, re * sin + im * cos


# ----------------------------------------------------------------------------------------------------- in steps


@cache
def operations(n: int) -> int:
    """Additions and multiplications of transformed(), about."""
    rows = _rows(n)
    if rows == n:
        return 4 if n == 2 else (n - 1) * (n + 4)
    columns = n // rows
    return columns * operations(rows) + rows * operations(columns) + 5 * (rows - 1) * (columns - 1)


def steps(n: int, width: int, rows: int) -> tuple[int, ...]:
    """The lengths of the short transforms that `rows` transforms of length n take the least time in; none where a prime
    factor is too long to be spelled out, or one product with all factors takes less time.

    width  numbers side by side at each place

    >>> steps(1024, 1, 64), steps(1000, 1, 64), steps(12, 1, 64), steps(12, 64, 1), steps(34, 1, 64)
    ((16, 4, 16), (8, 5, 5, 5), (), (12,), ())
    """
    if n < 2 or not width * rows:
        return ()
    rows = 1 << min(rows, 1 << 10).bit_length() - 1  # so that few sizes differ in structure
    cost, found = _cheapest(n, width, rows)
    product = math.inf if n > MOST_DIRECT else _STEP + rows * width * n * n / 4
    return found if cost < product else ()


@lru_cache(maxsize=1024)
def round_length(least: int, rows: int) -> int:
    """The length from `least` on, with no prime factors above 5, that `rows` transforms of take the least time.

    >>> round_length(1418, 16), round_length(4, 1)
    (1440, 4)
    """
    end = 1 << (least - 1).bit_length()
    threes = [3**i * 5**j for i in range(end.bit_length()) for j in range(end.bit_length()) if 3**i * 5**j <= end]
    lengths = {x << shift for x in threes for shift in range(end.bit_length()) if least <= x << shift <= end}
    return min(sorted(lengths), key=lambda n: _cheapest(n, 1, rows)[0])


@lru_cache(maxsize=4096)
def _cheapest(left: int, width: int, rows: int) -> tuple[float, tuple[int, ...]]:
    """The cycles of a transform in steps, and their lengths."""
    found: tuple[float, tuple[int, ...]] = (0.0, ()) if left == 1 else (math.inf, ())
    for radix in (d for d in range(2, min(MOST_SPELLED, left) + 1) if left % d == 0):
        cost, after = _cheapest(left // radix, width * radix, rows)
        found = min(found, (cost + _cost(left, radix, width, rows), (radix, *after)))
    return found


def _cost(left: int, radix: int, width: int, rows: int) -> float:
    """Cycles of one step: transforms of `radix` numbers, each `left` / `radix` * `width` apart."""
    count = left // radix
    vectors = -(-count // _WIDE) if width == 1 else count * -(-width // _WIDE)
    turned = 4 * (radix - 1) if count > 1 else 0
    scattered = width == 1 and radix not in _WOVEN and count > 1
    stored = 2 * radix * (_SCATTER if scattered else _MOVE)
    return _STEP + rows * vectors * (operations(radix) + turned + 2 * radix * _MOVE + stored)
