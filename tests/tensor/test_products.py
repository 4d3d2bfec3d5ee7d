"""Products of given ranks and chains, and the shapes they refuse.  tests/parity compares them with torch."""

import numpy as np
import pytest

from kernelforge import linalg
from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from kernelforge.tensor.products import _cheapest_cuts
from tests.tensor.checks import assert_gradient, assert_same, values


@pytest.mark.parametrize(
    "name, shapes",
    [
        ("mm", [(2, 3, 4), (4, 5)]), ("mv", [(2, 3), (3, 1)]), ("bmm", [(2, 3, 4), (1, 4, 5)]),
        ("vdot", [(2, 3), (3,)]), ("trace", [(3,)]), ("cross", [(2,), (2,)]), ("matrix_power", [(2, 3)]),
        ("tensordot", [(2, 3), (3, 2)]), ("multi_dot", [(2, 3), (3,), (3, 3)]),
    ],
)  # fmt: skip
def test_refused_shapes(name, shapes):
    first, *others = [Tensor.ones(*shape) for shape in shapes]
    with pytest.raises(ShapeError, match=name):
        getattr(first, name)(*([2] if name == "matrix_power" else others))


def test_nothing_of_the_old_value_with_beta_0(device):
    x = Tensor(np.full((2, 2), np.nan, np.float32))
    assert_same(x.addmm(Tensor.ones(2, 3), Tensor.ones(3, 2), beta=0), np.full((2, 2), 3.0))


@pytest.mark.parametrize("shapes", [[(7, 2), (2, 9), (9, 1), (1, 4)], [(3,), (3, 4), (4,)], [(2, 3), (3,)]])
def test_chains(shapes, device):
    arrays = [values(*shape, seed=i) for i, shape in enumerate(shapes)]
    expected = np.linalg.multi_dot(arrays)
    assert_same(Tensor(arrays[0]).multi_dot(*map(Tensor, arrays[1:])), expected, rtol=1e-4)
    assert_gradient(lambda x, *rest: x.multi_dot(*rest), *arrays)


def test_chains_are_cut_where_that_is_cheapest():
    assert _cheapest_cuts([30, 35, 15, 5, 10, 20, 25])[0, 6] == 3  # (A (B C)) ((D E) F)


def test_cross_broadcasts(device):
    x, y = values(4, 3), values(3, seed=1)
    assert_same(Tensor(x).cross(Tensor(y)), np.cross(x, y))


def test_a_list_of_matrices_is_multiplied(device):
    arrays = [values(2, 3), values(3, 4), values(4)]
    expected = np.linalg.multi_dot(arrays)
    assert_same(linalg.multi_dot([Tensor(x) for x in arrays]), expected, rtol=1e-4)
