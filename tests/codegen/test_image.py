"""Images of values: every element that a window reads, held once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.image import image_of
from codegen.index import Axis, Guard
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from tests.codegen.random_kernels import random_kernel

H, W, R, S = Axis("h", 8), Axis("w", 8), Axis("r", 3), Axis("s", 3)


def windowed(stride: int = 1, sign: int = 1, padded: bool = True):
    """x[h*stride + r, w*stride + s] of an 8 x 8 plane, or of one large enough."""
    rows, columns = (a.index * stride + b.index * sign - sign for a, b in ((H, R), (W, S)))
    if padded:
        return load(Param("x", dtypes.float32, 64), rows * 8 + columns, [Guard(rows, 0, 8), Guard(columns, 0, 8)])
    return load(Param("x", dtypes.float32, 4096), (rows + 1) * 64 + columns + 1)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_places_and_taps_become_one_axis(stride: int, padded: bool) -> None:
    image = image_of(windowed(stride, padded=padded))
    assert image is not None
    assert {repr(index) for index in image.at.values()} == (
        {"h+r", "w+s"} if stride == 1 else {"h*2+r", "w*2+s"}
    )  # fmt: skip
    assert {axis.size for axis in image.at} == {7 * stride + 3}
    assert image.holds(windowed(stride, padded=padded))


def test_an_image_may_run_against_an_axis() -> None:
    image = image_of(windowed(sign=-1))
    assert image is not None
    assert {repr(index) for index in image.at.values()} == {"h+r*-1+2", "w+s*-1+2"}
    assert all(index.lo == 0 for index in image.at.values())


def test_divisions_are_seen_through() -> None:
    at = H.index + R.index * -1 + 2
    value = load(Param("x", dtypes.float32, 5), at // 2, [Guard(at % 2, 0, 1)])
    image = image_of(value)
    assert image is not None
    ((new, index),) = image.at.items()
    assert (new.size, repr(index)) == (10, "h+r*-1+2")


def test_prologues_share_the_image() -> None:
    value = apply("exp", apply("mul", windowed(), windowed()))
    image = image_of(value)
    assert image is not None
    assert image.holds(value)


def test_separate_axes_have_no_image() -> None:
    x = Param("x", dtypes.float32, 64)
    assert image_of(load(x, H.index * 8 + W.index)) is None
    assert image_of(load(x, H.index)) is None
    mixed = apply("add", load(x, H.index + R.index), load(x, H.index * 2 + R.index))
    assert image_of(mixed) is None
    assert image_of(reduce("add", windowed(), [R])) is None


def test_extents_of_a_tile() -> None:
    image = image_of(windowed(stride=2))
    assert image is not None
    assert sorted(image.extents({H: 2, W: 4, R: 3, S: 1}).values()) == [5, 7]


@given(st.integers(0, 500))
def test_images_of_random_values_hold_them(seed: int) -> None:
    for e in random_kernel(seed, "window").exprs:
        image = image_of(e)
        if image is not None:
            assert image.holds(e)
            assert all(index.lo == 0 and index.hi == axis.size - 1 for axis, index in image.at.items())
            assert image.source.axes.isdisjoint(a for index in image.at.values() for a in index.axes)


def test_the_source_is_the_padded_plane() -> None:
    image = image_of(windowed())
    assert image is not None
    axes = sorted(image.at, key=lambda a: repr(image.at[a]))
    out = Param("out", dtypes.float32, 100)
    store = Store(out, axes[0].index * 10 + axes[1].index, image.source)
    kernel = Kernel("plane", (out, Param("x", dtypes.float32, 64)), (store,))
    x = np.arange(64, dtype=np.float32)
    arrays = {"x": x, "out": np.zeros(100, np.float32)}
    interpret(kernel, arrays)
    assert np.array_equal(arrays["out"].reshape(10, 10), np.pad(x.reshape(8, 8), 1))
