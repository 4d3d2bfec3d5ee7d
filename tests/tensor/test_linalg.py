"""Matrix products and einsum against NumPy, and their gradients."""

import numpy as np
import pytest

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4,)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4, 5)),
    ((2, 1, 3, 4), (6, 4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 5)),
    ((1, 1), (1, 1)),
    ((0, 4), (4, 5)),
    ((3, 0), (0, 5)),
]


def test_matmul_values(device):
    pairs = [(values(*a), values(*b, seed=1)) for a, b in SHAPES]
    assert_all_same([Tensor(x) @ Tensor(y) for x, y in pairs], [x @ y for x, y in pairs])


@pytest.mark.parametrize("shapes", SHAPES[:8])
def test_matmul_gradient(shapes, numpy_device):
    assert_gradient(Tensor.dot, values(*shapes[0]), values(*shapes[1], seed=1))


@pytest.mark.parametrize("m", [1, 17, 64, 65])
def test_larger_products(m, device):
    x, y = values(m, 67), values(67, 33, seed=1)
    assert_same(Tensor(x) @ Tensor(y), x @ y, rtol=1e-4, atol=1e-4)


def test_types(device):
    x, y = values(8, 9, low=-9, high=9, dtype=np.int32), values(9, 7, seed=1, low=-9, high=9, dtype=np.int32)
    half = Tensor(x.astype(np.float16)) @ Tensor(y.astype(np.float16))
    assert_all_same([Tensor(x) @ Tensor(y), half, Tensor(x > 0) @ Tensor(y > 0)], [x @ y, x @ y, (x > 0) @ (y > 0)])
    assert str(half.dtype) == "float16"
    wide = Tensor(np.full((1, 4096), 16, np.float16)).dot(Tensor(np.full((4096, 1), 16, np.float16)), dtype="float32")
    assert wide.item() == 4096 * 256
    assert str((Tensor(x) @ Tensor(y.astype(np.float32))).dtype) == "float32"


def test_other_spellings(numpy_device):
    x, w, b = values(2, 3, 4), values(4, 5), values(5)
    t = Tensor(x)
    found = [
        t.linear(Tensor(w), Tensor(b)),
        t.linear(Tensor(values(4)), Tensor(values(4))),
        Tensor(w).matmul(t, reverse=True),
        Tensor(b).outer(Tensor(values(3))),
        np.ones((2, 2, 3), np.float32) @ t,
    ]
    expected = [x @ w + b, x * values(4) + values(4), x @ w, np.outer(b, values(3)), np.ones((2, 2, 3)) @ x]
    assert_all_same(found, expected)


@pytest.mark.parametrize("shapes", [((3, 4), (5, 4)), ((3, 4), (3, 4)), ((2, 3, 4), (3, 4, 5))])
def test_matmul_errors(shapes):
    with pytest.raises(ShapeError, match="matmul"):
        Tensor.zeros(*shapes[0]) @ Tensor.zeros(*shapes[1])


def test_scalars_do_not_multiply_matrices():
    with pytest.raises(ShapeError, match="use \\*"):
        Tensor(2.0) @ Tensor([1.0])


EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ij->j", (3, 4)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("iij->ji", (3, 3, 4)),
    ("i,j->ij", (3,), (4,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("...i,...i->...", (2, 3, 4), (3, 4)),
    ("b...d,dk->b...k", (2, 3, 5, 4), (4, 6)),
    ("ij,ij->", (3, 4), (3, 4)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("ijk,k->", (2, 3, 4), (4,)),
    ("iji->j", (3, 2, 3)),
]


def test_einsum_values(device):
    cases = [(formula, [values(*shape, seed=i) for i, shape in enumerate(shapes)]) for formula, *shapes in EINSUMS]
    found = [Tensor.einsum(formula, *map(Tensor, arrays)) for formula, arrays in cases]
    assert_all_same(found, [np.einsum(formula, *arrays) for formula, arrays in cases], rtol=1e-4, atol=1e-5)


def test_einsum_sums_integers_of_one_operand_in_int64(device):
    """A letter that one operand alone has is summed over as sum() does; products stay what they are."""
    x, y = np.full((2, 3), 100, np.uint8), np.full(4, 100, np.uint8)
    found = Tensor.einsum("ij,k->ik", Tensor(x), Tensor(y))
    assert found.dtype.name == "int64" and found.tolist() == [[30_000] * 4] * 2
    assert Tensor.einsum("ij,ij->i", Tensor(x), Tensor(x)).dtype.name == "uint8"
    assert Tensor.einsum("ij,k->ik", Tensor(x).half(), Tensor(y)).dtype.name == "float16"


@pytest.mark.parametrize("case", EINSUMS, ids=lambda case: case[0])
def test_einsum_gradient(case, numpy_device):
    formula, *shapes = case
    arrays = [values(*shape, seed=i) for i, shape in enumerate(shapes)]
    assert_gradient(lambda *tensors: Tensor.einsum(formula, *tensors), *arrays)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("ij->ij", "names 1 operands"),
        ("ij,jk->ikl", "output"),
        ("ij,kj->ik", "both 4 and 5"),
        ("ijk,jk->i", "does not fit"),
        ("i1,jk->ik", "letters"),
        ("ij,jk->ii", "once"),
    ],
)
def test_einsum_errors(formula, message):
    with pytest.raises(ShapeError, match=message):
        Tensor.einsum(formula, Tensor.zeros(3, 4), Tensor.zeros(4, 5))
