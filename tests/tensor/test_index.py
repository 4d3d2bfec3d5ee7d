"""Indexing and assignment to parts against NumPy; gather and scatter against their definitions; gradients."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices, integer_array_indices

from codegen.dtypes import dtypes
from kernelforge import jit
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.settings import Context
from kernelforge.tensor import Tensor, no_grad
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
MASK = X % 3 == 0
VIEWS = [
    0,
    -1,
    (1, 2),
    (1, 2, 3),
    slice(1, None),
    (slice(None), slice(None, None, -1)),
    (..., slice(3, 0, -2)),
    (..., 0),
    (None, ..., None),
    (slice(None, None, 2), None, 1, slice(1, 10, 3)),
    slice(0, 0),
    (slice(2, 1), 0),
    (),
    ...,
]
PICKS = [
    [0, 2],
    ([0, 1], slice(None), [1, 2]),
    (0, slice(None), [1, 2]),
    (slice(None), [0, 2], [1, 3]),
    ([[0, 1], [1, 0]],),
    (np.array([0, -1]), 2, slice(1, 3)),
    (slice(None), np.array([True, False, True, False])),
    MASK,
    MASK[:, 0, 0],
    (MASK[:, :, 0],),
    (slice(None), MASK[0]),
    (..., [0, 4, -1]),
    (slice(None, None, -1), [0, 1], slice(None, None, 2)),
    ([[0], [2]], [0, 1, 3]),
    (None, [1, 0]),
    (slice(1, 3), None, [3, 3, 0]),
    ([], slice(1, 2)),
    ([0, 1], ..., [1, 2]),
    (slice(None), 1, [0, 2]),
    (np.array(1), slice(None), [0, 1]),
    (np.uint8([1, 2]),),
]


ASSIGNED = [(slice(1, 3),), (..., slice(None, None, -2)), ([0, 2], slice(None), [1, 3]), MASK]


def as_tensors(index):
    """The index with every array in it a tensor."""
    items = index if isinstance(index, tuple) else (index,)
    return tuple(Tensor(np.asarray(i)) if isinstance(i, list | np.ndarray) and np.size(i) else i for i in items)


def test_views(device):
    assert_all_same([Tensor(X)[index] for index in VIEWS], [X[index] for index in VIEWS])


def test_picks(device):
    found = [Tensor(X)[index] for index in PICKS] + [Tensor(X)[as_tensors(index)] for index in PICKS]
    assert_all_same(found, [X[index] for index in PICKS] * 2)


@pytest.mark.parametrize("index", VIEWS + PICKS, ids=str)
def test_gradient(index, numpy_device):
    if X[index].size:
        assert_gradient(lambda x: x[index], X)


@pytest.mark.parametrize("scalar", [True, False])
def test_assignment(scalar, device):
    found, expected = [], []
    for index in VIEWS + PICKS:
        x, t = X.copy(), Tensor(X)
        x[index] = value = (
            np.float32(-7) if scalar else -1 - np.arange(X[index].size, dtype=np.float32).reshape(X[index].shape)
        )
        t[index] = -7 if scalar else Tensor(value)
        found.append(t)
        expected.append(x)
    assert_all_same(found, expected)


def test_assignment_broadcasts_and_casts(numpy_device):
    x, t = X.copy(), Tensor(X)
    x[1:, ::2] = t[1:, ::2] = np.arange(5)
    x[..., 0] = t[..., 0] = np.arange(3)[:, None]
    x[MASK] = t[MASK] = 9
    x[MASK[:, :, 0]] = t[Tensor(MASK[:, :, 0])] = np.arange(5)
    assert_same(t, x)
    assert str(t.dtype) == "float32"


@pytest.mark.parametrize("index", ASSIGNED, ids=str)
def test_gradient_of_assignment(index, numpy_device):
    def assigned(x, v):
        y = x * 1
        y[index] = v
        return y

    value = values(*(() if index is MASK else X[index].shape))
    assert_gradient(assigned, X / 10, value)


def test_assignment_to_leaves():
    leaf = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf[0] = 3
    with no_grad():
        leaf[0] = 3
    assert leaf.tolist() == [3, 2]


PARTED = [(slice(2), 3, ..., [1, 0, 1]), (slice(2), [0, 1, 2], ..., -1), ([0], ..., 1, 2), (slice(2), ..., 0, [1])]


@pytest.mark.parametrize("index", PARTED, ids=str)
def test_an_ellipsis_of_no_dimensions_parts_picks(index, numpy_device):
    x, t = X.copy(), Tensor(X)
    assert_same(t[index], x[index])
    new = values(*x[index].shape)
    x[index], t[index] = new, Tensor(new)
    assert_same(t, x)


@given(st.data())
def test_random_indices(data):
    with Context(DEVICE="NUMPY"):
        shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
        x = np.arange(np.prod(shape)).reshape(shape)
        index = data.draw(basic_indices(shape, allow_newaxis=True) | integer_array_indices(shape))
        t = Tensor(x)
        assert_same(t[index], x[index])
        t[index] = -1
        x[index] = -1
        assert_same(t, x)


def test_gather_and_scatter(device):
    rng = np.random.default_rng(0)
    x = values(4, 5)
    index = rng.integers(0, 4, (3, 5))
    wide = rng.permuted(np.tile(np.arange(5), (4, 1)), axis=1)[:, :3]
    source = values(4, 3, seed=1)
    rows = np.arange(4)[:, None]
    put, added = x.copy(), x.copy()
    np.put_along_axis(put, wide, source, 1)
    np.add.at(added, (rows, wide), source)
    many = np.array([[0, 0, 1], [2, 2, 2], [4, 4, 4], [1, 1, 1]])
    summed, product, largest = x.copy(), x.copy(), x.copy()
    np.add.at(summed, (rows, many), source)
    np.multiply.at(product, (rows, many), source)
    np.maximum.at(largest, (rows, many), source)
    t, s, i = Tensor(x), Tensor(source), Tensor(many)
    found = [
        t.gather(0, Tensor(index)),
        t.gather(1, Tensor(wide - 5)),
        t.scatter(1, Tensor(wide), s),
        t.scatter_add(1, Tensor(wide), s),
        t.scatter(1, Tensor(wide[:, :1]), 7.0),
        t.scatter(1, i, s, reduce="add"),
        t.scatter(1, i, s, reduce="multiply"),
        t.scatter_reduce(1, i, s, "amax"),
        t.scatter_reduce(1, i, s, "sum"),
    ]
    first = x.copy()
    np.put_along_axis(first, wide[:, :1], 7, 1)
    expected = [
        np.take_along_axis(x, index, 0),
        np.take_along_axis(x, wide, 1),
        put,
        added,
        first,
        summed,
        product,
        largest,
        summed,
    ]
    assert_all_same(found, expected)


def test_scatter_reduce_against_torch(numpy_device):
    torch = pytest.importorskip("torch")
    x, source = values(4, 5), values(4, 3, seed=1)
    index = np.array([[0, 0, 1], [2, 2, 2], [4, 4, 4], [1, 1, 1]])
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        for include in (True, False):
            expected = torch.tensor(x).scatter_reduce(
                1, torch.tensor(index), torch.tensor(source), reduce, include_self=include
            )
            found = Tensor(x).scatter_reduce(1, Tensor(index), Tensor(source), reduce, include_self=include)
            assert_same(found, expected.numpy())


def test_gradients_of_gather_and_scatter(numpy_device):
    x, source = values(4, 5), values(4, 3, seed=1)
    index = Tensor(np.array([[0, 0, 1], [2, 2, 2], [4, 4, 4], [1, 1, 1]]))
    distinct = Tensor(np.array([[0, 2, 1], [2, 3, 4], [4, 1, 0], [1, 0, 3]]))
    assert_gradient(lambda t: t.gather(1, index), x)
    assert_gradient(lambda t, s: t.scatter(1, distinct, s), x, source)
    assert_gradient(lambda t, s: t.scatter_add(1, index, s), x, source)
    assert_gradient(lambda t: t[index], x[:, 0].repeat(2))


def test_shorthands(numpy_device):
    t = Tensor(X)
    found = [
        t.index_select(1, Tensor([2, 0])),
        t.masked_select(Tensor(MASK)),
        t.nonzero(),
        Tensor([0, 2, 1]).one_hot(4),
        Tensor([[0, 2]]).one_hot(),
    ]
    expected = [X[:, [2, 0]], X[MASK], np.argwhere(X), np.eye(4)[[0, 2, 1]], np.eye(3)[[[0, 2]]]]
    assert_all_same(found, expected)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (3, "index 3 is out of bounds for dimension 0"),
        ((0, -5), "index -5 .* dimension 1"),
        ([0, 3], "index 3 .* dimension 0"),
        ((0, 0, 0, 0), "too many indices: 4"),
        ((..., ...), "at most a single ellipsis"),
        (1.5, "integer, slice"),
        ("a", "integer, slice"),
        (np.ones((2, 2), bool), "mask of"),
        ([0.5], "integers or bool"),
    ],
)
def test_errors_are_immediate(index, message):
    with pytest.raises(IndexError, match=message):
        Tensor(X)[index]


def test_bounds_of_slices_are_integers():
    with pytest.raises(TypeError, match="bounds of a slice"):
        Tensor(X)[0.5:1]


def test_errors_of_tensor_indices(device):
    with pytest.raises(IndexError, match="float32"):
        Tensor(X)[Tensor([0.5])]
    picked = Tensor(X)[Tensor([0, 3])]
    with pytest.raises(IndexError, match="out of range"):
        picked.numpy()
    both = Tensor(X)[Tensor([0, 1]), Tensor([0, 4])]
    with pytest.raises(IndexError, match="out of range"):
        both.numpy()
    with pytest.raises(IndexError, match="out of range"):
        Tensor(X).gather(0, Tensor([[[-4]]])).numpy()


def test_errors_of_gather_scatter_and_assignment():
    t = Tensor(X)
    with pytest.raises(ShapeError, match="as many dimensions"):
        t.gather(0, Tensor([0, 1]))
    with pytest.raises(DTypeError, match="integers"):
        t.gather(0, Tensor([[[0.5]]]))
    with pytest.raises(ShapeError, match="smaller"):
        t.scatter(0, Tensor(np.zeros((2, 2, 2), np.int32)), Tensor.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="reduce"):
        t.scatter(0, Tensor([[[0]]]), 1.0, reduce="max")
    with pytest.raises(ValueError, match="amax"):
        t.scatter_reduce(0, Tensor([[[0]]]), Tensor([[[1.0]]]), "median")
    with pytest.raises(ShapeError, match="assign"):
        t[0] = Tensor.zeros(3)
    with pytest.raises(ShapeError, match="assign"):
        t[[0, 1]] = Tensor.zeros(3, 4, 5)
    with pytest.raises(DTypeError, match="one_hot"):
        Tensor([0.5]).one_hot(3)


def test_what_an_index_means_is_found_once_for_a_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    index = (0, slice(None, None, -1), None, ..., slice(1, 3))
    first = x[index]
    monkeypatch.setattr(Tensor, "_taken_apart", None)
    assert np.array_equal(x[index].numpy(), x.numpy()[index]) and first.shape == x[index].shape
    with pytest.raises(TypeError):
        x[index[:-1]]  # others are looked at


@pytest.mark.parametrize("index", [(True,), (slice(1.0, 2),), (slice(0, True),), (np.int64(1),), (1, None)])
def test_what_equals_a_known_index_is_not_taken_for_it(index: tuple[Any, ...]) -> None:
    values = np.arange(12).reshape(3, 4)
    x = Tensor(values)
    for known in (1, slice(1, 2), slice(0, 1)):
        assert np.array_equal(x[known].numpy(), values[known])
    try:
        expected = values[index]
    except TypeError:
        with pytest.raises(TypeError):
            x[index]
        return
    assert np.array_equal(x[index].numpy(), expected)


@pytest.mark.parametrize(
    "index",
    [True, False, np.bool_(True), np.array(False), (True, 1), (..., True), (1, True), (slice(None), False),
     ([0, 1], True, [1, 2]), (slice(None), [0, 1], True), (None, True, slice(1)), (True, False)],
    ids=str,
)  # fmt: skip
def test_masks_without_dimensions(index, numpy_device):
    """All elements, or none, of a new dimension; as NumPy has it, in assignments too."""
    array = np.arange(6).reshape(2, 3)
    x = Tensor(array)
    found = x[index]
    assert found.shape == array[index].shape and np.array_equal(found.numpy(), array[index])
    x[index], array[index] = 9, 9
    assert np.array_equal(x.numpy(), array)
    for value in (True, False):
        assert Tensor(value)[Tensor(value)].shape == np.array(value)[np.array(value)].shape


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("chosen", [True, False])
def test_what_is_put_by_a_mask_without_dimensions_keeps_its_shape(shape, chosen, numpy_device):
    x, mask = Tensor.full(shape, 3.0), Tensor(chosen)
    y = x.index_put((mask,), x[mask] * 2)
    assert y.shape == shape and (y == (6 if chosen else 3)).all().item()


def test_lists_with_slices_are_the_indices_of_dimensions(numpy_device):
    """As in torch; NumPy refuses them.  A list of what fills an array is one index, as in NumPy."""
    array = np.arange(24.0).reshape(2, 3, 4)
    x = Tensor(array)
    assert x[[slice(None), [0, 2]]].tolist() == array[:, [0, 2]].tolist()
    assert x[[1, ..., None]].shape == (3, 4, 1) and x[[0, 1]].shape == (2, 3, 4)
    x[[slice(None), [0, 2], 1]] = 9
    array[:, [0, 2], 1] = 9
    assert np.array_equal(x.numpy(), array)
    for ragged in ([[0, 1], [1]], [(0, 1, 1), [1, 2]]):
        with pytest.raises(IndexError, match="equal rows"):
            x[ragged]


def test_lists_are_assigned_as_arrays(numpy_device: None) -> None:
    x = Tensor.zeros(2, 3, dtype="float64")
    x[0] = [0.1, 2, 3]
    x[:, 1] = (7, 8)
    assert x.tolist() == [[0.1, 7.0, 3.0], [0.0, 8.0, 0.0]]
    with pytest.raises(ValueError, match="assignment of shapes"):
        x[0] = [1, 2]
    with pytest.raises(TypeError, match="a tensor is made of numbers"):
        x[0] = ["a", 2, 3]

@pytest.mark.parametrize("seed", range(12))
def test_assignments_by_indices_as_often_as_one_likes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 7)), int(rng.integers(1, 7))
    kind = np.dtype(rng.choice(["float32", "int32", "bool", "float64"]))
    y = rng.integers(0, 9, (rows, columns)).astype(kind)
    x = Tensor(y)
    row, past = x[0], (x + 0 if kind != np.bool_ else x | False)
    before = y.copy()
    for _ in range(5):
        count = int(rng.integers(0, rows + 1))
        places = rng.permutation(rows)[:count] - rows * rng.integers(0, 2, count)
        others = rng.integers(-columns, columns, count)
        values = rng.integers(0, 9, (count, columns)).astype(kind)
        index = Tensor(places.astype(rng.choice(["int32", "int64"])))
        x[index] = Tensor(values)
        y[places] = values
        np.testing.assert_array_equal(x.numpy(), y)
        x[index, Tensor(others)] = 3
        y[places, others] = 3
        np.testing.assert_array_equal(x.numpy(), y)
        np.testing.assert_array_equal(row.numpy(), y[0])
        if count:
            np.testing.assert_array_equal(x[places.tolist()].numpy(), y[places])
        mask = rng.random(rows) < 0.5
        np.testing.assert_array_equal(x[Tensor(mask)].numpy(), y[mask])
        np.testing.assert_array_equal((x == 3)[Tensor(mask)].numpy(), (y == 3)[mask])
    np.testing.assert_array_equal(past.numpy(), before)


def test_assignments_by_indices_have_gradients_and_errors() -> None:
    places = Tensor([2, 0])
    for _ in range(3):
        x, values = Tensor([1.0, 2.0, 3.0], requires_grad=True), Tensor([5.0, 7.0], requires_grad=True)
        y = x * 2
        y[places] = values
        (y * Tensor([1.0, 10.0, 100.0])).sum().backward()
        assert x.grad is not None
        assert values.grad is not None
        assert x.grad.tolist() == [0, 20, 0]
        assert values.grad.tolist() == [100, 1]
        with pytest.raises(ShapeError):
            y[places] = Tensor([1.0, 2.0, 3.0])
        with pytest.raises(IndexError):
            y[[0, 3]]
        with pytest.raises(IndexError):
            y[[0, -4]]
        z = Tensor([1.0, 2.0, 3.0])
        z[Tensor([3])] = 1.0
        with pytest.raises(IndexError):
            z.numpy()


def test_elements_chosen_by_a_mask_are_drawn_anew_in_a_captured_function() -> None:
    kept = Tensor([True, False, True]).realize()
    function = jit(lambda x: x[kept] * 2)
    for i in range(4):
        assert function(Tensor([1.0, 2.0, 3.0 + i]).realize()).tolist() == [2, 6 + 2 * i]
    base = Tensor([1.0, 2.0, 3.0]).realize()
    part = base[kept]
    part += 10
    assert base.tolist() == [1, 2, 3]
    assert part.tolist() == [11, 13]


def test_lists_are_indices_in_captured_functions_whoever_met_them_before() -> None:
    picked = jit(lambda x, places: x[places] * 2)
    for i in range(8):
        x, places = Tensor([1.0, 2.0, 3.0 + i]).realize(), [i % 2, 2]
        wanted = [2 * (1.0 + i % 2), 6.0 + 2 * i]
        for function in [lambda x, places: x[places] * 2, picked][:: 1 if i % 4 < 2 else -1]:
            assert function(x, places).tolist() == wanted


def test_numbers_are_assigned_in_the_precision_of_the_default_type_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    number = float((1 << 24) + 1)  # which float32 does not hold
    for kind, wanted in [(dtypes.float32, number - 1), (dtypes.float64, number)] * 2:
        monkeypatch.setattr(dtypes, "default_float", kind)
        x = Tensor([0, 0], dtype="int64")
        x[1] = number
        assert x.tolist() == [0, int(wanted)]
