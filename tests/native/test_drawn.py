"""Random numbers are the same whether C draws them as it did before or Python does."""

import random
from typing import Any

import numpy as np
import pytest

from kernelforge import Generator, Tensor
from kernelforge.tensor.composite import spelled_out
from kernelforge.tensor.generators import default

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("rand", (3, 5), {}), ("rand", ((3, 5),), {"dtype": "float64"}), ("rand", (7,), {"contiguous": False}),
    ("rand", (), {}), ("rand", (0, 2), {}), ("rand", (2,), {"dtype": "complex64"}), ("rand", ([2, 3],), {}),
    ("randn", (3, 5), {}), ("randn", (13,), {"dtype": "float16"}), ("randn", (3, 5), {"device": "NUMPY"}),
    ("randint", (3, 5), {}), ("randint", ((3, 5),), {"low": -3, "high": 4}), ("randint", (11,), {"dtype": "uint8"}),
    ("randint", (3, 5), {"low": 0, "high": 1 << 40, "dtype": "int64"}), ("randint", (4,), {"requires_grad": False}),
    ("uniform", (3, 5), {"low": 1.0, "high": 2.0}), ("normal", (5,), {"std": 0.5}), ("rand", (3, 5), {}),
    ("randn", (2, 2), {"requires_grad": True}), ("randperm", (5,), {}),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_the_same_numbers_from_one_seed(seed: int) -> None:
    rng = random.Random(seed)
    other = Generator().manual_seed(seed)
    Tensor.manual_seed(seed)
    for _ in range(40):
        name, sizes, options = rng.choice(CALLS)
        ours = getattr(Tensor, name)(*sizes, **options)
        theirs = getattr(Tensor, name)(*sizes, **options, generator=other)  # which C leaves to Python
        assert (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)
        assert ours.requires_grad is theirs.requires_grad
        if rng.random() < 0.5:
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert other.get_state() == default.get_state()


def test_wrong_calls_draw_nothing() -> None:
    Tensor.manual_seed(3)
    for _ in range(3):
        Tensor.rand(2)
    first = Tensor.rand(2).tolist()
    Tensor.manual_seed(3)
    for _ in range(3):
        Tensor.rand(2)
    with pytest.raises(ValueError, match="negative"):
        Tensor.rand(-1)
    with pytest.raises(TypeError, match="floats"):
        Tensor.rand(2, dtype="int32")
    with pytest.raises(TypeError, match="in order"):
        Tensor.randint(2, low=3, high=1)
    assert Tensor.rand(2).tolist() == first


def test_each_class_has_its_own() -> None:
    class Named(Tensor):
        """Another class of tensors."""

    for _ in range(3):
        assert type(Tensor.rand(2)) is Tensor
        assert type(Named.rand(2)) is Named


def test_spelled_out_where_composites_are() -> None:
    for _ in range(3):
        assert Tensor.rand(3, contiguous=False)._node.op == "call"
        with spelled_out():
            assert Tensor.rand(3, contiguous=False)._node.op != "call"


def test_what_is_computed_once_stays() -> None:
    for _ in range(3):
        x = Tensor.rand(4)
        first = (x + 0).numpy()
        np.testing.assert_array_equal((x * 1).numpy(), first)
        np.testing.assert_array_equal(x.numpy(), first)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "complex64"])
def test_fills_are_what_their_formulas_draw(dtype: str) -> None:
    Tensor.manual_seed(5)
    other, kind = Generator().manual_seed(5), "complex64" if dtype == "complex64" else "float64"
    kind = "float32" if dtype in ("float32", "float16") else kind
    both = 1 + 1j if dtype == "complex64" else 1
    for round in range(3):
        tensor = Tensor.zeros(3, 5, dtype=dtype)
        np.testing.assert_array_equal(
            tensor.uniform_(-1, round).numpy(),
            (Tensor.rand(3, 5, dtype=kind, generator=other) * (round + 1) - both).cast(dtype).numpy(),
        )
        np.testing.assert_array_equal(
            tensor.normal_(2, 0.5).numpy(),
            (Tensor.randn(3, 5, dtype=kind, generator=other) * 0.5 + 2 * both).cast(dtype).numpy(),
        )
    assert other.get_state() == default.get_state()
