"""Leaves share values with other tensors, and memory, but never a gradient or a change."""

from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import Tensor, nn, no_grad

pytestmark = pytest.mark.usefixtures("device")


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32)).realize()


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32), requires_grad=True)


def by_assign(x: Tensor) -> Tensor:
    return leaf(0, 0).assign(x)


def by_copy(x: Tensor) -> Tensor:
    made = leaf(0, 0)
    with no_grad():
        made.copy_(x)
    return made


def by_index(x: Tensor) -> Tensor:
    made = leaf(0, 0)
    with no_grad():
        made[:] = x
    return made


def by_data_of_another(x: Tensor) -> Tensor:
    made = tensor(0, 0).assign(x)
    made.requires_grad = True
    return made


def by_constructor(x: Tensor) -> Tensor:
    return Tensor(x, requires_grad=True)


MAKERS: list[Callable[[Tensor], Tensor]] = [
    by_assign, by_copy, by_index, by_data_of_another, by_constructor, nn.Parameter,
    lambda x: x.detach().requires_grad_(), lambda x: x.clone().requires_grad_(), lambda x: (x * 1).requires_grad_(),
    lambda x: leaf(0, 0).assign(x.detach()), lambda x: leaf(0, 0).assign(x + 0), lambda x: leaf(0, 0).replace(x),
]  # fmt: skip
makers = pytest.mark.parametrize("make", MAKERS)
values = pytest.mark.parametrize("x", [lambda: tensor(5, 6), lambda: tensor(4, 5) + 1, lambda: Tensor.full((2,), 5.0)])


@makers
@values
def test_gradients_are_of_the_leaf_alone(make: Callable[[Tensor], Tensor], x: Callable[[], Tensor]) -> None:
    given = x()
    made = make(given)
    other = given.detach()
    (made * 2 + given * 3 + other * 5).sum().backward()
    assert made.grad is not None and made.grad.tolist() == [2, 2]
    assert given.grad is None and other.grad is None


@makers
def test_who_is_not_used_has_no_gradient(make: Callable[[Tensor], Tensor]) -> None:
    given, other = tensor(5, 6), leaf(1, 2)
    made = make(given)
    (given * other).sum().backward()
    assert other.grad is not None and other.grad.tolist() == [5, 6]
    assert made.grad is None and given.grad is None


@makers
def test_two_leaves_of_one_value(make: Callable[[Tensor], Tensor]) -> None:
    given = tensor(5, 6)
    made, other = make(given), make(given)
    (made * 2 + other * 3).sum().backward()
    assert made.grad is not None and made.grad.tolist() == [2, 2]
    assert other.grad is not None and other.grad.tolist() == [3, 3]


def test_what_was_computed_before_it_was_a_leaf_is_no_part_of_it() -> None:
    given = tensor(5, 6)
    before = given * 3
    given.requires_grad = True
    (before + given * 2).sum().backward()
    assert given.grad is not None and given.grad.tolist() == [2, 2]


@pytest.mark.parametrize("make", [*MAKERS[:5], *MAKERS[7:]])
def test_changes_in_place_stay_apart(make: Callable[[Tensor], Tensor]) -> None:
    """But for parameters and detach(): these show the same elements in torch."""
    given = tensor(5, 6)
    made = make(given)
    given += 1
    assert made.tolist() == [5, 6] and given.tolist() == [6, 7]
    with no_grad():
        made *= 10
        made[0] = 1
    given[1] = 9
    assert made.tolist() == [1, 60] and given.tolist() == [6, 9]


def test_what_is_no_tensor_is_not_computed() -> None:
    x = tensor(1, 2)
    for bad in (3, None, "text", [x]):
        for call in (x.realize, (x + 1).realize, Tensor.realize, (x + 2).explain):
            with pytest.raises(TypeError, match=r"(realize|explain)\(\) takes tensors, not .* of type"):
                call(bad)
