"""Sizes to make plans for: what follows from them for other sizes is right, or nothing does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from codegen.fitting import fitted
from kernelforge.planning.formulas import ORDERS, formulas

MET = [(3, 40, 7, 500, 21, 90), (5, 44, 16, 300, 60, 11)]  # of as many names as there may be
NAMES = st.integers(0, len(ORDERS) - 1)


@given(NAMES, NAMES, st.integers(1, 64), st.integers(0, 16), st.integers(0, 16))
def test_a_product_of_two_sizes_with_margins_is_no_sum_of_them(
    one: int, other: int, factor: int, more: int, most: int
) -> None:
    known = formulas(MET)
    assert known is not None and len(known.bounds) == len(ORDERS)
    a, b = f"kf_n{one}", f"kf_n{other}"
    points = known.points()
    found = fitted([factor * (point[a] + more) * (point[b] + most) for point in points], points)
    small = dict.fromkeys(known.bounds, 5) | {a: 12, b: 31}
    assert found is None or found(small) == factor * (small[a] + more) * (small[b] + most)
