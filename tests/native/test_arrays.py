"""Arrays that C makes of tensors, and tensors of arrays, are those that NumPy's functions give."""

from __future__ import annotations

import numpy as np
import pytest

from kernelforge import Tensor, jit
from kernelforge.errors import PlaceError

KINDS = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
         "float64", "complex64"]  # fmt: skip
SHAPES = [(1, 1), (5,), (3, 4, 5), (2, 0, 3), (), (7, 1), (33, 40), (2, 1030), (300, 300)]


def drawn(seed: int, shape: tuple[int, ...], kind: str) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).integers(0, 3, shape)).astype(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_array_comes_back(shape: tuple[int, ...], kind: str) -> None:
    given = drawn(1, shape, kind)
    x = Tensor(given)
    kept = given.copy()
    given[...] = 1  # the tensor has a copy
    for y, expected in ((x, kept), (x + x, kept + kept), (x.reshape(-1), kept.reshape(-1))):
        for _ in range(2):
            found = y.numpy()
            assert found.dtype == kept.dtype
            np.testing.assert_array_equal(found, expected)
            found[...] = 0  # a copy, too
            np.testing.assert_array_equal(y.realize().numpy(), expected)


@pytest.mark.parametrize("kind", ["float32", "int64", "bool"])
def test_arrays_in_any_order(kind: str) -> None:
    given = drawn(2, (6, 8, 4), kind)
    repeated = np.broadcast_to(given[0], (3, 8, 4))
    for view in (given.T, given[::2, ::-1], np.asfortranarray(given), given[:, 1:3], repeated):
        np.testing.assert_array_equal(Tensor(view).numpy(), view)
        np.testing.assert_array_equal(Tensor(view).realize().permute(2, 0, 1).numpy(), view.transpose(2, 0, 1))
    np.testing.assert_array_equal(Tensor(given.astype(">f4")).numpy(), given.astype("f4"))
    np.testing.assert_array_equal(Tensor(given, dtype="float64").numpy(), given.astype("f8"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_true_and_what_a_mask_chooses(shape: tuple[int, ...], kind: str) -> None:
    given = drawn(3, shape, kind)
    for dims in range(1, len(shape) + 1):
        for limit in (0, 1, 2, 3):
            mask = drawn(4 + limit, shape[:dims], "int8") >= limit  # from all true to none
            for m in (Tensor(mask), Tensor(mask).realize(), Tensor(mask.astype(np.int8)).realize() > 0):
                places = m.nonzero()
                np.testing.assert_array_equal(places.numpy(), np.argwhere(mask))
                assert places.dtype.name == "int32"
                if kind == "float32":
                    np.testing.assert_array_equal((places + 1).numpy(), np.argwhere(mask) + 1)
                chosen = Tensor(given).realize()[m]
                np.testing.assert_array_equal(chosen.numpy(), given[mask])
                assert chosen.shape == given[mask].shape


def test_chosen_elements_know_where_gradients_flow() -> None:
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    mask = (x > 1.5).realize()
    x[mask].square().sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 4.0, 6.0]


def test_what_changed_and_what_is_wrong() -> None:
    x, far = Tensor([1.0, 2.0, 3.0]).realize(), Tensor([0, 7]).realize()
    for i in range(4):
        x += 1
        assert x.numpy().tolist() == [2.0 + i, 3.0 + i, 4.0 + i]
        assert x[x > 3.5].tolist() == [v for v in (2.0 + i, 3.0 + i, 4.0 + i) if v > 3.5]
        with pytest.raises(PlaceError):
            x[far].numpy()


def test_values_that_captures_look_at() -> None:
    @jit
    def positive(x: Tensor) -> Tensor:
        return x * 2 if x.numpy()[0] > 0 else x * 3

    for _ in range(3):
        assert positive(Tensor([1.0, 2.0]).realize()).tolist() == [2.0, 4.0]
        assert positive(Tensor([-1.0, 2.0]).realize()).tolist() == [-3.0, 6.0]
