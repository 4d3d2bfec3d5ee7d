"""What is picked by empty indices, and results of which a part has no elements, pass gradients on as torch has it."""

import pytest

import kernelforge
from kernelforge.nn import functional

torch = pytest.importorskip("torch")

CASES = {
    "gather": lambda lib, a, part, rest, rows, names: a.gather(0, rows),
    "gather of another rank": lambda lib, a, part, rest, rows, names: a.gather(0, names),
    "index_select": lambda lib, a, part, rest, rows, names: a.index_select(0, names),
    "picked": lambda lib, a, part, rest, rows, names: a[names],
    "scatter": lambda lib, a, part, rest, rows, names: rest.scatter(0, rows, part),
    "scatter_add": lambda lib, a, part, rest, rows, names: rest.scatter_add(0, rows, part),
    "scatter_reduce": lambda lib, a, part, rest, rows, names: rest.scatter_reduce(0, rows, part, "amax"),
    "index_put": lambda lib, a, part, rest, rows, names: rest.index_put((names,), part),
    "index_add": lambda lib, a, part, rest, rows, names: rest.index_add(0, names, part),
    "index_copy": lambda lib, a, part, rest, rows, names: rest.index_copy(0, names, part),
    "cat": lambda lib, a, part, rest, rows, names: lib.cat([part, rest]),
    "cat with another": lambda lib, a, part, rest, rows, names: lib.cat([a, part, rest]),
    "cat of nothing": lambda lib, a, part, rest, rows, names: lib.cat([part, part * 2]),
    "cat with no dimension": lambda lib, a, part, rest, rows, names: lib.cat([part.reshape(-1), rest.reshape(-1)]),
    "vstack": lambda lib, a, part, rest, rows, names: lib.vstack([part, rest]),
    "masked_scatter": lambda lib, a, part, rest, rows, names: rest.masked_scatter(rest > 5, part),
    "embedding_bag": lambda lib, a, part, rest, rows, names: (
        functional if lib is kernelforge else torch.nn.functional
    ).embedding_bag(names, a, names, mode="sum"),
}


def outcome(lib, case):
    a, weight = lib.ones(3, 4, requires_grad=True), lib.ones(4, 4, requires_grad=True)
    part = lib.ones(0, 4) @ weight
    rows, names = lib.zeros(0, 4, dtype=lib.int64), lib.zeros(0, dtype=lib.int64)
    found = case(lib, a, part, lib.zeros(3, 4), rows, names)
    found.sum().backward()
    gradients = [x.grad if x.grad is None else x.grad.tolist() for x in (a, weight)]
    return found.requires_grad, tuple(found.shape), found.tolist(), gradients


@pytest.mark.parametrize("name", CASES)
def test_gradients(name, device):
    assert outcome(kernelforge, CASES[name]) == outcome(torch, CASES[name])


def test_masks_that_want_more_than_nothing(device):
    with pytest.raises(IndexError):
        kernelforge.zeros(3).masked_scatter(kernelforge.tensor([False, True, False]), kernelforge.zeros(0)).tolist()
