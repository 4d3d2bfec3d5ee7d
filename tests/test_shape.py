"""Shape rules against NumPy, and what their errors say."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import shape as rules
from kernelforge.errors import ShapeError

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@given(st.lists(shapes, min_size=1, max_size=3))
def test_broadcasting_is_numpys(given_shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*given_shapes)
    except ValueError:
        with pytest.raises(ShapeError, match="broadcast of shapes"):
            rules.broadcast_shapes(*given_shapes)
    else:
        assert rules.broadcast_shapes(*given_shapes) == expected


@given(shapes, st.lists(st.integers(-1, 8), max_size=3))
def test_reshaping_is_numpys(old: tuple[int, ...], wanted: list[int]) -> None:
    try:
        expected = np.zeros(old).reshape(wanted).shape
    except ValueError:
        with pytest.raises(ShapeError, match="reshape of"):
            rules.reshaped(old, wanted)
    else:
        assert rules.reshaped(old, wanted) == expected


@given(shapes, shapes)
def test_expanding_is_broadcasting_to_a_shape(old: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    try:
        expected = np.broadcast_to(np.zeros(old), wanted).shape
    except ValueError:
        with pytest.raises(ShapeError, match="expand of"):
            rules.expanded(old, wanted)
    else:
        assert rules.expanded(old, wanted) == expected


def test_axes() -> None:
    assert rules.normal_axis(-3, 3, "sum") == 0 and rules.normal_axes(None, 2, "sum") == (0, 1)
    assert rules.normal_axes(-1, 3, "sum") == (2,) and rules.normal_axes([2, -3], 3, "sum") == (0, 2)
    assert rules.normal_order((-1, 0, 1), 3, "permute") == (2, 0, 1)
    assert rules.reduced_shape((2, 3, 4), (0, 2), False) == (3,)
    assert rules.reduced_shape((2, 3, 4), (0, 2), True) == (1, 3, 1)


@given(st.integers(0, 9), st.integers(1, 10))
def test_parts_of_equal_size_are_torchs(size: int, part: int) -> None:
    sizes = rules.part_sizes(size, part)
    assert sum(sizes) == size and all(n == part for n in sizes[:-1]) and 0 <= sizes[-1] <= part


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_windows_are_those_that_fit(size: int, window: int, stride: int, dilation: int) -> None:
    starts = [o for o in range(0, size, stride) if o + dilation * (window - 1) < size]
    if not starts:
        with pytest.raises(ShapeError, match="pad it"):
            rules.window_count(size, window, stride, dilation, "conv2d")
        return
    count = rules.window_count(size, window, stride, dilation, "conv2d")
    assert count == len(starts)
    assert rules.spread_size(count, window, stride, dilation, "conv") == starts[-1] + dilation * (window - 1) + 1


def test_other_shapes() -> None:
    assert rules.joined_shape([(2, 3), (0, 3), (4, 3)], 0) == (6, 3)
    assert rules.matmul_shapes((4, 1, 2, 3), (5, 3, 6)) == ((4, 5), 2, 3, 6)
    assert rules.per_axis(2, 3, "pool", "stride") == (2, 2, 2) and rules.per_axis([1, 2], 2, "pool", "stride") == (1, 2)
    assert rules.per_axis([2], 3, "pool", "stride") == (2, 2, 2)
    assert rules.per_axis((1, None), 2, "pool", "output_size", rules.kept_or_index) == (1, None)
    assert rules.per_axis(1.5, 2, "resize", "factor", float) == (1.5, 1.5)
    assert rules.normal_pads([(1, 2), [0, 0]], (3, 4)) == ((1, 2), (0, 0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rules.broadcast_shapes((2, 3), (4,), what="add"), r"add.*\(2, 3\) and \(4,\).*3 and 4.*axis -1"),
        (lambda: rules.normal_axis(2, 2, "sum"), "sum along axis 2.*2 dimensions.*-2 to 1"),
        (lambda: rules.normal_axis(1, 0, "sum"), "scalar"),
        (lambda: rules.normal_axes((0, -2), 2, "sum"), "given twice"),
        (lambda: rules.normal_order((0, 0), 2, "permute"), "each of the 2 axes"),
        (lambda: rules.reshaped((4, 6), (5, -1)), "24 elements do not divide evenly by 5"),
        (lambda: rules.reshaped((4, 6), (-1, -1)), "one of them may be -1"),
        (lambda: rules.expanded((3,), (-1, 3)), "need a size"),
        (lambda: rules.joined_shape([(2, 3), (2, 4)], 0), "other than 0 must agree"),
        (lambda: rules.part_sizes(5, [2, 2]), "add up to 5"),
        (lambda: rules.part_sizes(5, 0), "at least 1"),
        (lambda: rules.matmul_shapes((2, 3), (4, 3)), "must equal.*transpose the second"),
        (lambda: rules.matmul_shapes((3,), (3, 4)), "at least 2 dimensions"),
        (lambda: rules.window_count(2, 3, 1, 2, "conv1d"), "conv1d: a window of 3, 5 with dilation 2 on an axis of 2"),
        (lambda: rules.window_count(4, 3, 0, 1, "conv1d"), "each is at least 1"),
        (lambda: rules.spread_size(4, 3, 0, 1, "conv"), "each is at least 1"),
        (lambda: rules.per_axis([1, 2, 3], 2, "pool", "stride"), "3 given, one for all or 2 expected"),
        (lambda: rules.normal_pads([(1, -1)], (3, 2)), "for each axis"),
    ],
)
def test_errors(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        call()


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.array])
def test_one_number_stands_for_all(kind: Callable[[int], object]) -> None:
    one = kind(3)
    assert not rules.is_several(one) and rules.sequence(one, 2) == (3, 3)
    assert rules.per_axis(one, 3, "pool", "stride") == rules.per_axis([one], 3, "pool", "stride") == (3, 3, 3)
    assert rules.normal_axes(one, 4, "sum") == (3,) and rules.part_sizes(6, one) == (3, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [list, tuple, np.array, iter])
def test_several_numbers_are_taken_from_whatever_has_them(form: Callable[[list[int]], object]) -> None:
    assert rules.is_several(form([1, 2])) and rules.sequence(form([1, 2]), 5) == (1, 2)
    assert rules.per_axis(form([1, 2]), 2, "pool", "stride") == (1, 2)


@pytest.mark.parametrize("value", [1.5, (1, 2.5), "2", None])
def test_what_is_no_integer_is_named(value: object) -> None:
    told = re.escape(f"conv2d with stride {value!r}: integers expected, one for all or 2")
    with pytest.raises(TypeError, match=told):
        rules.per_axis(value, 2, "conv2d", "stride")
