"""Random numbers of given parameters have the means and spreads of their distributions, and are the same everywhere."""

import numpy as np
import pytest

from kernelforge.errors import DTypeError
from kernelforge.tensor import Tensor

COUNT = 4000
DRAWN = {
    **{f"poisson {m}": (lambda m=m: Tensor.full((COUNT,), m).poisson(), m, m) for m in (0.0, 0.3, 9.9, 10.1, 1e4)},
    **{
        f"binomial {n} {p}": (
            lambda n=n, p=p: Tensor.full((COUNT,), float(n)).binomial(Tensor.full((COUNT,), p)), n * p, n * p * (1 - p)
        )
        for n, p in ((5, 0.3), (100, 0.5), (1000, 0.9), (3, 1.0), (0, 0.5))
    },
    **{f"gamma {a}": (lambda a=a: Tensor.full((COUNT,), a).standard_gamma(), a, a) for a in (0.2, 1.0, 100.0)},
}  # fmt: skip


@pytest.mark.parametrize("draw, mean, variance", DRAWN.values(), ids=DRAWN)
def test_the_mean_and_the_variance(draw, mean, variance, numpy_device):
    Tensor.manual_seed(1)
    found = draw().numpy().astype(np.float64)
    assert abs(found.mean() - mean) <= 5 * (variance / COUNT) ** 0.5
    assert abs(found.var() - variance) <= 0.2 * variance
    Tensor.manual_seed(1)
    assert np.array_equal(found, draw().numpy())


def test_what_no_distribution_has_is_nan(numpy_device):
    assert np.isnan(Tensor([-1.0]).poisson().numpy()).all()
    assert np.isnan(Tensor([3.0, 3.0, -1.0]).binomial(Tensor([1.5, -0.1, 0.5])).numpy()).all()
    assert np.isnan(Tensor([0.0, -1.0]).standard_gamma().numpy()).all()
    with pytest.raises(DTypeError, match="takes floats"):
        Tensor([1, 2]).poisson()
