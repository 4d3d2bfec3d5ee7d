"""Views and joins against NumPy, and their gradients."""

import numpy as np
import pytest

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

X = values(2, 3, 4)
VIEWS = {
    "reshape": (lambda t: t.reshape(4, -1), lambda a: a.reshape(4, -1)),
    "view": (lambda t: t.view(None, 12), lambda a: a.reshape(2, 12)),
    "flatten": (lambda t: t.flatten(1), lambda a: a.reshape(2, 12)),
    "unflatten": (lambda t: t.unflatten(-1, (2, -1)), lambda a: a.reshape(2, 3, 2, 2)),
    "unsqueeze": (lambda t: t.unsqueeze(1).unsqueeze(-1), lambda a: a[:, None, ..., None]),
    "squeeze": (lambda t: t.unsqueeze(0).squeeze().unsqueeze(2).squeeze(2), lambda a: a),
    "squeeze of a size": (lambda t: t.squeeze(1), lambda a: a),
    "permute": (lambda t: t.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "transpose": (lambda t: t.transpose(0, -1), lambda a: a.swapaxes(0, 2)),
    "T": (lambda t: t.T, lambda a: a.T),
    "mT": (lambda t: t.mT, lambda a: a.swapaxes(-1, -2)),
    "movedim": (lambda t: t.movedim(0, -1), lambda a: np.moveaxis(a, 0, -1)),
    "flip": (lambda t: t.flip(0, -1), lambda a: np.flip(a, (0, 2))),
    "roll": (lambda t: t.roll((1, -2), (1, 2)), lambda a: np.roll(a, (1, -2), (1, 2))),
    "roll all": (lambda t: t.roll(5), lambda a: np.roll(a, 5)),
    "expand": (lambda t: t.unsqueeze(0).expand(5, -1, 3, 4), lambda a: np.broadcast_to(a, (5, 2, 3, 4))),
    "shrink": (lambda t: t.shrink([None, (1, 3), (0, 2)]), lambda a: a[:, 1:3, :2]),
    "narrow": (lambda t: t.narrow(-1, 1, 2), lambda a: a[..., 1:3]),
    "unfold": (lambda t: t.unfold(2, 3, 1), lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, 2)),
    "diagonal": (lambda t: t.diagonal(), lambda a: a.diagonal()),
    "diagonal below": (lambda t: t.diagonal(-1, 2, 1), lambda a: a.diagonal(-1, 2, 1)),
    "pad": (lambda t: t.pad((1, 2)), lambda a: np.pad(a, ((0, 0), (0, 0), (1, 2)))),
    "pad value": (
        lambda t: t.pad((1, 0, 0, 2), value=7),
        lambda a: np.pad(a, ((0, 0), (0, 2), (1, 0)), constant_values=7),
    ),
    "pad pairs": (lambda t: t.pad(((1, 1), None, (0, 2))), lambda a: np.pad(a, ((1, 1), (0, 0), (0, 2)))),
    "crop": (lambda t: t.pad((-1, 2, 1, -1)), lambda a: np.pad(a[:, :2, 1:], ((0, 0), (1, 0), (0, 2)))),
    "reflect": (lambda t: t.pad((2, 1), mode="reflect"), lambda a: np.pad(a, ((0, 0), (0, 0), (2, 1)), "reflect")),
    "replicate": (lambda t: t.pad((2, 5), mode="replicate"), lambda a: np.pad(a, ((0, 0), (0, 0), (2, 5)), "edge")),
    "circular": (lambda t: t.pad((2, 4), mode="circular"), lambda a: np.pad(a, ((0, 0), (0, 0), (2, 4)), "wrap")),
    "repeat": (lambda t: t.repeat(2, 1, 1, 3), lambda a: np.tile(a, (2, 1, 1, 3))),
    "interleave": (lambda t: t.repeat_interleave(2, 1), lambda a: a.repeat(2, 1)),
    "interleave all": (lambda t: t.repeat_interleave(2), lambda a: a.repeat(2)),
    "tril": (lambda t: t.tril(), np.tril),
    "triu": (lambda t: t.triu(1), lambda a: np.triu(a, 1)),
    "cat": (lambda t: t.cat(t * 2, t, dim=1), lambda a: np.concatenate([a, a * 2, a], 1)),
    "stack": (lambda t: Tensor.stack(t, t * 2, dim=-1), lambda a: np.stack([a, a * 2], -1)),
    "split": (lambda t: t.split([1, 3], dim=2)[1], lambda a: a[..., 1:]),
    "chunk": (lambda t: t.chunk(2, dim=1)[0], lambda a: a[:, :2]),
    "meshgrid": (lambda t: t[0, 0].meshgrid(t[1, 0])[1], lambda a: np.meshgrid(a[0, 0], a[1, 0], indexing="ij")[1]),
}


def test_values(device):
    tensor = Tensor(X)
    assert_all_same(
        [view(tensor) for view, _ in VIEWS.values()], [reference(X) for _, reference in VIEWS.values()], 0, 0
    )


@pytest.mark.parametrize("name", VIEWS)
def test_gradient(name, numpy_device):
    assert_gradient(VIEWS[name][0], X)


def test_small_shapes(device):
    scalar, empty = Tensor(3.0), Tensor(np.zeros((0, 2), np.float32))
    found = [
        scalar.reshape(1, 1),
        scalar.flatten(),
        scalar.expand(2, 2),
        scalar.unsqueeze(0),
        empty.reshape(2, 0),
        empty.T,
        empty.pad(((1, 1), None)),
        empty.cat(Tensor(np.ones((1, 2), np.float32))),
        empty.cat(empty),
        empty.flip(0),
        Tensor([1.0, 2.0]).diag(),
        Tensor([[1, 2], [3, 4]]).diag(),
        Tensor.stack(scalar, scalar),
    ]
    expected = [
        np.full((1, 1), 3),
        np.full(1, 3),
        np.full((2, 2), 3),
        np.full(1, 3),
        np.zeros((2, 0)),
        np.zeros((2, 0)),
        np.zeros((2, 2)),
        np.ones((1, 2)),
        np.zeros((0, 2)),
        np.zeros((0, 2)),
        np.diag([1, 2]),
        np.array([1, 4]),
        np.full(2, 3),
    ]
    assert_all_same(found, expected)


def test_parts():
    x = Tensor(np.arange(7))
    assert [part.tolist() for part in x.split(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [part.shape for part in x.chunk(3)] == [(3,), (3,), (1,)]
    assert [grid.shape for grid in Tensor([1, 2]).meshgrid(Tensor([3, 4, 5]), indexing="xy")] == [(3, 2), (3, 2)]


def test_joined_types_are_promoted(numpy_device):
    joined = Tensor([1]).cat(Tensor([2.5]), Tensor([True]))
    assert str(joined.dtype) == "float32"
    assert_same(joined, [1, 2.5, 1])
    for empty in (Tensor.zeros(0, dtype="float64"), Tensor.zeros(1, 0, dtype="float64")):
        for parts in ((Tensor.ones(*empty.shape[:-1], 2), empty), (empty, Tensor.ones(*empty.shape[:-1], 2))):
            assert str(Tensor.cat(*parts, dim=-1).dtype) == "float64"


def test_large_permutations_compose(numpy_device):
    x = values(2, 3, 5, 7)
    found = Tensor(x).permute(3, 1, 0, 2).reshape(21, 10).T.reshape(5, 2, 21).flip(1).transpose(0, 2)
    assert_same(found, np.flip(x.transpose(3, 1, 0, 2).reshape(21, 10).T.reshape(5, 2, 21), 1).swapaxes(0, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.reshape(5, 5), "24 elements"),
        (lambda t: t.reshape(-1, -1), "one of them may be -1"),
        (lambda t: t.permute(0, 1), "3 axes"),
        (lambda t: t.permute(0, 0, 1), "once"),
        (lambda t: t.unsqueeze(5), "axis 5"),
        (lambda t: t.expand(2, 3, 5), "size 1"),
        (lambda t: t.transpose(0, 3), "axis 3"),
        (lambda t: t.cat(t, dim=3), "axis 3"),
        (lambda t: t.cat(t.T), "must agree"),
        (lambda t: t.split([1, 1]) and t.split([1, 2]), "add up"),
        (lambda t: t.pad((1,)), "before, after"),
        (lambda t: t.shrink([(0, 3), None, None]), "bounds"),
        (lambda t: t.pad((4, 0), mode="reflect"), "reflect"),
        (lambda t: t.repeat(2), "count for each"),
        (lambda t: t[0, 0].tril(), "matrix"),
        (lambda t: t.unfold(0, 3), "window"),
        (lambda t: t.flip(0, 0), "twice"),
        (lambda t: t.diag(), "vector or a matrix"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ShapeError, match=message):
        call(Tensor(X))


@pytest.mark.parametrize("repeats", [-1, Tensor([1, -1])], ids=["number", "vector"])
def test_nothing_is_repeated_less_than_0_times(repeats):
    with pytest.raises(ValueError, match="at least 0, got -1"):
        Tensor([1, 2]).repeat_interleave(repeats)
