"""Numbers and texts as functions of sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.fitting import Formula, common_name, fitted, fitted_text

POINTS = [{"m": 1009, "n": 2045}, {"m": 1013, "n": 2037}, {"m": 1018, "n": 2042}, {"m": 1021, "n": 2033}]
PRODUCTS = [(), ("m",), ("n",), ("m", "n"), ("n", "n"), ("m", "n", "n")]


PARTS = st.tuples(st.integers(1, 4096), st.sampled_from(PRODUCTS))


@given(PARTS, PARTS, st.integers(-9, 99))
def test_sums_of_two_products_are_found(
    first: tuple[int, tuple[str, ...]], second: tuple[int, tuple[str, ...]], rest: int
) -> None:
    formula = Formula((first, second, (rest, ())))
    found = fitted([formula(point) for point in POINTS], POINTS)
    assert found is not None
    for point in (*POINTS, {"m": 3, "n": 5}, {"m": 1, "n": 1}, {"m": 77, "n": 2}):
        assert found(point) == formula(point)


def test_a_product_is_no_sum_of_its_factors() -> None:
    """These points lie on one hyperbola, where the product of sizes and some sum of them are the same."""
    points = [{"m": 2037, "n": 4090}, {"m": 2045, "n": 4081}, {"m": 2033, "n": 4093}, {"m": 2042, "n": 4085}]
    found = fitted([(point["m"] + 1) * point["n"] for point in points], points)
    assert found is not None
    assert found({"m": 92, "n": 236}) == 93 * 236


def test_what_is_no_formula_is_none() -> None:
    assert fitted([point["m"] // 3 for point in POINTS], POINTS) is None
    assert fitted_text([f"x[{point['m'] % 7}]" for point in POINTS], POINTS) is None


@pytest.mark.parametrize("other", ["y[1]", "x[1] + x[1]", "x[a]"])
def test_texts_that_differ_otherwise_are_none(other: str) -> None:
    assert fitted_text(["x[2]", "x[3]", "x[4]", other], POINTS) is None


def test_numbers_in_names_and_floats_are_none_of_it() -> None:
    texts = [f"float16 a1_{7} = 0.5f * x1[{2 * point['m'] + 1}] + 1e-05f;" for point in POINTS]
    assert fitted_text(texts, POINTS) == "float16 a1_7 = 0.5f * x1[(m * 2 + 1)] + 1e-05f;"


def test_one_name_for_several() -> None:
    assert common_name(["a_3x4", "a_5x4"]) == "a_nx4"
    assert common_name(["a_3", "b_3"]) == "open"
