"""Gradients lead to the minimum of Rosenbrock's valley and to the parameters of a pendulum."""

import pytest

parameters = pytest.importorskip("examples.parameters")


def test_the_lowest_place_of_the_valley() -> None:
    assert parameters.minimum() == pytest.approx((1, 1), abs=5e-3)


def test_the_parameters_of_a_pendulum() -> None:
    stiffness, damping = parameters.fitted(parameters.watched(seed=0))
    assert stiffness == pytest.approx(parameters.STIFFNESS, rel=0.01)
    assert damping == pytest.approx(parameters.DAMPING, rel=0.1)
