"""The matrices of short sums: they give the sums exactly, and work that they share is shared."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.windows.toom import POINTS, toom

FORMS = [(n - r + 1, r) for n in POINTS for r in range(1, n + 1)]


def times(matrix, values):
    return [sum((a * x for a, x in zip(row, values, strict=True)), Fraction(0)) for row in matrix]


@pytest.mark.parametrize("m, r", FORMS)
@given(data=st.data())
def test_the_sums_are_exact(m: int, r: int, data: st.DataObject) -> None:
    numbers = st.integers(-9, 9).map(Fraction)
    x = data.draw(st.lists(numbers, min_size=m + r - 1, max_size=m + r - 1))
    w = data.draw(st.lists(numbers, min_size=r, max_size=r))
    form = toom(m, r)
    products = [a * b for a, b in zip(times(form.before, x), times(form.taps, w), strict=True)]
    assert times(form.after, products) == [sum(x[i + k] * w[k] for k in range(r)) for i in range(m)]


def test_points_lie_in_opposite_pairs() -> None:
    for n, points in POINTS.items():
        assert len(points) == n - 1 and {-p for p in points} == set(points)
